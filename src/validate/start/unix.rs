//! The watcher of Linux and other Unixes: it asks all that the command started to end, and then kills it.
//!
//! The program and its watcher hold the two ends of a pair of sockets. That the program's end is closed, by itself or by
//! the system because it was killed, means that the command is to stop. On its own end the watcher says in four bytes what
//! it started, or by a number below zero why not, and in four more how that has ended.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::process::kill_process;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, wait};
use signal_hook::consts::{SIGINT, SIGTERM};

#[cfg(target_os = "linux")]
use super::descendants::descendants;
use super::{LOOK, STOP, StartError, watcher};

/// How long the watcher may take to begin, on a machine that is busy.
const BEGINNING: Duration = Duration::from_secs(10);

/// How long what was killed is waited for: its parent may never ask how it has ended, and then it stays in its group.
const DYING: Duration = Duration::from_millis(500);

/// A command and all that it started, which end with this.
pub(super) struct Running {
    pub(super) watcher: Child,
    line: UnixStream,
    group: Pid,
    status: Option<ExitStatus>,
}

impl Running {
    pub(super) fn start(program: &Path, command: &str, folder: &Path) -> Result<Self, StartError> {
        let (mut line, its_end) = UnixStream::pair().map_err(StartError::Unwatched)?;
        line.set_read_timeout(Some(BEGINNING)).map_err(StartError::Unwatched)?;
        // A group of its own, because the Ctrl-C that ends this process must not end it.
        let mut command = watcher(program, command, folder);
        command.stdin(OwnedFd::from(its_end)).process_group(0);
        let mut watcher = command.spawn().map_err(StartError::Unwatched)?;
        // It holds the watcher's end as well, and the end of the watcher would not be seen.
        drop(command);
        let begun = hear(&mut line).and_then(|number| line.set_nonblocking(true).map(|()| number));
        let failed = match begun.map(|number| (Pid::from_raw(number.max(0)), number)) {
            Ok((Some(group), _)) => return Ok(Self { watcher, line, group, status: None }),
            Ok((None, number)) => StartError::Unrunnable(io::Error::from_raw_os_error(-number)),
            Err(error) => StartError::Unwatched(error),
        };
        drop(line);
        thread::spawn(move || watcher.wait());
        Err(failed)
    }

    /// How the command has ended; `None` while it runs.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, StartError> {
        if self.status.is_none() {
            self.status = match hear(&mut self.line) {
                Ok(status) => Some(ExitStatus::from_raw(status)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) => return Err(StartError::Unwatched(error)),
            };
        }
        Ok(self.status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.line.shutdown(Shutdown::Both);
        let is_done = self.watcher.wait().is_ok_and(|status| status.success());
        if !is_done {
            // Somebody has killed the watcher. What is still in the group of the command can be found without it.
            let _ = kill_process_group(self.group, Signal::KILL);
            let killed = Instant::now();
            while test_kill_process_group(self.group).is_ok() && killed.elapsed() < DYING {
                thread::sleep(LOOK);
            }
        }
    }
}

fn hear(line: &mut UnixStream) -> io::Result<i32> {
    let mut number = [0; 4];
    line.read_exact(&mut number).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::other("its watcher has ended"),
        _ => error,
    })?;
    Ok(i32::from_ne_bytes(number))
}

/// Runs the command until it is told to stop, and ends all that it started.
///
/// # Errors
/// Something is left that even the kernel does not end.
pub(super) fn watch(command: &OsStr) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    line.set_read_timeout(Some(LOOK))?;
    let mut shell = match adopt().and_then(|()| shell(command)) {
        Ok(shell) => shell,
        Err(error) => return line.write_all(&(-error.raw_os_error().unwrap_or(1)).to_ne_bytes()),
    };
    let group = Pid::from_child(&shell);
    // That nobody hears it is seen when the line is read.
    let _ = line.write_all(&group.as_raw_pid().to_ne_bytes());
    // Only now does the command run: who has to stop it knows its group.
    let _ = shell.stdin.take().map(|mut go| go.write_all(b"\n"));
    while !stop.load(Ordering::Relaxed) && is_held(&mut line) {
        reap(|process, status| {
            if process == group {
                let _ = line.write_all(&status.to_ne_bytes());
            }
        });
    }
    end(group)
}

// Makes this process the parent of all that loses its own below it, so that nothing leaves the tree, and gives it a name
// by which nobody who ends the program, as `killall` does, meets it too.
#[cfg(target_os = "linux")]
fn adopt() -> io::Result<()> {
    let _ = std::fs::write("/proc/self/comm", "wan22-watcher");
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

#[cfg(not(target_os = "linux"))]
fn adopt() -> io::Result<()> {
    Ok(())
}

// A shell that becomes that of the command when it hears a line, and ends when it hears that none comes.
fn shell(command: &OsStr) -> io::Result<Child> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _ && exec sh -c \"$1\" </dev/null", "sh"]).arg(command);
    shell.process_group(0).stdin(Stdio::piped()).spawn()
}

// Whether the program holds its end; waits for a look's time to see.
fn is_held(line: &mut UnixStream) -> bool {
    match line.read(&mut [0]) {
        Ok(read) => read > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
    }
}

// Hears of the children that have ended, and how; whether there are others.
fn reap(mut hear: impl FnMut(Pid, i32)) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((process, status))) => hear(process, status.as_raw()),
            Ok(None) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn end(group: Pid) -> io::Result<()> {
    // Asked once: what is started from then on, to save a state, may do so.
    tell(group, Signal::TERM);
    let asked = Instant::now();
    while reap(|_, _| {}) && asked.elapsed() < STOP {
        thread::sleep(LOOK);
    }
    let killed = Instant::now();
    while reap(|_, _| {}) {
        if killed.elapsed() > STOP {
            return Err(io::Error::other("something that the command started does not end"));
        }
        // Again and again, for what was just being started.
        tell(group, Signal::KILL);
        thread::sleep(LOOK);
    }
    if cfg!(not(target_os = "linux")) {
        // What outlived its parent is nobody's child here.
        tell(group, Signal::KILL);
    }
    Ok(())
}

// Tells all that descend from the command.
#[cfg(target_os = "linux")]
fn tell(group: Pid, word: Signal) {
    match descendants() {
        Ok(found) => {
            for process in found {
                // One that has ended meanwhile need not be told.
                let _ = kill_process(process, word);
            }
        }
        Err(_) => {
            let _ = kill_process_group(group, word);
        }
    }
}

// Tells the group of the command; what has left it cannot be found.
#[cfg(not(target_os = "linux"))]
fn tell(group: Pid, word: Signal) {
    let _ = kill_process_group(group, word);
}
