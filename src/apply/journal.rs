//! The journal: what is in flight, and how it is finished or undone. The module above says why it is safe.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::history::{self, Entry, octal};
use super::{AppliedRecord, ApplyError, Operation, Outcome, Recovered, Root, disk, sha256};

/// Name and version of the format of `journal.json`.
const SCHEMA: &str = "wan22-policy/journal/v1";
/// Follows the name of a new file that waits beside its target. No stack loads such a name.
const STAGED: &str = ".wan22-policy-new";

/// A transaction, as `journal.json` holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    schema: String,
    pub operation: Operation,
    pub phase: Phase,
    // The history entry that is made or taken back.
    pub entry: u32,
    pub files: Vec<JournalFile>,
    // What `applied.json` says once this is finished; `null`: it is removed.
    record: Option<AppliedRecord>,
}

/// How far a transaction got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// No target has changed.
    Prepare,
    /// Everything is prepared; targets change.
    Commit,
    /// All targets have changed; the history and `applied.json` follow.
    Finish,
}

/// One file of a [`Journal`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalFile {
    // As it was given.
    pub file: String,
    // The file itself, links followed, relative to the root.
    pub target: String,
    // SHA-256 of the old bytes; `null`: there is no file.
    pub before: Option<String>,
    // Permission bits of the old file.
    #[serde(with = "octal")]
    pub mode: Option<u32>,
    // SHA-256 of the new bytes; `null`: the file is removed.
    pub after: Option<String>,
}

/// The bytes of one [`JournalFile`].
pub(super) struct Staged {
    // `None`: there is no file.
    pub old: Option<Vec<u8>>,
    // With permission bits. `None`: the file is removed.
    pub new: Option<(Vec<u8>, Option<u32>)>,
}

impl Journal {
    pub fn new(operation: Operation, entry: u32, files: Vec<JournalFile>, record: Option<AppliedRecord>) -> Self {
        Self { schema: SCHEMA.to_owned(), operation, phase: Phase::Prepare, entry, files, record }
    }

    // Where the old bytes are kept.
    fn saved_dir(&self, root: &Root) -> Result<PathBuf, ApplyError> {
        match self.operation {
            Operation::Apply => self.entry_dir(root),
            Operation::RollBack => {
                let dir = root.state("rollback");
                root.refuse_link(&dir).map(|()| dir)
            }
        }
    }

    // A link here would have files outside the root removed.
    fn entry_dir(&self, root: &Root) -> Result<PathBuf, ApplyError> {
        let dir = history::dir(root, self.entry);
        root.refuse_link(&root.state("history"))?;
        root.refuse_link(&dir)?;
        Ok(dir)
    }

    fn write(&self, root: &Root) -> Result<(), ApplyError> {
        disk::write_json(&path(root), self)
    }
}

impl JournalFile {
    fn paths(&self, root: &Root) -> Result<(PathBuf, PathBuf), ApplyError> {
        let target = match root.resolve(&self.target) {
            // Somebody removed the directory; so the file is gone too.
            Err(ApplyError::NoDirectory { path }) => path,
            resolved => resolved?,
        };
        let staged = disk::beside(&target, STAGED);
        Ok((target, staged))
    }
}

/// Name under which the old bytes of a transaction's n-th file are kept.
pub(super) fn saved_name(index: usize) -> String {
    format!("{index}.before")
}

fn path(root: &Root) -> PathBuf {
    root.state("journal.json")
}

fn hash(path: &Path) -> Result<Option<String>, ApplyError> {
    Ok(disk::read(path)?.as_deref().map(sha256))
}

// What `write_json` was about to rename.
fn temporaries(root: &Root) -> [PathBuf; 2] {
    [path(root), root.state("applied.json")].map(|path| disk::beside(&path, disk::TEMPORARY))
}

/// Whether an earlier run left anything for [`recover`].
pub(super) fn left_behind(root: &Root) -> bool {
    path(root).exists() || temporaries(root).iter().any(|path| path.exists())
}

/// What is in flight.
pub(super) fn load(root: &Root) -> Result<Option<Journal>, ApplyError> {
    let journal: Option<Journal> = disk::read_json(&path(root))?;
    match journal {
        Some(journal) if journal.schema != SCHEMA => {
            Err(ApplyError::State { path: path(root), message: format!("unknown schema `{}`", journal.schema) })
        }
        journal => Ok(journal),
    }
}

/// Finishes or undoes what is in flight. The lock is held.
pub(super) fn recover(root: &Root) -> Result<Option<Recovered>, ApplyError> {
    for path in temporaries(root) {
        disk::remove_file(&path)?;
    }
    let Some(mut journal) = load(root)? else { return Ok(None) };
    let finished = match journal.phase {
        Phase::Prepare => false,
        Phase::Commit => match swap(root, &journal) {
            Ok(()) => true,
            Err(ApplyError::Changed { .. } | ApplyError::NotVerified { .. }) => false,
            Err(error) => return Err(error),
        },
        Phase::Finish => true,
    };
    let outcome = if finished {
        finish(root, &mut journal)?;
        Outcome::Finished
    } else {
        undo(root, &journal)?;
        Outcome::Undone
    };
    let files = journal.files.into_iter().map(|file| file.file).collect();
    Ok(Some(Recovered { operation: journal.operation, outcome, entry: journal.entry, files }))
}

