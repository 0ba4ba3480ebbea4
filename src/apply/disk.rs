//! The file operations of an apply. Every one that changes the disk passes [`step`], where tests stop the run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApplyError;

/// Follows the name of a state file that is being written.
pub(super) const TEMPORARY: &str = ".new";

pub(super) fn io_error(action: &'static str, path: &Path, error: io::Error) -> ApplyError {
    ApplyError::Io { action, path: path.to_owned(), error }
}

fn step(action: &'static str, path: &Path) -> Result<(), ApplyError> {
    #[cfg(test)]
    if super::tests::faults::strike() {
        return Err(io_error(action, path, io::Error::other("stopped by the test")));
    }
    let _ = (action, path);
    Ok(())
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ApplyError> {
    unless_missing(fs::read(path)).map_err(|error| io_error("read", path, error))
}

/// A file of the state directory; `None` when there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ApplyError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let state = |error: serde_json::Error| ApplyError::State { path: path.to_owned(), message: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(state)
}

/// Writes a file of the state directory so that it is always the old or the new one.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ApplyError> {
    let temporary = beside(path, TEMPORARY);
    remove_file(&temporary)?;
    write_new(&temporary, &to_json(path, value)?, false)?;
    rename(&temporary, path)?;
    sync_parent(path)
}

/// As it stands in the state directory.
pub(super) fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, ApplyError> {
    let state = |error: serde_json::Error| ApplyError::State { path: path.to_owned(), message: error.to_string() };
    let mut bytes = serde_json::to_vec_pretty(value).map_err(state)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `dir/name` → `dir/.name<suffix>`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{suffix}"))
}

/// Writes a file that must not exist yet, down to the disk. A private one is for the owner's eyes only.
pub(super) fn write_new(path: &Path, bytes: &[u8], private: bool) -> Result<(), ApplyError> {
    step("create", path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut file = options.open(path).map_err(|error| io_error("create", path, error))?;
    step("write", path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| io_error("write", path, error))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), ApplyError> {
    step("replace", to)?;
    fs::rename(from, to).map_err(|error| io_error("replace", to, error))
}

/// Removes a file; fine when there is none.
pub(super) fn remove_file(path: &Path) -> Result<(), ApplyError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    step("remove", path)?;
    unless_missing(fs::remove_file(path)).map(drop).map_err(|error| io_error("remove", path, error))
}

/// Makes a directory, unless there is one.
pub(super) fn create_dir(path: &Path, private: bool) -> Result<(), ApplyError> {
    if path.is_dir() {
        return Ok(());
    }
    step("create", path)?;
    let builder = fs::DirBuilder::new();
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = builder;
        builder.mode(if private { 0o700 } else { 0o777 });
        builder
    };
    #[cfg(not(unix))]
    let _ = private;
    match builder.create(path) {
        Ok(()) => sync_parent(path),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(io_error("create", path, error)),
    }
}

/// Removes a directory that holds files only; fine when there is none.
pub(super) fn remove_dir_of_files(path: &Path) -> Result<(), ApplyError> {
    let Some(entries) = unless_missing(fs::read_dir(path)).map_err(|error| io_error("read", path, error))? else {
        return Ok(());
    };
    for entry in entries {
        remove_file(&entry.map_err(|error| io_error("read", path, error))?.path())?;
    }
    step("remove", path)?;
    unless_missing(fs::remove_dir(path)).map(drop).map_err(|error| io_error("remove", path, error))
}

/// Removes a directory if it is empty; leaves it, without a word, if it is not.
pub(super) fn remove_empty_dir(path: &Path) {
    if step("remove", path).is_ok() {
        let _ = fs::remove_dir(path);
    }
}

/// Brings the names in a file's directory down to the disk.
pub(super) fn sync_parent(path: &Path) -> Result<(), ApplyError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    step("sync", parent)?;
    #[cfg(unix)]
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|error| io_error("sync", parent, error))?;
    Ok(())
}

/// Opens the lock file, made when missing; `None` when its directory is gone.
pub(super) fn open_lock(path: &Path) -> Result<Option<File>, ApplyError> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(ApplyError::NotAFile { path: path.to_owned() });
    }
    step("open", path)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    unless_missing(file).map_err(|error| io_error("open", path, error))
}

/// Permission bits of a file; `None` when there is no file, or the system has none.
pub(super) fn mode(path: &Path) -> Result<Option<u32>, ApplyError> {
    let found = unless_missing(fs::metadata(path)).map_err(|error| io_error("read", path, error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Ok(found.map(|found| found.permissions().mode() & 0o7777))
    }
    #[cfg(not(unix))]
    Ok(found.and(None))
}

/// Gives a new file the mode, and the owner of the file it will replace.
pub(super) fn dress(path: &Path, mode: Option<u32>, like: &Path) -> Result<(), ApplyError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        if let (Ok(old), Ok(new)) = (fs::metadata(like), fs::metadata(path))
            && (old.uid(), old.gid()) != (new.uid(), new.gid())
        {
            step("change the owner of", path)?;
            // Only root may give a file away, and only to its own groups may others; then it stays with who applies.
            if chown(path, Some(old.uid()), Some(old.gid())).is_err() {
                let _ = chown(path, None, Some(old.gid()));
            }
        }
        if let Some(mode) = mode {
            step("change the mode of", path)?;
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, permissions).map_err(|error| io_error("change the mode of", path, error))?;
        }
    }
    #[cfg(not(unix))]
    let _ = (path, mode, like);
    Ok(())
}
