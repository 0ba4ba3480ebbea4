//! A config file of any format: its values by path, and one value changed while every other byte stays.
//!
//! Each format is a [`Syntax`]; [`Config`] adds what holds for all of them: the byte order mark is kept, and a change that
//! would alter any other value of the file is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::lines::{Batch, Env, Shell};
use super::source::Format;
use super::{json::Json, toml::Toml, yaml::Yaml};

/// The value that takes more levels than this is not walked into.
pub(super) const MAX_DEPTH: usize = 64;

/// Why a text cannot be read, or a value cannot be set in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; a byte order mark does not count.
    pub column: usize,
    /// What is wrong, lower case.
    pub message: String,
    /// Of which kind it is.
    pub fault: Fault,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not of its format, so nobody can read it.
    Broken,
    /// The path leads through something that holds no keys.
    Path,
    /// The text is right, but the value is written in a way that is not edited.
    NotEdited,
    /// No spelling of the value is read back exactly.
    NotWritable,
}

impl Fault {
    /// The code of its finding.
    pub fn code(self) -> &'static str {
        match self {
            Self::Broken => "config-corrupt",
            Self::Path => "config-invalid",
            Self::NotEdited => "config-not-edited",
            Self::NotWritable => "value-not-writable",
        }
    }

    /// What to do about it.
    pub fn help(self) -> Option<&'static str> {
        match self {
            Self::Broken | Self::Path => None,
            Self::NotEdited => {
                Some("write it as one plain value in its own place, or set it by hand to what the plan says")
            }
            Self::NotWritable => Some("correct the key's `value` in the target"),
        }
    }
}

/// One key to set.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyChange {
    /// The keys that lead to the value, from the outermost; not empty.
    pub path: Vec<String>,
    /// What the key is to hold.
    pub value: Value,
}

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// The values: an object, when the text is of use to a stack.
    pub value: Value,
    /// Paths whose values are not told, or not one value, and why.
    pub unclear: Vec<(Vec<String>, TextError)>,
}

/// Reading and editing one format. The texts are without a byte order mark.
pub trait Syntax: Sync {
    /// What a text says. Variables in `lists` hold arguments, and are objects of them.
    ///
    /// # Errors
    /// [`Fault::Broken`], at the first place where the text is not of the format.
    fn read(&self, text: &str, lists: &BTreeSet<String>) -> Result<Tree, TextError>;

    /// The text with one key set.
    ///
    /// # Errors
    /// When the key or its value is not one that can be written here.
    fn set(&self, text: &str, lists: &BTreeSet<String>, change: &KeyChange) -> Result<String, TextError>;

    /// The text without a key. Only formats whose files have keys that are no longer read take any away.
    ///
    /// # Errors
    /// When the key is not there, or cannot be taken away without harm.
    fn remove(&self, text: &str, path: &[String]) -> Result<String, TextError> {
        let message = format!("`{}` is not taken away: remove it by hand", path.join("."));
        Err(error_at(text, 0, Fault::NotEdited, message))
    }

    /// The text in which a key has another name and its value is written as before. As with [`Syntax::remove`], only some
    /// formats do it.
    ///
    /// # Errors
    /// When the key is not there, or one of the other name is.
    fn rename(&self, text: &str, path: &[String], other: &str) -> Result<String, TextError> {
        let message = format!("`{}` does not become `{other}`: rename it by hand", path.join("."));
        Err(error_at(text, 0, Fault::NotEdited, message))
    }

    /// Line and column, both from 1 and the column in characters, where the value at a path begins.
    fn position(&self, text: &str, lists: &BTreeSet<String>, path: &[String]) -> Option<(usize, usize)>;

    /// Whether all values are texts, which say numbers only to who reads them.
    fn is_text(&self) -> bool {
        false
    }
}

