//! What CPython's tokenizer says of a file by itself.
//!
//! When its parser has found an error, CPython tokenizes the rest of the file and lets what it finds there prevail: a bracket
//! that does not match, a text without its end, a bracket that is still open. Those lines are the ones that people look for,
//! so they are found here the same way. Sources: CPython 3.11, Parser/tokenizer.c and Parser/pegen_errors.c.

use std::ops::Range;

/// Columns of a tab.
pub(super) const TAB: usize = 8;

/// Most brackets that are open at once, and most levels of indentation (MAXLEVEL and MAXINDENT).
const MOST_OPEN: usize = 200;
const MOST_INDENTS: usize = 100;

/// Words that make one expression a part of another.
const NESTING: [&str; 12] = ["and", "await", "else", "for", "from", "if", "in", "is", "lambda", "not", "or", "yield"];

/// Prefixes of a text, in lower case.
const PREFIXES: [&str; 12] = ["r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt", "bu"];

/// Words that may follow a number without a space.
const AFTER_NUMBER: [&str; 8] = ["and", "else", "for", "if", "in", "is", "not", "or"];

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A bracket that closes none, or another one than was opened.
    Bracket,
    /// A text without its end.
    Text,
    /// A number that goes on as a name, or begins with a zero.
    Number,
    /// A character that no name has, such as a typographic quote.
    Letter,
    /// A byte of 0.
    Null,
    /// A line that is indented less than the one before, and not as much as any before that.
    Dedent,
    /// A line whose tabs and spaces can be read in two ways.
    Tabs,
    /// A backslash that does not end its line.
    Continuation,
    /// One bracket more than may be open.
    TooManyOpen,
    /// A line that is indented once too often.
    TooManyIndents,
}

impl Wrong {
    /// Whether it is reported although the parser stopped before it.
    pub fn prevails(self) -> bool {
        matches!(self, Self::Bracket | Self::Text | Self::Number | Self::Letter | Self::Null | Self::TooManyOpen)
    }
}

/// What was found, in bytes from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokenized {
    /// The first token that is wrong, and where.
    pub wrong: Option<(Wrong, usize)>,
    /// The innermost bracket that is open at the end, where no token is wrong.
    pub open: Option<usize>,
    /// All brackets that are open at the end, or before the first that is wrong; the outermost first.
    pub opened: Vec<usize>,
    /// How many operators and brackets are at most around one part of an expression; more than there can be where brackets or
    /// indents are too many.
    pub depth: usize,
}

/// Reads all tokens of a file.
pub(super) fn tokenize(source: &str) -> Tokenized {
    read(source, |_| {})
}

/// Where the tokens of a file stand: names, numbers, texts with their prefix, and other characters one by one; not spaces,
/// comments and ends of lines.
pub(super) fn pieces(source: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    read(source, |piece| pieces.push(piece));
    pieces
}

fn read(source: &str, piece: impl FnMut(Range<usize>)) -> Tokenized {
    let mut reader = Reader {
        bytes: source.as_bytes(),
        at: 0,
        open: Vec::new(),
        opened: Vec::new(),
        indents: vec![Indent::default()],
        operators: vec![0],
        depth: 0,
        wrong: None,
    };
    reader.read(piece);
    if reader.wrong.is_none() {
        reader.opened = reader.open.iter().map(|(_, at)| *at).collect();
    }
    let open = reader.opened.last().copied().filter(|_| reader.wrong.is_none());
    Tokenized { wrong: reader.wrong, open, opened: reader.opened, depth: reader.depth }
}

/// How far a line is indented, with tabs to the next multiple of eight, and with tabs as one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Indent {
    columns: usize,
    characters: usize,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    // Brackets and where they stand.
    open: Vec<(u8, usize)>,
    // Those before the first that is wrong.
    opened: Vec<usize>,
    indents: Vec<Indent>,
    // Operators since the last comma, outside all brackets and in each that is open.
    operators: Vec<usize>,
    depth: usize,
    wrong: Option<(Wrong, usize)>,
}

