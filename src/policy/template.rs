//! Messages of checks: text with `{expression}` in it, each shown in its unit.

use std::ops::Range;

use crate::diag::Finding;
use crate::expr::{Evaluation, Expr, Language, Type};
use crate::facts::units::show;
use crate::yaml::ScalarText;

/// A message with expressions.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Expr(Box<Expr>),
}

impl Template {
    /// Compiles a message; `{{` and `}}` stand for the braces themselves.
    ///
    /// # Errors
    /// Everything that is wrong with its expressions.
    pub fn compile(text: &str, place: &ScalarText, language: &Language) -> Result<Self, Vec<Finding>> {
        let mut parts = Vec::new();
        let mut errors = Vec::new();
        for piece in split(text) {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text)),
                Piece::Expr(range) => match language.compile(&text[range.clone()], &place.part(range), &[]) {
                    Ok(expr) if matches!(expr.ty(), Type::Record(_) | Type::Rows(_)) => {
                        let message = format!("the message shows {}, which is no value", expr.ty());
                        errors.push(Finding::error("mixed-types", message).at(expr.span(), ""));
                    }
                    Ok(expr) => parts.push(Part::Expr(Box::new(expr))),
                    Err(findings) => errors.extend(findings),
                },
                Piece::Unclosed(at) => errors.push(
                    Finding::error("expression-syntax", "a `{` in the message is not closed")
                        .at(place.locate(at..at + 1), "")
                        .help("write `{{` for the brace itself"),
                ),
            }
        }
        if errors.is_empty() { Ok(Self { text: text.to_owned(), parts }) } else { Err(errors) }
    }

    /// The message as it was written.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The message for one machine. What cannot be evaluated is shown as `?`.
    pub fn render(&self, evaluation: &Evaluation<'_>) -> String {
        let show_part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Expr(expr) => match evaluation.eval(expr, &[]) {
                Ok(value) => show(&value, expr.ty().unit()),
                Err(_) => "?".to_owned(),
            },
        };
        self.parts.iter().map(show_part).collect()
    }

    /// The expressions in the message.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr) => Some(&**expr),
            Part::Text(_) => None,
        })
    }
}

enum Piece {
    Text(String),
    Expr(Range<usize>),
    Unclosed(usize),
}

// Where the brace that opens the text is closed; braces and quotes inside are the expression's own.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn split(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with("{{") || text[at..].starts_with("}}") {
            plain.push(c);
            at += 2;
        } else if c == '{' {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            let Some(length) = closing(&text[at..]) else {
                pieces.push(Piece::Unclosed(at));
                return pieces;
            };
            pieces.push(Piece::Expr(at + 1..at + length));
            at += length + 1;
        } else {
            plain.push(c);
            at += c.len_utf8();
        }
    }
    pieces.push(Piece::Text(plain));
    pieces
}
