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

/// The format of a config file. Files are edited in place: whatever is not a key of the target keeps its bytes.
///
/// In JSON, TOML and YAML a key is a dotted path: `vae.tile`. In the others it is a variable, `NAME`, or an option in a variable
/// that holds a list of arguments, `NAME.--reserve-vram`; there every value is a text, which the schema may call a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON as Python's `json` reads it.
    Json,
    /// TOML.
    Toml,
    /// YAML as PyYAML reads it; no value that an anchor, alias, tag, merge key or second document bears on is edited.
    Yaml,
    /// A `.env` file: `NAME=value`, written so that `sh`, python-dotenv and docker compose read it alike.
    Env,
    /// A shell script with lines `NAME=value` or `export NAME=value` at its top level.
    Shell,
    /// A batch file with lines `set NAME=value` or `set "NAME=value"` outside of blocks; names are in capitals.
    Batch,
}

/// One config file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFileEntry {
    /// Where it lies, relative to the root; no `..`.
    pub path: String,
    /// How it is written.
    pub format: Format,
    /// The stack's own schema of the file (JSON Schema), by its name in `schemas/targets` or inline; what violates it is never
    /// written.
    pub schema: Value,
    /// What the file holds when it is missing or broken: a tree for JSON, the file's text for the other formats.
    pub restore: Value,
    /// Which key takes which value, by the dotted path of the key, or by `NAME` and `NAME.--option`.
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
