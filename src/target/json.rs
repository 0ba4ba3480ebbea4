//! JSON config files, edited in place.
//!
//! Takes the text of a file and the keys to set, gives the changed text. Whatever is not a changed value keeps its bytes:
//! order, unknown keys, indentation, blank lines, line ends, the byte order mark, the spelling of numbers. What is added
//! looks like what stands beside it. What counts as JSON is what Python's `json.load` reads, because that is what reads
//! the files of the stacks: strict JSON, and also `NaN`, `Infinity` and half surrogate pairs.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use jsonc_parser::ast::{self, Object, ObjectProp};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Number, Value};

/// Why a text is not JSON, or why a key cannot be set in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct JsonError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; a byte order mark does not count.
    pub column: usize,
    /// What is wrong, lower case.
    pub message: String,
}

/// One key to set.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyChange {
    /// The keys that lead to the value, from the outermost; not empty. They lead through objects only.
    pub path: Vec<String>,
    /// What the key is to hold.
    pub value: Value,
}

/// Reads a text as Python's `json.load` does.
///
/// A leading byte order mark is skipped and the last of duplicate keys wins. `NaN`, `Infinity` and numbers beyond the range
/// of a double become `null`, and half a surrogate pair becomes U+FFFD, because the tree cannot hold them.
///
/// # Errors
/// The first place where the text is not JSON: also at comments and trailing commas, which the stack could not read either.
pub fn parse(text: &str) -> Result<Value, JsonError> {
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
pub fn edit(text: &str, changes: &[KeyChange]) -> Result<String, JsonError> {
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

/// The value that a path of keys leads to; `None` when a key is missing or something on the way is not an object.
pub fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.as_object()?.get(key))
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

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn error_at(text: &str, offset: usize, message: impl Into<String>) -> JsonError {
    let (line, column) = line_and_column(text, offset);
    JsonError { line, column, message: message.into() }
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
fn read(text: &str) -> Result<ast::Value<'_>, JsonError> {
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
    fn splice(&self, change: &KeyChange) -> Result<Option<(Range<usize>, String)>, JsonError> {
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
                return Err(error_at(self.text, node.start(), message));
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
            return Err(error_at(self.text, 0, "a change names no key"));
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn change(path: &str, value: Value) -> KeyChange {
        KeyChange { path: path.split('.').map(str::to_owned).collect(), value }
    }

    fn set(text: &str, path: &str, value: Value) -> String {
        edit(text, &[change(path, value)]).unwrap()
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_python_reads_is_read() {
        for (text, want) in [
            ("\u{feff}{\"a\": 1}", json!({"a": 1})),
            ("{\"a\": 1, \"a\": 2}", json!({"a": 2})),
            ("[NaN, Infinity, -Infinity, 1e999]", json!([null, null, null, null])),
            ("\r\n\t 7 \r", json!(7)),
            (r#""\ud83d\ude00 \ud83d \\ud83d \u00e9""#, json!("😀 \u{fffd} \\ud83d é")),
            ("[-0, 1E5, 1e-2, 18446744073709551615]", json!([0, 1e5, 0.01, u64::MAX])),
            ("\"\u{7f}\u{a0}\u{2028}\"", json!("\u{7f}\u{a0}\u{2028}")),
        ] {
            assert_eq!(parse(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused_at_its_place() {
        for (text, want) in [
            ("", "line 1, column 1: the file is empty"),
            ("{\n  \"é\": 1, // why\n}", "line 2, column 11: comments are not allowed"),
            ("{\"a\": 1,}", "line 1, column 8: trailing commas are not allowed"),
            ("[1, 2,]", "line 1, column 6: trailing commas are not allowed"),
            ("{'a': 1}", "line 1, column 2: single-quoted strings are not allowed"),
            ("{a: 1}", "line 1, column 2: expected string for object property"),
            ("{\"a\": True}", "line 1, column 7: unexpected token"),
            ("[1 2]", "line 1, column 3: expected comma"),
            ("{\"a\": 01}", "line 1, column 8: expected comma"),
            ("[-NaN]", "line 1, column 2: `-NaN` is not a number"),
            ("{\"a\": \"x\n\", \"b\": 1}", "line 1, column 9: a line break or control character inside a string"),
            ("[1,\u{a0}2]", "line 1, column 4: unexpected character"),
            ("[1,\u{c}2]", "line 1, column 4: unexpected character"),
            ("{} {}", "line 1, column 4: text cannot contain more than one JSON value"),
            ("{\"a\": 1", "line 1, column 1: unterminated object"),
        ] {
            assert_eq!(message(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        for (text, path, value, want) in [
            ("{\"a\" : 1 ,\t\"b\":2.50}\n\n", "a", json!("x"), "{\"a\" : \"x\" ,\t\"b\":2.50}\n\n"),
            (
                "\u{feff}{\r\n  \"a\": 1,\n\n  \"é\": 1e3\r\n}",
                "a",
                json!(2),
                "\u{feff}{\r\n  \"a\": 2,\n\n  \"é\": 1e3\r\n}",
            ),
            ("{\"a\": 1, \"b\": 2, \"a\": 3}", "a", json!(4), "{\"a\": 1, \"b\": 2, \"a\": 4}"),
            ("{\"s\": {\"a\": 1}, \"s\": {\"a\": 1}}", "s.a", json!(4), "{\"s\": {\"a\": 1}, \"s\": {\"a\": 4}}"),
            ("{\"\\u0061\": [NaN, 1]}", "a", json!(true), "{\"\\u0061\": true}"),
            ("{\"a\": NaN, \"b\": NaN}", "a", json!(null), "{\"a\": null, \"b\": NaN}"),
            ("{\"a\": [128, 512]}", "a", json!([256, 1024]), "{\"a\": [256, 1024]}"),
            ("{\"a\":[128,512]}", "a", json!([256, 1024]), "{\"a\":[256,1024]}"),
            ("{\n\t\"a\": [\n\t\t1\n\t]\n}", "a", json!([2, 3]), "{\n\t\"a\": [\n\t\t2,\n\t\t3\n\t]\n}"),
            ("{\n  \"a\": 1\n}", "a", json!({"b": [1, 2]}), "{\n  \"a\": {\n    \"b\": [1, 2]\n  }\n}"),
            ("{\"a\": {\"b\": 1}}", "a", json!({}), "{\"a\": {}}"),
            ("{\"a\": 1}", "a", json!("é😀"), "{\"a\": \"\\u00e9\\ud83d\\ude00\"}"),
            ("{\"a\": \"ü\"}", "a", json!("é😀"), "{\"a\": \"é😀\"}"),
            ("{\"a\": \"\\ud83d\", \"b\": 1}", "b", json!(2), "{\"a\": \"\\ud83d\", \"b\": 2}"),
        ] {
            assert_eq!(set(text, path, value), want, "{text:?}");
        }
    }

    #[test]
    fn an_equal_value_keeps_its_spelling() {
        for (text, value) in [
            ("{\"a\": 2.0}", json!(2)),
            ("{\"a\": 2}", json!(2.0)),
            ("{\"a\": 20e-1}", json!(2)),
            ("{\"a\": \"\\u0066p8\"}", json!("fp8")),
            ("{\"a\": [1 , 2.0]}", json!([1.0, 2])),
            ("{\"a\": {\"y\": 1, \"x\": 5, \"x\": 2}}", json!({"x": 2, "y": 1})),
        ] {
            assert_eq!(set(text, "a", value), text);
        }
        assert_eq!(set("{\"a\": 9007199254740993}", "a", json!(9007199254740992.0)), "{\"a\": 9007199254740992.0}");
        assert_eq!(set("{\"a\": 1}", "a", json!(true)), "{\"a\": true}");
        assert_eq!(set("{\"a\": {\"x\": 1, \"y\": 2}}", "a", json!({"x": 1})), "{\"a\": {\"x\": 1}}");
    }

    #[test]
    fn a_missing_key_is_added_as_its_siblings_stand() {
        for (text, path, want) in [
            // Nothing to go by.
            ("{}", "b", "{\n  \"b\": 7\n}"),
            ("{}\r\n", "b.c", "{\r\n  \"b\": {\r\n    \"c\": 7\r\n  }\r\n}\r\n"),
            // Lines of their own.
            ("{\n  \"a\": 1\n}", "b", "{\n  \"a\": 1,\n  \"b\": 7\n}"),
            ("{\r\n    \"a\": 1\r\n}", "b", "{\r\n    \"a\": 1,\r\n    \"b\": 7\r\n}"),
            ("{\n\t\"a\": 1 \n}\n", "b.c", "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": 7\n\t} \n}\n"),
            ("{\n  \"s\": {},\n  \"z\": 1\n}", "s.b", "{\n  \"s\": {\n    \"b\": 7\n  },\n  \"z\": 1\n}"),
            ("{\n  \"s\": {\n  },\n  \"z\": 1\n}", "s.b", "{\n  \"s\": {\n    \"b\": 7\n  },\n  \"z\": 1\n}"),
            ("{\n \"x\": 0,\n\n\n \"a\": 1\n\n}", "b", "{\n \"x\": 0,\n\n\n \"a\": 1,\n \"b\": 7\n\n}"),
            ("{\r\n  \"x\": 0,\n  \"a\": 1\r\n}", "b", "{\r\n  \"x\": 0,\n  \"a\": 1,\n  \"b\": 7\r\n}"),
            ("{\r  \"a\": 1\r}", "b.c", "{\r  \"a\": 1,\r  \"b\": {\r    \"c\": 7\r  }\r}"),
            ("{\n  \"a\": 1\n, \"x\": 2\n}", "b", "{\n  \"a\": 1\n, \"x\": 2\n, \"b\": 7\n}"),
            ("{\n  \"a\" : 1\n}", "b", "{\n  \"a\" : 1,\n  \"b\" : 7\n}"),
            ("{\n  \"a\":\n  {\n    \"x\": 1\n  }\n}", "a.b", "{\n  \"a\":\n  {\n    \"x\": 1,\n    \"b\": 7\n  }\n}"),
            ("{\n  \"a\": [\n    1\n  ]\n}", "b", "{\n  \"a\": [\n    1\n  ],\n  \"b\": 7\n}"),
            (
                "{\n    \"a\": 1\n  , \"x\": 2\n}",
                "b.c",
                "{\n    \"a\": 1\n  , \"x\": 2\n  , \"b\": {\n    \"c\": 7\n  }\n}",
            ),
            // One line.
            ("{\"a\":1}", "b", "{\"a\":1,\"b\":7}"),
            ("{\"a\":{}}", "a.b.c", "{\"a\":{\"b\":{\"c\":7}}}"),
            ("{\"a\": 1}", "b", "{\"a\": 1, \"b\": 7}"),
            ("{ \"a\": 1 }", "b", "{ \"a\": 1, \"b\": 7 }"),
            ("{ \"a\":1 , \"x\":2 }", "b", "{ \"a\":1 , \"x\":2 , \"b\":7 }"),
            ("{\"a\": { }}", "a.b", "{\"a\": { \"b\": 7 }}"),
            ("{\n  \"a\": {\"x\": 1}\n}", "a.b", "{\n  \"a\": {\"x\": 1, \"b\": 7}\n}"),
            ("{\n  \"a\": {\"x\": 1}\n}", "a.b.c", "{\n  \"a\": {\"x\": 1, \"b\": {\"c\": 7}}\n}"),
        ] {
            assert_eq!(set(text, path, json!(7)), want, "{text:?}");
        }
    }

    #[test]
    fn a_path_leads_through_objects_only() {
        let error = edit("{\n  \"a\": {\"b\": 1}\n}", &[change("a.b.c", json!(1))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 14: `a.b` is a number, not an object, so `c` cannot be set in it"
        );
        let error = edit("[]", &[change("a", json!(1))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1, column 1: the file is a list, not an object, so `a` cannot be set in it"
        );
        assert!(edit("{}", &[KeyChange { path: Vec::new(), value: json!(1) }]).is_err());
        assert!(edit("{", &[]).is_err());
    }

    #[test]
    fn values_and_their_places_are_found_by_path() {
        let text = "\u{feff}{\n  \"é\": {\"a\": 1, \"a\": 2}\n}";
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(get(&parse(text).unwrap(), &path("é.a")), Some(&json!(2)));
        assert_eq!(position(text, &path("é.a")), Some((2, 22)));
        assert_eq!(position(text, &[]), Some((1, 1)));
        assert_eq!(position(text, &path("é.b")), None);
        assert_eq!(position("{", &path("a")), None);
    }

    // Spreads a tree over a text with white space from `picks`.
    fn render(value: &Value, picks: &mut impl Iterator<Item = u8>, out: &mut String) {
        let mut blank = |out: &mut String| {
            let blanks = ["", "", " ", "\n  ", "\r\n\t", "\r", "\n\n   "];
            out.push_str(blanks[usize::from(picks.next().unwrap()) % blanks.len()]);
        };
        blank(out);
        match value {
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    render(item, picks, out);
                }
                out.push(']');
            }
            Value::Object(entries) => {
                out.push('{');
                for (i, (key, item)) in entries.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    let mut blank = String::new();
                    render(&json!(key), picks, &mut blank);
                    out.push_str(&blank);
                    out.push(':');
                    render(item, picks, out);
                }
                out.push('}');
            }
            _ => out.push_str(&value.to_string()),
        }
        let blanks = ["", " ", "\n", "\t"];
        out.push_str(blanks[usize::from(picks.next().unwrap()) % blanks.len()]);
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            "[a-z\"\\\\\u{1}é😀]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => prop::collection::btree_map("[a-cé]{1,2}", inner, 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    // The same change on a tree; false where it cannot be made.
    fn set_tree(tree: &mut Value, path: &[String], value: &Value) -> bool {
        let (Value::Object(entries), Some((key, rest))) = (tree, path.split_first()) else { return false };
        if rest.is_empty() {
            entries.insert(key.clone(), value.clone());
            return true;
        }
        match entries.get_mut(key) {
            Some(inner) => set_tree(inner, rest, value),
            None => {
                let inner = rest.iter().rev().fold(value.clone(), |value, key| json!({key: value}));
                entries.insert(key.clone(), inner);
                true
            }
        }
    }

    fn check_edit(text: &str, path: &[String], value: &Value) -> Result<String, TestCaseError> {
        let mut want = parse(text).unwrap();
        let change = [KeyChange { path: path.to_vec(), value: value.clone() }];
        let found = get(&want, path).cloned();
        if !set_tree(&mut want, path, value) {
            prop_assert!(edit(text, &change).is_err());
            return Ok(text.to_owned());
        }
        let new = edit(text, &change).unwrap();
        prop_assert_eq!(parse(&new).unwrap(), want);
        prop_assert_eq!(edit(&new, &change).unwrap(), new.clone());
        // Every byte outside the value stays; an added key takes at most the blanks of an empty object.
        let prefix = text.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
        let left = text.len().min(new.len()) - prefix;
        let suffix = text.bytes().rev().zip(new.bytes().rev()).take(left).take_while(|(a, b)| a == b).count();
        if found.is_some() {
            let (bom, body) = split_bom(text);
            let tree = read(body).unwrap();
            let node = path.iter().fold(&tree, |node, key| match node {
                ast::Value::Object(object) => &effective(object, key).unwrap().value,
                _ => unreachable!(),
            });
            prop_assert!(new.starts_with(&text[..bom.len() + node.start()]));
            prop_assert!(new.ends_with(&body[node.end()..]));
        } else {
            prop_assert!(text[prefix..text.len() - suffix].trim().is_empty());
        }
        Ok(new)
    }

    proptest! {
        #[test]
        fn edits_change_their_keys_only(
            tree in trees(),
            changes in prop::collection::vec((prop::collection::vec("[a-cé]{1,2}", 1..4), trees()), 1..4),
            picks in prop::collection::vec(any::<u8>(), 1..40),
            layout in 0..4,
        ) {
            let mut text = match layout {
                0 => tree.to_string(),
                1 => serde_json::to_string_pretty(&tree).unwrap().replace('\n', "\r\n"),
                2 => format!("\u{feff}{}\n", serde_json::to_string_pretty(&tree).unwrap()),
                _ => {
                    let mut text = String::new();
                    render(&tree, &mut picks.iter().copied().cycle(), &mut text);
                    text
                }
            };
            for (path, value) in &changes {
                text = check_edit(&text, path, value)?;
            }
        }

        // serde_json is as strict as Python, up to what Python adds: NaN, infinities and half surrogates.
        #[test]
        fn as_strict_as_another_reader(
            tree in trees(),
            cut in any::<prop::sample::Index>(),
            junk in "[\\]{}:,\"'\\\\ \n\u{b}a1.eE+\\-/*\u{a0}tn]{0,2}",
            len in 0..3_usize,
        ) {
            let mut text = tree.to_string();
            let at = text.floor_char_boundary(cut.index(text.len()));
            let end = text.ceil_char_boundary(text.len().min(at + len));
            text.replace_range(at..end, &junk);
            match (parse(&text), serde_json::from_str::<Value>(&text)) {
                (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
                (Err(_), Err(_)) => {}
                (ours, theirs) => {
                    let theirs = theirs.map_or_else(|e| e.to_string(), |v| v.to_string());
                    prop_assert!(theirs.contains("surrogate") || theirs.contains("out of range"), "{:?} {}: {:?}", text, theirs, ours);
                }
            }
        }
    }
}
