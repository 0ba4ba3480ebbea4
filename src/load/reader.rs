//! Several readers, each a thread with files of its own, that take one block after the other.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Wanted;
use super::pass::Pass;

/// Bytes that a reader reads in a row, so that the kernel reads ahead of it, and the readers keep nearly to the order.
/// benches/load.rs: four times as many are no faster.
const BLOCK: u64 = 64 << 20;

/// Bytes that are read between two looks at whether to go on: on a slow disk some hundredths of a second.
const STEP: u64 = 1 << 20;

/// The readers of a load.
pub struct Readers {
    work: Arc<Work>,
    // Closed when the last of them has ended.
    ended: Receiver<()>,
}

struct Work {
    files: Vec<Wanted>,
    blocks: Vec<Block>,
    next: AtomicUsize,
    // Of each file.
    done: Vec<AtomicU64>,
    stop: AtomicBool,
    error: Mutex<Option<(usize, io::Error)>>,
}

#[derive(Clone, Copy)]
struct Block {
    file: usize,
    from: u64,
    to: u64,
}

impl Readers {
    /// Starts them on the first bytes, `fits`, of each file.
    pub fn start(files: &[Wanted], fits: &[u64], count: u16) -> Self {
        let mut blocks = Vec::new();
        for (file, &fits) in fits.iter().enumerate() {
            let starts = (0..fits).step_by(BLOCK as usize);
            blocks.extend(starts.map(|from| Block { file, from, to: fits.min(from + BLOCK) }));
        }
        let count = usize::from(count).clamp(1, blocks.len().max(1));
        let work = Arc::new(Work {
            done: files.iter().map(|_| AtomicU64::new(0)).collect(),
            files: files.to_vec(),
            blocks,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            error: Mutex::new(None),
        });
        let (sender, ended) = channel();
        for number in 0..count {
            let (own, end) = (Arc::clone(&work), sender.clone());
            let started = thread::Builder::new().name(format!("reader {number}")).spawn(move || own.read(end));
            // With one the work is done too.
            if started.is_err() && number == 0 {
                let work = Arc::clone(&work);
                work.read(sender.clone());
            }
        }
        Self { work, ended }
    }

    /// Waits until the last of them has ended, so long at most.
    pub fn wait(&self, most: Duration) -> Result<(), RecvTimeoutError> {
        self.ended.recv_timeout(most)
    }

    /// Lets them end soon.
    pub fn stop(&self) {
        self.work.stop.store(true, Ordering::Relaxed);
    }

    /// Bytes of each file that are in the cache.
    pub fn done(&self) -> Vec<u64> {
        self.work.done.iter().map(|done| done.load(Ordering::Relaxed)).collect()
    }

    /// What went wrong first, and with which file.
    pub fn error(&self) -> Option<(usize, io::Error)> {
        self.work.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Work {
    // The sender goes when the reader ends, however that is.
    fn read(&self, _end: Sender<()>) {
        let mut pass = Pass::new();
        let mut opened: Option<(usize, File)> = None;
        while let Some(&block) = self.blocks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = self.block(block, &mut opened, &mut pass) {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((block.file, error));
                self.stop.store(true, Ordering::Relaxed);
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn block(&self, block: Block, opened: &mut Option<(usize, File)>, pass: &mut Pass) -> io::Result<()> {
        // Of its own, for the kernel reads ahead where the one handle was last.
        let file = match opened.take().filter(|(file, _)| *file == block.file) {
            Some((_, file)) => file,
            None => pass.open(&self.files[block.file].path)?,
        };
        let mut at = block.from;
        while at < block.to && !self.stop.load(Ordering::Relaxed) {
            let passed = match pass.on(&file, at, STEP.min(block.to - at)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                passed => passed?,
            };
            if passed == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it was"));
            }
            at += passed;
            self.done[block.file].fetch_add(passed, Ordering::Relaxed);
        }
        *opened = Some((block.file, file));
        Ok(())
    }
}