impl Format {
    /// How it is read and edited.
    pub fn syntax(self) -> &'static dyn Syntax {
        match self {
            Self::Json => &Json,
            Self::Toml => &Toml,
            Self::Yaml => &Yaml,
            Self::Env => &Env,
            Self::Shell => &Shell,
            Self::Batch => &Batch,
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Env => "a file of variables",
            Self::Shell => "a shell script",
            Self::Batch => "a batch file",
        }
    }

    /// The keys that a name in a target stands for: `a.b` leads through sections, `NAME.--option` into a list of arguments.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn path(self, name: &str) -> Result<Vec<String>, String> {
        if !self.syntax().is_text() {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            return match path.iter().any(String::is_empty) {
                true => Err(format!("`{name}` is no path of keys: a part of it is empty")),
                false => Ok(path),
            };
        }
        let (variable, option) = match name.split_once('.') {
            Some((variable, option)) => (variable, Some(option)),
            None => (name, None),
        };
        if !super::lines::is_name(variable) {
            return Err(format!("`{variable}` is no name of a variable: letters, digits and `_`, and no digit first"));
        }
        if self == Self::Batch && variable.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(format!(
                "`{variable}` is written in capitals, because `cmd` does not tell small letters from them"
            ));
        }
        match option {
            None => Ok(vec![variable.to_owned()]),
            Some(option) if super::lines::arguments::is_option(option) => {
                Ok(vec![variable.to_owned(), option.to_owned()])
            }
            Some(option) => {
                Err(format!("`{option}` is no option of a list of arguments, such as `{variable}.--reserve-vram`"))
            }
        }
    }
}

impl Format {
    /// The variable whose list of arguments a path leads into.
    pub fn list_of(self, path: &[String]) -> Option<String> {
        (self.syntax().is_text() && path.len() == 2).then(|| path[0].clone())
    }

    /// What stands for a missing file.
    ///
    /// # Errors
    /// Why what the target says cannot be it.
    pub fn restored(self, restore: &Value, lists: &BTreeSet<String>) -> Result<Config, String> {
        let text = match (self, restore) {
            (Self::Json, tree) => serde_json::to_string_pretty(tree).map_err(|error| error.to_string())? + "\n",
            (Self::Batch, Value::String(text)) => text.replace("\r\n", "\n").replace('\n', "\r\n"),
            (_, Value::String(text)) => text.clone(),
            _ => return Err(format!("for {} `restore` is the file's text", self.name())),
        };
        match Config::read(self, &text, lists) {
            Ok(config) if config.value().is_object() => Ok(config),
            Ok(_) => Err("`restore` holds no keys".to_owned()),
            Err(error) => Err(format!("`restore` is not {}: {error}", self.name())),
        }
    }
}

/// A text and what it says.
#[derive(Clone, Debug)]
pub struct Config {
    format: Format,
    lists: BTreeSet<String>,
    bom: &'static str,
    text: String,
    tree: Tree,
}

impl Config {
    /// Reads a text. Variables in `lists` hold arguments.
    ///
    /// # Errors
    /// [`Fault::Broken`], at the first place where the text is not of the format.
    pub fn read(format: Format, text: &str, lists: &BTreeSet<String>) -> Result<Self, TextError> {
        let (bom, text) = match text.strip_prefix('\u{feff}') {
            Some(text) => ("\u{feff}", text),
            None => ("", text),
        };
        let tree = format.syntax().read(text, lists)?;
        Ok(Self { format, lists: lists.clone(), bom, text: text.to_owned(), tree })
    }

    /// The text as it is now.
    pub fn text(&self) -> String {
        format!("{}{}", self.bom, self.text)
    }

    /// All values. Every value of a file of variables, a script or a batch file is a text.
    pub fn value(&self) -> &Value {
        &self.tree.value
    }

    /// The value at a path; `None` when there is none, or it cannot be told.
    pub fn get(&self, path: &[String]) -> Option<&Value> {
        match self.unclear(path) {
            Some(_) => None,
            None => get(&self.tree.value, path),
        }
    }

