//! Shell scripts, as POSIX `sh` and bash read them.
//!
//! The script is read far enough to tell which assignments stand at its top level, on lines of their own. Whatever else may
//! set a variable (a block, a function, a command before which it stands, `read`, `unset`) makes it one that is not edited.

use std::ops::Range;

use super::{Language, Scan, Style, Variable, is_safe, name_of, next_line};

/// A shell script.
pub struct Shell;

impl Language for Shell {
    fn scan(&self, text: &str) -> Scan {
        let mut reader = Reader::new(text);
        if let Err((offset, why)) = reader.run() {
            reader.scan.lost = Some((offset, why.to_owned()));
        }
        reader.scan
    }

    fn write(&self, _: &str, value: &str, old: Option<&Variable>, is_list: bool) -> Result<String, String> {
        if value.contains('\0') {
            return Err("no variable can hold a NUL character".to_owned());
        }
        let style = old.map_or(Style::Bare, |old| old.style);
        if style == Style::Bare && !value.is_empty() && value.chars().all(is_safe) {
            return Ok(value.to_owned());
        }
        let is_plain = |c: char| is_safe(c) || c == ' ';
        Ok(match style {
            Style::Double if value.chars().all(is_plain) => format!("\"{value}\""),
            Style::Double if is_list => format!("\"{}\"", escaped(value)),
            _ => format!("'{}'", value.replace('\'', "'\\''")),
        })
    }

    // Exported, since what reads it may be another program.
    fn prefix(&self, name: &str) -> String {
        format!("export {name}=")
    }

