//! Packages, cores, caches and NUMA nodes: of this machine through hwloc, or from a topology that hwloc saved as XML or
//! `lscpu` printed as a table.

use std::sync::Arc;

use serde_json::Value;

use super::layout::{Gpu, Layout, Node, Set, describe};
use super::sanity;
use crate::diag::{Finding, Source, Span};
use crate::facts::Facts;

#[cfg(all(feature = "hwloc", not(windows)))]
mod hwloc;
#[cfg(not(all(feature = "hwloc", not(windows))))]
#[path = "topology/no_hwloc.rs"]
mod hwloc;
mod lscpu;
pub mod xml;

pub use self::hwloc::{Hwloc, look};

/// `cpu.*` that hwloc knows, `numa.*`, and the nodes' memory together as `ram.total`, of a machine that its kernel
/// describes too. GPUs are placed elsewhere.
pub fn of_machine(mut layout: Layout, kernel: &Facts) -> Facts {
    // hwloc knows the cpuset but not the affinity mask.
    if let Some(Value::Array(bound)) = kernel.value("cpu.allowed_cpus") {
        let bound: Set = bound.iter().filter_map(Value::as_i64).collect();
        layout.allowed.get_or_insert_with(|| layout.cpus.clone()).retain(|cpu| bound.contains(cpu));
    }
    let mut facts = Facts::new("the topology does not say");
    describe(&mut facts, &layout);
    facts
}

/// The same, where hwloc gives no topology.
pub fn unknown(why: &str) -> Facts {
    let mut facts = Facts::new(why);
    for family in ["cpu.l3_domains", "numa"] {
        facts.unknown(family, why);
    }
    facts
}

/// A saved topology of either form: hwloc's XML, or the table of `lscpu -e` or `lscpu -p`.
///
/// # Errors
/// A `malformed-dump` finding at its place, when it is neither, or cannot be read as what it is.
pub fn from_file(source: Arc<Source>) -> Result<Facts, Finding> {
    let text = source.text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with('<') {
        return from_xml(source);
    }
    if lscpu::is_table(text) {
        return from_lscpu(source);
    }
    let summary = text.lines().any(|line| line.starts_with("CPU(s):"));
    let message = if summary {
        "the file is the summary that `lscpu` prints without options"
    } else {
        "the file is neither a topology of hwloc nor a table of `lscpu`"
    };
    Err(malformed(message).at(span(&source, 0, 0), "").help("save one with `lstopo file.xml` or `lscpu -e > file`"))
}

/// The topology that `lstopo` or hwloc saved as XML (hwloc 1 and 2).
///
/// Besides what [`of_machine`] gives: what the file says of the system and the processor's name, and the NUMA node of each
/// NVIDIA GPU, in the driver's order, as `gpus[i].numa_node`. It does not make `gpus` known, because it shows neither
/// their memory nor whether a driver runs them.
///
/// # Errors
/// A `malformed-dump` finding at its place, when the text is no such XML, is cut off or is of hwloc 3.
pub fn from_xml(source: Arc<Source>) -> Result<Facts, Finding> {
    let layout = xml::read(&source)?;
    Ok(saved(&source, &layout))
}

/// The table that `lscpu -e` or `lscpu -p` printed: `cpu.*` and `numa.*` without sizes.
///
/// Kinds of cores and the CPUs that a process may use are unknown; nodes without CPUs are not listed.
///
/// # Errors
/// A `malformed-dump` finding at its place, when a row does not fit the heading or no CPU is online.
pub fn from_lscpu(source: Arc<Source>) -> Result<Facts, Finding> {
    let layout = lscpu::read(&source)?;
    Ok(saved(&source, &layout))
}

fn saved(source: &Arc<Source>, layout: &Layout) -> Facts {
    let mut facts = Facts::new("the saved dump does not say");
    describe(&mut facts, layout);
    describe_system(&mut facts, layout);
    describe_gpus(&mut facts, layout);
    sanity::check(&mut facts, |_| Some(span(source, 0, 0)));
    facts
}

/// An error about a saved topology, without its place.
fn malformed(message: impl Into<String>) -> Finding {
    Finding::error("malformed-dump", message)
}

/// A place in a saved topology.
fn span(source: &Arc<Source>, start: usize, end: usize) -> Span {
    Span { source: Arc::clone(source), range: start..end }
}