/// Runs a transaction from its first step to its last. The lock is held and nothing else is in flight.
pub(super) fn run(
    root: &Root,
    mut journal: Journal,
    staged: &[Staged],
    entry: Option<&Entry>,
) -> Result<(), ApplyError> {
    let swapped = prepare(root, &journal, staged, entry).and_then(|()| {
        journal.phase = Phase::Commit;
        journal.write(root)?;
        swap(root, &journal)
    });
    if let Err(error) = swapped {
        // The journal on disk may be in either phase when writing it failed; the steps of `commit` suit both.
        // What cannot be undone now, the next run finds in the journal.
        let _ = undo(root, &journal);
        return Err(error);
    }
    finish(root, &mut journal)
}

fn prepare(root: &Root, journal: &Journal, staged: &[Staged], entry: Option<&Entry>) -> Result<(), ApplyError> {
    journal.write(root)?;
    let saved = journal.saved_dir(root)?;
    if journal.operation == Operation::Apply {
        disk::create_dir(&root.state("history"), true)?;
    }
    // Left over only if somebody removed a journal by hand.
    disk::remove_dir_of_files(&saved)?;
    disk::create_dir(&saved, true)?;
    for (index, (file, bytes)) in journal.files.iter().zip(staged).enumerate() {
        if let Some(old) = &bytes.old {
            disk::write_new(&saved.join(saved_name(index)), old, true)?;
        }
        if let Some((new, mode)) = &bytes.new {
            let (target, staged) = file.paths(root)?;
            write_staged(&target, &staged, new, *mode)?;
        }
    }
    if let Some(entry) = entry {
        let path = saved.join("entry.json");
        disk::write_new(&path, &disk::to_json(&path, entry)?, true)?;
    }
    disk::sync_parent(&saved.join("entry.json"))
}

fn write_staged(target: &Path, staged: &Path, bytes: &[u8], mode: Option<u32>) -> Result<(), ApplyError> {
    disk::remove_file(staged)?;
    disk::write_new(staged, bytes, mode.is_some())?;
    disk::dress(staged, mode, target)?;
    disk::sync_parent(staged)
}

// Brings every target to its new bytes, or fails before it has changed any that it could not.
fn swap(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    let mut pending = Vec::new();
    let mut changed = Vec::new();
    for file in &journal.files {
        let (target, staged) = file.paths(root)?;
        let (now, new) = (hash(&target)?, hash(&staged)?);
        if now == file.after && (new.is_none() || now != file.before) {
            continue;
        }
        match (&file.after, &new) {
            _ if now == file.before && new == file.after => pending.push((file, target, staged)),
            // Swapped before, and edited since.
            (Some(_), None) if now != file.before => {}
            _ => changed.push(file.file.clone()),
        }
    }
    if !changed.is_empty() {
        return Err(ApplyError::Changed { root: root.path().to_owned(), files: changed });
    }
    for (file, target, staged) in &pending {
        match file.after {
            Some(_) => disk::rename(staged, target)?,
            None => disk::remove_file(target)?,
        }
        disk::sync_parent(target)?;
    }
    for (file, target, _) in pending {
        if hash(&target)? != file.after {
            return Err(ApplyError::NotVerified { path: target });
        }
    }
    Ok(())
}

// Brings `applied.json` and the history in line with the targets. From here on there is no way back, since the bytes that
// a rollback put back go first; an edit of a target is of no concern any more.
fn finish(root: &Root, journal: &mut Journal) -> Result<(), ApplyError> {
    if journal.phase != Phase::Finish {
        journal.phase = Phase::Finish;
        journal.write(root)?;
    }
    match &journal.record {
        Some(record) => disk::write_json(&root.state("applied.json"), record)?,
        None => disk::remove_file(&root.state("applied.json"))?,
    }
    if journal.operation == Operation::RollBack {
        disk::remove_dir_of_files(&journal.entry_dir(root)?)?;
        disk::remove_dir_of_files(&journal.saved_dir(root)?)?;
    }
    close(root, journal)
}

// Brings the targets that have their new bytes back to the old ones, and removes what was prepared.
fn undo(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    let saved = journal.saved_dir(root)?;
    for (index, file) in journal.files.iter().enumerate() {
        let (target, staged) = file.paths(root)?;
        let now = hash(&target)?;
        if journal.phase == Phase::Prepare || now == file.before || now != file.after {
            continue;
        }
        if let Some(before) = &file.before {
            let path = saved.join(saved_name(index));
            let old = disk::read(&path)?.filter(|old| sha256(old) == *before).ok_or_else(|| ApplyError::State {
                path,
                message: "it does not hold the bytes that were saved".to_owned(),
            })?;
            write_staged(&target, &staged, &old, file.mode)?;
            disk::rename(&staged, &target)?;
        } else {
            disk::remove_file(&target)?;
        }
        disk::sync_parent(&target)?;
    }
    disk::remove_dir_of_files(&saved)?;
    close(root, journal)
}

// The last step of both ways: nothing is left that the journal would have to name.
fn close(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    for file in &journal.files {
        let (_, staged) = file.paths(root)?;
        disk::remove_file(&staged)?;
    }
    for path in temporaries(root) {
        disk::remove_file(&path)?;
    }
    disk::remove_empty_dir(&root.state("history"));
    disk::remove_file(&path(root))?;
    disk::sync_parent(&path(root))
}
