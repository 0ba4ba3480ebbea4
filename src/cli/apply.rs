//! `apply`: writes the plan into the files of an installation.

use std::path::Path;

use clap::Args;
use tracing::info;

use super::error::CliError;
use super::inputs::Inputs;
use super::installation::{Installation, file_changes, file_reports, no_locks, or_say, recovered};

use super::options::{InstallationOptions, OutputOptions, TargetOptions};
use super::question::Ask;
use super::{Exit, Screen};
use crate::apply::{self as transaction, Recovered, Root};
use crate::diag::{self, Finding, FindingRecord};
use crate::log;
use crate::report::json::{self, APPLY, ApplyCommand, ApplyReport, FileStatus};
use crate::report::{findings, human};

/// Write the settings into the config files of an installation
///
/// Only the keys that the stack has for them are changed; everything else in the files stays byte for byte. All files
/// change together or none, a second apply changes nothing, and `rollback` restores the bytes. What was asked is kept
/// in .wan22-policy/ inside the installation, for `verify`.
///
/// Examples:
///   wan22-policy apply --root ~/wan --dry-run
///   wan22-policy apply --root ~/wan --workload ti2v-5b:1280x704x49
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Apply {
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    target: TargetOptions,

    #[command(flatten)]
    ask: Ask,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Apply {
    /// The installation that it writes into, unless it only shows.
    pub fn writes(&self) -> Option<&Path> {
        (!self.dry_run).then(|| self.root.path())
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let in_flight = match self.dry_run {
            true => None,
            false => transaction::recover(&Root::open(self.root.path())?)?,
        };
        or_say(in_flight.as_ref(), screen, |screen| self.write(in_flight.as_ref(), screen))
    }

    fn write(&self, in_flight: Option<&Recovered>, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let path = self.root.path();
        let answer = self.ask.answer(&self.root)?;
        let installation = Installation::require(path, self.target.target.as_deref(), &answer.set)?;
        let edits = installation.edits(&answer)?;
        let mut found: Vec<Finding> = in_flight.map(recovered).into_iter().chain(answer.findings).collect();
        found.extend(edits.iter().flat_map(|edit| edit.findings.clone()));
        diag::allow(&mut found, &self.ask.question.allow);
        let refused = diag::refuses(&found);
        let mut entry = None;
        let mut written = Vec::new();
        if !refused && !self.dry_run {
            let target = Some(installation.target.id.clone());
            let inputs = Inputs { policy_hash: answer.plan.policy_hash.clone(), target, ..answer.inputs };
            let inputs = serde_json::to_value(&inputs)
                .map_err(|error| CliError::failed(format!("cannot record the question: {error}")))?;
            let applied = transaction::commit(&installation.root, &file_changes(&edits), &inputs)?;
            found.extend((!applied.is_locked).then(|| no_locks(&installation.root)));
            (entry, written) = (applied.entry, applied.files);
            info!(entry, files = written.join(", "), "applied");
        }
        log::found(&found);
        let report = ApplyReport {
            schema: APPLY.to_owned(),
            command: ApplyCommand::Apply,
            root: installation.root.path().display().to_string(),
            target: Some(installation.target.id.clone()),
            dry_run: self.dry_run,
            entry,
            files: file_reports(&edits, &written),
            drift: Vec::new(),
            findings: found.iter().map(FindingRecord::from).collect(),
        };
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            self.print(&report, &found, screen)?;
        }
        if !refused {
            return Ok(Exit::Fine);
        }
        Err(CliError::Stop {
            exit: Exit::Refused,
            message: format!("refused, and nothing was written: {}", findings::count(&found)),
            help: Some("put right what the errors name, or allow one by its code with --allow CODE".to_owned()),
        })
    }

    fn print(&self, report: &ApplyReport, found: &[Finding], screen: &mut Screen<'_>) -> Result<(), CliError> {
        let paint = screen.paint;
        let mut text = findings::render(found, paint);
        if !text.is_empty() {
            text.push('\n');
        }
        text += &human::changes::diffs(&report.files, paint);
        for file in &report.files {
            text += &human::changes::render(&file.file, &file.changes, paint);
        }
        let differs = human::changes::names(&report.files, FileStatus::Differs);
        text += &match report.entry {
            Some(entry) => {
                let names = human::changes::names(&report.files, FileStatus::Written);
                let root = self.root.path().display();
                format!("applied to {names} (number {entry}); `wan22-policy rollback --root {root}` takes it back\n")
            }
            None if differs.is_empty() => "nothing to change\n".to_owned(),
            None if diag::refuses(found) => String::new(),
            None => format!("a dry run: {differs} would change, nothing was written\n"),
        };
        screen.print(&text)
    }
}
