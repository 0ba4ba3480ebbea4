//! The machine that is asked about: this one, or one that was saved.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use clap::Args;
use serde_json::Value;
use tracing::{Level, enabled, info};

use super::both::both;
use super::error::CliError;
use super::options::{InstallationOptions, PolicyOptions};
use crate::diag::Source;
use crate::facts::file::{self, FactsFile};
use crate::facts::probe::nvml::sample;
use crate::facts::probe::{self, Seen, Sources};
use crate::facts::vocabulary::{FACTS, FactType};
use crate::facts::{Facts, Origin, cards};
use crate::yaml;

/// Largest facts file, dump or topology, in bytes; the largest known, of 384 CPUs, has 0.4 MiB.
const MAX_FILE: u64 = 64 << 20;

/// Where the facts come from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineOptions {
    /// A saved machine in place of this one, as `facts --save` writes it; `-` reads it from standard input
    #[arg(long, visible_alias = "machine", value_name = "FILE")]
    facts: Option<PathBuf>,

    /// Override one fact, such as gpu.vram.total=12GiB, cpu.quota=2 or gpus=0; VALUE may be `unknown`
    ///
    /// May be given several times. `gpu` is the GPU that the workload runs on; `gpus[1]` is one by its index.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    pub overrides: Vec<String>,

    /// A saved `nvidia-smi -q` or `nvidia-smi -q -x` in place of this machine's driver
    #[arg(long, value_name = "FILE")]
    nvidia_smi: Option<PathBuf>,

    /// A saved hwloc topology (`lstopo machine.xml`) or table of `lscpu -e` in place of this machine's
    ///
    /// With --nvidia-smi or --topology the machine is not this one: what the files do not say is unknown.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,

    /// A machine as `facts --raw` wrote it, in place of this one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["facts", "nvidia_smi", "topology", "nvml_library"])]
    from_raw: Option<PathBuf>,

    /// The GPU that the workload runs on, by its index in `facts` [default: the one with the most VRAM]
    #[arg(long, value_name = "N")]
    pub gpu_index: Option<usize>,

    /// The NVML library to load in place of the driver's own
    #[arg(long, value_name = "PATH")]
    nvml_library: Option<PathBuf>,
}

impl MachineOptions {
    /// Whether the machine is this one.
    pub fn is_live(&self) -> bool {
        [&self.facts, &self.nvidia_smi, &self.topology, &self.from_raw].iter().all(|file| file.is_none())
    }

    /// The facts of the machine, as they are reported.
    ///
    /// A dump or a topology beside a facts file replaces what it covers; lists are never mixed record by record.
    pub fn gather(&self, root: &InstallationOptions) -> Result<Facts, CliError> {
        if root.python.is_some() && !self.is_live() {
            return Err(CliError::usage("--python asks about this machine, and the machine is a saved one"));
        }
        let saved = self.facts.as_deref().map(|path| read_facts(read_source(path)?)).transpose()?;
        if let (Some(saved), None, None) = (&saved, &self.nvidia_smi, &self.topology) {
            return Ok(saved.clone());
        }
        let mut facts = probe::gather(&self.sources(root)?)?;
        if let Some(mut saved) = saved {
            for list in FACTS.iter().filter(|spec| spec.ty == FactType::Records && facts.count(spec.name).is_some()) {
                saved.forget(list.name);
            }
            facts.fill(saved);
        }
        Ok(facts)
    }

    /// The same, and the table of cards; empty where nothing is to be completed from it.
    pub fn gather_with_cards(
        &self,
        root: &InstallationOptions,
        policies: &PolicyOptions,
    ) -> Result<(Facts, Value), CliError> {
        if self.facts.is_some() && self.overrides.is_empty() {
            let facts = self.gather(root)?;
            let cards = if cards::has_gaps(&facts) { policies.table("gpus")? } else { Value::Null };
            return Ok((facts, cards));
        }
        // The probes wait for the system while the table is read.
        let (cards, facts) = both(|| policies.table("gpus"), || self.gather(root));
        Ok((facts?, cards?))
    }

    /// How long one look of a monitor at a GPU of this machine takes.
    ///
    /// # Errors
    /// Why nobody can tell.
    pub fn sample(&self, gpu: usize) -> Result<Duration, String> {
        if !self.is_live() {
            return Err("the machine is a saved one".to_owned());
        }
        let program = env::current_exe().map_err(|error| error.to_string())?;
        sample::sample(&program, self.nvml_library.as_deref(), gpu)
    }

    /// The facts of this machine, after what the probes saw was written to a folder.
    pub fn gather_raw(&self, folder: &Path, root: &InstallationOptions) -> Result<Facts, CliError> {
        if !self.is_live() {
            return Err(CliError::usage("--raw saves what the probes see of this machine, not of a saved one"));
        }
        let seen = Seen::here(&self.sources(root)?);
        seen.save(folder).map_err(|error| CliError::failed(format!("cannot write `{}`: {error}", folder.display())))?;
        Ok(seen.facts())
    }

