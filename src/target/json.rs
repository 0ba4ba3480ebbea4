//! JSON config files, edited in place.
//!
//! Takes the text of a file and the keys to set, gives the changed text. Whatever is not a changed value keeps its bytes:
//! order, unknown keys, indentation, blank lines, line ends, the byte order mark, the spelling of numbers. What is added
//! looks like what stands beside it. What counts as JSON is what Python's `json.load` reads, because that is what reads
//! the files of the stacks: strict JSON, and also `NaN`, `Infinity` and half surrogate pairs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use jsonc_parser::ast::{self, Object, ObjectProp};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Number, Value};

use super::config::{self, Fault, KeyChange, Syntax, TextError, Tree, line_and_column};

pub mod mend;

/// JSON as Python's `json` reads it.
pub struct Json;

impl Syntax for Json {
    fn read(&self, text: &str, _: &BTreeSet<String>) -> Result<Tree, TextError> {
        Ok(Tree { value: parse(text)?, unclear: Vec::new() })
    }

    fn set(&self, text: &str, _: &BTreeSet<String>, change: &KeyChange) -> Result<String, TextError> {
        edit(text, std::slice::from_ref(change))
    }

    fn remove(&self, text: &str, path: &[String]) -> Result<String, TextError> {
        remove(text, path)
    }

    fn rename(&self, text: &str, path: &[String], other: &str) -> Result<String, TextError> {
        rename(text, path, other)
    }

    fn position(&self, text: &str, _: &BTreeSet<String>, path: &[String]) -> Option<(usize, usize)> {
        position(text, path)
    }
}

/// Reads a text as Python's `json.load` does.
///
/// A leading byte order mark is skipped and the last of duplicate keys wins. `NaN`, `Infinity` and numbers beyond the range
/// of a double become `null`, and half a surrogate pair becomes U+FFFD, because the tree cannot hold them.
///
/// # Errors
/// The first place where the text is not JSON: also at comments and trailing commas, which the stack could not read either.
pub fn parse(text: &str) -> Result<Value, TextError> {
    let (_, body) = split_bom(text);
    let body = readable(body);
    Ok(to_value(&read(&body)?))
}

/// Sets keys in a text, one after the other, and leaves every other byte as it is.
///
/// A value that already equals the wanted one (`2` and `2.0` are equal) keeps its spelling. Of duplicate keys the last, the one
/// that is read, is set. A missing key, with the objects that lead to it, is added at the end of its object.
///
/// # Errors
/// When the text is not JSON, or a path is empty or leads through something that is not an object.
pub fn edit(text: &str, changes: &[KeyChange]) -> Result<String, TextError> {
    let (bom, body) = split_bom(text);
    let mut body = body.to_owned();
    // One change at a time, each on a fresh tree: ranges stay right, and a config file is read in microseconds.
    for change in changes {
        let splice = {
            let readable = readable(&body);
            let root = read(&readable)?;
            Editor { text: &body, root: &root }.splice(change)?
        };
        if let Some((range, new)) = splice {
            body.replace_range(range, &new);
        }
    }
    if changes.is_empty() {
        read(&readable(&body))?;
    }
    Ok(format!("{bom}{body}"))
}

/// Takes a key away, with the comma and the space that set it apart; a key that stands twice goes twice.
///
/// # Errors
/// When the text is not JSON, or has no such key.
pub fn remove(text: &str, path: &[String]) -> Result<String, TextError> {
    let (bom, body) = split_bom(text);
    let readable = readable(body);
    let root = read(&readable)?;
    let (object, places) = places_of(&root, path).ok_or_else(|| no_such(body, path))?;
    let ranges = ranges_without(object, |at| places.contains(&at));
    Ok(format!("{bom}{}", replaced(body, ranges.into_iter().map(|range| (range, "")))))
}

/// Gives a key another name, and leaves its value as it is written. Of a key that stands twice the last, the one that is read,
/// stays.
///
/// # Errors
/// When the text is not JSON, has no such key, or has one of the other name beside it.
pub fn rename(text: &str, path: &[String], other: &str) -> Result<String, TextError> {
    let (bom, body) = split_bom(text);
    let readable = readable(body);
    let root = read(&readable)?;
    let (object, mut places) = places_of(&root, path).ok_or_else(|| no_such(body, path))?;
    if let Some(taken) = effective(object, other) {
        return Err(config::error_at(body, taken.start(), Fault::Path, format!("there is a `{other}` already")));
    }
    let kept = places.pop_last().ok_or_else(|| no_such(body, path))?;
    let name = object.properties[kept].name.range();
    let mut new = String::new();
    Editor { text: body, root: &root }.layout(object, &[]).text(&mut new, other);
    let ranges = ranges_without(object, |at| places.contains(&at));
    let edits = ranges.into_iter().map(|range| (range, "")).chain([(name.start..name.end, &*new)]);
    Ok(format!("{bom}{}", replaced(body, edits)))
}

