//! Probes: each takes a source (a driver, kernel files, a saved dump) and gives facts; [`gather`] joins them.
//!
//! Only this folder asks the machine. Which probe is believed when two report one fact, and what is said about a
//! difference, is decided here.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

pub use self::seen::Seen;
use crate::diag::{Finding, Source};
use crate::facts::file::FactsFile;
use crate::facts::units::show;
use crate::facts::{Facts, Origin, is_at_or_below, vocabulary};

pub mod cgroup;
pub mod checkpoints;
pub mod disk;
pub mod files;
pub mod kernel;
mod layout;
mod measured;
mod mounts;
pub mod nvidia_smi;
pub mod nvml;
pub mod os;
mod private;
mod sanity;
mod seen;
pub mod software;
pub mod topology;
pub mod win32;

/// Where a stack lies.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    /// Its folder, which may hold models too; the current one without it.
    pub folder: Option<PathBuf>,
    /// The Python that it runs in, when it is not the one that its folder shows: an interpreter, or the folder of an
    /// environment.
    pub python: Option<PathBuf>,
    /// A folder with models besides those in its folder, such as one on another disk.
    pub models: Option<PathBuf>,
}

/// Where the facts of a machine come from: this machine, or files saved on another.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A saved report of `nvidia-smi -q` or `-q -x`; makes the machine a simulated one.
    pub nvidia_smi: Option<Arc<Source>>,
    /// A topology that hwloc saved as XML, or a table of `lscpu`; makes the machine a simulated one.
    pub topology: Option<Arc<Source>>,
    /// A folder that [`Seen::save`] wrote of another machine, in its place.
    pub raw: Option<PathBuf>,
    /// The NVML library to load in place of the driver's own.
    pub nvml_library: Option<PathBuf>,
    /// This program, to ask the driver in a process of its own; without it this process asks.
    pub program: Option<PathBuf>,
    /// The stack whose packages and disk are asked about, on this machine.
    pub installation: Installation,
    /// Index into `gpus` of the GPU that the workload runs on, asked for by the user.
    pub gpu_index: Option<usize>,
}

/// Adds what is installed and which models lie in an installation on this machine, each where nothing is known of it yet.
pub fn installation(installation: &Installation, facts: &mut Facts) {
    let is_known = |family: &str| facts.iter().any(|(name, fact)| is_at_or_below(name, family) && fact.is_known());
    let folder = installation.folder.as_deref();
    let software = (!is_known("software")).then(|| software::live(folder, installation.python.as_deref()));
    let elsewhere = installation.models.as_deref();
    let models = folder.filter(|_| !is_known("models")).map(|folder| checkpoints::probe(folder, elsewhere));
    [software, models].into_iter().flatten().for_each(|found| facts.fill(found));
}

/// Gathers the facts of this machine, or of the one that the files describe.
///
/// With a file the machine is a simulated one: what the files do not cover is unknown, not this host's. The findings of
/// the facts name what two sources report differently and values that cannot be true; those are unknown.
///
/// # Errors
/// A `malformed-dump` finding when a file cannot be read as what it should be; `no-such-gpu` when the GPU asked for is
/// not one of those that are known.
pub fn gather(sources: &Sources) -> Result<Facts, Finding> {
    let mut facts = match &sources.raw {
        Some(folder) => Seen::read(folder)?.facts(),
        None if sources.nvidia_smi.is_some() || sources.topology.is_some() => saved(sources)?,
        None => Seen::here(sources).facts(),
    };
    if let Some(index) = sources.gpu_index {
        select_gpu(&mut facts, index)?;
    }
    Ok(facts)
}

/// `ram.*` of this machine alone.
pub fn memory() -> Facts {
    os::join(kernel::read(&files::Files::here(), None), os::ask())
}

/// The facts as they are saved: without what tells whose machine it is.
pub fn anonymous(facts: &Facts) -> FactsFile {
    private::file(facts, &private::names())
}

/// The names of this machine and its user, whose files lie in `home`: what tells whose machine it is.
pub fn private_names(home: Option<PathBuf>) -> Vec<String> {
    private::names_with(home)
}

/// The text with these names as `NAME`, where they stand as words, and the digits of serial numbers and UUIDs as zeros.
pub fn strip(text: &str, names: &[String]) -> String {
    private::strip(text, names)
}

/// Makes what cannot be true unknown, with a finding each, in facts that were not gathered here.
pub fn check(facts: &mut Facts) {
    sanity::check(facts, |_| None);
}

/// Makes the GPU of that index the one that the workload runs on, as the user asked.
///
/// # Errors
/// A `no-such-gpu` finding when it is not one of those that are known.
pub fn select_gpu(facts: &mut Facts, index: usize) -> Result<(), Finding> {
    if let Some(count) = facts.count("gpus").filter(|&count| index >= count) {
        return Err(no_such_gpu(index, count));
    }
    facts.know("gpu.index", index, Origin::User);
    Ok(())
}

