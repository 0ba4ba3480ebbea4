//! The JSON that commands print, each with the name and version of its format; the facts' is [`FactsFile`].
//!
//! [`FactsFile`]: crate::facts::file::FactsFile

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::corpus::compare::{Change as SnapshotChange, State};
use crate::corpus::coverage::Coverage;
use crate::corpus::verdict::{Verdict, place_of};
use crate::diag::{At, Finding, FindingRecord};
use crate::facts::units::Unit;
use crate::impact::{Difference, Impact};
use crate::plan::{Origin, Plan, PolicyRef, Setting};
use crate::policy::PolicySet;
use crate::target::Change;
use crate::yaml;

/// Name and version of the format of [`PlanReport`].
pub const PLAN: &str = "wan22-policy/plan/v1";
/// Name and version of the format of [`ApplyReport`].
pub const APPLY: &str = "wan22-policy/apply/v1";
/// Name and version of the format of [`HistoryReport`].
pub const HISTORY: &str = "wan22-policy/history/v1";
/// Name and version of the format of [`ImpactReport`].
pub const IMPACT: &str = "wan22-policy/impact/v1";
/// Name and version of the format of [`TestReport`].
pub const TEST: &str = "wan22-policy/test/v1";
/// Name and version of the format of [`FindingsReport`].
pub const FINDINGS: &str = "wan22-policy/findings/v1";

/// What `plan --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanReport {
    /// Name and version of this format: `wan22-policy/plan/v1`.
    #[schemars(extend("const" = PLAN))]
    pub schema: String,
    /// Hash of all policy files: first 16 hexadecimal digits of a SHA-256.
    pub policy_hash: String,
    /// The day (YYYY-MM-DD) that `expires` of overrides was compared with.
    pub as_of: String,
    /// The settings that have a value, by name.
    pub settings: BTreeMap<String, SettingRecord>,
    /// Everything there is to say; one at error refuses the plan.
    pub findings: Vec<FindingRecord>,
    /// What would become of the files of the installation in the root; empty without one.
    pub targets: Vec<TargetRecord>,
}

/// One setting of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingRecord {
    /// The value, in the unit.
    pub value: Value,
    /// Canonical unit of a number; absent for other types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// How it came to its value.
    pub origin: Origin,
    /// The policy that gave the value: its id. Absent, as the six below, when the value is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The file of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The layer of the file, 0 to 99; a higher one wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u8>,
    /// Why the policy is right, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the policy's numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The limit that moved the value, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<MovedRecord>,
}

/// A value that a limit moved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MovedRecord {
    /// The value before.
    pub from: Value,
    /// The policy with the limit: its id.
    pub policy: String,
    /// The file of that policy.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
}

/// What would become of one file of a target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRecord {
    /// The target: `wan22-ui`.
    pub id: String,
    /// The file, relative to the root.
    pub file: String,
    /// Setting by setting and key by key.
    pub changes: Vec<Change>,
}

impl PlanReport {
    /// The report of a plan, with everything that was found on the way to it.
    pub fn new(plan: &Plan, findings: &[Finding], targets: Vec<TargetRecord>) -> Self {
        Self {
            schema: PLAN.to_owned(),
            policy_hash: plan.policy_hash.clone(),
            as_of: plan.as_of.to_string(),
            settings: plan.settings.iter().map(|(name, setting)| (name.clone(), setting.into())).collect(),
            findings: findings.iter().map(FindingRecord::from).collect(),
            targets,
        }
    }
}

impl From<&Setting> for SettingRecord {
    fn from(setting: &Setting) -> Self {
        let policy = setting.policy.as_ref();
        let at = policy.map(PolicyRef::at);
        Self {
            value: setting.value.clone(),
            unit: setting.unit,
            origin: setting.origin,
            policy: policy.map(|policy| policy.id.clone()),
            line: at.as_ref().map(|at| at.line),
            file: at.map(|at| at.file),
            layer: policy.map(|policy| policy.layer),
            why: policy.and_then(|policy| policy.why.clone()),
            source: policy.and_then(|policy| policy.source.clone()),
            moved: setting.moved.as_ref().map(|(from, limit)| {
                let at = limit.at();
                MovedRecord { from: from.clone(), policy: limit.id.clone(), file: at.file, line: at.line }
            }),
        }
    }
}

