//! A dump as a tree of sections: what `nvidia-smi -q` indents and what `-q -x` nests come out the same.

use std::ops::Range;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::refusal::refuse;
use crate::diag::{Finding, Source, Span};

/// Deeper than any dump nests; guards the walk over a file that is none.
const DEPTH: usize = 64;

/// What stands over the report in the text form.
const TEXT_HEADER: &str = "NVSMI LOG";
/// The element around the XML form.
pub const XML_ROOT: &str = "nvidia_smi_log";

/// One line of a text dump or one element of an XML dump, with everything below it.
#[derive(Debug)]
pub struct Node {
    /// The name in lower case with underscores, so that `FB Memory Usage` and `fb_memory_usage` are one.
    pub name: String,
    /// The name as it is written.
    pub label: String,
    /// What the line or element says; `None` for a heading.
    pub value: Option<String>,
    /// What stands below.
    pub children: Vec<Node>,
    /// Where it begins: the line, or the opening tag.
    pub range: Range<usize>,
}

/// The sections whose keys say nothing of the card as a whole.
const APART: &[&str] = &["mig_device", "mig_devices", "processes", "accounted_processes", "supported_clocks"];

impl Node {
    fn new(label: &str, value: Option<String>, range: Range<usize>) -> Self {
        Self { name: canonical(label), label: label.to_owned(), value, children: Vec::new(), range }
    }

    /// What the line or element says, without the note that drivers from 610 on append to what they will drop:
    /// `13.3 [Deprecated; use …]`.
    pub fn text(&self) -> Option<&str> {
        let value = self.value.as_deref()?.trim();
        let note = value.ends_with(']').then(|| value.find(" [")).flatten();
        Some(note.map_or(value, |start| value[..start].trim_end()))
    }

    /// The direct child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The section of that name, wherever below it stands, but not inside another device or a list of processes.
    pub fn section(&self, name: &str) -> Option<&Self> {
        self.child(name).or_else(|| {
            let inside = self.children.iter().filter(|child| !APART.contains(&child.name.as_str()));
            inside.into_iter().find_map(|child| child.section(name))
        })
    }

    /// Every node below of that name, in order.
    pub fn all<'a>(&'a self, name: &str, found: &mut Vec<&'a Self>) {
        for child in &self.children {
            if child.name == name {
                found.push(child);
            } else {
                child.all(name, found);
            }
        }
    }

    /// Whether this is the section of one GPU.
    pub fn is_gpu(&self) -> bool {
        // `Gpu : 5 %` is a line of the utilization.
        (self.name == "gpu" && !self.children.is_empty())
            || (self.value.is_none()
                && self.label.strip_prefix("GPU ").is_some_and(|bus| {
                    bus.contains(':') && bus.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
                }))
    }

    // The line that stands last in the file.
    fn last(&self) -> &Self {
        self.children.last().map_or(self, Self::last)
    }
}

/// `GPU T.Limit Temp` → `gpu_t_limit_temp`. Drivers from 610 on say `GPU Target Temperature Specification` where earlier
/// ones said `GPU Target Temperature`.
fn canonical(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase());
        } else if !name.ends_with('_') && !name.is_empty() {
            name.push('_');
        }
    }
    let kept = name.trim_end_matches('_');
    kept.strip_suffix("_specification").unwrap_or(kept).to_owned()
}

/// Reads a dump of either form.
///
/// # Errors
/// A `malformed-dump` finding at its place, when the file is no report of `nvidia-smi -q` or has lost a part.
pub fn read(source: &Arc<Source>) -> Result<Node, Finding> {
    let text = &source.text;
    if let Some(start) = text.find(&format!("<{XML_ROOT}")) {
        return read_xml(source, start);
    }
    if let Some(header) = text.find(TEXT_HEADER) {
        return read_text(source, header);
    }
    Err(refuse(source))
}

