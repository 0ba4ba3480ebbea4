//! `history`: what was applied, and can be taken back.

use std::path::Path;

use clap::Args;

use super::error::CliError;
use super::inputs::{Inputs, Repaired};
use super::installation::{or_say, recovered};
use super::options::{OutputOptions, RootOptions};
use super::{Exit, Screen};
use crate::apply::{self as transaction, PastApply, PastFile, Root};
use crate::diag::{Finding, FindingRecord};
use crate::log;
use crate::report::json::{self, HISTORY, HistoryReport, PastApplyRecord, PastFileRecord};
use crate::report::{diff, findings, human};

/// List the applies that can be taken back: when, from which policies, and what changed
///
/// The newest comes first; the last 50 are kept. `rollback` takes the newest one back, and
/// `rollback --to N` all that came after number N.
///
/// Examples:
///   wan22-policy history --root ~/wan
///   wan22-policy history --root ~/wan --diff
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct History {
    /// Also show what changed line by line
    #[arg(long)]
    diff: bool,

    #[command(flatten)]
    root: RootOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl History {
    /// The installation.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let root = Root::open(self.root.path())?;
        let in_flight = transaction::recover(&root)?;
        let found: Vec<Finding> = in_flight.iter().map(recovered).collect();
        let past = or_say(in_flight.as_ref(), screen, |_| Ok(transaction::history(&root)?))?;
        log::found(&found);
        let report = HistoryReport {
            schema: HISTORY.to_owned(),
            root: root.path().display().to_string(),
            applies: past.iter().map(record).collect(),
            findings: found.iter().map(FindingRecord::from).collect(),
        };
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
            return Ok(Exit::Fine);
        }
        let mut text = findings::render(&found, screen.paint);
        text += &human::history::render(&report.applies, self.diff, screen.paint);
        if report.applies.is_empty() {
            text += &format!("nothing was applied in `{}`\n", self.root.path().display());
        }
        screen.print(&text)?;
        Ok(Exit::Fine)
    }
}

fn record(apply: &PastApply) -> PastApplyRecord {
    // Of an older version of the program what it asked may have another form.
    let inputs: Option<Inputs> = serde_json::from_value(apply.inputs.clone()).ok();
    let is_repair = serde_json::from_value::<Repaired>(apply.inputs.clone()).is_ok();
    PastApplyRecord {
        number: apply.number,
        time: apply.time.clone(),
        policy_hash: inputs.as_ref().map(|inputs| inputs.policy_hash.clone()),
        target: inputs.as_ref().and_then(|inputs| inputs.target.clone()),
        workload: inputs.and_then(|inputs| inputs.workload),
        repair: is_repair,
        files: apply.files.iter().map(file).collect(),
    }
}

fn file(file: &PastFile) -> PastFileRecord {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let (before, after) = (text(&file.before), text(&file.after));
    let diff = after.map(|after| diff::unified(&file.file, before.as_deref(), &after));
    let lines = |sign: char| {
        let header = [sign; 3].iter().collect::<String>();
        let is_one = |line: &&str| line.starts_with(sign) && !line.starts_with(&header);
        diff.as_ref().map(|diff| diff.lines().filter(is_one).count())
    };
    PastFileRecord { file: file.file.clone(), added: lines('+'), removed: lines('-'), diff }
}
