//! The watcher of Windows: it puts itself into a job, and all that the command starts ends with the job.
//!
//! That its standard input is closed, by the program or by the system because the program was killed, means that the
//! command is to stop. It ends as the command has ended.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::thread;

use super::{StartError, job, watcher};

/// A command and all that it started, which end with this.
pub(super) struct Running {
    pub(super) watcher: Child,
}

impl Running {
    pub(super) fn start(program: &Path, command: &str, folder: &Path) -> Result<Self, StartError> {
        let watcher = watcher(program, command, folder).stdin(Stdio::piped()).spawn();
        Ok(Self { watcher: watcher.map_err(StartError::Unwatched)? })
    }

    /// How the command has ended; `None` while it runs.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, StartError> {
        self.watcher.try_wait().map_err(StartError::Unwatched)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// Runs the command until it is told to stop, and ends all that it started.
///
/// # Errors
/// The command cannot be run.
pub(super) fn watch(command: &OsStr) -> io::Result<()> {
    // Said where the command speaks, for only that is heard.
    let say = |error: &io::Error| drop(writeln!(io::stderr(), "cannot run the command: {error}"));
    job::hold().inspect_err(say)?;
    let mut shell = Command::new("cmd");
    // `cmd` reads quotes in its own way.
    let mut shell = shell.arg("/C").raw_arg(command).stdin(Stdio::null()).spawn().inspect_err(say)?;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit(1)
    });
    let status = shell.wait()?;
    // The job and all in it end here.
    exit(status.code().unwrap_or(1))
}
