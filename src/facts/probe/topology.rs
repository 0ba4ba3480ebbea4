//! Packages, cores, caches and NUMA nodes, of this machine through hwloc or from a topology that hwloc saved as XML.
//!
//! An XML can be cut off, written by hand or of a newer hwloc: it is read through once before hwloc sees it.

use std::path::Path;
use std::sync::Arc;

use hwlocality::Topology;
use hwlocality::cpu::cpuset::CpuSet;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TopologyBuilder, TypeFilter};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{os, sanity};
use crate::diag::{Finding, Source, Span};
use crate::facts::{Facts, Origin};

/// Deeper than any topology nests; hwloc walks the objects recursively.
const DEPTH: usize = 128;

/// More CPUs or nodes than any machine numbers; a set is as large as its highest number.
const MOST_INDEX: u64 = 1 << 16;

/// Kinds of cores whose speeds differ by less than this share are alike: single cores of a kind are often rated a little
/// higher (preferred cores), which makes them no other kind of core.
const ALIKE: f64 = 0.85;

/// PCI vendor of NVIDIA, and the class of display controllers.
const NVIDIA: u16 = 0x10de;
const DISPLAY: u16 = 0x03;

/// The topology of this machine: `cpu.*` that hwloc knows, `numa.*`, and the nodes' memory together as `ram.total`.
///
/// Without PCI devices, which cost most of the time: GPUs are placed by [`super::gather`]. When hwloc fails, these facts
/// are unknown with its error.
pub fn live() -> Facts {
    let mut facts = Facts::new("the topology does not say");
    let flags = BuildFlags::INCLUDE_DISALLOWED | BuildFlags::DONT_CHANGE_BINDING | BuildFlags::IGNORE_DISTANCES;
    let topology = builder(flags).and_then(|builder| builder.build().map_err(|error| error.to_string()));
    match topology {
        Ok(topology) => {
            // hwloc knows the cpuset but not the affinity mask.
            describe(&mut facts, &topology, os::allowed_cpus(Path::new("/")).ok());
            let gpus = "the topology was read without PCI devices";
            for index in 0..facts.count("numa.nodes").unwrap_or(0) {
                facts.unknown(format!("numa.nodes[{index}].gpus"), gpus);
            }
        }
        Err(error) => {
            for family in ["cpu", "numa"] {
                facts.unknown(family, format!("hwloc could not read the topology: {error}"));
            }
        }
    }
    facts
}

/// The topology that `lstopo` or hwloc saved as XML (hwloc 1 and 2).
///
/// Besides what [`live`] gives: the NUMA node of each NVIDIA GPU, in the driver's order, as `gpus[i].numa_node`. It does
/// not make `gpus` known, because it shows neither their memory nor whether a driver runs them.
///
/// # Errors
/// A `malformed-dump` finding at its place, when the text is no such XML, is cut off or is of hwloc 3.
pub fn from_xml(source: Arc<Source>) -> Result<Facts, Finding> {
    validate(&source)?;
    let refused = |error: String| {
        malformed(format!("hwloc refuses the topology: {error}"))
            .at(span(&source, 0, 0), "")
            .help("save it again with `lstopo`")
    };
    let topology = builder(BuildFlags::INCLUDE_DISALLOWED)
        .and_then(|builder| builder.with_io_type_filter(TypeFilter::KeepImportant).map_err(|error| error.to_string()))
        .and_then(|builder| builder.from_xml(&source.text).map_err(|error| error.to_string()))
        .and_then(|builder| builder.build().map_err(|error| error.to_string()))
        .map_err(refused)?;
    let mut facts = Facts::new("the saved dump does not say");
    describe(&mut facts, &topology, None);
    describe_system(&mut facts, &topology);
    describe_gpus(&mut facts, &topology);
    sanity::check(&mut facts, |_| Some(span(&source, 0, 0)));
    Ok(facts)
}

fn builder(flags: BuildFlags) -> Result<TopologyBuilder, String> {
    TopologyBuilder::new().with_flags(flags).map_err(|error| error.to_string())
}

