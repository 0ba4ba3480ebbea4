//! YAML text → a plain tree with the source span of every key and value.
//!
//! Policy, facts and target files are read through [`parse`], which accepts the subset of YAML that people expect: no
//! tags, no duplicate keys, YAML 1.2 booleans, string keys, one document, and bounded nodes and depth. The tree is then
//! given to serde, and a [`Document`] turns the path of whatever goes wrong back into a place in the text.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::diag::{Finding, Source, Span, did_you_mean};

/// Most nodes of one document, aliases expanded. The largest shipped file has some thousands.
const MAX_NODES: usize = 100_000;
/// Most bytes of all texts of one document, aliases expanded.
const MAX_BYTES: usize = 16 << 20;
/// Most bytes of a message that repeats what stands in the file.
const MAX_MESSAGE: usize = 400;
/// Deepest nesting of maps and lists.
const MAX_DEPTH: usize = 32;

/// A parsed YAML text: the tree and where each part of it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text.
    pub source: Arc<Source>,
    /// The tree; maps keep their order.
    pub value: Value,
    place: Place,
}

// Where one node stands. The children are those of the value, in its order; behind an alias they are the anchor's.
#[derive(Clone, Debug, Default)]
struct Place {
    key: Option<Range<usize>>,
    value: Range<usize>,
    style: Option<ScalarStyle>,
    children: Vec<Self>,
}

impl Document {
    /// The value at a JSON pointer; the start of the text when the pointer leads nowhere.
    pub fn span(&self, pointer: &str) -> Span {
        self.spanned(self.find(pointer).map_or(0..0, |(_, place)| place.value.clone()))
    }

    /// The key at a JSON pointer; the value when it stands in a list.
    pub fn key_span(&self, pointer: &str) -> Span {
        let key = self.find(pointer).map(|(_, place)| place.key.clone().unwrap_or_else(|| place.value.clone()));
        self.spanned(key.unwrap_or(0..0))
    }

    /// Where the text inside a scalar stands: maps offsets of the scalar's value to offsets of the file.
    pub fn scalar(&self, pointer: &str) -> ScalarText {
        match self.find(pointer) {
            Some((value, place)) => {
                ScalarText::new(self.spanned(place.value.clone()), place.style, value.as_str().unwrap_or(""))
            }
            None => ScalarText::opaque(self.spanned(0..0)),
        }
    }

    fn find(&self, pointer: &str) -> Option<(&Value, &Place)> {
        pointer.split('/').skip(1).try_fold((&self.value, &self.place), |(value, place), segment| {
            let (index, value) = match value {
                Value::Object(map) => {
                    let key = segment.replace("~1", "/").replace("~0", "~");
                    let (index, (_, value)) = map.iter().enumerate().find(|(_, (name, _))| **name == key)?;
                    (index, value)
                }
                Value::Array(items) => {
                    let index: usize = segment.parse().ok()?;
                    (index, items.get(index)?)
                }
                _ => return None,
            };
            Some((value, place.children.get(index)?))
        })
    }

    /// Reads the tree into a type; a mismatch is a finding at the key it is about.
    pub fn read<T: DeserializeOwned>(&self, code: &'static str) -> Result<T, Finding> {
        if !self.value.is_object() {
            let finding = Finding::error(code, "the file is not a map of keys and values");
            return Err(finding.at(self.span(""), ""));
        }
        serde_path_to_error::deserialize(&self.value).map_err(|error| {
            let pointer = pointer_of(error.path());
            let mut message = error.into_inner().to_string();
            if message.len() > MAX_MESSAGE {
                message.truncate(message.floor_char_boundary(MAX_MESSAGE));
                message.push('…');
            }
            let (span, help) = match unknown_field(&message) {
                Some((field, known)) => {
                    (self.key_span(&within(&pointer, &escape(field))), did_you_mean(field, known.iter().copied()))
                }
                None => (self.span(&pointer), None),
            };
            Finding::error(code, message).at(span, "").maybe_help(help)
        })
    }

