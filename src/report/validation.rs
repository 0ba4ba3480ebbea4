//! What `validate` prints with `--format json`, and its reports are made of.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::{At, FindingRecord, Severity};
use crate::facts::units::Unit;
use crate::policy::rule::VerdictFormula;
use crate::validate::Left;
use crate::validate::judge::{Counts, Figure, Judged, Outcome, Verdict};

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/validate/v1";

/// What `validate --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateReport {
    /// Name and version of this format: `wan22-policy/validate/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The installation, as it was given.
    pub root: String,
    /// The stack, by its target; absent where none recognises the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The version of Python that reads its sources; absent where none was found, and the newest that is known was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Whether the installation is ready, and by which formula.
    pub verdict: VerdictRecord,
    /// What became of each group of rules.
    pub groups: Vec<GroupRecord>,
    /// What is wrong, each with its file and line.
    pub findings: Vec<FindingRecord>,
    /// The files that can be put right, or were.
    pub repairs: Vec<RepairRecord>,
    /// Broken sources that are not, and what a person does about each.
    pub left: Vec<LeftRecord>,
}

/// Whether an installation is ready.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictRecord {
    /// Whether it is.
    pub ready: bool,
    /// From 0 to 1.
    pub score: f64,
    /// The same of the critical rules alone.
    pub critical_score: f64,
    /// How many rules there are of each result.
    pub rules: CountsRecord,
    /// How many critical ones.
    pub critical_rules: CountsRecord,
    /// The formula of both scores.
    pub score_formula: String,
    /// The formula of `ready`.
    pub ready_formula: String,
    /// Where both stand.
    pub at: At,
}

/// How many rules there are of each result.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountsRecord {
    /// Those that hold.
    pub passed: usize,
    /// Those that do not.
    pub failed: usize,
    /// Those that nobody could tell of.
    pub not_measured: usize,
}

/// A group of rules.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRecord {
    /// Its name; `--only` takes it.
    pub group: String,
    /// What it is about.
    pub title: String,
    /// `fail` when a rule fails, `pass` when all pass.
    pub result: RuleResult,
    /// Its rules; those whose condition does not hold are left out.
    pub rules: Vec<RuleRecord>,
}

/// What came out of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRecord {
    /// The rule.
    pub rule: String,
    /// What came out.
    pub result: RuleResult,
    /// Whether no installation is ready without it.
    pub critical: bool,
    /// What was found, what is wrong, or why nobody could tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The figure that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<FigureRecord>,
    /// The files that it is about, relative to the root; absent where it is about none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Why it is asked.
    pub why: String,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it stands.
    pub at: At,
}

/// What came out of a rule or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleResult {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// Nobody could tell, which is never a pass.
    NotMeasured,
}

/// A figure, in its canonical unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FigureRecord {
    /// The figure; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Where the figure comes from. Only one that was measured can pass.
    pub origin: FigureOrigin,
    /// Its unit; absent for a plain number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Smallest that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Largest that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FigureOrigin {
    /// Measured on this installation, or said by the user to be.
    Measured,
    /// Predicted by the model of the policies.
    Predicted,
    /// Published by others for this very card.
    Published,
    /// Nobody knows it.
    NotMeasured,
}

/// A file that can be put right.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepairRecord {
    /// The file, relative to the root.
    pub file: String,
    /// What is put right, a sentence each.
    pub repairs: Vec<String>,
    /// Unified diff of the change.
    pub diff: String,
    /// Whether it was written.
    pub written: bool,
}

/// A broken source that is not put right.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftRecord {
    /// The file, relative to the root.
    pub file: String,
    /// What a person does about its first error, in order.
    pub steps: Vec<String>,
}

/// Groups of rules, and how the codes begin of the findings that are about them.
const ABOUT: [(&str, &[&str]); 3] =
    [("configuration", &["config-", "stack-unknown"]), ("initialisation", &["start-"]), ("syntax", &["python-"])];

