//! Reference pages, generated from the tables that the program itself reads and from the policies that come with it.

mod facts;
mod findings;
mod functions;
mod settings;

use crate::policy::PolicySet;

/// A page below `docs/`.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The name of its file.
    pub file: &'static str,
    /// The table that it is generated from.
    tables: &'static str,
    /// What follows the note of its origin.
    body: fn(&PolicySet) -> String,
}

/// Every page, by name.
pub const PAGES: &[Page] = &[
    Page { file: "facts.md", tables: "src/facts/vocabulary.rs", body: |_| facts::body() },
    Page { file: "findings.md", tables: "src/diag/codes.rs and the checks in policies/", body: findings::body },
    Page {
        file: "functions.md",
        tables: "src/expr/functions.rs and the functions and data in policies/",
        body: functions::body,
    },
    Page { file: "settings.md", tables: "schemas/settings.schema.json", body: |_| settings::body() },
];

impl Page {
    /// The text, by the policies that come with the program.
    pub fn text(&self, shipped: &PolicySet) -> String {
        let (tables, body) = (self.tables, (self.body)(shipped));
        format!("<!-- Generated from {tables}; `UPDATE_DOCS=1 cargo test --test docs` writes it anew. -->\n{body}")
    }
}

/// A row of a Markdown table.
fn row<const N: usize>(cells: [&str; N]) -> String {
    let cells = cells.map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a Markdown table.
fn head<const N: usize>(cells: [&str; N]) -> String {
    format!("{}|{}\n", row(cells), "---|".repeat(N))
}

/// The name of a policy file, without the place that it was read from.
fn file_name(shown: &str) -> &str {
    shown.strip_prefix("<built-in>/").unwrap_or(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_sorted_and_cells_stay_in_their_columns() {
        assert!(PAGES.is_sorted_by(|a, b| a.file < b.file));
        assert_eq!(head(["a", "b"]), "| a | b |\n|---|---|\n");
        assert_eq!(row(["`x || y`", "two\nlines"]), "| `x \\|\\| y` | two lines |\n");
    }
}