    fn spanned(&self, range: Range<usize>) -> Span {
        Span { source: self.source.clone(), range }
    }
}

/// The text of a scalar inside a file: offsets of its value ↔ offsets of the file.
#[derive(Clone, Debug)]
pub struct ScalarText {
    span: Span,
    // (offset in the value, offset in the file), rising; empty when the two cannot be told apart.
    lines: Vec<(usize, usize)>,
}

impl ScalarText {
    /// A scalar whose inside cannot be located: everything points at its start.
    pub fn opaque(span: Span) -> Self {
        Self { span, lines: Vec::new() }
    }

    fn new(span: Span, style: Option<ScalarStyle>, value: &str) -> Self {
        let text = &span.source.text[span.clamped()];
        let start = span.clamped().start;
        let lines = match style {
            Some(ScalarStyle::Plain) if text == value => vec![(0, start)],
            Some(ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)
                if text.get(1..text.len().saturating_sub(1)) == Some(value) =>
            {
                vec![(0, start + 1)]
            }
            Some(ScalarStyle::Literal) => literal_lines(text, start, value),
            Some(ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) if !text.contains('\n') => {
                escaped_runs(text, start)
            }
            Some(_) => folded_lines(text, start, value),
            None => Vec::new(),
        };
        Self { span, lines }
    }

    /// The part of the file that a byte range of the value came from.
    pub fn locate(&self, range: Range<usize>) -> Span {
        let find = |offset: usize| {
            let line = self.lines.iter().rev().find(|(value, _)| *value <= offset)?;
            Some(line.1 + (offset - line.0))
        };
        let range = match (find(range.start), find(range.end)) {
            (Some(start), Some(end)) => start..end.max(start),
            _ => self.span.range.start..self.span.range.start,
        };
        Span { source: self.span.source.clone(), range }
    }

    /// The text of a part of the scalar, located in the same file.
    pub fn part(&self, range: Range<usize>) -> Self {
        let span = self.locate(range.clone());
        let shifted = self.lines.iter().filter(|(offset, _)| (range.start..range.end).contains(offset));
        let mut lines: Vec<_> = shifted.map(|(offset, at)| (offset - range.start, *at)).collect();
        if lines.first().is_none_or(|(offset, _)| *offset > 0) && !self.lines.is_empty() {
            lines.insert(0, (0, span.range.start));
        }
        Self { span, lines }
    }

    /// The whole scalar.
    pub fn span(&self) -> Span {
        self.span.clone()
    }
}

// A literal block keeps its lines; each stands behind the block's indentation.
fn literal_lines(text: &str, start: usize, value: &str) -> Vec<(usize, usize)> {
    let mut lines = Vec::new();
    let mut at = start;
    let mut source = text.split_inclusive('\n').map(|line| {
        let here = at;
        at += line.len();
        (here, line.trim_end_matches(['\n', '\r']))
    });
    let mut offset = 0;
    for line in value.split_inclusive('\n') {
        let content = line.trim_end_matches('\n');
        let found =
            source.find(|(_, text)| text.ends_with(content) && text[..text.len() - content.len()].trim().is_empty());
        let Some((here, text)) = found else { break };
        lines.push((offset, here + text.len() - content.len()));
        offset += line.len();
    }
    lines
}

// A quoted text on one line: what stands between two escapes is as in the file.
fn escaped_runs(text: &str, start: usize) -> Vec<(usize, usize)> {
    let double = text.starts_with('"');
    let mut runs = vec![(0, start + 1)];
    let (mut offset, mut at) = (0, 1);
    while let Some(c) = text.get(at..text.len().saturating_sub(1)).and_then(|rest| rest.chars().next()) {
        let written = match (double, c) {
            (true, '\\') => match text[at + 1..].chars().next() {
                Some('x') => 4,
                Some('u') => 6,
                Some('U') => 10,
                // The value of these two is longer than one byte.
                Some('L' | 'P' | 'N' | '_') => return Vec::new(),
                Some(escaped) => 1 + escaped.len_utf8(),
                None => 1,
            },
            (false, '\'') => 2,
            _ => {
                offset += c.len_utf8();
                at += c.len_utf8();
                continue;
            }
        };
        if written > 2 {
            return Vec::new();
        }
        offset += 1;
        at += written;
        runs.push((offset, start + at));
    }
    runs
}

