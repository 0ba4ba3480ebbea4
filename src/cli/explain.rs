//! `explain`: how a value came about, or what a name means.

use clap::Args;

use super::error::CliError;
use super::options::{InstallationOptions, OutputOptions};
use super::question::Ask;
use super::{Exit, Screen};
use crate::policy::PolicySet;
use crate::report::explain::Explainer;
use crate::report::{human, json};

/// Explain a setting, fact, function, table, policy, check, rule of validate, or the code of a finding
///
/// Of a setting: the policy that gave the value, where it stands and why, the facts it read, the candidates it
/// rejected and by how much, the limits, and why each other policy did not decide.
///
/// Examples:
///   wan22-policy explain vae.tile_size
///   wan22-policy explain gpu.vram.total
///   wan22-policy explain data.models
///   wan22-policy explain vae-of-the-model
///   wan22-policy explain undecided
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Explain {
    /// The name of a setting (vae.tile_size), a fact (gpu.vram.total), a function (floor_div), a table (data.models), a
    /// policy, a check, a rule of validate (vae-of-the-model) or a group of them (models), or a finding's code
    #[arg(value_name = "NAME|CODE")]
    name: String,

    #[command(flatten)]
    ask: Ask,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Explain {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let answer = self.ask.answer(&self.root)?;
        let explain = |set: &PolicySet| Explainer { set, facts: &answer.facts, plan: &answer.plan }.explain(&self.name);
        let report = match explain(&answer.set) {
            Ok(report) => Ok(report),
            // What is wrong with a rule does not keep anything else from being explained.
            Err(_) => explain(&self.ask.policies.compile_rules()?),
        };
        let report = report.map_err(|help| {
            let message = format!("nothing is called `{}`", self.name);
            CliError::usage(message).help(help.unwrap_or_else(|| "`wan22-policy plan` lists the settings".to_owned()))
        })?;
        screen.print(&match self.output.is_json() {
            true => json::text(&report),
            false => human::explanation::render(&report, screen.paint),
        })?;
        Ok(Exit::Fine)
    }
}
