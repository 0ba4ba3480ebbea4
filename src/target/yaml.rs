//! YAML config files, edited in place.
//!
//! The parser's events say where each value stands; the new value is put there and no other byte is touched. What counts as
//! a number or truth value is what PyYAML takes for one, because that reads the files of the stacks: `yes` is true and `1e3`
//! a text. What is written means the same to readers of YAML 1.2: texts stand between double quotes.
//!
//! Anchors, aliases, tags, merge keys and further documents are read over, and no value that one of them bears on is edited.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use super::config::{
    Fault, KeyChange, MAX_DEPTH, Syntax, TextError, Tree, double_quoted, error_at, line_and_column, newline_at, same,
};

/// Most values of one document, aliases expanded.
const MAX_NODES: usize = 100_000;
/// Most bytes of all texts of one document, aliases expanded.
const MAX_BYTES: usize = 16 << 20;

/// YAML as PyYAML's safe loader reads it.
pub struct Yaml;

impl Syntax for Yaml {
    fn read(&self, text: &str, _: &BTreeSet<String>) -> Result<Tree, TextError> {
        let file = File::read(text)?;
        let mut tree = Tree { value: Value::Object(Map::new()), unclear: Vec::new() };
        if let Some(root) = &file.root {
            let mut budget = Budget { nodes: 0, bytes: 0 };
            tree.value = file.value(root, &mut budget)?;
            file.doubles(root, &mut Vec::new(), &mut tree.unclear);
            // A file of comments alone holds no keys yet.
            if tree.value.is_null() {
                tree.value = Value::Object(Map::new());
            }
        }
        if let Some(second) = file.second {
            let message = "the file holds several documents, and none of them is edited";
            tree.unclear.insert(0, (Vec::new(), error_at(text, second, Fault::NotEdited, message)));
        }
        Ok(tree)
    }

    fn set(&self, text: &str, _: &BTreeSet<String>, change: &KeyChange) -> Result<String, TextError> {
        let file = File::read(text)?;
        let mut text = text.to_owned();
        for (range, new) in file.splices(change)? {
            text.replace_range(range, &new);
        }
        Ok(text)
    }

    fn position(&self, text: &str, _: &BTreeSet<String>, path: &[String]) -> Option<(usize, usize)> {
        let file = File::read(text).ok()?;
        let node = path.iter().try_fold(file.root.as_ref()?, |node, key| Some(&node.entry(key)?.value))?;
        Some(line_and_column(text, node.range.start))
    }
}

#[derive(Debug)]
struct Node {
    range: Range<usize>,
    anchor: usize,
    is_tagged: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar(String, ScalarStyle),
    Alias(usize),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug)]
struct Entry {
    // The key's text; that of a key that is no scalar is what stands in the file.
    key: String,
    range: Range<usize>,
    value: Node,
}

impl Node {
    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().rev().find(|entry| entry.key == key),
            _ => None,
        }
    }

    // Where the last character of it stands; a block collection is reported to the next token.
    fn end(&self) -> usize {
        match &self.kind {
            Kind::Mapping(entries) => match entries.last() {
                Some(entry) => entry.value.end().max(entry.range.end).max(self.flow_end()),
                None => self.range.end,
            },
            Kind::Sequence(items) => items.last().map_or(self.range.end, |item| item.end().max(self.flow_end())),
            _ => self.range.end,
        }
    }

    fn flow_end(&self) -> usize {
        if self.range.is_empty() { 0 } else { self.range.end }
    }

    fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(..) => "one value",
            Kind::Alias(_) => "an alias",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a map",
        }
    }

    fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(text, ScalarStyle::Plain) if plain(text).is_null())
    }
}

struct Budget {
    nodes: usize,
    bytes: usize,
}

struct File<'a> {
    text: &'a str,
    root: Option<Node>,
    second: Option<usize>,
    // The values behind anchors.
    anchors: HashMap<usize, Value>,
}

// A collection that is being read: the key that waits for its value.
struct Frame {
    node: Node,
    key: Option<(String, Range<usize>)>,
}