fn describe(facts: &mut Facts, topology: &Topology, bound: Option<Vec<i64>>) {
    let online = topology.cpuset();
    let mut allowed: CpuSet = &*topology.allowed_cpuset() & &*online;
    if let Some(bound) = bound {
        for cpu in list(&allowed) {
            if !bound.contains(&cpu) {
                allowed.unset(usize::try_from(cpu).unwrap_or_default());
            }
        }
    }
    let cores: Vec<&TopologyObject> = topology.objects_with_type(ObjectType::Core).collect();
    count(facts, "cpu.packages", topology.objects_with_type(ObjectType::Package).len(), "packages");
    count(facts, "cpu.physical_cores", cores.len(), "cores");
    count(facts, "cpu.logical_cpus", list(&online).len(), "CPUs");
    facts.know("cpu.allowed_cpus", list(&allowed), Origin::Hwloc);
    let usable = cores.iter().filter(|core| core.cpuset().is_some_and(|cpus| allowed.intersects(&*cpus))).count();
    count(facts, "cpu.allowed_cores", usable, "cores");
    match fastest(topology, &cores) {
        Ok(fast) if !cores.is_empty() => {
            facts.know("cpu.performance_cores", fast, Origin::Hwloc);
            facts.know("cpu.efficiency_cores", cores.len() - fast, Origin::Hwloc);
        }
        outcome => {
            let why = outcome.err().unwrap_or("the topology does not show cores");
            facts.unknown("cpu.performance_cores", why);
            facts.unknown("cpu.efficiency_cores", why);
        }
    }
    describe_caches(facts, topology);
    describe_nodes(facts, topology, &allowed);
}

fn count(facts: &mut Facts, name: &str, number: usize, what: &str) {
    if number == 0 {
        facts.unknown(name, format!("the topology does not show {what}"));
    } else {
        facts.know(name, number, Origin::Hwloc);
    }
}

// How many cores are of the fastest kind, or of one about as fast.
fn fastest(topology: &Topology, cores: &[&TopologyObject]) -> Result<usize, &'static str> {
    let kinds: Vec<_> = topology.cpu_kinds().map(Iterator::collect).unwrap_or_default();
    let info = |kind: usize, name: &str| {
        let found = kinds[kind].infos.iter().find(|info| info.name().to_bytes() == name.as_bytes());
        found.map(|info| info.value().to_string_lossy().into_owned())
    };
    let speeds = |name: &str| -> Option<Vec<f64>> {
        let speeds: Option<Vec<f64>> = (0..kinds.len()).map(|kind| info(kind, name)?.parse().ok()).collect();
        speeds.filter(|speeds| speeds.windows(2).any(|pair| pair[0] != pair[1]))
    };
    if kinds.len() < 2 {
        // A topology without kinds may be of a hybrid processor all the same: its slower cores have one thread each.
        let threads = |core: &&TopologyObject| core.complete_cpuset().and_then(|cpus| cpus.weight());
        let alike = !kinds.is_empty() || cores.windows(2).all(|pair| threads(&pair[0]) == threads(&pair[1]));
        return if alike { Ok(cores.len()) } else { Err("the topology does not say which cores are the faster ones") };
    }
    let speeds = speeds("LinuxCapacity").or_else(|| speeds("FrequencyMaxMHz"));
    let ranks = kinds.iter().map(|kind| kind.efficiency).collect::<Option<Vec<usize>>>();
    let best = match (&ranks, &speeds) {
        (Some(ranks), _) => (0..kinds.len()).max_by_key(|&kind| ranks[kind]),
        (None, Some(speeds)) => (0..kinds.len()).max_by(|&a, &b| speeds[a].total_cmp(&speeds[b])),
        (None, None) => None,
    };
    let best = best.ok_or("the topology does not rank its kinds of cores")?;
    let fast: Vec<usize> = (0..kinds.len())
        .filter(|&kind| {
            let close = speeds.as_ref().is_some_and(|speeds| speeds[kind] >= speeds[best] * ALIKE);
            kind == best || (close && info(kind, "CoreType") == info(best, "CoreType"))
        })
        .collect();
    let is_fast = |core: &&&TopologyObject| {
        core.cpuset().is_some_and(|cpus| fast.iter().any(|&kind| kinds[kind].cpuset.intersects(&*cpus)))
    };
    Ok(cores.iter().filter(is_fast).count())
}