fn no_such_gpu(index: usize, count: usize) -> Finding {
    let message = format!("there is no GPU {index}: the machine has {count}");
    let help = match count {
        0 => "leave `--gpu-index` out".to_owned(),
        1 => "the only one has index 0".to_owned(),
        _ => format!("the indices are 0 to {}, in the order of `nvidia-smi`", count - 1),
    };
    Finding::error("no-such-gpu", message).help(help)
}

fn saved(sources: &Sources) -> Result<Facts, Finding> {
    let mut facts = Facts::new("the saved dump does not say");
    if let Some(source) = &sources.nvidia_smi {
        facts.fill(nvidia_smi::read(Arc::clone(source))?);
    }
    if let Some(source) = &sources.topology {
        let mut topology = topology::from_file(Arc::clone(source))?;
        let placed = records(&topology, "gpus");
        match facts.count("gpus") {
            // Both are in the order of the bus.
            Some(count) if count == placed => {}
            Some(count) => {
                if placed > 0 {
                    let message = format!("the dump lists {count} GPUs and the topology shows {placed} of NVIDIA");
                    let finding = Finding::warning("fact-contradiction", message);
                    topology
                        .findings
                        .push(finding.help("the GPUs are those of the dump; where they are placed is unknown"));
                }
                topology.forget("gpus");
                for node in 0..topology.count("numa.nodes").unwrap_or(0) {
                    let near = format!("numa.nodes[{node}].gpus");
                    if topology.value(&near).is_some() {
                        topology.unknown(near, "the topology shows other GPUs than the dump");
                    }
                }
            }
            // Without the list its parts would stand alone.
            None => topology.forget("gpus"),
        }
        facts.fill(topology);
    }
    sanity::check_again(&mut facts);
    Ok(facts)
}

// How many records of a list have a fact of their own, known or not.
fn records(facts: &Facts, list: &str) -> usize {
    let index = |name: &str| name.strip_prefix(list)?.strip_prefix('[')?.split(']').next()?.parse::<usize>().ok();
    facts.iter().filter_map(|(name, _)| index(name)).max().map_or(0, |last| last + 1)
}

// What two sources report differently, of facts with the share by which they may differ. The first source is believed.
fn contradictions(believed: (&str, &Facts), other: (&str, &Facts), compared: &[(&str, f64)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, tolerance) in compared {
        let number = |facts: &Facts| facts.value(name).and_then(Value::as_f64);
        let (Some(one), Some(two)) = (number(believed.1), number(other.1)) else { continue };
        if (one - two).abs() <= tolerance * one.max(two) {
            continue;
        }
        let unit = vocabulary::find(name).and_then(|spec| spec.unit);
        let shown = |(source, facts): (&str, &Facts)| {
            let value = facts.value(name).map_or_else(String::new, |value| show(value, unit));
            format!("{value} to {source}")
        };
        let message = format!("`{name}` is {} and {}", shown(believed), shown(other));
        let help = format!("the value of {} is used", believed.0);
        findings.push(Finding::warning("fact-contradiction", message).help(help));
    }
    findings
}

#[cfg(test)]
mod testing {
    use std::fs;
    use std::ops::Deref;

    use tempfile::TempDir;

    use super::files::Files;

    /// A machine whose `/` is a folder of these files.
    pub struct Machine {
        folder: TempDir,
        files: Files,
    }

    impl Machine {
        /// The folder.
        pub fn path(&self) -> &std::path::Path {
            self.folder.path()
        }
    }

    impl Deref for Machine {
        type Target = Files;

        fn deref(&self) -> &Files {
            &self.files
        }
    }

    /// A folder that stands for `/`, with these files.
    pub fn root(files: &[(&str, &str)]) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine { files: Files::below(folder.path()), folder }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DUMP: &str = "==NVSMI LOG==\nDriver Version : 550.1\nAttached GPUs : 1\nGPU 00000000:01:00.0\n    \
                        Product Name : NVIDIA L4\n    Processes : None\n";
    const TOPOLOGY: &str = r#"<topology version="2.0">
<object type="Machine" os_index="0" cpuset="0x1" complete_cpuset="0x1" allowed_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" allowed_nodeset="0x1" gp_index="1">
<object type="NUMANode" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="2" local_memory="8589934592"/>
<object type="Package" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="3">
<object type="Core" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="4">
<object type="PU" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="5"/></object></object>
<object type="Bridge" gp_index="6" bridge_type="0-1" depth="0" bridge_pci="0000:[00-ff]">
<object type="PCIDev" gp_index="7" pci_busid="0000:01:00.0" pci_type="0302 [10de:27b8] [10de:16ee] a1" pci_link_speed="0"/>
</object></object></topology>"#;