fn no_such(body: &str, path: &[String]) -> TextError {
    config::error_at(body, 0, Fault::Path, format!("there is no `{}`", path.join(".")))
}

// The section of a key, and where among its entries the key stands: at least once.
fn places_of<'a, 't>(root: &'a ast::Value<'t>, path: &[String]) -> Option<(&'a Object<'t>, BTreeSet<usize>)> {
    let (last, sections) = path.split_last()?;
    let section = sections.iter().try_fold(root, |node, key| match node {
        ast::Value::Object(object) => Some(&effective(object, key)?.value),
        _ => None,
    });
    let ast::Value::Object(object) = section? else { return None };
    let entries = object.properties.iter().enumerate();
    let places: BTreeSet<usize> =
        entries.filter(|(_, entry)| entry.name.as_str() == last).map(|(place, _)| place).collect();
    (!places.is_empty()).then_some((object, places))
}

// What goes with entries: up to the next one, or from the end of the one before them, or all that their section holds.
fn ranges_without(object: &Object, is_gone: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let entries = &object.properties;
    let Some(last) = (0..entries.len()).rev().find(|at| !is_gone(*at)) else {
        let all = object.start() + 1..object.end() - 1;
        return Vec::from([all]);
    };
    let before = (0..last).filter(|at| is_gone(*at)).map(|at| entries[at].start()..entries[at + 1].start());
    let behind = entries[last + 1..].last().map(|end| entries[last].end()..end.end());
    before.chain(behind).collect()
}

// A text with other texts in the place of some ranges, which are in order.
fn replaced<'t>(text: &str, edits: impl Iterator<Item = (Range<usize>, &'t str)>) -> String {
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for (range, edit) in edits {
        new.push_str(&text[at..range.start]);
        new.push_str(edit);
        at = range.end;
    }
    new.push_str(&text[at..]);
    new
}

/// Line and column, both from 1 and the column in characters, where the value at a path begins.
///
/// `None` when the text is not JSON or has no such key.
pub fn position(text: &str, path: &[String]) -> Option<(usize, usize)> {
    let (_, body) = split_bom(text);
    let readable = readable(body);
    let root = read(&readable).ok()?;
    let found = path.iter().try_fold(&root, |node, key| match node {
        ast::Value::Object(object) => Some(&effective(object, key)?.value),
        _ => None,
    })?;
    Some(line_and_column(body, found.start()))
}

fn split_bom(text: &str) -> (&str, &str) {
    match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    }
}

fn error_at(text: &str, offset: usize, message: impl Into<String>) -> TextError {
    config::error_at(text, offset, Fault::Broken, message)
}

// The text as the parser can read it: half surrogate pairs, which Python reads and a Rust string cannot hold, are replaced
// by an escape of the same length, so that every offset stays right.
fn readable(text: &str) -> Cow<'_, str> {
    let mut replaced: Option<String> = None;
    let mut at = 0;
    while let Some(backslash) = text[at..].find('\\').map(|i| at + i) {
        let unit = |from: usize| {
            let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
            digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
        };
        at = match unit(backslash) {
            Some(0xd800..=0xdbff) if matches!(unit(backslash + 6), Some(0xdc00..=0xdfff)) => backslash + 12,
            Some(0xd800..=0xdfff) => {
                replaced.get_or_insert_with(|| text.to_owned()).replace_range(backslash..backslash + 6, "\\ufffd");
                backslash + 6
            }
            _ => text.ceil_char_boundary(text.len().min(backslash + 2)),
        };
    }
    replaced.map_or(Cow::Borrowed(text), Cow::Owned)
}

// The tree of a text that Python would read; ranges count in bytes of the text.
fn read(text: &str) -> Result<ast::Value<'_>, TextError> {
    let options = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: true,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options);
    // The parser is more generous than Python about these; what stands first in the text is reported.
    let lexical = unreadable(text);
    match (parsed, lexical) {
        (Err(error), lexical) => match lexical {
            Some((offset, message)) if offset < error.range().start => Err(error_at(text, offset, message)),
            _ => Err(error_at(text, error.range().start, sentence(&error.kind().to_string()))),
        },
        (Ok(_), Some((offset, message))) => Err(error_at(text, offset, message)),
        (Ok(result), None) => result.value.ok_or_else(|| error_at(text, text.len(), "the file is empty")),
    }
}