fn describe_caches(facts: &mut Facts, topology: &Topology) {
    let mut caches: Vec<(Vec<i64>, Option<u64>)> = topology
        .objects_with_type(ObjectType::L3Cache)
        .map(|cache| {
            let size = match cache.attributes() {
                Some(ObjectAttributes::Cache(cache)) => cache.size().map(u64::from),
                _ => None,
            };
            (cache.cpuset().map(|cpus| list(&cpus)).unwrap_or_default(), size)
        })
        .collect();
    caches.sort();
    facts.know("cpu.l3_domains", caches.len(), Origin::Hwloc);
    for (index, (cpus, size)) in caches.into_iter().enumerate() {
        let size = size.ok_or("the topology holds no size of this cache");
        facts.know_or(format!("cpu.l3_domains[{index}].size"), size, Origin::Hwloc);
        facts.know(format!("cpu.l3_domains[{index}].cpus"), cpus, Origin::Hwloc);
    }
}

// The nodes that are neither a GPU's memory nor closed to the process, with their numbers, in the order of these.
fn nodes(topology: &Topology) -> Vec<(usize, &TopologyObject)> {
    let mut nodes: Vec<_> = topology
        .objects_with_type(ObjectType::NUMANode)
        .filter(|node| {
            let subtype = node.subtype().map(|subtype| subtype.to_string_lossy().into_owned());
            subtype.as_deref() != Some("GPUMemory") && node.info("PCIBusID").is_none()
        })
        .filter_map(|node| Some((node.os_index()?, node)))
        .collect();
    nodes.sort_by_key(|(index, _)| *index);
    nodes
}

fn describe_nodes(facts: &mut Facts, topology: &Topology, allowed: &CpuSet) {
    let mut total = 0_u64;
    let mut usable = Vec::new();
    for (number, node) in nodes(topology) {
        let memory = match node.attributes() {
            Some(ObjectAttributes::NUMANode(node)) => node.local_memory().map(u64::from),
            _ => None,
        };
        total = total.saturating_add(memory.unwrap_or(0));
        let open = topology.allowed_nodeset().is_set(number);
        if open || node.cpuset().is_some_and(|cpus| allowed.intersects(&*cpus)) {
            usable.push((number, node, memory));
        }
    }
    facts.know("numa.nodes", usable.len(), Origin::Hwloc);
    for (index, (number, node, memory)) in usable.into_iter().enumerate() {
        let name = |fact: &str| format!("numa.nodes[{index}].{fact}");
        facts.know(name("index"), number, Origin::Hwloc);
        let cpus = node.cpuset().map(|cpus| list(&cpus)).unwrap_or_default();
        facts.know(name("cpus"), cpus, Origin::Hwloc);
        facts.know_or(name("memory"), memory.ok_or(NO_MEMORY), Origin::Hwloc);
    }
    facts.know_or("ram.total", if total > 0 { Ok(total) } else { Err(NO_MEMORY) }, Origin::Hwloc);
}

const NO_MEMORY: &str = "the topology holds no memory sizes";

// What a saved topology says of the machine besides: hwloc keeps it as infos of the root and of the packages.
fn describe_system(facts: &mut Facts, topology: &Topology) {
    let root = topology.root_object();
    let package = topology.objects_with_type(ObjectType::Package).next();
    let info = |name: &str| {
        let text = root.info(name).or_else(|| package?.info(name))?.to_string_lossy();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then_some(text)
    };
    let names = [
        ("host.os", "OSName"),
        ("host.kernel", "OSRelease"),
        ("host.arch", "Architecture"),
        ("host.model", "DMIProductName"),
        ("cpu.model", "CPUModel"),
        ("cpu.vendor", "CPUVendor"),
    ];
    for (fact, name) in names {
        if let Some(text) = info(name) {
            let text = if fact == "host.os" { text.to_lowercase() } else { text };
            facts.know(fact, text, Origin::Hwloc);
        }
    }
}

