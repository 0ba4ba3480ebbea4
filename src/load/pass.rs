//! Reads a file for its pages' sake alone.
//!
//! Linux passes the pages on to `/dev/null`: they come into the cache and nobody copies them, so a reader takes a fifteenth
//! of the CPU time of a copy, which where others compute is what binds. Elsewhere they are copied into a buffer.

use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes of a copy. Larger ones leave the caches of the CPU.
const BUFFER: usize = 256 << 10;

/// What a reader reads with.
pub struct Pass {
    // Where pages go; `None` where they cannot be passed on.
    #[cfg(target_os = "linux")]
    null: Option<File>,
    buffer: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Pass {
    pub fn new() -> Self {
        Self { null: File::options().write(true).open("/dev/null").ok(), buffer: Vec::new() }
    }

    /// Opens a file that will be read in a row. A pipe that stands there by now is not waited for.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        use rustix::fs::{Advice, Mode, OFlags, fadvise, open};

        let file = File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
        regular(&file)?;
        // The kernel reads twice as far ahead; a file system that takes no advice reads all the same.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(file)
    }

    /// Reads at most so many bytes from a place on; gives how many there were.
    pub fn on(&mut self, file: &File, at: u64, bytes: u64) -> io::Result<u64> {
        use rustix::io::Errno;

        if let Some(null) = &self.null {
            let mut offset = at;
            let most = usize::try_from(bytes).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(null, file, Some(&mut offset), most) {
                Ok(passed) => return Ok(passed as u64),
                // Of this file system, or in this container.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => self.null = None,
                Err(error) => return Err(error.into()),
            }
        }
        copy(&mut self.buffer, file, at, bytes)
    }
}

#[cfg(not(target_os = "linux"))]
impl Pass {
    pub fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    pub fn open(&self, path: &Path) -> io::Result<File> {
        let file = File::open(path)?;
        regular(&file)?;
        Ok(file)
    }

    pub fn on(&mut self, file: &File, at: u64, bytes: u64) -> io::Result<u64> {
        copy(&mut self.buffer, file, at, bytes)
    }
}

fn regular(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no regular file any more")),
    }
}

fn copy(buffer: &mut Vec<u8>, file: &File, at: u64, bytes: u64) -> io::Result<u64> {
    buffer.resize(BUFFER, 0);
    let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(BUFFER);
    read_at(file, &mut buffer[..most], at).map(|read| read as u64)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, vec![1; 700 << 10]).unwrap();
        let mut pass = Pass::new();
        let file = pass.open(&path).unwrap();
        let all = |pass: &mut Pass| {
            let mut at = 0;
            while let passed @ 1.. = pass.on(&file, at, 1 << 20).unwrap() {
                at += passed;
            }
            at
        };
        assert_eq!(all(&mut pass), 700 << 10);
        #[cfg(target_os = "linux")]
        {
            pass.null = None;
            assert_eq!(all(&mut pass), 700 << 10);
        }
        assert!(pass.open(folder.path()).is_err());
    }
}
