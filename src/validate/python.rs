//! Whether Python can read a source file: the first error, on the line where CPython reports it.
//!
//! `ruff_python_parser` finds out whether a file is broken. It goes on after an error and tells what it expected; CPython
//! stops, and looks for the token that people have to mend. `place.rs` moves an error of the one to the line of the other.

use ruff_python_ast::PythonVersion;
use ruff_python_parser::semantic_errors::SemanticSyntaxErrorKind as Kind;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged, TextRange};

pub use steps::steps;
use tokens::{Tokenized, Wrong, tokenize};

mod encoding;
mod layout;
mod place;
pub mod repair;
mod scopes;
mod steps;
mod tokens;

/// Why Python does not read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where, in bytes of the text.
    pub range: std::ops::Range<usize>,
    /// What is wrong, in a few words.
    pub message: String,
    /// What to do about it; `None` where nobody can guess.
    pub help: Option<String>,
}

/// A source file as text, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The text; bytes that its encoding does not have are replaced.
    pub text: String,
    /// The first error; `None` when Python can read it.
    pub error: Option<SyntaxError>,
}

/// Deepest expression that is looked into, in operators and brackets around one of its parts; the parser calls itself for
/// each. Nobody writes such a one by hand.
pub const MOST_DEPTH: usize = 1000;

/// Bytes of stack that [`check`] needs for it.
pub const STACK: usize = 16 << 20;

/// Checks a file as the Python of a version reads it; `None` is the newest that is known.
///
/// # Errors
/// Why nobody can tell: an expression is too deep.
pub fn check(bytes: &[u8], version: Option<(u8, u8)>) -> Result<Checked, String> {
    let (text, undecodable) = encoding::decode(bytes);
    let error = match undecodable {
        Some(error) => Some(error),
        None => first_error(&text, version)?,
    };
    Ok(Checked { text, error })
}

fn first_error(text: &str, version: Option<(u8, u8)>) -> Result<Option<SyntaxError>, String> {
    let tokenized = tokenize(text);
    // What the tokenizer refuses, whatever the parser says; it guards the parser's stack.
    if let Some((wrong @ (Wrong::TooManyOpen | Wrong::TooManyIndents), at)) = tokenized.wrong {
        return Ok(Some(place::of_token(text, wrong, at)));
    }
    if tokenized.depth > MOST_DEPTH {
        return Err(format!("an expression is deeper than {MOST_DEPTH} operators and brackets"));
    }
    Ok(parsed_error(text, &tokenized, version))
}

fn parsed_error(text: &str, tokenized: &Tokenized, version: Option<(u8, u8)>) -> Option<SyntaxError> {
    let version = version.map_or_else(PythonVersion::latest, |(major, minor)| PythonVersion { major, minor });
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module).with_target_version(version));
    if let Some(error) = parsed.errors().iter().min_by_key(|error| error.location.start()) {
        return Some(place::of(text, tokenized, &parsed, error));
    }
    let at = |range: TextRange| range.start().to_usize()..range.end().to_usize();
    let newer = parsed.unsupported_syntax_errors().iter().map(|error| (at(error.range()), error.to_string()));
    let body = parsed.syntax().as_module().map(|module| &module.body[..]).unwrap_or_default();
    let scopes = scopes::errors(text, body, version);
    let compiled = scopes.iter().map(|error| match &error.kind {
        // Python names the declaration, not what was used before it.
        Kind::LoadBeforeGlobalDeclaration { start, .. } | Kind::LoadBeforeNonlocalDeclaration { start, .. } => {
            (at(TextRange::empty(*start)), error.to_string())
        }
        _ => (at(error.range()), error.to_string()),
    });
    let (range, message) = newer.chain(compiled).min_by_key(|(range, _)| range.start)?;
    Some(SyntaxError { range, message: plain(&message), help: None })
}

// As our other messages: no capital at the start, no period at the end.
fn plain(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut characters = message.chars();
    match (characters.next(), characters.next()) {
        // Not `SyntaxError` or `X`.
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(message.chars().skip(1)).collect()
        }
        _ => message.to_owned(),
    }
}
