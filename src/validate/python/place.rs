//! Where CPython reports an error that `ruff_python_parser` found.
//!
//! The rules were written down from Parser/pegen_errors.c and Grammar/python.gram of CPython 3.11, and are held against
//! Python itself by `tests/python.rs`.

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, walk_expr};
use ruff_python_ast::{Expr, Mod, Stmt};
use ruff_python_parser::{ParseError, ParseErrorType, Parsed};
use ruff_text_size::Ranged;

use super::tokens::{Tokenized, Wrong};
use super::{SyntaxError, plain};

/// An error of the parser as CPython reports it.
pub(super) fn of(text: &str, tokenized: &Tokenized, parsed: &Parsed<Mod>, error: &ParseError) -> SyntaxError {
    let said = error.error.to_string();
    let body = parsed.syntax().as_module().map(|module| &module.body[..]).unwrap_or_default();
    let stopped = error.location.start().to_usize();
    let (at, help) = match &error.error {
        ParseErrorType::UnexpectedIndentation => {
            return one(
                text,
                stopped,
                "this line is indented more than the one before".to_owned(),
                Some("indent it as the lines around it"),
            );
        }
        _ if said.starts_with("Expected an indented block") => {
            (next_statement(text, stopped), Some("indent the lines that belong to it, or write `pass`"))
        }
        _ if said.starts_with("Expected `,`, found") => {
            let is_before = |token: &&Token| token.end().to_usize() <= stopped && !is_space(token.kind());
            let last = parsed.tokens().iter().rfind(is_before);
            let element = last.and_then(|last| largest(body, last.end().to_usize()));
            (element.unwrap_or(stopped), Some("a comma may be missing"))
        }
        _ if said.starts_with("Positional argument cannot follow keyword argument") => {
            (end_of_call(body, stopped).unwrap_or(stopped), Some("put it before the arguments with names"))
        }
        _ if said.starts_with("Expected `:`") => (stopped, Some("write `:` at the end of what begins the block")),
        _ => (stopped, None),
    };
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
    match tokenized.wrong {
        Some((wrong, where_wrong)) if wrong.prevails() || line(where_wrong) <= line(at) => {
            return of_token(text, wrong, where_wrong);
        }
        _ => {}
    }
    match tokenized.open {
        Some(open) if line(open) < line(at) => {
            let bracket = &text[open..=open];
            one(text, open, format!("`{bracket}` is never closed"), Some("close it where what it holds ends"))
        }
        _ => one(text, at, plain(&said), help),
    }
}

pub(super) fn of_token(text: &str, wrong: Wrong, at: usize) -> SyntaxError {
    let (message, help) = match wrong {
        Wrong::Bracket => ("this bracket closes none that is open", "remove it, or open it before"),
        Wrong::Text => ("this text has no end", "close it with the quotes that it begins with"),
        Wrong::Number => ("this is no number", "put a space behind it, or write `0o` before an octal number"),
        Wrong::Letter => {
            ("this character is no part of Python", "a program for texts may have changed it; type it again")
        }
        Wrong::Null => ("the file holds a byte of 0", "it was damaged; take it from where it came again"),
        Wrong::Dedent => (
            "this line is indented less than the one before, and not as any line before that",
            "indent it as the line that it belongs to",
        ),
        Wrong::Tabs => ("this line mixes tabs and spaces", "indent the file with spaces alone"),
        Wrong::TooManyOpen => ("too many brackets are open here", "give a part of it a name of its own"),
        Wrong::TooManyIndents => ("this line is indented too many times", "make a function of a part of it"),
        Wrong::Continuation => ("something stands behind the backslash", "end the line there, or remove the backslash"),
    };
    one(text, at, message.to_owned(), Some(help))
}

fn one(text: &str, at: usize, message: String, help: Option<&str>) -> SyntaxError {
    // The end of the file is on its last line.
    let at = if at >= text.len() { text.strip_suffix('\n').unwrap_or(text).len() } else { at };
    let end = text[at..].chars().next().map_or(at, |character| at + character.len_utf8());
    SyntaxError { range: at..end, message, help: help.map(str::to_owned) }
}

fn is_space(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Newline | TokenKind::NonLogicalNewline | TokenKind::Comment)
}

// The statement that should be indented; the end of the file where there is none.
fn next_statement(text: &str, at: usize) -> usize {
    let mut at = at;
    let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    loop {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length + 1);
        if at >= text.len() || !is_empty(&text[at..end]) {
            return at;
        }
        at = end;
    }
}

// Start of the largest expression that ends there.
fn largest(body: &[Stmt], end: usize) -> Option<usize> {
    let mut largest = Largest { end, start: None };
    largest.visit_body(body);
    largest.start
}

struct Largest {
    end: usize,
    start: Option<usize>,
}

impl<'a> SourceOrderVisitor<'a> for Largest {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let start = expr.start().to_usize();
        if expr.end().to_usize() == self.end && self.start.is_none_or(|found| start < found) {
            self.start = Some(start);
        }
        walk_expr(self, expr);
    }
}

// The bracket that closes the innermost call around a place.
fn end_of_call(body: &[Stmt], at: usize) -> Option<usize> {
    let mut innermost = Innermost { at, end: None };
    innermost.visit_body(body);
    innermost.end
}

struct Innermost {
    at: usize,
    end: Option<usize>,
}

impl<'a> SourceOrderVisitor<'a> for Innermost {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            let arguments = call.arguments.range();
            if (arguments.start().to_usize()..arguments.end().to_usize()).contains(&self.at) {
                self.end = Some(arguments.end().to_usize() - 1);
            }
        }
        walk_expr(self, expr);
    }
}