fn describe_gpus(facts: &mut Facts, topology: &Topology) {
    let nodes = nodes(topology);
    let mut near: Vec<Vec<i64>> = vec![Vec::new(); nodes.len()];
    for (gpu, device) in gpus(topology).into_iter().enumerate() {
        let local = device.first_non_io_ancestor().and_then(TopologyObject::nodeset);
        let local: Vec<usize> =
            (0..nodes.len()).filter(|&node| local.as_ref().is_some_and(|local| local.is_set(nodes[node].0))).collect();
        for &node in &local {
            near[node].push(i64::try_from(gpu).unwrap_or(i64::MAX));
        }
        // Of several nodes at one place (MCDRAM beside DRAM) the first is the ordinary memory.
        let place = local.first().filter(|&&first| {
            let cpus = |node: usize| nodes[node].1.cpuset().map(|cpus| list(&cpus));
            local.iter().all(|&node| cpus(node) == cpus(first))
        });
        let place = place.map(|&node| nodes[node].0).ok_or("the topology shows the card equally near to several nodes");
        facts.know_or(format!("gpus[{gpu}].numa_node"), place, Origin::Hwloc);
    }
    let saved_with_devices = topology.pci_devices().len() > 0;
    for (node, gpus) in nodes.iter().zip(near) {
        let listed = (0..facts.count("numa.nodes").unwrap_or(0))
            .find(|index| facts.value(&format!("numa.nodes[{index}].index")) == Some(&node.0.into()));
        let Some(index) = listed else { continue };
        let gpus = if saved_with_devices { Ok(gpus) } else { Err("the topology was saved without PCI devices") };
        facts.know_or(format!("numa.nodes[{index}].gpus"), gpus, Origin::Hwloc);
    }
}

// NVIDIA's display controllers in the driver's order: by the number in `nvml0` where hwloc saw the driver, else by bus.
// Where some carry a device of the driver, the others are not run by it.
fn gpus(topology: &Topology) -> Vec<&TopologyObject> {
    let mut found: Vec<_> = topology
        .pci_devices()
        .filter_map(|device| match device.attributes() {
            Some(ObjectAttributes::PCIDevice(pci)) if pci.vendor_id() == NVIDIA && pci.class_id() >> 8 == DISPLAY => {
                let bus = (pci.domain(), pci.bus_id(), pci.bus_device(), pci.function());
                Some((driver_number(device, "nvml"), driver_number(device, "cuda"), bus, device))
            }
            _ => None,
        })
        .collect();
    if found.iter().any(|(nvml, cuda, ..)| nvml.is_some() || cuda.is_some()) {
        found.retain(|(nvml, cuda, ..)| nvml.is_some() || cuda.is_some());
    }
    found.sort_by_key(|&(nvml, _, bus, _)| (nvml.unwrap_or(usize::MAX), bus));
    found.into_iter().map(|(.., device)| device).collect()
}

// The number in the name of the device's `nvml0` or `cuda0`.
fn driver_number(device: &TopologyObject, kind: &str) -> Option<usize> {
    device.io_children().find_map(|child| child.name()?.to_str().ok()?.strip_prefix(kind)?.parse().ok())
}

// The numbers in a set. One without an end (`0xf...f`) stops at the largest number there is.
fn list(cpus: &CpuSet) -> Vec<i64> {
    let most = i64::try_from(MOST_INDEX).unwrap_or(i64::MAX);
    cpus.iter_set().filter_map(|cpu| i64::try_from(usize::from(cpu)).ok()).take_while(|&cpu| cpu <= most).collect()
}

fn malformed(message: impl Into<String>) -> Finding {
    Finding::error("malformed-dump", message)
}

fn span(source: &Arc<Source>, start: usize, end: usize) -> Span {
    Span { source: Arc::clone(source), range: start..end }
}