impl<'a> File<'a> {
    fn read(text: &'a str) -> Result<Self, TextError> {
        let mut file = File { text, root: None, second: None, anchors: HashMap::new() };
        let mut stack: Vec<Frame> = Vec::new();
        let mut documents = 0;
        let mut budget = Budget { nodes: 0, bytes: 0 };
        let options = granit_parser::options! { emit_comments: false };
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or(0);
                error_at(text, at, Fault::Broken, error.info().to_string())
            })?;
            let range = span.byte_range().unwrap_or(0..0);
            let node = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents == 2 {
                        file.second = Some(range.start);
                    }
                    continue;
                }
                Event::Scalar(scalar, style, anchor, tag) => {
                    Node { range, anchor, is_tagged: tag.is_some(), kind: Kind::Scalar(scalar.into_owned(), style) }
                }
                Event::Alias(id) => Node { range, anchor: 0, is_tagged: false, kind: Kind::Alias(id) },
                Event::MappingStart(_, anchor, tag) => {
                    let kind = Kind::Mapping(Vec::new());
                    stack.push(Frame { node: Node { range, anchor, is_tagged: tag.is_some(), kind }, key: None });
                    if stack.len() > MAX_DEPTH {
                        return Err(file.too_much(format!("nested deeper than {MAX_DEPTH} levels")));
                    }
                    continue;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    let kind = Kind::Sequence(Vec::new());
                    stack.push(Frame { node: Node { range, anchor, is_tagged: tag.is_some(), kind }, key: None });
                    if stack.len() > MAX_DEPTH {
                        return Err(file.too_much(format!("nested deeper than {MAX_DEPTH} levels")));
                    }
                    continue;
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    let Some(Frame { mut node, .. }) = stack.pop() else { continue };
                    // Only a flow collection has an end of its own.
                    node.range = if range.is_empty() || !text[range.clone()].ends_with(['}', ']']) {
                        node.range.start..node.range.start
                    } else {
                        node.range.start..range.end
                    };
                    node
                }
                _ => continue,
            };
            if documents > 1 {
                continue;
            }
            if node.anchor != 0 {
                let value = file.value(&node, &mut budget)?;
                file.anchors.insert(node.anchor, value);
            }
            match stack.last_mut() {
                None => file.root = Some(node),
                Some(Frame { node: parent, key }) => match (&mut parent.kind, key.take()) {
                    (Kind::Sequence(items), _) => items.push(node),
                    (Kind::Mapping(entries), Some((key, range))) => entries.push(Entry { key, range, value: node }),
                    (Kind::Mapping(_), None) => {
                        let name = match &node.kind {
                            Kind::Scalar(name, _) => name.clone(),
                            _ => text.get(node.range.start..node.end()).unwrap_or_default().to_owned(),
                        };
                        *key = Some((name, node.range));
                    }
                    _ => {}
                },
            }
        }
        Ok(file)
    }

    fn too_much(&self, message: String) -> TextError {
        error_at(self.text, 0, Fault::Broken, message)
    }

    fn value(&self, node: &Node, budget: &mut Budget) -> Result<Value, TextError> {
        budget.nodes += 1;
        if budget.nodes > MAX_NODES {
            return Err(self.too_much(format!("more than {MAX_NODES} values in one file")));
        }
        Ok(match &node.kind {
            Kind::Scalar(text, ScalarStyle::Plain) if !node.is_tagged => plain(text),
            Kind::Scalar(text, _) => Value::from(text.as_str()),
            Kind::Alias(id) => {
                let value = self.anchors.get(id).cloned().unwrap_or_default();
                self.count(&value, budget)?;
                value
            }
            Kind::Sequence(items) => items.iter().map(|item| self.value(item, budget)).collect::<Result<_, _>>()?,
            Kind::Mapping(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    map.insert(entry.key.clone(), self.value(&entry.value, budget)?);
                }
                Value::Object(map)
            }
        })
    }

    // What an alias repeats.
    fn count(&self, value: &Value, budget: &mut Budget) -> Result<(), TextError> {
        budget.nodes += 1;
        match value {
            Value::String(text) => budget.bytes += text.len(),
            Value::Array(items) => items.iter().try_for_each(|item| self.count(item, budget))?,
            Value::Object(map) => map.values().try_for_each(|value| self.count(value, budget))?,
            _ => {}
        }
        if budget.nodes > MAX_NODES || budget.bytes > MAX_BYTES {
            return Err(self.too_much("its aliases stand for too many values".to_owned()));
        }
        Ok(())
    }

    // Keys that stand twice in a map: readers take the first, the last, or none.
    fn doubles(&self, node: &Node, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, TextError)>) {
        let Kind::Mapping(entries) = &node.kind else { return };
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for entry in entries {
            path.push(entry.key.clone());
            if let Some(first) = seen.insert(&entry.key, entry.range.start) {
                let (line, _) = line_and_column(self.text, first);
                let message =
                    format!("`{}` stands twice, first in line {line}, and readers differ in which counts", entry.key);
                found.push((path.clone(), error_at(self.text, entry.range.start, Fault::NotEdited, message)));
            }
            self.doubles(&entry.value, path, found);
            path.pop();
        }
    }

    fn not_edited(&self, offset: usize, why: impl Into<String>) -> TextError {
        error_at(self.text, offset, Fault::NotEdited, why)
    }

    // No value on the way is shared or of a type of its own.
    fn is_plain(&self, node: &Node, name: &str) -> Result<(), TextError> {
        let what = match &node.kind {
            Kind::Alias(_) => "an alias, which stands for a value elsewhere",
            _ if node.anchor != 0 => "behind an anchor, so other keys may share it",
            _ if node.is_tagged => "behind a tag, which gives it a type of its own",
            _ => return Ok(()),
        };
        Err(self.not_edited(node.range.start, format!("{name} is {what}")))
    }

    // The replacements that a change comes to, the last one first.
    fn splices(&self, change: &KeyChange) -> Result<Vec<(Range<usize>, String)>, TextError> {
        let Some(root) = &self.root else {
            return Ok(vec![self.at_end(&change.path, &change.value)?]);
        };
        let mut node = root;
        let mut parent = None;
        for (depth, key) in change.path.iter().enumerate() {
            let name = match depth {
                0 => "the file".to_owned(),
                _ => format!("`{}`", change.path[..depth].join(".")),
            };
            self.is_plain(node, &name)?;
            match (&node.kind, parent) {
                (Kind::Mapping(entries), _) => match node.entry(key) {
                    Some(entry) => {
                        parent = Some((node, entry));
                        node = &entry.value;
                    }
                    None if entries.iter().any(|entry| entry.key == "<<") => {
                        let message = format!("{name} takes keys over from elsewhere (`<<`), so `{key}` is not added");
                        return Err(self.not_edited(node.range.start, message));
                    }
                    None => return Ok(vec![self.add(node, entries, &change.path[depth..], &change.value)?]),
                },
                (_, None) if node.is_null() && node.range.is_empty() => {
                    return Ok(vec![self.at_end(&change.path, &change.value)?]);
                }
                (_, Some((map, entry))) if node.is_null() && node.range.is_empty() && map.range.is_empty() => {
                    return Ok(vec![self.open(entry, &change.path[depth..], &change.value)?]);
                }
                _ => {
                    let message = format!("{name} is {}, not a map, so `{key}` cannot be set in it", node.what());
                    return Err(error_at(self.text, node.range.start, Fault::Path, message));
                }
            }
        }
        let name = format!("`{}`", change.path.join("."));
        self.is_plain(node, &name)?;
        let Some((_, entry)) = parent else {
            return Err(error_at(self.text, 0, Fault::Path, "a change names no key"));
        };
        self.replace(node, entry, &name, &change.value)
    }

    fn replace(
        &self,
        node: &Node,
        entry: &Entry,
        name: &str,
        value: &Value,
    ) -> Result<Vec<(Range<usize>, String)>, TextError> {
        let new = flow(value);
        match (&node.kind, value) {
            (Kind::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded), _) => {
                // Its place begins with its first line; what stands behind the colon is the block's sign.
                let colon = self.colon(entry)?;
                let sign = &self.text[colon..next_line(self.text, colon)];
                let start = colon + sign.len() - sign.trim_start().len();
                if !sign.trim_start().starts_with(['|', '>']) || sign.contains('#') {
                    let message = format!("{name} is a block of lines with a comment, or begins on a line of its own");
                    return Err(self.not_edited(entry.range.start, message));
                }
                let end = node.range.end.max(colon + sign.len());
                Ok(vec![(start..start + self.text[start..end].trim_end().len(), new)])
            }
            (Kind::Scalar(..), _) if node.range.is_empty() => {
                let colon = self.colon(entry)?;
                Ok(vec![(colon..colon, format!(" {new}"))])
            }
            (Kind::Scalar(..), _) => Ok(vec![(node.range.clone(), new)]),
            // A list of lines keeps its lines.
            (Kind::Sequence(items), Value::Array(wanted)) if node.range.is_empty() && items.len() == wanted.len() => {
                let mut splices = Vec::new();
                for (item, wanted) in items.iter().zip(wanted).rev() {
                    self.is_plain(item, name)?;
                    if !matches!(item.kind, Kind::Scalar(..)) || item.range.is_empty() {
                        return Err(self.not_edited(item.range.start, format!("{name} holds more than plain values")));
                    }
                    let mut budget = Budget { nodes: 0, bytes: 0 };
                    if !same(&self.value(item, &mut budget)?, wanted) {
                        splices.push((item.range.clone(), flow(wanted)));
                    }
                }
                Ok(splices)
            }
            (Kind::Sequence(_) | Kind::Mapping(_), _) if !node.range.is_empty() => {
                let old = &self.text[node.range.clone()];
                if old.contains('#') || old.contains('&') {
                    let message = format!("{name} holds a comment or an anchor, which would be lost");
                    return Err(self.not_edited(node.range.start, message));
                }
                Ok(vec![(node.range.clone(), new)])
            }
            _ => {
                let start = if node.range.is_empty() { entry.range.start } else { node.range.start };
                Err(self.not_edited(start, format!("{name} is {} of several lines", node.what())))
            }
        }
    }

    // A key at the end of a map.
    fn add(
        &self,
        map: &Node,
        entries: &[Entry],
        missing: &[String],
        value: &Value,
    ) -> Result<(Range<usize>, String), TextError> {
        let Some(last) = entries.last() else {
            // Only `{}` is a map without keys.
            let inside = map.range.start + 1;
            return Ok((inside..inside, flow_entry(missing, value)));
        };
        if !map.range.is_empty() {
            let end = last.value.end().max(last.range.end);
            return Ok((end..end, format!(", {}", flow_entry(missing, value))));
        }
        let start = last.range.start;
        let line = self.line_start(start);
        let before = &self.text[line..start];
        let blanks = before.len() - before.trim_start_matches(' ').len();
        let column = match before[blanks..].trim_end_matches(' ') {
            "" => start - line,
            "?" => blanks,
            // The only key of a map in a list stands behind the dash; its siblings stand below it.
            dashes if entries.len() == 1 && dashes.bytes().all(|b| matches!(b, b'-' | b' ')) => start - line,
            _ => return Err(self.not_edited(start, "the map's keys do not stand on lines of their own")),
        };
        let indent = " ".repeat(column);
        let is_block = ends_in_block(&last.value);
        if is_block {
            // What a block of lines ends with would grow by a line below it.
            let newline = newline_at(self.text, line);
            return Ok((line..line, self.lines(&indent, missing, value, newline) + newline));
        }
        Ok(self.below(last.value.end().max(last.range.end), &indent, missing, value))
    }

    // Keys in a section that holds nothing yet.
    fn open(&self, entry: &Entry, missing: &[String], value: &Value) -> Result<(Range<usize>, String), TextError> {
        let colon = self.colon(entry)?;
        let line = self.line_start(entry.range.start);
        let indent = entry.range.start - line;
        Ok(self.below(colon, &" ".repeat(indent + self.unit()), missing, value))
    }

    // Keys in a file that has none.
    fn at_end(&self, missing: &[String], value: &Value) -> Result<(Range<usize>, String), TextError> {
        let newline = newline_at(self.text, self.text.len());
        let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { newline };
        let end = self.text.len();
        Ok((end..end, format!("{gap}{}{newline}", self.lines("", missing, value, newline))))
    }

    fn below(&self, offset: usize, indent: &str, missing: &[String], value: &Value) -> (Range<usize>, String) {
        let newline = newline_at(self.text, offset);
        let lines = self.lines(indent, missing, value, newline);
        match self.text[offset..].find('\n') {
            Some(at) => (offset + at + 1..offset + at + 1, lines + newline),
            None => (self.text.len()..self.text.len(), format!("{newline}{lines}")),
        }
    }

    fn lines(&self, indent: &str, missing: &[String], value: &Value, newline: &str) -> String {
        let unit = " ".repeat(self.unit());
        let mut indent = indent.to_owned();
        let mut out = String::new();
        for (i, key) in missing.iter().enumerate() {
            out += &format!("{}{indent}{}:", if i > 0 { newline } else { "" }, key_text(key));
            indent += &unit;
        }
        format!("{out} {}", flow(value))
    }

    // How far a map inside a map is indented: as the first one is.
    fn unit(&self) -> usize {
        fn find(node: &Node, text: &str) -> Option<usize> {
            let Kind::Mapping(entries) = &node.kind else { return None };
            let column = |offset: usize| offset - text[..offset].rfind('\n').map_or(0, |at| at + 1);
            entries.iter().find_map(|entry| match &entry.value.kind {
                Kind::Mapping(inner) if entry.value.range.is_empty() => {
                    column(inner.first()?.range.start).checked_sub(column(entry.range.start)).filter(|unit| *unit > 0)
                }
                _ => find(&entry.value, text),
            })
        }
        self.root.as_ref().and_then(|root| find(root, self.text)).unwrap_or(2).min(16)
    }

    // Behind the colon of a key whose value is not written.
    fn colon(&self, entry: &Entry) -> Result<usize, TextError> {
        let rest = &self.text[entry.range.end..];
        let at = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match rest[at..].starts_with(':') {
            true => Ok(entry.range.end + at + 1),
            false => Err(self.not_edited(entry.range.start, format!("`{}` has no value and no colon", entry.key))),
        }
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text[..offset].rfind('\n').map_or(0, |at| at + 1)
    }
}

