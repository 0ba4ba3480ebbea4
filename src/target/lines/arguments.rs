//! A list of arguments in a variable: `--lowvram --reserve-vram 1.5`.
//!
//! Some launchers split such a list as a shell splits words, others at blanks alone. Words that both read alike are read and
//! written; a word with quotes is left as it stands. What follows an option, up to the next one, is its value; an option
//! without one is a switch.

use std::ops::Range;

use serde_json::{Map, Value};

use super::super::config::Fault;

/// Whether a text names an option: `-x`, `--reserve-vram`.
pub fn is_option(text: &str) -> bool {
    text.starts_with('-')
        && text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[derive(Debug)]
struct Argument {
    option: String,
    // The option, up to `=`.
    range: Range<usize>,
    // Behind `=`, or the words that follow.
    values: Vec<Range<usize>>,
    is_inline: bool,
}

struct List<'a> {
    text: &'a str,
    arguments: Vec<Argument>,
    words: Vec<Range<usize>>,
    // Where `--` ends the options.
    end: Option<usize>,
}

impl<'a> List<'a> {
    fn read(text: &'a str, quotes: &[char]) -> Result<Self, String> {
        let words = words(text, quotes)?;
        let mut list = List { text, arguments: Vec::new(), words: Vec::new(), end: None };
        for word in words {
            let written = &text[word.clone()];
            let name = &written[..written.find('=').unwrap_or(written.len())];
            if list.end.is_some() {
            } else if written == "--" {
                list.end = Some(word.start);
            } else if is_option(name) {
                let range = word.start..word.start + name.len();
                let is_inline = name.len() < written.len();
                let values = is_inline.then(|| range.end + 1..word.end).into_iter().collect();
                list.arguments.push(Argument { option: name.to_owned(), range, values, is_inline });
            } else if let Some(last) = list.arguments.last_mut().filter(|last| !last.is_inline) {
                last.values.push(word.clone());
            }
            list.words.push(word);
        }
        Ok(list)
    }

    fn value(&self, argument: &Argument) -> Value {
        match argument.values.as_slice() {
            [] => Value::Bool(true),
            [one] => Value::from(&self.text[one.clone()]),
            several => several.iter().map(|value| &self.text[value.clone()]).collect(),
        }
    }
}

/// The options and their values, and those that stand twice.
///
/// # Errors
/// Why the text cannot be split into words.
pub fn read(text: &str, quotes: &[char]) -> Result<(Map<String, Value>, Vec<String>), String> {
    let list = List::read(text, quotes)?;
    let mut options = Map::new();
    let mut doubles = Vec::new();
    for argument in &list.arguments {
        if options.insert(argument.option.clone(), list.value(argument)).is_some() {
            doubles.push(argument.option.clone());
        }
    }
    Ok((options, doubles))
}

/// The list with one option set; a switch that is off is taken out.
///
/// # Errors
/// When the option is written in a way that is not edited, or the value cannot stand in a list.
pub fn set(
    text: &str,
    quotes: &[char],
    option: &str,
    value: &Value,
    refuses: &dyn Fn(char) -> Option<&'static str>,
) -> Result<String, (Fault, String)> {
    let list = List::read(text, quotes).map_err(|why| (Fault::NotEdited, why))?;
    let old = list.arguments.iter().find(|argument| argument.option == option);
    let not_edited = |why: &str| Err((Fault::NotEdited, why.to_owned()));
    let mut new = text.to_owned();
    match value {
        Value::Bool(on) => match old {
            Some(old) if !old.values.is_empty() => return not_edited("it has a value, so it is no switch"),
            Some(old) if !on => new.replace_range(list.without(&old.range), ""),
            None if *on => list.append(&mut new, option),
            _ => {}
        },
        Value::String(_) | Value::Number(_) => {
            let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            may_stand(&word, refuses).map_err(|why| (Fault::NotWritable, why))?;
            match old.map(|old| (old, old.values.as_slice())) {
                None => list.append(&mut new, &format!("{option} {word}")),
                Some((old, [])) => new.insert_str(old.range.end, &format!(" {word}")),
                Some((_, [one])) if text[one.clone()].contains(quotes) => return not_edited("its value is quoted"),
                Some((_, [one])) => new.replace_range(one.clone(), &word),
                Some(_) => return not_edited("it has several values"),
            }
        }
        _ => {
            return Err((
                Fault::NotWritable,
                "an option takes one text or number, or is switched on or off".to_owned(),
            ));
        }
    }
    Ok(new)
}

