//! `validate`: whether an installation is what it should be, and the repair of what can be put right.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

mod reports;
mod start;

use self::start::StartOptions;
use super::error::CliError;
use super::inputs::Repaired;
use super::installation::{Installation, half_done, no_locks, or_say, recovered};
use super::options::{InstallationOptions, OutputOptions, PolicyOptions};
use super::question::{Answer, Ask};
use super::{Exit, Screen};
use crate::apply::{self as transaction, FileChange, Recovered, Root};
use crate::diag::{self, Finding, FindingRecord, Severity, did_you_mean};
use crate::facts::{Facts, Origin, probe};
use crate::log;
use crate::policy::Validation;
use crate::policy::rule::VerdictFormula;
use crate::report::human::{self, validation};
use crate::report::json;
use crate::report::validation::{
    GroupRecord, LeftRecord, RepairRecord, RuleRecord, RuleResult, SCHEMA, ValidateReport, VerdictRecord,
};
use crate::report::{diff, findings};
use crate::validate::{self, Look, Repair, judge};

/// Look whether an installation is ready: its sources, config files and models, and the machine
///
/// Asks the rules of the policies, group by group. Each result is pass, fail or not measured;
/// what cannot be looked at is never a pass. The score, and whether the installation is ready,
/// follow from them by a formula of the policies. Ends with 3 when it is not ready, or when
/// something is found at error.
///
/// --fix puts right what it safely can: values out of range, deprecated attributes, a broken
/// config file, the simplest slips in Python sources. All files change together or none, and
/// `rollback` brings the bytes back.
///
/// Examples:
///   wan22-policy validate --root ~/wan --report report
///   wan22-policy validate --root ~/wan --only syntax --format json
///   wan22-policy validate --root ~/wan --fix --dry-run
///   wan22-policy validate --root ~/wan --start 'python main.py' --ready http://127.0.0.1:7860
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Validate {
    /// Ask only the rules of this group; may be given several times [default: all]
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<String>,

    /// Put right what can be put right
    #[arg(long)]
    fix: bool,

    /// With --fix: show what would change, and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,

    /// Write reports into this directory: JSON, JUnit, Markdown, and a page for the browser
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    report: Option<PathBuf>,

    #[command(flatten)]
    start: StartOptions,

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
        self.root.installation()?;
        let root = Root::open(self.root.path())?;
        let in_flight = if self.fix && !self.dry_run { transaction::recover(&root)? } else { None };
        or_say(in_flight.as_ref(), screen, |screen| self.validate(&root, in_flight.as_ref(), screen))
    }

    fn validate(&self, root: &Root, in_flight: Option<&Recovered>, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut answer = self.ask.answer_by(&self.root, PolicyOptions::compile_rules)?;
        self.known_groups(&answer.set.validation)?;
        let machine = answer.facts.clone();
        let mut found: Vec<Finding> = in_flight.map(recovered).into_iter().collect();
        if !self.fix
            && let Some((_, files)) = transaction::in_flight(root)?
        {
            found.push(half_done(&files));
        }
        let mut look = self.look(root, &mut answer)?;
        let started = self.start.start(self.root.path(), screen)?;
        let repairs = look.repairs(|group| self.is_asked(group));
        let mut written = Vec::new();
        if self.fix && !self.dry_run && !repairs.is_empty() {
            let applied = commit(root, &repairs)?;
            found.extend((!applied.is_locked).then(|| no_locks(root)));
            written = applied.files;
            // What is said is what is there now.
            answer.facts = machine;
            look = self.look(root, &mut answer)?;
        }
        if self.is_asked("monitoring") {
            self.sample(&mut answer.facts);
        }
        if let Some(started) = &started {
            found.extend(started.tell(&mut answer.facts));
            found.extend(self.start.keep(root, started));
        }
        found.extend(self.findings(&answer, &look));
        let report = self.report(&answer, &look, &found, (&repairs, &written))?;
        if let Some(folder) = &self.report {
            reports::write(folder, &self.dossier(&answer, &report)?)?;
        }
        log::found(&found);
        let is_unmet = |rule: &RuleRecord| rule.critical && rule.result != RuleResult::Pass;
        report.rules().filter(|(_, rule)| is_unmet(rule)).for_each(|(_, rule)| log::unmet(&rule.rule, &rule.message));
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            self.print(&report, &found, screen)?;
        }
        // What is wrong refuses, whether or not the installation runs all the same.
        Ok(if report.verdict.ready && !diag::refuses(&found) { Exit::Fine } else { Exit::Refused })
    }

    // Refuses a group that there is not, before anything is started or written.
    fn known_groups(&self, validation: &Validation) -> Result<(), CliError> {
        let known = || validation.groups.iter().map(|(name, _)| name.as_str());
        let Some(group) = self.only.iter().find(|group| known().all(|name| name != group.as_str())) else {
            return Ok(());
        };
        let names = known().collect::<Vec<_>>().join(", ");
        let error = CliError::usage(format!("there is no group `{group}`; the groups are {names}"));
        Err(error.maybe_help(did_you_mean(group, known())))
    }

    // Looks at the installation, and adds what it sees to the facts.
    fn look(&self, root: &Root, answer: &mut Answer) -> Result<Look, CliError> {
        let installation = Installation::find(self.root.path(), self.target.as_deref(), &answer.set)?;
        let python = answer.facts.value("software.python").and_then(|version| minor(version.as_str()?));
        // A file that cannot be read gets no planned values, and is a finding of the look.
        let edits = installation.as_ref().and_then(|installation| installation.edits(answer).ok()).unwrap_or_default();
        let planned: Vec<Value> = edits.into_iter().map(|edit| edit.values).collect();
        let target = installation.as_ref().map(|installation| installation.target);
        let look = validate::look(root, self.root.models.as_deref(), target, &planned, &answer.set, python)?;
        let refusals = answer.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let refusals: Vec<String> = refusals.map(|finding| finding.code.to_string()).collect();
        answer.facts.know("installation.refusals", refusals, Origin::Installation);
        answer.facts.fill(look.facts());
        if !self.ask.machine.is_live() {
            // The machine is another one; the installation is here.
            probe::installation(&self.root.installation()?, &mut answer.facts);
        }
        Ok(look)
    }

    /// The installation that it changes, or else what a start that is cut off leaves; `None` where it only looks.
    pub fn changes(&self) -> Option<(Option<&Path>, &'static str)> {
        match (self.fix && !self.dry_run, self.start.is_asked()) {
            (true, _) => Some((Some(self.root.path()), "")),
            (false, true) => Some((None, "the stack that it started is stopped as well: run it again")),
            (false, false) => None,
        }
    }

    // Measures what a look of a monitor costs.
    fn sample(&self, facts: &mut Facts) {
        let fact = "installation.sample_time";
        let Some(gpu) = facts.gpu_index().filter(|_| facts.value(fact).is_none()) else { return };
        match self.ask.machine.sample(gpu) {
            Ok(took) => facts.know(fact, took.as_secs_f64(), Origin::Installation),
            Err(why) => facts.unknown(fact, why),
        }
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
        let asked = || answer.set.validation.groups.iter().filter(|(name, _)| self.is_asked(name));
        let groups: Vec<&str> = asked().map(|(name, _)| name.as_str()).collect();
        let verdict = judge(&answer.set, formula, &groups, (&answer.facts, &answer.plan), &look.configs)?;
        Ok(ValidateReport {
            schema: SCHEMA.to_owned(),
            root: self.root.path().display().to_string(),
            target: look.stack.clone(),
            python: answer.facts.value("software.python").and_then(|version| version.as_str()).map(str::to_owned),
            verdict: VerdictRecord::new(&verdict, formula),
            groups: asked().map(|(name, title)| GroupRecord::new(name, title, &verdict.judged)).collect(),
            findings: found.iter().map(FindingRecord::from).collect(),
            repairs: repairs.iter().map(|repair| record(repair, written)).collect(),
            left: look.sources.left.iter().filter(|_| self.is_asked("syntax")).map(LeftRecord::from).collect(),
        })
    }

    fn print(&self, report: &ValidateReport, found: &[Finding], screen: &mut Screen<'_>) -> Result<(), CliError> {
        let paint = screen.paint;
        let mut text = findings::render(found, paint);
        if !text.is_empty() {
            text.push('\n');
        }
        if self.fix {
            text += &validation::repairs(report, paint);
        }
        text += &validation::render(report, paint);
        let root = self.root.path().display();
        text += &match (report.repairs.is_empty(), self.fix) {
            (true, true) => "nothing that can be put right\n".to_owned(),
            (true, false) => String::new(),
            (false, false) => {
                let files = human::count(report.repairs.len(), "file");
                format!("`wan22-policy validate --root {root} --fix --dry-run` shows how {files} can be put right\n")
            }
            (false, true) if self.dry_run => "a dry run: nothing was written\n".to_owned(),
            (false, true) => format!("`wan22-policy rollback --root {root}` takes the repairs back\n"),
        };
        if let Some(folder) = &self.report {
            text += &format!("the reports are in {0}; open {0}/index.html in a browser\n", folder.display());
        }
        screen.print(&text)
    }
}

fn formula(answer: &Answer) -> Result<&VerdictFormula, CliError> {
    answer.set.validation.verdict.as_ref().ok_or_else(|| {
        CliError::failed("no policy file says what follows from the rules")
            .help("write `validation.verdict` in one, or do not mask `validate/groups.yaml`")
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

impl Validate {
    /// One that asks every rule, and only looks.
    pub fn that_looks(root: InstallationOptions, target: Option<String>, ask: Ask, output: OutputOptions) -> Self {
        let start = StartOptions::none();
        Self { only: Vec::new(), fix: false, dry_run: false, report: None, start, target, root, ask, output }
    }

    /// What it reports of an answer by policies with the rules of a validation, without a change or a start.
    pub fn look_at(&self, mut answer: Answer) -> Result<ValidateReport, CliError> {
        let look = self.look(&Root::open(self.root.path())?, &mut answer)?;
        self.sample(&mut answer.facts);
        let found = self.findings(&answer, &look);
        self.report(&answer, &look, &found, (&look.repairs(|_| true), &[]))
    }
}
