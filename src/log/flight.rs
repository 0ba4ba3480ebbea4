//! What is in flight: a file for each run that changes something, locked while it runs.
//!
//! A lock ends with its process, however that ends, and no other process can have it by chance, as it could have a number.
//! So a file whose lock can be had is of a run that was cut off.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file;

/// Largest file of this folder that is read, in bytes.
const MOST: u64 = 64 << 10;

/// What a run does that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flight {
    /// When it began, RFC 3339 in UTC, to the second.
    pub time: String,
    /// What was typed, without the name of the program.
    pub arguments: String,
    /// The folder it was typed in.
    pub folder: PathBuf,
    /// The installation whose journal knows what is half done, as an absolute path; `None` for what no journal knows.
    pub root: Option<PathBuf>,
    /// How to go on or take back what it did, where no journal tells.
    pub then: String,
}

/// The file of this run.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    // Holds the lock.
    _file: File,
}

impl Marker {
    /// Says on disk what this run is about to do; `None` where that cannot be, or nothing could tell that it was cut off.
    pub fn put(folder: &Path, run: &str, flight: &Flight) -> Option<Self> {
        let folder = folder.join("running");
        file::make(&folder).ok()?;
        let path = folder.join(format!("{run}.json"));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).ok()?;
        let text = serde_json::to_string(flight).ok()?;
        let written = file.try_lock().is_ok() && file.write_all(text.as_bytes()).is_ok();
        if !written {
            let _ = fs::remove_file(&path);
            return None;
        }
        // For a loss of power, which is what it is there for.
        let _ = file.sync_all();
        Some(Self { path, _file: file })
    }

    /// The run has ended by itself. The lock is held until the name is gone.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What runs that were cut off were doing, the oldest first. Each is told once: who is told is the last to know.
pub fn left_behind(folder: &Path) -> Vec<Flight> {
    let take = |path: PathBuf| {
        let file = File::options().read(true).write(true).open(&path).ok()?;
        file.try_lock().ok()?;
        let flight = read(&file);
        fs::remove_file(&path).ok()?;
        flight
    };
    paths(folder).into_iter().filter_map(take).collect()
}

/// What other runs are doing right now, and what runs that were cut off were doing of which nobody was told yet.
pub fn running(folder: &Path) -> Vec<Flight> {
    paths(folder).into_iter().filter_map(|path| read(&File::open(path).ok()?)).collect()
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("running")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

// Empty where a loss of power came before it was on disk.
fn read(file: &File) -> Option<Flight> {
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
