//! The journal: what is in flight, and how it is finished or undone. The module above says why it is safe.

use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::disk::Dress;
use super::history::{self, Entry};
use super::root::Place;
use super::swap::{Pair, Stands};
use super::{AppliedRecord, ApplyError, Changed, Operation, Outcome, Recovered, Root, STATE_DIR, disk, sha256};

/// Name and version of the format of `journal.json`.
const SCHEMA: &str = "wan22-policy/journal/v1";
/// The journal's own name in the state directory, and that of what was applied last.
const NAME: &str = "journal.json";
const APPLIED: &str = "applied.json";

/// A transaction, as `journal.json` holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    schema: String,
    pub operation: Operation,
    pub phase: Phase,
    // The history entry that is made, or those that are taken back, the newest first.
    pub entries: Vec<u32>,
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
    // What the old file has besides its bytes.
    pub attributes: Option<Attributes>,
    // SHA-256 of the new bytes; `null`: the file is removed.
    pub after: Option<String>,
}

/// The bytes of one [`JournalFile`].
pub(super) struct Staged {
    // `None`: there is no file.
    pub old: Option<Vec<u8>>,
    // With what it gets besides; `None`: the file is removed.
    pub new: Option<(Vec<u8>, Option<Attributes>)>,
}

impl Journal {
    pub fn new(
        operation: Operation,
        entries: Vec<u32>,
        files: Vec<JournalFile>,
        record: Option<AppliedRecord>,
    ) -> Self {
        Self { schema: SCHEMA.to_owned(), operation, phase: Phase::Prepare, entries, files, record }
    }

    // Where the old bytes are kept; `None` when there is no such directory, nor one to make it in.
    fn saved_dir(&self, root: &Root) -> Result<Option<Place>, ApplyError> {
        match (self.operation, self.entries.first()) {
            (Operation::Apply, Some(entry)) => history::dir(root, *entry),
            _ => root.state("rollback"),
        }
    }

    fn write(&self, root: &Root) -> Result<(), ApplyError> {
        disk::write_json(&state(root, NAME)?, self)
    }
}

impl JournalFile {
    // The target, and where its new bytes wait; `None` when somebody removed the folder, and so the file too.
    fn pair(&self, root: &Root) -> Result<Option<Pair>, ApplyError> {
        Ok(root.place(&self.target)?.map(Pair::of))
    }

    fn stands(&self, pair: Option<&Pair>) -> Result<Stands, ApplyError> {
        pair.map_or_else(|| Ok(Stands::of(self, None, None)), |pair| pair.stands(self))
    }
}

/// Name under which the old bytes of a transaction's n-th file are kept.
pub(super) fn saved_name(index: usize) -> String {
    format!("{index}.before")
}

// A file of the state directory, which the lock keeps there.
fn state(root: &Root, name: &str) -> Result<Place, ApplyError> {
    root.state(name)?.ok_or_else(|| ApplyError::NoDirectory { path: root.path().join(STATE_DIR).join(name) })
}

pub(super) fn hash(place: &Place) -> Result<Option<String>, ApplyError> {
    Ok(disk::read(place)?.as_deref().map(sha256))
}

// What `write_json` was about to rename.
fn temporaries(root: &Root) -> Result<Vec<Place>, ApplyError> {
    let temporary = |name: &str| root.state(&format!(".{name}{}", disk::TEMPORARY));
    [NAME, APPLIED].into_iter().filter_map(|name| temporary(name).transpose()).collect()
}