    /// What is in the way of the value at a path.
    pub fn unclear(&self, path: &[String]) -> Option<&TextError> {
        self.tree.unclear.iter().find(|(at, _)| path.starts_with(at)).map(|(_, error)| error)
    }

    /// The value at a path, as one that is to become `wanted`: a switch that is not in its list is off.
    pub fn held(&self, path: &[String], wanted: &Value) -> Option<Value> {
        let off = || {
            let (_, list) = path.split_last()?;
            let is_switch = wanted.is_boolean() && self.is_text() && !list.is_empty();
            (is_switch && self.unclear(path).is_none() && self.get(list)?.is_object()).then_some(Value::Bool(false))
        };
        self.get(path).cloned().or_else(off)
    }

    /// What a key holds when a value was written to it.
    pub fn spelt(&self, path: &[String], value: &Value) -> Value {
        match value {
            Value::Number(number) if self.is_text() => Value::from(number.to_string()),
            Value::Bool(on) if self.is_text() && path.len() == 1 => Value::from(on.to_string()),
            value => value.clone(),
        }
    }

    /// Whether two values are the same one to who reads the file: `2` and `2.0` are.
    pub fn same(&self, found: &Value, wanted: &Value) -> bool {
        match (found, wanted) {
            (Value::String(found), Value::Number(wanted)) if self.is_text() => {
                decimal(found).is_some_and(|found| Some(found) == wanted.as_f64())
            }
            (Value::String(found), Value::Bool(wanted)) if self.is_text() => *found == wanted.to_string(),
            _ => same(found, wanted),
        }
    }

    /// Line and column where the value at a path begins.
    pub fn position(&self, path: &[String]) -> Option<(usize, usize)> {
        self.format.syntax().position(&self.text, &self.lists, path)
    }

    /// Sets a key and leaves every other byte as it is.
    ///
    /// # Errors
    /// When the key cannot be set without changing another, or its value cannot be written. The text is then as it was.
    pub fn set(&mut self, change: &KeyChange) -> Result<(), TextError> {
        if let Some(error) = self.unclear(&change.path) {
            return Err(error.clone());
        }
        let text = self.format.syntax().set(&self.text, &self.lists, change)?;
        let mut wanted = self.tree.value.clone();
        put(&mut wanted, &change.path, self.spelt(&change.path, &change.value), self.is_text());
        self.replace(text, &wanted, &change.path, "set")
    }

    /// Takes a key away and leaves every other byte as it is, but for what separates it from the next.
    ///
    /// # Errors
    /// When the key cannot be taken away without changing another. The text is then as it was.
    pub fn remove(&mut self, path: &[String]) -> Result<(), TextError> {
        if let Some(error) = self.unclear(path) {
            return Err(error.clone());
        }
        let text = self.format.syntax().remove(&self.text, path)?;
        let mut wanted = self.tree.value.clone();
        if let Some((last, sections)) = path.split_last() {
            let section = sections.iter().try_fold(&mut wanted, |value, key| value.get_mut(key));
            section.and_then(Value::as_object_mut).map(|entries| entries.shift_remove(last));
        }
        self.replace(text, &wanted, path, "removed")
    }

    /// Gives a key another name in its section, and leaves every other byte as it is.
    ///
    /// # Errors
    /// When the key is not there, or one of the other name is. The text is then as it was.
    pub fn rename(&mut self, path: &[String], other: &str) -> Result<(), TextError> {
        if let Some(error) = self.unclear(path) {
            return Err(error.clone());
        }
        let text = self.format.syntax().rename(&self.text, path, other)?;
        let mut wanted = self.tree.value.clone();
        if let Some((last, sections)) = path.split_last() {
            let section = sections.iter().try_fold(&mut wanted, |value, key| value.get_mut(key));
            section.and_then(Value::as_object_mut).and_then(|entries| {
                let value = entries.shift_remove(last)?;
                entries.insert(other.to_owned(), value)
            });
        }
        self.replace(text, &wanted, path, "renamed")
    }

