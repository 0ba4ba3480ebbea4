//! Probes: each takes a source (a driver, kernel files, a saved dump) and gives facts; [`gather`] joins them.
//!
//! Only this folder asks the machine. Which probe is believed when two report one fact, and what is said about a
//! difference, is decided here.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::diag::{Finding, Source};
use crate::facts::units::show;
use crate::facts::{Facts, Origin, vocabulary};

pub mod cgroup;
pub mod disk;
mod mounts;
pub mod nvidia_smi;
pub mod nvml;
pub mod os;
mod sanity;
pub mod software;
pub mod topology;

/// How long a driver may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the facts of a machine come from: this machine, or files saved on another.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A saved report of `nvidia-smi -q` or `-q -x`; makes the machine a simulated one.
    pub nvidia_smi: Option<Arc<Source>>,
    /// A topology that hwloc saved as XML; makes the machine a simulated one.
    pub topology: Option<Arc<Source>>,
    /// The NVML library to load in place of the driver's own.
    pub nvml_library: Option<PathBuf>,
    /// Index into `gpus` of the GPU that the workload runs on, asked for by the user.
    pub gpu_index: Option<usize>,
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
    let simulated = sources.nvidia_smi.is_some() || sources.topology.is_some();
    let mut facts = if simulated { saved(sources)? } else { live(sources.nvml_library.clone()) };
    // A dump was checked with its places at hand; what is found again is said once.
    sanity::check(&mut facts, |_| None);
    let mut said = std::collections::BTreeSet::new();
    facts.findings.retain(|finding| said.insert((finding.code.clone(), finding.message.clone())));
    if !simulated {
        place_gpus(&mut facts);
    }
    if let Some(index) = sources.gpu_index {
        select_gpu(&mut facts, index)?;
    }
    Ok(facts)
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
        let mut topology = topology::from_xml(Arc::clone(source))?;
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
                    topology.unknown(format!("numa.nodes[{node}].gpus"), "the topology shows other GPUs than the dump");
                }
            }
            // Without the list its parts would stand alone.
            None => topology.forget("gpus"),
        }
        facts.fill(topology);
    }
    Ok(facts)
}

// How many records of a list have a fact of their own, known or not.
fn records(facts: &Facts, list: &str) -> usize {
    let index = |name: &str| name.strip_prefix(list)?.strip_prefix('[')?.split(']').next()?.parse::<usize>().ok();
    facts.iter().filter_map(|(name, _)| index(name)).max().map_or(0, |last| last + 1)
}

fn live(library: Option<PathBuf>) -> Facts {
    let (mut topology, system, driver) = thread::scope(|scope| {
        // A driver that hangs would hang the scope: its thread is left behind.
        let answer = start(move || nvml::probe(library.as_deref()));
        let system = scope.spawn(|| {
            let mut system = os::live();
            let size = |facts: &Facts, name: &str| facts.value(name).and_then(Value::as_u64);
            let limits = cgroup::probe(Path::new("/"), size(&system, "ram.total"));
            // What the control group leaves may be less than what the machine has.
            if size(&limits, "ram.available") < size(&system, "ram.available")
                && limits.value("ram.available").is_some()
            {
                system.forget("ram.available");
            }
            system.fill(limits);
            system
        });
        let topology = topology::live();
        let system = system.join().unwrap_or_else(|_| Facts::new("the system could not be asked"));
        (topology, system, answer.wait())
    });
    let mut facts = Facts::new("no probe reports it");
    facts.findings.extend(contradictions(&topology, &system));
    // hwloc adds up what the nodes report, which drifts; the system knows the whole.
    if system.value("ram.total").is_some() {
        topology.forget("ram.total");
    }
    facts.fill(topology);
    facts.fill(system);
    facts.fill(driver);
    facts
}

/// A probe that runs on a thread of its own.
struct Answer(mpsc::Receiver<Facts>);

fn start(probe: impl FnOnce() -> Facts + Send + 'static) -> Answer {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(probe()));
    Answer(receive)
}

