//! hwloc's XML, read without hwloc: its library trusts the file and crashes on one that was damaged.

use std::collections::BTreeSet;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::super::layout::{Cache, Gpu, Kind, Layout, MOST_INDEX, Node, Set};
use super::{malformed, span};
use crate::diag::{Finding, Source};
use crate::facts::Origin;

/// Deeper than any topology nests.
const DEPTH: usize = 128;

/// PCI vendor of NVIDIA, and the class of display controllers.
const NVIDIA: &str = "10de";
const DISPLAY: &str = "03";

/// An open element and what has been read of it.
#[derive(Default)]
struct Frame {
    element: String,
    // Of an object: `Core`, `NUMANode`, …
    kind: String,
    cpus: Option<Set>,
    nodes: Option<Set>,
    infos: Vec<(String, String)>,
    start: usize,
    // Of a NUMA node or PCI device, until its end.
    node: Option<Node>,
    gpu: Option<Gpu>,
    efficiency: Option<i64>,
}

/// Reads a topology that hwloc 1 or 2 saved.
///
/// # Errors
/// A `malformed-dump` finding at its place.
pub fn read(source: &Arc<Source>) -> Result<Layout, Finding> {
    let mut reader = Reader::from_str(&source.text);
    let mut layout = Layout::new(Origin::Hwloc);
    let mut open: Vec<Frame> = Vec::new();
    let mut seen_root = false;
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
                }
                if open.len() >= DEPTH {
                    return Err(malformed("the topology nests too deeply").at(span(source, at, end), ""));
                }
                let frame =
                    enter(&mut layout, &mut open, &tag).map_err(|finding| finding.at(span(source, at, end), ""))?;
                open.push(Frame { element: name, start: at, ..frame });
                if empty {
                    leave(&mut layout, &mut open);
                }
            }
            Event::End(_) => leave(&mut layout, &mut open),
            Event::Eof if !open.is_empty() => {
                let finding = malformed("the topology is cut off: its XML does not end");
                return Err(unclosed(source, finding, source.text.trim_end().len(), &open));
            }
            Event::Eof if layout.cpus.is_empty() => {
                let message =
                    if seen_root { "the topology holds no CPU" } else { "the file is not a topology of hwloc" };
                return Err(malformed(message).at(span(source, 0, 0), "").help("save one with `lstopo file.xml`"));
            }
            Event::Eof => return Ok(finish(layout)),
            _ => {}
        }
    }
}

// Without nodes of its own the machine is one node (hwloc 1 wrote none then).
fn finish(mut layout: Layout) -> Layout {
    if layout.nodes.is_empty() {
        layout.nodes.push(Node { number: 0, cpus: layout.cpus.clone(), memory: layout.memory });
    }
    layout
}

fn enter(layout: &mut Layout, open: &mut [Frame], tag: &BytesStart<'_>) -> Result<Frame, Finding> {
    let mut frame = Frame::default();
    match tag.name().as_ref() {
        "topology" => version(tag)?,
        "info" => {
            if let (Some(name), Some(value), Some(parent)) =
                (attribute(tag, "name")?, attribute(tag, "value")?, open.last_mut())
            {
                parent.infos.push((name, value));
            }
        }
        "cpukind" => {
            frame.cpus = set(tag, "cpuset")?;
            frame.efficiency = attribute(tag, "forced_efficiency")?.and_then(|rank| rank.parse().ok());
        }
        "object" => object(layout, open, tag, &mut frame)?,
        _ => {}
    }
    Ok(frame)
}

fn object(layout: &mut Layout, open: &mut [Frame], tag: &BytesStart<'_>, frame: &mut Frame) -> Result<(), Finding> {
    let kind = attribute(tag, "type")?.unwrap_or_default();
    frame.cpus = set(tag, "cpuset")?;
    frame.nodes = set(tag, "nodeset")?;
    let cpus = |kind: &str| frame.cpus.clone().ok_or_else(|| malformed(format!("a `{kind}` has no CPUs named")));
    let number = || -> Result<i64, Finding> {
        let text = attribute(tag, "os_index")?.unwrap_or_default();
        let number = text.parse::<u64>().ok().filter(|&number| number <= MOST_INDEX);
        let number = number.and_then(|number| i64::try_from(number).ok());
        number.ok_or_else(|| malformed(format!("`{text}` is not the number of a CPU or node")))
    };
    match kind.as_str() {
        "Machine" | "System" => {
            layout.memory = size(tag, "local_memory")?;
            layout.allowed = set(tag, "allowed_cpuset")?;
            layout.allowed_nodes = set(tag, "allowed_nodeset")?;
        }
        "Package" | "Socket" => layout.packages.push(frame.cpus.clone().unwrap_or_default()),
        "Core" => layout.cores.push(cpus("Core")?),
        "PU" => {
            layout.cpus.insert(number()?);
        }
        "L3Cache" => layout.caches.push(Cache { cpus: cpus("L3Cache")?, size: size(tag, "cache_size")? }),
        // hwloc 1 has one type for all caches; 1 is one of instructions.
        "Cache"
            if attribute(tag, "depth")?.as_deref() == Some("3")
                && attribute(tag, "cache_type")?.as_deref() != Some("1") =>
        {
            layout.caches.push(Cache { cpus: cpus("Cache")?, size: size(tag, "cache_size")? });
        }
        "NUMANode" => {
            let mut cpus = cpus("NUMANode")?;
            // In hwloc 1 memory beside the ordinary one (MCDRAM) has no CPUs of its own, and shares those of its group.
            if let Some(group) = open.last().filter(|parent| cpus.is_empty() && parent.kind == "Group") {
                cpus = group.cpus.clone().unwrap_or_default();
            }
            let gpu_memory = attribute(tag, "subtype")?.as_deref() == Some("GPUMemory");
            let node = Node { number: number()?, cpus, memory: size(tag, "local_memory")? };
            frame.node = (!gpu_memory).then_some(node);
        }
        "PCIDev" => {
            layout.devices += 1;
            frame.gpu = gpu(open, tag)?;
        }
        "OSDev" => {
            let name = attribute(tag, "name")?.unwrap_or_default();
            if let Some(gpu) = open.last_mut().and_then(|parent| parent.gpu.as_mut()) {
                let driver = |kind: &str| name.strip_prefix(kind).and_then(|number| number.parse::<usize>().ok());
                gpu.nvml = gpu.nvml.or(driver("nvml"));
                gpu.cuda = gpu.cuda.or(driver("cuda"));
            }
        }
        _ => {}
    }
    frame.kind = kind;
    Ok(())
}

