//! Redaction: a text without its secrets and without what tells whose machine it is, line by line and column by column
//! where it was.
//!
//! Takes texts of any format (JSON, YAML, TOML, `.env`, shell, batch, prose, broken ones): no parser decides what is a
//! value, because one that fails would let everything through. Where it cannot be told how far a secret goes, more is
//! taken out rather than less. Each character of it becomes `*`, so that lines and columns stay what findings say; a
//! home directory becomes `~`, and a name of the machine or its user `NAME`.

mod addresses;
mod keys;
mod tokens;
mod values;

use std::env;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value;

use crate::facts::probe;

/// What is taken out besides what looks like a secret: the names of a machine and its user.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    // As they may be written, the longest first.
    homes: Vec<String>,
    names: Vec<String>,
}

impl Redaction {
    /// For texts of this machine. Where the environment does not name the home directory, the system is asked, which may
    /// mean a server.
    pub fn here() -> Self {
        Self::with_home(env::home_dir())
    }

    /// The same, and nobody is asked.
    pub fn of_environment() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self::with_home(variable("HOME").or_else(|| variable("USERPROFILE")))
    }

    fn with_home(home: Option<PathBuf>) -> Self {
        let shown = home.as_deref().and_then(|home| home.to_str()).map(str::to_owned);
        Self::of(shown.as_deref(), probe::private_names(home))
    }

    /// For texts of a machine where a user's files lie in `home`, and whose user, host and the like have these names.
    pub fn of(home: Option<&str>, names: Vec<String>) -> Self {
        let home = home.map(|home| home.trim_end_matches(['/', '\\'])).filter(|home| home.len() > 1);
        let spelled = |home: &str| [home.replace('\\', r"\\"), home.replace('\\', "/"), home.to_owned()];
        let mut names: Vec<String> =
            names.into_iter().flat_map(|name| [name.to_lowercase(), name.to_uppercase(), name]).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.dedup();
        Self { homes: home.map(spelled).into_iter().flatten().collect(), names }
    }

    /// A text that anybody may have written: values by their keys, whatever looks like a secret, addresses, names.
    pub fn text(&self, text: &str) -> String {
        let mut secrets = values::keyed(text);
        secrets.extend(tokens::find(text));
        secrets.extend(addresses::find(text));
        self.anonymous(&masked(text, secrets))
    }

    /// What this program says: the same, but its own keys and the versions of packages are no secrets.
    pub fn own(&self, text: &str) -> String {
        self.anonymous(&masked(text, tokens::find(text)))
    }

    /// Every text of a tree, by [`Redaction::text`] or [`Redaction::own`]; its keys stay.
    pub fn tree(&self, value: &mut Value, redacted: fn(&Self, &str) -> String) {
        match value {
            Value::String(text) => *text = redacted(self, text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.tree(item, redacted)),
            Value::Object(map) => map.values_mut().for_each(|item| self.tree(item, redacted)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn anonymous(&self, text: &str) -> String {
        let text = self.homes.iter().fold(text.to_owned(), |text, home| without_home(&text, home));
        probe::strip(&addresses::without_homes(&text), &self.names)
    }
}

// Each character of the ranges as `*`; what breaks lines stays.
fn masked(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    if ranges.is_empty() {
        return text.to_owned();
    }
    ranges.sort_by_key(|range| range.start);
    let mut ranges = ranges.into_iter().peekable();
    let mut until = 0;
    let mask = |(at, c): (usize, char)| {
        while let Some(range) = ranges.next_if(|range| range.start <= at) {
            until = until.max(range.end);
        }
        if at < until && !matches!(c, '\n' | '\r') { '*' } else { c }
    };
    text.char_indices().map(mask).collect()
}

// `~` for the folder, where it is not the beginning of another name.
fn without_home(text: &str, home: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(home) {
        let after = &rest[at + home.len()..];
        let is_whole = !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        out.push_str(&rest[..at]);
        out.push_str(if is_whole { "~" } else { home });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests;
