//! What the probes see of one machine, this one or one that was saved, and the facts that follow.
//!
//! A saved machine is a folder: `nvml.yaml` (what the driver answered), `sysinfo.yaml` (on Windows with its processors and
//! nodes), `topology.xml` (as hwloc writes it, or `topology.txt`: why it did not), `installation.yaml` (packages, checkpoints and disk) and `root/` (the kernel's files
//! that were read). Nothing in it tells whose machine it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use serde_json::Value;

use super::files::Files;
use super::layout::Layout;
use super::topology::Hwloc;
use super::{
    Installation, Sources, checkpoints, contradictions, disk, kernel, measured, nvml, os, private, sanity, software,
    topology,
};
use crate::diag::{Finding, Source};
use crate::facts::file;
use crate::facts::{Facts, Origin};
use crate::yaml;

/// How long each of the system, hwloc, the disk and the checkpoints may take; on a machine of 384 CPUs they take less than a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);

const NVML: &str = "nvml.yaml";
const SYSINFO: &str = "sysinfo.yaml";
const INSTALLATION: &str = "installation.yaml";
const TOPOLOGY: &str = "topology.xml";
/// Why hwloc gave no topology, in its place.
const NO_TOPOLOGY: &str = "topology.txt";
const ROOT: &str = "root";

/// What the probes see.
#[derive(Debug)]
pub struct Seen {
    /// What the driver answers.
    answers: nvml::Answers,
    /// What follows from that, and from the bus where no driver answers.
    driver: Facts,
    /// What the kernel's files say, read from `files`.
    kernel: Facts,
    /// What sysinfo says.
    sysinfo: Facts,
    /// What hwloc finds, or why it does not.
    layout: Result<Layout, String>,
    // The same as hwloc has it, of this machine alone.
    hwloc: Option<Hwloc>,
    /// What is installed, the checkpoints, and the disk that they lie on.
    installation: Facts,
    files: Arc<Files>,
}

impl Seen {
    /// What this machine shows, all probes at once; one that does not answer in time is left behind.
    pub fn here(sources: &Sources) -> Self {
        let files = Arc::new(Files::here());
        let (program, library) = (sources.program.clone(), sources.nvml_library.clone());
        let answers = start(move || match program {
            Some(program) => nvml::ask_apart(&program, library.as_deref()),
            None => nvml::ask(library.as_deref()),
        });
        let system = start({
            let files = Arc::clone(&files);
            move || (kernel::read(&files, env::var("container").ok().as_deref()), os::ask())
        });
        let hwloc = start(topology::look);
        let Installation { folder, python, models } = sources.installation.clone();
        let root = folder.clone().unwrap_or_else(|| PathBuf::from("."));
        let software = start(move || software::live(folder.as_deref(), python.as_deref()));
        let checkpoints = start({
            let (root, models) = (root.clone(), models.clone());
            move || checkpoints::probe(&root, models.as_deref())
        });
        let disk = start(move || {
            let mut facts = disk::probe(models.as_ref().unwrap_or(&root));
            facts.fill(measured::probe(&root));
            facts
        });

        let system = system.wait();
        let (mut kernel, sysinfo) = system.unwrap_or_else(|why| (silent("the system", &why, &[]), Facts::new(why)));
        let mut installation = software.wait().unwrap_or_else(|why| silent("the installation", &why, &["software"]));
        installation.fill(checkpoints.wait().unwrap_or_else(|why| silent("the disk of the models", &why, &["models"])));
        installation.fill(disk.wait().unwrap_or_else(|why| silent("the disk", &why, &["disk"])));
        let hwloc = hwloc.wait().unwrap_or_else(Err);
        if hwloc.is_err() {
            kernel.fill(kernel::topology(&files));
        }
        let answers = answers.wait().unwrap_or_default();
        Self {
            layout: hwloc.as_ref().map(Hwloc::layout).map_err(|why| format!("hwloc {why}")),
            hwloc: hwloc.ok(),
            driver: nvml::facts(&answers, &files, &nvml::Visible::here()),
            answers,
            kernel,
            sysinfo,
            installation,
            files,
        }
    }

