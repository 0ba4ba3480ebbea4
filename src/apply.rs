//! Apply: several files change together or not at all, and every apply can be taken back byte for byte.
//!
//! Takes whole new file contents, gives files on disk; the only stage that writes. Which bytes, it leaves to
//! [`crate::target`].
//!
//! Everything it remembers stands in `.wan22-policy/` inside the root:
//!
//! ```text
//! lock                     held while something is written
//! applied.json             what was applied last, and the inputs it was derived from
//! history/0001/entry.json  one directory for each apply, a stack; the old bytes beside it as 0.before, 1.before, …
//! journal.json             only while an apply or rollback is in flight
//! rollback/                only while a rollback is in flight: the bytes it replaces
//! measured.json            what was measured here ([`crate::measured`]); no apply changes it
//! ```
//!
//! # The journal
//!
//! An apply or rollback goes through these steps, each on disk before the next begins:
//!
//! 1. `journal.json` names all files with the hashes of their old and new bytes, phase `prepare`;
//! 2. the old bytes are saved, and each new file is written beside its target under a dot-name;
//! 3. the journal moves to phase `commit`; **this one rename decides**;
//! 4. each new file and its target change places, and both are read back (`swap.rs`);
//! 5. the journal moves to phase `finish`; `applied.json` and the history are brought in line, and the journal is removed.
//!
//! So whatever this module has put on disk is named by the journal, or the journal is gone. A run that finds a journal
//! in phase `prepare` removes what was prepared: no target has changed yet. In phase `commit` it does the remaining
//! renames, all of which are known by hash to be possible; when they are not, because somebody edited a target or removed
//! a new file in between, it puts the old bytes back into the targets that did change and leaves the edit alone. In
//! phase `finish` it does the rest of step 5, whatever the targets hold by then. Every step of each way may be
//! interrupted and repeated.
//!
//! # Places
//!
//! Every file is reached from the opened root, folder by folder and through no link (`root.rs`), so a folder that somebody
//! replaces by a link in mid-run is an error and leads nowhere. A new file gets the owner, mode, access control list and
//! extended attributes of the one whose place it takes (`attributes.rs`), or is not put there. A file of several names (hard
//! links) is refused, because the other names would keep the old bytes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[cfg(windows)]
mod access;
mod attributes;
mod disk;
mod error;
mod history;
mod journal;
mod lock;
mod root;
mod swap;
#[cfg(test)]
mod tests;

use attributes::Attributes;
pub use error::ApplyError;
use history::{Entry, EntryFile};
use journal::{Journal, JournalFile, Staged};
use lock::{Lock, is_bare};
use root::Place;
pub use root::Root;

/// Directory inside the root that holds everything this module remembers.
pub const STATE_DIR: &str = ".wan22-policy";

/// Applies that the history keeps; older ones cannot be taken back.
pub const KEPT: usize = 50;

/// Name and version of the format of `applied.json`.
pub const APPLIED_SCHEMA: &str = "wan22-policy/applied/v1";

/// A file that is not what a change was derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub file: String,
    /// The bytes that the change was derived from; `None` when there was no file, or nobody kept them.
    pub was: Option<Vec<u8>>,
    /// The bytes that it holds; `None` when there is no file.
    pub is: Option<Vec<u8>>,
}

/// The new content of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Name relative to the root, with `/`.
    pub file: String,
    /// The bytes that the change was derived from; `None` when there was no file.
    pub before: Option<Vec<u8>>,
    /// The bytes to write.
    pub after: Vec<u8>,
}

/// What `applied.json` says about the newest apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppliedRecord {
    /// Name and version of this format: `wan22-policy/applied/v1`.
    pub schema: String,
    /// When, RFC 3339 in UTC, to the second.
    pub time: String,
    /// What the plan was derived from, as the caller gave it.
    pub inputs: Value,
    /// The files that the newest apply changed, by their names relative to the root; empty when there was nothing to change.
    pub files: BTreeMap<String, FileRecord>,
}

