//! `.env` files.
//!
//! Readers differ: `sh` sources such a file, python-dotenv expands `${…}` and knows some escapes in any quotes, docker compose
//! expands `$` in double quotes, and `docker run --env-file` takes quotes for a part of the value. A text without quotes is
//! read alike by all four, where it can stand so; one in single quotes by all but the last. What they read differently is not
//! edited, and a text that has no spelling that `sh`, python-dotenv and docker compose read alike is not written.

use super::{Language, Scan, Style, Variable, is_name, is_safe, name_of};

/// A `.env` file.
pub struct Env;

impl Language for Env {
    fn scan(&self, text: &str) -> Scan {
        let mut scan = Scan { insert: text.len(), ..Scan::default() };
        let mut at = 0;
        let mut is_continued = false;
        while at < text.len() {
            let line = Line::new(text, at);
            match line.read() {
                Read::Nothing => {}
                Read::Assignment(variable) if is_continued => {
                    let why = "the line before it ends with `\\`, and readers differ in whether it goes on";
                    scan.unclear.push((variable.name, line.start, why.to_owned()));
                }
                Read::Assignment(variable) => scan.variables.push(variable),
                Read::Unclear(name, why) => scan.unclear.push((name, line.start, why)),
                Read::Lost(why) => {
                    scan.lost = Some((line.start, why.to_owned()));
                    break;
                }
            }
            is_continued = line.text[..line.content_end()].ends_with('\\');
            at = line.next;
        }
        scan
    }

    fn write(&self, _: &str, value: &str, old: Option<&Variable>, is_list: bool) -> Result<String, String> {
        if let Some(c) = value.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(format!("{c:?} has no place in a line of a .env file"));
        }
        if value.contains("${") {
            return Err("python-dotenv replaces `${…}`, whatever the quotes".to_owned());
        }
        let style = old.map_or(Style::Bare, |old| old.style);
        // `docker run --env-file` has no quotes, so a list that it reads has blanks.
        let may_be_bare = |c| is_safe(c) || (is_list && c == ' ' && old.is_some_and(|old| old.text.contains(' ')));
        let is_bare = style == Style::Bare && value.chars().all(may_be_bare);
        if is_bare && (!value.is_empty() || old.is_none_or(|old| old.text.is_empty())) {
            return Ok(value.to_owned());
        }
        let in_single = !value.contains('\'') && !value.contains("\\\\") && !value.ends_with('\\');
        let in_double = !value.contains(['"', '\\', '$', '`', '!']);
        match style {
            Style::Double if in_double => Ok(format!("\"{value}\"")),
            _ if in_single => Ok(format!("'{value}'")),
            _ if in_double => Ok(format!("\"{value}\"")),
            _ => Err("it has no quotes in which sh, python-dotenv and docker compose read it alike".to_owned()),
        }
    }

    fn prefix(&self, name: &str) -> String {
        format!("{name}=")
    }

    fn quotes(&self) -> &'static [char] {
        &['"', '\'']
    }
}

enum Read {
    Nothing,
    Assignment(Variable),
    Unclear(String, String),
    Lost(&'static str),
}

// A line, with what of the next lines its value goes over.
struct Line<'a> {
    text: &'a str,
    start: usize,
    // Where the value begins, when there is one, and the closing quote.
    equals: Option<usize>,
    closing: Option<Closing>,
    next: usize,
}

enum Closing {
    At(usize),
    Missing,
}

