//! TOML config files, edited in place.
//!
//! The parser says where each value stands; the new value is put there and no other byte is touched. A missing key is added
//! behind the last one of its table.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml_edit::{Array, Document, InlineTable, Item, Table, TableLike, Value as Node};

use super::config::{
    Fault, KeyChange, MAX_DEPTH, Syntax, TextError, Tree, double_quoted, error_at, line_and_column, newline_at, same,
};

/// TOML 1.0, and what the parser takes of 1.1.
pub struct Toml;

impl Syntax for Toml {
    fn read(&self, text: &str, _: &BTreeSet<String>) -> Result<Tree, TextError> {
        let document = parse(text)?;
        Ok(Tree { value: table(document.as_table(), 0), unclear: Vec::new() })
    }

    fn set(&self, text: &str, _: &BTreeSet<String>, change: &KeyChange) -> Result<String, TextError> {
        let document = parse(text)?;
        let mut new_text = text.to_owned();
        for (range, new) in (Editor { text, document: &document }).splices(change)? {
            new_text.replace_range(range, &new);
        }
        Ok(new_text)
    }

    fn position(&self, text: &str, _: &BTreeSet<String>, path: &[String]) -> Option<(usize, usize)> {
        let document = parse(text).ok()?;
        let item = path.iter().try_fold(document.as_item(), |item, key| item.as_table_like()?.get(key))?;
        Some(line_and_column(text, item.span()?.start))
    }
}

fn parse(text: &str) -> Result<Document<&str>, TextError> {
    Document::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        error_at(text, error.span().map_or(0, |span| span.start), Fault::Broken, message)
    })
}

