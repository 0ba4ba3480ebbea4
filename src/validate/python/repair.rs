//! The simplest errors of a Python source repaired: a bracket, a colon, a quote or a comma that a hand forgot.
//!
//! What is repaired must be beyond doubt. All places where the missing character could stand are tried, within the lines
//! that belong to the statement by their indentation (`layout.rs`, `repair/slips.rs`); where two of them parse and
//! mean different programs, nothing is repaired (`repair/choice.rs`). What a statement would only compute to throw away does
//! not count as a meaning. At the end the whole file is read again, as any other source.

use std::ops::Range;

use ruff_python_ast::PythonVersion;

use super::{check, encoding, first_error};
use choice::Change;

mod choice;
mod slips;
#[cfg(test)]
mod tests;

/// Most edits of one file; one with more errors was not written for this Python, or is damaged.
pub const MOST_EDITS: usize = 3;

/// Most characters of the text beside an edit that are shown.
const SHOWN: usize = 16;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A source file that Python can read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The whole new content; outside the edits it is the old one byte for byte.
    pub after: Vec<u8>,
    /// What was changed, in the order of the file; at least one, at most [`MOST_EDITS`].
    pub edits: Vec<Edit>,
}

impl Repair {
    /// What to do, for a person who does it by hand.
    pub fn help(&self) -> String {
        let all: Vec<&str> = self.edits.iter().map(|edit| edit.help.as_str()).collect();
        all.join(", and ")
    }
}

/// One change of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the old text, which is the file without a mark of UTF-8 at its start; empty where
    /// something is only added.
    pub range: Range<usize>,
    /// What stands there instead.
    pub insert: String,
    /// What was done, as in ``added `)` at the end of line 12``.
    pub says: String,
    /// What to do, as in ``add `)` at the end of line 12``.
    pub help: String,
}

/// Repairs a file for the Python of a version; `None` is the newest that is known.
///
/// `None` when there is nothing to repair, when it is not in UTF-8, or when the error is not one of the simplest, or could be
/// repaired in two ways that mean different programs. Needs as much stack as [`check`].
pub fn repair(bytes: &[u8], version: Option<(u8, u8)>) -> Option<Repair> {
    let mark = if bytes.starts_with(MARK) { MARK } else { b"" };
    let old = std::str::from_utf8(&bytes[mark.len()..]).ok()?;
    let (text, undecodable) = encoding::decode(bytes);
    if undecodable.is_some() || text != old {
        return None;
    }
    let python = version.map_or_else(PythonVersion::latest, |(major, minor)| PythonVersion { major, minor });
    let mut text = text;
    let mut edits: Vec<Edit> = Vec::new();
    while first_error(&text, version).ok()?.is_some() {
        if edits.len() == MOST_EDITS {
            return None;
        }
        let change = slips::undo(&text, python)?;
        let range = in_old(&edits, &change.range)?;
        let edit = edit(&text, &change, range);
        let place = edits.partition_point(|before| before.range.start <= edit.range.start);
        edits.insert(place, edit);
        text.replace_range(change.range, &change.insert);
    }
    let after = [mark, text.as_bytes()].concat();
    // A comment that names an encoding may begin to count when the line before it holds less.
    let read = check(&after, version).ok()?;
    (!edits.is_empty() && read.error.is_none() && read.text == text).then_some(Repair { after, edits })
}

// Where a range of the text stood before the edits; `None` where it touches one of them.
fn in_old(edits: &[Edit], range: &Range<usize>) -> Option<Range<usize>> {
    let (mut added, mut removed) = (0, 0);
    for edit in edits {
        let start = edit.range.start + added - removed;
        if start > range.end {
            break;
        }
        if start + edit.insert.len() >= range.start {
            return None;
        }
        added += edit.insert.len();
        removed += edit.range.len();
    }
    Some(range.start + removed - added..range.end + removed - added)
}

fn edit(text: &str, change: &Change, range: Range<usize>) -> Edit {
    let start = change.range.start;
    let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    let insert = &change.insert;
    let (done, to_do, rest) = if change.range.is_empty() {
        let rest = text[start..].lines().next().unwrap_or_default().trim();
        let place = if rest.is_empty() {
            format!("at the end of line {line}")
        } else if rest.starts_with('#') {
            format!("before the comment in line {line}")
        } else {
            let beside: String = rest.chars().take_while(|next| !next.is_whitespace()).take(SHOWN).collect();
            format!("before `{beside}` in line {line}, column {column}")
        };
        (format!("added `{insert}`"), format!("add `{insert}`"), place)
    } else {
        let old = &text[change.range.clone()];
        let place = format!("in line {line}, column {column}");
        match (insert.as_str(), old.len()) {
            ("", _) => (format!("removed `{old}`"), format!("remove `{old}`"), place),
            (_, 1) => (format!("replaced `{old}` by `{insert}`"), format!("replace `{old}` by `{insert}`"), place),
            _ => {
                let place = format!("in line {line}");
                (
                    "put brackets around what is printed".to_owned(),
                    "put brackets around what is printed".to_owned(),
                    place,
                )
            }
        }
    };
    Edit { range, insert: insert.clone(), says: format!("{done} {rest}"), help: format!("{to_do} {rest}") }
}