/// Whether an earlier run left anything for [`recover`].
pub(super) fn left_behind(root: &Root) -> Result<bool, ApplyError> {
    let Some(journal) = root.state(NAME)? else { return Ok(false) };
    for place in temporaries(root)?.iter().chain([&journal]) {
        if disk::found(place)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in flight.
pub(super) fn load(root: &Root) -> Result<Option<Journal>, ApplyError> {
    let Some(place) = root.state(NAME)? else { return Ok(None) };
    let journal: Option<Journal> = disk::read_json(&place)?;
    match journal {
        Some(journal) if journal.schema != SCHEMA => {
            Err(ApplyError::State { path: place.path, message: format!("unknown schema `{}`", journal.schema) })
        }
        journal => Ok(journal),
    }
}

/// Finishes or undoes what is in flight. The lock is held.
pub(super) fn recover(root: &Root) -> Result<Option<Recovered>, ApplyError> {
    for temporary in temporaries(root)? {
        disk::remove_file(&temporary)?;
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
    let is_gone = |file: &&JournalFile| if finished { file.after.is_none() } else { file.before.is_none() };
    let removed = journal.files.iter().filter(is_gone).map(|file| file.file.clone()).collect();
    let files = journal.files.into_iter().map(|file| file.file).collect();
    Ok(Some(Recovered { operation: journal.operation, outcome, entries: journal.entries, files, removed }))
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
    if let Err(mut error) = swapped {
        if let ApplyError::Changed { files, .. } = &mut error {
            for changed in files {
                let old = journal.files.iter().zip(staged).find(|(file, _)| file.file == changed.file);
                changed.was = old.and_then(|(_, staged)| staged.old.clone());
            }
        }
        // The journal on disk may be in either phase when writing it failed; the steps of `commit` suit both.
        // What cannot be undone now, the next run finds in the journal.
        let _ = undo(root, &journal);
        return Err(error);
    }
    finish(root, &mut journal)
}

fn prepare(root: &Root, journal: &Journal, staged: &[Staged], entry: Option<&Entry>) -> Result<(), ApplyError> {
    journal.write(root)?;
    if journal.operation == Operation::Apply {
        disk::create_dir(&state(root, "history")?, true)?;
    }
    let saved =
        journal.saved_dir(root)?.ok_or_else(|| ApplyError::NoDirectory { path: root.path().join(STATE_DIR) })?;
    // Left over only if somebody removed a journal by hand.
    disk::remove_dir_of_files(&saved)?;
    disk::create_dir(&saved, true)?;
    for (index, (file, bytes)) in journal.files.iter().zip(staged).enumerate() {
        if let Some(old) = &bytes.old {
            disk::write_new(&inside(root, &saved, &saved_name(index))?, old, Dress::Private)?;
        }
        let pair = file.pair(root)?;
        let pair = pair.ok_or_else(|| ApplyError::NoDirectory { path: root.path().join(&file.target) })?;
        pair.prepare(bytes.new.as_ref())?;
    }
    let index = inside(root, &saved, "entry.json")?;
    if let Some(entry) = entry {
        disk::write_new(&index, &disk::to_json(&index, entry)?, Dress::Private)?;
    }
    disk::sync_folder(&index)
}

// A name in a directory of ours.
fn inside(root: &Root, dir: &Place, name: &str) -> Result<Place, ApplyError> {
    let place = root.place(&format!("{}/{name}", dir.relative))?;
    place.ok_or_else(|| ApplyError::NoDirectory { path: dir.path.join(name) })
}

// Brings every target to its new bytes, or fails before it has changed any that it could not; what an edit came back
// with in the meantime, `undo` puts back.
fn swap(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    let mut pending = Vec::new();
    let mut changed = Vec::new();
    for file in &journal.files {
        let pair = file.pair(root)?;
        match file.stands(pair.as_ref())? {
            Stands::Old => pending.extend(pair.map(|pair| (file, pair))),
            Stands::New => {}
            Stands::Otherwise => {
                let is = pair.map(|pair| disk::read(&pair.target)).transpose()?.flatten();
                changed.push(Changed { file: file.file.clone(), was: None, is });
            }
        }
    }
    let refused = |files| Err(ApplyError::Changed { root: root.path().to_owned(), files });
    if !changed.is_empty() {
        return refused(changed);
    }
    for (file, pair) in &pending {
        if let Some(edited) = pair.put(file)? {
            return refused(vec![edited]);
        }
    }
    for (file, Pair { target, .. }) in pending {
        if hash(&target)? != file.after {
            return Err(ApplyError::NotVerified { path: target.path });
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
    let applied = state(root, APPLIED)?;
    match &journal.record {
        Some(record) => disk::write_json(&applied, record)?,
        None => disk::remove_file(&applied)?,
    }
    match journal.operation {
        Operation::Apply => history::prune(root)?,
        Operation::RollBack => {
            for entry in &journal.entries {
                remove_dir(history::dir(root, *entry)?)?;
            }
            remove_dir(journal.saved_dir(root)?)?;
        }
    }
    close(root, journal)
}

fn remove_dir(dir: Option<Place>) -> Result<(), ApplyError> {
    dir.map_or(Ok(()), |dir| disk::remove_dir_of_files(&dir))
}

// Brings the targets that have their new bytes back to the old ones, and removes what was prepared.
fn undo(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    let saved = journal.saved_dir(root)?;
    if journal.phase != Phase::Prepare {
        for (index, file) in journal.files.iter().enumerate() {
            let Some(pair) = file.pair(root)? else { continue };
            pair.take_back(file, || {
                let name = saved_name(index);
                let place =
                    saved.as_ref().map(|saved| root.place(&format!("{}/{name}", saved.relative))).transpose()?;
                let old = place.flatten().map(|place| disk::read(&place)).transpose()?.flatten();
                old.filter(|old| Some(sha256(old)) == file.before).ok_or_else(|| ApplyError::State {
                    path: saved.as_ref().map_or_else(|| root.path().join(STATE_DIR), |saved| saved.path.join(&name)),
                    message: "it does not hold the bytes that were saved".to_owned(),
                })
            })?;
        }
    }
    remove_dir(saved)?;
    close(root, journal)
}

// The last step of both ways: nothing is left that the journal would have to name.
fn close(root: &Root, journal: &Journal) -> Result<(), ApplyError> {
    for file in &journal.files {
        if let Some(pair) = file.pair(root)? {
            pair.clear()?;
        }
    }
    for temporary in temporaries(root)? {
        disk::remove_file(&temporary)?;
    }
    if let Some(history) = root.state("history")? {
        disk::remove_empty_dir(&history)?;
    }
    let journal = state(root, NAME)?;
    disk::remove_file(&journal)?;
    disk::sync_folder(&journal)
}
