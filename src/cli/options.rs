//! Options that several commands share.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use super::error::CliError;
use crate::diag::{self, Finding, did_you_mean};
use crate::facts::probe::Installation;
use crate::facts::probe::software::environment::is_python;
use crate::facts::workload::Workload;
use crate::policy::{self, LoadOptions, LoadedFile, PolicySet, What, compile, load};
use crate::settings::{SETTINGS, SettingSpec};

/// Which policies count.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policies")]
pub struct PolicyOptions {
    /// Read the policies in this directory too; may be given several times, the last wins
    ///
    /// A file there replaces the one of the same name that comes with the program; an empty one removes it.
    #[arg(long = "policies", value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    /// Let policy directories bring targets, that is, name files to write
    #[arg(long)]
    pub allow_targets: bool,

    /// Leave out /etc/wan22-policy/policies.d and ~/.config/wan22-policy/policies.d
    #[arg(long)]
    pub no_site: bool,
}

impl PolicyOptions {
    /// Reads and compiles them.
    pub fn compile(&self) -> Result<PolicySet, CliError> {
        self.compile_what(What::Policies)
    }

    /// Reads and compiles them with the rules of a validation.
    pub fn compile_rules(&self) -> Result<PolicySet, CliError> {
        self.compile_what(What::Validation)
    }

    /// Reads, checks and compiles the policies and the tables of facts.
    pub fn compile_all(&self) -> Result<PolicySet, CliError> {
        self.compile_what(What::All)
    }

    /// Reads and compiles them together with files of another kind.
    pub fn compile_with(&self, more: &[LoadedFile]) -> Result<PolicySet, CliError> {
        let (mut files, findings) = load(&self.load_options(What::Policies))?;
        files.extend_from_slice(more);
        compiled(&files, findings)
    }

    fn compile_what(&self, what: What) -> Result<PolicySet, CliError> {
        let (files, findings) = load(&self.load_options(what))?;
        compiled(&files, findings)
    }

    /// A table that facts are completed from; null when there is none.
    pub fn table(&self, name: &str) -> Result<Value, CliError> {
        let (files, _) = load(&self.load_options(What::Tables))?;
        Ok(policy::table(&files, name)?)
    }

    /// What is to be read for them.
    pub fn load_options(&self, what: What) -> LoadOptions {
        let site = !self.no_site;
        LoadOptions {
            directories: self.directories.clone(),
            site,
            allow_targets: self.allow_targets,
            what,
            texts: Vec::new(),
        }
    }
}

// The files' policies; what is odd about them stands before what their compilation finds.
fn compiled(files: &[LoadedFile], mut findings: Vec<Finding>) -> Result<PolicySet, CliError> {
    match compile(files) {
        Ok(mut set) => {
            findings.append(&mut set.findings);
            set.findings = findings;
            info!(hash = set.hash, "policies");
            Ok(set)
        }
        Err(mut errors) => {
            findings.append(&mut errors);
            Err(findings.into())
        }
    }
}

/// What is asked besides the machine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Question")]
pub struct QuestionOptions {
    /// The model to run, and the video's width, height (px) and number of frames [default: the only one on
    /// the disk, else ti2v-5b]
    ///
    /// Without a size, the one that the model is usually run at. Example: ti2v-5b:1280x704x49 is a video of two
    /// seconds.
    #[arg(long, value_name = "MODEL[:WxHxF]")]
    pub workload: Option<Workload>,

    /// What to favour where there is a choice [default: balanced]
    #[arg(long, value_enum)]
    pub goal: Option<Goal>,

    /// Pin a setting to a value of your own, such as vae.tile_size=256 or monitor.interval=5s
    ///
    /// May be given several times. A pin beats every policy; what it breaks is a finding.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_pin)]
    pub pins: Vec<(String, Value)>,

    /// The day (YYYY-MM-DD) that the expiry of overrides is compared with [default: today, in UTC]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,

    /// Go on in spite of an error: turns the finding of that code into a warning
    ///
    /// May be given several times. Examples: undecided, or the id of a check.
    #[arg(long, value_name = "CODE")]
    pub allow: Vec<String>,
}

