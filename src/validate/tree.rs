//! The files of an installation, and which of them this user may write.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::facts::probe::checkpoints::find::{elsewhere, is_environment, is_skipped};

/// Most files and folders that are listed; installations have a few thousand besides their environment.
const MOST: usize = 200_000;

/// The files of an installation.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Files and folders below the root, sorted by name.
    pub entries: Vec<Entry>,
    /// Those of a folder of models that lies elsewhere, by their whole paths; nothing there is ever written.
    pub elsewhere: Vec<Entry>,
    /// Names of those that this user may not write, and `./` where it may add none to the root; `None` where the system does
    /// not tell.
    pub unwritable: Option<Vec<String>>,
    /// What could not be listed, and why.
    pub unread: Vec<(String, String)>,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name below the root, or its whole path elsewhere, with `/` between the parts; that of a folder ends with `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl Entry {
    // `None` of a link, a pipe or a device, which is no file of an installation.
    fn new(mut name: String, entry: &DirEntry) -> Option<Self> {
        match entry.file_type() {
            kind if kind.is_dir() => name.push('/'),
            kind if kind.is_file() => {}
            _ => return None,
        }
        Some(Self { name, path: entry.path().to_owned() })
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        !self.name.ends_with('/')
    }
}

impl Tree {
    /// Lists a folder, and one of models that lies elsewhere; environments, caches and hidden folders are passed by.
    ///
    /// Links are followed only among the models, as a stack follows them.
    pub fn read(root: &Path, models: Option<&Path>) -> Self {
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
        if let Some((folder, place)) = models.and_then(|models| elsewhere(root, models)) {
            let walk = WalkDir::new(&folder).min_depth(1).follow_links(true).sort_by_file_name();
            let found = walk.into_iter().filter_entry(is_looked_into).flatten().take(MOST);
            let entries = found.filter_map(|e| Entry::new(format!("{place}/{}", below(&folder, e.path())), &e));
            tree.elsewhere.extend(entries);
        }
        tree
    }

    fn add(&mut self, root: &Path, entry: &DirEntry) {
        let name = if entry.depth() == 0 { ".".to_owned() } else { below(root, entry.path()) };
        let Some(found) = Entry::new(name, entry) else { return };
        if let Some(unwritable) = &mut self.unwritable
            && may_write(entry.path()) == Some(false)
        {
            unwritable.push(found.name.clone());
        }
        if entry.depth() > 0 {
            self.entries.push(found);
        }
    }

    /// The files below the root.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_file())
    }

    /// These, and those of the models elsewhere.
    pub fn all_files(&self) -> impl Iterator<Item = &Entry> {
        self.files().chain(self.elsewhere.iter().filter(|entry| entry.is_file()))
    }

    /// Whether there is a file or folder of that name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().chain(&self.elsewhere).any(|entry| entry.name == name)
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
