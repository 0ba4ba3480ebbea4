//! `validate`: whether an installation is what it should be, and the repair of what can be put right.

use clap::Args;

use super::error::CliError;
use super::inputs::Repaired;
use super::installation::{Installation, no_locks, or_say, recovered};
use super::options::{InstallationOptions, OutputOptions, PolicyOptions};
use super::question::{Answer, Ask};
use super::{Exit, Screen};
use crate::apply::{self as transaction, FileChange, Recovered, Root};
use crate::diag::{Finding, FindingRecord, did_you_mean};
use crate::facts::probe;
use crate::policy::rule::VerdictFormula;
use crate::report::human::validation;
use crate::report::json;
use crate::report::validation::{GroupRecord, RepairRecord, SCHEMA, ValidateReport, VerdictRecord};
use crate::report::{diff, findings};
use crate::validate::{self, Look, Repair, judge};

/// Look whether an installation is ready: its sources, config files and models, and the machine
///
/// Asks the rules of the policies, group by group. Each result is pass, fail or not measured;
/// what cannot be looked at is never a pass. The score, and whether the installation is ready,
/// follow from them by a formula of the policies. Ends with 3 when it is not ready.
///
/// --fix puts right what it safely can: values out of range, deprecated attributes, a broken
/// config file, the simplest slips in Python sources. All files change together or none, and
/// `rollback` brings the bytes back.
///
/// Examples:
///   wan22-policy validate --root ~/wan
///   wan22-policy validate --root ~/wan --only syntax --format json
///   wan22-policy validate --root ~/wan --fix --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Validate {
    /// Ask only the rules of this group; may be given several times [default: all]
    #[arg(long, value_name = "GROUP")]
    only: Vec<String>,

    /// Put right what can be put right
    #[arg(long)]
    fix: bool,

    /// With --fix: show what would change, and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,

    /// The stack in the directory, where its files do not tell
    #[arg(long, value_name = "ID")]
    target: Option<String>,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    ask: Ask,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Validate {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let root = Root::open(self.root.path())?;
        let in_flight = if self.fix && !self.dry_run { transaction::recover(&root)? } else { None };
        or_say(in_flight.as_ref(), screen, |screen| self.validate(&root, in_flight.as_ref(), screen))
    }

    fn validate(&self, root: &Root, in_flight: Option<&Recovered>, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut answer = self.ask.answer_by(&self.root, PolicyOptions::compile_rules)?;
        let machine = answer.facts.clone();
        let mut found: Vec<Finding> = in_flight.map(recovered).into_iter().collect();
        let mut look = self.look(root, &mut answer)?;
        let repairs = if self.fix { look.repairs() } else { Vec::new() };
        let mut written = Vec::new();
        if !self.dry_run && !repairs.is_empty() {
            let applied = commit(root, &repairs)?;
            found.extend((!applied.is_locked).then(|| no_locks(root)));
            written = applied.files;
            // What is said is what is there now.
            answer.facts = machine;
            look = self.look(root, &mut answer)?;
        }
        found.extend(self.findings(&answer, &look));
        let report = self.report(&answer, &look, &found, (&repairs, &written))?;
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            self.print(&report, &found, screen)?;
        }
        Ok(if report.verdict.ready { Exit::Fine } else { Exit::Refused })
    }

    // Looks at the installation, and adds what it sees to the facts.
    fn look(&self, root: &Root, answer: &mut Answer) -> Result<Look, CliError> {
        let installation = Installation::find(self.root.path(), self.target.as_deref(), &answer.set)?;
        let python = answer.facts.value("software.python").and_then(|version| minor(version.as_str()?));
        let look = validate::look(root, installation.map(|installation| installation.target), &answer.set, python)?;
        answer.facts.fill(look.facts());
        if !self.ask.machine.is_live() {
            // The machine is another one; the installation is here.
            probe::installation(&self.root.installation()?, &mut answer.facts);
        }
        Ok(look)
    }

    // What there is to say of the groups that are asked.
    fn findings(&self, answer: &Answer, look: &Look) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.is_asked("syntax") {
            found.extend(look.sources.findings.iter().cloned());
        }
        if self.is_asked("configuration") {
            found.extend(look.configs.findings.iter().cloned());
        }
        if self.only.is_empty() || self.only.iter().any(|group| group != "syntax" && group != "configuration") {
            found.extend(answer.findings.iter().cloned());
        }
        found
    }

    fn is_asked(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == group)
    }

    fn report(
        &self,
        answer: &Answer,
        look: &Look,
        found: &[Finding],
        (repairs, written): (&[Repair], &[String]),
    ) -> Result<ValidateReport, CliError> {
        let formula = formula(answer)?;
        let validation = &answer.set.validation;
        let known = || validation.groups.iter().map(|(name, _)| name.as_str());
        if let Some(group) = self.only.iter().find(|group| known().all(|name| name != group.as_str())) {
            let help = did_you_mean(group, known());
            let names = known().collect::<Vec<_>>().join(", ");
            return Err(
                CliError::usage(format!("there is no group `{group}`; the groups are {names}")).maybe_help(help)
            );
        }
        let groups: Vec<&str> = known().filter(|name| self.is_asked(name)).collect();
        let verdict = judge(&answer.set, formula, &groups, (&answer.facts, &answer.plan), &look.configs)?;
        let titles = validation.groups.iter().filter(|(name, _)| self.is_asked(name));
        Ok(ValidateReport {
            schema: SCHEMA.to_owned(),
            root: self.root.path().display().to_string(),
            target: look.stack.clone(),
            python: answer.facts.value("software.python").and_then(|version| version.as_str()).map(str::to_owned),
            verdict: VerdictRecord::new(&verdict, formula),
            groups: titles.map(|(name, title)| GroupRecord::new(name, title, &verdict.judged)).collect(),
            findings: found.iter().map(FindingRecord::from).collect(),
            repairs: repairs.iter().map(|repair| record(repair, written)).collect(),
        })
    }

    fn print(&self, report: &ValidateReport, found: &[Finding], screen: &mut Screen<'_>) -> Result<(), CliError> {
        let paint = screen.paint;
        let mut text = findings::render(found, paint);
        if !text.is_empty() {
            text.push('\n');
        }
        for repair in &report.repairs {
            text += &diff::coloured(&repair.diff, paint);
            repair.repairs.iter().for_each(|says| text += &format!("  {}: {says}\n", repair.file));
            text.push('\n');
        }
        text += &validation::render(report, paint);
        text += &match (report.repairs.is_empty(), self.fix) {
            (true, true) => "nothing that can be put right\n".to_owned(),
            (true, false) => String::new(),
            (false, _) if self.dry_run => "a dry run: nothing was written\n".to_owned(),
            (false, _) => {
                format!("`wan22-policy rollback --root {}` takes the repairs back\n", self.root.path().display())
            }
        };
        screen.print(&text)
    }
}

