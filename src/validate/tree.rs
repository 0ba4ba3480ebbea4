//! The files of an installation, and which of them this user may write.

use std::path::Path;

use walkdir::WalkDir;

use super::below;
use super::sources::is_looked_into;

/// Most files that are listed; installations have a few thousand besides their environment.
const MAX_FILES: usize = 200_000;

/// The files of an installation.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Files below the root, sorted, with `/` between the parts; folders end with `/`.
    pub files: Vec<String>,
    /// Those that this user may not write, and `./` where it may add none to the root; `None` where the system does not tell.
    pub unwritable: Option<Vec<String>>,
}

impl Tree {
    /// Lists a folder; environments, caches and hidden folders are passed by, and links are not followed.
    pub fn read(root: &Path) -> Self {
        let mut tree = Self { files: Vec::new(), unwritable: may_write(root).map(|_| Vec::new()) };
        let entries = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_looked_into).flatten();
        for entry in entries.take(MAX_FILES) {
            let mut name = match entry.depth() {
                0 => ".".to_owned(),
                _ => below(root, entry.path()),
            };
            if entry.file_type().is_dir() {
                name.push('/');
            }
            if let Some(unwritable) = &mut tree.unwritable
                && may_write(entry.path()) == Some(false)
            {
                unwritable.push(name.clone());
            }
            if entry.depth() > 0 {
                tree.files.push(name);
            }
        }
        tree
    }
}

#[cfg(unix)]
fn may_write(path: &Path) -> Option<bool> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    use rustix::io::Errno;
    match accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Some(true),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => Some(false),
        Err(_) => None,
    }
}

// The access list would have to be evaluated; the attribute alone says only half.
#[cfg(not(unix))]
fn may_write(_: &Path) -> Option<bool> {
    None
}
