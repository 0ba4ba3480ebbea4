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
//! ```
//!
//! # The journal
//!
//! An apply or rollback goes through these steps, each on disk before the next begins:
//!
//! 1. `journal.json` names all files with the hashes of their old and new bytes, phase `prepare`;
//! 2. the old bytes are saved, and each new file is written beside its target under a dot-name;
//! 3. the journal moves to phase `commit`; **this one rename decides**;
//! 4. each new file is renamed over its target, and read back;
//! 5. the journal moves to phase `finish`; `applied.json` and the history are brought in line, and the journal is removed.
//!
//! So whatever this module has put on disk is named by the journal, or the journal is gone. A run that finds a journal
//! in phase `prepare` removes what was prepared: no target has changed yet. In phase `commit` it does the remaining
//! renames, all of which are known by hash to be possible; when they are not, because somebody edited a target or removed
//! a new file in between, it puts the saved bytes back into the targets that did change and leaves the edit alone. In
//! phase `finish` it does the rest of step 5, whatever the targets hold by then. Every step of each way may be
//! interrupted and repeated.
//!
//! Hard links are not kept (the new file is another file), and a directory that is replaced by a link while a commit runs
//! is not noticed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

mod disk;
mod history;
mod journal;
mod root;
#[cfg(test)]
mod tests;

use history::{Entry, EntryFile};
use journal::{Journal, JournalFile, Staged};
pub use root::Root;

/// Directory inside the root that holds everything this module remembers.
pub const STATE_DIR: &str = ".wan22-policy";

/// Name and version of the format of `applied.json`.
pub const APPLIED_SCHEMA: &str = "wan22-policy/applied/v1";

/// Why nothing was applied or rolled back. The files are as they were, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The system refused to read or write.
    #[error("cannot {action} `{}`: {error}", path.display())]
    Io {
        /// What was tried: "read", "write", ….
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The root is not a directory.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// The root as it was given.
        path: PathBuf,
    },
    /// A target is not named relative to the root, has `..` in its name, or lies in the state directory.
    #[error("`{file}` is not the name of a file below `{}`", root.display())]
    BadName {
        /// The name as it was given.
        file: String,
        /// The root.
        root: PathBuf,
    },
    /// A link leads out of the root.
    #[error("`{}` leads out of the root `{}`, to `{}`", path.display(), root.display(), real.display())]
    OutsideRoot {
        /// The link, or a path through it.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// A link leads to nothing.
    #[error("the link `{}` leads to nothing", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// A target is a directory, a pipe or a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// A new file was to be written into a directory that does not exist.
    #[error("the directory of `{}` does not exist", path.display())]
    NoDirectory {
        /// The target.
        path: PathBuf,
    },
    /// Two names of one commit lead to the same file.
    #[error("`{first}` and `{second}` are the same file `{}`", path.display())]
    SameFile {
        /// One name.
        first: String,
        /// The other name.
        second: String,
        /// The file.
        path: PathBuf,
    },
    /// Another process is applying or rolling back in this root.
    #[error("another process holds the lock `{}`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Files differ from what the change was derived from.
    #[error("{} changed while the change was prepared (in `{}`)", Names(files), root.display())]
    Changed {
        /// The root.
        root: PathBuf,
        /// Names of the files.
        files: Vec<String>,
    },
    /// Files were changed after they were applied, so a rollback would lose the edits.
    #[error("{} changed since the last apply (in `{}`)", Names(files), root.display())]
    EditedSince {
        /// The root.
        root: PathBuf,
        /// Names of the files.
        files: Vec<String>,
    },
    /// A file did not hold what was written into it when it was read back.
    #[error("`{}` does not hold what was written into it", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
    },
    /// There is no apply to take back.
    #[error("nothing was applied in `{}`", root.display())]
    NothingToRollBack {
        /// The root.
        root: PathBuf,
    },
    /// A file of the state directory is not what this program wrote.
    #[error("`{}` is damaged: {message}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
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
}

/// What a [`rollback`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// Number of the history entry that was taken back.
    pub entry: u32,
    /// Names of the files that hold their old bytes again.
    pub restored: Vec<String>,
    /// Names of the files that did not exist before and were removed again.
    pub removed: Vec<String>,
    /// What an earlier run had left in flight.
    pub recovered: Option<Recovered>,
}

