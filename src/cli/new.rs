//! `new`: the file that a policy author begins with.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::author::{self, MACHINES, POLICIES, edited_policies};
use super::error::CliError;
use super::inputs::today;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, QuestionOptions, known_setting};
use super::question::Ask;
use super::schema::first_line;
use super::{Exit, Screen};
use crate::diag::Source;
use crate::diag::placeholder::PLACEHOLDER;
use crate::facts::{Facts, Origin, probe};
use crate::policy::{What, compile, load};
use crate::scaffold;
use crate::settings::SettingSpec;

/// Begin a machine file or a policy file, from this machine or a saved one
///
/// The file is whole but for what only its author can write: a placeholder says what belongs there,
/// and `check` names each until it is written. No file is ever overwritten.
///
/// Examples:
///   wan22-policy new machine                                  this machine
///   wan22-policy new machine --nvidia-smi dump.txt            a colleague's, from `nvidia-smi -q`
///   wan22-policy new policy small-tiles vae.tile_size         what this machine has, to be changed
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct New {
    #[command(subcommand)]
    what: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Machine(Machine),
    Policy(Policy),
}

/// Write a machine file, for `test` and `check` to look at
///
/// No serial numbers, UUIDs or host names are written. What the sources do not say is unknown; a
/// card that is not there can be named with --fact.
///
/// Examples:
///   wan22-policy new machine
///   wan22-policy new machine --nvidia-smi dump.txt --topology machine.xml
///   wan22-policy new machine --elsewhere --fact "gpu.name=NVIDIA L4" --fact gpu.vram.total=23034MiB
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Machine {
    /// Its name, <gpu>-<vram>-<ram>[-<what is odd>] [default: made of its facts]
    name: Option<String>,

    /// The folder of machines, made when it is not there
    #[arg(long, value_name = "DIR", default_value = MACHINES)]
    machines: PathBuf,

    /// A machine that is not here: nothing is known of it but what --fact says
    #[arg(long, requires = "overrides")]
    elsewhere: bool,

    /// Print the file instead of writing it
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    machine: MachineOptions,

    /// Directories of policies, for the table of cards [default: policies, where there is such a folder]
    #[arg(long = "policies", value_name = "DIR")]
    directories: Vec<PathBuf>,
}

/// Write a policy file that gives settings the values they have today
///
/// Its condition asks for the GPU of the machine, or else its cores: narrow or widen it to what makes
/// the values right.
///
/// Examples:
///   wan22-policy new policy small-tiles vae.tile_size
///   wan22-policy new policy quirk-of-l4 attention.backend --layer 41 --facts tests/machines/l4.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Policy {
    /// The policy's id, in kebab-case
    id: String,

    /// The settings that it gives
    #[arg(required = true, value_name = "SETTING", value_parser = known_setting)]
    settings: Vec<&'static SettingSpec>,

    /// The layer, first in the file's name: 80 for a site, 90 for a user, below that what is to be shipped
    #[arg(long, value_name = "NN", default_value_t = 80, value_parser = clap::value_parser!(u8).range(..100))]
    layer: u8,

    /// Print the file instead of writing it, to put its entry into another one
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    question: QuestionOptions,

    #[command(flatten)]
    machine: MachineOptions,

    /// The folder to write into, made when it is not there; policies in it count for today's values
    #[arg(long = "policies", value_name = "DIR", default_value = POLICIES)]
    directory: PathBuf,
}

impl New {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        match &self.what {
            Kind::Machine(machine) => machine.run(screen),
            Kind::Policy(policy) => policy.run(screen),
        }
    }
}