// `pci_type="0302 [10de:1eb8] …"`: class, vendor, device.
fn gpu(open: &[Frame], tag: &BytesStart<'_>) -> Result<Option<Gpu>, Finding> {
    let kind = attribute(tag, "pci_type")?.unwrap_or_default().to_lowercase();
    let Some((class, rest)) = kind.split_once(" [") else { return Ok(None) };
    if !class.starts_with(DISPLAY) || !rest.starts_with(NVIDIA) {
        return Ok(None);
    }
    let bus = attribute(tag, "pci_busid")?.unwrap_or_default();
    let near = open.iter().rev().find_map(|frame| frame.nodes.clone()).unwrap_or_default();
    Ok(Some(Gpu { nvml: None, cuda: None, bus, near }))
}

fn leave(layout: &mut Layout, open: &mut Vec<Frame>) {
    let Some(frame) = open.pop() else { return };
    let info = |name: &str| frame.infos.iter().any(|(found, _)| found == name);
    // Hardware that exposes a GPU's memory as a node names the GPU there.
    layout.nodes.extend(frame.node.filter(|_| !info("PCIBusID")));
    layout.gpus.extend(frame.gpu);
    match frame.kind.as_str() {
        // The machine's own infos stand before those of its first package.
        "Machine" | "System" => layout.infos.splice(0..0, frame.infos).for_each(drop),
        "Package" | "Socket" => layout.infos.extend(frame.infos),
        _ if frame.element == "cpukind" => {
            let cpus = frame.cpus.unwrap_or_default();
            layout.kinds.push(Kind { cpus, rank: frame.efficiency, infos: frame.infos });
        }
        _ => {}
    }
}

fn unclosed(source: &Arc<Source>, finding: Finding, at: usize, open: &[Frame]) -> Finding {
    let finding = finding.at(span(source, at, at), "");
    match open.last() {
        Some(Frame { element, start, .. }) => finding
            .at(span(source, *start, *start), format!("`{element}` is not closed"))
            .help("save it again, to its end"),
        None => finding,
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Finding> {
    let wrong = |error: String| malformed(format!("the topology is not well-formed XML: {error}"));
    let found = tag.try_get_attribute(name).map_err(|error| wrong(error.to_string()))?;
    found
        .map(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).map(|value| value.trim().to_owned()))
        .transpose()
        .map_err(|error| wrong(error.to_string()))
}

// A number of bytes; none where it is zero, which hwloc writes for "not known".
fn size(tag: &BytesStart<'_>, name: &str) -> Result<Option<u64>, Finding> {
    let Some(text) = attribute(tag, name)? else { return Ok(None) };
    let size = text.parse::<u64>().map_err(|_| malformed(format!("`{text}` is not a number of bytes")))?;
    Ok((size > 0).then_some(size))
}

// A set of CPUs or nodes: 32-bit words in hexadecimal, highest first, empty ones zero: `0x00000003,,0xffffffff`. One
// without an end (`0xf...f,`) is given as none: it leaves nothing out.
fn set(tag: &BytesStart<'_>, name: &str) -> Result<Option<Set>, Finding> {
    let Some(text) = attribute(tag, name)? else { return Ok(None) };
    if text.starts_with("0xf...f") {
        return Ok(None);
    }
    let wrong = || malformed(format!("`{text}` is not a set of CPUs or nodes"));
    let mut set = BTreeSet::new();
    for (place, word) in text.split(',').rev().enumerate() {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        let mut bits = match digits {
            "" => 0,
            _ if digits.len() <= 8 => u32::from_str_radix(digits, 16).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        let base = i64::try_from(place).map_err(|_| wrong())? * 32;
        while bits != 0 {
            set.insert(base + i64::from(bits.trailing_zeros()));
            bits &= bits - 1;
        }
    }
    Ok(Some(set))
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