// The first character that JSON does not allow where it stands, or `-NaN`.
fn unreadable(text: &str) -> Option<(usize, &'static str)> {
    let mut in_string = false;
    let mut escaped = false;
    for (offset, c) in text.char_indices() {
        if in_string {
            match c {
                _ if c < ' ' => return Some((offset, "a line break or control character inside a string")),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else {
            match c {
                '"' => in_string = true,
                '\t' | '\n' | '\r' | ' ' => {}
                '-' if text[offset..].starts_with("-NaN") => return Some((offset, "`-NaN` is not a number")),
                '!'..='~' => {}
                _ => return Some((offset, "unexpected character")),
            }
        }
    }
    None
}

fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

fn to_value(node: &ast::Value) -> Value {
    match node {
        ast::Value::StringLit(text) => Value::from(text.value.as_ref()),
        ast::Value::NumberLit(number) => to_number(number.value).map_or(Value::Null, Value::Number),
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => array.elements.iter().map(to_value).collect(),
        ast::Value::Object(object) => {
            let entries = object.properties.iter().map(|p| (p.name.as_str().to_owned(), to_value(&p.value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

// `None` for what a tree cannot hold: NaN and the infinities.
fn to_number(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    Number::from_f64(text.parse().ok()?)
}

// Whether a number means the same: `2`, `2.0` and `2e0` do. Exact: no integer is rounded to a double.
fn same_number(a: &Number, b: &Number) -> bool {
    let integer = |n: &Number| n.as_i64().map(i128::from).or(n.as_u64().map(i128::from));
    let is_integer = |float: f64, integer: i128| float.fract() == 0.0 && float.abs() < 1e30 && float as i128 == integer;
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        (Some(a), None) => b.as_f64().is_some_and(|b| is_integer(b, a)),
        (None, Some(b)) => a.as_f64().is_some_and(|a| is_integer(a, b)),
        (None, None) => a.as_f64() == b.as_f64(),
    }
}

fn same(node: &ast::Value, value: &Value) -> bool {
    match (node, value) {
        (ast::Value::StringLit(text), Value::String(wanted)) => text.value == *wanted,
        (ast::Value::NumberLit(number), Value::Number(wanted)) => {
            to_number(number.value).is_some_and(|number| same_number(&number, wanted))
        }
        (ast::Value::BooleanLit(literal), Value::Bool(wanted)) => literal.value == *wanted,
        (ast::Value::NullKeyword(_), Value::Null) => true,
        (ast::Value::Array(array), Value::Array(wanted)) => {
            array.elements.len() == wanted.len() && array.elements.iter().zip(wanted).all(|(a, b)| same(a, b))
        }
        (ast::Value::Object(object), Value::Object(wanted)) => {
            object.properties.iter().all(|p| wanted.contains_key(p.name.as_str()))
                && wanted.iter().all(|(key, value)| effective(object, key).is_some_and(|p| same(&p.value, value)))
        }
        _ => false,
    }
}

// Of duplicate keys the one that is read.
fn effective<'a, 't>(object: &'a Object<'t>, key: &str) -> Option<&'a ObjectProp<'t>> {
    object.properties.iter().rev().find(|p| p.name.as_str() == key)
}

fn kind(node: &ast::Value) -> &'static str {
    match node {
        ast::Value::StringLit(_) => "a text",
        ast::Value::NumberLit(_) => "a number",
        ast::Value::BooleanLit(_) => "true or false",
        ast::Value::NullKeyword(_) => "null",
        ast::Value::Array(_) => "a list",
        ast::Value::Object(_) => "an object",
    }
}

// How an added value is laid out.
#[derive(Clone, Copy)]
struct Layout<'a> {
    newline: &'a str,
    // One level of indentation.
    unit: &'a str,
    // Between key and value: `: `.
    colon: &'a str,
    // Between values of one line: `, `.
    comma: &'a str,
    // Whether characters beyond ASCII are written as they are: only where the file has some already, since a reader
    // with another encoding would misread them.
    unicode: bool,
}

impl Layout<'_> {
    // Objects, and lists when asked for, stand on lines of their own below `indent`; `None` keeps all on one line.
    fn write(&self, out: &mut String, value: &Value, indent: Option<&str>, lists: bool) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                let entries = entries.iter().map(|(key, value)| (Some(key), value));
                self.items(out, entries, ['{', '}'], indent, lists);
            }
            Value::Array(items) if !items.is_empty() => {
                let items = items.iter().map(|item| (None, item));
                self.items(out, items, ['[', ']'], indent.filter(|_| lists), lists);
            }
            Value::String(text) => self.text(out, text),
            _ => out.push_str(&value.to_string()),
        }
    }

    fn items<'v>(
        &self,
        out: &mut String,
        items: impl Iterator<Item = (Option<&'v String>, &'v Value)>,
        [open, close]: [char; 2],
        indent: Option<&str>,
        lists: bool,
    ) {
        let inner = indent.map(|indent| format!("{indent}{}", self.unit));
        out.push(open);
        for (i, (key, value)) in items.enumerate() {
            match &inner {
                Some(inner) => {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(self.newline);
                    out.push_str(inner);
                }
                None => out.push_str(if i > 0 { self.comma } else { "" }),
            }
            if let Some(key) = key {
                self.text(out, key);
                out.push_str(self.colon);
            }
            self.write(out, value, inner.as_deref(), lists);
        }
        if let Some(indent) = indent {
            out.push_str(self.newline);
            out.push_str(indent);
        }
        out.push(close);
    }

    fn text(&self, out: &mut String, text: &str) {
        let quoted = Value::from(text).to_string();
        if self.unicode {
            out.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0; 2];
                out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
}

// The text and tree of a file while one key is set in it.
struct Editor<'a> {
    text: &'a str,
    root: &'a ast::Value<'a>,
}

