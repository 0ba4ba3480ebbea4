//! `check`: the policies themselves, without a machine.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::author;
use super::error::{CliError, exit_of};
use super::inputs::today;
use super::options::PolicyOptions;
use super::{Exit, Screen};
use crate::corpus::Corpus;
use crate::diag::{Finding, Severity, codes, did_you_mean, refuses};
use crate::lint::lint;
use crate::log;
use crate::report::human::count;
use crate::report::json::{self, FindingsReport};
use crate::report::{findings, sarif};

/// Check policies: syntax, types, units, names, circles, conditions that cannot hold or that clash
///
/// Checks the policies that come with the program together with those of the given directories, and with the site's:
/// each entry by itself, what they say together on any machine, and what they say of the machines of a folder. Ends
/// with 3 when something is wrong.
#[derive(Debug, Args)]
pub struct Check {
    /// Directories of policies, as for --policies [default: policies, where there is such a folder]
    #[arg(value_name = "DIR")]
    more: Vec<PathBuf>,

    /// The machines that the policies are looked at over [default: tests/machines, where there is such a folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_machines")]
    machines: Option<PathBuf>,

    /// Leave the machines out: check the files alone
    #[arg(long)]
    no_machines: bool,

    #[command(flatten)]
    levels: Levels,

    #[command(flatten)]
    policies: PolicyOptions,

    /// For people, as JSON that `wan22-policy schema` describes, or as SARIF for code review tools
    #[arg(long, value_enum, default_value_t = Format::Human, help_heading = "Output")]
    format: Format,
}

/// How serious findings are taken. Of several that are said of one code the most serious counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Levels")]
struct Levels {
    /// Take findings of this code as errors
    #[arg(short = 'D', long, value_name = "CODE", value_parser = known_code)]
    deny: Vec<String>,

    /// Take findings of this code as warnings
    #[arg(short = 'W', long, value_name = "CODE", value_parser = known_code)]
    warn: Vec<String>,

    /// Leave findings of this code out
    ///
    /// A file can do so for itself, with the reason: `allow: { CODE: why it is right here }`.
    #[arg(short = 'A', long, value_name = "CODE", value_parser = known_code)]
    allow: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For code review tools.
    Sarif,
}

impl Check {
    /// Whether what stops the command is printed as JSON too.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut options = self.policies.clone();
        options.directories.extend(self.more.iter().cloned());
        if options.directories.is_empty() {
            options.directories = author::edited_policies(&[]);
            // The author's own, and nothing is written here.
            options.allow_targets |= !options.directories.is_empty();
        }
        let (found, summary): (Vec<Finding>, String) = match options.compile_all() {
            Ok(set) => {
                let policies = match set.policies.len() {
                    1 => "1 policy".to_owned(),
                    policies => format!("{policies} policies"),
                };
                let checks = count(set.checks.len(), "check");
                let targets = count(set.targets.len(), "target");
                let corpus = self.corpus(&options)?;
                let over = corpus.as_ref().map(|corpus| (corpus, today()));
                let machines = corpus.as_ref().map(|corpus| count(corpus.machines.len(), "machine"));
                let machines = machines.map(|machines| format!(", on {machines}")).unwrap_or_default();
                (self.levels.apply(lint(&set, over)), format!("{policies}, {checks} and {targets}{machines}"))
            }
            // Without policies that can be used there is nothing to weigh.
            Err(CliError::Findings(found)) => (found, "the policies cannot be used".to_owned()),
            Err(error) => return Err(error),
        };
        log::found(&found);
        let text = match self.format {
            Format::Json => json::text(&FindingsReport::from(found.as_slice())),
            Format::Sarif => sarif::text(&found),
            Format::Human if found.is_empty() => format!("{summary}: {}\n", findings::count(&found)),
            Format::Human => format!("{}{summary}\n", findings::render(&found, screen.paint)),
        };
        screen.print(&text)?;
        Ok(if refuses(&found) { exit_of(&found) } else { Exit::Fine })
    }
}

impl Check {
    // The machines that are named, or those that lie where authors have them. One that cannot be read is no mistake of the
    // policies; `test` says what is wrong with it.
    fn corpus(&self, options: &PolicyOptions) -> Result<Option<Corpus>, CliError> {
        let usual = Path::new(author::MACHINES);
        let folder = match &self.machines {
            Some(folder) => folder,
            None if !self.no_machines && usual.is_dir() => usual,
            None => return Ok(None),
        };
        let corpus =
            Corpus::read(folder, &options.table("gpus")?).map_err(|error| CliError::unreadable(folder, error))?;
        match corpus.machines.is_empty() {
            true if self.machines.is_some() => {
                Err(CliError::usage(format!("there is no machine in `{}`", folder.display())))
            }
            is_empty => Ok((!is_empty).then_some(corpus)),
        }
    }
}

impl Levels {
    fn apply(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let named = |codes: &[String], finding: &Finding| codes.iter().any(|code| code == finding.code.as_str());
        findings.retain_mut(|finding| {
            if named(&self.deny, finding) {
                finding.severity = Severity::Error;
            } else if named(&self.warn, finding) {
                finding.severity = Severity::Warning;
            } else if named(&self.allow, finding) {
                return false;
            }
            true
        });
        findings
    }
}

fn known_code(text: &str) -> Result<String, String> {
    match codes::find(text) {
        Some(info) => Ok(info.name.to_owned()),
        None => {
            let help = did_you_mean(text, codes::CODES.iter().map(|info| info.name));
            Err(help.unwrap_or_else(|| "there is no such finding".to_owned()))
        }
    }
}