    fn sources(&self, root: &InstallationOptions) -> Result<Sources, CliError> {
        Ok(Sources {
            nvidia_smi: self.nvidia_smi.as_deref().map(read_source).transpose()?,
            topology: self.topology.as_deref().map(read_source).transpose()?,
            raw: self.from_raw.clone(),
            nvml_library: self.nvml_library.clone(),
            program: env::current_exe().ok(),
            installation: root.installation()?,
            gpu_index: None,
        })
    }

    /// Where the facts are read, in words; without the folders that the files lie in, which may be anyone's.
    pub fn described(&self) -> String {
        let files = [&self.facts, &self.nvidia_smi, &self.topology, &self.from_raw].into_iter().flatten();
        let names: Vec<_> = files.map(|path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()).collect();
        match names.is_empty() {
            true => "Read from the machine itself".to_owned(),
            false => format!("Read from {}", names.join(" and ")),
        }
    }

    /// What is put on record of the machine: nothing of this one, which can be asked again.
    pub fn to_record(&self, facts: &Facts) -> Option<FactsFile> {
        (!self.is_live()).then(|| facts.into())
    }
}

/// Reads a facts file. What cannot be true in it is unknown, with a finding.
pub fn read_facts(source: Arc<Source>) -> Result<Facts, CliError> {
    let mut facts = file::read(&yaml::parse(source)?).map_err(|mut findings| {
        for finding in findings.iter_mut().filter(|finding| finding.help.is_none()) {
            let help = "a facts file is what `facts --save` writes; a dump of nvidia-smi is read with --nvidia-smi, a topology with --topology";
            finding.help = Some(help.to_owned());
        }
        findings
    })?;
    probe::check(&mut facts);
    Ok(facts)
}

/// Completes the facts of a machine: the GPU that was asked for, single facts, and what the table of cards knows.
pub fn complete(
    facts: &mut Facts,
    gpu_index: Option<usize>,
    overrides: &[String],
    cards: &Value,
) -> Result<(), CliError> {
    if let Some(index) = gpu_index {
        probe::select_gpu(facts, index)?;
    }
    // The table may know what was said to be unknown, so that is said again after it.
    let (unknown, known): (Vec<&String>, Vec<&String>) =
        overrides.iter().partition(|assignment| assignment.trim_end().ends_with("=unknown"));
    let overriding = |assignments: Vec<&String>, facts: &mut Facts| {
        let mut assignments = assignments.into_iter();
        assignments.try_for_each(|assignment| file::override_fact(facts, assignment).map_err(CliError::usage))
    };
    let renamed: Vec<_> = known.iter().filter_map(|assignment| renamed(facts, assignment)).collect();
    for (gpu, name) in renamed {
        // A card of another name is another card.
        facts.forget(&gpu);
        facts.know(format!("{gpu}.name"), name, Origin::User);
    }
    overriding(known, facts)?;
    cards::fill(facts, cards);
    overriding(unknown, facts)?;
    if enabled!(Level::INFO) {
        info!(fingerprint = facts.fingerprint(), "facts");
    }
    Ok(())
}

// The GPU, `gpus[0]`, that an assignment gives another name than it has, and that name.
fn renamed(facts: &Facts, assignment: &str) -> Option<(String, String)> {
    let (fact, name) = assignment.split_once('=')?;
    let gpu = match fact.trim().strip_suffix(".name")? {
        "gpu" => format!("gpus[{}]", facts.gpu_index()?),
        gpu if gpu.starts_with("gpus[") => gpu.to_owned(),
        _ => return None,
    };
    let known = facts.value(&format!("{gpu}.name"))?;
    (known.as_str() != Some(name.trim())).then(|| (gpu, name.trim().to_owned()))
}

fn read_source(path: &Path) -> Result<Arc<Source>, CliError> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|error| CliError::unreadable(path, error))?;
        return Ok(Source::new("<stdin>", text));
    }
    if path.is_dir() {
        let error = CliError::unreadable(path, "it is a folder");
        return Err(error.help("what `facts --raw` wrote is read with --from-raw"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| CliError::unreadable(path, error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| CliError::unreadable(path, error))?;
    if bytes.len() as u64 > MAX_FILE {
        let error = std::io::Error::other(format!("larger than {} MiB", MAX_FILE >> 20));
        return Err(CliError::unreadable(path, error));
    }
    // What a Windows console wrote may be UTF-16, or hold a stray byte; what matters of it is ASCII.
    Ok(Source::new(path.display().to_string(), encoding_rs::UTF_8.decode(&bytes).0))
}
