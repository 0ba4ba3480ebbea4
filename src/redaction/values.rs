//! Where the value of a key that names a secret stands, in whatever way a format writes it down.

use std::ops::Range;

use super::keys::{self, Key};

/// Where the values of secret keys stand.
pub(super) fn keyed(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let reader = Reader { text, bytes: text.as_bytes() };
    let mut at = 0;
    let mut before: Option<Range<usize>> = None;
    while let Some(word) = reader.word(at) {
        at = word.end;
        let name = &text[word.clone()];
        // `API key: …`
        let is_second =
            matches!(name, "key" | "keys" | "Key" | "KEY" | "code" | "phrase" | "name" | "Name" | "address");
        let whole = before.filter(|before| is_second && &text[before.end..word.start] == " ");
        let joined = whole.and_then(|before| {
            let key = keys::find(&format!("{}{name}", &text[before.clone()]))?;
            Some((before.start..word.end, key))
        });
        let key = joined.or_else(|| Some((word.clone(), keys::find(name)?)));
        before = Some(word);
        // What stands in a value is looked at too: it may be a name of its own.
        if let Some(value) = key.and_then(|(whole, key)| reader.value(whole, key)) {
            match text.as_bytes()[value.start] {
                b'[' | b'{' | b'(' => found.extend(reader.pieces(value)),
                _ => found.push(value),
            }
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

/// How a key and its value are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `key: value`
    Colon,
    /// `key = value`
    Equals,
    /// `--key value`
    Space,
    /// `<key>value</key>`
    Element,
}

impl Reader<'_> {
    // The next name; what separates its words is inside, dashes of an option too.
    fn word(&self, from: usize) -> Option<Range<usize>> {
        let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || *byte >= 0x80;
        let start = from + self.bytes.get(from..)?.iter().position(is_inside)?;
        let end = start + self.bytes[start..].iter().take_while(|byte| is_inside(byte)).count();
        Some(start..end)
    }

    fn value(&self, key: Range<usize>, sure: Key) -> Option<Range<usize>> {
        let is_option = self.bytes[key.start] == b'-';
        if let Some(section) = self.section(&key).filter(|_| sure == Key::Secret) {
            return Some(section);
        }
        let key = key.start..self.whole(&key, sure);
        // What closes the name: `"key"`, `["key"]`, `\"key\"`.
        let closed = self.skip(key.end, b"\"'`\\)]}");
        let quoted = self.bytes[key.end..closed].iter().any(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        if let Some(value) = self.named_beside(closed).or_else(|| self.listed(key.end, is_option)) {
            return self.counts(value, sure);
        }
        let (sign, start) = self.sign(&key, closed, is_option, sure)?;
        let start = self.value_start(start, sign, quoted);
        let value = self.span(&key, start, sign);
        let end = self.here_document(value.end);
        self.counts(value.start..end, sure)
    }

    // `[credentials]` on a line of its own: all to the next section.
    fn section(&self, key: &Range<usize>) -> Option<Range<usize>> {
        let end = self.line_end(key.end);
        let line = &self.text[self.line_start(key.start)..end];
        let line = line.split(['#', ';']).next().unwrap_or_default().trim();
        let name = line.trim_start_matches('[').trim_end_matches(']');
        let is_section = line.starts_with('[') && line.ends_with(']') && !name.contains(['[', ']', ',', '{']);
        let next = self.text[end..].find("\n[").map_or(self.bytes.len(), |next| end + next);
        (is_section && next > end).then_some(end..next)
    }

    // Where a name ends that has more words: `token for the hub: …`, `"token for the hub": …`.
    fn whole(&self, key: &Range<usize>, sure: Key) -> usize {
        let line = &self.text[key.end..self.line_end(key.end)];
        let is_inside = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '\t' | '_' | '-' | '.' | '(' | ')');
        let length = line.find(|c| !is_inside(c)).unwrap_or(line.len());
        let (name, rest) = line.split_at(length);
        let quoted = rest.trim_start_matches(['"', '\'', '\\']);
        let ends = match quoted.len() == rest.len() {
            true => rest == ":" || rest.starts_with(": ") || rest.starts_with('='),
            false => quoted.trim_start().starts_with([':', '=']),
        };
        // What follows an option is its value, and then another option: `--password … --token=…`.
        let is_option = self.bytes[key.start] == b'-';
        if sure == Key::Secret && ends && !is_option && name.starts_with([' ', '\t']) {
            key.end + name.trim_end().len()
        } else {
            key.end
        }
    }

    // The end of what `<<WORD` on the line of a value begins, or of the value.
    fn here_document(&self, end: usize) -> usize {
        let line = self.line_end(end);
        let words = self.text[self.line_start(end)..line]
            .split_once("<<")
            .map(|(_, word)| word.trim_start_matches(['-', '~', ' ']));
        let word = words.map(|word| {
            word.trim_matches(['"', '\'', ' ', '\\', '\r']).split([' ', '"', '\'', ';', '|', ')']).next().unwrap_or("")
        });
        let Some(word) = word.filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())) else {
            return end;
        };
        let mut at = line;
        while at < self.bytes.len() {
            let next = self.line_end(at + 1);
            if self.text[(at + 1).min(next)..next].trim() == word {
                return at.max(end);
            }
            at = next;
        }
        self.bytes.len()
    }

    // The sign behind a key, and where it ends.
    fn sign(&self, key: &Range<usize>, closed: usize, is_option: bool, sure: Key) -> Option<(Sign, usize)> {
        if self.bytes.get(key.end) == Some(&b'>') && self.text[..key.start].ends_with(['<', ':']) {
            return Some((Sign::Element, key.end + 1));
        }
        let near = self.skip(closed, b" \t");
        let far = self.skip(closed, b" \t\r\n");
        let at = if matches!(self.bytes.get(far), Some(b':' | b'=')) { far } else { near };
        let rest = &self.bytes[at..];
        // Compared, set where unset, appended, given in a table: a sign of two or three characters is one.
        let length =
            rest.iter().take_while(|byte| matches!(byte, b':' | b'=' | b'>' | b'+' | b'?' | b'!' | b'~')).count();
        let sign = &rest[..length];
        if sign.contains(&b'=') {
            return Some((Sign::Equals, at + length));
        }
        if sign.starts_with(b":") {
            return Some((Sign::Colon, at + length));
        }
        // `setx HF_TOKEN …`, `password …` of a `.netrc`, `Bearer …`
        let is_spaced = near > closed || matches!(self.bytes.get(near), Some(b'\\' | b'^' | b'`'));
        (is_spaced && (is_option || sure == Key::Secret)).then_some((Sign::Space, near))
    }

    // `{"name": "HF_TOKEN", "value": "…"}`, in a list of variables.
    fn named_beside(&self, closed: usize) -> Option<Range<usize>> {
        let at = self.skip(closed, b" \t\r\n,{");
        let word = self
            .word(at)
            .filter(|word| self.bytes[at..word.start].iter().all(|b| matches!(b, b'"' | b'\'' | b'\\')))?;
        matches!(&self.text[word.clone()], "value" | "Value" | "val" | "content" | "default").then_some(())?;
        let closed = self.skip(word.end, b"\"'\\ \t");
        matches!(self.bytes.get(closed), Some(b':' | b'=')).then_some(())?;
        let start = self.value_start(closed + 1, Sign::Colon, true);
        Some(self.span(&word, start, Sign::Colon))
    }

    // `["--token", "…"]`, `setdefault("HF_TOKEN", "…")`, and an option on the line before its value.
    fn listed(&self, end: usize, is_option: bool) -> Option<Range<usize>> {
        let closed = self.skip(end, b"\"'\\");
        let comma = self.skip(closed, b" \t\r\n");
        if self.bytes.get(comma) == Some(&b',') {
            let start = self.skip(comma + 1, b" \t\r\n");
            let string = self.string(start)?;
            // A key of its own, which comes after the value.
            let is_key = self.bytes.get(self.skip(string.end, b" \t")) == Some(&b':');
            return (!is_key).then_some(string);
        }
        let line = self.skip(closed, b" \t");
        if is_option && matches!(self.bytes.get(line), Some(b'\n' | b'\r')) {
            let item = self.skip(line, b" \t\r\n");
            if self.bytes[item..].starts_with(b"- ") {
                return Some(item + 2..self.line_end(item));
            }
        }
        None
    }

    fn value_start(&self, from: usize, sign: Sign, quoted: bool) -> usize {
        let mut at = self.skip(from, b" \t");
        // A line that goes on: `\`, `^` and a backtick at its end.
        while matches!(self.bytes.get(at), Some(b'\\' | b'^' | b'`'))
            && matches!(self.bytes.get(self.skip(at + 1, b" \t")), Some(b'\n' | b'\r'))
        {
            at = self.skip(at + 1, b" \t\r\n");
        }
        let next = self.skip(at, b" \t\r\n");
        let opens = matches!(self.bytes.get(next), Some(b'"' | b'\'' | b'[' | b'{'));
        if quoted && sign == Sign::Colon && opens { next } else { at }
    }

    // From where a value starts to where it ends.
    fn span(&self, key: &Range<usize>, start: usize, sign: Sign) -> Range<usize> {
        if sign == Sign::Element {
            let end = self.text[start..].find("</").map_or(self.bytes.len(), |end| start + end);
            return start..end;
        }
        // A tag or an anchor of YAML, and `f"…"`, `$'…'`, `@"…"` stand before the quotes.
        let prefix = self.bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'$' | b'@'))
            .count();
        let opening = if prefix <= 2 && self.string(start + prefix).is_some() { start + prefix } else { start };
        if let Some(string) = self.string(opening) {
            return start..self.concatenated(string.end);
        }
        let number =
            self.bytes[start..].iter().take_while(|byte| byte.is_ascii_digit() || b".+-eE".contains(byte)).count();
        if number > 0 && self.ends_an_entry(self.skip(start + number, b" \t")) {
            return start..start + number;
        }
        match self.bytes.get(start) {
            Some(b'[' | b'{' | b'(') => {
                let end = self.bracketed(start);
                let is_end = self.bytes.get(end).is_none_or(|byte| b" \t\r\n,;)]}#\"'`\\".contains(byte));
                start..if is_end { end } else { self.line_end(end) }
            }
            Some(b'$') if matches!(self.bytes.get(start + 1), Some(b'(' | b'{')) => {
                start..self.line_end(self.bracketed(start + 1))
            }
            _ if sign == Sign::Space || !self.begins_line(key) && sign == Sign::Equals => start..self.bare(key, start),
            _ => self.block(key, start),
        }
    }

    // Whether brackets or a comma end an entry here, and no word goes on behind them.
    fn ends_an_entry(&self, at: usize) -> bool {
        let closed = self.skip(at, b"}])");
        match self.bytes.get(closed) {
            Some(b',' | b';') => {
                let next = self.bytes.get(closed + 1);
                next.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'`{[\\".contains(byte))
            }
            next => closed > at && next.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'`\\".contains(byte)),
        }
    }

    // A text in quotes, also in such as are escaped because they stand in another text, or three of them.
    fn string(&self, start: usize) -> Option<Range<usize>> {
        let escapes = self.bytes.get(start..)?.iter().take_while(|byte| **byte == b'\\').count();
        let quote = *self.bytes.get(start + escapes).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
        let one = start + escapes + 1;
        let is_triple = escapes == 0 && self.bytes[one..].starts_with(&[quote, quote]);
        let (opening, closing) = match is_triple {
            true => (one + 2, vec![quote; 3]),
            false => (one, [vec![b'\\'; escapes], vec![quote]].concat()),
        };
        let mut at = opening;
        while at < self.bytes.len() {
            if self.bytes[at..].starts_with(&closing) {
                return Some(start..at + closing.len());
            }
            // What is escaped inside closes nothing.
            let more = self.bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
            at += if more > escapes || escapes == 0 && more > 0 {
                more + usize::from(more % 2 == 1 || escapes > 0)
            } else {
                1
            };
        }
        Some(start..self.bytes.len())
    }

    // The end of what stands directly behind a closed quote, or is joined to it: `"a"'b'`, `"a" + "b"`.
    fn concatenated(&self, mut end: usize) -> usize {
        loop {
            let next = self.bytes.get(end);
            if next.is_none_or(|byte| byte.is_ascii_whitespace() || b",;}])>&|#\\:".contains(byte)) {
                let joined = self.skip(end, b" \t\r\n+\\");
                let Some(more) = self.string(joined).filter(|_| joined > end) else { return end };
                // The next key.
                if matches!(self.bytes.get(self.skip(more.end, b" \t")), Some(b':' | b'='))
                    || self.bytes[joined] == b'\\'
                {
                    return end;
                }
                end = more.end;
                continue;
            }
            end = match self.string(end) {
                Some(more) if more.end > end => more.end,
                _ => end + 1,
            };
        }
    }

    fn bracketed(&self, start: usize) -> usize {
        let mut depth = 0_usize;
        let mut at = start;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'[' | b'{' | b'(' => depth += 1,
                b']' | b'}' | b')' => depth = depth.saturating_sub(1),
                b'"' | b'\'' => {
                    at = self.string(at).map_or(at + 1, |string| string.end);
                    continue;
                }
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        at
    }

    // What stands in brackets, without the signs that make a list or a table of it, so that a program can still read it.
    fn pieces(&self, value: Range<usize>) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut at = value.start;
        while at < value.end {
            let byte = self.bytes[at];
            let string = self.string(at).filter(|_| matches!(byte, b'"' | b'\''));
            let end = string.map_or(at + 1, |string| string.end);
            let is_closed = end > at + 1 && self.bytes[end - 1] == byte;
            let is_sign = b"[]{}(),:".contains(&byte) || byte.is_ascii_whitespace();
            match end - at {
                1 if is_sign => {}
                1 => pieces.push(at..end),
                _ => pieces.push(at + 1..if is_closed { end - 1 } else { end }),
            }
            at = end;
        }
        pieces
    }

    // A word without quotes around it, to the next space that nothing protects.
    fn bare(&self, key: &Range<usize>, start: usize) -> usize {
        let around = self.quote_around(key.start);
        let mut at = start;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'\\'
                    if self.bytes.get(at + 1).is_some_and(|next| !matches!(next, b'\n' | b'\r'))
                        && around.is_none() =>
                {
                    at += 1
                }
                byte if byte.is_ascii_whitespace() => break,
                byte if Some(*byte) == around && self.closes(at) => break,
                b'"' | b'\'' if around.is_none() => {
                    let line = self.line_end(at);
                    match self.string(at).filter(|string| string.end <= line) {
                        Some(string) => at = string.end - 1,
                        None => return line,
                    }
                }
                _ => {}
            }
            at += 1;
        }
        at.min(self.bytes.len())
    }

    // To the end of the line, with the lines below that are indented deeper; in a text in quotes to its end.
    fn block(&self, key: &Range<usize>, start: usize) -> Range<usize> {
        let line = self.line_end(start);
        if let Some(quote) = self.quote_around(key.start) {
            let end = (start..line).find(|at| self.bytes[*at] == quote && self.closes(*at));
            if let Some(end) = end {
                return start..end;
            }
        }
        let depth = self.indentation(key.start);
        // Nothing, a comment, or what announces a value of more lines.
        let first = self.text[start..line].trim();
        let is_empty = first.is_empty() || first.starts_with(['#', '|', '>', '&', '!']);
        let mut end = line;
        // What a backslash continues, whatever its indentation.
        let mut goes_on = self.text[start..line].trim_end().ends_with(['\\', '^', '`']);
        while end < self.bytes.len() {
            let next = end + 1;
            let next_end = self.line_end(next);
            let text = &self.text[next.min(next_end)..next_end];
            let inner = text.len() - text.trim_start_matches([' ', '\t']).len();
            // A list may be no deeper than its key.
            let is_item = is_empty && inner == depth && text.trim_start().starts_with("- ");
            if !(text.trim().is_empty() || inner > depth || is_item || goes_on) {
                break;
            }
            goes_on = goes_on && text.trim_end().ends_with(['\\', '^', '`']);
            end = next_end;
        }
        start..end
    }

    // How many spaces or tabs the line of a key begins with.
    fn indentation(&self, at: usize) -> usize {
        let start = self.line_start(at);
        let line = &self.text[start..at];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    // Whether nothing stands before the key but what announces it.
    fn begins_line(&self, key: &Range<usize>) -> bool {
        let before = &self.text[self.line_start(key.start)..key.start];
        // As in a list of `NAME=value` texts.
        if before.ends_with(['"', '\'']) {
            return true;
        }
        let is_announcement = |word: &str| {
            let word = word.trim_matches(['"', '\'', '#', ';', '/', '-', '@', '(', '%']).to_ascii_lowercase();
            [
                "", "export", "set", "setx", "env", "arg", "local", "declare", "typeset", "readonly", "rem", "$",
                "$env:", "x", "gx", "const", "let", "var",
            ]
            .contains(&word.as_str())
        };
        before.split_whitespace().all(is_announcement)
    }

    // The quote that is open where something stands, as far as its line tells.
    fn quote_around(&self, at: usize) -> Option<u8> {
        let mut open = None;
        let mut here = self.line_start(at);
        while here < at {
            let byte = self.bytes[here];
            match open {
                _ if byte == b'\\' => here += 1,
                None if matches!(byte, b'"' | b'\'') => open = Some(byte),
                Some(quote) if quote == byte => open = None,
                _ => {}
            }
            here += 1;
        }
        // An apostrophe is no quote that something closes.
        open.filter(|quote| *quote == b'"' || self.bytes[at..self.line_end(at)].contains(quote))
    }

    // Whether a quote ends its text: what follows could not be inside.
    fn closes(&self, at: usize) -> bool {
        let is_escaped = self.bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let is_spaced = self.bytes.get(at + 1).is_some_and(u8::is_ascii_whitespace);
        let after = self.bytes.get(at + 1);
        !is_escaped && (is_spaced || after.is_none_or(|byte| b",}]):;".contains(byte)))
    }

    // The value, unless it is one that tells nothing.
    fn counts(&self, value: Range<usize>, sure: Key) -> Option<Range<usize>> {
        let text = self.text[value.clone()].trim().trim_matches(['"', '\'', '\\', ',', ';', ' ']);
        let text = text.to_ascii_lowercase();
        let is_nothing = ["", "~", "true", "false", "null", "none", "undefined", "yes", "no", "on", "off"];
        let is_any_machine = ["localhost", "127.0.0.1", "0.0.0.0", "::", "::1", "root"];
        let tells_nothing = is_nothing.contains(&text.as_str())
            || sure == Key::Person
                && is_any_machine.iter().any(|any| text == *any || text.starts_with(&format!("{any}:")));
        if tells_nothing || value.is_empty() {
            return None;
        }
        // The quotes stay, so that a program can still read the file.
        let (first, last) = (self.bytes[value.start], self.bytes[value.end - 1]);
        let is_quoted = matches!(first, b'"' | b'\'') && first == last && value.len() > 2;
        Some(if is_quoted { value.start + 1..value.end - 1 } else { value })
    }

    fn skip(&self, from: usize, bytes: &[u8]) -> usize {
        from + self.bytes[from.min(self.bytes.len())..].iter().take_while(|byte| bytes.contains(byte)).count()
    }

    fn line_start(&self, at: usize) -> usize {
        self.bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let at = at.min(self.bytes.len());
        self.bytes[at..].iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| at + end)
    }
}
