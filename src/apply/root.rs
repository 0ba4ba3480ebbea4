//! The folder that targets are named relative to, and what a name in it leads to.
//!
//! The root is opened once, and everything below it is reached from there, one folder after the other, none of them
//! through a link. So nothing that happens to the names while a command runs leads it out of the root.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_fs_ext::DirExt;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{ApplyError, STATE_DIR, disk};

/// Links that are followed on the way to one file, as many as Linux does.
const LINKS: usize = 40;

/// Names that Windows gives to devices, whatever the extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// An existing directory; every file that is read or written lies below it.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    dir: Arc<Dir>,
}

/// A name in an open folder below the root.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub folder: Arc<Dir>,
    pub name: String,
    /// Relative to the root, with `/`, no link on the way.
    pub relative: String,
    /// For messages.
    pub path: PathBuf,
}

impl Place {
    /// Another name in the same folder.
    pub fn beside(&self, name: String) -> Self {
        let relative = match self.relative.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name.clone(),
        };
        Self { folder: self.folder.clone(), path: self.path.with_file_name(&name), name, relative }
    }

    /// Whether both are the same name in the same folder.
    pub fn is(&self, other: &Self) -> bool {
        self.relative == other.relative
    }
}

impl Root {
    /// Opens a directory.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ApplyError> {
        let path = path.as_ref();
        let real = dunce::canonicalize(path).map_err(|error| disk::io_error("open", path, error))?;
        match Dir::open_ambient_dir(&real, ambient_authority()) {
            Ok(dir) => Ok(Self { path: real, dir: Arc::new(dir) }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(ApplyError::NotADirectory { path: path.to_owned() })
            }
            Err(error) => Err(disk::io_error("open", path, error)),
        }
    }

    /// Absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file or folder of this name, be it a link that leads elsewhere.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn has(&self, file: &str) -> Result<bool, ApplyError> {
        match self.resolve(file) {
            Ok(place) => Ok(disk::found(&place)?.is_some()),
            Err(ApplyError::NotAFile { .. } | ApplyError::OutsideRoot { .. }) => Ok(true),
            Err(error @ ApplyError::Io { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// A file of the state directory; `None` where its folder is not there.
    ///
    /// # Errors
    /// When a link stands where a folder should, or the folder cannot be opened.
    pub(super) fn state(&self, name: &str) -> Result<Option<Place>, ApplyError> {
        self.place(&format!("{STATE_DIR}/{name}"))
    }

    /// The state directory itself, as a name in the root.
    pub(super) fn state_dir(&self) -> Place {
        self.at(&[], self.dir.clone(), STATE_DIR.to_owned())
    }

    /// A name that has no links in it, such as [`resolve`](Self::resolve) gave; `None` where its folder is not there.
    ///
    /// # Errors
    /// When a link stands where a folder should, or the folder cannot be opened.
    pub(super) fn place(&self, relative: &str) -> Result<Option<Place>, ApplyError> {
        let mut names: Vec<&str> = relative.split('/').collect();
        let name = names.pop().unwrap_or_default();
        if relative.split('/').any(|part| !is_one_name(part)) {
            return Err(self.bad_name(relative));
        }
        let mut folder = self.dir.clone();
        for (depth, part) in names.iter().enumerate() {
            let path = || self.path.join(names[..=depth].join("/"));
            folder = match folder.open_dir_nofollow(part) {
                Ok(folder) => Arc::new(folder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(_) if folder.symlink_metadata(part).is_ok_and(|found| found.is_symlink()) => {
                    return Err(ApplyError::LinkInstead { path: path() });
                }
                Err(error) => return Err(disk::io_error("open", &path(), error)),
            };
        }
        let passed: Vec<String> = names.into_iter().map(str::to_owned).collect();
        Ok(Some(self.at(&passed, folder, name.to_owned())))
    }

    fn at(&self, passed: &[String], folder: Arc<Dir>, name: String) -> Place {
        let relative = [passed, std::slice::from_ref(&name)].concat().join("/");
        Place { folder, path: self.path.join(&relative), name, relative }
    }

    fn bad_name(&self, file: &str) -> ApplyError {
        ApplyError::BadName { file: file.to_owned(), root: self.path.clone() }
    }

    /// The file that a name leads to, all links followed; the file itself need not exist.
    ///
    /// # Errors
    /// When the name or a link leads out of the root or into the state directory, or to what is no regular file.
    pub(super) fn resolve(&self, file: &str) -> Result<Place, ApplyError> {
        if file.is_empty() || !file.split('/').all(is_one_name) {
            return Err(self.bad_name(file));
        }
        let asked = self.path.join(file);
        let mut folders = vec![self.dir.clone()];
        let mut passed: Vec<String> = Vec::new();
        let mut ahead: Vec<OsString> = file.rsplit('/').map(OsString::from).collect();
        // The last link, and how many names are ahead once all that it says is passed.
        let mut link: Option<(PathBuf, usize)> = None;
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                if passed.pop().is_none() {
                    return Err(self.outside(&asked));
                }
                folders.pop();
                continue;
            }
            let name = part.to_str().ok_or_else(|| self.bad_name(&part.to_string_lossy()))?.to_owned();
            // Some file systems do not tell upper from lower case.
            if passed.is_empty() && name.eq_ignore_ascii_case(STATE_DIR) {
                return Err(self.bad_name(file));
            }
            let Some(folder) = folders.last().cloned() else { return Err(self.outside(&asked)) };
            let place = self.at(&passed, folder, name);
            match place.folder.symlink_metadata(&place.name) {
                Ok(found) if found.is_symlink() => {
                    links += 1;
                    if links > LINKS {
                        return Err(disk::io_error("find", &asked, io::Error::other("too many links")));
                    }
                    let leads = place.folder.read_link_contents(&place.name);
                    let leads = leads.map_err(|error| disk::io_error("read", &place.path, error))?;
                    let leads = if leads.is_absolute() {
                        passed.clear();
                        folders.truncate(1);
                        self.below(&leads, &place, &asked)?
                    } else {
                        leads
                    };
                    link = Some((place.path, ahead.len()));
                    ahead.extend(steps(&leads).rev());
                }
                Ok(found) if found.is_dir() && !ahead.is_empty() => {
                    let opened = place.folder.open_dir_nofollow(&place.name);
                    let opened = opened.map_err(|error| disk::io_error("open", &place.path, error))?;
                    folders.push(Arc::new(opened));
                    passed.push(place.name);
                }
                Ok(found) if found.is_file() && ahead.is_empty() => return Ok(place),
                Ok(found) if found.is_file() => return Err(ApplyError::NoDirectory { path: asked }),
                Ok(_) => return Err(ApplyError::NotAFile { path: asked }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return match link {
                        Some((path, after)) if ahead.len() >= after => Err(ApplyError::DanglingLink { path }),
                        _ if ahead.is_empty() => Ok(place),
                        _ => Err(ApplyError::NoDirectory { path: asked }),
                    };
                }
                Err(error) => return Err(disk::io_error("find", &place.path, error)),
            }
        }
        // The links lead to a folder.
        Err(ApplyError::NotAFile { path: asked })
    }

    // An absolute link as a path from the root; how the link spells the way to the root does not matter.
    fn below(&self, leads: &Path, link: &Place, asked: &Path) -> Result<PathBuf, ApplyError> {
        if let Ok(rest) = leads.strip_prefix(&self.path) {
            return Ok(rest.to_owned());
        }
        match dunce::canonicalize(leads) {
            Ok(real) => match real.strip_prefix(&self.path) {
                Ok(rest) => Ok(rest.to_owned()),
                Err(_) => Err(ApplyError::OutsideRoot { path: asked.to_owned(), real, root: self.path.clone() }),
            },
            Err(_) => Err(ApplyError::DanglingLink { path: link.path.clone() }),
        }
    }

    fn outside(&self, path: &Path) -> ApplyError {
        let real = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        ApplyError::OutsideRoot { path: path.to_owned(), real, root: self.path.clone() }
    }
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let step = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().filter_map(step).collect::<Vec<_>>().into_iter()
}

// Whether it names one thing in a folder, on every system: Windows reads `C:x` as another disk, `a:b` as a stream of
// `a`, and leaves dots and spaces at the end out.
fn is_one_name(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let is_numbered = |family: &str| {
        let is_digit = |c: char| matches!(c, '0'..='9' | '¹' | '²' | '³');
        stem.strip_prefix(family).is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(is_digit))
    };
    !part.is_empty()
        && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*'))
        && !part.ends_with(['.', ' '])
        && !DEVICES.contains(&stem.as_str())
        && !is_numbered("com")
        && !is_numbered("lpt")
}