/// What to favour where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The shortest time
    Speed,
    /// Full quality at a good speed
    Balanced,
    /// The least memory
    Memory,
}

impl Goal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::Balanced => "balanced",
            Self::Memory => "memory",
        }
    }
}

// `vae.tile_size=256` → the setting and its value in the canonical unit.
pub fn parse_pin(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    let spec = known_setting(name)?;
    let value = spec.parse(value).map_err(|error| match spec.range() {
        range if range.is_empty() => error.to_string(),
        range => format!("{error}; it may be {range}"),
    })?;
    Ok((name.to_owned(), value))
}

/// The setting of that name.
pub fn known_setting(name: &str) -> Result<&'static SettingSpec, String> {
    SETTINGS.find(name).ok_or_else(|| {
        let help = did_you_mean(name, SETTINGS.iter().map(|spec| spec.name.as_str()));
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        format!("unknown setting `{name}`{help}")
    })
}

/// Refuses a code that is neither a finding's nor a check's.
pub fn known_codes(codes: &[String], set: &PolicySet) -> Result<(), CliError> {
    let known = || {
        let checks = set.checks.iter().map(|check| check.id.as_str());
        diag::CODES.iter().map(|info| info.name).chain(checks)
    };
    let Some(code) = codes.iter().find(|code| known().all(|known| known != code.as_str())) else { return Ok(()) };
    let is_rule = set.validation.rules.iter().any(|rule| rule.id == *code);
    let help = match is_rule {
        true => Some(format!(
            "it is a rule of `validate`; a policy file leaves it out: `validation: {{ disable: [{code}] }}`"
        )),
        false => did_you_mean(code, known()),
    };
    Err(CliError::usage(format!("no finding has the code `{code}`")).maybe_help(help))
}

/// Which installation.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Installation")]
pub struct RootOptions {
    /// The directory of the installation [default: the current directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl RootOptions {
    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("."))
    }
}

/// An installation whose packages and disk are asked about.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Installation")]
pub struct InstallationOptions {
    #[command(flatten)]
    root: RootOptions,

    /// The Python that the stack runs in: its interpreter, or the folder of its environment [default: that in DIR]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,

    /// A folder of models that lies elsewhere, such as on another disk, besides those in the directory
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
}

impl InstallationOptions {
    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Where the packages and the disk are that facts are about.
    pub fn installation(&self) -> Result<Installation, CliError> {
        if let Some(python) = self.python.as_deref().filter(|python| !is_python(python)) {
            let help = "name its interpreter, or the folder that holds its `pyvenv.cfg` or `conda-meta`";
            return Err(CliError::usage(format!("there is no Python at `{}`", python.display())).help(help));
        }
        if let Some(models) = self.models.as_deref().filter(|models| !models.is_dir()) {
            return Err(CliError::failed(format!("there is no folder `{}`", models.display())));
        }
        // The current folder may have been deleted, and need not be there.
        if self.path() != Path::new(".") && !self.path().is_dir() {
            return Err(CliError::failed(format!("there is no folder `{}`", self.path().display())));
        }
        let Self { python, models, .. } = self.clone();
        Ok(Installation { folder: Some(self.path().to_owned()), python, models })
    }
}

/// Which stack an installation is of.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Installation")]
pub struct TargetOptions {
    /// The stack, such as wan22-ui, when it cannot be recognised by its files
    #[arg(long, value_name = "ID")]
    pub target: Option<String>,
}

/// How a command prints.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// For people, or as JSON that `wan22-policy schema` describes
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
}

impl OutputOptions {
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_checked_against_its_setting() {
        assert_eq!(parse_pin("monitor.retention = 72 h").unwrap(), ("monitor.retention".to_owned(), 259_200.into()));
        assert!(parse_pin("vae.tile_sise=256").unwrap_err().contains("did you mean `vae.tile_size`?"));
        assert!(parse_pin("vae.tile_size=100").unwrap_err().contains("it may be 64 px to 4096 px"));
        assert!(parse_pin("vae.tile_size").is_err());
    }
}