impl Reader<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, is_part: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&is_part) {
            self.at += 1;
        }
    }

    fn nest(&mut self) {
        if let Some(operators) = self.operators.last_mut() {
            *operators += 1;
        }
        self.depth = self.depth.max(self.operators.iter().sum::<usize>() + self.open.len());
    }

    // Only the first is told; the rest is read for its depth.
    fn wrong(&mut self, wrong: Wrong, at: usize) {
        self.wrong.get_or_insert((wrong, at));
    }

    fn separate(&mut self) {
        if let Some(operators) = self.operators.last_mut() {
            *operators = 0;
        }
    }

    fn read(&mut self, mut piece: impl FnMut(Range<usize>)) {
        let mut is_line_start = true;
        loop {
            if std::mem::take(&mut is_line_start) {
                self.indentation();
            }
            let Some(byte) = self.byte(0) else { return };
            let start = self.at;
            match byte {
                b'\n' => {
                    self.at += 1;
                    is_line_start = self.open.is_empty();
                    if is_line_start {
                        self.separate();
                    }
                }
                b'#' => self.skip_while(|byte| byte != b'\n'),
                0 => {
                    self.wrong(Wrong::Null, start);
                    self.at += 1;
                }
                b'\\' => {
                    self.at += 1 + usize::from(self.byte(1) == Some(b'\r'));
                    if self.byte(0) != Some(b'\n') || self.byte(1).is_none() {
                        self.wrong(Wrong::Continuation, start);
                    }
                    self.at += usize::from(self.byte(0) == Some(b'\n'));
                }
                b'(' | b'[' | b'{' => {
                    if self.open.len() == MOST_OPEN {
                        self.wrong(Wrong::TooManyOpen, start);
                        self.depth = usize::MAX;
                        return;
                    }
                    self.open.push((byte, start));
                    self.operators.push(0);
                    self.nest();
                    self.at += 1;
                }
                b')' | b']' | b'}' => {
                    let opening = match byte {
                        b')' => b'(',
                        b']' => b'[',
                        _ => b'{',
                    };
                    if self.open.last().is_none_or(|(open, _)| *open != opening) {
                        if self.wrong.is_none() {
                            self.opened = self.open.iter().map(|(_, at)| *at).collect();
                        }
                        self.wrong(Wrong::Bracket, start);
                    }
                    self.open.pop();
                    if self.operators.len() > 1 {
                        self.operators.pop();
                    }
                    self.at += 1;
                }
                b'"' | b'\'' => self.text(start),
                byte if is_name(byte) && !byte.is_ascii_digit() => {
                    self.skip_while(is_name);
                    self.letters(start);
                    if NESTING.iter().any(|word| word.as_bytes() == &self.bytes[start..self.at]) {
                        self.nest();
                    }
                    let word = self.bytes[start..self.at].to_ascii_lowercase();
                    let is_prefix = PREFIXES.iter().any(|prefix| prefix.as_bytes() == word);
                    if is_prefix && matches!(self.byte(0), Some(b'"' | b'\'')) {
                        self.text(start);
                    }
                }
                byte if byte.is_ascii_digit() => self.number(start),
                b'.' if self.byte(1).is_some_and(|next| next.is_ascii_digit()) => self.number(start),
                b',' | b';' => {
                    self.separate();
                    self.at += 1;
                }
                byte => {
                    if byte.is_ascii_punctuation() {
                        self.nest();
                    }
                    self.at += 1;
                }
            }
            if !matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'\x0c' | b'\\' | b'#') {
                piece(start..self.at.min(self.bytes.len()));
            }
        }
    }

    fn indentation(&mut self) {
        let mut now = Indent::default();
        loop {
            match self.byte(0) {
                Some(b' ') => now = Indent { columns: now.columns + 1, characters: now.characters + 1 },
                Some(b'\t') => {
                    now = Indent { columns: (now.columns / TAB + 1) * TAB, characters: now.characters + 1 };
                }
                Some(b'\x0c') => now = Indent::default(),
                // Lines without a statement are as they like.
                Some(b'#' | b'\n' | b'\r' | b'\\') | None => return,
                _ => break,
            }
            self.at += 1;
        }
        let top = |indents: &[Indent]| indents.last().copied().unwrap_or_default();
        let before = top(&self.indents);
        if now.columns > before.columns {
            if now.characters <= before.characters {
                self.wrong(Wrong::Tabs, self.at);
            }
            if self.indents.len() == MOST_INDENTS {
                self.wrong(Wrong::TooManyIndents, self.at);
                self.depth = usize::MAX;
                return;
            }
            self.indents.push(now);
            return;
        }
        while top(&self.indents).columns > now.columns {
            self.indents.pop();
        }
        match top(&self.indents) {
            same if same == now => {}
            same if same.columns == now.columns => self.wrong(Wrong::Tabs, self.at),
            _ => self.wrong(Wrong::Dedent, self.at),
        }
    }

    // From the quote, which may follow a prefix at `start`.
    fn text(&mut self, start: usize) {
        let quote = self.byte(0);
        let is_long = self.byte(1) == quote && self.byte(2) == quote;
        self.at += if is_long { 3 } else { 1 };
        loop {
            match self.byte(0) {
                None => return self.wrong(Wrong::Text, start),
                Some(b'\n') if !is_long => return self.wrong(Wrong::Text, start),
                // What is escaped may be the end of a line.
                Some(b'\\') => {
                    self.at += if self.byte(1) == Some(b'\r') && self.byte(2) == Some(b'\n') { 3 } else { 2 }
                }
                byte if byte == quote => {
                    if !is_long {
                        self.at += 1;
                        return;
                    }
                    if self.byte(1) == quote && self.byte(2) == quote {
                        self.at += 3;
                        return;
                    }
                    self.at += 1;
                }
                Some(_) => self.at += 1,
            }
        }
    }

    // Names have letters of every script, but no typographic quotes.
    fn letters(&mut self, start: usize) {
        let name = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        let strange =
            name.char_indices().find(|(_, letter)| !letter.is_ascii() && !unicode_ident::is_xid_continue(*letter));
        if let Some((at, _)) = strange {
            self.wrong(Wrong::Letter, start + at);
        }
    }

    fn number(&mut self, start: usize) {
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
        let radix = self.byte(1).filter(|_| self.byte(0) == Some(b'0')).map(|byte| byte.to_ascii_lowercase());
        if matches!(radix, Some(b'x' | b'o' | b'b')) {
            self.at += 2;
            self.skip_while(|byte| {
                if radix == Some(b'x') { byte.is_ascii_hexdigit() || byte == b'_' } else { is_digit(byte) }
            });
        } else {
            self.skip_while(is_digit);
            let digits = &self.bytes[start..self.at];
            let has_leading_zero =
                digits.first() == Some(&b'0') && digits.iter().any(|digit| !matches!(digit, b'0' | b'_'));
            let is_float = matches!(self.byte(0), Some(b'.' | b'e' | b'E' | b'j' | b'J'));
            if has_leading_zero && !is_float {
                self.wrong(Wrong::Number, start);
            }
            if self.byte(0) == Some(b'.') {
                self.at += 1;
                self.skip_while(is_digit);
            }
            let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
            if matches!(self.byte(0), Some(b'e' | b'E'))
                && self.byte(1 + sign).is_some_and(|next| next.is_ascii_digit())
            {
                self.at += 1 + sign;
                self.skip_while(is_digit);
            }
            self.at += usize::from(matches!(self.byte(0), Some(b'j' | b'J')));
        }
        let rest = &self.bytes[self.at..];
        let is_word = AFTER_NUMBER.iter().any(|word| rest.starts_with(word.as_bytes()));
        if self.byte(0).is_some_and(is_name) && !is_word {
            self.wrong(Wrong::Number, start);
        }
    }
}

// Python's names have letters of every script, all of them beyond ASCII here.
fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}
