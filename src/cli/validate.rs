//! `validate`: whether an installation is what it should be.

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::options::{InstallationOptions, OutputOptions};
use super::{Exit, Screen};
use crate::diag::FindingRecord;
use crate::facts::probe::software;
use crate::report::findings;
use crate::report::json::{self, VALIDATE, ValidateReport};
use crate::validate::sources;

/// Look whether an installation is what it should be: so far, whether Python can read its sources
///
/// Every `.py` file below the directory is read as the Python of the installation reads it, and none is
/// run. The first error of each broken file is shown on the line where Python reports it, with what to
/// do. Packages in an environment of their own and hidden folders are passed by. Ends with 3 when a file
/// is broken.
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

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Whether Python can read the sources
    Syntax,
}

impl Validate {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let installation = self.root.installation()?;
        let root = self.root.path();
        let known = software::live(installation.folder.as_deref(), installation.python.as_deref());
        let python = known.value("software.python").and_then(|version| version.as_str()).map(str::to_owned);
        let sources = sources::check(root, python.as_deref().and_then(minor));
        let report = ValidateReport {
            schema: VALIDATE.to_owned(),
            root: root.display().to_string(),
            python,
            files: sources.files,
            broken: sources.broken,
            findings: sources.findings.iter().map(FindingRecord::from).collect(),
        };
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            let mut text = findings::render(&sources.findings, screen.paint);
            if !text.is_empty() {
                text.push('\n');
            }
            let of = report.python.as_ref().map_or_else(String::new, |version| format!(" {version}"));
            text += &match (report.files, report.broken) {
                (0, _) => format!("there is no Python source in `{}`\n", root.display()),
                (1, 0) => format!("Python{of} can read the one source\n"),
                (files, 0) => format!("Python{of} can read all {files} sources\n"),
                (files, broken) => format!("Python{of} cannot read {broken} of {files} sources\n"),
            };
            screen.print(&text)?;
        }
        Ok(if report.broken == 0 { Exit::Fine } else { Exit::Refused })
    }
}

// `3.11` of `3.11.7`.
fn minor(version: &str) -> Option<(u8, u8)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}
