//! What a command leaves when it is cut off, and what the next one says about it.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use super::Command;
use crate::apply::{self, Root};
use crate::diag::Finding;
use crate::log::{self, Flight};

impl Command {
    /// Its name, as it is typed.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Facts(_) => "facts",
            Self::Plan(_) => "plan",
            Self::Explain(_) => "explain",
            Self::Fit(_) => "fit",
            Self::Load(_) => "load",
            Self::Apply(_) => "apply",
            Self::Verify(_) => "verify",
            Self::Validate(_) => "validate",
            Self::Rollback(_) => "rollback",
            Self::History(_) => "history",
            Self::Doctor(_) => "doctor",
            Self::Check(_) => "check",
            Self::Test(_) => "test",
            Self::Impact(_) => "impact",
            Self::New(_) => "new",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// What is put on record of a run that changes or measures something; `None` for those that only look, of which nothing
    /// is half done when they are cut off.
    pub(super) fn flight(&self, arguments: &[OsString]) -> Option<Flight> {
        let (root, then): (Option<&Path>, &str) = match self {
            Self::Apply(command) => (Some(command.writes()?), ""),
            Self::Rollback(command) => (Some(command.root()), ""),
            Self::Validate(command) => command.changes()?,
            Self::Load(_) => (None, "nothing is half done: the same command goes on with what is not cached yet"),
            Self::Test(command) if command.accepts() => {
                (None, "each snapshot is whole: run it again to take the rest, or restore them from version control")
            }
            _ => return None,
        };
        let time = jiff::Timestamp::now();
        Some(Flight {
            time: format!("{time:.0}"),
            arguments: log::line(arguments),
            folder: absolute(".").unwrap_or_else(|_| PathBuf::from(".")),
            root: root.and_then(|root| absolute(root).ok()),
            then: then.to_owned(),
        })
    }

    /// The installation in which it finishes or undoes what an apply or rollback left in flight, and says so.
    pub(super) fn recovers(&self) -> Option<&Path> {
        match self {
            Self::Apply(command) => command.writes(),
            Self::Verify(command) => Some(command.root()),
            Self::Rollback(command) => Some(command.root()),
            Self::History(command) => Some(command.root()),
            _ => None,
        }
    }
}

/// What is said of runs that were cut off; `recovers` is where this command finishes or undoes it, and says so itself.
pub(super) fn findings(flights: &[Flight], recovers: Option<&Path>) -> Vec<Finding> {
    let recovers = recovers.and_then(|root| absolute(root).ok());
    flights.iter().filter_map(|flight| finding(flight, recovers.as_deref())).collect()
}

fn finding(flight: &Flight, recovers: Option<&Path>) -> Option<Finding> {
    let then = match &flight.root {
        None => flight.then.clone(),
        Some(root) => {
            let shown = root.display();
            let is_half_done = Root::open(root).is_ok_and(|root| !matches!(apply::in_flight(&root), Ok(None)));
            if is_half_done && recovers == Some(root) {
                return None;
            }
            let first = match is_half_done {
                true => "the next command on that installation finishes or undoes what was being written, such as",
                false => "no file is half written; whether it counts is shown by",
            };
            format!(
                "{first} `wan22-policy history --root {shown}`. Then run it again to resume, or take it back with `wan22-policy \
                 rollback --root {shown}`"
            )
        }
    };
    let (arguments, folder) = (&flight.arguments, flight.folder.display());
    let message = format!("`wan22-policy {arguments}` was cut off (begun {} in `{folder}`)", flight.time);
    Some(Finding::warning("run-cut-off", message).help(then))
}