// Lines that are joined by a space: each stands in the value as it stands in the file, without its indentation.
fn folded_lines(text: &str, start: usize, value: &str) -> Vec<(usize, usize)> {
    let mut lines = Vec::new();
    let (mut at, mut offset) = (start, 0);
    for line in text.split_inclusive('\n') {
        let content = line.trim().trim_matches(['"', '\'']);
        if !content.is_empty()
            && let Some(found) = value[offset..].find(content)
        {
            let column = line.find(content).unwrap_or(0);
            lines.push((offset + found, at + column));
            offset += found + content.len();
        }
        at += line.len();
    }
    lines
}

/// Parses one document.
///
/// # Errors
/// A finding `yaml-syntax` or `duplicate-key` that points at the place.
pub fn parse(source: Arc<Source>) -> Result<Document, Finding> {
    Reader::new(source).read()
}

/// Writes a value so that [`parse`] reads the same.
///
/// # Errors
/// A value that is no tree of maps with text keys, lists and scalars.
pub fn write<T: Serialize>(value: &T) -> Result<String, io::Error> {
    let text = serde_yaml::to_string(value).map_err(io::Error::other)?;
    // The writer breaks lines there, as in YAML 1.1; since YAML 1.2 they are characters. JSON is YAML without breaks.
    if text.contains(['\u{2028}', '\u{2029}']) { Ok(write_json(value)?) } else { Ok(text) }
}

/// The same as JSON, of which YAML does not take every character as it is.
///
/// # Errors
/// A map whose keys are no texts.
pub fn write_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    let is_odd = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'));
    if !text.contains(is_odd) {
        return Ok(text);
    }
    // They stand in texts alone.
    Ok(text.chars().map(|c| if is_odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect())
}

/// Escapes one segment of a JSON pointer.
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

// A collection that is being read.
struct Frame {
    // The values so far.
    value: Value,
    // Where they stand, and where the collection begins.
    place: Place,
    // In a map: the key whose value comes next.
    next: Option<(String, Range<usize>)>,
    anchor: usize,
}

struct Reader {
    source: Arc<Source>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Value, Place)>,
    nodes: usize,
    bytes: usize,
    root: (Value, Place),
}

impl Reader {
    fn new(source: Arc<Source>) -> Self {
        let root = (Value::Null, Place::default());
        Self { source, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, bytes: 0, root }
    }

