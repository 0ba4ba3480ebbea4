//! Batch files, as `cmd.exe` reads them.
//!
//! Lines with `set NAME=value` and `set "NAME=value"` are edited, outside of blocks. Names are in capitals, because `cmd`
//! does not tell small letters from them. A value is replaced as it is read: `cmd` puts it into the lines that name it and
//! only then looks for operators, so a text with any of them is not written, though `set` itself could take it.

use super::{Language, Scan, Style, Variable, lines, name_of, next_line};

/// `cmd` reads no longer line.
const MAX_LINE: usize = 8191;

/// A batch file.
pub struct Batch;

impl Language for Batch {
    fn scan(&self, text: &str) -> Scan {
        let lower = text.to_ascii_lowercase();
        let is_delayed = lower.contains("enabledelayedexpansion") || lower.contains("/v:on");
        let mut scan = Scan::default();
        let mut depth = 0_usize;
        let mut is_leading = true;
        let mut has_variable = false;
        let mut is_continued = false;
        for (start, line) in lines(text) {
            let was_continued = std::mem::replace(&mut is_continued, goes_on(line));
            let command = line.trim_start_matches([' ', '\t', '@']);
            let offset = start + line.len() - command.len();
            let word = first_word(command);
            let is_comment = word == "rem" || command.starts_with(':') || command.is_empty();
            if is_comment && !was_continued {
                continue;
            }
            let is_alone = depth == 0 && !was_continued && !is_continued;
            if is_alone && word == "set" {
                match assignment(command, offset, is_delayed) {
                    Ok(Some(variable)) => {
                        scan.variables.push(variable);
                        if is_leading {
                            has_variable = true;
                            scan.insert = next_line(text, start);
                        }
                        continue;
                    }
                    Ok(None) => {}
                    Err((name, why)) => {
                        scan.unclear.push((name, offset, why.to_owned()));
                        continue;
                    }
                }
            }
            mentions(command, offset, &mut scan);
            if depth > 0
                || matches!(word.as_str(), "if" | "for" | "else")
                || command.starts_with(['(', ')'])
                || joins(command)
            {
                depth = parentheses(command, depth);
            }
            let is_preamble = matches!(word.as_str(), "setlocal" | "chcp" | "title")
                || word == "echo" && command[4..].trim().eq_ignore_ascii_case("off");
            is_leading &= is_preamble;
            if is_leading && !has_variable {
                scan.insert = next_line(text, start);
            }
        }
        scan
    }

    fn write(&self, name: &str, value: &str, old: Option<&Variable>, is_list: bool) -> Result<String, String> {
        if !is_list && let Some(why) = value.chars().find_map(refuses) {
            return Err(why.to_owned());
        }
        let written = value.replace('%', "%%");
        if name.len() + written.len() + "set \"=\"".len() > MAX_LINE {
            return Err(format!("`cmd` reads no line of more than {MAX_LINE} characters"));
        }
        let is_plain = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '\\' | ',' | '+' | '=' | '@' | '-' | ' ')
        };
        let is_bare = old.is_some_and(|old| old.style == Style::Bare)
            && value == value.trim()
            && (is_list || value.chars().all(is_plain));
        Ok(if is_bare { format!("{name}={written}") } else { format!("\"{name}={written}\"") })
    }

    fn prefix(&self, _: &str) -> String {
        "set ".to_owned()
    }

    fn quotes(&self) -> &'static [char] {
        &['"']
    }

    fn refuses(&self, c: char) -> Option<&'static str> {
        refuses(c)
    }

    fn newline(&self) -> &'static str {
        "\r\n"
    }
}

fn refuses(c: char) -> Option<&'static str> {
    match c {
        '"' => {
            Some("a batch file cannot carry a double quote: the next line that names the variable would read it as one")
        }
        '&' | '|' | '<' | '>' | '^' | '(' | ')' => Some(
            "a batch file cannot carry an operator (`&`, `|`, `<`, `>`, `^`, parentheses): a line that names the variable would run it",
        ),
        '!' => Some(
            "a batch file cannot carry `!`: under delayed expansion `cmd` replaces what stands between two of them",
        ),
        c if c.is_control() => Some("a batch file cannot carry line breaks and control characters"),
        c if !c.is_ascii() => {
            Some("a batch file is read in the code page of the console, so only ASCII is the same everywhere")
        }
        _ => None,
    }
}

