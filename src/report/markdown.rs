//! Reports as Markdown, for pull requests.

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

// Text inside a cell: nothing in it is a column or markup.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '<' | '>' | '*' | '_' | '`' | '\\' | '[' | ']' | '~') {
            escaped.push('\\');
        }
        escaped.push(if c == '\n' { ' ' } else { c });
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_cell() {
        assert_eq!(cell("a|b\n<i> x_y"), "a\\|b \\<i\\> x\\_y");
    }
}