    /// A machine that [`Seen::save`] wrote.
    ///
    /// # Errors
    /// A `malformed-dump` finding when the folder or a file in it is no such thing.
    pub fn read(folder: &Path) -> Result<Self, Finding> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map(|text| Source::new(path.display().to_string(), text)).map_err(|error| {
                let message = format!("`{}` cannot be read: {error}", path.display());
                Finding::error("malformed-dump", message).help("name a folder that `facts --raw` wrote")
            })
        };
        let answers: nvml::Answers = yaml::parse(read(NVML)?)?.read("malformed-dump")?;
        let facts = |name: &str| file::read(&yaml::parse(read(name)?)?).map_err(|mut findings| findings.swap_remove(0));
        let layout = match folder.join(NO_TOPOLOGY).exists() {
            true => Err(read(NO_TOPOLOGY)?.text.trim().to_owned()),
            false => Ok(topology::xml::read(&read(TOPOLOGY)?)?),
        };
        let root = folder.join(ROOT);
        if !root.is_dir() {
            let message = format!("`{}` is not there, so the capture is not whole", root.display());
            return Err(Finding::error("malformed-dump", message).help("save it again with `facts --raw`"));
        }
        let files = Arc::new(Files::below(root));
        let mut kernel = kernel::read(&files, None);
        if layout.is_err() {
            kernel.fill(kernel::topology(&files));
        }
        Ok(Self {
            kernel,
            layout,
            driver: nvml::facts(&answers, &files, &nvml::Visible::default()),
            hwloc: None,
            sysinfo: facts(SYSINFO)?,
            installation: facts(INSTALLATION)?,
            answers,
            files,
        })
    }

    /// Writes what was seen of this machine as a folder, without what tells whose it is. An older capture is replaced as a
    /// whole, so that none is ever mixed of two.
    ///
    /// # Errors
    /// The folder cannot be written, or holds something else.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if folder.exists() && !folder.join(NVML).is_file() && !is_empty() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it holds something else than a capture"));
        }
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(above)?;
        let beside = tempfile::Builder::new().prefix(&format!(".{name}.")).tempdir_in(above)?;
        self.write(beside.path())?;
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(beside.keep(), folder)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let names = private::names();
        fs::write(folder.join(NVML), yaml::write(&self.answers)?)?;
        for (name, facts) in [(SYSINFO, &self.sysinfo), (INSTALLATION, &self.installation)] {
            fs::write(folder.join(name), yaml::write(&private::file(facts, &names))?)?;
        }
        match (&self.hwloc, &self.layout) {
            (Some(hwloc), _) => fs::write(folder.join(TOPOLOGY), hwloc.to_xml()?)?,
            (None, layout) => fs::write(folder.join(NO_TOPOLOGY), layout.as_ref().err().map_or("", String::as_str))?,
        }
        self.files.save(&folder.join(ROOT), |text| private::strip(text, &names))
    }

    /// The facts of the machine.
    pub fn facts(self) -> Facts {
        let mut facts = Facts::new("no probe reports it");
        let mut topology = match self.layout {
            Ok(layout) => topology::of_machine(layout, &self.kernel),
            Err(why) => topology::unknown(&why),
        };
        let system = os::join(self.kernel, self.sysinfo);
        let (hwloc, other) = (("hwloc", &topology), ("the system", &system));
        facts.findings.extend(contradictions(hwloc, other, &[("cpu.logical_cpus", 0.0), ("cpu.packages", 0.0)]));
        // hwloc adds up what the nodes report, which drifts; the system knows the whole.
        facts.findings.extend(contradictions(other, hwloc, &[("ram.total", 0.01)]));
        if system.value("ram.total").is_some() {
            topology.forget("ram.total");
        }
        if topology.count("numa.nodes").is_none() && system.count("numa.nodes").is_some() {
            // Why hwloc is silent is no reason where the system speaks.
            topology.forget("numa");
        }
        facts.fill(topology);
        facts.fill(system);
        facts.fill(self.driver);
        facts.fill(self.installation);
        place_gpus(&mut facts);
        sanity::check_again(&mut facts);
        facts
    }
}

