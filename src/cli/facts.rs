//! `facts`: what is known of the machine.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, PolicyOptions};
use super::schema::first_line;
use super::{Exit, Screen};
use crate::facts::file::FactsFile;
use crate::facts::probe;
use crate::log;
use crate::report::{findings, human, json};
use crate::yaml;

/// Show what is known of this machine, and why the rest is not
///
/// Every fact has a name, a unit and an origin. What is not known is listed with the reason at the end.
///
/// Save a machine to ask about it elsewhere (no serial numbers, UUIDs or host names are written):
///   wan22-policy facts --save my-box.yaml
///   wan22-policy plan --facts my-box.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Facts {
    /// Write the facts to a file, YAML or by its name (.json) JSON, to be read with --facts; `-` prints them
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Write what the probes saw to a folder, for a report of a wrong fact; --from-raw reads it
    ///
    /// What the driver, sysinfo and hwloc answered, and the kernel's files that were read.
    #[arg(long, value_name = "DIR")]
    raw: Option<PathBuf>,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    policies: PolicyOptions,

    /// For people, as JSON, or as the YAML that --facts reads
    #[arg(long, value_enum, default_value_t = Format::Human, help_heading = "Output")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For facts files.
    Yaml,
}

impl Facts {
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let (mut facts, cards) = match &self.raw {
            Some(folder) => (self.machine.gather_raw(folder, &self.root)?, self.policies.table("gpus")?),
            None => self.machine.gather_with_cards(&self.root, &self.policies)?,
        };
        complete(&mut facts, self.machine.gpu_index, &self.machine.overrides, &cards)?;
        log::found(&facts.findings);
        let file = FactsFile::from(&facts);
        if let Some(path) = &self.save {
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            let file = probe::anonymous(&facts);
            let text = match is_json {
                true => json::text(&file),
                false => format!("{}{}", first_line("facts", path).unwrap_or_default(), yaml(&file)?),
            };
            if path.as_os_str() == "-" {
                screen.print(&text)?;
                return Ok(Exit::Fine);
            }
            fs::write(path, text)
                .map_err(|error| CliError::failed(format!("cannot write `{}`: {error}", path.display())))?;
        }
        match (self.format, &self.save) {
            (Format::Json, _) => screen.print(&json::text(&file))?,
            (Format::Yaml, _) => screen.print(&yaml(&file)?)?,
            (Format::Human, Some(path)) => screen.print(&format!("saved to {}\n", path.display()))?,
            (Format::Human, None) => {
                screen.print(&human::facts::render(&facts, screen.paint))?;
                screen.print(&findings::render(&facts.findings, screen.paint))?;
            }
        }
        Ok(Exit::Fine)
    }
}

fn yaml(file: &FactsFile) -> Result<String, CliError> {
    yaml::write(file).map_err(|error| CliError::failed(format!("cannot write the facts as YAML: {error}")))
}
