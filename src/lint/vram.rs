//! Comparisons of VRAM with the size on the box, which the table of cards holds.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Linter;
use crate::diag::Finding;
use crate::expr::formula::{Constant, Formula};
use crate::facts::units::{Unit, show};

impl Linter<'_> {
    pub(super) fn vram(&self, findings: &mut Vec<Finding>) {
        let sizes = self.nominal_sizes();
        for (what, expr) in self.expressions() {
            let mut seen = Vec::new();
            let language = &self.set.language;
            let parts = language.parts(expr, self.data.as_ref()).into_iter().map(|part| (part.formula, part.range));
            let branches = language.branches(expr, self.data.as_ref()).into_iter();
            let branches = branches.map(|branch| (branch.condition, branch.range));
            for (formula, range) in parts.chain(branches) {
                formula.visit(&mut |part| {
                    let Formula::Compare(name, _, Constant::Number(bytes)) = part else { return };
                    let bytes = *bytes as u64;
                    if name == "gpu.vram.total" && sizes.contains(&bytes) && !seen.contains(&bytes) {
                        seen.push(bytes);
                        findings.push(nominal(&what, bytes).at(expr.span_of(range.clone()), ""));
                    }
                });
            }
        }
    }

    // The sizes that cards are sold with, in bytes.
    fn nominal_sizes(&self) -> BTreeSet<u64> {
        let rows = self.set.table("gpus").and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(|row| row["vram"].as_u64()).collect()
    }
}

fn nominal(what: &str, bytes: u64) -> Finding {
    let size = show(&bytes.into(), Some(Unit::Bytes));
    let message = format!("{what} compares VRAM with {size}, the size on the box, which no card reports");
    let help = "ask for what the setting needs, in bytes and with headroom; `explain nominal-vram` says more";
    Finding::warning("nominal-vram", message).help(help)
}