fn next_line(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |at| offset + at + 1)
}

fn ends_in_block(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(_, style) => matches!(style, ScalarStyle::Literal | ScalarStyle::Folded),
        Kind::Alias(_) => false,
        Kind::Sequence(items) => node.range.is_empty() && items.last().is_some_and(ends_in_block),
        Kind::Mapping(entries) => node.range.is_empty() && entries.last().is_some_and(|e| ends_in_block(&e.value)),
    }
}

fn key_text(key: &str) -> String {
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && plain(key).is_string();
    if is_plain { key.to_owned() } else { double_quoted(key) }
}

fn flow_entry(missing: &[String], value: &Value) -> String {
    let mut text = flow(value);
    for (i, key) in missing.iter().enumerate().rev() {
        text = format!("{}: {text}", key_text(key));
        if i > 0 {
            text = format!("{{{text}}}");
        }
    }
    text
}

// A value on one line, as every reader of YAML takes it.
fn flow(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            // A reader of YAML 1.1 wants a point, and a sign in the exponent.
            let text = number.to_string();
            match text.split_once('e') {
                Some((digits, exponent)) => {
                    let point = if digits.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
                    format!("{digits}{point}e{sign}{exponent}")
                }
                None => text,
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => double_quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", key_text(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

// What PyYAML makes of a text without quotes. A date is a text here, because a tree has none.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    integer(text).or_else(|| float(text)).map_or_else(|| Value::from(text), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = signed(text);
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let is = |digits: &str, is_digit: fn(&u8) -> bool| !digits.is_empty() && digits.bytes().all(|b| is_digit(&b));
    let magnitude = if let Some(digits) = plain.strip_prefix("0b") {
        u64::from_str_radix(digits, 2).ok().filter(|_| is(digits, u8::is_ascii_digit))?
    } else if let Some(digits) = plain.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok().filter(|_| is(digits, u8::is_ascii_hexdigit))?
    } else if digits.starts_with('0') && plain.len() > 1 {
        u64::from_str_radix(&plain, 8).ok().filter(|_| is(&plain, u8::is_ascii_digit))?
    } else if digits.contains(':') {
        sexagesimal(digits)?
    } else {
        plain
            .parse()
            .ok()
            .filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()) && is(&plain, u8::is_ascii_digit))?
    };
    match is_negative {
        false => Some(magnitude.into()),
        true => Some(i64::try_from(-i128::from(magnitude)).ok()?.into()),
    }
}

