//! The directory that targets are named relative to, and what a name in it leads to.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{ApplyError, STATE_DIR, disk};

/// An existing directory; every file that is read or written lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Opens a directory.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ApplyError> {
        let path = path.as_ref();
        let real = fs::canonicalize(path).map_err(|error| disk::io_error("open", path, error))?;
        if !real.is_dir() {
            return Err(ApplyError::NotADirectory { path: path.to_owned() });
        }
        Ok(Self { path: real })
    }

    /// Absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the state directory.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.path.join(STATE_DIR).join(name)
    }

    /// Makes the state directory; refuses one that is a link, which could lead anywhere.
    pub(super) fn make_state_dir(&self) -> Result<(), ApplyError> {
        let path = self.path.join(STATE_DIR);
        disk::create_dir(&path, false)?;
        self.refuse_link(&path)
    }

    /// Refuses a directory of ours that is a link.
    pub(super) fn refuse_link(&self, path: &Path) -> Result<(), ApplyError> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                let real = fs::canonicalize(path).unwrap_or_default();
                Err(ApplyError::OutsideRoot { path: path.to_owned(), real, root: self.path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The file that a name leads to, all links followed; the file itself need not exist.
    pub(super) fn resolve(&self, file: &str) -> Result<PathBuf, ApplyError> {
        let bad_name = || ApplyError::BadName { file: file.to_owned(), root: self.path.clone() };
        let mut components = Path::new(file).components().peekable();
        // Some file systems do not tell upper from lower case.
        let in_state = components.peek().is_some_and(|c| c.as_os_str().eq_ignore_ascii_case(STATE_DIR));
        if file.is_empty() || in_state || !components.all(|c| matches!(c, Component::Normal(_))) {
            return Err(bad_name());
        }
        let path = self.path.join(file);
        let mut missing = Vec::new();
        for part in path.ancestors() {
            match fs::canonicalize(part) {
                Ok(real) if !real.starts_with(&self.path) => {
                    return Err(ApplyError::OutsideRoot { path, real, root: self.path.clone() });
                }
                Ok(real) if real.starts_with(self.path.join(STATE_DIR)) => return Err(bad_name()),
                Ok(real) => {
                    return match missing.as_slice() {
                        [] if !real.is_file() => Err(ApplyError::NotAFile { path }),
                        [] => Ok(real),
                        [name] if real.is_dir() => Ok(real.join(name)),
                        _ => Err(ApplyError::NoDirectory { path }),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if fs::symlink_metadata(part).is_ok() {
                        return Err(ApplyError::DanglingLink { path: part.to_owned() });
                    }
                    missing.extend(part.file_name());
                }
                Err(error) => return Err(disk::io_error("find", part, error)),
            }
        }
        Err(ApplyError::NoDirectory { path })
    }

    /// A resolved path as a name relative to the root, with `/`.
    pub(super) fn relative(&self, path: &Path) -> Result<String, ApplyError> {
        let parts = path.strip_prefix(&self.path).ok().map(|rest| rest.components().map(|c| c.as_os_str().to_str()));
        parts
            .and_then(|parts| parts.collect::<Option<Vec<_>>>())
            .map(|parts| parts.join("/"))
            .ok_or_else(|| ApplyError::BadName { file: path.to_string_lossy().into_owned(), root: self.path.clone() })
    }
}