// What a saved topology says of the machine besides.
fn describe_system(facts: &mut Facts, layout: &Layout) {
    let names = [
        ("host.os", "OSName"),
        ("host.kernel", "OSRelease"),
        ("host.arch", "Architecture"),
        ("host.model", "DMIProductName"),
        ("cpu.model", "CPUModel"),
        ("cpu.vendor", "CPUVendor"),
    ];
    for (fact, name) in names {
        let text = layout.infos.iter().find(|(found, _)| found == name).map(|(_, text)| text);
        let text = text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default();
        if !text.is_empty() {
            let text = if fact == "host.os" { text.to_lowercase() } else { text };
            facts.know(fact, text, layout.origin);
        }
    }
}

fn describe_gpus(facts: &mut Facts, layout: &Layout) {
    let listed: Vec<i64> = (0..facts.count("numa.nodes").unwrap_or(0))
        .filter_map(|index| facts.value(&format!("numa.nodes[{index}].index"))?.as_i64())
        .collect();
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); listed.len()];
    for (index, gpu) in gpus(layout).into_iter().enumerate() {
        let nodes: Vec<&Node> = layout.nodes.iter().filter(|node| gpu.near.contains(&node.number)).collect();
        for (number, near) in listed.iter().zip(&mut near) {
            if gpu.near.contains(number) {
                near.push(index);
            }
        }
        // Of several nodes at one place (MCDRAM beside DRAM) the first is the ordinary memory.
        let place = nodes.iter().min_by_key(|node| node.number);
        let place = place.filter(|first| nodes.iter().all(|node| node.cpus == first.cpus)).map(|node| node.number);
        let place = place.ok_or("the topology does not show the card at one node");
        facts.know_or(format!("gpus[{index}].numa_node"), place, layout.origin);
    }
    for (index, gpus) in near.into_iter().enumerate() {
        let gpus = if layout.devices > 0 { Ok(gpus) } else { Err("the topology was saved without PCI devices") };
        facts.know_or(format!("numa.nodes[{index}].gpus"), gpus, layout.origin);
    }
}

// In the driver's order: by the number in `nvml0` where hwloc saw the driver, else by bus. Where some carry a device of the
// driver, the others are not run by it.
fn gpus(layout: &Layout) -> Vec<&Gpu> {
    let run = |gpu: &Gpu| gpu.nvml.is_some() || gpu.cuda.is_some();
    let some = layout.gpus.iter().any(run);
    let mut gpus: Vec<&Gpu> = layout.gpus.iter().filter(|gpu| !some || run(gpu)).collect();
    gpus.sort_by_key(|gpu| (gpu.nvml.unwrap_or(usize::MAX), &gpu.bus));
    gpus
}

#[cfg(test)]
mod tests {
    use super::super::layout::NO_MEMORY;
    use super::*;
    use crate::facts::Origin;

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
                { "index": 0, "cpus": [0, 1, 2], "memory": 8589934592_u64, "package": 0, "gpus": [] },
                { "index": 2, "cpus": [3, 4, 5], "package": 1, "gpus": [0] },
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
                "t.xml:26:9: `4294967295` is not the number of a CPU or node",
            ),
            (SMALL.replace("</topology>", ""), "t.xml:39:79: the topology is cut off: its XML does not end"),
            ("<html></html>".to_owned(), "t.xml:1:1: `<html>` does not begin a topology of hwloc"),
            ("<topology/>".to_owned(), "t.xml:1:1: the topology holds no CPU"),
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
        let words = facts(&SMALL.replace("cpuset=\"0x24\"", "cpuset=\"0x24,many\"")).unwrap_err();
        assert_eq!(words, "t.xml:37:3: `0x24,many` is not a set of CPUs or nodes");
    }

    #[test]
    fn a_file_is_read_as_what_it_is() {
        let read = |text: &str| from_file(Source::new("t", text)).map_err(|finding| finding.message);
        assert_eq!(read(&format!("\u{feff}\n{SMALL}")).unwrap().origin("cpu.packages"), Some(Origin::Hwloc));
        let table = read("CPU SOCKET CORE\n  0      0    0\n").unwrap();
        assert_eq!(table.origin("cpu.packages"), Some(Origin::Lscpu));
        let neither = "the file is neither a topology of hwloc nor a table of `lscpu`";
        let summary = "the file is the summary that `lscpu` prints without options";
        for (text, message) in [("", neither), ("Machine (31GB total)\n", neither), ("CPU(s):   2\n", summary)] {
            assert_eq!(read(text).unwrap_err(), message);
        }
    }

    #[test]
    fn an_impossible_amount_of_memory_is_unknown() {
        let facts = facts(&SMALL.replace("local_memory=\"8589934592\"", "local_memory=\"409600000000000\"")).unwrap();
        assert_eq!(facts.value("ram.total"), None);
        assert!(facts.findings.iter().all(|finding| finding.code.as_str() == "fact-impossible"));
        assert_eq!(facts.findings.len(), 2);
    }
}
