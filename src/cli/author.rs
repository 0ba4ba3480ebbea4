//! What the commands for policy authors share: the policies that are edited, and the machines that they are tested on.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use serde_json::Value;

use super::error::CliError;
use super::options::PolicyOptions;
use crate::corpus::{Corpus, Machine};
use crate::diag::did_you_mean;

/// The folder of policies that is edited, when none is named.
pub const POLICIES: &str = "policies";
/// The folder of machines, when none is named.
pub const MACHINES: &str = "tests/machines";

/// Which policies are tested, on which machines.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What is tested")]
pub struct AuthorOptions {
    /// Directories of policies, over those that come with the program [default: policies, where there is such a folder]
    ///
    /// What the system and the user have of their own does not count.
    #[arg(long = "policies", value_name = "DIR")]
    directories: Vec<PathBuf>,

    /// The folder of machines: facts files, as `new machine` writes them [default: tests/machines]
    #[arg(long, value_name = "DIR")]
    machines: Option<PathBuf>,

    /// Only the machine of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub machine: Vec<String>,

    /// The day (YYYY-MM-DD) that the expiry of overrides is compared with [default: today, in UTC]
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
}

/// The directories that are meant when none is named: the folder `policies`, where there is one.
pub fn edited_policies(named: &[PathBuf]) -> Vec<PathBuf> {
    match named {
        [] if Path::new(POLICIES).is_dir() => vec![PathBuf::from(POLICIES)],
        named => named.to_vec(),
    }
}

/// The policies of an author's directories. Nothing is written to a target here, so they may bring some.
pub fn policies(directories: Vec<PathBuf>) -> PolicyOptions {
    PolicyOptions { directories, allow_targets: true, no_site: true }
}

impl AuthorOptions {
    /// The policies.
    pub fn policies(&self) -> PolicyOptions {
        policies(edited_policies(&self.directories))
    }

    /// The directories of policies that are edited.
    pub fn directories(&self) -> Vec<PathBuf> {
        edited_policies(&self.directories)
    }

    /// The folder of machines.
    pub fn folder(&self) -> &Path {
        self.machines.as_deref().unwrap_or(Path::new(MACHINES))
    }

    /// The folder of invariants: beside the machines.
    pub fn invariants(&self) -> PathBuf {
        self.folder().parent().unwrap_or(Path::new("")).join("invariants")
    }

    /// The day that `expires` is compared with.
    pub fn as_of(&self) -> Date {
        self.as_of.unwrap_or_else(super::inputs::today)
    }

    /// The machines that are asked for, completed from the policies' table of cards.
    pub fn corpus(&self) -> Result<Corpus, CliError> {
        self.corpus_with(&self.policies().table("gpus")?)
    }

    /// The machines that are asked for, completed from this table. None at all is a mistake, not a success.
    pub fn corpus_with(&self, cards: &Value) -> Result<Corpus, CliError> {
        let folder = self.folder();
        let mut corpus = Corpus::read(folder, cards).map_err(|error| {
            let help = "name the folder of machines with --machines; `wan22-policy new machine` makes one";
            CliError::unreadable(folder, error).help(help)
        })?;
        if corpus.is_empty() {
            let message = format!("there is no machine in `{}`", folder.display());
            return Err(CliError::usage(message).help("make one with `wan22-policy new machine`"));
        }
        let names = || {
            let readable = corpus.machines.iter().map(|machine| machine.name.as_str());
            readable.chain(corpus.unreadable.iter().map(|(name, _)| name.as_str()))
        };
        if let Some(unknown) = self.machine.iter().find(|asked| names().all(|name| name != asked.as_str())) {
            let message = format!("there is no machine `{unknown}` in `{}`", folder.display());
            return Err(CliError::usage(message).maybe_help(did_you_mean(unknown, names())));
        }
        if !self.machine.is_empty() {
            corpus.machines.retain(|Machine { name, .. }| self.machine.contains(name));
            corpus.unreadable.retain(|(name, _)| self.machine.contains(name));
        }
        Ok(corpus)
    }
}
