//! Reports for people: aligned columns, units, GiB; coloured when a terminal shows them.

pub mod changes;
pub mod coverage;
pub mod doctor;
pub mod explanation;
pub mod facts;
pub mod fit;
pub mod history;
pub mod impact;
pub mod load;
pub mod plan;
pub mod validation;
pub mod verdicts;

/// A number of things: `1 machine`, `2 machines`.
pub fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// A text broken into lines of at most so many characters, each after the first indented.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two  three\nfour", 9, 2), "one two\n  three\n  four");
        assert_eq!(wrap("", 9, 2), "");
    }
}
