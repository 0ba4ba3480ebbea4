//! What `doctor` says as JSON: the machine, its policies, an installation and the last runs, as a bug report needs them.
//!
//! Every text is redacted before it comes here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::FindingRecord;

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/doctor/v1";

/// What `doctor --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DoctorReport {
    /// Name and version of this format: `wan22-policy/doctor/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// What it was built for: `x86_64-unknown-linux-gnu`.
    pub build: String,
    /// Whether it was built with hwloc.
    pub hwloc: bool,
    /// The system, in words.
    pub system: String,
    /// The GPU that the workload runs on, in words.
    pub gpu: String,
    /// Hash of the facts that stay the same: first 16 hexadecimal digits of a SHA-256. Absent when nothing could be gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why a fact is unknown, by dotted name.
    pub unknown: BTreeMap<String, String>,
    /// What the policies, the facts and the plan of the default question have to say.
    pub findings: Vec<FindingRecord>,
    /// Hash of all policy files: first 16 hexadecimal digits of a SHA-256. Absent when they cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<String>,
    /// Where policies are read besides the built-in ones, lowest first.
    pub policies: Vec<PolicyFolder>,
    /// The installation in the root.
    pub installation: InstallationRecord,
    /// Runs of the program that change something right now.
    pub running: Vec<RunningRecord>,
    /// The last runs that failed or did not come to their end, the newest first.
    pub failed: Vec<FailedRun>,
    /// Where the log is.
    pub log: LogRecord,
    /// What could not be looked at, and why.
    pub problems: Vec<String>,
    /// The archive that was written; absent when none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleRecord>,
}

/// A directory of policies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFolder {
    /// The directory, as an absolute path.
    pub folder: String,
    /// Its files, by their names below it; empty when it is not there.
    pub files: Vec<String>,
}

/// The installation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallationRecord {
    /// Its directory, as an absolute path.
    pub root: String,
    /// The stack: `wan22-ui`; absent when none is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Applies that can be taken back.
    pub applies: usize,
    /// What an interrupted apply or rollback left, or another one is writing; absent when nothing is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlightRecord>,
}

/// What is half done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InFlightRecord {
    /// `apply` or `rollback`.
    pub operation: String,
    /// The files that it is about, relative to the root.
    pub files: Vec<String>,
}

/// A run of now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningRecord {
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// What was typed, without the name of the program.
    pub arguments: String,
}

/// A run of the past.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedRun {
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// What was typed, without the name of the program.
    pub arguments: String,
    /// Its exit code; absent when the log knows no end: it was cut off, or goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u64>,
    /// What stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Codes of the errors that it found, and critical rules of a validation that did not pass, each once: why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
}

/// The log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogRecord {
    /// Its folder; absent when it is switched off, or nobody says where the user's files lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why nothing can be written there; absent when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<String>,
    /// Its files, the newest first.
    pub files: Vec<String>,
    /// All of them together.
    pub bytes: u64,
}

/// The archive.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleRecord {
    /// Where it was written.
    pub file: String,
    /// What it holds.
    pub files: Vec<BundledFile>,
    /// What it does not hold, and why.
    pub absent: Vec<String>,
}

/// One file of the archive.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundledFile {
    /// Its name in the archive.
    pub name: String,
    /// What it is, and what was taken out.
    pub what: String,
    /// Its bytes, not compressed.
    pub bytes: usize,
}
