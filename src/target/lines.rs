//! Config files of one variable a line: `.env` files, shell scripts and batch files.
//!
//! A [`Language`] finds the assignments of a text; what it does not understand it leaves alone, and a variable that is
//! assigned there too is not edited. All values are texts. A variable may hold a list of arguments, whose options are keys of
//! their own ([`arguments`]).

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::config::{Fault, KeyChange, Syntax, TextError, Tree, error_at, line_and_column, newline_at};

pub mod arguments;
mod batch;
mod env;
mod shell;

pub use batch::Batch;
pub use env::Env;
pub use shell::Shell;

/// An assignment that can be edited.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, as the tree has it, and as the file does.
    name: String,
    spelling: String,
    // What a new value replaces, and the value it stands for.
    range: Range<usize>,
    text: String,
    style: Style,
}

/// How a value is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not, or in several pieces.
    Bare,
    /// As a whole between single quotes.
    Single,
    /// As a whole between double quotes.
    Double,
}

/// What a text assigns.
#[derive(Debug, Default)]
pub struct Scan {
    variables: Vec<Variable>,
    // Names that are assigned in a way that is not edited: where, and why.
    unclear: Vec<(String, usize, String)>,
    // From where on nothing is told, and why.
    lost: Option<(usize, String)>,
    // Where the line of a new variable goes.
    insert: usize,
}

/// One kind of such a file.
pub trait Language: Sync {
    /// The assignments of a text.
    fn scan(&self, text: &str) -> Scan;

    /// The spelling of a value in place of what `old` stands for, or in a new line.
    ///
    /// # Errors
    /// Why no spelling is read back exactly.
    fn write(&self, name: &str, value: &str, old: Option<&Variable>, is_list: bool) -> Result<String, String>;

    /// What stands before a new assignment.
    fn prefix(&self, name: &str) -> String;

    /// The characters that group words in a list of arguments.
    fn quotes(&self) -> &'static [char];

    /// Why a character cannot stand in a word of a list of arguments.
    fn refuses(&self, _: char) -> Option<&'static str> {
        None
    }

    /// What ends the lines of a text that has none.
    fn newline(&self) -> &'static str {
        "\n"
    }
}

impl<L: Language> Syntax for L {
    fn read(&self, text: &str, lists: &BTreeSet<String>) -> Result<Tree, TextError> {
        let scan = self.scan(text);
        let not_edited = |offset: usize, why: &str| error_at(text, offset, Fault::NotEdited, why);
        let mut entries = Map::new();
        let mut unclear = Vec::new();
        if let Some((offset, why)) = &scan.lost {
            unclear.push((Vec::new(), not_edited(*offset, why)));
        }
        for variable in &scan.variables {
            let path = vec![variable.name.clone()];
            let value = match lists.contains(&variable.name) {
                false => Value::from(variable.text.as_str()),
                true => match arguments::read(&variable.text, self.quotes()) {
                    Ok((options, doubles)) => {
                        unclear.extend(doubles.into_iter().map(|option| {
                            let why = format!(
                                "`{option}` stands twice in `{}`, and programs differ in which counts",
                                variable.name
                            );
                            (vec![variable.name.clone(), option], not_edited(variable.range.start, &why))
                        }));
                        Value::Object(options)
                    }
                    Err(why) => {
                        unclear.push((path.clone(), not_edited(variable.range.start, &why)));
                        Value::Null
                    }
                },
            };
            if entries.insert(variable.name.clone(), value).is_some() {
                let first = scan.variables.iter().find(|other| other.name == variable.name);
                let (line, _) = line_and_column(text, first.map_or(0, |first| first.range.start));
                let why =
                    format!("`{}` is set twice, first in line {line}, so it is open which one is meant", variable.name);
                unclear.push((path, not_edited(variable.range.start, &why)));
            }
        }
        unclear.extend(scan.unclear.iter().map(|(name, offset, why)| (vec![name.clone()], not_edited(*offset, why))));
        Ok(Tree { value: Value::Object(entries), unclear })
    }

    fn set(&self, text: &str, _: &BTreeSet<String>, change: &KeyChange) -> Result<String, TextError> {
        let scan = self.scan(text);
        let (name, option) = match change.path.as_slice() {
            [name] => (name, None),
            [name, option] => (name, Some(option)),
            _ => return Err(error_at(text, 0, Fault::Path, "a change names a variable, or an option of one")),
        };
        let old = scan.variables.iter().find(|variable| variable.name == *name);
        let at = old.map_or(0, |old| old.range.start);
        let refuse = |fault, why: String| error_at(text, at, fault, format!("`{}`: {why}", change.path.join(".")));
        let value = match (option, &change.value) {
            (Some(option), value) => {
                let list = old.map_or("", |old| &old.text);
                let refuses = |c| self.refuses(c);
                arguments::set(list, self.quotes(), option, value, &refuses)
                    .map_err(|(fault, why)| refuse(fault, why))?
            }
            (None, Value::String(value)) => value.clone(),
            (None, Value::Bool(_) | Value::Number(_)) => change.value.to_string(),
            (None, _) => {
                return Err(refuse(Fault::NotWritable, "a variable holds one text, number or truth value".into()));
            }
        };
        let written = self
            .write(old.map_or(name, |old| &old.spelling), &value, old, option.is_some())
            .map_err(|why| refuse(Fault::NotWritable, why))?;
        let mut new = text.to_owned();
        match old {
            Some(old) => new.replace_range(old.range.clone(), &written),
            None => {
                let newline = if text.contains('\n') { newline_at(text, scan.insert) } else { self.newline() };
                let line = format!("{}{written}", self.prefix(name));
                let before = &text[..scan.insert];
                let line = match before.is_empty() || before.ends_with('\n') {
                    true => format!("{line}{newline}"),
                    false => format!("{newline}{line}"),
                };
                new.insert_str(scan.insert, &line);
            }
        }
        Ok(new)
    }

    fn position(&self, text: &str, _: &BTreeSet<String>, path: &[String]) -> Option<(usize, usize)> {
        let scan = self.scan(text);
        let variable = scan.variables.iter().find(|variable| Some(&variable.name) == path.first())?;
        let option = path.get(1).and_then(|option| {
            // The spelling of a value may differ from the value; the option itself is written as it is.
            let at = text[variable.range.clone()].find(option.as_str())?;
            Some(variable.range.start + at)
        });
        match (path.len(), option) {
            (1, _) => Some(line_and_column(text, variable.range.start)),
            (_, at) => at.map(|at| line_and_column(text, at)),
        }
    }

    fn is_text(&self) -> bool {
        true
    }
}

/// Whether a text names a variable.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

// The name at the start of a text.
fn name_of(text: &str) -> Option<&str> {
    let name = &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())];
    is_name(name).then_some(name)
}

// Characters that mean themselves without quotes to every reader.
fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '-')
}

// Each line with the offset of its start, without its end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        (start, line.strip_suffix('\r').unwrap_or(line))
    })
}

// Behind the line that an offset is in.
fn next_line(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |at| offset + at + 1)
}
