//! The files of an installation, and which of them this user may write.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::facts::probe::checkpoints::find::{is_environment, is_skipped};

/// Most files and folders that are listed; installations have a few thousand besides their environment.
const MOST: usize = 200_000;

/// The files of an installation.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Files and folders below the root, sorted by name.
    pub entries: Vec<Entry>,
    /// Names of those that this user may not write, and `./` where it may add none to the root; `None` where the system does
    /// not tell.
    pub unwritable: Option<Vec<String>>,
    /// What could not be listed, and why.
    pub unread: Vec<(String, String)>,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name below the root, with `/` between the parts; that of a folder ends with `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl Entry {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        !self.name.ends_with('/')
    }
}

impl Tree {
    /// Lists a folder; environments, caches and hidden folders are passed by, and links are not followed.
    pub fn read(root: &Path) -> Self {
        let mut tree = Self { unwritable: may_write(root).map(|_| Vec::new()), ..Self::default() };
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_looked_into) {
            match entry {
                Ok(entry) => tree.add(root, &entry),
                Err(error) => {
                    let name = error.path().map_or_else(|| ".".to_owned(), |path| below(root, path));
                    tree.unread.push((name, error.to_string()));
                }
            }
            if tree.entries.len() >= MOST {
                tree.unread.push((".".to_owned(), format!("it has more than {MOST} files")));
                break;
            }
        }
        tree
    }

    fn add(&mut self, root: &Path, entry: &DirEntry) {
        let mut name = if entry.depth() == 0 { ".".to_owned() } else { below(root, entry.path()) };
        match entry.file_type() {
            kind if kind.is_dir() => name.push('/'),
            kind if kind.is_file() => {}
            // A link, a pipe or a device is no file of the installation.
            _ => return,
        }
        if let Some(unwritable) = &mut self.unwritable
            && may_write(entry.path()) == Some(false)
        {
            unwritable.push(name.clone());
        }
        if entry.depth() > 0 {
            self.entries.push(Entry { name, path: entry.path().to_owned() });
        }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_file())
    }

    /// Whether there is a file or folder of that name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }
}

fn is_looked_into(entry: &DirEntry) -> bool {
    let is_others = || is_skipped(&entry.file_name().to_string_lossy()) || is_environment(entry.path());
    entry.depth() == 0 || !entry.file_type().is_dir() || !is_others()
}

// As people write it: below the root, with `/`.
fn below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
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