impl Answer {
    // The facts, or that the driver gave none in time.
    fn wait(self) -> Facts {
        let why = match self.0.recv_timeout(PATIENCE) {
            Ok(facts) => return facts,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                format!("the NVIDIA driver did not answer in {} s", PATIENCE.as_secs())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => "the NVIDIA driver could not be asked".to_owned(),
        };
        let mut facts = Facts::new(why.clone());
        for family in ["gpus", "driver"] {
            facts.unknown(family, why.clone());
        }
        let help = "see `dmesg` for what the driver says, or restart the machine";
        facts.findings.push(Finding::warning("gpu-without-driver", why).help(help));
        facts
    }
}

// What hwloc and the system report differently. Memory may differ by a hundredth.
fn contradictions(topology: &Facts, system: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, tolerance) in [("cpu.logical_cpus", 0.0), ("cpu.packages", 0.0), ("ram.total", 0.01)] {
        let number = |facts: &Facts| facts.value(name).and_then(Value::as_f64);
        let (Some(hwloc), Some(other)) = (number(topology), number(system)) else { continue };
        if (hwloc - other).abs() <= tolerance * hwloc.max(other) {
            continue;
        }
        let unit = vocabulary::find(name).and_then(|spec| spec.unit);
        let shown = |facts: &Facts| facts.value(name).map_or_else(String::new, |value| show(value, unit));
        let taken = if name == "ram.total" { "the system's" } else { "hwloc's" };
        let message = format!("`{name}` is {} to hwloc and {} to the system", shown(topology), shown(system));
        findings.push(Finding::warning("fact-contradiction", message).help(format!("{taken} value is used")));
    }
    findings
}

// Lists the GPUs of each node by the node of each GPU, for a machine whose topology was read without its devices. A card
// that the kernel places nowhere is at the only node there is.
fn place_gpus(facts: &mut Facts) {
    let (Some(gpus), Some(nodes)) = (facts.count("gpus"), facts.count("numa.nodes")) else { return };
    let number = |facts: &Facts, name: String| facts.value(&name).and_then(Value::as_i64);
    let indices: Vec<Option<i64>> = (0..nodes).map(|node| number(facts, format!("numa.nodes[{node}].index"))).collect();
    for gpu in 0..gpus {
        let name = format!("gpus[{gpu}].numa_node");
        if let ([Some(only)], None) = (&indices[..], facts.value(&name)) {
            facts.know(name, *only, Origin::Hwloc);
        }
    }
    let places: Option<Vec<i64>> = (0..gpus).map(|gpu| number(facts, format!("gpus[{gpu}].numa_node"))).collect();
    for (node, index) in indices.into_iter().enumerate() {
        let name = format!("numa.nodes[{node}].gpus");
        match (&places, index) {
            (Some(places), Some(index)) => {
                let near: Vec<usize> = (0..gpus).filter(|&gpu| places[gpu] == index).collect();
                facts.know(name, near, Origin::Hwloc);
            }
            _ => facts.unknown(name, "the kernel does not place every card at a NUMA node"),
        }
    }
}

#[cfg(test)]
mod testing {
    use std::fs;

    use tempfile::TempDir;

    /// A folder that stands for `/`, with these files.
    pub fn root(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
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
        let messages: Vec<_> = contradictions(&facts(8, 64 << 30), &facts(16, 32 << 30))
            .into_iter()
            .map(|finding| format!("{}; {}", finding.message, finding.help.unwrap_or_default()))
            .collect();
        assert_eq!(
            messages,
            [
                "`cpu.logical_cpus` is 8 to hwloc and 16 to the system; hwloc's value is used",
                "`ram.total` is 64 GiB to hwloc and 32 GiB to the system; the system's value is used",
            ]
        );
        assert_eq!(contradictions(&facts(8, 1000), &facts(8, 995)), []);
    }

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
    fn a_driver_that_never_answers_is_left_behind() {
        let answer = start(|| {
            thread::sleep(PATIENCE * 4);
            Facts::new("late")
        });
        let facts = answer.wait();
        assert_eq!(facts.reason("gpus"), "the NVIDIA driver did not answer in 2 s");
        assert_eq!(facts.reason("driver.version"), "the NVIDIA driver did not answer in 2 s");
        assert_eq!(facts.findings[0].code.as_str(), "gpu-without-driver");
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