impl<'a> Editor<'a> {
    // The one replacement that a change comes to; `None` when the key already holds the value.
    fn splice(&self, change: &KeyChange) -> Result<Option<(Range<usize>, String)>, TextError> {
        let mut node = self.root;
        let mut parents: Vec<&Object> = Vec::new();
        for (depth, key) in change.path.iter().enumerate() {
            let ast::Value::Object(object) = node else {
                let through = Dotted(&change.path[..depth]);
                let message = format!(
                    "{through} is {}, not an object, so `{}` cannot be set in it",
                    kind(node),
                    change.path[depth]
                );
                return Err(config::error_at(self.text, node.start(), Fault::Path, message));
            };
            match effective(object, key) {
                Some(property) => {
                    parents.push(object);
                    node = &property.value;
                }
                None => {
                    let missing = change.path[depth + 1..].iter().rev();
                    let value = missing
                        .fold(change.value.clone(), |value, key| Value::Object(Map::from_iter([(key.clone(), value)])));
                    return Ok(Some(self.add(object, &parents, key, &value)));
                }
            }
        }
        let Some(object) = parents.last() else {
            return Err(config::error_at(self.text, 0, Fault::Path, "a change names no key"));
        };
        if same(node, &change.value) {
            return Ok(None);
        }
        let layout = self.layout(object, &parents);
        let old = &self.text[node.start()..node.end()];
        // A list or object stays on one line, or on lines of its own, as it was.
        let spread = match node {
            ast::Value::Array(_) | ast::Value::Object(_) => old.contains(['\n', '\r']),
            _ => self.spread(object),
        };
        let lists = matches!(node, ast::Value::Array(_)) && spread;
        let mut new = String::new();
        layout.write(&mut new, &change.value, spread.then(|| self.line_indent(node.start())), lists);
        Ok(Some((node.start()..node.end(), new)))
    }

    // A key at the end of an object.
    fn add(&self, object: &Object, parents: &[&Object], key: &str, value: &Value) -> (Range<usize>, String) {
        let layout = self.layout(object, parents);
        let base = self.line_indent(object.range.start);
        let mut entry = String::new();
        layout.text(&mut entry, key);
        entry.push_str(layout.colon);
        let Some(last) = object.properties.last() else {
            let inside = object.range.start + 1..object.range.end - 1;
            let blank = &self.text[inside.clone()];
            let spread = blank.contains(['\n', '\r']) || parents.last().is_none_or(|parent| self.spread(parent));
            if spread {
                let indent = format!("{base}{}", layout.unit);
                layout.write(&mut entry, value, Some(&indent), false);
                return (inside, format!("{0}{indent}{entry}{0}{base}", layout.newline));
            }
            layout.write(&mut entry, value, None, false);
            let pad = if blank.is_empty() { "" } else { " " };
            return (inside, format!("{pad}{entry}{pad}"));
        };
        let gap = self.gap(object, object.properties.len() - 1);
        let indent = own_line(gap).map(blanks);
        layout.write(&mut entry, value, indent, false);
        let separator = match (object.properties.len(), own_line(gap)) {
            (1, Some(line)) => format!(",{line}"),
            (1, None) => layout.comma.to_owned(),
            _ => between(gap),
        };
        (last.range.end..last.range.end, format!("{separator}{entry}"))
    }