    fn quotes(&self) -> &'static [char] {
        &['"', '\'']
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

type Lost = (usize, &'static str);

// What closes a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closer {
    Word(&'static str),
    Parenthesis,
}

// What parts one command from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    // A new line, `;`, or the end.
    Plain,
    // `&&`, `||`, `|`, `&`, a parenthesis.
    Joined,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    scan: Scan,
    stack: Vec<Closer>,
    here_documents: Vec<(String, bool)>,
    // The command that is being read.
    words: Vec<Range<usize>>,
    is_redirected: bool,
    is_command_next: bool,
    before: Break,
    // Whether only assignments, comments and `set` came so far.
    is_leading: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        // A new variable stands behind the comment that the script begins with.
        let mut insert = 0;
        while text[insert..].starts_with('#') {
            insert = next_line(text, insert);
        }
        Self {
            text,
            at: 0,
            scan: Scan { insert, ..Scan::default() },
            stack: Vec::new(),
            here_documents: Vec::new(),
            words: Vec::new(),
            is_redirected: false,
            is_command_next: true,
            before: Break::Plain,
            is_leading: true,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn run(&mut self) -> Result<(), Lost> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                ' ' | '\t' => self.at += 1,
                '\r' if self.rest().starts_with("\r\n") => self.at += 1,
                '\\' if self.rest().starts_with("\\\n") => self.at += 2,
                '\\' if self.rest().starts_with("\\\r\n") => self.at += 3,
                '\n' => {
                    self.finish(Break::Plain)?;
                    self.at += 1;
                    self.skip_here_documents();
                }
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                ';' => {
                    self.finish(Break::Plain)?;
                    let is_end_of_case = self.rest().starts_with(";;") || self.rest().starts_with(";&");
                    self.at += if is_end_of_case { 2 } else { 1 };
                }
                '&' if self.rest().starts_with("&>") => {
                    self.at += 1;
                    self.redirect()?;
                }
                '&' | '|' => {
                    self.finish(Break::Joined)?;
                    let is_double = ["&&", "||", "|&"].iter().any(|double| self.rest().starts_with(double));
                    if c == '&' && !is_double {
                        // What follows does not wait for it.
                        self.before = Break::Plain;
                    }
                    self.at += if is_double { 2 } else { 1 };
                }
                '<' | '>' => self.redirect()?,
                '(' => self.open()?,
                ')' => self.close()?,
                _ => self.word()?,
            }
        }
        self.finish(Break::Plain)?;
        match self.stack.is_empty() {
            true => Ok(()),
            false => Err((self.text.len(), "a block of the script is not closed, so it cannot be told what it sets")),
        }
    }

    fn open(&mut self) -> Result<(), Lost> {
        if self.rest().starts_with("((") {
            let end = self.rest().find("))").ok_or((self.at, "`((` is not closed"))?;
            self.at += end + 2;
            self.is_command_next = false;
            self.words.push(self.at..self.at);
            return Ok(());
        }
        // `name()` begins a function.
        if self.words.len() == 1 && self.rest()[1..].trim_start_matches([' ', '\t']).starts_with(')') {
            self.at += self.rest().find(')').unwrap_or(0) + 1;
            self.words.clear();
            self.is_command_next = true;
            self.is_leading = false;
            // Its body is a block.
            self.before = Break::Joined;
            return Ok(());
        }
        self.finish(Break::Joined)?;
        self.stack.push(Closer::Parenthesis);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Lost> {
        match self.stack.last() {
            // The end of a pattern.
            Some(Closer::Word("esac")) => {
                self.words.clear();
                self.is_command_next = true;
            }
            Some(Closer::Parenthesis) => {
                self.finish(Break::Joined)?;
                self.stack.pop();
                self.is_command_next = self.stack.last() == Some(&Closer::Word("esac"));
                self.words.push(self.at..self.at);
            }
            _ => return Err((self.at, "a parenthesis closes nothing, so it cannot be told what the script sets")),
        }
        self.at += 1;
        Ok(())
    }

    fn redirect(&mut self) -> Result<(), Lost> {
        self.is_redirected = true;
        if let Some(rest) = self.rest().strip_prefix("<<<") {
            self.at = self.text.len() - rest.len();
            return self.target();
        }
        if let Some(rest) = self.rest().strip_prefix("<<") {
            let is_stripped = rest.starts_with('-');
            self.at += 2 + usize::from(is_stripped);
            let start = self.blanks();
            self.skip_word()?;
            let delimiter: String =
                self.text[start..self.at].chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
            if delimiter.is_empty() {
                return Err((start, "a here-document has no delimiter"));
            }
            self.here_documents.push((delimiter, is_stripped));
            return Ok(());
        }
        self.at += 1;
        if self.rest().starts_with('(') {
            // The commands of a process substitution.
            self.at += 1;
            self.stack.push(Closer::Parenthesis);
            self.before = Break::Joined;
            self.is_command_next = true;
            return Ok(());
        }
        self.at += self.rest().len() - self.rest().trim_start_matches(['>', '&', '|']).len();
        self.target()
    }

    // The file of a redirection is no word of the command.
    fn target(&mut self) -> Result<(), Lost> {
        self.blanks();
        self.skip_word()
    }

    fn blanks(&mut self) -> usize {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at
    }

    fn skip_here_documents(&mut self) {
        for (delimiter, is_stripped) in std::mem::take(&mut self.here_documents) {
            while self.at < self.text.len() {
                let next = next_line(self.text, self.at);
                let line = self.text[self.at..next].trim_end_matches(['\n', '\r']);
                self.at = next;
                if (if is_stripped { line.trim_start_matches('\t') } else { line }) == delimiter {
                    break;
                }
            }
        }
    }

    fn word(&mut self) -> Result<(), Lost> {
        let start = self.at;
        self.skip_word()?;
        let word = &self.text[start..self.at];
        if !self.is_command_next {
            self.words.push(start..self.at);
            return Ok(());
        }
        let opened = match word {
            "if" => Some("fi"),
            "while" | "until" | "for" | "select" => Some("done"),
            "case" => Some("esac"),
            "{" => Some("}"),
            _ => None,
        };
        if let Some(closer) = opened {
            self.is_leading = false;
            self.stack.push(Closer::Word(closer));
            self.before = Break::Joined;
            self.is_command_next = matches!(word, "if" | "while" | "until" | "{");
            if !self.is_command_next {
                self.words.push(start..self.at);
            }
            return Ok(());
        }
        match word {
            "then" | "do" | "else" | "elif" | "!" | "time" => self.before = Break::Joined,
            "fi" | "done" | "esac" | "}" => {
                let is_right = matches!(self.stack.pop(), Some(Closer::Word(closer)) if closer == word);
                if !is_right {
                    return Err((start, "a block ends that was not begun, so it cannot be told what the script sets"));
                }
                self.is_command_next = false;
                self.words.push(self.at..self.at);
            }
            "function" => {
                self.is_leading = false;
                self.blanks();
                self.skip_word()?;
                self.before = Break::Joined;
            }
            "[[" => {
                self.words.push(start..self.at);
                self.skip_test()?;
                self.is_command_next = false;
            }
            _ => {
                self.words.push(start..self.at);
                // Behind an assignment a command may still come, but no keyword.
                self.is_command_next = false;
            }
        }
        Ok(())
    }

    // `[[ … ]]`, in which operators are words.
    fn skip_test(&mut self) -> Result<(), Lost> {
        let start = self.at;
        while self.at < self.text.len() {
            let before = self.at;
            self.blanks();
            let word = self.at;
            self.skip_word()?;
            if &self.text[word..self.at] == "]]" {
                return Ok(());
            }
            if self.at == word {
                match self.rest().chars().next() {
                    Some(c) => self.at += c.len_utf8(),
                    None => break,
                }
            }
            debug_assert!(self.at > before);
        }
        Err((start, "`[[` is not closed"))
    }

    // To the end of a word, over what is quoted in it.
    fn skip_word(&mut self) -> Result<(), Lost> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => return Ok(()),
                '\r' if self.rest().starts_with("\r\n") => return Ok(()),
                _ => self.at = skip_part(self.text, self.at, 0)?,
            }
        }
        Ok(())
    }

    // A command has ended.
    fn finish(&mut self, after: Break) -> Result<(), Lost> {
        let words = std::mem::take(&mut self.words);
        let before = std::mem::replace(&mut self.before, after);
        let is_redirected = std::mem::take(&mut self.is_redirected);
        self.is_command_next = true;
        let Some(first) = words.first().map(|word| &self.text[word.clone()]) else {
            // `&&` reaches over the end of its line.
            self.before = before;
            return Ok(());
        };
        let is_plain = self.stack.is_empty() && before == Break::Plain && after == Break::Plain && !is_redirected;
        let assigned = if first == "export" { &words[1..] } else { &words[..] };
        let are_assignments = assigned.iter().all(|word| assignment(&self.text[word.clone()]).is_some());
        let names_only = first == "export"
            && assigned.iter().all(|word| {
                let word = &self.text[word.clone()];
                name_of(word).is_some_and(|name| name.len() == word.len() || assignment(word).is_some())
            });
        if is_plain && (are_assignments || names_only) {
            for word in assigned {
                self.assign(word.clone());
            }
            if self.is_leading {
                self.scan.insert = next_line(self.text, words.last().map_or(0, |word| word.end));
            }
            return Ok(());
        }
        if first == "set" && is_plain && self.is_leading {
            self.scan.insert = next_line(self.text, words[0].end);
        } else {
            self.is_leading = false;
        }
        self.mention(first, &words);
        Ok(())
    }

    fn assign(&mut self, word: Range<usize>) {
        let Some(value) = assignment(&self.text[word.clone()]) else { return };
        let name = self.text[word.start..word.start + value - 1].to_owned();
        let range = word.start + value..word.end;
        match decode(&self.text[range.clone()]) {
            Ok((text, style)) => {
                self.scan.variables.push(Variable { spelling: name.clone(), name, range, text, style })
            }
            Err(why) => self.scan.unclear.push((name, word.start, why.to_owned())),
        }
    }

    // Names that a command may set in a way of its own.
    fn mention(&mut self, first: &str, words: &[Range<usize>]) {
        const SETTERS: &[&str] = &[
            "export",
            "unset",
            "readonly",
            "declare",
            "typeset",
            "local",
            "read",
            "getopts",
            "let",
            "for",
            "select",
            "mapfile",
            "readarray",
            "printf",
        ];
        let sets = SETTERS.contains(&first);
        for word in words {
            let text = &self.text[word.clone()];
            let name = name_of(text.trim_start_matches(['"', '\'']));
            let is_assigned = |name: &str| {
                let rest = text.trim_start_matches(['"', '\''])[name.len()..].trim_start_matches(['"', '\'']);
                rest.starts_with('=') || rest.starts_with("+=") || rest.starts_with('[')
            };
            let is_whole = |name: &str| text.trim_matches(['"', '\'']) == name;
            if let Some(name) = name.filter(|name| (sets && is_whole(name)) || is_assigned(name)) {
                let why = format!("the script also sets it in a way that is not followed here (`{first}`)");
                self.scan.unclear.push((name.to_owned(), word.start, why));
            }
            // `${NAME:=value}` sets it too.
            for (at, _) in text.match_indices("${") {
                let Some(name) = name_of(&text[at + 2..]) else { continue };
                let rest = &text[at + 2 + name.len()..];
                if rest.starts_with('=') || rest.starts_with(":=") {
                    let why = "the script also sets it where it is used (`${…:=…}`)".to_owned();
                    self.scan.unclear.push((name.to_owned(), word.start, why));
                }
            }
        }
    }
}