    fn read(mut self) -> Result<Document, Finding> {
        let source = self.source.clone();
        let mut documents = 0;
        let options = granit_parser::options! { emit_comments: false };
        for event in Parser::new_from_str_with_options(&source.text, options) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or(0);
                self.error(at..at, error.info().to_string())
            })?;
            let range = span.byte_range().unwrap_or(0..0);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.error(range, "a second document in one file"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    if tag.is_some() {
                        return Err(self.tag(span.tag_span().and_then(|s| s.byte_range()).unwrap_or(range)));
                    }
                    self.scalar(&text, style, anchor, range)?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.open(Value::Object(Map::new()), tag.is_some(), anchor, range)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.open(Value::Array(Vec::new()), tag.is_some(), anchor, range)?;
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    if let Some(Frame { value, mut place, anchor, .. }) = self.stack.pop() {
                        place.value.end = range.end.max(place.value.start);
                        self.put(value, place, anchor);
                    }
                }
                Event::Alias(id) => {
                    self.may_stand_here(&range)?;
                    let (value, anchor) = self.anchors.get(&id).cloned().unwrap_or_default();
                    self.count(nodes_of(&value), &range)?;
                    self.count_bytes(bytes_of(&value), &range)?;
                    self.put(value, Place { key: None, value: range, ..anchor }, 0);
                }
                _ => {}
            }
        }
        let (value, place) = self.root;
        Ok(Document { source: self.source, value, place })
    }

    fn open(&mut self, value: Value, tagged: bool, anchor: usize, range: Range<usize>) -> Result<(), Finding> {
        if tagged {
            return Err(self.tag(range));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.error(range, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.may_stand_here(&range)?;
        self.count(1, &range)?;
        self.stack.push(Frame { value, place: Place { value: range, ..Place::default() }, next: None, anchor });
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, range: Range<usize>) -> Result<(), Finding> {
        self.count(1, &range)?;
        self.count_bytes(text.len(), &range)?;
        if let Some(Frame { value: Value::Object(entries), next: next @ None, .. }) = self.stack.last_mut() {
            if entries.contains_key(text) {
                return Err(Finding::error("duplicate-key", format!("the key `{text}` stands twice in one map"))
                    .at(Span { source: self.source.clone(), range }, "again here")
                    .help("remove one of the two; the last would silently win elsewhere"));
            }
            if text == "<<" {
                return Err(self.error(range, "merge keys are not supported"));
            }
            *next = Some((text.to_owned(), range));
            return Ok(());
        }
        let value = if style == ScalarStyle::Plain { plain(text) } else { Value::String(text.to_owned()) };
        self.put(value, Place { value: range, style: Some(style), ..Place::default() }, anchor);
        Ok(())
    }

    // A collection or an alias cannot be a key.
    fn may_stand_here(&self, range: &Range<usize>) -> Result<(), Finding> {
        match self.stack.last() {
            Some(Frame { value: Value::Object(_), next: None, .. }) => {
                Err(self.error(range.clone(), "a key must be a plain text"))
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, value: Value, mut place: Place, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), place.clone()));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = (value, place);
            return;
        };
        match (&mut frame.value, frame.next.take()) {
            (Value::Array(items), _) => items.push(value),
            (Value::Object(entries), Some((key, range))) => {
                place.key = Some(range);
                entries.insert(key, value);
            }
            _ => return,
        }
        frame.place.children.push(place);
    }

    fn count(&mut self, nodes: usize, range: &Range<usize>) -> Result<(), Finding> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.error(range.clone(), format!("more than {MAX_NODES} values in one file")));
        }
        Ok(())
    }

    fn count_bytes(&mut self, bytes: usize, range: &Range<usize>) -> Result<(), Finding> {
        self.bytes += bytes;
        if self.bytes > MAX_BYTES {
            return Err(self.error(range.clone(), format!("more than {} MiB of text in one file", MAX_BYTES >> 20)));
        }
        Ok(())
    }

    fn error(&self, range: Range<usize>, message: impl Into<String>) -> Finding {
        let span = Span { source: self.source.clone(), range };
        Finding::error("yaml-syntax", message).at(span, "")
    }

    fn tag(&self, range: Range<usize>) -> Finding {
        self.error(range, "YAML reads a leading `!` as a tag, and tags are not supported")
            .help("an expression that starts with `!` must be quoted, or stand in a block behind `|`")
    }
}

fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + bytes_of(value)).sum(),
        _ => 0,
    }
}

fn nodes_of(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes_of).sum(),
        Value::Object(entries) => entries.values().map(nodes_of).sum(),
        _ => 0,
    }
}

// YAML 1.2 core schema: `yes`, `on` and `no` are texts.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x") {
        if let Ok(number) = i64::from_str_radix(hex, 16) {
            return Value::from(number);
        }
    } else if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        if let Ok(number) = text.parse::<i64>() {
            return Value::from(number);
        }
        if let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

// The pointer of a field of a map; serde's path leads to the map or to the field itself.
fn within(pointer: &str, field: &str) -> String {
    match pointer.rsplit_once('/') {
        Some((_, last)) if last == field => pointer.to_owned(),
        _ => format!("{pointer}/{field}"),
    }
}

