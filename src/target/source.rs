//! Targets as they are written in `policies/targets/*.yaml`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A stack and its config files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    /// Kebab-case name: `wan22-ui`.
    pub id: String,
    /// What the stack is, in one sentence.
    pub why: String,
    /// Where the knowledge of its keys comes from.
    pub source: String,
    /// How an installation is recognised: any one of these is enough.
    pub recognise: Vec<Recognition>,
    /// Its config files.
    pub files: Vec<TargetFileEntry>,
}

/// One sign of an installation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recognition {
    /// Files or folders that must all be there, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// A file (relative to the root) that must contain at least `at_least` of the texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// Texts that a file of this stack contains, even a broken one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mentions {
    /// The file, relative to the root.
    pub file: String,
    /// The texts.
    pub texts: Vec<String>,
    /// How many of them must be there.
    pub at_least: usize,
}

/// The format of a config file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON as Python's `json` reads it.
    Json,
}

/// One config file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFileEntry {
    /// Where it lies, relative to the root; no `..`.
    pub path: String,
    /// How it is written.
    pub format: Format,
    /// The stack's own schema of the file (JSON Schema), inline; what violates it is never written.
    pub schema: Value,
    /// What the file holds when it is missing or broken.
    pub restore: Value,
    /// Which key takes which value, by the dotted path of the key.
    pub keys: IndexMap<String, KeyEntry>,
}

/// What to do when the key is not in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenMissing {
    /// Leave it out: this version of the file does not have it.
    #[default]
    Skip,
    /// Add it when its section is there.
    AddToSection,
    /// Add it, and its section too.
    Add,
}

/// How a setting becomes the value of a key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// The setting that the key carries.
    pub setting: String,
    /// The key's value; absent when it is the setting's value as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Smallest value that the stack takes: a number or an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Value>,
    /// Largest value that the stack takes: a number or an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Value>,
    /// What to do when the key is not in the file.
    #[serde(default)]
    pub when_missing: WhenMissing,
    /// Why the value has this form, when that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the range comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
