//! What a person does about an error that is not repaired, step by step.

use super::SyntaxError;
use super::layout::Layout;
use super::tokens::{Wrong, pieces, tokenize};

/// What to do about an error of a text, in the order to do it; at least two steps, each a sentence without its period.
pub fn steps(error: &SyntaxError, text: &str) -> Vec<String> {
    let at = text.floor_char_boundary(error.range.start);
    let found = tokenize(text);
    let mut steps = match found.wrong {
        Some((Wrong::Bracket, wrong)) if wrong == at => bracket(text, at, found.opened.last().copied()),
        Some((Wrong::Text, wrong)) if wrong == at => unended(text, at),
        None if found.opened.contains(&at) => open(text, at),
        _ => {
            let look = format!("look at {}: {}", place(text, at), error.message);
            [Some(look), error.help.clone()].into_iter().flatten().collect()
        }
    };
    steps.push("validate again: Python tells the next error only when this one is gone".to_owned());
    steps
}

fn bracket(text: &str, at: usize, open: Option<usize>) -> Vec<String> {
    let closing = &text[at..=at];
    let look = format!("look at {}: `{closing}` closes a bracket", place(text, at));
    let Some(open) = open else {
        let opening = partner(closing);
        return vec![
            format!("{look}, and none is open there"),
            format!("put `{opening}` where what it holds begins, or remove `{closing}`"),
        ];
    };
    let opening = &text[open..=open];
    vec![
        format!("{look}, but the last that is open is `{opening}` at {}", place(text, open)),
        format!("put `{}` where what `{opening}` holds ends, or change one of the two", partner(opening)),
    ]
}

fn open(text: &str, at: usize) -> Vec<String> {
    let opening = &text[at..=at];
    let layout = Layout::of(text, pieces(text));
    let closing = partner(opening);
    let last = layout.head_at(at).map(|head| layout.statement(head)).and_then(|lines| {
        (lines.start..lines.end).rev().find(|line| !layout.lines[*line].pieces.is_empty()).map(|line| line + 1)
    });
    let where_to = match last {
        Some(last) => format!("; by their indentation the lines that belong to it end with line {last}"),
        None => String::new(),
    };
    vec![
        format!("look at {}: `{opening}` is opened there and never closed", place(text, at)),
        format!("put `{closing}` behind the last thing that it holds{where_to}"),
    ]
}

fn unended(text: &str, at: usize) -> Vec<String> {
    let rest = &text[at..];
    let quote = rest.find(['"', '\'']).map_or("'", |found| &rest[found..=found]);
    let is_long = rest[rest.find(quote).unwrap_or_default()..].starts_with(&quote.repeat(3));
    if is_long {
        let quotes = quote.repeat(3);
        return vec![
            format!(
                "look at {}: a text begins there with `{quotes}` and goes on to the end of the file",
                place(text, at)
            ),
            format!("put `{quotes}` where it ends; when it looks whole, a text before it lacks one of its quotes"),
        ];
    }
    vec![
        format!("look at {}: a text begins there with `{quote}` and its line ends before another one", place(text, at)),
        format!("put `{quote}` behind its last character, or before its first; inside the text write `\\{quote}`"),
    ]
}

fn partner(bracket: &str) -> &'static str {
    match bracket {
        "(" => ")",
        "[" => "]",
        "{" => "}",
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}

fn place(text: &str, at: usize) -> String {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    format!("line {}, column {}", before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::python::check;

    fn said(text: &str) -> Vec<String> {
        let checked = check(text.as_bytes(), Some((3, 11))).unwrap();
        let mut steps = steps(&checked.error.unwrap(), &checked.text);
        assert_eq!(steps.pop().unwrap(), "validate again: Python tells the next error only when this one is gone");
        steps
    }

    #[test]
    fn an_error_in_doubt_is_explained_in_steps() {
        for (text, steps) in [
            (
                "x = 1\ny = f(a,\n      b.c\nz = 2\n",
                [
                    "look at line 2, column 6: `(` is opened there and never closed",
                    "put `)` behind the last thing that it holds; by their indentation the lines that belong to it end with line 3",
                ],
            ),
            (
                "x = [1, 2)\n",
                [
                    "look at line 1, column 10: `)` closes a bracket, but the last that is open is `[` at line 1, column 5",
                    "put `]` where what `[` holds ends, or change one of the two",
                ],
            ),
            (
                "x = lenx)\n",
                [
                    "look at line 1, column 9: `)` closes a bracket, and none is open there",
                    "put `(` where what it holds begins, or remove `)`",
                ],
            ),
            (
                "f('a, b)\n",
                [
                    "look at line 1, column 3: a text begins there with `'` and its line ends before another one",
                    "put `'` behind its last character, or before its first; inside the text write `\\'`",
                ],
            ),
            (
                "x = rb'''a\n",
                [
                    "look at line 1, column 5: a text begins there with `'''` and goes on to the end of the file",
                    "put `'''` where it ends; when it looks whole, a text before it lacks one of its quotes",
                ],
            ),
            (
                "if x:\ny = 1\n",
                [
                    "look at line 2, column 1: expected an indented block after `if` statement",
                    "indent the lines that belong to it, or write `pass`",
                ],
            ),
        ] {
            assert_eq!(said(text), steps, "{text:?}");
        }
    }
}
