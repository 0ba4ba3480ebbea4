//! `verify`: whether an installation still holds what was applied.

use std::path::Path;

use clap::Args;

use super::error::CliError;
use super::inputs::{self, Inputs};
use super::installation::{Installation, file_reports, or_say, recovered};
use super::machine::{MachineOptions, read_facts};
use super::options::{InstallationOptions, OutputOptions};
use super::question::{Answer, answer};
use super::{Exit, Screen};
use crate::apply::{self as transaction, Recovered, Root};
use crate::diag::{self, Finding, FindingRecord, Source};
use crate::facts::Facts;
use crate::log;
use crate::plan::Setting;
use crate::report::json::{self, APPLY, ApplyCommand, ApplyReport, Drift, FileStatus};
use crate::report::{findings, human};
use crate::target::{Change, FileEdit};

/// Compare an installation with what the last apply would write now, and name every key that differs
///
/// Asks the same question again: workload, pins, overridden facts and policies as they were, and this machine (or the
/// saved one that was applied). Ends with 4 when a key differs.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Verify {
    /// The installation.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let root = Root::open(self.root.path())?;
        let in_flight = transaction::recover(&root)?;
        or_say(in_flight.as_ref(), screen, |screen| self.compare(&root, in_flight.as_ref(), screen))
    }

    fn compare(&self, root: &Root, in_flight: Option<&Recovered>, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let path = self.root.path();
        let recorded = transaction::applied(root)?.map(|record| inputs::applied(record.inputs));
        let recorded = recorded.filter(|inputs| !inputs.is_null()).ok_or_else(|| {
            let message =
                format!("no plan was applied in `{}`, so nothing was applied to compare with", path.display());
            CliError::failed(message).help("`wan22-policy apply --dry-run` shows what an apply would change")
        })?;
        let inputs: Inputs = serde_json::from_value(recorded)
            .map_err(|error| CliError::failed(format!("what the last apply recorded cannot be read: {error}")))?;
        let (hash, target, allow) = (inputs.policy_hash.clone(), inputs.target.clone(), inputs.allow.clone());
        let answer = self.ask(inputs)?;
        let installation = Installation::require(path, target.as_deref(), &answer.set)?;
        let edits = installation.edits(&answer)?;
        let mut found: Vec<Finding> = in_flight.map(recovered).into_iter().collect();
        if answer.plan.policy_hash != hash {
            let message = "the policies are not those of the last apply, so a difference may come from them";
            found.push(Finding::warning("policies-changed", message).help("apply again to take them over"));
        }
        found.extend(answer.findings.iter().cloned());
        found.extend(edits.iter().flat_map(|edit| edit.findings.clone()));
        diag::allow(&mut found, &allow);
        log::found(&found);
        let report = ApplyReport {
            schema: APPLY.to_owned(),
            command: ApplyCommand::Verify,
            root: installation.root.path().display().to_string(),
            target: Some(installation.target.id.clone()),
            dry_run: false,
            entry: None,
            drift: edits.iter().flat_map(|edit| drift(edit, &answer, &installation)).collect(),
            files: file_reports(&edits, &[]),
            findings: found.iter().map(FindingRecord::from).collect(),
        };
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            print(&report, &found, screen)?;
        }
        Ok(if report.drift.is_empty() { Exit::Fine } else { Exit::Differs })
    }

    // The question on record, about the machine on record unless another is named.
    fn ask(&self, recorded: Inputs) -> Result<Answer, CliError> {
        let mut root = self.root.clone();
        root.python = root.python.or_else(|| recorded.python.clone());
        root.models = root.models.or_else(|| recorded.models.clone());
        let facts: Facts = match &recorded.facts {
            Some(file) if self.machine.is_live() => read_facts(Source::new("applied.json", json::text(file)))?,
            _ => self.machine.gather(&root)?,
        };
        let set = recorded.policy_options().compile()?;
        let overrides = recorded.overrides.iter().chain(&self.machine.overrides).cloned().collect();
        let gpu_index = self.machine.gpu_index.or(recorded.gpu_index);
        let cards = recorded.policy_options().table("gpus")?;
        answer(
            Inputs { overrides, gpu_index, python: root.python, models: root.models, ..recorded },
            facts,
            set,
            &cards,
        )
    }
}

fn drift(edit: &FileEdit, answer: &Answer, installation: &Installation<'_>) -> Vec<Drift> {
    // In a file that is gone or broken no key holds anything.
    let one = |change: &Change| {
        let (key, expected) = (change.key.clone()?, change.to.clone()?);
        let at = edit.at(&installation.shown(&edit.file), &key);
        let policy = answer.plan.settings.get(&change.setting).and_then(|setting: &Setting| setting.policy.as_ref());
        (change.is_due() || edit.restored).then(|| Drift {
            file: edit.file.clone(),
            line: at.as_ref().map(|at| at.line),
            column: at.map(|at| at.column),
            key,
            setting: change.setting.clone(),
            policy: policy.map(|policy| policy.id.clone()),
            expected,
            found: change.from.clone().filter(|_| !edit.restored),
        })
    };
    edit.changes.iter().filter_map(one).collect()
}

fn print(report: &ApplyReport, found: &[Finding], screen: &mut Screen<'_>) -> Result<(), CliError> {
    let paint = screen.paint;
    let mut text = findings::render(found, paint);
    if !text.is_empty() {
        text.push('\n');
    }
    if report.drift.is_empty() {
        let names = human::changes::names(&report.files, FileStatus::Unchanged);
        text += &format!("no drift: {names} {} what the plan says\n", "holds");
    } else {
        text += &human::changes::drift(&report.drift, paint);
        text += &format!("\n{}", human::changes::diffs(&report.files, paint));
        let count = report.drift.len();
        text += &format!("{count} {} from the plan\n", if count == 1 { "key differs" } else { "keys differ" });
    }
    screen.print(&text)
}
