//! An installation with two config files, `config.json` and `engine/config.json`, and few policies of our own.
//!
//! It lies in memory where the system has a place for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::program::program;

const MACHINE: &str = "tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml";

/// The config files.
pub const TARGETS: [&str; 2] = ["config.json", "engine/config.json"];

/// A directory in memory, if there is one.
pub fn temporary() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    directory.unwrap()
}

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The policies, which many installations share.
pub struct Policies(TempDir);

impl Policies {
    pub fn new() -> Self {
        let directory = temporary();
        // An empty file removes the shipped one of its name.
        for folder in ["", "data", "models", "stacks", "targets"] {
            let made = directory.path().join(folder);
            fs::create_dir_all(&made).unwrap();
            for entry in fs::read_dir(repository("policies").join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "yaml") {
                    fs::write(made.join(path.file_name().unwrap()), "").unwrap();
                }
            }
        }
        for (from, to) in [
            ("tests/cli/10-small.yaml", "10-small.yaml"),
            ("tests/cli/models.yaml", "05-models.yaml"),
            ("tests/faults/target.yaml", "targets/two-files.yaml"),
        ] {
            fs::copy(repository(from), directory.path().join(to)).unwrap();
        }
        Self(directory)
    }

    /// A command on a root: its name, then its arguments.
    pub fn command(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut command = program();
        command.arg(arguments[0]).arg("--root").arg(root);
        if arguments[0] == "apply" {
            command.arg("--policies").arg(self.0.path()).args(["--allow-targets", "--no-site", "--facts"]);
            command.arg(repository(MACHINE)).args(["--as-of", "2026-08-01"]);
        }
        command.args(&arguments[1..]).env("XDG_CONFIG_HOME", root.join("no-such-folder")).current_dir(self.0.path());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, root: &Path, arguments: &[&str]) -> Output {
        self.command(root, arguments).output().unwrap()
    }
}

/// The installation before anything was applied.
pub fn fresh() -> Tree {
    let mut tree = Tree::default();
    tree.put("config.json", 0o640, "{\r\n    \"video\": { \"tile\": 128, \"fps\": 24 },\r\n    \"watch\": {}\r\n}\r\n");
    tree.put("run.py", 0o755, "");
    tree.folder("engine", 0o755);
    tree.put("engine/config.json", 0o600, "{ \"cpu\": { \"threads\": 4 }, \"secret\": \"x\" }\n");
    tree
}

/// All that is in a directory, by names relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tree(pub BTreeMap<String, Node>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Folder { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { to: PathBuf },
}

impl Tree {
    pub fn put(&mut self, name: &str, mode: u32, text: &str) {
        let mode = if cfg!(unix) { mode } else { 0 };
        self.0.insert(name.to_owned(), Node::File { mode, bytes: text.as_bytes().to_vec() });
    }

    pub fn folder(&mut self, name: &str, mode: u32) {
        let mode = if cfg!(unix) { mode } else { 0 };
        self.0.insert(name.to_owned(), Node::Folder { mode });
    }

    /// What a directory holds.
    pub fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.collect(root, "");
        tree
    }

    fn collect(&mut self, directory: &Path, prefix: &str) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            let found = fs::symlink_metadata(&path).unwrap();
            let node = if found.is_symlink() {
                Node::Link { to: fs::read_link(&path).unwrap() }
            } else if found.is_dir() {
                self.collect(&path, &format!("{name}/"));
                Node::Folder { mode: mode(&found) }
            } else {
                Node::File { mode: mode(&found), bytes: fs::read(&path).unwrap() }
            };
            self.0.insert(name, node);
        }
    }

    /// Makes a directory that holds this.
    pub fn make(&self) -> TempDir {
        let directory = temporary();
        self.write(directory.path());
        directory
    }

    /// Writes this into an empty directory.
    pub fn write(&self, directory: &Path) {
        // A folder stands before what is in it.
        for (name, node) in &self.0 {
            let path = directory.join(name);
            match node {
                Node::Folder { mode } => {
                    fs::create_dir(&path).unwrap();
                    set_mode(&path, *mode);
                }
                Node::File { mode, bytes } => {
                    fs::write(&path, bytes).unwrap();
                    set_mode(&path, *mode);
                }
                #[cfg(unix)]
                Node::Link { to } => std::os::unix::fs::symlink(to, &path).unwrap(),
                #[cfg(not(unix))]
                Node::Link { .. } => panic!("no links here"),
            }
        }
    }

    /// The config files with their modes; `None` where there is none.
    pub fn targets(&self) -> [Option<&Node>; 2] {
        TARGETS.map(|name| self.0.get(name))
    }

    /// The same, whenever it was made: the times that the program writes are blank.
    pub fn timeless(&self) -> Self {
        let blank = |(name, node): (&String, &Node)| match node {
            Node::File { mode, bytes } if name.starts_with(".wan22-policy/") => {
                (name.clone(), Node::File { mode: *mode, bytes: without_times(bytes) })
            }
            node => (name.clone(), node.clone()),
        };
        Self(self.0.iter().map(blank).collect())
    }

    /// How another differs from this one, a line for each name.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let one = |name: &String| match (self.0.get(name), other.0.get(name)) {
            (old, new) if old == new => None,
            (None, Some(_)) => Some(format!("{name} is too much")),
            (Some(_), None) => Some(format!("{name} is missing")),
            _ => Some(format!("{name} differs")),
        };
        names.into_iter().filter_map(one).collect()
    }
}

// The bytes may be half of a file.
fn without_times(bytes: &[u8]) -> Vec<u8> {
    const KEY: &[u8] = b"\"time\": \"";
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY) {
        let (before, after) = rest.split_at(at + KEY.len());
        out.extend_from_slice(before);
        rest = &after[after.iter().position(|byte| *byte == b'"').unwrap_or(after.len())..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}