/// What an earlier, interrupted run left in flight and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What the run was doing.
    pub operation: Operation,
    /// Whether it was finished or undone.
    pub outcome: Outcome,
    /// Number of the history entry it was making or taking back.
    pub entry: u32,
    /// Names of the files it was about.
    pub files: Vec<String>,
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
        Ok(path) => disk::read(&path),
        Err(ApplyError::NoDirectory { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was applied last; `None` when nothing was, or everything was rolled back.
///
/// # Errors
/// When `applied.json` cannot be read or is not of the form of [`AppliedRecord`].
pub fn applied(root: &Root) -> Result<Option<AppliedRecord>, ApplyError> {
    let path = root.state("applied.json");
    let record: Option<AppliedRecord> = disk::read_json(&path)?;
    match record {
        Some(record) if record.schema != APPLIED_SCHEMA => {
            Err(ApplyError::State { path, message: format!("unknown schema `{}`", record.schema) })
        }
        record => Ok(record),
    }
}

/// Finishes or undoes what an interrupted run left in flight; `None` when there is nothing. Every command calls it first.
///
/// A caller that was asked to roll back stops when this finishes a rollback: that was the one asked for.
///
/// # Errors
/// [`ApplyError::Locked`] when what is in flight belongs to a running process; otherwise when files cannot be read or
/// written, which leaves the journal for the next run.
pub fn recover(root: &Root) -> Result<Option<Recovered>, ApplyError> {
    if !journal::left_behind(root) {
        return Ok(None);
    }
    let _lock = Lock::take(root)?;
    journal::recover(root)
}

/// Changes all the files or none, and records `inputs`; [`rollback`] takes it back.
///
/// Files that already hold their bytes are not written. When that is so for all of them no history entry is made, and
/// `inputs` are recorded if they differ from those on record. Mode and, where allowed, owner of a file are kept.
///
/// # Errors
/// [`ApplyError::Changed`] when a file no longer holds `before`; [`ApplyError::Locked`]; or what reading and writing ran
/// into. The files are then as they were; if not even that could be achieved, the next run recovers.
pub fn commit(root: &Root, changes: &[FileChange], inputs: &Value) -> Result<Applied, ApplyError> {
    let _lock = Lock::take(root)?;
    let recovered = journal::recover(root)?;
    let mut targets: Vec<(&FileChange, PathBuf)> = Vec::new();
    let mut changed = Vec::new();
    for change in changes {
        let path = root.resolve(&change.file)?;
        if let Some((other, _)) = targets.iter().find(|(_, other)| *other == path) {
            return Err(ApplyError::SameFile { first: other.file.clone(), second: change.file.clone(), path });
        }
        if disk::read(&path)? != change.before {
            changed.push(change.file.clone());
        }
        targets.push((change, path));
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
            disk::write_json(&root.state("applied.json"), &record)?;
        }
        return Ok(Applied { entry: None, files: Vec::new(), recovered });
    }

    let number = history::numbers(root)?.last().map_or(1, |newest| newest.saturating_add(1));
    let mut entry = Entry::new(now(), inputs.clone(), previous);
    let mut files = Vec::new();
    let mut staged = Vec::new();
    for (change, path) in &targets {
        let (target, mode) = (root.relative(path)?, disk::mode(path)?);
        let file = EntryFile {
            target: target.clone(),
            sha256_before: change.before.as_deref().map(sha256),
            sha256_after: sha256(&change.after),
            mode,
            saved: change.before.is_some().then(|| journal::saved_name(files.len())),
        };
        files.push(JournalFile {
            file: change.file.clone(),
            target,
            before: file.sha256_before.clone(),
            mode,
            after: Some(file.sha256_after.clone()),
        });
        entry.files.insert(change.file.clone(), file);
        staged.push(Staged { old: change.before.clone(), new: Some((change.after.clone(), mode)) });
    }
    let names = files.iter().map(|file| file.file.clone()).collect();
    let journal = Journal::new(Operation::Apply, number, files, Some(entry.record()));
    journal::run(root, journal, &staged, Some(&entry))?;
    Ok(Applied { entry: Some(number), files: names, recovered })
}

/// Puts back the bytes and modes from before the newest apply, and removes the files it made.
///
/// When an interrupted rollback is found and finished, that is the answer, and no second entry is taken back.
///
/// # Errors
/// [`ApplyError::NothingToRollBack`] on an empty history; [`ApplyError::EditedSince`] when a file no longer holds what was
/// applied, unless `force` gives the edits up; or what reading and writing ran into.
pub fn rollback(root: &Root, force: bool) -> Result<RolledBack, ApplyError> {
    let nothing = || ApplyError::NothingToRollBack { root: root.path().to_owned() };
    if !root.state("history").exists() && !journal::left_behind(root) {
        return Err(nothing());
    }
    let _lock = Lock::take(root)?;
    let in_flight = journal::load(root)?;
    let recovered = journal::recover(root)?;
    if let (Some(journal), Some(Recovered { operation: Operation::RollBack, outcome: Outcome::Finished, .. })) =
        (in_flight, &recovered)
    {
        return Ok(rolled_back(&journal, recovered));
    }
    let mut numbers = history::numbers(root)?;
    let number = numbers.pop().ok_or_else(nothing)?;
    let entry = history::load(root, number)?;
    let mut edited = Vec::new();
    let mut files = Vec::new();
    let mut staged = Vec::new();
    for (name, file) in &entry.files {
        // The file that was written, even when a link on the way leads elsewhere by now.
        let path = root.resolve(&file.target)?;
        let current = disk::read(&path)?;
        let elsewhere = root.resolve(name).ok().as_ref() != Some(&path);
        if elsewhere || current.as_deref().map(sha256).as_ref() != Some(&file.sha256_after) {
            edited.push(name.clone());
        }
        let new = match (&file.saved, &file.sha256_before) {
            (Some(saved), Some(hash)) => Some((history::saved(root, number, saved, hash)?, file.mode)),
            _ => None,
        };
        files.push(JournalFile {
            file: name.clone(),
            target: file.target.clone(),
            before: current.as_deref().map(sha256),
            mode: disk::mode(&path)?,
            after: file.sha256_before.clone(),
        });
        staged.push(Staged { old: current, new });
    }
    if !edited.is_empty() && !force {
        return Err(ApplyError::EditedSince { root: root.path().to_owned(), files: edited });
    }
    // With no entry below there is nothing left to describe.
    let below = if numbers.is_empty() { None } else { entry.previous };
    let journal = Journal::new(Operation::RollBack, number, files, below);
    let done = rolled_back(&journal, recovered);
    journal::run(root, journal, &staged, None)?;
    Ok(done)
}

fn rolled_back(journal: &Journal, recovered: Option<Recovered>) -> RolledBack {
    let names = |removed: bool| {
        let files = journal.files.iter().filter(|file| file.after.is_none() == removed);
        files.map(|file| file.file.clone()).collect()
    };
    RolledBack { entry: journal.entry, restored: names(false), removed: names(true), recovered }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// Holds the lock; a state directory that holds nothing else goes with it.
struct Lock<'a> {
    root: &'a Root,
    _file: File,
}

impl<'a> Lock<'a> {
    fn take(root: &'a Root) -> Result<Self, ApplyError> {
        let path = root.state("lock");
        // Another process may remove the directory between two calls here; more than a few times in a row it does not.
        for _ in 0..16 {
            root.make_state_dir()?;
            let Some(file) = disk::open_lock(&path)? else { continue };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(ApplyError::Locked { path }),
                Err(TryLockError::Error(error)) => return Err(ApplyError::Io { action: "lock", path, error }),
            }
            if is_at(&file, &path) {
                return Ok(Self { root, _file: file });
            }
        }
        Err(ApplyError::Locked { path })
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let only_lock = fs::read_dir(self.root.state(""))
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lock")));
        // The lock is still held here: who opens the file now sees that it is gone, and makes another.
        if only_lock && disk::remove_file(&self.root.state("lock")).is_ok() {
            disk::remove_empty_dir(&self.root.state(""));
        }
    }
}

// Whether the locked file is still the one that others would open.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