// Where the value of an assignment begins.
fn assignment(word: &str) -> Option<usize> {
    let name = name_of(word)?;
    word[name.len()..].starts_with('=').then_some(name.len() + 1)
}

// Over one character, or what is quoted or substituted from there.
fn skip_part(text: &str, at: usize, depth: usize) -> Result<usize, Lost> {
    const MAX_DEPTH: usize = 32;
    let rest = &text[at..];
    let unclosed = |why| (at, why);
    if depth > MAX_DEPTH {
        return Err(unclosed("substitutions are nested too deep to be followed"));
    }
    let Some(c) = rest.chars().next() else { return Ok(at) };
    match c {
        '\\' => Ok(text.ceil_char_boundary((at + 2).min(text.len()))),
        '\'' => rest[1..].find('\'').map(|end| at + end + 2).ok_or(unclosed("a single quote is not closed")),
        '"' => {
            let mut at = at + 1;
            loop {
                match text[at..].chars().next() {
                    None => return Err(unclosed("a double quote is not closed")),
                    Some('"') => return Ok(at + 1),
                    Some('\'') => at += 1,
                    Some(_) => at = skip_part(text, at, depth + 1)?,
                }
            }
        }
        '`' => {
            let mut at = at + 1;
            loop {
                match text[at..].chars().next() {
                    None => return Err(unclosed("a backtick is not closed")),
                    Some('`') => return Ok(at + 1),
                    Some('\\') => at = text.ceil_char_boundary((at + 2).min(text.len())),
                    Some(c) => at += c.len_utf8(),
                }
            }
        }
        '$' if rest.starts_with("$(") || rest.starts_with("${") => {
            let (open, close) = if rest.starts_with("$(") { ('(', ')') } else { ('{', '}') };
            let mut at = at + 2;
            let mut level = 1;
            loop {
                let here = &text[at..];
                match here.chars().next() {
                    None => return Err(unclosed("a substitution is not closed")),
                    Some(c) if c == close && level == 1 => return Ok(at + 1),
                    Some(c) if c == close => (level, at) = (level - 1, at + 1),
                    Some(c) if c == open => (level, at) = (level + 1, at + 1),
                    // The parentheses of its patterns are not paired.
                    Some('c') if open == '(' && here.starts_with("case ") => {
                        return Err(unclosed("a `case` inside a substitution is not followed"));
                    }
                    Some('#') if open == '(' && text[..at].ends_with(char::is_whitespace) => at = next_line(text, at),
                    Some(_) => at = skip_part(text, at, depth + 1)?,
                }
            }
        }
        c => Ok(at + c.len_utf8()),
    }
}