// serde says "unknown field `x`, expected one of `a`, `b`": the field and the names it knows.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    Some((field, rest.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, String> {
        parse(Source::new("t.yaml", text)).map_err(|f| {
            let at = f.labels[0].span.at();
            format!("{}:{}: {}: {}", at.line, at.column, f.code, f.message)
        })
    }

    #[test]
    fn scalars_follow_yaml_1_2() {
        let doc = read("a: yes\nb: true\nc: 012\nd: 1e3\ne: 2 s\nf: '7'\ng: ~\nh: 0x10\ni: -3\n").unwrap();
        assert_eq!(
            doc.value,
            serde_json::json!({"a": "yes", "b": true, "c": 12, "d": 1000.0, "e": "2 s", "f": "7", "g": null, "h": 16, "i": -3})
        );
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let odd = ('\0'..='\u{A0}').chain(['\u{2028}', '\u{2029}', '\u{FEFF}', '\u{FFFE}', '\u{10FFFF}']);
        for c in odd {
            for text in [format!("{c}"), format!("a{c}b"), format!("{c}b"), format!("a{c}")] {
                for beside in ["", "\u{2028}"] {
                    let value = serde_json::json!({"a": text, "b": [text, beside]});
                    assert_eq!(read(&write(&value).unwrap()).unwrap().value, value);
                    assert_eq!(read(&write_json(&value).unwrap()).unwrap().value, value);
                    assert_eq!(serde_json::from_str::<Value>(&write_json(&value).unwrap()).unwrap(), value);
                }
            }
        }
    }

    #[test]
    fn what_people_do_not_expect_is_refused() {
        assert_eq!(read("a: 1\na: 2\n").unwrap_err(), "2:1: duplicate-key: the key `a` stands twice in one map");
        assert!(read("when: !known(x)\n").unwrap_err().starts_with("1:7: yaml-syntax: YAML reads a leading `!`"));
        assert!(read("a: 1\n---\nb: 2\n").unwrap_err().contains("second document"));
        assert!(read(&format!("{}{}", "[".repeat(40), "]".repeat(40))).unwrap_err().contains("deeper"));
        assert!(read("a: [1, 2\n").unwrap_err().contains("yaml-syntax"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..8 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            text += &format!("a{i}: &a{i} [{items}]\n");
        }
        assert!(read(&text).unwrap_err().contains("more than"));
        let long = format!("a: [&a \"{}\"{}]\n", "z".repeat(1 << 20), ", *a".repeat(100));
        assert!(read(&long).unwrap_err().contains("MiB of text"));
    }

    #[test]
    fn offsets_inside_scalars_lead_back_to_the_file() {
        let text = "p:\n  plain: a + b\n  quoted: 'a + c'\n  block: |\n    x +\n      y\n\n    z\n";
        let doc = read(text).unwrap();
        let at = |pointer: &str, needle: &str| {
            let value = doc.value.pointer(pointer).unwrap().as_str().unwrap();
            let offset = value.find(needle).unwrap();
            let at = doc.scalar(pointer).locate(offset..offset + 1).at();
            (at.line, at.column)
        };
        let folded = "p:\n  f: >-\n    1 +\n    gpu.vrm\n  q: \"a \\\"b\\\" c\"\n  s: 'it''s d'\n  m: x +\n    e\n";
        let other = read(folded).unwrap();
        let place = |pointer: &str, needle: &str| {
            let offset = other.value.pointer(pointer).unwrap().as_str().unwrap().find(needle).unwrap();
            let at = other.scalar(pointer).locate(offset..offset + 1).at();
            (at.line, at.column)
        };
        assert_eq!(place("/p/f", "vrm"), (4, 9));
        assert_eq!(place("/p/q", "c"), (5, 15));
        assert_eq!(place("/p/s", "d"), (6, 13));
        assert_eq!(place("/p/m", "e"), (8, 5));
        assert_eq!(at("/p/plain", "b"), (2, 14));
        assert_eq!(at("/p/quoted", "c"), (3, 16));
        assert_eq!(at("/p/block", "x"), (5, 5));
        assert_eq!(at("/p/block", "y"), (6, 7));
        assert_eq!(at("/p/block", "z"), (8, 5));
    }
}
