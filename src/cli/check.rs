//! `check`: the policies themselves, without a machine.

use std::path::PathBuf;

use clap::Args;

use super::error::{CliError, exit_of};
use super::options::{OutputOptions, PolicyOptions};
use super::{Exit, Screen};
use crate::diag::{Finding, refuses};
use crate::lint::lint;
use crate::report::findings;
use crate::report::json::{self, FindingsReport};

/// Check policies: syntax, types, units, names, circles, conditions that cannot hold or that clash
///
/// Checks the policies that come with the program together with those of the given directories, and with the site's:
/// each entry by itself, and what they say together on any machine. Ends with 3 when something is wrong.
#[derive(Debug, Args)]
pub struct Check {
    /// Directories of policies, as for --policies
    #[arg(value_name = "DIR")]
    more: Vec<PathBuf>,

    #[command(flatten)]
    policies: PolicyOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Check {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut options = self.policies.clone();
        options.directories.extend(self.more.iter().cloned());
        let (found, summary): (Vec<Finding>, String) = match options.compile_all() {
            Ok(set) => {
                let policies = number(set.policies.len(), "policy", "policies");
                let checks = number(set.checks.len(), "check", "checks");
                let targets = number(set.targets.len(), "target", "targets");
                let summary = format!("{policies}, {checks} and {targets}");
                let found = set.findings.iter().cloned().chain(lint(&set)).collect();
                (found, summary)
            }
            Err(CliError::Findings(found)) => (found, "the policies cannot be used".to_owned()),
            Err(error) => return Err(error),
        };
        if self.output.is_json() {
            screen.print(&json::text(&FindingsReport::from(found.as_slice())))?;
        } else {
            let mut text = findings::render(&found, screen.paint);
            text += &match found.is_empty() {
                true => format!("{summary}: {}\n", findings::count(&found)),
                false => format!("{summary}\n"),
            };
            screen.print(&text)?;
        }
        Ok(if refuses(&found) { exit_of(&found) } else { Exit::Fine })
    }
}

fn number(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
