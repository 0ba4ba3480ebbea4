//! Columns of text, each as wide as its widest cell.

use super::paint::Paint;

/// Rows of cells, indented by two spaces; the last column is never padded.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// An empty line between groups.
    pub fn gap(&mut self) {
        if self.rows.last().is_some_and(|row| !row.is_empty()) {
            self.rows.push(Vec::new());
        }
    }

    /// The lines; from the column `faint` on, the text is what one looks up rather than reads.
    pub fn render(&self, paint: Paint, faint: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            // Empty cells at the end would leave spaces.
            let length = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            for (column, cell) in row.iter().take(length).enumerate() {
                text.push_str("  ");
                text.push_str(&if column >= faint { paint.faint(cell) } else { cell.clone() });
                if column + 1 < length {
                    text.push_str(&" ".repeat(widths[column] - cell.chars().count()));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let mut table = Table::default();
        table.row(["a", "384 px", "x"]);
        table.gap();
        table.row(["long.name", "36 °C", ""]);
        assert_eq!(table.render(Paint::default(), 9), "  a          384 px  x\n\n  long.name  36 °C\n");
    }
}