/// An error about a dump, without its place.
pub fn malformed(message: impl Into<String>) -> Finding {
    Finding::error("malformed-dump", message)
}

/// A place in the dump.
pub fn span(source: &Arc<Source>, range: Range<usize>) -> Span {
    Span { source: Arc::clone(source), range }
}

fn read_text(source: &Arc<Source>, header: usize) -> Result<Node, Finding> {
    let text = &source.text;
    let body = header + text[header..].find('\n').map_or(text.len() - header, |end| end + 1);
    let mut open = vec![(None, Node::new(XML_ROOT, None, header..body))];
    let mut start = body;
    for raw in text[body..].split_inclusive('\n') {
        let (at, line) = (start, raw.trim_end());
        start += raw.len();
        // `nvidia-smi -l` repeats the report; the first one is read.
        if line.contains(TEXT_HEADER) {
            break;
        }
        if line.is_empty() {
            continue;
        }
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let (label, value) = match separator(content) {
            Some(colon) => (content[..colon].trim_end(), Some(content[colon + 1..].trim().to_owned())),
            None => (content, None),
        };
        close(&mut open, indent);
        open.push((Some(indent), Node::new(label, value, at + indent..at + line.len())));
    }
    close(&mut open, 0);
    let Some((_, root)) = open.pop() else { return Err(malformed("the dump is empty")) };
    whole(source, &root)?;
    Ok(root)
}

// The colon after the name's padding. `GPU 00000000:01:00.0` has none.
fn separator(line: &str) -> Option<usize> {
    line.match_indices(':').map(|(at, _)| at).find(|&at| line[..at].ends_with(char::is_whitespace))
}

// Hands every section that a line of this indent ends to the section it stands in.
fn close(open: &mut Vec<(Option<usize>, Node)>, indent: usize) {
    while open.last().is_some_and(|(at, _)| at.is_some_and(|at| at >= indent)) {
        let Some((_, done)) = open.pop() else { return };
        if let Some((_, parent)) = open.last_mut() {
            parent.children.push(done);
        }
    }
}

// A text dump has no end mark. A full report of a GPU ends with its processes, and no report ends with a heading.
fn whole(source: &Arc<Source>, root: &Node) -> Result<(), Finding> {
    let gpus = root.children.iter().filter(|node| node.is_gpu());
    for gpu in gpus {
        let last = gpu.last();
        let full = gpu.child("product_name").is_some();
        // Drivers before 331 said "compute processes".
        let ended = ["processes", "compute_processes"].iter().any(|name| gpu.child(name).is_some());
        // Which processes run does not matter here.
        let heading = last.value.is_none() && last.name != "processes";
        if heading || (full && !ended) {
            return Err(malformed(format!("the dump is cut off: `{}` is not whole", gpu.label))
                .at(span(source, last.range.clone()), "the last line of it")
                .at(span(source, gpu.range.clone()), "begins here")
                .help("save it again, to its end"));
        }
    }
    Ok(())
}

fn read_xml(source: &Arc<Source>, root: usize) -> Result<Node, Finding> {
    let mut reader = Reader::from_str(&source.text[root..]);
    let mut open: Vec<Node> = Vec::new();
    loop {
        let at = root + position(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            let at = root + position(reader.error_position());
            let shown = malformed(format!("the dump is not well-formed XML: {error}"));
            located(source, shown, at, &open)
        })?;
        let end = root + position(reader.buffer_position());
        match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH {
                    return Err(malformed("the dump nests too deeply").at(span(source, at..end), ""));
                }
                open.push(Node::new(tag.name().as_ref(), None, at..end));
            }
            Event::Empty(tag) => {
                let node = Node::new(tag.name().as_ref(), Some(String::new()), at..end);
                if let Some(root) = attach(&mut open, node) {
                    return Ok(root);
                }
            }
            Event::End(_) => {
                let Some(node) = open.pop() else { continue };
                if let Some(root) = attach(&mut open, node) {
                    return Ok(root);
                }
            }
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                let Some(node) = open.last_mut() else { continue };
                let raw = source.text[at..end].trim();
                if !raw.is_empty() {
                    node.value.get_or_insert_default().push_str(raw);
                }
            }
            Event::Eof => {
                let shown = malformed("the dump is cut off: its XML does not end");
                return Err(located(source, shown, source.text.trim_end().len(), &open));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

// Adds an element to the one it stands in; gives it back when it is the root.
fn attach(open: &mut [Node], node: Node) -> Option<Node> {
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(node);
            None
        }
        None => Some(node),
    }
}