// What hwloc would answer with a failed assertion, a message on the terminal or half a topology.
fn validate(source: &Arc<Source>) -> Result<(), Finding> {
    let mut reader = Reader::from_str(&source.text);
    let mut open: Vec<(String, usize)> = Vec::new();
    let (mut seen_root, mut seen_object) = (false, false);
    let position = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    loop {
        let at = position(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            let at = position(reader.error_position());
            unclosed(source, malformed(format!("the topology is not well-formed XML: {error}")), at, &open)
        })?;
        let end = position(reader.buffer_position());
        let empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().as_ref().to_owned();
                if open.is_empty() {
                    if name != "topology" || seen_root {
                        return Err(malformed(format!("`<{name}>` does not begin a topology of hwloc"))
                            .at(span(source, at, end), "")
                            .help("save one with `lstopo file.xml`"));
                    }
                    seen_root = true;
                    version(&tag).map_err(|finding| finding.at(span(source, at, end), ""))?;
                }
                if name == "object" {
                    seen_object = true;
                    index(&tag).map_err(|finding| finding.at(span(source, at, end), ""))?;
                }
                if open.len() >= DEPTH {
                    return Err(malformed("the topology nests too deeply").at(span(source, at, end), ""));
                }
                if !empty {
                    open.push((name, at));
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Eof if !open.is_empty() => {
                let finding = malformed("the topology is cut off: its XML does not end");
                return Err(unclosed(source, finding, source.text.trim_end().len(), &open));
            }
            Event::Eof if !seen_object => {
                let message =
                    if seen_root { "the topology holds no object" } else { "the file is not a topology of hwloc" };
                return Err(malformed(message).at(span(source, 0, 0), "").help("save one with `lstopo file.xml`"));
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn unclosed(source: &Arc<Source>, finding: Finding, at: usize, open: &[(String, usize)]) -> Finding {
    let finding = finding.at(span(source, at, at), "");
    match open.last() {
        Some((name, start)) => finding
            .at(span(source, *start, *start), format!("`{name}` is not closed"))
            .help("save it again, to its end"),
        None => finding,
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Finding> {
    let found = tag
        .try_get_attribute(name)
        .map_err(|error| malformed(format!("the topology is not well-formed XML: {error}")))?;
    Ok(found.map(|attribute| attribute.value.trim().to_owned()))
}

fn version(root: &BytesStart<'_>) -> Result<(), Finding> {
    // hwloc 1 wrote none.
    let Some(version) = attribute(root, "version")? else { return Ok(()) };
    match version.split('.').next().unwrap_or_default().parse::<u32>() {
        Ok(1 | 2) => Ok(()),
        Ok(_) => Err(malformed(format!(
            "the topology has the format of hwloc {version}; this program reads that of hwloc 2"
        ))
        .help("save it with `lstopo --export-xml-flags v2 file.xml`")),
        Err(_) => Err(malformed(format!("`{version}` is not a version of hwloc's format"))),
    }
}

fn index(object: &BytesStart<'_>) -> Result<(), Finding> {
    let Some(index) = attribute(object, "os_index")? else { return Ok(()) };
    let machine_part = matches!(attribute(object, "type")?.as_deref(), Some("PU" | "NUMANode"));
    match index.parse::<u64>() {
        Err(_) if machine_part => Err(malformed(format!("`{index}` is not the number of a CPU or node"))),
        Ok(number) if machine_part && number > MOST_INDEX => {
            Err(malformed(format!("{number} is larger than any number of a CPU or node")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    // Two nodes of two cores each; the first core of each is the fast one; a GPU at the second node.
    const SMALL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
  <object type="Machine" os_index="0" cpuset="0x3f" complete_cpuset="0x3f" allowed_cpuset="0x1f" nodeset="0x5" complete_nodeset="0x5" allowed_nodeset="0x5" gp_index="1">
    <info name="OSName" value="Linux"/>
    <object type="Package" os_index="0" cpuset="0x7" complete_cpuset="0x7" nodeset="0x1" complete_nodeset="0x1" gp_index="2">
      <info name="CPUModel" value="  Some   CPU "/>
      <object type="NUMANode" os_index="0" cpuset="0x7" complete_cpuset="0x7" nodeset="0x1" complete_nodeset="0x1" gp_index="3" local_memory="8589934592"/>
      <object type="L3Cache" cpuset="0x7" complete_cpuset="0x7" nodeset="0x1" complete_nodeset="0x1" gp_index="4" cache_size="16777216" depth="3" cache_linesize="64" cache_associativity="16" cache_type="0">
        <object type="Core" os_index="0" cpuset="0x3" complete_cpuset="0x3" nodeset="0x1" complete_nodeset="0x1" gp_index="5">
          <object type="PU" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1" complete_nodeset="0x1" gp_index="6"/>
          <object type="PU" os_index="1" cpuset="0x2" complete_cpuset="0x2" nodeset="0x1" complete_nodeset="0x1" gp_index="7"/>
        </object>
        <object type="Core" os_index="1" cpuset="0x4" complete_cpuset="0x4" nodeset="0x1" complete_nodeset="0x1" gp_index="8">
          <object type="PU" os_index="2" cpuset="0x4" complete_cpuset="0x4" nodeset="0x1" complete_nodeset="0x1" gp_index="9"/>
        </object>
      </object>
    </object>
    <object type="Package" os_index="1" cpuset="0x38" complete_cpuset="0x38" nodeset="0x4" complete_nodeset="0x4" gp_index="10">
      <object type="NUMANode" os_index="2" cpuset="0x38" complete_cpuset="0x38" nodeset="0x4" complete_nodeset="0x4" gp_index="11" local_memory="0"/>
      <object type="Core" os_index="0" cpuset="0x18" complete_cpuset="0x18" nodeset="0x4" complete_nodeset="0x4" gp_index="12">
        <object type="PU" os_index="3" cpuset="0x8" complete_cpuset="0x8" nodeset="0x4" complete_nodeset="0x4" gp_index="13"/>
        <object type="PU" os_index="4" cpuset="0x10" complete_cpuset="0x10" nodeset="0x4" complete_nodeset="0x4" gp_index="14"/>
      </object>
      <object type="Core" os_index="1" cpuset="0x20" complete_cpuset="0x20" nodeset="0x4" complete_nodeset="0x4" gp_index="15">
        <object type="PU" os_index="5" cpuset="0x20" complete_cpuset="0x20" nodeset="0x4" complete_nodeset="0x4" gp_index="16"/>
      </object>
      <object type="Bridge" gp_index="17" bridge_type="0-1" depth="0" bridge_pci="0000:[00-ff]">
        <object type="PCIDev" gp_index="18" pci_busid="0000:65:00.0" pci_type="0300 [10de:2684] [10de:167c] a1" pci_link_speed="31.5">
          <object type="OSDev" gp_index="19" name="cuda0" subtype="CUDA" osdev_type="5"/>
          <object type="OSDev" gp_index="20" name="nvml0" subtype="NVML" osdev_type="1"/>
        </object>
        <object type="PCIDev" gp_index="21" pci_busid="0000:66:00.0" pci_type="0300 [1002:7408] [1002:0000] 00" pci_link_speed="31.5"/>
      </object>
    </object>
  </object>
  <cpukind cpuset="0x24"><info name="FrequencyMaxMHz" value="3000"/></cpukind>
  <cpukind cpuset="0x3"><info name="FrequencyMaxMHz" value="5000"/></cpukind>
  <cpukind cpuset="0x18"><info name="FrequencyMaxMHz" value="5200"/></cpukind>
</topology>
"#;

    fn facts(xml: &str) -> Result<Facts, String> {
        from_xml(Source::new("t.xml", xml)).map_err(|finding| {
            assert_eq!(finding.code.as_str(), "malformed-dump");
            format!("{}: {}", finding.labels[0].span.at(), finding.message)
        })
    }

    #[test]
    fn a_saved_topology_gives_cores_caches_and_nodes() {
        let facts = facts(SMALL).unwrap();
        let want = serde_json::json!({
            "host": { "os": "linux" },
            "cpu": {
                "model": "Some CPU", "packages": 2, "physical_cores": 4, "logical_cpus": 6,
                "performance_cores": 2, "efficiency_cores": 2,
                "allowed_cpus": [0, 1, 2, 3, 4], "allowed_cores": 3,
                "l3_domains": [{ "size": 16777216, "cpus": [0, 1, 2] }],
            },
            "numa": { "nodes": [
                { "index": 0, "cpus": [0, 1, 2], "memory": 8589934592_u64, "gpus": [] },
                { "index": 2, "cpus": [3, 4, 5], "gpus": [0] },
            ] },
            "ram": { "total": 8589934592_u64 },
            "gpus": [{ "numa_node": 2 }],
        });
        assert_eq!(Value::Object(facts.to_tree()), want);
        assert_eq!(facts.reason("numa.nodes[1].memory"), NO_MEMORY);
        assert_eq!(facts.value("gpus"), None);
    }

    #[test]
    fn without_kinds_cores_of_different_width_are_not_ranked() {
        let end = SMALL.find("  <cpukind").unwrap();
        let facts = facts(&format!("{}</topology>", &SMALL[..end])).unwrap();
        assert_eq!(facts.value("cpu.performance_cores"), None);
        assert_eq!(facts.reason("cpu.efficiency_cores"), "the topology does not say which cores are the faster ones");
    }

    #[test]
    fn bad_files_are_refused_where_they_are_bad() {
        let cases = [
            (
                SMALL.replace("\"2.0\"", "\"3.0\""),
                "t.xml:3:1: the topology has the format of hwloc 3.0; this program reads that of hwloc 2",
            ),
            (SMALL.replace("\"2.0\"", "\"two\""), "t.xml:3:1: `two` is not a version of hwloc's format"),
            (
                SMALL.replace("os_index=\"5\"", "os_index=\"4294967295\""),
                "t.xml:26:9: 4294967295 is larger than any number of a CPU or node",
            ),
            (SMALL.replace("</topology>", ""), "t.xml:39:79: the topology is cut off: its XML does not end"),
            ("<html></html>".to_owned(), "t.xml:1:1: `<html>` does not begin a topology of hwloc"),
            ("<topology/>".to_owned(), "t.xml:1:1: the topology holds no object"),
            ("nothing".to_owned(), "t.xml:1:1: the file is not a topology of hwloc"),
        ];
        for (xml, message) in cases {
            assert_eq!(facts(&xml).unwrap_err(), message);
        }
        let broken = facts(&SMALL.replace("</object>\n  </object>\n  <cpukind", "</object>\n  </objekt>\n  <cpukind"))
            .unwrap_err();
        assert!(broken.contains("not well-formed"), "{broken}");
        let cut = facts(&SMALL[..SMALL.len() / 2]).unwrap_err();
        assert!(cut.contains("XML"), "{cut}");
        let empty = facts("<topology version=\"2.0\"><object type=\"Machine\"/></topology>").unwrap_err();
        assert!(empty.contains("hwloc refuses the topology"), "{empty}");
    }

    #[test]
    fn an_impossible_amount_of_memory_is_unknown() {
        let facts = facts(&SMALL.replace("local_memory=\"8589934592\"", "local_memory=\"409600000000000\"")).unwrap();
        assert_eq!(facts.value("ram.total"), None);
        assert!(facts.findings.iter().all(|finding| finding.code.as_str() == "fact-impossible"));
        assert_eq!(facts.findings.len(), 2);
    }

    #[test]
    fn this_machine_has_cores_and_nodes() {
        let facts = live();
        let number = |name: &str| facts.value(name).and_then(Value::as_u64).unwrap();
        assert!(number("cpu.logical_cpus") >= number("cpu.physical_cores"));
        assert!(facts.value("cpu.allowed_cpus").and_then(Value::as_array).is_some_and(|cpus| !cpus.is_empty()));
        assert!(facts.count("numa.nodes") >= Some(1));
    }
}
