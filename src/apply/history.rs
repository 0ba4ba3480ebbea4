//! The history: a stack of directories, one for each apply, with what it replaced.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{APPLIED_SCHEMA, AppliedRecord, ApplyError, FileRecord, Root, disk, sha256};

/// Name and version of the format of `entry.json`.
const SCHEMA: &str = "wan22-policy/history/v1";

/// One apply, as `history/0001/entry.json` holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub schema: String,
    pub time: String,
    pub inputs: Value,
    // By their names as they were given.
    pub files: BTreeMap<String, EntryFile>,
    // What `applied.json` said before.
    pub previous: Option<AppliedRecord>,
}

/// One file of an [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryFile {
    // The file itself, links followed, relative to the root.
    pub target: String,
    pub sha256_before: Option<String>,
    pub sha256_after: String,
    // Permission bits before; `null` when there was no file or the system has none.
    #[serde(with = "octal")]
    pub mode: Option<u32>,
    // Name of the old bytes in the entry's directory.
    pub saved: Option<String>,
}

impl Entry {
    pub fn new(time: String, inputs: Value, previous: Option<AppliedRecord>) -> Self {
        Self { schema: SCHEMA.to_owned(), time, inputs, files: BTreeMap::new(), previous }
    }

    /// As `applied.json` is to say it.
    pub fn record(&self) -> AppliedRecord {
        let files = self.files.iter().map(|(name, file)| {
            let (sha256_before, sha256_after) = (file.sha256_before.clone(), file.sha256_after.clone());
            (name.clone(), FileRecord { sha256_before, sha256_after })
        });
        AppliedRecord {
            schema: APPLIED_SCHEMA.to_owned(),
            time: self.time.clone(),
            inputs: self.inputs.clone(),
            files: files.collect(),
        }
    }
}

/// Directory of an entry.
pub(super) fn dir(root: &Root, number: u32) -> PathBuf {
    root.state("history").join(format!("{number:04}"))
}

/// Numbers of all entries, the newest last.
pub(super) fn numbers(root: &Root) -> Result<Vec<u32>, ApplyError> {
    let path = root.state("history");
    root.refuse_link(&path)?;
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk::io_error("read", &path, error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| disk::io_error("read", &path, error))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads an entry.
pub(super) fn load(root: &Root, number: u32) -> Result<Entry, ApplyError> {
    let path = dir(root, number).join("entry.json");
    let damaged = |message: String| ApplyError::State { path: path.clone(), message };
    let entry: Entry = disk::read_json(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
    if entry.schema != SCHEMA {
        return Err(damaged(format!("unknown schema `{}`", entry.schema)));
    }
    Ok(entry)
}

/// The old bytes that an entry holds, checked against their hash.
pub(super) fn saved(root: &Root, number: u32, name: &str, hash: &str) -> Result<Vec<u8>, ApplyError> {
    let path = dir(root, number).join(name);
    let is_name = Path::new(name).file_name() == Some(name.as_ref());
    match if is_name { disk::read(&path)? } else { None } {
        Some(bytes) if sha256(&bytes) == hash => Ok(bytes),
        _ => Err(ApplyError::State { path, message: "it does not hold the bytes that were saved".to_owned() }),
    }
}

/// A mode as `"0644"`.
pub(super) mod octal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        mode.map(|mode| format!("{mode:04o}")).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| u32::from_str_radix(&text, 8).map_err(serde::de::Error::custom)).transpose()
    }
}