impl<'a> Line<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        let end = line_end(text, start);
        let content = text[start..end].trim_start_matches([' ', '\t']);
        let is_comment = content.starts_with('#');
        let equals = text[start..end].find('=').filter(|_| !is_comment).map(|at| start + at);
        let value = equals.map(|at| end - text[at + 1..end].trim_start_matches([' ', '\t']).len());
        let closing = value.and_then(|value| match text.as_bytes().get(value) {
            Some(b'\'') => {
                Some(text[value + 1..].find('\'').map_or(Closing::Missing, |at| Closing::At(value + 1 + at)))
            }
            Some(b'"') => {
                Some(unescaped(&text[value + 1..]).map_or(Closing::Missing, |at| Closing::At(value + 1 + at)))
            }
            _ => None,
        });
        let last = match closing {
            Some(Closing::At(at)) => at.max(start),
            _ => start,
        };
        let end = line_end(text, last);
        let next = if text[end..].starts_with("\r\n") { end + 2 } else { (end + 1).min(text.len()) };
        Self { text, start, equals, closing, next }
    }

    // Behind the last character of the line that the value ends in.
    fn content_end(&self) -> usize {
        let line = &self.text[self.start..self.next];
        self.start + line.trim_end_matches(['\n', '\r']).len()
    }

    fn read(&self) -> Read {
        let end = self.content_end();
        let content = self.text[self.start..end].trim_start_matches([' ', '\t']);
        let content = match content.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
            _ => content,
        };
        if matches!(self.closing, Some(Closing::Missing)) {
            return Read::Lost("a quote is not closed, so readers differ from here on");
        }
        let Some(equals) = self.equals else {
            // Docker takes the value of such a name from its own surroundings.
            return match is_name(content.trim_end()) {
                true => Read::Unclear(content.trim_end().to_owned(), "it is named without a value".to_owned()),
                false => Read::Nothing,
            };
        };
        let Some(name) = name_of(content).map(str::to_owned) else { return Read::Nothing };
        let unclear = |why: &str| Read::Unclear(name.clone(), why.to_owned());
        if !content[name.len()..].starts_with('=') {
            return match content[name.len()..].trim_start().starts_with('=') {
                true => unclear("blanks stand before the `=`, and readers differ in what that means"),
                false => Read::Nothing,
            };
        }
        let start = equals + 1;
        let raw = &self.text[start..end];
        if raw.contains('\r') {
            return unclear("a carriage return stands in its value, and readers differ in whether it ends the line");
        }
        if let Some(Closing::At(closing)) = self.closing {
            let open = start + raw.len() - raw.trim_start_matches([' ', '\t']).len();
            let (inner, rest) = (&self.text[open + 1..closing], &self.text[closing + 1..end]);
            let is_single = self.text[open..].starts_with('\'');
            let rest_is_comment =
                rest.trim().is_empty() || rest.starts_with([' ', '\t']) && rest.trim().starts_with('#');
            return if open > start {
                unclear("blanks stand behind the `=`, and readers differ in what that means")
            } else if !rest_is_comment {
                unclear("something follows the closing quote, and readers differ in what that means")
            } else if inner.contains("${") || !is_single && inner.contains(['$', '`']) {
                unclear("its value is evaluated by what reads it")
            } else if inner.contains("\\\\") || inner.ends_with('\\') || !is_single && inner.contains('\\') {
                unclear("readers differ in what a backslash in its quotes means")
            } else {
                let style = if is_single { Style::Single } else { Style::Double };
                Read::Assignment(Variable {
                    spelling: name.clone(),
                    name,
                    range: open..closing + 1,
                    text: inner.to_owned(),
                    style,
                })
            };
        }
        let comment = raw.match_indices('#').find(|(at, _)| raw[..*at].ends_with([' ', '\t']));
        let value = raw[..comment.map_or(raw.len(), |(at, _)| at)].trim_end();
        if value.is_empty() && raw.contains('#') {
            unclear("a comment stands in place of its value, and readers differ in whether it is one")
        } else if value.contains(['$', '`']) {
            unclear("its value is evaluated by what reads it")
        } else if value.contains(['\'', '"', '\\']) {
            unclear("readers differ in what a quote or backslash inside its value means")
        } else if value.starts_with([' ', '\t']) {
            unclear("blanks stand behind the `=`, and readers differ in what that means")
        } else {
            let range = start..start + value.len();
            Read::Assignment(Variable {
                spelling: name.clone(),
                name,
                range,
                text: value.to_owned(),
                style: Style::Bare,
            })
        }
    }
}

// Where the line that an offset is in ends, before its line break.
fn line_end(text: &str, offset: usize) -> usize {
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    if text[offset..end].ends_with('\r') && end < text.len() { end - 1 } else { end }
}

fn unescaped(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, b) in text.bytes().enumerate() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}
