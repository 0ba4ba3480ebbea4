//! The JSON that commands print, each with the name and version of its format; the facts' is [`FactsFile`].
//!
//! [`FactsFile`]: crate::facts::file::FactsFile

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{Finding, FindingRecord};
use crate::facts::units::Unit;
use crate::plan::{Origin, Plan, PolicyRef, Setting};
use crate::target::Change;

/// Name and version of the format of [`PlanReport`].
pub const PLAN: &str = "wan22-policy/plan/v1";
/// Name and version of the format of [`ApplyReport`].
pub const APPLY: &str = "wan22-policy/apply/v1";
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
    /// Number of the history entry that was made, or taken back; absent when nothing was written.
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
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
