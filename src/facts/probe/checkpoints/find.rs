//! The files below a folder that may be checkpoints, by the ends of their names.
//!
//! Folders are searched level by level, so that models are found before what lies deep. Links are followed as long as they
//! stay in the folder; each folder is searched once.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::header::{Fault, printable};

/// Most entries of folders that are looked at. A large installation without its Python has some thousands.
const MAX_ENTRIES: usize = 100_000;

/// Most files that may be checkpoints.
const MAX_FILES: usize = 4096;

/// Deepest folder below the root; the cache of Hugging Face has models five deep.
const MAX_DEPTH: usize = 12;

/// Folders without models, which may be large.
const SKIPPED: [&str; 4] = ["__pycache__", "dist-packages", "node_modules", "site-packages"];

/// Files that make their folder a Python environment.
const ENVIRONMENTS: [&str; 2] = ["conda-meta", "pyvenv.cfg"];

/// Why a link was passed by.
pub const LEADS_OUT: &str = "is a link that leads out of the installation";

/// The format that a name ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.safetensors`
    Safetensors,
    /// `.safetensors.index.json`
    Index,
    /// `.gguf`
    Gguf,
    /// `.pth`, `.pt`
    Pth,
}

impl Kind {
    /// What a file of this name should be; `None` of one that is no checkpoint.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.rsplit('.').next() {
            Some("safetensors") => Some(Self::Safetensors),
            Some("gguf") => Some(Self::Gguf),
            Some("pth" | "pt") => Some(Self::Pth),
            Some("json") if name.ends_with(".safetensors.index.json") => Some(Self::Index),
            _ => None,
        }
    }
}

/// A file that may be a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where to open it; no link.
    pub path: PathBuf,
    /// Its folder from the root with `/`, printable; empty for the root.
    pub folder: String,
    /// Its name, printable.
    pub name: String,
    /// What it should be.
    pub kind: Kind,
}

impl Candidate {
    /// From the root, with `/`, printable.
    pub fn shown(&self) -> String {
        beside(&self.folder, &self.name)
    }
}

/// A path in a folder from the root.
pub fn beside(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What was found, and what was passed by.
#[derive(Debug, Default)]
pub struct Found {
    /// Name of the folder that was searched; empty for `/`.
    pub root: String,
    /// By folder and name.
    pub files: Vec<Candidate>,
    /// Folders from the root, with `/`, printable.
    pub folders: BTreeSet<String>,
    /// What was not looked into, from the root, and why.
    pub passed: Vec<(String, Fault)>,
}

/// A folder of models that lies outside of a root, without links, and its printable path with `/`; `None` where it lies in the
/// root, or is not there.
pub fn elsewhere(root: &Path, folder: &Path) -> Option<(PathBuf, String)> {
    let (root, folder) = (dunce::canonicalize(root).ok()?, dunce::canonicalize(folder).ok()?);
    let place = folder.to_string_lossy();
    let place = printable(&if cfg!(windows) { place.replace('\\', "/") } else { place.into_owned() });
    (!folder.starts_with(&root)).then_some((folder, place))
}

/// Whether a folder is a Python environment, with packages of others.
pub fn is_environment(folder: &Path) -> bool {
    ENVIRONMENTS.iter().any(|name| folder.join(name).exists())
}

/// Which links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Those that stay in the folder.
    Inside,
    /// All, as a stack follows them: the snapshots in the cache of Hugging Face are links to files beside their folder.
    Anywhere,
}

/// Searches a folder until a moment.
///
/// # Errors
/// Why the folder cannot be searched at all.
pub fn search(root: &Path, links: Links, until: Instant) -> Result<Found, String> {
    let cannot = |error: std::io::Error| format!("the folder cannot be searched: {error}");
    let root = dunce::canonicalize(root).map_err(cannot)?;
    fs::read_dir(&root).map_err(cannot)?;
    let seen = BTreeSet::from([root.clone()]);
    let mut search = Search { found: Found::default(), seen, queue: VecDeque::new(), root, links };
    search.found.root = search.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    search.queue.push_back((search.root.clone(), String::new(), 0));
    let mut entries = 0;
    while let Some((path, shown, depth)) = search.queue.pop_front() {
        let Ok(listed) = fs::read_dir(&path) else {
            search.pass(shown, "is a folder that cannot be listed");
            continue;
        };
        let mut names: Vec<_> = listed.flatten().take(MAX_ENTRIES - entries).collect();
        entries += names.len();
        names.sort_by_key(fs::DirEntry::file_name);
        let is_environment =
            |entry: &fs::DirEntry| ENVIRONMENTS.iter().any(|name| entry.file_name().to_str() == Some(name));
        if depth == 0 || !names.iter().any(is_environment) {
            names.iter().for_each(|entry| search.entry(&path, &shown, depth, entry));
        }
        if entries >= MAX_ENTRIES || search.found.files.len() >= MAX_FILES || Instant::now() > until {
            let left = search.queue.len();
            if left > 0 || entries >= MAX_ENTRIES {
                search.pass(".".to_owned(), format!("is too large to be searched whole: {left} folders are left"));
            }
            break;
        }
    }
    search.found.files.truncate(MAX_FILES);
    search.found.files.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
    Ok(search.found)
}

struct Search {
    root: PathBuf,
    links: Links,
    found: Found,
    // Folders without links on the way to them.
    seen: BTreeSet<PathBuf>,
    queue: VecDeque<(PathBuf, String, usize)>,
}

impl Search {
    fn pass(&mut self, shown: String, why: impl Into<String>) {
        self.found.passed.push((shown, Fault::Unread(why.into())));
    }

    fn entry(&mut self, folder: &Path, shown_folder: &str, depth: usize, entry: &fs::DirEntry) {
        let own = entry.file_name();
        let own = own.to_string_lossy();
        let (name, kind) = (printable(&own), Kind::of(&own));
        let shown = beside(shown_folder, &name);
        let Ok(file_type) = entry.file_type() else { return };
        let mut path = folder.join(entry.file_name());
        if file_type.is_symlink() {
            match dunce::canonicalize(&path) {
                Ok(real) if self.links == Links::Anywhere || real.starts_with(&self.root) => path = real,
                Ok(real) => {
                    if kind.is_some() || real.is_dir() && !is_skipped(&own) {
                        self.pass(shown, LEADS_OUT);
                    }
                    return;
                }
                Err(error) if kind.is_some() => {
                    match error.kind() {
                        std::io::ErrorKind::NotFound => {
                            let what = "is a link, and its file is not there".to_owned();
                            self.found.passed.push((shown, Fault::Incomplete(what)));
                        }
                        _ => self.pass(shown, format!("is a link that cannot be followed: {error}")),
                    }
                    return;
                }
                Err(_) => return,
            }
        }
        let Ok(metadata) = path.metadata() else { return };
        if metadata.is_dir() {
            if depth < MAX_DEPTH && !is_skipped(&own) && self.seen.insert(path.clone()) {
                self.found.folders.insert(shown.clone());
                self.queue.push_back((path, shown, depth + 1));
            }
        } else if let Some(kind) = kind {
            match metadata.is_file() {
                true => {
                    let folder = shown_folder.to_owned();
                    self.found.files.push(Candidate { path, folder, name, kind });
                }
                false => self.pass(shown, "is no regular file"),
            }
        }
    }
}

/// Whether a folder of this name holds nothing of the installation's own. Hidden folders hold caches, versions and half
/// downloads.
pub fn is_skipped(name: &str) -> bool {
    name.starts_with('.') || SKIPPED.contains(&name)
}
