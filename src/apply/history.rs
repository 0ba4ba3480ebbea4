//! The history: a stack of directories, one for each apply, with what it replaced.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attributes::Attributes;
use super::root::Place;
use super::{APPLIED_SCHEMA, AppliedRecord, ApplyError, FileRecord, KEPT, Root, STATE_DIR, disk, sha256};

/// Name and version of the format of `entry.json`.
const SCHEMA: &str = "wan22-policy/entry/v1";

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
    // What it had besides its bytes; `null` when there was no file.
    pub attributes: Option<Attributes>,
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

/// Directory of an entry, as a name in that of the history; `None` when there is no history.
pub(super) fn dir(root: &Root, number: u32) -> Result<Option<Place>, ApplyError> {
    root.place(&format!("{STATE_DIR}/history/{number:04}"))
}

/// A file of an entry; `None` when there is no such entry.
pub(super) fn file(root: &Root, number: u32, name: &str) -> Result<Option<Place>, ApplyError> {
    root.place(&format!("{STATE_DIR}/history/{number:04}/{name}"))
}

/// Numbers of all entries, the newest last.
pub(super) fn numbers(root: &Root) -> Result<Vec<u32>, ApplyError> {
    let Some(history) = root.state("history")? else { return Ok(Vec::new()) };
    let mut numbers: Vec<u32> = disk::names(&history)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes the oldest entries beyond those that are kept.
pub(super) fn prune(root: &Root) -> Result<(), ApplyError> {
    let numbers = numbers(root)?;
    for number in &numbers[..numbers.len().saturating_sub(KEPT)] {
        if let Some(dir) = dir(root, *number)? {
            disk::remove_dir_of_files(&dir)?;
        }
    }
    Ok(())
}

/// Reads an entry.
pub(super) fn load(root: &Root, number: u32) -> Result<Entry, ApplyError> {
    let place = file(root, number, "entry.json")?;
    let path = root.path().join(format!("{STATE_DIR}/history/{number:04}/entry.json"));
    let damaged = |message: String| ApplyError::State { path, message };
    match place.map(|place| disk::read_json::<Entry>(&place)).transpose()?.flatten() {
        Some(entry) if entry.schema == SCHEMA => Ok(entry),
        Some(entry) => Err(damaged(format!("unknown schema `{}`", entry.schema))),
        None => Err(damaged("it is missing".to_owned())),
    }
}

/// The old bytes that an entry holds, checked against their hash.
pub(super) fn saved(root: &Root, number: u32, name: &str, hash: &str) -> Result<Vec<u8>, ApplyError> {
    let place = if name.contains('/') { None } else { file(root, number, name)? };
    match place.as_ref().map(disk::read).transpose()?.flatten() {
        Some(bytes) if sha256(&bytes) == hash => Ok(bytes),
        _ => Err(ApplyError::State {
            path: root.path().join(format!("{STATE_DIR}/history/{number:04}/{name}")),
            message: "it does not hold the bytes that were saved".to_owned(),
        }),
    }
}
