//! `validate`: whether an installation is what it should be.

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::installation::Installation;
use super::options::{InstallationOptions, OutputOptions, PolicyOptions};
use super::{Exit, Screen};
use crate::apply;
use crate::diag::{Finding, FindingRecord, Severity};
use crate::facts::probe::software;
use crate::report::findings;
use crate::report::human::validation;
use crate::report::json::{self, GroupRecord, GroupResult, VALIDATE, ValidateReport};
use crate::validate::sources;

/// Look whether an installation is what it should be: its Python sources, and the files that its stack reads
///
/// The group `syntax` reads every `.py` file below the directory as the Python of the installation reads
/// it, and runs none; the first error of each broken file is shown on the line where Python reports it.
/// The group `configuration` holds the files of the stack against the schema of its target: every value
/// that is not allowed, with what may stand there. What cannot be looked at is `not measured`, which is
/// never a pass. Ends with 3 when a group fails.
///
/// Examples:
///   wan22-policy validate --root ~/wan
///   wan22-policy validate --root ~/wan --only syntax --format json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Validate {
    /// Look only at this group; may be given several times [default: all]
    #[arg(long, value_enum, value_name = "GROUP")]
    only: Vec<Group>,

    /// The stack in the directory, where its files do not tell
    #[arg(long, value_name = "ID")]
    target: Option<String>,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    policies: PolicyOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Whether Python can read the sources
    Syntax,
    /// Whether the stack can use its files
    Configuration,
}

impl Validate {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let installation = self.root.installation()?;
        let known = software::live(installation.folder.as_deref(), installation.python.as_deref());
        let python = known.value("software.python").and_then(|version| version.as_str()).map(str::to_owned);
        let mut groups = Vec::new();
        let mut found = Vec::new();
        for group in Group::value_variants() {
            if self.only.is_empty() || self.only.contains(group) {
                groups.push(match group {
                    Group::Syntax => self.syntax(python.as_deref(), &mut found),
                    Group::Configuration => self.configuration(&mut found)?,
                });
            }
        }
        let report = ValidateReport {
            schema: VALIDATE.to_owned(),
            root: self.root.path().display().to_string(),
            python,
            groups,
            findings: found.iter().map(FindingRecord::from).collect(),
        };
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            let mut text = findings::render(&found, screen.paint);
            if !text.is_empty() {
                text.push('\n');
            }
            text += &validation::groups(&report, screen.paint);
            screen.print(&text)?;
        }
        let fails = report.groups.iter().any(|group| group.result == GroupResult::Fail);
        Ok(if fails { Exit::Refused } else { Exit::Fine })
    }

    fn syntax(&self, python: Option<&str>, found: &mut Vec<Finding>) -> GroupRecord {
        let sources = sources::check(self.root.path(), python.and_then(minor));
        found.extend(sources.findings);
        record("syntax", sources.files, sources.broken)
    }

    fn configuration(&self, found: &mut Vec<Finding>) -> Result<GroupRecord, CliError> {
        let set = self.policies.compile()?;
        let Some(installation) = Installation::find(self.root.path(), self.target.as_deref(), &set)? else {
            let message =
                format!("no known stack in `{}`, so its files were not looked at", self.root.path().display());
            found.push(Finding::note("stack-unknown", message).help("name it with --target"));
            return Ok(record("configuration", 0, 0));
        };
        let (mut files, mut wrong) = (0, 0);
        for (index, file) in installation.target.files.iter().enumerate() {
            let bytes = apply::read(&installation.root, &file.path)?;
            let text = bytes.as_deref().map(String::from_utf8_lossy);
            let is_required = index == 0;
            let findings = file.look(text.as_deref(), is_required, &file.path);
            files += usize::from(text.is_some() || is_required);
            wrong += usize::from(findings.iter().any(|finding| finding.severity > Severity::Note));
            found.extend(findings);
        }
        Ok(record("configuration", files, wrong))
    }
}

fn record(group: &str, files: usize, wrong: usize) -> GroupRecord {
    let result = match (files, wrong) {
        (0, _) => GroupResult::NotMeasured,
        (_, 0) => GroupResult::Pass,
        _ => GroupResult::Fail,
    };
    GroupRecord { group: group.to_owned(), result, files, wrong }
}

// `3.11` of `3.11.7`.
fn minor(version: &str) -> Option<(u8, u8)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}