/// One file of an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// SHA-256 of the old bytes in hexadecimal; `null` when there was no file.
    pub sha256_before: Option<String>,
    /// SHA-256 of the written bytes in hexadecimal.
    pub sha256_after: String,
}

/// What a [`commit`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Number of the new history entry; `None` when every file already held its bytes.
    pub entry: Option<u32>,
    /// Names of the files that were written.
    pub files: Vec<String>,
    /// What an earlier run had left in flight.
    pub recovered: Option<Recovered>,
    /// Whether the file system could keep other runs away.
    pub is_locked: bool,
}

/// What a [`rollback`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Numbers of the history entries that were taken back, the newest first.
    pub entries: Vec<u32>,
    /// Names of the files that hold their old bytes again.
    pub restored: Vec<String>,
    /// Names of the files that did not exist before and were removed again.
    pub removed: Vec<String>,
    /// What an earlier run had left in flight.
    pub recovered: Option<Recovered>,
    /// Whether the file system could keep other runs away.
    pub is_locked: bool,
}

/// One apply of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct PastApply {
    /// Its number in the history.
    pub number: u32,
    /// When, RFC 3339 in UTC, to the second.
    pub time: String,
    /// What the plan was derived from, as the caller gave it.
    pub inputs: Value,
    /// The files that it changed.
    pub files: Vec<PastFile>,
}

/// One file of a [`PastApply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastFile {
    /// Its name.
    pub file: String,
    /// The old bytes; `None` when there was no file.
    pub before: Option<Vec<u8>>,
    /// The bytes that were written; `None` where nobody has them any more, because the file was edited.
    pub after: Option<Vec<u8>>,
}

/// What an earlier, interrupted run left in flight and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What the run was doing.
    pub operation: Operation,
    /// Whether it was finished or undone.
    pub outcome: Outcome,
    /// Number of the history entry it was making, or of those it was taking back.
    pub entries: Vec<u32>,
    /// Names of the files it was about.
    pub files: Vec<String>,
    /// Those of them that are not there any more because of it.
    pub removed: Vec<String>,
}

