//! What the system says of its page cache: how much came from the disks, and whether a page is there.

use std::path::Path;

use super::LoadedFile;

/// Places of a set at which it is asked whether they are in the cache: a hundredth that is gone is seen.
#[cfg(target_os = "linux")]
const SAMPLES: u64 = 2048;

/// File systems on disks whose reads the kernel counts for the process, by their numbers in `statfs(2)`, and `tmpfs`, which
/// reads none. Of the others some count nothing, as FUSE, and some what was cached too, as ZFS.
#[cfg(target_os = "linux")]
const COUNTED: &[u64] = &[
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0xF2F5_2010, // F2FS
    0x794C_7630, // overlay
    0x2011_BAB0, // exFAT
    0x4D44,      // FAT
    0x7366_746E, // NTFS
    0x0102_1994, // tmpfs
];

/// Whether the kernel counts what of these files comes from a disk.
#[cfg(target_os = "linux")]
pub fn is_counted<'a>(mut files: impl Iterator<Item = &'a Path>) -> bool {
    let kind = |path: &Path| rustix::fs::statfs(path).ok().and_then(|found| u64::try_from(found.f_type).ok());
    files.all(|path| kind(path).is_some_and(|kind| COUNTED.contains(&kind)))
}

/// Bytes that this process has caused disks to be read, all its threads together.
#[cfg(target_os = "linux")]
pub fn bytes_from_disks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
}

/// Share of what was loaded that is in the cache, by samples; `None` where the file system does not say.
#[cfg(target_os = "linux")]
pub fn kept(files: &[LoadedFile]) -> Option<f64> {
    use std::fs::File;

    use rustix::fs::{Advice, fadvise};

    let all: u64 = files.iter().map(|file| file.done).sum();
    let step = (all / SAMPLES).max(1);
    let (mut there, mut asked) = (0_u64, 0_u64);
    for file in files.iter().filter(|file| file.done > 0) {
        let opened = File::open(&file.file.path).ok()?;
        // Else a page that is missing would bring its neighbours with it, and they would be found.
        fadvise(&opened, 0, None, Advice::Random).ok()?;
        for at in (0..file.done).step_by(usize::try_from(step).ok()?) {
            there += u64::from(is_there(&opened, at)?);
            asked += 1;
        }
    }
    (asked > 0).then(|| there as f64 / asked as f64)
}

// Whether the byte at a place can be had without a disk.
#[cfg(target_os = "linux")]
fn is_there(file: &std::fs::File, at: u64) -> Option<bool> {
    use std::io::IoSliceMut;

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    match preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT) {
        Ok(read) => Some(read > 0),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
pub fn is_counted<'a>(_files: impl Iterator<Item = &'a Path>) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub fn bytes_from_disks() -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
pub fn kept(_files: &[LoadedFile]) -> Option<f64> {
    None
}
