//! The topology of this machine through hwloc.

use std::{fs, io};

use hwlocality::Topology;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TopologyBuilder};
use hwlocality::topology::export::xml::XMLExportFlags;

use super::super::layout::{Cache, Kind, Layout, Node, Set};
use crate::facts::Origin;

/// What a topology says besides, in words; the others may tell whose machine it is.
const INFOS: &[&str] = &[
    "Architecture",
    "CPUModel",
    "CPUVendor",
    "CoreType",
    "DMIProductName",
    "FrequencyBaseMHz",
    "FrequencyMaxMHz",
    "LinuxCapacity",
    "OSName",
    "OSRelease",
    "PCIBusID",
];

/// The topology of this machine, as hwloc has it.
#[derive(Debug)]
pub struct Hwloc(Topology);

/// Asks hwloc for the topology of this machine, without PCI devices, which cost most of the time.
///
/// # Errors
/// Why it does not give one, to stand after its name.
pub fn look() -> Result<Hwloc, String> {
    // hwloc aborts the program when the folder of the nodes is empty.
    let nodes = fs::read_dir("/sys/devices/system/node").map(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("node")))
    });
    if matches!(nodes, Ok(false)) {
        return Err("cannot be asked: the kernel lists no NUMA node".to_owned());
    }
    let flags = BuildFlags::INCLUDE_DISALLOWED | BuildFlags::DONT_CHANGE_BINDING | BuildFlags::IGNORE_DISTANCES;
    let builder = TopologyBuilder::new().with_flags(flags).map_err(|error| error.to_string());
    let topology = builder.and_then(|builder| builder.build().map_err(|error| error.to_string()));
    let topology = topology.map_err(|error| format!("could not read the topology: {error}"))?;
    if topology.objects_with_type(ObjectType::Core).next().is_none() {
        return Err("finds no core: the kernel does not say what its CPUs are".to_owned());
    }
    // `HWLOC_XMLFILE` and its like make hwloc describe another machine.
    topology.is_this_system().then_some(Hwloc(topology)).ok_or_else(|| "describes another machine here".to_owned())
}

impl Hwloc {
    /// What facts follow from.
    pub fn layout(&self) -> Layout {
        layout(&self.0)
    }

    /// The topology in hwloc's own XML, without what tells whose machine it is.
    ///
    /// # Errors
    /// hwloc cannot write it.
    pub fn to_xml(&self) -> io::Result<String> {
        let xml = self.0.export_xml(XMLExportFlags::empty()).map_err(io::Error::other)?;
        let named = |line: &str| line.trim_start().strip_prefix("<info name=\"")?.split('"').next().map(str::to_owned);
        let stays = |line: &&str| named(line).is_none_or(|name| INFOS.contains(&name.as_str()));
        Ok(xml.as_str().split_inclusive('\n').filter(stays).collect())
    }
}

// What hwloc found on this machine.
fn layout(topology: &Topology) -> Layout {
    let objects = |kind: ObjectType| topology.objects_with_type(kind);
    let cpus = |object: &TopologyObject| object.cpuset().map(|cpus| indices(cpus.iter_set())).unwrap_or_default();
    let caches = objects(ObjectType::L3Cache).map(|cache| {
        let size = match cache.attributes() {
            Some(ObjectAttributes::Cache(cache)) => cache.size().map(u64::from),
            _ => None,
        };
        Cache { cpus: cpus(cache), size }
    });
    let nodes = objects(ObjectType::NUMANode).filter_map(|node| {
        let gpu_memory = node.subtype().is_some_and(|subtype| subtype.to_bytes() == b"GPUMemory");
        if gpu_memory || node.info("PCIBusID").is_some() {
            return None;
        }
        let memory = match node.attributes() {
            Some(ObjectAttributes::NUMANode(node)) => node.local_memory().map(u64::from),
            _ => None,
        };
        Some(Node { number: i64::try_from(node.os_index()?).ok()?, cpus: cpus(node), memory })
    });
    let kinds = topology.cpu_kinds().into_iter().flatten().map(|kind| {
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        Kind {
            cpus: indices(kind.cpuset.iter_set()),
            rank: kind.efficiency.and_then(|rank| i64::try_from(rank).ok()),
            infos: kind.infos.iter().map(|info| (text(info.name()), text(info.value()))).collect(),
        }
    });
    Layout {
        packages: objects(ObjectType::Package).map(cpus).collect(),
        cores: objects(ObjectType::Core).map(cpus).collect(),
        cpus: indices(topology.cpuset().iter_set()),
        allowed: Some(indices(topology.allowed_cpuset().iter_set())),
        allowed_nodes: Some(indices(topology.allowed_nodeset().iter_set())),
        caches: caches.collect(),
        nodes: nodes.collect(),
        kinds: kinds.collect(),
        ..Layout::new(Origin::Hwloc)
    }
}

fn indices(set: impl Iterator<Item = impl Into<usize>>) -> Set {
    set.filter_map(|index| i64::try_from(index.into()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::of_machine;
    use super::*;
    use crate::facts::Facts;

    #[test]
    fn this_machine_has_cores_and_nodes() {
        let facts = of_machine(look().unwrap().layout(), &Facts::new(""));
        let number = |name: &str| facts.value(name).and_then(Value::as_u64).unwrap();
        assert!(number("cpu.logical_cpus") >= number("cpu.physical_cores"));
        assert!(facts.value("cpu.allowed_cpus").and_then(Value::as_array).is_some_and(|cpus| !cpus.is_empty()));
        assert!(facts.count("numa.nodes") >= Some(1));
    }
}
