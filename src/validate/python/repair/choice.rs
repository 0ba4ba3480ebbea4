//! Which of several changes to a statement is the only one that it can mean.

use std::ops::Range;

use ruff_python_ast::comparable::ComparableMod;
use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, walk_stmt};
use ruff_python_ast::{Expr, Mod, PythonVersion, Stmt};
use ruff_python_parser::{Mode, ParseOptions, Parsed, parse_unchecked};
use ruff_text_size::Ranged;

use crate::validate::python::MOST_DEPTH;
use crate::validate::python::layout::{Layout, is_closed};

/// Longest statement that is tried, in bytes, and most bytes that are parsed for one error; estimates, so that a file
/// takes seconds at most, whatever it holds.
const LONGEST: usize = 64 << 10;
const MOST_PARSED: usize = 8 << 20;

/// Something to put in the place of a range of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub insert: String,
    /// Nobody would write it so; another change that parses goes before.
    pub is_odd: bool,
}

impl Change {
    pub fn insert(at: usize, insert: impl Into<String>) -> Self {
        Self { range: at..at, insert: insert.into(), is_odd: false }
    }

    pub fn replace(range: Range<usize>, insert: impl Into<String>) -> Self {
        Self { range, insert: insert.into(), is_odd: false }
    }
}

/// The lines that the changes are tried in.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// In bytes of the text.
    range: Range<usize>,
    before: String,
    after: String,
}

impl Statement {
    /// The lines of a statement, and what makes them a file.
    pub fn of(layout: &Layout<'_>, lines: Range<usize>) -> Self {
        let start = layout.lines[lines.start].range.start;
        let end = layout.lines.get(lines.end).map_or(layout.text.len(), |line| line.range.start);
        let (before, after) = layout.context(lines.start);
        Self { range: start..end, before, after }
    }

    /// The same with lines behind it.
    pub fn with(mut self, after: &str) -> Self {
        self.after.insert_str(0, after);
        self
    }

    fn with_change(&self, text: &str, change: &Change) -> String {
        let mut changed = self.before.clone();
        changed += &text[self.range.start..change.range.start];
        changed += &change.insert;
        changed += &text[change.range.end..self.range.end];
        if !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed + self.after.as_str()
    }

    /// The change after which the statement parses; the first where several give the same tree.
    ///
    /// `None` when none does, or when two give different trees.
    pub fn only(&self, text: &str, changes: Vec<Change>, version: PythonVersion) -> Option<Change> {
        let length = self.range.len();
        if length > LONGEST || changes.len() * length > MOST_PARSED {
            return None;
        }
        // The first that parses: of those that somebody would write, and of the others.
        let mut found: [Option<(Change, Parsed<Mod>)>; 2] = [None, None];
        let mut is_decided = [true, true];
        for change in changes {
            if change.range.start < self.range.start || change.range.end > self.range.end {
                continue;
            }
            let changed = self.with_change(text, &change);
            if !is_closed(&changed, MOST_DEPTH) {
                continue;
            }
            let parsed = parse_unchecked(&changed, ParseOptions::from(Mode::Module).with_target_version(version));
            if !parsed.errors().is_empty() {
                continue;
            }
            let start = self.before.len() + change.range.start - self.range.start;
            let touched = start..start + change.insert.len();
            let odd = usize::from(change.is_odd || is_idle(&parsed, &changed, &touched, &change.insert));
            match &found[odd] {
                None => found[odd] = Some((change, parsed)),
                Some((_, first)) => {
                    is_decided[odd] &= ComparableMod::from(first.syntax()) == ComparableMod::from(parsed.syntax());
                }
            }
            if !is_decided[0] {
                return None;
            }
        }
        let [written, odd] = found;
        written.or(odd.filter(|_| is_decided[1])).map(|(change, _)| change)
    }
}

// Whether the simple statement around a place throws away what it computes, raises what is no exception, or is a tuple only
// because of a comma at its end.
fn is_idle(parsed: &Parsed<Mod>, text: &str, touched: &Range<usize>, insert: &str) -> bool {
    // A comma behind a text is one that somebody wrote there, not one of a bracket that was lost.
    let is_quote = insert.starts_with(['"', '\'']);
    let mut idle = Idle { text, touched, minds_comma: !is_quote, found: false };
    if let Some(module) = parsed.syntax().as_module() {
        idle.visit_body(&module.body);
    }
    idle.found
}

struct Idle<'a> {
    text: &'a str,
    touched: &'a Range<usize>,
    minds_comma: bool,
    found: bool,
}

impl Idle<'_> {
    fn ends_in_comma(&self, value: &Expr) -> bool {
        let is_bare = matches!(value, Expr::Tuple(tuple) if !tuple.parenthesized);
        self.minds_comma && is_bare && self.text[..value.end().to_usize()].ends_with(',')
    }
}

impl<'a> SourceOrderVisitor<'a> for Idle<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if stmt.end().to_usize() < self.touched.start || stmt.start().to_usize() > self.touched.end {
            return;
        }
        self.found |= match stmt {
            Stmt::Expr(stmt) => !matches!(
                &*stmt.value,
                Expr::Call(_)
                    | Expr::Await(_)
                    | Expr::Yield(_)
                    | Expr::YieldFrom(_)
                    | Expr::StringLiteral(_)
                    | Expr::EllipsisLiteral(_)
            ),
            Stmt::Raise(stmt) => {
                let is_none = |value: &Expr| {
                    matches!(value, Expr::BinOp(_) | Expr::BoolOp(_) | Expr::Compare(_) | Expr::Tuple(_))
                };
                stmt.exc.as_deref().is_some_and(is_none)
            }
            Stmt::Assign(stmt) => self.ends_in_comma(&stmt.value),
            Stmt::AugAssign(stmt) => self.ends_in_comma(&stmt.value),
            Stmt::Return(stmt) => stmt.value.as_deref().is_some_and(|value| self.ends_in_comma(value)),
            _ => false,
        };
        walk_stmt(self, stmt);
    }
}