/// What `apply`, `verify` and `rollback` print with `--format json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyReport {
    /// Name and version of this format: `wan22-policy/apply/v1`.
    #[schemars(extend("const" = APPLY))]
    pub schema: String,
    /// Which command it was.
    pub command: ApplyCommand,
    /// The installation, as an absolute path.
    pub root: String,
    /// The target: `wan22-ui`. Absent after a rollback, which restores files whatever they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether only what would be done was asked.
    pub dry_run: bool,
    /// Number of the history entry that was made, or of the oldest that was taken back; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
    /// The files of the target.
    pub files: Vec<FileReport>,
    /// The keys that do not hold what the plan says; only `verify` fills it.
    pub drift: Vec<Drift>,
    /// Everything there is to say; one at error refuses to write.
    pub findings: Vec<FindingRecord>,
}

/// A command that deals with an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApplyCommand {
    /// Writes the plan.
    Apply,
    /// Compares the plan with the files.
    Verify,
    /// Takes the last apply back.
    Rollback,
}

/// One file of an installation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileReport {
    /// The file, relative to the root.
    pub file: String,
    /// What became of it.
    pub status: FileStatus,
    /// Setting by setting and key by key; empty after a rollback.
    pub changes: Vec<Change>,
    /// Unified diff from what the file held to what it should hold; empty when the two are equal.
    pub diff: String,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// It was written.
    Written,
    /// It holds what it should, and was not touched.
    Unchanged,
    /// It does not hold what it should, and was not touched.
    Differs,
    /// It holds its old bytes again.
    Restored,
    /// It did not exist before the apply, and is gone again.
    Removed,
}

/// A key that does not hold what the plan says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The file, relative to the root.
    pub file: String,
    /// The line of the key, from 1; absent when the file does not have the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column of the key in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Dotted path of the key.
    pub key: String,
    /// The setting that it carries.
    pub setting: String,
    /// The policy that gives the setting its value; absent when it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the key should hold.
    pub expected: Value,
    /// What it holds; absent when the file does not have the key, or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Value>,
}

/// What `history --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryReport {
    /// Name and version of this format: `wan22-policy/history/v1`.
    #[schemars(extend("const" = HISTORY))]
    pub schema: String,
    /// The installation, as an absolute path.
    pub root: String,
    /// The applies that can be taken back, the newest first.
    pub applies: Vec<PastApplyRecord>,
    /// What an interrupted run left, and what became of it.
    pub findings: Vec<FindingRecord>,
}

/// One apply of the past.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastApplyRecord {
    /// Its number; `rollback --to` takes one.
    pub number: u32,
    /// When, RFC 3339 in UTC, to the second.
    pub time: String,
    /// Hash of the policies that gave the plan; absent when another version of the program recorded it otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<String>,
    /// The target: `wan22-ui`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The workload that was asked, `MODEL:WxHxF`; absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Whether it was a repair by `validate --fix`.
    pub repair: bool,
    /// The files that it changed.
    pub files: Vec<PastFileRecord>,
}

/// One file of an apply of the past.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastFileRecord {
    /// The file, relative to the root.
    pub file: String,
    /// Lines that were added; absent when the file was edited since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<usize>,
    /// Lines that were removed; absent when the file was edited since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<usize>,
    /// Unified diff of what it changed; absent when the file was edited since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What `test --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestReport {
    /// Name and version of this format: `wan22-policy/test/v1`.
    #[schemars(extend("const" = TEST))]
    pub schema: String,
    /// How many machines and orphans there are of each state.
    pub counts: BTreeMap<State, usize>,
    /// The machines, and the snapshots without one.
    pub machines: Vec<VerdictRecord>,
    /// The machines whose snapshots were written or removed.
    pub accepted: Vec<String>,
    /// What the machines try, when it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// What became of one machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictRecord {
    /// The machine.
    pub machine: String,
    /// In a word.
    pub state: State,
    /// What differs from the snapshot.
    pub changes: Vec<ChangeRecord>,
    /// What is wrong.
    pub findings: Vec<FindingRecord>,
}

/// Something that differs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    /// The setting, the code of the finding, or `workload` when a model is asked about at another size.
    pub name: String,
    /// The models that it differs for.
    pub models: Vec<String>,
    /// What was said, as people read it; absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is said now; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The policy or check that is the cause.
    pub cause: Cause,
}

