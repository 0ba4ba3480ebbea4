//! What is wrong with policies that all compile: conditions that can never hold, two that hold together and disagree,
//! one that another hides.
//!
//! A condition that compares facts with constants divides the machines into cells, and one machine of each cell is asked,
//! so the answers are exact; [`solve`] asks, the other parts make findings of the answers. What rests on anything else is
//! not decided, and not reported.

mod conditions;
mod layers;
pub mod solve;
mod vram;

use crate::diag::Finding;
use crate::expr::{Expr, Formula, Node};
use crate::policy::PolicySet;

/// Everything that is wrong with the policies on some machine, without one at hand.
pub fn lint(set: &PolicySet) -> Vec<Finding> {
    let linter = Linter { set, data: set.data.node() };
    let mut findings = Vec::new();
    linter.conditions(&mut findings);
    linter.layers(&mut findings);
    linter.vram(&mut findings);
    findings
}

struct Linter<'a> {
    set: &'a PolicySet,
    data: Option<Node>,
}

impl Linter<'_> {
    fn formula(&self, expr: &Expr) -> Formula {
        self.set.language.formula(expr, self.data.as_ref())
    }

    // A condition; one that is absent always holds.
    fn condition(&self, when: Option<&Expr>) -> Formula {
        when.map_or(Formula::Constant(true), |when| self.formula(when))
    }

    // Every expression, with what it belongs to.
    fn expressions(&self) -> Vec<(String, &Expr)> {
        let mut found = Vec::new();
        for policy in &self.set.policies {
            found.extend(policy.all_expressions().into_iter().map(|expr| (format!("policy `{}`", policy.id), expr)));
        }
        for check in &self.set.checks {
            let expressions = check.when.iter().chain([&check.assert]);
            found.extend(expressions.map(|expr| (format!("check `{}`", check.id), expr)));
        }
        for (name, function) in self.set.language.functions() {
            found.push((format!("function `{name}`"), &function.body));
        }
        found
    }
}
