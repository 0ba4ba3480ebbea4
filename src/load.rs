//! Load: the files of a checkpoint set → what of them is in the page cache, and how fast the disk gave it.
//!
//! [`set`] finds and checks the files, [`load`] reads them with several readers, [`unrecognised`] says what there is where no
//! set is, and [`instead`] what else on the disk would do. No weight reaches this process where the system can pass pages on without a copy (`pass.rs`). What is in the
//! cache already costs nothing, so a load that was cancelled goes on where it ended, without a record of its own.
//!
//! The cache holds only what the RAM has room for ([`room`]): the first bytes in the order of a run are read, and the rest is
//! left on the disk, for reading it would push out what was read before.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::Value;

pub mod instead;
mod pass;
mod reader;
mod residency;
pub mod set;
pub mod unrecognised;

use crate::facts::Facts;
use reader::Readers;

/// How often the progress is told, and whether to go on is asked.
const TICK: Duration = Duration::from_millis(50);

/// How long readers that wait for a disk are waited for when the load is cancelled; then they are left behind.
const PARTING: Duration = Duration::from_millis(40);

/// RAM that is left alone at least: 1 GiB.
///
/// Estimate: what the system, the stack's Python and other programs take more of while it is loaded.
const LEAST_MARGIN: u64 = 1 << 30;

/// Part of the RAM that is left alone: one in this many. Estimate: below some hundredths of the RAM the kernel begins to
/// take pages back.
const MARGIN_SHARE: u64 = 16;

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// How far a load has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are in the page cache.
    pub done: u64,
    /// Bytes that will be.
    pub total: u64,
    /// Since the start.
    pub elapsed: Duration,
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Each file, in the order of the request.
    pub files: Vec<LoadedFile>,
    /// Bytes that came from the disk; `None` where the system does not count them, as on network file systems.
    pub read: Option<u64>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
    /// Share of what was loaded that was in the cache when it ended, 0 to 1, by samples; `None` when cancelled, and where
    /// the system does not say.
    pub kept: Option<f64>,
}

/// What was loaded of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedFile {
    /// The file.
    pub file: Wanted,
    /// Its first bytes for which there was room.
    pub fits: u64,
    /// Bytes of them that are in the page cache.
    pub done: u64,
}

impl Loaded {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.file.bytes).sum()
    }

    /// Bytes that are in the page cache.
    pub fn done(&self) -> u64 {
        self.files.iter().map(|file| file.done).sum()
    }

    /// Bytes that there was no room for.
    pub fn left_out(&self) -> u64 {
        self.files.iter().map(|file| file.file.bytes - file.fits).sum()
    }

    /// Bytes that were in the page cache before; `None` where nobody knows.
    pub fn cached_before(&self) -> Option<u64> {
        self.read.map(|read| self.done().saturating_sub(read))
    }

    /// Whether all files were loaded and at least 95 % came from the disk, so that the time is that of the disk, or a twentieth
    /// shorter.
    pub fn is_all_from_the_disk(&self) -> bool {
        let nearly_all = self.bytes() / 20 * 19;
        !self.is_cancelled && self.left_out() == 0 && self.read.is_some_and(|read| read >= nearly_all)
    }

    /// Rate at which the disk gave what came from it, bytes/s; `None` where nothing did, or nobody knows.
    pub fn rate(&self) -> Option<u64> {
        let rate = self.read? as f64 / self.elapsed.as_secs_f64();
        (rate.is_finite() && rate >= 1.0).then_some(rate as u64)
    }
}

/// Why a file was not loaded.
#[derive(Debug)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for LoadError {}

/// Bytes of files that the RAM of a machine can hold now, beside what is in use; `None` where nobody knows.
///
/// Reads `ram.available`, which counts the cache of files as free, and is what the cgroup leaves where it has a limit.
pub fn room(facts: &Facts) -> Option<u64> {
    let bytes = |name: &str| facts.value(name).and_then(Value::as_u64);
    let all = bytes("ram.total").into_iter().chain(bytes("ram.limit")).min().unwrap_or(0);
    Some(bytes("ram.available")?.saturating_sub(LEAST_MARGIN.max(all / MARGIN_SHARE)))
}