    // Takes over a text in which only the wanted values are others.
    fn replace(&mut self, text: String, wanted: &Value, path: &[String], done: &str) -> Result<(), TextError> {
        let refused = |message: String| {
            let (line, column) = self.position(path).unwrap_or((1, 1));
            TextError { line, column, message, fault: Fault::NotEdited }
        };
        let name = path.join(".");
        let tree = self.format.syntax().read(&text, &self.lists).map_err(|error| {
            refused(format!("`{name}` cannot be {done}: the text would no longer be read ({})", error.message))
        })?;
        let paths = |tree: &Tree| tree.unclear.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        if !same(&tree.value, wanted) || paths(&tree) != paths(&self.tree) {
            return Err(refused(format!("`{name}` cannot be {done} without changing another value of the file")));
        }
        self.text = text;
        self.tree = tree;
        Ok(())
    }

    /// The values as a schema sees them: a text that is at odds with the schema where a number or truth value would not be
    /// is that number or truth value.
    pub fn checked(&self, is_wrong: impl Fn(&Value) -> Vec<Vec<String>>) -> Value {
        let mut value = self.tree.value.clone();
        if !self.is_text() {
            return value;
        }
        for path in is_wrong(&value) {
            let Some(Value::String(text)) = get(&value, &path) else { continue };
            let read = match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => match (text.parse::<i64>(), decimal(text)) {
                    (Ok(number), _) => Value::from(number),
                    (_, Some(number)) => Value::from(number),
                    _ => continue,
                },
            };
            put(&mut value, &path, read, false);
        }
        value
    }

    fn is_text(&self) -> bool {
        self.format.syntax().is_text()
    }
}

/// The keys that lead to what an error of a schema is about.
pub fn path_of(error: &jsonschema::ValidationError<'_>) -> Vec<String> {
    let pointer = error.instance_path().to_string();
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

/// The value that a path of keys leads to; `None` when a key is missing or something on the way is not an object.
pub fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.as_object()?.get(key))
}

/// Whether two values mean the same: numbers by what they are, not by how they are written.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

// A switch that is off is not there.
fn put(tree: &mut Value, path: &[String], value: Value, switches: bool) {
    let Some((last, sections)) = path.split_last() else { return };
    let mut node = tree;
    for key in sections {
        if !node.is_object() {
            *node = Value::Object(Map::new());
        }
        let Value::Object(entries) = node else { return };
        node = entries.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    if !node.is_object() {
        *node = Value::Object(Map::new());
    }
    let Value::Object(entries) = node else { return };
    if switches && !sections.is_empty() && value == Value::Bool(false) {
        entries.shift_remove(last);
    } else {
        entries.insert(last.clone(), value);
    }
}

// A number as people write it: no name of one, such as `inf`.
fn decimal(text: &str) -> Option<f64> {
    let is_digit = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+');
    text.parse().ok().filter(|number: &f64| number.is_finite() && text.bytes().all(is_digit))
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

pub(super) fn error_at(text: &str, offset: usize, fault: Fault, message: impl Into<String>) -> TextError {
    let (line, column) = line_and_column(text, offset);
    TextError { line, column, message: message.into(), fault }
}

/// What ends the lines of a text at an offset: as the line before does, or the next one.
pub(super) fn newline_at(text: &str, offset: usize) -> &'static str {
    let newline = text[..offset].rfind('\n').or_else(|| text[offset..].find('\n').map(|at| offset + at));
    match newline {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Characters that people do not see, or that turn what they see around.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{e0000}'..='\u{e007f}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// A text between double quotes, as TOML and YAML both read it.
pub(super) fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_invisible(c) && u32::from(c) > 0xffff => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c if is_invisible(c) => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