fn located(source: &Arc<Source>, finding: Finding, at: usize, open: &[Node]) -> Finding {
    let finding = finding.at(span(source, at..at), "");
    match open.last() {
        Some(node) => {
            let text = format!("`{}` is not closed", node.label);
            finding.at(span(source, node.range.clone()), text).help("save it again, to its end")
        }
        None => finding,
    }
}

// Offsets into a text in memory fit.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Node, String> {
        read(&Source::new("dump", text)).map_err(|finding| {
            let at = finding.labels.first().map(|label| label.span.at().to_string());
            format!("{}: {}", at.unwrap_or_default(), finding.message)
        })
    }

    const TEXT: &str = "$ nvidia-smi -q\n=====NVSMI LOG=====\n\nDriver Version  : 550.1\nGPU 00000000:01:00.0\n    \
                        Product Name : X : Y\n    FB Memory Usage\n        Total : 8 MiB\n    Processes : None\n";

    #[test]
    fn both_forms_give_one_tree() {
        let text = tree(TEXT).unwrap();
        let gpu = &text.children[1];
        assert!(gpu.is_gpu());
        assert_eq!(gpu.child("product_name").unwrap().value.as_deref(), Some("X : Y"));
        let xml = tree(
            "<?xml version=\"1.0\" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM \"x.dtd\">\n<nvidia_smi_log><gpu id=\"a\">\
             <fb_memory_usage><total>8 MiB</total></fb_memory_usage><processes/></gpu></nvidia_smi_log>\n",
        )
        .unwrap();
        for gpu in [gpu, &xml.children[0]] {
            let total = gpu.section("fb_memory_usage").and_then(|section| section.child("total")).unwrap();
            assert_eq!(total.value.as_deref(), Some("8 MiB"));
        }
    }

    #[test]
    fn a_dump_without_its_end_is_refused_at_its_last_line() {
        let cut = |lines: usize| TEXT.lines().take(lines).collect::<Vec<_>>().join("\n");
        let gpu = "`GPU 00000000:01:00.0` is not whole";
        assert_eq!(tree(&cut(5)).unwrap_err(), format!("dump:5:1: the dump is cut off: {gpu}"));
        assert_eq!(tree(&cut(7)).unwrap_err(), format!("dump:7:5: the dump is cut off: {gpu}"));
        assert_eq!(tree(&cut(8)).unwrap_err(), format!("dump:8:9: the dump is cut off: {gpu}"));
        assert!(tree(&cut(9)).is_ok());
        assert!(tree(&TEXT.replace("Processes", "Compute Processes")).is_ok());
        assert!(tree(&TEXT.replace("Processes : None", "Processes")).is_ok());
        let xml = "<nvidia_smi_log>\n<gpu>\n<product_name>RTX";
        assert_eq!(tree(xml).unwrap_err(), "dump:3:18: the dump is cut off: its XML does not end");
        assert_eq!(
            tree("<nvidia_smi_log>\n<gpu></cpu>").unwrap_err(),
            "dump:2:6: the dump is not well-formed XML: ill-formed document: expected `</gpu>`, but `</cpu>` was found"
        );
    }

    #[test]
    fn xml_that_nests_without_end_is_refused() {
        assert!(tree(&format!("<nvidia_smi_log>{}", "<a>".repeat(100))).unwrap_err().contains("too deeply"));
    }
}