/// Brings files into the page cache with so many readers, as far as `room` reaches in bytes, in this order.
///
/// Tells the progress some twenty times a second, and ends soon when `cancel` is set.
///
/// # Errors
/// The first file that cannot be read; what was read before stays in the cache.
pub fn load(
    files: &[Wanted],
    room: Option<u64>,
    readers: u16,
    cancel: &AtomicBool,
    mut tell: impl FnMut(Progress),
) -> Result<Loaded, LoadError> {
    let mut left = room.unwrap_or(u64::MAX);
    let fits: Vec<u64> = files
        .iter()
        .map(|file| {
            let fits = file.bytes.min(left);
            left -= fits;
            fits
        })
        .collect();
    let is_counted = residency::is_counted(files.iter().map(|file| &*file.path));
    let before = residency::bytes_from_disks();
    let start = Instant::now();
    let total = fits.iter().sum();
    let readers = Readers::start(files, &fits, readers);
    let mut is_cancelled = false;
    loop {
        let ended = readers.wait(if is_cancelled { PARTING } else { TICK });
        tell(Progress { done: readers.done().iter().sum(), total, elapsed: start.elapsed() });
        if ended != Err(RecvTimeoutError::Timeout) || is_cancelled {
            break;
        }
        if cancel.load(Ordering::Relaxed) {
            is_cancelled = true;
            readers.stop();
        }
    }
    let elapsed = start.elapsed();
    if let Some((file, error)) = readers.error() {
        return Err(LoadError { path: files[file].path.clone(), error });
    }
    let done = readers.done();
    if let (false, Some(short)) = (is_cancelled, (0..files.len()).find(|&file| done[file] < fits[file])) {
        let error = io::Error::other("a reader ended before its time");
        return Err(LoadError { path: files[short].path.clone(), error });
    }
    let read = before.zip(residency::bytes_from_disks()).filter(|_| is_counted);
    let done_in_all = done.iter().sum::<u64>();
    let files = files.iter().zip(fits).zip(done);
    let files: Vec<LoadedFile> =
        files.map(|((file, fits), done)| LoadedFile { file: file.clone(), fits, done }).collect();
    Ok(Loaded {
        kept: if is_cancelled { None } else { residency::kept(&files) },
        files,
        // Pages that were read ahead of the readers when they were stopped are not done yet.
        read: read.map(|(before, after)| after.saturating_sub(before).min(done_in_all)),
        elapsed,
        is_cancelled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;

    #[test]
    fn the_room_leaves_a_margin() {
        let room_of = |facts: &[(&str, u64)]| {
            let mut known = Facts::new("");
            facts.iter().for_each(|(name, bytes)| known.know(*name, *bytes, Origin::Sysinfo));
            room(&known)
        };
        let gib = |count: u64| count << 30;
        assert_eq!(room_of(&[("ram.total", gib(64)), ("ram.available", gib(60))]), Some(gib(56)));
        assert_eq!(room_of(&[("ram.total", gib(8)), ("ram.available", gib(6))]), Some(gib(5)));
        let limited = [("ram.total", gib(512)), ("ram.limit", gib(32)), ("ram.available", gib(30))];
        assert_eq!(room_of(&limited), Some(gib(28)));
        assert_eq!(room_of(&[("ram.total", gib(64)), ("ram.available", gib(1))]), Some(0));
        assert_eq!(room_of(&[("ram.total", gib(64))]), None);
    }

    #[test]
    fn only_what_there_is_room_for_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, vec![7; 3 << 20]).unwrap();
            Wanted { path, bytes: 3 << 20 }
        };
        let files = [file("a"), file("b"), file("c")];
        let mut last = None;
        let loaded = load(&files, Some(4 << 20), 3, &AtomicBool::new(false), |progress| last = Some(progress)).unwrap();
        let done: Vec<u64> = loaded.files.iter().map(|file| file.done >> 20).collect();
        assert_eq!((done, loaded.left_out() >> 20, loaded.done() >> 20), (vec![3, 1, 0], 5, 4));
        let last = last.unwrap();
        assert_eq!((last.done, last.total), (4 << 20, 4 << 20));
        assert!(!loaded.is_cancelled);
        let nothing = load(&files, Some(0), 3, &AtomicBool::new(false), |_| {}).unwrap();
        assert_eq!((nothing.done(), nothing.left_out() >> 20), (0, 9));
    }

    #[test]
    fn the_time_of_a_model_is_that_of_all_of_it_from_the_disk() {
        let file = Wanted { path: "a".into(), bytes: 1000 };
        let loaded = |fits, read| Loaded {
            files: vec![LoadedFile { file: file.clone(), fits, done: fits }],
            read,
            elapsed: Duration::from_secs(1),
            is_cancelled: false,
            kept: None,
        };
        assert!(loaded(1000, Some(1000)).is_all_from_the_disk() && loaded(1000, Some(950)).is_all_from_the_disk());
        assert!(!loaded(1000, Some(900)).is_all_from_the_disk() && !loaded(1000, None).is_all_from_the_disk());
        assert!(!loaded(990, Some(990)).is_all_from_the_disk());
    }

    #[test]
    fn a_file_that_ends_early_or_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let read = |bytes| {
            let files = [Wanted { path: path.clone(), bytes }];
            load(&files, None, 2, &AtomicBool::new(false), |_| {}).map_err(|error| error.to_string())
        };
        let error = read(5).unwrap_err();
        assert!(error.starts_with(&format!("cannot read `{}`: ", path.display())), "{error}");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(4).unwrap().done(), 4);
        assert!(read(5).unwrap_err().ends_with("it is shorter than it was"));
    }

    #[test]
    fn a_load_that_is_cancelled_before_it_begins_reads_nothing_to_speak_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let start = Instant::now();
        let files = [Wanted { path, bytes: 1 << 40 }];
        let loaded = load(&files, None, 1, &AtomicBool::new(true), |_| {}).unwrap();
        assert!(loaded.is_cancelled);
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(loaded.done() <= 16 << 30, "{}", loaded.done());
    }
}
