//! What the header of a checkpoint says, whichever its format, and what can be wrong with a file.

use std::fmt;
use std::io;

use crate::facts::units::Unit;

/// Most bytes of a header that are read. The largest of a Wan model, a GGUF of the text encoder with its words, has less
/// than a third of that, and reading it takes a few times its size in memory.
pub const MAX_HEADER: u64 = 32 << 20;

/// Most tensors that are read; the largest part of a Wan model has some two thousand.
pub const MAX_TENSORS: usize = 100_000;

/// Most dimensions of a tensor; a video model has five.
pub const MAX_DIMENSIONS: usize = 16;

/// One tensor; in a PyTorch file one storage, whose name is a number and whose shape is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// As the file has it.
    pub name: Box<str>,
    /// `bf16`, `fp8_e4m3fn`, `q4_k`; `None` when the file does not say, or says what is not known.
    pub dtype: Option<&'static str>,
    /// Outermost first; empty for one number.
    pub shape: Box<[u64]>,
    /// What it takes in the file.
    pub bytes: u64,
}

impl Tensor {
    /// Numbers in it; the shape was seen not to overflow.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |all, size| all.saturating_mul(*size))
    }
}

/// The header of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Length that the file must have, in bytes.
    pub end: u64,
    /// Bytes that may be missing at the end or stand behind it: padding.
    pub padding: u64,
    /// Whether the tensors have names and shapes.
    pub is_named: bool,
}

impl Header {
    /// What is wrong with the length of the file, if anything.
    pub fn fault_of_length(&self, length: u64) -> Option<Fault> {
        if length < self.end {
            let missing = Unit::Bytes.show(&(self.end - length).into());
            let what = format!("ends at byte {length}, and its tensors at byte {}: {missing} are missing", self.end);
            return Some(Fault::Truncated(what));
        }
        let behind = length - self.end;
        (behind > self.padding).then(|| {
            let what = format!("its tensors end here, and the file {behind} bytes later");
            Fault::Invalid { at: Some(self.end), what }
        })
    }
}

/// What is wrong with a file. Each text is a clause to stand behind the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A part of it is elsewhere, or nowhere.
    Incomplete(String),
    /// It ends too early.
    Truncated(String),
    /// It is not what its format says.
    Invalid {
        /// Bytes from the start of the file; `None` where no place is to blame.
        at: Option<u64>,
        /// What is wrong there.
        what: String,
    },
    /// It cannot or may not be looked into.
    Unread(String),
    /// It is none of a model, though it is named like one.
    Other,
}

impl Fault {
    /// Something wrong at a byte.
    pub fn at(at: u64, what: impl Into<String>) -> Self {
        Self::Invalid { at: Some(at), what: what.into() }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated("ends in its header".to_owned()),
            _ => Self::Unread(format!("cannot be read: {error}")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(what) | Self::Truncated(what) | Self::Unread(what) => f.write_str(what),
            Self::Invalid { at: Some(at), what } => write!(f, "is damaged at byte {at}: {what}"),
            Self::Invalid { at: None, what } => write!(f, "is damaged: {what}"),
            Self::Other => f.write_str("is no checkpoint"),
        }
    }
}

/// Characters of a text from a file that are shown.
const SHOWN: usize = 96;

/// A text that a file holds, to be shown: what cannot be printed is escaped, what is long is cut.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None => printable(text),
    }
}

/// The text with escapes in place of what moves a cursor or hides letters.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_files_are_printable_and_short() {
        assert_eq!(shown("a'b\u{1b}[2J\u{202e}c"), "a'b\\u{1b}[2J\\u{202e}c");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 97);
        assert_eq!(shown("blocks.0"), "blocks.0");
    }
}
