//! Reports as Markdown, for pull requests and the pages of CI services.

pub mod validation;

use crate::report::human::impact::{causes, summary, who};
use crate::report::human::verdicts::sides;
use crate::report::json::ImpactReport;

/// What an edit of the policies changes, as a table.
pub fn impact(report: &ImpactReport) -> String {
    let mut text = "### What the policies change\n\n".to_owned();
    if !report.changes.is_empty() {
        text += "| setting or finding | change | policy or check | machines |\n|---|---|---|---|\n";
    }
    for change in &report.changes {
        let cells = [
            format!("`{}`", change.change.name),
            cell(&sides(&change.change)),
            cell(&causes(change)),
            cell(&who(change, usize::MAX)),
        ];
        text += &format!("| {} |\n", cells.join(" | "));
    }
    let lines: Vec<String> = summary(report).split('\n').map(cell).collect();
    format!("{text}\n{}\n", lines.join("  \n"))
}

// What may mean something to Markdown, or to what shows it: markup, tables, links, entities, formulas.
const MARKUP: &str = "\\`*_{}[]<>)#+-.|~&$@:";

/// Most characters of a text in a cell. A longer one is cut: nobody reads it there, and the JSON has it whole.
const LONGEST: usize = 600;

/// Text inside a cell or a line: nothing in it is a column or markup, and nothing of it is hidden or turns what stands beside
/// it around.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    let mut chars = text.chars().take(LONGEST).peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || is_hidden(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            // These begin a list, a title or a smiley, and mean nothing elsewhere.
            '-' | '+' | '#' if !escaped.is_empty() => escaped.push(c),
            ':' if !escaped.is_empty() && !escaped.ends_with(' ') => escaped.push(c),
            '.' | ')' if !escaped.chars().all(|c| c.is_ascii_digit()) || chars.peek().is_some_and(|c| *c != ' ') => {
                escaped.push(c);
            }
            c if MARKUP.contains(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}

/// A text as it is, in a fence that nothing in it ends.
fn fenced(text: &str, language: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let shown = |c: char| {
        if (c.is_control() && c != '\n' && c != '\t') || is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }
    };
    let text: String = text.chars().map(shown).collect();
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

// Without a width of its own, or with another direction for what follows.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_cell() {
        assert_eq!(cell("a|b\n<i> x_y"), "a\\|b \\<i\\> x\\_y");
        assert_eq!(cell("`a` &lt; ~~b~~ $c$"), "\\`a\\` \\&lt; \\~\\~b\\~\\~ \\$c\\$");
        assert_eq!(cell("# a\u{1b}[2J\u{202e}b"), "\\# a\u{fffd}\\[2J\u{fffd}b");
        assert_eq!(cell("config.json:5:22 (a-b)"), "config.json:5:22 (a-b)");
        assert_eq!(cell("1. a 2. b"), "1\\. a 2. b");
        assert_eq!(cell("- a --b 1.5 !c"), "\\- a --b 1.5 !c");
        assert_eq!(cell("1.5"), "1.5");
        assert_eq!(cell(&"a".repeat(10_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn nothing_in_a_text_ends_its_fence() {
        assert_eq!(fenced("-a\n```\n+b\n", "diff"), "````diff\n-a\n```\n+b\n````\n");
        assert_eq!(fenced("a\u{1b}b", ""), "```\na\u{fffd}b\n```\n");
    }
}
