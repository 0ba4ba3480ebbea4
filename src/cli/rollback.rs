//! `rollback`: takes the last apply back.

use std::path::Path;

use clap::Args;
use tracing::info;

use super::error::CliError;
use super::installation::{no_locks, or_say, recovered};
use super::options::{OutputOptions, RootOptions};
use super::{Exit, Screen};
use crate::apply::{self as transaction, Root};
use crate::diag::{Finding, FindingRecord};
use crate::log;
use crate::report::findings;
use crate::report::json::{self, APPLY, ApplyCommand, ApplyReport, FileReport, FileStatus};

/// Restore the bytes from before the last apply
///
/// Applies form a stack: each rollback takes the newest one back, and --to all that came after one. Files that were edited
/// since the apply are left alone, and nothing is restored, unless --force gives the edits up. `history` lists the applies.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Give up what was edited since the apply
    #[arg(long)]
    force: bool,

    /// Take back all that came after this apply, as `history` numbers them; 0 is before the first
    #[arg(long, value_name = "N")]
    to: Option<u32>,

    #[command(flatten)]
    root: RootOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Rollback {
    /// The installation.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let root = Root::open(self.root.path())?;
        let in_flight = transaction::recover(&root)?;
        let done = or_say(in_flight.as_ref(), screen, |_| {
            let answer = in_flight.as_ref().and_then(|recovered| recovered.answers(self.to));
            Ok(answer.map_or_else(|| transaction::rollback(&root, self.to, self.force), Ok)?)
        })?;
        let no_locks = (!done.is_locked).then(|| no_locks(&root));
        let in_flight = in_flight.or(done.recovered);
        let found: Vec<Finding> = in_flight.iter().map(recovered).chain(no_locks).collect();
        info!(entries = ?done.entries, restored = done.restored.join(", "), removed = done.removed.join(", "), "rolled back");
        log::found(&found);
        let report = |files: &[String], status| -> Vec<FileReport> {
            let report =
                |file: &String| FileReport { file: file.clone(), status, changes: vec![], diff: String::new() };
            files.iter().map(report).collect()
        };
        if self.output.is_json() {
            let files = [report(&done.restored, FileStatus::Restored), report(&done.removed, FileStatus::Removed)];
            screen.print(&json::text(&ApplyReport {
                schema: APPLY.to_owned(),
                command: ApplyCommand::Rollback,
                root: root.path().display().to_string(),
                target: None,
                dry_run: false,
                entry: done.entries.last().copied(),
                files: files.concat(),
                drift: Vec::new(),
                findings: found.iter().map(FindingRecord::from).collect(),
            }))?;
            return Ok(Exit::Fine);
        }
        let mut text = findings::render(&found, screen.paint);
        text += &done.restored.iter().map(|file| format!("restored {file}\n")).collect::<String>();
        text +=
            &done.removed.iter().map(|file| format!("removed {file}, which the apply had made\n")).collect::<String>();
        text += &match &done.entries[..] {
            [one] => format!("apply number {one} is taken back\n"),
            several => {
                let numbers: Vec<String> = several.iter().map(u32::to_string).collect();
                format!("applies number {} are taken back\n", numbers.join(", "))
            }
        };
        screen.print(&text)?;
        Ok(Exit::Fine)
    }
}