// Base 60: `1:30` is 90.
fn sexagesimal(digits: &str) -> Option<u64> {
    let mut parts = digits.split(':');
    let first = parts.next().filter(|first| first.starts_with(|c: char| ('1'..='9').contains(&c)))?;
    let first: u64 = first.replace('_', "").parse().ok()?;
    parts.try_fold(first, |all, part| {
        let is_digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let part: u64 = part.parse().ok().filter(|part| is_digits && *part < 60)?;
        all.checked_mul(60)?.checked_add(part)
    })
}

fn float(text: &str) -> Option<Number> {
    let (is_negative, digits) = signed(text);
    if let Some((whole, fraction)) = digits.split_once('.').filter(|(whole, _)| whole.contains(':')) {
        let fraction: f64 = format!("0.{fraction}0").parse().ok()?;
        let number = sexagesimal(whole)? as f64 + fraction;
        return Number::from_f64(if is_negative { -number } else { number });
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    // The exponent has a sign.
    let is_exponent = |text: &str| {
        text.strip_prefix(['+', '-']).is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_mantissa = mantissa.contains('.')
        && mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.' && digits == text)
        && !mantissa.starts_with("._")
        && mantissa.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_'))
        && mantissa.bytes().any(|b| b.is_ascii_digit());
    if !is_mantissa || !exponent.is_none_or(is_exponent) {
        return None;
    }
    Number::from_f64(text.replace('_', "").parse().ok()?)
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}