impl ValidateReport {
    /// The rules, each with its group, in the order in which they are shown.
    pub fn rules(&self) -> impl Iterator<Item = (&GroupRecord, &RuleRecord)> {
        self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    /// What was found wrong that a rule of the group does not pass for. Of the files that a rule names they are its own; a
    /// rule that names none has those of its group that are no other rule's.
    pub fn findings_of(&self, group: &GroupRecord, rule: &RuleRecord) -> Vec<&FindingRecord> {
        if rule.result != RuleResult::Fail {
            return Vec::new();
        }
        let about = ABOUT.iter().find(|(name, _)| *name == group.group).map_or(&[][..], |(_, codes)| codes);
        let is_about = |finding: &&FindingRecord| about.iter().any(|code| finding.code.starts_with(code));
        let names = |rule: &RuleRecord, finding: &FindingRecord| {
            finding.at.as_ref().is_some_and(|at| rule.files.contains(&at.file))
        };
        let is_own = |finding: &&FindingRecord| match rule.files.is_empty() {
            false => names(rule, finding),
            true => !group.rules.iter().any(|other| names(other, finding)),
        };
        self.findings.iter().filter(is_about).filter(is_own).collect()
    }

    /// What to do, a sentence each: about the rules that do not pass, then about what was found.
    pub fn advice(&self) -> Vec<String> {
        let of_rules = self.rules().filter_map(|(_, rule)| rule.advice());
        let of_findings = self.findings.iter().filter(|finding| finding.severity > Severity::Note);
        let mut advice: Vec<String> = of_rules.chain(of_findings.map(FindingRecord::advice)).collect();
        let mut seen = BTreeSet::new();
        advice.retain(|one| seen.insert(one.clone()));
        advice
    }
}

impl RuleRecord {
    /// What to do about it; `None` when it passes.
    pub fn advice(&self) -> Option<String> {
        if self.result == RuleResult::Pass {
            return None;
        }
        let says = [Some(self.message.as_str()).filter(|message| !message.is_empty()), self.help.as_deref()];
        let says: Vec<&str> = says.into_iter().flatten().collect();
        Some(match says.is_empty() {
            true => self.rule.clone(),
            false => format!("{}: {}", self.rule, says.join("; ")),
        })
    }
}

impl CountsRecord {
    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed + self.not_measured
    }
}

impl RuleResult {
    /// The words that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotMeasured => "not measured",
        }
    }
}

impl FigureOrigin {
    /// The words that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Predicted => "predicted",
            Self::Published => "published",
            Self::NotMeasured => "not measured",
        }
    }
}

impl VerdictRecord {
    /// A verdict, with the formulas that gave it.
    pub fn new(verdict: &Verdict<'_>, formula: &VerdictFormula) -> Self {
        Self {
            ready: verdict.ready,
            score: verdict.score,
            critical_score: verdict.critical_score,
            rules: verdict.all.into(),
            critical_rules: verdict.critical.into(),
            score_formula: formula.score.text().trim().to_owned(),
            ready_formula: formula.ready.text().trim().to_owned(),
            at: formula.span.at(),
        }
    }
}

impl From<&Left> for LeftRecord {
    fn from(left: &Left) -> Self {
        Self { file: left.file.clone(), steps: left.steps.clone() }
    }
}

impl From<Counts> for CountsRecord {
    fn from(counts: Counts) -> Self {
        Self { passed: counts.passed, failed: counts.failed, not_measured: counts.not_measured }
    }
}

impl GroupRecord {
    /// A group and the rules that were asked of it.
    pub fn new(group: &str, title: &str, judged: &[Judged<'_>]) -> Self {
        let rules = judged.iter().filter(|judged| judged.rule.group == group);
        let rules: Vec<RuleRecord> = rules.map(RuleRecord::from).collect();
        let has = |result: RuleResult| rules.iter().any(|rule| rule.result == result);
        let result = match (has(RuleResult::Fail), has(RuleResult::NotMeasured) || rules.is_empty()) {
            (true, _) => RuleResult::Fail,
            (false, true) => RuleResult::NotMeasured,
            (false, false) => RuleResult::Pass,
        };
        Self { group: group.to_owned(), title: title.to_owned(), result, rules }
    }
}

impl From<&Judged<'_>> for RuleRecord {
    fn from(judged: &Judged<'_>) -> Self {
        let rule = judged.rule;
        Self {
            rule: rule.id.clone(),
            result: judged.outcome.into(),
            critical: rule.critical,
            message: judged.says.clone(),
            help: judged.help.clone(),
            figure: judged.figure.as_ref().map(FigureRecord::from),
            files: judged.files.clone(),
            why: rule.why.clone(),
            source: rule.source.clone(),
            at: rule.span.at(),
        }
    }
}

impl From<Outcome> for RuleResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Fail => Self::Fail,
            Outcome::NotMeasured => Self::NotMeasured,
        }
    }
}

impl From<&Figure> for FigureRecord {
    fn from(figure: &Figure) -> Self {
        let (value, origin) = match (figure.measured, figure.predicted) {
            (Some(value), _) => (Some(value), FigureOrigin::Measured),
            (None, Some(value)) => (Some(value), FigureOrigin::Predicted),
            (None, None) => (None, FigureOrigin::NotMeasured),
        };
        Self { value, origin, unit: figure.unit, at_least: figure.at_least, at_most: figure.at_most }
    }
}