    // How things look in an object: its own way first, then that of the objects around it, then that of the file.
    fn layout(&self, object: &'a Object, parents: &[&'a Object]) -> Layout<'a> {
        let mut nearest: Vec<&Object> = vec![object];
        nearest.extend(parents.iter().rev());
        let mut all = Vec::new();
        objects(self.root, &mut all);
        nearest.extend(all);
        let find = |what: &dyn Fn(&Object) -> Option<&'a str>| nearest.iter().find_map(|object| what(object));
        let colon = find(&|object| {
            let colons = object.properties.iter().rev();
            let mut colons = colons.map(|p| &self.text[p.name.end()..p.value.start()]);
            colons.find(|colon| !colon.contains(['\n', '\r']))
        });
        let colon = colon.unwrap_or(": ");
        let comma = find(&|object| {
            let mut gaps = (1..object.properties.len()).rev().map(|i| self.gap(object, i));
            gaps.find(|gap| own_line(gap).is_none())
        });
        let unit = find(&|object| {
            let last = object.properties.len().checked_sub(1)?;
            let inner = own_line(self.gap(object, last)).map(blanks)?;
            inner.strip_prefix(self.line_indent(object.range.start)).filter(|unit| !unit.is_empty())
        });
        let newline = self.text[..object.range.start].rfind('\n').or_else(|| self.text.find('\n'));
        let newline = match newline {
            Some(at) if self.text[..at].ends_with('\r') => "\r\n",
            None if self.text.contains('\r') => "\r",
            _ => "\n",
        };
        let comma = comma.unwrap_or(if colon.ends_with(' ') { ", " } else { "," });
        Layout { newline, unit: unit.unwrap_or("  "), colon, comma, unicode: !self.text.is_ascii() }
    }

    // What stands before a key: behind the brace for the first, behind the value before it, with the comma, for the others.
    fn gap(&self, object: &Object, index: usize) -> &'a str {
        let start = match index.checked_sub(1) {
            Some(before) => object.properties[before].range.end,
            None => object.range.start + 1,
        };
        &self.text[start..object.properties[index].range.start]
    }

    // Whether the object's keys stand on lines of their own.
    fn spread(&self, object: &Object) -> bool {
        object.properties.len().checked_sub(1).is_some_and(|last| own_line(self.gap(object, last)).is_some())
    }

    // The white space at the start of the line that an offset is in.
    fn line_indent(&self, offset: usize) -> &'a str {
        let line = self.text[..offset].rfind(['\n', '\r']).map_or(0, |i| i + 1);
        blanks(&self.text[line..])
    }
}

// From the last line break of a gap to its end; `None` when the key follows on the same line.
fn own_line(gap: &str) -> Option<&str> {
    let at = gap.rfind(['\n', '\r'])?;
    let start = if gap[..at].ends_with('\r') && gap[at..].starts_with('\n') { at - 1 } else { at };
    Some(&gap[start..])
}

// The spaces and tabs at the start of a line; the comma may come next.
fn blanks(line: &str) -> &str {
    let line = line.trim_start_matches(['\n', '\r']);
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

// A gap with a comma, without blank lines and trailing spaces.
fn between(gap: &str) -> String {
    let (before, after) = gap.split_once(',').unwrap_or(("", gap));
    format!("{},{}", own_line(before).unwrap_or(before), own_line(after).unwrap_or(after))
}

fn objects<'a>(node: &'a ast::Value<'a>, out: &mut Vec<&'a Object<'a>>) {
    match node {
        ast::Value::Object(object) => {
            out.push(object);
            object.properties.iter().for_each(|p| objects(&p.value, out));
        }
        ast::Value::Array(array) => array.elements.iter().for_each(|item| objects(item, out)),
        _ => {}
    }
}

struct Dotted<'a>(&'a [String]);

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the file"),
            keys => write!(f, "`{}`", keys.join(".")),
        }
    }
}

#[cfg(test)]
mod tests;