impl Recovered {
    /// What a rollback answers that found it: a rollback that is finished now was the one asked for, and an apply that is
    /// undone now was the newest. `None` where there is still something to take back.
    pub fn answers(&self, to: Option<u32>) -> Option<RolledBack> {
        let is_done = match (self.operation, self.outcome) {
            (Operation::RollBack, Outcome::Finished) => true,
            (Operation::Apply, Outcome::Undone) => to.is_none(),
            _ => false,
        };
        let restored = self.files.iter().filter(|file| !self.removed.contains(file)).cloned().collect();
        is_done.then(|| RolledBack {
            entries: self.entries.clone(),
            restored,
            removed: self.removed.clone(),
            recovered: Some(self.clone()),
            is_locked: true,
        })
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// An apply.
    Apply,
    /// A rollback.
    RollBack,
}

/// What became of an interrupted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All its files are as it wanted them.
    Finished,
    /// All its files are as they were before it.
    Undone,
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a file below the root; `None` when there is none.
///
/// # Errors
/// When the name or a link leads out of the root, the file is not a regular one, or cannot be read.
pub fn read(root: &Root, file: &str) -> Result<Option<Vec<u8>>, ApplyError> {
    match root.resolve(file) {
        Ok(place) => disk::read(&place),
        Err(ApplyError::NoDirectory { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was applied last; `None` when nothing was, or everything was rolled back.
///
/// # Errors
/// When `applied.json` cannot be read or is not of the form of [`AppliedRecord`].
pub fn applied(root: &Root) -> Result<Option<AppliedRecord>, ApplyError> {
    let Some(place) = root.state("applied.json")? else { return Ok(None) };
    let record: Option<AppliedRecord> = disk::read_json(&place)?;
    match record {
        Some(record) if record.schema != APPLIED_SCHEMA => {
            Err(ApplyError::State { path: place.path, message: format!("unknown schema `{}`", record.schema) })
        }
        record => Ok(record),
    }
}

/// A record that another module keeps in the state directory, such as `measured.json`; `None` when there is none.
///
/// # Errors
/// When the file cannot be read or does not hold such a record.
pub fn record<T: DeserializeOwned>(root: &Root, name: &str) -> Result<Option<T>, ApplyError> {
    root.state(name)?.map_or(Ok(None), |place| disk::read_json(&place))
}

/// Changes that record, which is always the old or the new one on the disk. What cannot be read is left as it is.
///
/// # Errors
/// As [`record`]; [`ApplyError::Locked`]; or what writing ran into.
pub fn change_record<T: DeserializeOwned + Serialize>(
    root: &Root,
    name: &str,
    change: impl FnOnce(Option<T>) -> Result<T, ApplyError>,
) -> Result<(), ApplyError> {
    let _lock = Lock::take(root)?;
    let changed = change(record(root, name)?)?;
    let place = root.state(name)?.ok_or_else(|| ApplyError::NoDirectory { path: root.state_dir().path.join(name) })?;
    disk::write_json(&place, &changed)
}

/// The applies that can be taken back, the newest first.
///
/// # Errors
/// When an entry of the history is damaged or cannot be read.
pub fn history(root: &Root) -> Result<Vec<PastApply>, ApplyError> {
    // By target: the bytes before the next newer apply, which are those after this one unless somebody edited the file.
    let mut next: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    let mut past = Vec::new();
    for number in history::numbers(root)?.into_iter().rev() {
        let entry = history::load(root, number)?;
        let mut files = Vec::new();
        for (name, file) in &entry.files {
            let before = match (&file.saved, &file.sha256_before) {
                (Some(saved), Some(hash)) => Some(history::saved(root, number, saved, hash)?),
                _ => None,
            };
            let after = match next.insert(file.target.clone(), before.clone()) {
                Some(bytes) => bytes,
                None => root.place(&file.target)?.map(|place| disk::read(&place)).transpose()?.flatten(),
            };
            let after = after.filter(|bytes| sha256(bytes) == file.sha256_after);
            files.push(PastFile { file: name.clone(), before, after });
        }
        past.push(PastApply { number, time: entry.time, inputs: entry.inputs, files });
    }
    Ok(past)
}

/// Finishes or undoes what an interrupted run left in flight; `None` when there is nothing. Every command calls it first.
///
/// A caller that was asked to roll back stops when this finishes a rollback: that was the one asked for.
///
/// # Errors
/// [`ApplyError::Locked`] when what is in flight belongs to a running process; otherwise when files cannot be read or
/// written, which leaves the journal for the next run.
pub fn recover(root: &Root) -> Result<Option<Recovered>, ApplyError> {
    if journal::left_behind(root)? {
        let _lock = Lock::take(root)?;
        return journal::recover(root);
    }
    // Killed before it had written anything, or after it had removed everything: the lock takes the rest with it.
    if is_bare(root)? {
        match Lock::take(root) {
            // Another run is at that very point.
            Ok(_) | Err(ApplyError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What an interrupted run left in flight, or another one is doing now: what it is, and the names of its files.
///
/// # Errors
/// The journal cannot be read.
pub fn in_flight(root: &Root) -> Result<Option<(Operation, Vec<String>)>, ApplyError> {
    let files = |journal: Journal| journal.files.into_iter().map(|file| file.file).collect();
    Ok(journal::load(root)?.map(|journal| (journal.operation, files(journal))))
}

/// Changes all the files or none, and records `inputs`; [`rollback`] takes it back.
///
/// Files that already hold their bytes are not written. When that is so for all of them no history entry is made, and
/// `inputs` are recorded if they differ from those on record. Owner, mode and attributes of a file are kept.
///
/// # Errors
/// [`ApplyError::Changed`] when a file no longer holds `before`; [`ApplyError::Locked`]; or what reading and writing ran
/// into. The files are then as they were; if not even that could be achieved, the next run recovers.
pub fn commit(root: &Root, changes: &[FileChange], inputs: &Value) -> Result<Applied, ApplyError> {
    let lock = Lock::take(root)?;
    let recovered = journal::recover(root)?;
    let is_locked = lock.is_held;
    let mut targets: Vec<(&FileChange, Place)> = Vec::new();
    let mut changed = Vec::new();
    for change in changes {
        let place = root.resolve(&change.file)?;
        if let Some((other, _)) = targets.iter().find(|(_, other)| other.is(&place)) {
            let (first, second) = (other.file.clone(), change.file.clone());
            return Err(ApplyError::SameFile { first, second, path: place.path });
        }
        let is = disk::read(&place)?;
        if is != change.before {
            changed.push(Changed { file: change.file.clone(), was: change.before.clone(), is });
        }
        targets.push((change, place));
    }
    if !changed.is_empty() {
        return Err(ApplyError::Changed { root: root.path().to_owned(), files: changed });
    }
    targets.retain(|(change, _)| change.before.as_ref() != Some(&change.after));
    let previous = applied(root)?;
    if targets.is_empty() {
        if previous.as_ref().is_none_or(|record| record.inputs != *inputs) {
            let files = previous.map(|record| record.files).unwrap_or_default();
            let record =
                AppliedRecord { schema: APPLIED_SCHEMA.to_owned(), time: now(), inputs: inputs.clone(), files };
            if let Some(place) = root.state("applied.json")? {
                disk::write_json(&place, &record)?;
            }
        }
        return Ok(Applied { entry: None, files: Vec::new(), recovered, is_locked });
    }

    let number = history::numbers(root)?.last().map_or(1, |newest| newest.saturating_add(1));
    let mut entry = Entry::new(now(), inputs.clone(), previous);
    let mut files = Vec::new();
    let mut staged = Vec::new();
    for (change, place) in &targets {
        refuse_hard_links(place)?;
        let attributes = Attributes::of(place)?;
        let file = EntryFile {
            target: place.relative.clone(),
            sha256_before: change.before.as_deref().map(sha256),
            sha256_after: sha256(&change.after),
            attributes: attributes.clone(),
            saved: change.before.is_some().then(|| journal::saved_name(files.len())),
        };
        files.push(JournalFile {
            file: change.file.clone(),
            target: place.relative.clone(),
            before: file.sha256_before.clone(),
            attributes: attributes.clone(),
            after: Some(file.sha256_after.clone()),
        });
        entry.files.insert(change.file.clone(), file);
        staged.push(Staged { old: change.before.clone(), new: Some((change.after.clone(), attributes)) });
    }
    let names = files.iter().map(|file| file.file.clone()).collect();
    let journal = Journal::new(Operation::Apply, vec![number], files, Some(entry.record()));
    journal::run(root, journal, &staged, Some(&entry))?;
    Ok(Applied { entry: Some(number), files: names, recovered, is_locked })
}

fn refuse_hard_links(place: &Place) -> Result<(), ApplyError> {
    match disk::hard_links(place)? {
        links @ 2.. => Err(ApplyError::HardLinks { path: place.path.clone(), links }),
        _ => Ok(()),
    }
}

/// Puts back the bytes and attributes from before the newest apply, or from after the apply of number `to`, and removes
/// the files that were made since.
///
/// When an interrupted rollback is found and finished, or an interrupted apply undone, that is the answer, and no second
/// entry is taken back.
///
/// # Errors
/// [`ApplyError::NothingToRollBack`] on an empty history, and [`ApplyError::NoSuchApply`] when it does not reach back to
/// `to`; [`ApplyError::EditedSince`] when a file did not hold what was applied, now or when the next apply came, unless
/// `force` gives the edits up; or what reading and writing ran into.
pub fn rollback(root: &Root, to: Option<u32>, force: bool) -> Result<RolledBack, ApplyError> {
    let nothing = || ApplyError::NothingToRollBack { root: root.path().to_owned() };
    if history::numbers(root)?.is_empty() && !journal::left_behind(root)? {
        return Err(nothing());
    }
    let lock = Lock::take(root)?;
    let recovered = journal::recover(root)?;
    if let Some(answer) = recovered.as_ref().and_then(|recovered| recovered.answers(to)) {
        return Ok(RolledBack { is_locked: lock.is_held, ..answer });
    }
    let numbers = history::numbers(root)?;
    let mut edited = Vec::new();
    let mut taken: BTreeMap<String, Taken> = BTreeMap::new();
    let mut below = None;
    let entries = to_take_back(&numbers, to)?;
    for number in &entries {
        let entry = history::load(root, *number)?;
        for (name, file) in &entry.files {
            // The file that was written, even when a link on the way leads elsewhere by now.
            let place = root.place(&file.target)?;
            let place = place.ok_or_else(|| ApplyError::NoDirectory { path: root.path().join(&file.target) })?;
            let is_elsewhere = match root.resolve(name) {
                Ok(leads) => !leads.is(&place),
                Err(error @ ApplyError::Io { .. }) => return Err(error),
                Err(_) => true,
            };
            // What the file holds is looked at once: an edit after that is found when its place is taken.
            let (current, now) = match taken.remove(&file.target) {
                Some(newer) => (newer.before, newer.now),
                None => {
                    let now = disk::read(&place)?;
                    (now.as_deref().map(sha256), now)
                }
            };
            if is_elsewhere || current.as_ref() != Some(&file.sha256_after) {
                edited.push(name.clone());
            }
            let saved = match (&file.saved, &file.sha256_before) {
                (Some(saved), Some(hash)) => Some(history::saved(root, *number, saved, hash)?),
                _ => None,
            };
            let before = file.sha256_before.clone();
            let restored = saved.map(|bytes| (bytes, file.attributes.clone()));
            taken.insert(file.target.clone(), Taken { name: name.clone(), place, now, before, restored });
        }
        below = entry.previous;
    }
    if entries.is_empty() {
        return Err(nothing());
    }
    if !edited.is_empty() && !force {
        edited.sort_unstable();
        edited.dedup();
        return Err(ApplyError::EditedSince { root: root.path().to_owned(), files: edited });
    }
    let mut files = Vec::new();
    let mut staged = Vec::new();
    for (target, Taken { name, place, now, before, restored }) in taken {
        refuse_hard_links(&place)?;
        files.push(JournalFile {
            file: name,
            target,
            before: now.as_deref().map(sha256),
            attributes: Attributes::of(&place)?,
            after: before,
        });
        staged.push(Staged { old: now, new: restored });
    }
    // A record of no files describes no apply that is left.
    let below = below.filter(|record| !record.files.is_empty());
    let journal = Journal::new(Operation::RollBack, entries, files, below);
    let done = rolled_back(&journal, recovered, lock.is_held);
    journal::run(root, journal, &staged, None)?;
    Ok(done)
}

// What a rollback does to one file, as far back as it has come.
struct Taken {
    name: String,
    place: Place,
    // What it holds.
    now: Option<Vec<u8>>,
    // The hash of what it is brought back to.
    before: Option<String>,
    restored: Option<(Vec<u8>, Option<Attributes>)>,
}

// The newest entry, or all above a number, the newest first.
fn to_take_back(numbers: &[u32], to: Option<u32>) -> Result<Vec<u32>, ApplyError> {
    let Some(to) = to else { return Ok(numbers.last().copied().into_iter().collect()) };
    let above: Vec<u32> = numbers.iter().copied().filter(|number| *number > to).rev().collect();
    // The entry itself, or the one after it at the bottom of the history, must be there: else the way back has a gap.
    let is_whole = numbers.contains(&to) || above.last() == Some(&(to.saturating_add(1)));
    if above.is_empty() || !is_whole {
        return Err(ApplyError::NoSuchApply { to, known: numbers.to_vec() });
    }
    Ok(above)
}

fn rolled_back(journal: &Journal, recovered: Option<Recovered>, is_locked: bool) -> RolledBack {
    let names = |removed: bool| {
        let files = journal.files.iter().filter(|file| file.after.is_none() == removed);
        files.map(|file| file.file.clone()).collect()
    };
    let (restored, removed) = (names(false), names(true));
    RolledBack { entries: journal.entries.clone(), restored, removed, recovered, is_locked }
}

/// This second, RFC 3339 in UTC, as records have it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