fn table(table: &dyn TableLike, depth: usize) -> Value {
    let entries = table.iter().map(|(key, item)| (key.to_owned(), item_value(item, depth + 1)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn item_value(item: &Item, depth: usize) -> Value {
    match item {
        _ if depth > MAX_DEPTH => Value::Null,
        Item::None => Value::Null,
        Item::Value(value) => node_value(value, depth),
        Item::Table(entries) => table(entries, depth),
        Item::ArrayOfTables(tables) => tables.iter().map(|entries| table(entries, depth + 1)).collect(),
    }
}

// A tree has neither dates nor the infinities: the ones are texts, the others null.
fn node_value(value: &Node, depth: usize) -> Value {
    match value {
        Node::String(text) => Value::from(text.value().as_str()),
        Node::Integer(number) => Value::from(*number.value()),
        Node::Float(number) => Number::from_f64(*number.value()).map_or(Value::Null, Value::Number),
        Node::Boolean(on) => Value::from(*on.value()),
        Node::Datetime(time) => Value::from(time.value().to_string()),
        Node::Array(_) | Node::InlineTable(_) if depth > MAX_DEPTH => Value::Null,
        Node::Array(items) => items.iter().map(|item| node_value(item, depth + 1)).collect(),
        Node::InlineTable(entries) => table(entries, depth),
    }
}

struct Editor<'a> {
    text: &'a str,
    document: &'a Document<&'a str>,
}

impl Editor<'_> {
    // The replacements that a change comes to, the last one first.
    fn splices(&self, change: &KeyChange) -> Result<Vec<(Range<usize>, String)>, TextError> {
        let mut item = self.document.as_item();
        for (depth, key) in change.path.iter().enumerate() {
            let Some(entries) = item.as_table_like() else {
                let (start, through) = (item.span().map_or(0, |span| span.start), change.path[..depth].join("."));
                let message =
                    format!("`{through}` is {}, not a table, so `{key}` cannot be set in it", item.type_name());
                return Err(error_at(self.text, start, Fault::Path, message));
            };
            match entries.get(key) {
                Some(next) => item = next,
                None => {
                    let added = self.add(item, &change.path[..depth], &change.path[depth..], &change.value)?;
                    return Ok(vec![added]);
                }
            }
        }
        let start = item.span().map_or(0, |span| span.start);
        match item {
            Item::Value(old) => {
                let range = old.span().ok_or_else(|| self.not_edited(start, "it has no place of its own"))?;
                if same(&node_value(old, 0), &change.value) {
                    return Ok(Vec::new());
                }
                if let (Node::Array(items), Value::Array(wanted)) = (old, &change.value)
                    && items.len() == wanted.len()
                {
                    return self.items(items, wanted, start);
                }
                if matches!(old, Node::Array(_) | Node::InlineTable(_)) && self.text[range.clone()].contains('#') {
                    return Err(self.not_edited(start, "a comment stands in it, which would be lost"));
                }
                Ok(vec![(range, self.written(&change.value, start)?)])
            }
            _ => Err(self.not_edited(start, "it is a table, and tables are not replaced")),
        }
    }

    // A list keeps what stands between its values.
    fn items(&self, items: &Array, wanted: &[Value], start: usize) -> Result<Vec<(Range<usize>, String)>, TextError> {
        let mut splices = Vec::new();
        for (item, wanted) in items.iter().zip(wanted).filter(|(item, wanted)| !same(&node_value(item, 0), wanted)) {
            let range = item.span().ok_or_else(|| self.not_edited(start, "it has no place of its own"))?;
            splices.push((range, self.written(wanted, start)?));
        }
        splices.reverse();
        Ok(splices)
    }

    // A key behind the last of its table; `there` leads to the table, `missing` from there.
    fn add(
        &self,
        parent: &Item,
        there: &[String],
        missing: &[String],
        value: &Value,
    ) -> Result<(Range<usize>, String), TextError> {
        let start = parent.span().map_or(0, |span| span.start);
        let value = self.written(value, start)?;
        let assignment = |keys: &[String]| {
            format!("{} = {value}", keys.iter().map(|key| quoted_key(key)).collect::<Vec<_>>().join("."))
        };
        match parent {
            Item::Value(Node::InlineTable(entries)) => {
                let new = assignment(missing);
                match last_inline(entries) {
                    Some(end) => Ok((end..end, format!(", {new}"))),
                    None => Ok((start + 1..start + 1, format!(" {new} "))),
                }
            }
            Item::Table(entries) => {
                // The table's own lines, or those of a table around it that has some: a path of keys leads on from there.
                let ends = last_line(entries, !there.is_empty());
                if let (Some(end), false) = (&ends, entries.is_dotted()) {
                    let indent = self.indent(end.start);
                    return Ok(self.line(end.end, &format!("{indent}{}", assignment(missing))));
                }
                if there.is_empty() {
                    // Before the first table: a line above it is the root's.
                    return Ok((0..0, format!("{}{}", assignment(missing), newline_at(self.text, 0))));
                }
                if entries.is_dotted() {
                    let end = ends.ok_or_else(|| self.not_edited(start, "its table has no line of its own"))?;
                    let line = self.line_start(end.start);
                    let indent = self.indent(end.start);
                    let prefix = self.dotted_prefix(&self.text[line..], there);
                    let keys: Vec<String> = prefix.iter().chain(missing).cloned().collect();
                    return Ok(self.line(end.end, &format!("{indent}{}", assignment(&keys))));
                }
                // A table that only the names of others speak of gets a header of its own, at the end.
                let newline = newline_at(self.text, self.text.len());
                let mut new = String::new();
                if !self.text.is_empty() && !self.text.ends_with('\n') {
                    new += newline;
                }
                let header: Vec<String> = there.iter().map(|key| quoted_key(key)).collect();
                new += &format!("{newline}[{}]{newline}{}{newline}", header.join("."), assignment(missing));
                Ok((self.text.len()..self.text.len(), new))
            }
            _ => Err(self.not_edited(start, "it is an array of tables, and a path leads into none of them")),
        }
    }

    // How many of the keys of `there` a line with dotted keys repeats: those that its own line is written with.
    fn dotted_prefix(&self, line: &str, there: &[String]) -> Vec<String> {
        let written = Document::parse(line.lines().next().unwrap_or_default()).ok();
        let has = |from: usize| {
            let root = written.as_ref().map(Document::as_item);
            root.and_then(|root| there[from..].iter().try_fold(root, |item, key| item.as_table_like()?.get(key)))
                .is_some()
        };
        let from = (0..there.len()).find(|&from| has(from)).unwrap_or(0);
        there[from..].to_vec()
    }

    // A line behind the one that an offset is in.
    fn line(&self, offset: usize, line: &str) -> (Range<usize>, String) {
        let newline = newline_at(self.text, offset);
        match self.text[offset..].find('\n') {
            Some(at) => (offset + at + 1..offset + at + 1, format!("{line}{newline}")),
            None => (self.text.len()..self.text.len(), format!("{newline}{line}")),
        }
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text[..offset].rfind('\n').map_or(0, |at| at + 1)
    }

    fn indent(&self, offset: usize) -> &str {
        let line = &self.text[self.line_start(offset)..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    fn not_edited(&self, offset: usize, why: &str) -> TextError {
        error_at(self.text, offset, Fault::NotEdited, format!("this key is not edited: {why}"))
    }

    fn written(&self, value: &Value, offset: usize) -> Result<String, TextError> {
        let refuse = |what: &str| {
            Err(error_at(
                self.text,
                offset,
                Fault::NotWritable,
                format!("TOML has no {what}, so the value cannot be written"),
            ))
        };
        Ok(match value {
            Value::Null => return refuse("null"),
            Value::Number(number) if number.is_u64() && !number.is_i64() => return refuse("integers of that size"),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::String(text) => double_quoted(text),
            Value::Array(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| self.written(item, offset)).collect::<Result<_, _>>()?;
                format!("[{}]", items.join(", "))
            }
            Value::Object(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| Ok(format!("{} = {}", quoted_key(key), self.written(value, offset)?)))
                    .collect::<Result<_, TextError>>()?;
                format!("{{ {} }}", entries.join(", "))
            }
        })
    }
}

// Where the last value of an inline table ends.
fn last_inline(entries: &InlineTable) -> Option<usize> {
    let ends = entries.iter().filter_map(|(_, value)| match value {
        Node::InlineTable(inner) if inner.is_dotted() => last_inline(inner),
        value => Some(value.span()?.end),
    });
    ends.max()
}

// From the start of the last value, or of the header, of a table to its end; tables below have headers of their own.
fn last_line(entries: &Table, may_have_header: bool) -> Option<Range<usize>> {
    let values = entries.iter().filter_map(|(_, item)| match item {
        Item::Value(value) => value.span(),
        Item::Table(inner) if inner.is_dotted() => last_line(inner, false),
        _ => None,
    });
    let last = values.max_by_key(|span| span.end);
    // The span of a table that has a header begins with it.
    let header = || entries.span().filter(|_| may_have_header && !entries.is_implicit() && !entries.is_dotted());
    last.or_else(|| header().map(|span| span.start..span.start + 1))
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { key.to_owned() } else { double_quoted(key) }
}
