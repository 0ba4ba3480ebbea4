//! The lines of a broken source: which of them begin a statement, and which belong to it by their indentation.
//!
//! Brackets say where a statement ends until one of them is missing; how the lines are indented still does then.

use std::ops::Range;

use super::tokens::{TAB, Wrong, tokenize};

/// What a line begins with that goes on with the statement before it, as `) -> int:` does.
const GOES_ON: [&str; 8] = [")", "]", "}", ":", ",", "->", ".", "="];

/// One line, in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its first byte, and the end of the line behind it, which is `\n` or `\r\n` and is left out.
    pub range: Range<usize>,
    /// How far it is indented, in columns; tabs go to the next multiple of eight.
    pub indent: usize,
    /// Which pieces begin in it.
    pub pieces: Range<usize>,
    /// Whether it begins within a text of several lines.
    pub is_text: bool,
    /// Whether a statement begins here, as far as the brackets before it tell.
    pub begins: bool,
}

/// Lines of a text, and its pieces.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub text: &'a str,
    /// Names, numbers, texts and single other characters.
    pub pieces: Vec<Range<usize>>,
    pub lines: Vec<Line>,
}

impl<'a> Layout<'a> {
    pub fn of(text: &'a str, pieces: Vec<Range<usize>>) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        let (mut next, mut depth, mut start) = (0_usize, 0_usize, 0);
        let mut goes_on = false;
        for whole in text.split_inclusive('\n') {
            let end = start + whole.trim_end_matches(['\n', '\r']).len();
            let is_text = next > 0 && pieces[next - 1].end > start;
            let first = next;
            let begins = !is_text && depth == 0 && !goes_on;
            while let Some(piece) = pieces.get(next).filter(|piece| piece.start < start + whole.len()) {
                match text.as_bytes()[piece.start] {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                next += 1;
            }
            let last = if next > 0 { pieces[next - 1].end } else { 0 };
            goes_on = last < end && text[last.max(start)..end].trim_start().starts_with('\\');
            lines.push(Line {
                range: start..end,
                indent: columns(&text[start..end]),
                pieces: first..next,
                is_text,
                begins: begins && first < next,
            });
            start += whole.len();
        }
        Self { text, pieces, lines }
    }

    pub fn piece(&self, index: usize) -> &'a str {
        self.pieces.get(index).map_or("", |range| &self.text[range.clone()])
    }

    /// Which line a byte stands on.
    pub fn line_at(&self, at: usize) -> usize {
        self.lines.partition_point(|line| line.range.start <= at).saturating_sub(1)
    }

    /// The line that begins the statement which a byte stands in; where a bracket before it is never closed, by indentation.
    pub fn head_at(&self, at: usize) -> Option<usize> {
        let line = self.line_at(at);
        let mut head = self.lines.get(..=line)?.iter().rposition(|line| line.begins)?;
        loop {
            let next = self.statement(head).end;
            if next > line {
                return Some(head);
            }
            head = next;
        }
    }

    /// The text of a line without its indentation.
    pub fn shown(&self, line: usize) -> &'a str {
        self.text[self.lines[line].range.clone()].trim_start()
    }

    fn goes_on(&self, line: usize) -> bool {
        GOES_ON.iter().any(|with| self.shown(line).starts_with(with))
    }

    fn holds_code(&self, line: usize) -> bool {
        !self.lines[line].is_text && !self.lines[line].pieces.is_empty()
    }

    /// The next line with code after one.
    pub fn next_code(&self, line: usize) -> Option<usize> {
        (line + 1..self.lines.len()).find(|next| self.holds_code(*next))
    }

    /// A statement from its first line to the line before the next one that is not indented more, in lines.
    pub fn statement(&self, head: usize) -> Range<usize> {
        let indent = self.lines[head].indent;
        let is_next =
            |line: &usize| self.holds_code(*line) && self.lines[*line].indent <= indent && !self.goes_on(*line);
        let end = (head + 1..self.lines.len()).find(is_next).unwrap_or(self.lines.len());
        head..end
    }

    /// The line that a line is a part of by its indentation alone: the nearest one before that is indented less, or as much
    /// where the line begins with a bracket that closes. Itself where that line begins a block.
    pub fn head_by_indentation(&self, line: usize) -> usize {
        let closes = self.shown(line).starts_with([')', ']', '}']);
        let indent = self.lines[line].indent;
        let is_around = |before: &usize| {
            let found = self.lines[*before].indent;
            self.holds_code(*before) && (found < indent || closes && found == indent)
        };
        let begins_block = |before: &usize| self.piece(self.lines[*before].pieces.end - 1) == ":";
        (0..line).rev().find(is_around).filter(|before| !begins_block(before)).unwrap_or(line)
    }

    /// What stands around a statement, so that it can be read by itself: lines before it, and lines behind it.
    pub fn context(&self, head: usize) -> (String, String) {
        let mut around = Vec::new();
        let mut indent = self.lines[head].indent;
        let word = self.piece(self.lines[head].pieces.start);
        for line in self.lines[..head].iter().rev() {
            if indent == 0 {
                break;
            }
            if line.begins && line.indent < indent {
                around.push(self.white(line));
                indent = line.indent;
            }
        }
        let mut before = String::new();
        for (depth, white) in around.iter().enumerate().rev() {
            before += white;
            before += if depth == 0 && word == "case" { "match 1:\n" } else { "if 1:\n" };
        }
        let white = self.white(&self.lines[head]);
        match word {
            "elif" | "else" => before += &format!("{white}if 1: pass\n"),
            "except" | "finally" => before += &format!("{white}try: pass\n"),
            _ => {}
        }
        let after = match word {
            "@" => format!("{white}def f(): pass\n"),
            "try" => format!("{white}finally: pass\n"),
            _ => String::new(),
        };
        (before, after)
    }

    fn white(&self, line: &Line) -> &'a str {
        let text = &self.text[line.range.clone()];
        &text[..text.len() - text.trim_start_matches([' ', '\t', '\x0c']).len()]
    }
}

/// Whether all brackets of a text close each other and all texts have their end, and nothing is too deep for the parser.
pub(super) fn is_closed(text: &str, most_depth: usize) -> bool {
    let found = tokenize(text);
    let is_right = !matches!(
        found.wrong,
        Some((
            Wrong::Bracket | Wrong::Text | Wrong::Null | Wrong::Letter | Wrong::TooManyOpen | Wrong::TooManyIndents,
            _
        ))
    );
    is_right && found.opened.is_empty() && found.depth <= most_depth
}

fn columns(line: &str) -> usize {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = (columns / TAB + 1) * TAB,
            b'\x0c' => columns = 0,
            _ => break,
        }
    }
    columns
}