impl List<'_> {
    // At the end, or where the options end.
    fn append(&self, text: &mut String, words: &str) {
        match (self.end, self.words.last()) {
            (Some(end), _) => text.insert_str(end, &format!("{words} ")),
            (None, Some(last)) => text.insert_str(last.end, &format!(" {words}")),
            (None, None) => text.insert_str(0, words),
        }
    }

    // A word, and the blanks that part it from the one before it.
    fn without(&self, word: &Range<usize>) -> Range<usize> {
        let index = self.words.iter().position(|other| other.start == word.start).unwrap_or(0);
        match index.checked_sub(1) {
            Some(before) => self.words[before].end..word.end,
            None => word.start..self.words.get(1).map_or(word.end, |next| next.start),
        }
    }
}

// A word that a shell and a split at blanks read alike.
fn may_stand(word: &str, refuses: &dyn Fn(char) -> Option<&'static str>) -> Result<(), String> {
    let is_plain = |c: char| c.is_alphanumeric() || super::is_safe(c);
    if word.is_empty() {
        return Err("an empty text is no word in a list of arguments".to_owned());
    }
    if let Some(c) = word.chars().find(|c| !is_plain(*c)) {
        return Err(format!(
            "{c:?} cannot stand in a list of arguments: some programs split it there, others read it as it is"
        ));
    }
    if let Some(why) = word.chars().find_map(refuses) {
        return Err(why.to_owned());
    }
    if word.starts_with('-') && word.parse::<f64>().is_err() {
        return Err(format!("`{word}` begins like an option"));
    }
    Ok(())
}

fn words(text: &str, quotes: &[char]) -> Result<Vec<Range<usize>>, String> {
    let mut words = Vec::new();
    let mut start = None;
    let mut open = None;
    for (at, c) in text.char_indices() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if matches!(c, ' ' | '\t' | '\n' | '\r') => {
                words.extend(start.take().map(|start| start..at));
                continue;
            }
            None if quotes.contains(&c) => open = Some(c),
            None => {}
        }
        start.get_or_insert(at);
    }
    if open.is_some() {
        return Err("a quote in the list of arguments is not closed".to_owned());
    }
    words.extend(start.map(|start| start..text.len()));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const QUOTES: &[char] = &['"', '\''];

    fn set(text: &str, option: &str, value: Value) -> Result<String, String> {
        super::set(text, QUOTES, option, &value, &|_| None).map_err(|(_, why)| why)
    }

    #[test]
    fn options_have_their_values() {
        let text = "main.py --a  --b=1 -c 2 --d \"x --e\" --f -1 --g 1 2 --b 3 -- --h";
        let (options, doubles) = read(text, QUOTES).unwrap();
        let want = json!({"--a": true, "--b": "3", "-c": "2", "--d": "\"x --e\"", "--f": "-1", "--g": ["1", "2"]});
        assert_eq!((Value::Object(options), doubles), (want, vec!["--b".to_owned()]));
        assert!(read("--a 'x", QUOTES).unwrap_err().contains("not closed"));
    }

    #[test]
    fn one_option_is_set_and_no_other() {
        for (text, option, value, want) in [
            ("", "--a", json!(true), "--a"),
            ("", "--a", json!(1.5), "--a 1.5"),
            ("--b  -c 2", "--a", json!(4), "--b  -c 2 --a 4"),
            ("--b -- x", "--a", json!(4), "--b --a 4 -- x"),
            ("--a=1 --b", "--a", json!("x"), "--a=x --b"),
            ("--a   1 --b", "--a", json!("x"), "--a   x --b"),
            ("--a --b", "--a", json!("x"), "--a x --b"),
            ("--a --b", "--a", json!(true), "--a --b"),
            ("--a --b", "--a", json!(false), "--b"),
            ("--a  --b --c", "--b", json!(false), "--a --c"),
            ("--a", "--a", json!(false), ""),
            ("--b", "--a", json!(false), "--b"),
            ("--aa 1", "--a", json!(-2), "--aa 1 --a -2"),
        ] {
            assert_eq!(set(text, option, value.clone()).as_deref(), Ok(want), "{text} {option} {value}");
        }
    }

    #[test]
    fn what_readers_split_differently_is_refused() {
        for (text, value, want) in [
            ("", json!(""), "empty"),
            ("", json!("a b"), "' '"),
            ("", json!("$(x)"), "'$'"),
            ("", json!("--b"), "begins like an option"),
            ("", json!(["a"]), "one text"),
            ("--a 1 2", json!(3), "several values"),
            ("--a \"1\"", json!(3), "is quoted"),
            ("--a 1", json!(true), "no switch"),
        ] {
            let error = set(text, "--a", value.clone()).unwrap_err();
            assert!(error.contains(want), "{text} {value}: {error}");
        }
    }
}
