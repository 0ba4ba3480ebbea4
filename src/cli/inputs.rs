//! The question as `apply` records it, so that `verify` asks the same one again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::CliError;
use super::machine::MachineOptions;
use super::options::{Goal, InstallationOptions, PolicyOptions, QuestionOptions};
use crate::facts::file::FactsFile;

/// Everything that a plan is derived from, besides this machine and the policy files themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The workload, `MODEL:WxHxF`; `None` while nothing was asked and nothing decided.
    pub workload: Option<String>,
    /// What is favoured, when it was asked.
    pub goal: Option<Goal>,
    /// Settings that are pinned, in canonical units.
    pub pins: BTreeMap<String, Value>,
    /// Facts that are overridden: `NAME=VALUE`, in order.
    pub overrides: Vec<String>,
    /// The day that `expires` is compared with.
    #[serde(with = "date")]
    pub as_of: Date,
    /// Hash of the policies that gave the plan on record.
    pub policy_hash: String,
    /// Directories of policies, as absolute paths.
    pub policies: Vec<PathBuf>,
    /// Whether the system's and the user's policies count.
    pub site: bool,
    /// Whether policy directories may bring targets.
    pub allow_targets: bool,
    /// The stack.
    pub target: Option<String>,
    /// Codes of errors that are allowed.
    pub allow: Vec<String>,
    /// The GPU that was asked for.
    pub gpu_index: Option<usize>,
    /// The Python that was named, as an absolute path.
    #[serde(default)]
    pub python: Option<PathBuf>,
    /// The folder of models that was named, as an absolute path.
    #[serde(default)]
    pub models: Option<PathBuf>,
    /// The machine, when it was not the one that the program ran on.
    pub facts: Option<FactsFile>,
}

impl Inputs {
    /// What the options ask; the machine, the hash and the target are filled in as they become known.
    pub fn new(
        machine: &MachineOptions,
        root: &InstallationOptions,
        policies: &PolicyOptions,
        question: &QuestionOptions,
    ) -> Result<Self, CliError> {
        let mut pins = BTreeMap::new();
        for (name, value) in &question.pins {
            if pins.insert(name.clone(), value.clone()).is_some_and(|earlier| earlier != *value) {
                return Err(CliError::usage(format!("`{name}` is given two values with --set")));
            }
        }
        let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|error| CliError::unreadable(path, error));
        Ok(Self {
            workload: question.workload.as_ref().map(ToString::to_string),
            goal: question.goal,
            pins,
            overrides: machine.overrides.clone(),
            as_of: question.as_of.unwrap_or_else(today),
            policy_hash: String::new(),
            policies: policies.directories.iter().map(absolute).collect::<Result<_, _>>()?,
            site: !policies.no_site,
            allow_targets: policies.allow_targets,
            target: None,
            allow: question.allow.clone(),
            gpu_index: machine.gpu_index,
            python: root.python.as_ref().map(absolute).transpose()?,
            models: root.models.as_ref().map(absolute).transpose()?,
            facts: None,
        })
    }

    /// The policies that are on record.
    pub fn policy_options(&self) -> PolicyOptions {
        PolicyOptions { directories: self.policies.clone(), allow_targets: self.allow_targets, no_site: !self.site }
    }
}

/// What a repair puts on record: what it put right, a sentence each by file, and what an apply before it had recorded, which
/// `verify` still asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repaired {
    /// By file.
    pub repaired: BTreeMap<String, Vec<String>>,
    /// What the last apply recorded; null when nothing was applied.
    pub applied: Value,
}

impl Repaired {
    /// The record of a repair after what is on record.
    pub fn after(repaired: BTreeMap<String, Vec<String>>, recorded: Option<Value>) -> Self {
        Self { repaired, applied: recorded.map_or(Value::Null, applied) }
    }
}

/// What an apply recorded, from what is on record: repairs keep it. Null when nothing was applied.
pub fn applied(recorded: Value) -> Value {
    serde_json::from_value::<Repaired>(recorded.clone()).map_or(recorded, |repaired| repaired.applied)
}

/// This day, in UTC.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

// A date as YYYY-MM-DD.
mod date {
    use jiff::civil::Date;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(date)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
