//! What is wrong with policies that all compile: conditions that can never hold, two that hold together and disagree,
//! one that another hides.
//!
//! A condition that compares facts with constants divides the machines into cells, and one machine of each cell is asked,
//! so the answers are exact; [`solve`] asks, the other parts make findings of the answers. What rests on anything else is
//! not decided, and not reported.

mod cards;
mod conditions;
pub mod corpus;
mod layers;
pub mod monotone;
pub mod solve;
mod vram;

use jiff::civil::Date;

use crate::corpus::Corpus;
use crate::diag::Finding;
use crate::expr::{Expr, Formula, Node};
use crate::policy::{Allowed, PolicySet};

/// Everything that is wrong with the policies: what their compilation warns of, and what they say together on some
/// machine, or on those of a corpus on a day. What a file accepts about itself is left out.
pub fn lint(set: &PolicySet, over: Option<(&Corpus, Date)>) -> Vec<Finding> {
    let linter = Linter { set, data: set.data.node() };
    let mut findings = set.findings.clone();
    linter.conditions(&mut findings);
    linter.layers(&mut findings);
    linter.vram(&mut findings);
    linter.cards(&mut findings);
    if let Some((corpus, as_of)) = over {
        corpus::lint(set, corpus, as_of, &mut findings);
    }
    for allowed in &set.allowed {
        let before = findings.len();
        findings.retain(|finding| !accepts(allowed, finding));
        let is_asked = over.is_some() || !corpus::CODES.contains(&allowed.code.as_str());
        if findings.len() == before && is_asked {
            let message = format!("nothing in this file gives the finding `{}` that it allows", allowed.code);
            findings.push(Finding::warning("unused-allow", message).at(allowed.span.clone(), ""));
        }
    }
    findings
}

// Whether it is the finding's code, and about the same file.
fn accepts(allowed: &Allowed, finding: &Finding) -> bool {
    let about = finding.labels.first().map(|label| &label.span.source.name);
    finding.code.as_str() == allowed.code && about == Some(&allowed.span.source.name)
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