impl Machine {
    fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let policies = author::policies(edited_policies(&self.directories));
        let (mut facts, cards) = match self.elsewhere {
            true if !self.machine.is_live() => {
                return Err(CliError::usage("--elsewhere describes a machine, and a saved one was named too"));
            }
            true => (Facts::new("nobody said so"), policies.table("gpus")?),
            false => self.machine.gather_with_cards(&self.root, &policies)?,
        };
        complete(&mut facts, self.machine.gpu_index, &self.machine.overrides, &cards)?;
        let name = match &self.name {
            Some(name) => file_name(name)?.to_owned(),
            None => scaffold::machine::name(&facts),
        };
        let path = self.machines.join(format!("{name}.yaml"));
        // What the table of cards knows is asked of it each time, so that the machine tests the card's row.
        let of_table: Vec<String> = facts
            .iter()
            .map(|(name, _)| name.to_owned())
            .filter(|name| facts.origin(name) == Some(Origin::Table))
            .collect();
        of_table.iter().for_each(|name| facts.forget(name));
        // Checkpoints are of an installation, not of the machine.
        facts.forget("models");
        facts.findings.retain(|finding| !finding.code.as_str().starts_with("checkpoint-"));
        let described = self.machine.described();
        let from = if self.elsewhere { "Described by hand" } else { described.as_str() };
        let text = scaffold::machine::text(&facts, &probe::anonymous(&facts), from, today())
            .map_err(|error| CliError::failed(format!("cannot write the facts as YAML: {error}")))?;
        let draft = Draft { format: "facts", path, text };
        let next = format!("wan22-policy test --machine {name}   what the policies say of it, then with --review");
        draft.hand_over(self.print, &next, screen)
    }
}

impl Policy {
    fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let there = self.directory.is_dir().then(|| self.directory.clone());
        let policies = author::policies(there.into_iter().collect());
        let ask = Ask { question: self.question.clone(), machine: self.machine.clone(), policies: policies.clone() };
        let answer = ask.answer(&self.root)?;
        let machine = scaffold::machine::name(&answer.facts);
        let name = format!("{:02}-{}.yaml", self.layer, file_name(&self.id)?);
        let path = self.directory.join(&name);
        let text = scaffold::policy::text(&self.id, &self.settings, &machine, &answer.facts, &answer.plan);
        // What would be wrong with it, an id that is taken above all, is said before anything is written.
        let mut options = policies.load_options(What::Policies);
        options.texts.push((name, Source::new(path.display().to_string(), text.as_str())));
        compile(&load(&options)?.0)?;
        let draft = Draft { format: "policy", path, text };
        draft.hand_over(self.print, "wan22-policy check, then test: which machines it changes", screen)
    }
}

/// A file that was begun, without the line by which an editor finds the schema of its format.
struct Draft {
    format: &'static str,
    path: PathBuf,
    text: String,
}

impl Draft {
    // Prints it, or writes it and says what comes next.
    fn hand_over(&self, print: bool, next: &str, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let Self { format, path, text } = self;
        // Outside a checkout of this program the schema is to be written beside it.
        let known = first_line(format, path);
        let line = known.clone().unwrap_or_else(|| format!("# yaml-language-server: $schema=./{format}.schema.json\n"));
        let text = format!("{line}{text}");
        if print {
            screen.print(&text)?;
            return Ok(Exit::Fine);
        }
        write_new(path, &text)?;
        let mut said = format!("{} is written; fill in what says {PLACEHOLDER}, then\n  {next}\n", path.display());
        if known.is_none() {
            let schema = path.with_file_name(format!("{format}.schema.json"));
            said += &format!(
                "for an editor that completes and explains\n  wan22-policy schema {format} > {}\n",
                schema.display()
            );
        }
        screen.print(&said)?;
        Ok(Exit::Fine)
    }
}

// Writes a file that is not there yet, whole or not at all.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error| CliError::failed(format!("cannot write `{}`: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    beside.write_all(text.as_bytes()).map_err(failed)?;
    match beside.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("`{}` is there already", path.display());
            Err(CliError::usage(message).help("give another name, or change that file"))
        }
        Err(error) => Err(failed(error.error)),
    }
}

fn file_name(name: &str) -> Result<&str, CliError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => Ok(name),
        false => {
            let message = format!("`{name}` is no name for a file");
            Err(CliError::usage(message).help("letters, digits, `-`, `.` and `_`, a letter or digit first"))
        }
    }
}
