//! `validate --start`: the stack is started, and how long it took becomes a fact and goes on record.

use std::env;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::apply::{self, Root};
use crate::cli::Screen;
use crate::cli::error::CliError;
use crate::diag::Finding;
use crate::facts::units::{Unit, parse_quantity};
use crate::facts::{Facts, Origin};
use crate::measured::{self, StartMeasurement};
use crate::validate::start::{self, Ready, StartError};

/// Whether and how the stack is started.
#[derive(Debug, Args)]
#[command(next_help_heading = "Start")]
pub(super) struct StartOptions {
    /// Start the stack with this command, in the directory, and measure how long it takes until it is ready
    ///
    /// It is stopped again with all that it started, also in the background and also when this program is killed; on macOS, with
    /// its process group. This is the only thing of the installation that is ever run; how long it took is kept in
    /// .wan22-policy/ for later validations.
    #[arg(long, value_name = "COMMAND", requires = "ready")]
    start: Option<String>,

    /// By what it shows that it is ready: an answer at this http:// address, or a line of its output with this text
    #[arg(long, value_name = "URL|TEXT", requires = "start", value_parser = Ready::parse)]
    ready: Option<Ready>,

    /// How long it may take at most
    #[arg(long, value_name = "TIME", default_value = "5 min", value_parser = parse_limit)]
    start_limit: Duration,
}

fn parse_limit(text: &str) -> Result<Duration, String> {
    let seconds = parse_quantity(text, Unit::Seconds).map_err(|error| error.to_string())?;
    match seconds.as_f64().filter(|seconds| (1.0..=86_400.0).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => Err("from one second to one day".to_owned()),
    }
}

impl StartOptions {
    /// Nothing is started.
    pub(super) fn none() -> Self {
        Self { start: None, ready: None, start_limit: Duration::ZERO }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.start.is_some()
    }

    /// Starts the stack in the folder; `None` where that is not asked.
    pub(super) fn start(&self, folder: &Path, screen: &mut Screen<'_>) -> Result<Option<Started>, CliError> {
        let Self { start: Some(command), ready: Some(ready), start_limit } = self else {
            return Ok(None);
        };
        if std::io::stderr().is_terminal() {
            let limit = start_limit.as_secs();
            screen.complain(&format!("`{command}` is started; it has {limit} s to be ready, and Ctrl-C stops it\n"));
        }
        let cancel = Arc::new(AtomicBool::new(false));
        let hooks = [SIGINT, SIGTERM].map(|signal| signal_hook::flag::register(signal, Arc::clone(&cancel)));
        let result = env::current_exe()
            .map_err(StartError::Unwatched)
            .and_then(|program| start::start(&program, command, folder, ready, *start_limit, &cancel));
        for hook in hooks.into_iter().flatten() {
            signal_hook::low_level::unregister(hook);
        }
        match result {
            Err(StartError::Cancelled) => Err(CliError::failed(StartError::Cancelled.to_string())),
            result => Ok(Some(Started(result))),
        }
    }

    /// Keeps how long a start took, for the next validation; that it cannot be kept is a finding.
    pub(super) fn keep(&self, root: &Root, started: &Started) -> Option<Finding> {
        let (Ok(took), Some(command)) = (&started.0, &self.start) else { return None };
        let start = StartMeasurement { command: command.clone(), seconds: took.as_secs_f64(), time: apply::now() };
        measured::record(root, |measured| measured.start = Some(start)).err().map(|error| measured::unwritten(&error))
    }
}

/// What became of a start.
pub(super) struct Started(Result<Duration, StartError>);

impl Started {
    /// Tells what was measured; why it was not is a finding.
    pub(super) fn tell(&self, facts: &mut Facts) -> Option<Finding> {
        let (time, date) = ("installation.start_time", "installation.start_date");
        match &self.0 {
            Ok(took) => {
                facts.know(time, took.as_secs_f64(), Origin::Measured);
                facts.know(date, apply::now(), Origin::Measured);
                facts.know("installation.starts", true, Origin::Installation);
                None
            }
            Err(error) => {
                // An earlier time is that of a stack which did start.
                for fact in [time, date] {
                    facts.forget(fact);
                    facts.unknown(fact, error.to_string());
                }
                facts.know("installation.starts", false, Origin::Installation);
                let said = error.said().join("\n");
                let help = (!said.is_empty()).then(|| format!("the last it said:\n{said}"));
                Some(Finding::error("start-failed", error.to_string()).maybe_help(help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_time_is_not_that_of_a_start_which_failed() {
        let mut facts = Facts::new("nobody");
        facts.know("installation.start_time", 9.5, Origin::Measured);
        facts.know("installation.start_date", "2026-08-01T12:00:00Z", Origin::Measured);
        let finding = Started(Err(StartError::Cancelled)).tell(&mut facts).unwrap();
        assert_eq!(finding.message, "stopped before it was ready");
        for fact in ["installation.start_time", "installation.start_date"] {
            assert_eq!((facts.value(fact), facts.reason(fact)), (None, "stopped before it was ready"), "{fact}");
        }
        assert_eq!(facts.value("installation.starts").and_then(|starts| starts.as_bool()), Some(false));
    }
}
