//! What stops a command.

#[cfg(windows)]
use std::fs;
use std::io;
use std::path::Path;

use super::{Exit, Screen};
use crate::apply::{ApplyError, Changed};
use crate::diag::Finding;
use crate::log;
use crate::policy::LoadError;
use crate::report::json::{self, FindingsReport};
use crate::report::{diff, findings, human};

/// Why a command ends before it has done its work.
#[derive(Debug)]
pub enum CliError {
    /// One thing that is wrong.
    Stop {
        /// The exit code.
        exit: Exit,
        /// One sentence, lower case, no final period.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Findings in files that were read, before there is a plan.
    Findings(Vec<Finding>),
}

impl CliError {
    /// Something cannot be read or written.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Stop { exit: Exit::Failed, message: message.into(), help: None }
    }

    /// The arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Stop { exit: Exit::Usage, message: message.into(), help: None }
    }

    /// A file cannot be read.
    pub fn unreadable(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::failed(format!("cannot read `{}`: {error}", path.display()))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        if let Self::Stop { help, .. } = &mut self {
            *help = Some(text.into());
        }
        self
    }

    /// Adds what to do about it, if there is something.
    #[must_use]
    pub fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// Prints it and gives the exit code.
    pub fn report(&self, screen: &mut Screen<'_>, is_json: bool) -> Exit {
        match self {
            Self::Stop { exit, message, help } => {
                log::stopped(message);
                let paint = screen.error_paint;
                let mut text = format!("{}: {message}\n", paint.bold(&paint.red("error")));
                if let Some(help) = help {
                    text += &format!("{}: {}\n", paint.bold("help"), human::wrap(help, 100, 6));
                }
                screen.complain(&text);
                *exit
            }
            Self::Findings(found) => {
                log::found(found);
                if is_json {
                    // The exit code says more than a failure to print it.
                    let _ = screen.print(&json::text(&FindingsReport::from(found.as_slice())));
                } else {
                    screen.complain(&findings::render(found, screen.error_paint));
                }
                exit_of(found)
            }
        }
    }
}

/// The exit code that findings before a plan lead to: not YAML (or a dump that is none) is a failure to read.
pub fn exit_of(findings: &[Finding]) -> Exit {
    let has = |codes: &[&str]| findings.iter().any(|finding| codes.contains(&finding.code.as_str()));
    if has(&["yaml-syntax", "malformed-dump"]) {
        Exit::Failed
    } else if has(&["no-such-gpu"]) {
        Exit::Usage
    } else {
        Exit::Refused
    }
}

impl From<Finding> for CliError {
    fn from(finding: Finding) -> Self {
        Self::Findings(vec![finding])
    }
}

impl From<Vec<Finding>> for CliError {
    fn from(findings: Vec<Finding>) -> Self {
        Self::Findings(findings)
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(findings) => Self::Findings(findings),
            LoadError::Unreadable { path, error } => Self::unreadable(&path, error),
        }
    }
}

// Whether Windows refuses because another program lets nobody else at the file.
#[cfg(windows)]
fn is_held(path: &Path, error: &io::Error) -> bool {
    use std::os::windows::fs::OpenOptionsExt;
    use windows_sys::Win32::Foundation::{ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION};
    use windows_sys::Win32::Storage::FileSystem::DELETE;

    let says = |error: &io::Error| {
        let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
        matches!(code, Some(ERROR_SHARING_VIOLATION | ERROR_LOCK_VIOLATION))
    };
    // Who replaces a file is only told that access is denied; who asks for the right to is told why.
    let asked = || fs::OpenOptions::new().access_mode(DELETE).open(path);
    says(error) || error.kind() == io::ErrorKind::PermissionDenied && asked().is_err_and(|error| says(&error))
}

// Elsewhere a file that is open can be replaced.
#[cfg(not(windows))]
fn is_held(_path: &Path, _error: &io::Error) -> bool {
    false
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        let (exit, help) = match &error {
            ApplyError::Locked { .. } => {
                (Exit::Failed, Some("wait until the other apply or rollback has ended, and try again"))
            }
            ApplyError::Changed { files, .. } => {
                let diffs: String = files.iter().map(diff_of).collect();
                let message = format!("{error}\n{}", diffs.trim_end());
                let help = "look at the change, and try again: the plan is written into what is there now";
                return Self::Stop { exit: Exit::Failed, message, help: Some(help.to_owned()) };
            }
            ApplyError::EditedSince { .. } => (
                Exit::Refused,
                Some("look at the edits with `wan22-policy verify`; give them up with `rollback --force`"),
            ),
            ApplyError::OutsideRoot { .. } => (Exit::Refused, Some("files outside the root are never written")),
            ApplyError::LinkInstead { .. } => {
                (Exit::Refused, Some("put the folder back, or remove what stands in its place"))
            }
            ApplyError::HardLinks { .. } => (
                Exit::Refused,
                Some("give the installation a file of its own: copy it, and move the copy over this name"),
            ),
            ApplyError::NotKept { .. } => (
                Exit::Failed,
                Some("where that is not allowed, run it as the owner of the file, or as root; nothing was written"),
            ),
            ApplyError::NoSuchApply { .. } => (Exit::Usage, Some("`wan22-policy history` lists the applies")),
            ApplyError::Io { path, error, .. } if is_held(path, error) => {
                (Exit::Failed, Some("the file is open in another program; close it, and try again"))
            }
            _ => (Exit::Failed, None),
        };
        Self::Stop { exit, message: error.to_string(), help: help.map(str::to_owned) }
    }
}

// What somebody changed meanwhile, where it is known what was there.
fn diff_of(changed: &Changed) -> String {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    match (text(&changed.was), text(&changed.is)) {
        (None, _) => String::new(),
        (Some(_), None) => format!("`{}` is gone\n", changed.file),
        (was, Some(is)) => diff::unified(&changed.file, was.as_deref(), &is),
    }
}