// Lists the GPUs of each node by the node of each GPU, for a machine whose topology was read without its devices. A card
// that the kernel places nowhere is at the only node there is.
fn place_gpus(facts: &mut Facts) {
    let Some(nodes) = facts.count("numa.nodes") else { return };
    let Some(gpus) = facts.count("gpus") else {
        let why = facts.reason("gpus").to_owned();
        (0..nodes).for_each(|node| facts.unknown(format!("numa.nodes[{node}].gpus"), why.clone()));
        return;
    };
    let origin = facts.origin("numa.nodes").unwrap_or(Origin::Hwloc);
    let number = |facts: &Facts, name: String| facts.value(&name).and_then(Value::as_i64);
    let indices: Vec<Option<i64>> = (0..nodes).map(|node| number(facts, format!("numa.nodes[{node}].index"))).collect();
    for gpu in 0..gpus {
        let name = format!("gpus[{gpu}].numa_node");
        if let ([Some(only)], None) = (&indices[..], facts.value(&name)) {
            facts.know(name, *only, origin);
        }
    }
    let places: Option<Vec<i64>> = (0..gpus).map(|gpu| number(facts, format!("gpus[{gpu}].numa_node"))).collect();
    for (node, index) in indices.into_iter().enumerate() {
        let name = format!("numa.nodes[{node}].gpus");
        match (&places, index) {
            (Some(places), Some(index)) => {
                let near: Vec<usize> = (0..gpus).filter(|&gpu| places[gpu] == index).collect();
                facts.know(name, near, origin);
            }
            _ => facts.unknown(name, "the kernel does not place every card at a NUMA node"),
        }
    }
}

// The facts of a probe that did not answer, and what there is to say about it.
fn silent(whose: &str, why: &str, families: &[&str]) -> Facts {
    let reason = format!("{whose} {why}");
    let mut facts = Facts::new(reason.clone());
    for family in families {
        facts.unknown(*family, reason.clone());
    }
    facts.findings.push(Finding::warning("probe-silent", reason));
    facts
}

/// A probe on a thread of its own.
struct Probe<T> {
    answer: Receiver<T>,
    deadline: Instant,
}

fn start<T: Send + 'static>(probe: impl FnOnce() -> T + Send + 'static) -> Probe<T> {
    let (send, answer) = mpsc::channel();
    thread::spawn(move || send.send(probe()));
    Probe { answer, deadline: Instant::now() + PATIENCE }
}

impl<T> Probe<T> {
    // What it found, or why it did not, to stand after its name.
    fn wait(self) -> Result<T, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.answer.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("did not answer in {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => "could not be asked".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cards_are_listed_at_their_nodes() {
        let mut facts = Facts::new("");
        facts.know("gpus", 2, Origin::Nvml);
        facts.know("gpus[0].numa_node", 8, Origin::Nvml);
        facts.know("numa.nodes", 2, Origin::Hwloc);
        facts.know("numa.nodes[0].index", 0, Origin::Hwloc);
        facts.know("numa.nodes[1].index", 8, Origin::Hwloc);
        let mut unplaced = facts.clone();
        place_gpus(&mut unplaced);
        assert_eq!(unplaced.value("numa.nodes[1].gpus"), None);
        facts.know("gpus[1].numa_node", 0, Origin::Nvml);
        place_gpus(&mut facts);
        assert_eq!(facts.value("numa.nodes[0].gpus"), Some(&json!([1])));
        assert_eq!(facts.value("numa.nodes[1].gpus"), Some(&json!([0])));

        let mut single = Facts::new("");
        single.know("gpus", 1, Origin::Nvml);
        single.unknown("gpus[0].numa_node", "-1");
        single.know("numa.nodes", 1, Origin::Hwloc);
        single.know("numa.nodes[0].index", 0, Origin::Hwloc);
        place_gpus(&mut single);
        assert_eq!(single.value("gpus[0].numa_node"), Some(&json!(0)));
    }

    #[test]
    fn a_probe_that_never_answers_is_left_behind() {
        let mut late = start(|| {
            loop {
                thread::park();
            }
        });
        late.deadline = Instant::now();
        let silent: Result<(), String> = late.wait();
        assert_eq!(silent, Err("did not answer in 10 s".to_owned()));
        assert_eq!(start(|| 1).wait(), Ok(1));
    }
}