fn first_word(command: &str) -> String {
    let end = command.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(command.len());
    command[..end].to_ascii_lowercase()
}

// `set NAME=value` or `set "NAME=value"`; `None` when the line is another command, or sets nothing with a name of ours.
fn assignment(command: &str, offset: usize, is_delayed: bool) -> Result<Option<Variable>, (String, &'static str)> {
    let rest = &command["set".len()..];
    let set = rest.trim_start_matches([' ', '\t']);
    if set.len() == rest.len() || set.starts_with('/') {
        return Ok(None);
    }
    let start = offset + command.len() - set.len();
    let (content, tail, style) = match set.strip_prefix('"') {
        Some(quoted) => match quoted.rfind('"') {
            Some(end) => (&quoted[..end], &quoted[end + 1..], Style::Double),
            None => (quoted, "\"", Style::Double),
        },
        None => (set, "", Style::Bare),
    };
    let Some(name) = name_of(content) else { return Ok(None) };
    let Some(raw) = content[name.len()..].strip_prefix('=') else { return Ok(None) };
    let (spelling, name) = (name.to_owned(), name.to_ascii_uppercase());
    let refuse = |why| Err((name.clone(), why));
    if !tail.trim().is_empty() {
        return refuse("its line is more than one assignment");
    }
    let mut is_quoted = style == Style::Double;
    for c in raw.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '&' | '|' | '<' | '>' | '^' if !is_quoted => return refuse("an operator stands in its line"),
            '\r' => return refuse("a carriage return stands in its value"),
            _ => {}
        }
    }
    if is_quoted != (style == Style::Double) {
        return refuse("a quote in its value is not closed");
    }
    let text = raw.replace("%%", "\0");
    if text.contains('%') || is_delayed && text.contains('!') {
        return refuse("its value is evaluated by `cmd` (`%` or `!`)");
    }
    let end = start + set.len() - tail.len();
    Ok(Some(Variable { name, spelling, range: start..end, text: text.replace('\0', "%"), style }))
}

// Names that a line may set in a way of its own.
fn mentions(command: &str, offset: usize, scan: &mut Scan) {
    let lower = command.to_ascii_lowercase();
    let Some(set) = lower.find("set") else { return };
    let bytes = command.as_bytes();
    let mut at = set;
    while at < command.len() {
        let Some(name) = command.get(at..).and_then(name_of) else {
            at += 1;
            continue;
        };
        let is_start =
            at == 0 || !bytes[at - 1].is_ascii_alphanumeric() && !matches!(bytes[at - 1], b'_' | b'%' | b'!' | b'-');
        // `set /a NAME+=1` sets it too.
        let rest = command[at + name.len()..].trim_start_matches([' ', '+', '-', '*', '/', '&', '|', '^', '<', '>']);
        if is_start && rest.starts_with('=') {
            let why = "the file also sets it in a way that is not followed here".to_owned();
            scan.unclear.push((name.to_ascii_uppercase(), offset + at, why));
        }
        at += name.len();
    }
}

// Whether the line goes on in the next one.
fn goes_on(line: &str) -> bool {
    let carets = line.len() - line.trim_end_matches('^').len();
    carets % 2 == 1
}

fn joins(command: &str) -> bool {
    unquoted(command).any(|c| matches!(c, '&' | '|'))
}

fn parentheses(command: &str, depth: usize) -> usize {
    unquoted(command).fold(depth, |depth, c| match c {
        '(' => depth + 1,
        ')' => depth.saturating_sub(1),
        _ => depth,
    })
}

// The characters that are neither quoted nor behind a caret.
fn unquoted(command: &str) -> impl Iterator<Item = char> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    command.chars().filter(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '^' if !is_quoted && !was_escaped => is_escaped = true,
            _ => return !is_quoted && !was_escaped,
        }
        false
    })
}
