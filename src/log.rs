//! The log: what each run of the program did, one JSON object a line, in a folder of the user's own.
//!
//! Commands say what they know with `tracing`; here it is written down. A line has the time, the id of its run, what it
//! says (`event`) and the fields of that; every text has gone through [`Redaction`], so that a log can be shown to others.
//! In the folder lie:
//!
//! ```text
//! wan22-policy.jsonl      the newest lines
//! wan22-policy.1.jsonl …  older ones, up to number 4
//! running/ID.json         what a run is changing right now, and leaves behind when it is cut off (`flight.rs`)
//! ```
//!
//! Files are bounded by size and not by day, because a script may run a command a thousand times a day, and a day without
//! runs is worth no file. A log that cannot be written is none: no command fails, waits or speaks because of it, but `doctor`
//! says why ([`unwritten`]).

use std::env;
use std::ffi::OsString;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::{error, info};
use tracing_subscriber::layer::SubscriberExt;

use crate::diag::{Finding, Severity};
use crate::redaction::Redaction;

mod file;
mod flight;
mod lines;
mod past;

pub use file::{KEPT, MOST_BYTES, files, unwritten};
pub use flight::{Flight, left_behind, running};
pub use past::{PastRun, runs};

use flight::Marker;
use lines::Lines;

/// The variable that moves the log, or with `off` switches it off.
pub const VARIABLE: &str = "WAN22_POLICY_LOG";

/// Findings of one run that are logged; the count says how many there are.
const MOST_FINDINGS: usize = 50;

/// The folder of the log; `None` where it is switched off, or nobody says where the user's files lie.
///
/// That of the variable, else `wan22-policy` in `XDG_STATE_HOME`, in `~/.local/state` (on macOS too, as the policies are in
/// `~/.config` there), on Windows in `LOCALAPPDATA`.
pub fn folder() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match variable(VARIABLE) {
        Some(value) if value.as_os_str() == "off" => None,
        Some(folder) => std::path::absolute(folder).ok(),
        None => {
            // A relative path counts for nothing in the specification of these folders.
            let place = |name| variable(name).filter(|path| path.is_absolute());
            let state = match cfg!(windows) {
                true => place("LOCALAPPDATA"),
                false => place("XDG_STATE_HOME").or_else(|| Some(place("HOME")?.join(".local/state"))),
            };
            Some(state?.join("wan22-policy"))
        }
    }
}

/// One run of the program, from its start to its end.
#[derive(Debug)]
pub struct Run {
    started: Instant,
    marker: Option<Marker>,
}

/// What the start of a run says of it.
#[derive(Debug)]
pub struct Start<'a> {
    /// Name of the command.
    pub command: &'a str,
    /// What was typed, without the name of the program.
    pub arguments: &'a [OsString],
    /// What it leaves when it is cut off, where that is worth a word.
    pub flight: Option<Flight>,
}

impl Run {
    /// Begins a run: from here on what is said with `tracing` is logged, to its end.
    ///
    /// Once in a process: a program that has a subscriber of its own keeps it, and hears the same.
    pub fn begin(folder: Option<&Path>, start: Start<'_>) -> Self {
        let id = format!("{:x}-{:x}", jiff::Timestamp::now().as_millisecond(), std::process::id());
        let lines = folder.and_then(|folder| Lines::open(folder, &id, Redaction::of_environment()));
        if let Some(lines) = lines {
            // One is enough, and it may not be this one.
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
        }
        let marker = start.flight.and_then(|flight| Marker::put(folder?, &id, &flight));
        info!(
            version = env!("CARGO_PKG_VERSION"),
            command = start.command,
            arguments = line(start.arguments),
            pid = std::process::id(),
            "start"
        );
        Self { started: Instant::now(), marker }
    }

    /// Ends it. A run that never comes here was cut off.
    pub fn end(self, exit: u8) {
        info!(exit, milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), "end");
        if let Some(marker) = self.marker {
            marker.remove();
        }
    }
}

/// Logs what was found, errors first: they say why a run was refused.
pub fn found(findings: &[Finding]) {
    let (errors, others): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.severity == Severity::Error);
    for finding in errors.into_iter().chain(others).take(MOST_FINDINGS) {
        let (code, text) = (finding.code.as_str(), finding.message.as_str());
        info!(code, severity = %finding.severity, text, "finding");
    }
    if !findings.is_empty() {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        info!(errors, warnings, notes = count(Severity::Note), "findings");
    }
}

/// Logs a critical rule of a validation that does not pass, and what is said of it.
pub fn unmet(rule: &str, text: &str) {
    info!(code = rule, severity = %Severity::Error, text, "rule");
}

/// Logs what stops a command.
pub fn stopped(text: &str) {
    error!(text, "error");
}

/// Logs a panic, which is a mistake of this program.
pub fn panicked(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or_default();
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    error!(text, at, "panic");
}

/// A command line as a shell reads it.
pub fn line(arguments: &[OsString]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%~\\[]".contains(c);
    let word = |argument: &OsString| {
        let text = argument.to_string_lossy();
        match !text.is_empty() && text.chars().all(plain) {
            true => text.into_owned(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let lines = Lines::open(folder.path(), "1", Redaction::default()).unwrap();
        let hear = tracing::Dispatch::new(tracing_subscriber::registry().with(lines));
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| tracing::dispatcher::with_default(&hear, || panicked(panic))));
        let ended = panic::catch_unwind(|| panic!("no setting, token: hf_Abcdefghijklmnop123"));
        panic::set_hook(usual);
        assert!(ended.is_err());
        let text = std::fs::read_to_string(folder.path().join("wan22-policy.jsonl")).unwrap();
        let line = text.lines().find(|line| line.contains("no setting")).unwrap();
        assert!(
            line.contains("\"event\":\"panic\"") && line.contains("src/log.rs:") && !line.contains("bcdefg"),
            "{line}"
        );
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let typed = ["apply", "--root", "my wan", "--set", "a=b's"].map(OsString::from);
        assert_eq!(line(&typed), r"apply --root 'my wan' --set 'a=b'\''s'");
    }

    #[test]
    fn a_run_writes_no_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let lines = Lines::open(folder.path(), "1", Redaction::default()).unwrap();
        let text = "word ".repeat(1000);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            (0..1000).for_each(|_| info!(text, "finding"));
            info!(exit = 0, "end");
        });
        let written = std::fs::read_to_string(folder.path().join("wan22-policy.jsonl")).unwrap();
        assert!(written.len() < 200 << 10 && written.lines().last().unwrap().contains("\"end\""), "{}", written.len());
    }
}
