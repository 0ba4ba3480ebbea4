//! One run at a time: the lock of a root, and the state directory that comes and goes with it.

use std::fs::{File, TryLockError};
use std::io;

use super::{ApplyError, Root, STATE_DIR, disk, history};

/// Whether there is a state directory that remembers nothing.
pub(super) fn is_bare(root: &Root) -> Result<bool, ApplyError> {
    let dir = root.state_dir();
    if disk::found(&dir)?.is_none() {
        return Ok(false);
    }
    let is_ours = |name: &String| name == "lock" || name == "history";
    Ok(disk::names(&dir)?.iter().all(is_ours) && history::numbers(root)?.is_empty())
}

/// Holds the lock; a state directory that holds nothing else goes with it.
pub(super) struct Lock<'a> {
    root: &'a Root,
    _file: File,
    // Not where the file system has no locks; then nothing keeps two runs apart, and each is whole nevertheless.
    pub is_held: bool,
}

impl<'a> Lock<'a> {
    pub fn take(root: &'a Root) -> Result<Self, ApplyError> {
        let path = root.path().join(STATE_DIR).join("lock");
        // Another process may remove the directory between two calls here; more than a few times in a row it does not.
        for _ in 0..16 {
            disk::create_dir(&root.state_dir(), false)?;
            let Some(place) = root.state("lock")? else { continue };
            let Some(file) = disk::open_lock(&place)? else { continue };
            let is_held = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => return Err(ApplyError::Locked { path }),
                Err(TryLockError::Error(error)) if has_no_locks(&error) => false,
                Err(TryLockError::Error(error)) => return Err(ApplyError::Io { action: "lock", path, error }),
            };
            if disk::is_at(&file, &place)? {
                return Ok(Self { root, _file: file, is_held });
            }
        }
        Err(ApplyError::Locked { path })
    }

    // Nothing but the lock is left: the lock goes, and the directory with it.
    fn release(&self) -> Result<(), ApplyError> {
        if !is_bare(self.root)? {
            return Ok(());
        }
        if let Some(history) = self.root.state("history")? {
            disk::remove_empty_dir(&history)?;
        }
        if let Some(lock) = self.root.state("lock")? {
            // It is still held here: who opens the file now sees that it is gone, and makes another.
            disk::remove_file(&lock)?;
        }
        disk::remove_empty_dir(&self.root.state_dir())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // What stays is a file of no bytes, which the next run takes.
        let _ = self.release();
    }
}

// As network file systems answer without a lock manager (`ENOLCK`), and others that have none.
fn has_no_locks(error: &io::Error) -> bool {
    const NO_LOCK_MANAGER: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(target_os = "linux") && error.raw_os_error() == Some(NO_LOCK_MANAGER))
}