fn formula(answer: &Answer) -> Result<&VerdictFormula, CliError> {
    answer.set.validation.verdict.as_ref().ok_or_else(|| {
        CliError::failed("no policy file says what follows from the rules")
            .help("write `validation.verdict` in one, or do not mask `validate/verdict.yaml`")
    })
}

fn commit(root: &Root, repairs: &[Repair]) -> Result<transaction::Applied, CliError> {
    let changes: Vec<FileChange> = repairs.iter().map(|repair| repair.change.clone()).collect();
    let says = repairs.iter().map(|repair| (repair.change.file.clone(), repair.says.clone())).collect();
    let record = Repaired::after(says, transaction::applied(root)?.map(|record| record.inputs));
    let record = serde_json::to_value(&record)
        .map_err(|error| CliError::failed(format!("cannot record the repairs: {error}")))?;
    Ok(transaction::commit(root, &changes, &record)?)
}

fn record(repair: &Repair, written: &[String]) -> RepairRecord {
    let FileChange { file, before, after } = &repair.change;
    let before = before.as_deref().map(String::from_utf8_lossy);
    RepairRecord {
        file: file.clone(),
        repairs: repair.says.clone(),
        diff: diff::unified(file, before.as_deref(), &String::from_utf8_lossy(after)),
        written: written.contains(file),
    }
}

// `3.11` of `3.11.7`.
fn minor(version: &str) -> Option<(u8, u8)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}
