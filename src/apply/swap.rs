//! How one target gets its new bytes, and gives them back: by a rename that tells what it replaced.
//!
//! The new file waits beside its target, and the two change places in one step where the system can do that (Linux, macOS).
//! What stood at the target then lies beside it. When that is not what the transaction was derived from, somebody edited
//! the file after the last look, and the edit goes back to its place. So an edit is not lost in the instant between a look
//! and a rename either, and whatever state a killed run leaves, the two files tell what is to be done.

use super::attributes::Attributes;
use super::disk::{self, Dress};
use super::journal::{JournalFile, hash};
use super::root::Place;
use super::{ApplyError, Changed};

/// Follows the name of a new file that waits beside its target, later of what it replaced. No stack loads such a name.
const STAGED: &str = ".wan22-policy-new";
/// Follows the name of the old bytes that are about to replace the new ones, where the replaced file is gone.
const RESTORED: &str = ".wan22-policy-old";

/// A target, and its places for files beside it.
#[derive(Debug)]
pub(super) struct Pair {
    pub target: Place,
    staged: Place,
    restored: Place,
}

/// How far one file of a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// The old bytes stand at the target, and the new ones wait.
    Old,
    /// The target has had its new bytes; it may have been edited since.
    New,
    /// Neither: somebody edited the target before it was replaced, or what waited is gone.
    Otherwise,
}

impl Stands {
    /// By the hashes of what is at the target and of what lies beside it.
    pub fn of(file: &JournalFile, target: Option<&str>, staged: Option<&str>) -> Self {
        let (before, after) = (file.before.as_deref(), file.after.as_deref());
        let is_replaced = staged.is_none() || staged == before;
        match () {
            () if target == before && staged == after => Self::Old,
            () if target == after && is_replaced => Self::New,
            // Edited since. Where nothing waited for a removal, it cannot be told from an edit before.
            () if target != before && is_replaced && (staged.is_some() || after.is_some()) => Self::New,
            () => Self::Otherwise,
        }
    }
}

impl Pair {
    pub fn of(target: Place) -> Self {
        let beside = |suffix: &str| target.beside(format!(".{}{suffix}", target.name));
        Self { staged: beside(STAGED), restored: beside(RESTORED), target }
    }

    /// How far the file has come.
    pub fn stands(&self, file: &JournalFile) -> Result<Stands, ApplyError> {
        let (target, staged) = (hash(&self.target)?, hash(&self.staged)?);
        Ok(Stands::of(file, target.as_deref(), staged.as_deref()))
    }

    /// Lets the new bytes wait beside the target; none where it is to be removed.
    pub fn prepare(&self, new: Option<&(Vec<u8>, Option<Attributes>)>) -> Result<(), ApplyError> {
        disk::remove_file(&self.staged)?;
        new.map_or(Ok(()), |(bytes, attributes)| write(&self.staged, bytes, attributes.as_ref()))
    }

    /// Gives the target its new bytes; `Some` where something else than the old ones stood there, which is for
    /// [`take_back`](Self::take_back) to put right.
    pub fn put(&self, file: &JournalFile) -> Result<Option<Changed>, ApplyError> {
        let edited = |is| Ok(Some(Changed { file: file.file.clone(), was: None, is }));
        let Self { target, staged, .. } = self;
        let is_seen = match (&file.before, &file.after) {
            (Some(before), Some(after)) if before != after => disk::exchange(staged, target)?,
            (Some(_), Some(_)) => {
                disk::rename(staged, target)?;
                false
            }
            (None, Some(_)) => {
                if !disk::move_to_free(staged, target)? {
                    return edited(disk::read(target)?);
                }
                false
            }
            (Some(_), None) => {
                disk::rename(target, staged)?;
                true
            }
            (None, None) => false,
        };
        disk::sync_folder(target)?;
        if is_seen && hash(staged)? != file.before {
            return edited(disk::read(staged)?);
        }
        Ok(None)
    }

    /// Gives the target what it had before the transaction, unless it has been edited since; `saved` gives the old bytes
    /// where the replaced file is gone.
    pub fn take_back(
        &self,
        file: &JournalFile,
        saved: impl FnOnce() -> Result<Vec<u8>, ApplyError>,
    ) -> Result<(), ApplyError> {
        let Self { target, staged, restored } = self;
        let (now, beside) = (hash(target)?, hash(staged)?);
        // An edit that came to lie beside it, with nothing at the target: taken away by a step of this very way back.
        let is_taken_away = now.is_none() && beside.is_some() && beside != file.after && beside != file.before;
        if (now != file.after || now == file.before) && !is_taken_away {
            return Ok(());
        }
        match (&now, &beside) {
            // Removed: what was there lies beside.
            (None, Some(_)) => drop(disk::move_to_free(staged, target)?),
            // Exchanged, for the old bytes or an edit of them.
            (Some(_), Some(_)) if beside != file.after => {
                let is_exchanged = disk::exchange(staged, target)?;
                if is_exchanged && hash(staged)? != file.after {
                    // Edited at this very instant.
                    disk::exchange(staged, target)?;
                }
            }
            // Replaced by a mere rename.
            _ if file.before.is_some() => {
                disk::remove_file(restored)?;
                write(restored, &saved()?, file.attributes.as_ref())?;
                disk::rename(restored, target)?;
            }
            // Made anew.
            _ => {
                disk::rename(target, staged)?;
                if hash(staged)? != file.after {
                    disk::move_to_free(staged, target)?;
                }
            }
        }
        disk::sync_folder(target)
    }

    /// Removes what lies beside the target.
    pub fn clear(&self) -> Result<(), ApplyError> {
        disk::remove_file(&self.staged)?;
        disk::remove_file(&self.restored)
    }
}

fn write(place: &Place, bytes: &[u8], attributes: Option<&Attributes>) -> Result<(), ApplyError> {
    disk::write_new(place, bytes, attributes.map_or(Dress::Plain, Dress::Like))?;
    disk::sync_folder(place)
}
