//! The files of the log, bounded in all.
//!
//! No crate turns files over between processes: several runs write at once, each line with one call at the end of the
//! file, and one of them renames.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes at which a file is full. A run adds no more than `lines.rs` lets it, so none has much more.
pub const MOST_BYTES: u64 = 1 << 20;

/// Files that are kept: 5 MiB, of some thousand runs.
pub const KEPT: usize = 5;

/// How long a run may take to turn the files over before others write at the end of the full one, and how often they ask.
/// Estimate: it takes five renames.
const PATIENCE: Duration = Duration::from_millis(200);
const TRY: Duration = Duration::from_millis(1);

/// The files that there may be, the newest first.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    (0..KEPT).map(|number| named(folder, number)).filter(|path| path.is_file()).collect()
}

fn named(folder: &Path, number: usize) -> PathBuf {
    folder.join(if number == 0 { "wan22-policy.jsonl".to_owned() } else { format!("wan22-policy.{number}.jsonl") })
}

/// Why no line can be written in that folder; `None` where one can. Makes the folder and the file, as a run does.
pub fn unwritten(folder: &Path) -> Option<io::Error> {
    open(folder).err()
}

/// The newest file, to write at its end; a full one has become an older one.
pub(super) fn open(folder: &Path) -> io::Result<File> {
    make(folder)?;
    let path = named(folder, 0);
    let file = append(&path)?;
    if file.metadata()?.len() < MOST_BYTES {
        return Ok(file);
    }
    // Another run that is at it has the lock, or has renamed the file already. One that stops there is not waited for long.
    if !is_locked(&file) || fs::metadata(&path).map_or(0, |now| now.len()) < MOST_BYTES {
        return append(&path);
    }
    for number in (1..KEPT).rev() {
        let newer = named(folder, number - 1);
        if newer.is_file() {
            fs::rename(newer, named(folder, number))?;
        }
    }
    append(&path)
}

// Takes the lock, if whoever has it gives it back in time.
fn is_locked(file: &File) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return true,
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(TRY),
            Err(_) => return false,
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        // A pipe that nobody reads is not waited for.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("`{}` is no file", path.display())));
    }
    Ok(file)
}

/// Makes a folder that only its user may look into.
///
/// # Errors
/// It cannot be made, or this is root in a folder of somebody else, who could not write again what root makes there.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find_map(|folder| Some((folder, fs::metadata(folder).ok()?)));
    if let Some((there, _)) = there.as_ref().filter(|(_, there)| !there.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is no folder", there.display())));
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        if rustix::process::geteuid().is_root() && there.is_none_or(|(_, there)| there.uid() != 0) {
            let why = "it belongs to another user, who could not write again what root makes there";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        builder.mode(0o700);
    }
    builder.create(folder)
}