/// A policy or check, and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Its id.
    pub id: String,
    /// Where it stands; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

impl TestReport {
    /// The report of the verdicts by these policies.
    pub fn new(set: &PolicySet, verdicts: &[Verdict], accepted: Vec<String>, coverage: Option<Coverage>) -> Self {
        let mut counts = BTreeMap::new();
        verdicts.iter().for_each(|verdict| *counts.entry(verdict.state).or_default() += 1);
        let machines = verdicts.iter().map(|verdict| VerdictRecord {
            machine: verdict.machine.clone(),
            state: verdict.state,
            changes: verdict.changes.iter().map(|change| ChangeRecord::new(set, change)).collect(),
            findings: verdict.findings.iter().map(FindingRecord::from).collect(),
        });
        Self { schema: TEST.to_owned(), counts, machines: machines.collect(), accepted, coverage }
    }
}

impl ChangeRecord {
    /// A change, with the place of its cause in these policies.
    pub fn new(set: &PolicySet, change: &SnapshotChange) -> Self {
        let [before, after] = change.sides();
        Self {
            name: change.name.clone(),
            models: change.models.clone(),
            before,
            after,
            cause: Cause::of(set, change.cause()),
        }
    }
}

impl Cause {
    fn of(set: &PolicySet, id: &str) -> Self {
        Self { id: id.to_owned(), at: place_of(set, id) }
    }
}

/// What `impact --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImpactReport {
    /// Name and version of this format: `wan22-policy/impact/v1`.
    #[schemars(extend("const" = IMPACT))]
    pub schema: String,
    /// Names of the policies, checks, functions (`f()`) and tables (`data.t`) that are not the same.
    pub edited: Vec<String>,
    /// What differs, that of most machines first.
    pub changes: Vec<ImpactChange>,
    /// How many machines of the folder were asked.
    pub machines: usize,
    /// How many generated machines were asked.
    pub generated: usize,
    /// How many generated machines there would have been to ask.
    pub generated_possible: usize,
}

/// A change, and the machines that have it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImpactChange {
    /// What differs, for which models; of a finding as the first machine has it.
    pub change: ChangeRecord,
    /// Whether the figures in a finding differ from machine to machine; those of the first one are shown.
    pub varies: bool,
    /// The policy that gave the setting its value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Cause>,
    /// The machines of the folder that have the change.
    pub machines: Vec<String>,
    /// Where none has: the facts of the smallest machine that was found, `NAME = VALUE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Vec<String>>,
}

impl ImpactReport {
    /// The report of what differs between two sets of policies.
    pub fn new(base: &PolicySet, head: &PolicySet, impact: &Impact) -> Self {
        Self {
            schema: IMPACT.to_owned(),
            edited: impact.edited.iter().cloned().collect(),
            changes: impact.differences.iter().map(|difference| ImpactChange::new(base, head, difference)).collect(),
            machines: impact.machines,
            generated: impact.generated,
            generated_possible: impact.possible,
        }
    }
}

impl ImpactChange {
    fn new(base: &PolicySet, head: &PolicySet, difference: &Difference) -> Self {
        let change = &difference.change;
        // What is no longer said has its cause where it was said.
        let side = if change.after.is_some() { head } else { base };
        Self {
            change: ChangeRecord::new(side, change),
            varies: difference.varies,
            was: change.was().filter(|_| change.after.is_some()).map(|id| Cause::of(base, id)),
            machines: difference.machines.clone(),
            witness: difference.witness.clone(),
        }
    }
}

/// What `check --format json` prints, and every command that is refused before it has a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingsReport {
    /// Name and version of this format: `wan22-policy/findings/v1`.
    #[schemars(extend("const" = FINDINGS))]
    pub schema: String,
    /// Everything there is to say.
    pub findings: Vec<FindingRecord>,
}

impl From<&[Finding]> for FindingsReport {
    fn from(findings: &[Finding]) -> Self {
        Self { schema: FINDINGS.to_owned(), findings: findings.iter().map(FindingRecord::from).collect() }
    }
}

/// A report as text, indented by two spaces.
pub fn text<T: Serialize>(report: &T) -> String {
    // Nothing in a report can fail to be JSON: keys are strings, and numbers were JSON before.
    yaml::write_json(report).unwrap_or_default()
}
