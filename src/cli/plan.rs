//! `plan`: every setting, and what it would change.

use clap::Args;

use super::error::CliError;
use super::installation::Installation;

use super::options::{InstallationOptions, OutputOptions, TargetOptions};
use super::question::Ask;
use super::{Exit, Screen};
use crate::diag;
use crate::log;
use crate::report::json::{self, PlanReport};
use crate::report::{findings, human};
use crate::target::{Change, FileEdit};

/// Show every setting for this machine, and the policy that gave it
///
/// In the directory of an installation (or with --root) also what would change in its files. Nothing is written.
///
/// Examples:
///   wan22-policy plan --workload t2v-a14b:1280x720x81
///   wan22-policy plan --facts my-box.yaml --fact gpu.vram.total=12GiB
///   wan22-policy plan --goal speed --set vae.tile_size=256
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Plan {
    /// End with 4 when the files of the installation would change
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    ask: Ask,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    target: TargetOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Plan {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let answer = self.ask.answer(&self.root)?;
        let (path, id) = (self.root.path(), self.target.target.as_deref());
        let installation = match self.exit_code {
            true => Some(Installation::require(path, id, &answer.set)?),
            false => Installation::find(path, id, &answer.set)?,
        };
        let edits = installation.as_ref().map(|found| found.edits(&answer)).transpose()?.unwrap_or_default();
        let mut found = answer.findings.clone();
        found.extend(edits.iter().flat_map(|edit| edit.findings.clone()));
        diag::allow(&mut found, &self.ask.question.allow);
        log::found(&found);
        let records = installation.map(|found| found.records(&edits)).unwrap_or_default();
        if self.output.is_json() {
            screen.print(&json::text(&PlanReport::new(&answer.plan, &found, records)))?;
        } else {
            let paint = screen.paint;
            let mut text = human::plan::render(&answer.plan, &answer.facts, paint);
            text += &findings::render(&found, paint);
            if !found.is_empty() && !records.is_empty() {
                text.push('\n');
            }
            for record in records {
                text += &human::changes::render(&record.file, &record.changes, paint);
            }
            screen.print(&text)?;
        }
        Ok(if diag::refuses(&found) {
            Exit::Refused
        } else if self.exit_code && edits.iter().any(differs) {
            Exit::Differs
        } else {
            Exit::Fine
        })
    }
}

fn differs(edit: &FileEdit) -> bool {
    edit.restored || edit.changes.iter().any(Change::is_due)
}