    fn sources(dump: Option<&str>, topology: Option<&str>) -> Sources {
        let source = |name: &str, text: &str| Source::new(name, text);
        Sources {
            nvidia_smi: dump.map(|text| source("q.txt", text)),
            topology: topology.map(|text| source("t.xml", text)),
            ..Sources::default()
        }
    }

    #[test]
    fn a_simulated_machine_is_not_this_one() {
        let facts = gather(&sources(Some(DUMP), None)).unwrap();
        assert_eq!(facts.value("gpu.name"), Some(&"NVIDIA L4".into()));
        for name in ["ram.total", "cpu.packages", "host.os", "numa.nodes", "gpu.numa_node", "gpu.vram.total"] {
            assert_eq!((facts.value(name), facts.reason(name)), (None, "the saved dump does not say"), "{name}");
        }
        let facts = gather(&sources(None, Some(TOPOLOGY))).unwrap();
        assert_eq!(facts.value("ram.total"), Some(&json!(8_u64 << 30)));
        assert_eq!((facts.value("gpus"), facts.reason("gpus")), (None, "the saved dump does not say"));
        assert_eq!(facts.to_tree().get("gpus"), None);
        assert_eq!(facts.value("numa.nodes[0].gpus"), Some(&json!([0])));
    }

    #[test]
    fn a_dump_and_a_topology_of_one_machine_complete_each_other() {
        let facts = gather(&sources(Some(DUMP), Some(TOPOLOGY))).unwrap();
        assert_eq!(facts.value("gpu.numa_node"), Some(&json!(0)));
        assert_eq!(facts.value("numa.nodes[0].gpus"), Some(&json!([0])));
        assert_eq!(facts.findings, []);
    }

    #[test]
    fn a_dump_and_a_topology_of_two_machines_do_not() {
        let two =
            DUMP.replace("GPUs : 1", "GPUs : 2").replace("GPU 0", "GPU 00000000:02:00.0\n    Processes : None\nGPU 0");
        let facts = gather(&sources(Some(&two), Some(TOPOLOGY))).unwrap();
        assert_eq!(facts.count("gpus"), Some(2));
        assert_eq!(facts.value("gpus[0].numa_node"), None);
        assert_eq!(facts.reason("numa.nodes[0].gpus"), "the topology shows other GPUs than the dump");
        assert_eq!(facts.findings[0].message, "the dump lists 2 GPUs and the topology shows 1 of NVIDIA");
    }

    #[test]
    fn the_gpu_asked_for_must_be_there() {
        let ask = |index| gather(&Sources { gpu_index: Some(index), ..sources(Some(DUMP), None) });
        assert_eq!(ask(0).unwrap().value("gpu.index"), Some(&json!(0)));
        let error = ask(1).unwrap_err();
        assert_eq!(error.message, "there is no GPU 1: the machine has 1");
        assert_eq!(error.help.as_deref(), Some("the only one has index 0"));
    }

    #[test]
    fn sources_that_differ_are_both_shown() {
        let facts = |cpus: u64, ram: u64| {
            let mut facts = Facts::new("");
            facts.know("cpu.logical_cpus", cpus, Origin::Hwloc);
            facts.know("ram.total", ram, Origin::Hwloc);
            facts
        };
        let compare = |one: &Facts, other: &Facts| {
            contradictions(("hwloc", one), ("the system", other), &[("cpu.logical_cpus", 0.0), ("ram.total", 0.01)])
        };
        let messages: Vec<_> = compare(&facts(8, 64 << 30), &facts(16, 32 << 30))
            .into_iter()
            .map(|finding| format!("{}; {}", finding.message, finding.help.unwrap_or_default()))
            .collect();
        assert_eq!(
            messages,
            [
                "`cpu.logical_cpus` is 8 to hwloc and 16 to the system; the value of hwloc is used",
                "`ram.total` is 64 GiB to hwloc and 32 GiB to the system; the value of hwloc is used",
            ]
        );
        assert_eq!(compare(&facts(8, 1000), &facts(8, 995)), []);
        assert_eq!(compare(&facts(8, 1000), &Facts::new("")), []);
    }

    #[test]
    fn every_fact_gathered_here_is_in_the_vocabulary_and_of_its_type() {
        let mut gathered = vec![gather(&Sources::default()).unwrap()];
        gathered.push(gather(&sources(Some(DUMP), Some(TOPOLOGY))).unwrap());
        for facts in gathered {
            for (name, fact) in facts.iter() {
                let family = vocabulary::FACTS.iter().any(|spec| spec.name.starts_with(&vocabulary::generic(name)));
                assert!(family, "{name}");
                let crate::facts::Fact::Known { value, .. } = fact else { continue };
                let spec = vocabulary::find(name).unwrap();
                let list = spec.ty == vocabulary::FactType::Records && value.is_u64();
                assert!(list || spec.ty.admits(value), "{name}: {value}");
            }
        }
    }
}
