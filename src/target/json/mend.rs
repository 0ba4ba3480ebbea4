//! The simplest slips of a hand in JSON: commas before an end, and ends that are missing at the end of the file.

use super::{parse, replaced};

/// Slips in one file. Where there are more, no hand slipped.
const MOST: usize = 100;

/// A text that is JSON again, and what was done to it, a sentence each; `None` where something else is wrong with it, or nothing.
pub fn mend(text: &str) -> Option<(String, Vec<String>)> {
    let Slips { commas, open } = Slips::of(text)?;
    if !(1..=MOST).contains(&(commas.len() + open.len())) {
        return None;
    }
    let mut mended = replaced(text, commas.iter().map(|comma| (*comma..comma + 1, "")));
    let end = mended.trim_end().len();
    let ends: String = open.iter().rev().map(|end| format!("\n{end}")).collect();
    mended.insert_str(end, &ends);
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let mut says: Vec<String> =
        commas.iter().map(|comma| format!("the comma before an end is taken away in line {}", line(*comma))).collect();
    if !open.is_empty() {
        says.push(format!("`{}` is added at the end", open.iter().rev().collect::<String>()));
    }
    parse(&mended).ok().filter(serde_json::Value::is_object).map(|_| (mended, says))
}

// What is wrong with a text in these ways.
#[derive(Default)]
struct Slips {
    // Where commas stand before an end, in order.
    commas: Vec<usize>,
    // The ends that are missing, from the outermost.
    open: Vec<char>,
}

impl Slips {
    // `None` where an end does not match, or a text is not closed.
    fn of(text: &str) -> Option<Self> {
        let mut slips = Self::default();
        let (mut comma, mut in_text, mut escaped) = (None, false, false);
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => {
                    in_text = !in_text;
                    comma = None;
                }
                _ if in_text => {}
                '{' | '[' => {
                    slips.open.push(if c == '{' { '}' } else { ']' });
                    comma = None;
                }
                '}' | ']' => {
                    slips.open.pop().filter(|end| *end == c)?;
                    slips.commas.extend(comma.take());
                }
                ',' => comma = Some(at),
                c if c.is_whitespace() => {}
                _ => comma = None,
            }
        }
        slips.commas.extend(comma);
        (!in_text).then_some(slips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_go_and_ends_come() {
        for (text, want) in [
            ("{\n  \"a\": [1, 2,],\n  \"b\": \"x,}\",\n}\n", "{\n  \"a\": [1, 2],\n  \"b\": \"x,}\"\n}\n"),
            ("{\n  \"a\": {\n    \"b\": [1\n", "{\n  \"a\": {\n    \"b\": [1\n]\n}\n}\n"),
            ("{\"a\": 1,", "{\"a\": 1\n}"),
        ] {
            assert_eq!(mend(text).unwrap().0, want, "{text}");
        }
        let (_, says) = mend("{\n\"a\": [1,]").unwrap();
        assert_eq!(says, ["the comma before an end is taken away in line 2", "`}` is added at the end"]);
    }

    #[test]
    fn what_is_otherwise_wrong_is_left() {
        for text in ["{}", "", "[1,]", "{\"a\": tr", "{\"a\": 1]", "{\"a\": \"x", "{\"a\": 1 \"b\": 2,}", "{\"a\":,}"] {
            assert_eq!(mend(text), None, "{text}");
        }
        let slips = |count: usize| format!("{{\"a\": [{}1]}}", "[1,],".repeat(count));
        assert!(mend(&slips(MOST)).is_some());
        assert_eq!(mend(&slips(MOST + 1)), None);
    }
}