// What a value stands for, when nothing in it is evaluated.
fn decode(raw: &str) -> Result<(String, Style), &'static str> {
    const EVALUATED: &str = "its value is evaluated by the shell (`$`, a backtick or `~`)";
    const CONTINUED: &str = "its value goes on in the next line";
    let style = match raw.chars().next() {
        Some('\'') if raw.len() > 1 && raw[1..].find('\'') == Some(raw.len() - 2) => Style::Single,
        Some('"') if skip_part(raw, 0, 0) == Ok(raw.len()) => Style::Double,
        _ => Style::Bare,
    };
    let mut text = String::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '$' | '`' => return Err(EVALUATED),
            '~' if text.is_empty() || text.ends_with(':') => return Err(EVALUATED),
            '\\' => {
                let escaped = rest.chars().next().ok_or(CONTINUED)?;
                if matches!(escaped, '\n' | '\r') {
                    return Err(CONTINUED);
                }
                text.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
            '\'' => {
                let (inner, after) = rest.split_once('\'').unwrap_or((rest, ""));
                text.push_str(inner);
                rest = after;
            }
            '"' => {
                while let Some(c) = rest.chars().next() {
                    rest = &rest[c.len_utf8()..];
                    match c {
                        '"' => break,
                        '$' | '`' => return Err(EVALUATED),
                        '\\' => match rest.chars().next() {
                            Some('\n' | '\r') => return Err(CONTINUED),
                            Some(escaped @ ('$' | '`' | '"' | '\\')) => {
                                text.push(escaped);
                                rest = &rest[1..];
                            }
                            _ => text.push('\\'),
                        },
                        c => text.push(c),
                    }
                }
            }
            c => text.push(c),
        }
    }
    Ok((text, style))
}
