//! Conditions on their own: those that can never hold, parts that say nothing, branches that are never taken, checks that
//! cannot fail.

use super::Linter;
use super::solve::{Answer, can_be, can_hold};
use crate::diag::Finding;
use crate::expr::formula::{Formula, Truths};
use crate::expr::{Branch, Expr, Part};

impl Linter<'_> {
    pub(super) fn conditions(&self, findings: &mut Vec<Finding>) {
        for policy in &self.set.policies {
            if let Some(when) = &policy.when {
                findings.extend(self.when(when, &format!("policy `{}`", policy.id)));
            }
        }
        for check in &self.set.checks {
            let what = format!("check `{}`", check.id);
            let impossible = check.when.as_ref().and_then(|when| self.when(when, &what));
            let is_possible = impossible.is_none();
            findings.extend(impossible);
            if is_possible {
                findings.extend(self.assertion(check.when.as_ref(), &check.assert, &check.id));
            }
        }
        for (what, expr) in self.expressions() {
            for branch in self.set.language.branches(expr, self.data.as_ref()) {
                findings.extend(unreachable_branch(&branch, expr, &what));
            }
        }
    }

    // What is wrong with a `when`: that it never holds, or that it has a part too many.
    fn when(&self, when: &Expr, what: &str) -> Option<Finding> {
        let parts = self.set.language.parts(when, self.data.as_ref());
        if can_hold(&all(&parts)) == Answer::Never {
            let core = core(&parts);
            let message = match core.len() {
                1 => format!("the condition of {what} can never be true"),
                _ => format!("the condition of {what} can never be true: its parts exclude each other"),
            };
            let finding = Finding::error("impossible-condition", message);
            return Some(core.iter().fold(finding, |finding, part| finding.at(when.span_of(part.range.clone()), "")));
        }
        let redundant = (parts.len() > 1).then(|| parts.iter().position(|part| is_redundant(&parts, part))).flatten();
        if let Some(index) = redundant {
            let message = format!("a part of the condition of {what} changes nothing: the rest already says it");
            let finding = Finding::warning("redundant-condition", message);
            return Some(finding.at(when.span_of(parts[index].range.clone()), ""));
        }
        if can_be(&all(&parts), Truths::FALSE) == Answer::Never {
            let message = format!("the condition of {what} is never false");
            let help = "leave it out; where it reads something unknown, ask for that with known(…)";
            return Some(Finding::warning("redundant-condition", message).at(when.span(), "").help(help));
        }
        None
    }

    fn assertion(&self, when: Option<&Expr>, assert: &Expr, id: &str) -> Option<Finding> {
        let (when, assertion) = (self.condition(when), self.formula(assert));
        if assertion == Formula::Constant(false) {
            // The way to warn of the `when` itself.
            return None;
        }
        let fails = Formula::All(vec![when.clone(), assertion.clone().negated()]);
        if can_hold(&fails) == Answer::Never {
            let message = format!("check `{id}` can never fail");
            return Some(Finding::warning("check-never-fails", message).at(assert.span(), ""));
        }
        if can_hold(&Formula::All(vec![when, assertion])) == Answer::Never {
            let message = format!("check `{id}` fails wherever it is asked");
            return Some(Finding::warning("check-always-fails", message).at(assert.span(), ""));
        }
        None
    }
}

fn all(parts: &[Part]) -> Formula {
    Formula::All(parts.iter().map(|part| part.formula.clone()).collect())
}

// The fewest parts that exclude each other.
fn core(parts: &[Part]) -> Vec<Part> {
    let mut core = parts.to_vec();
    for part in parts {
        let rest: Vec<Part> = core.iter().filter(|other| other.range != part.range).cloned().collect();
        if !rest.is_empty() && can_hold(&all(&rest)) == Answer::Never {
            core = rest;
        }
    }
    core
}

// Whether the condition comes out the same without the part, on every machine.
fn is_redundant(parts: &[Part], part: &Part) -> bool {
    let rest: Vec<Part> = parts.iter().filter(|other| other.range != part.range).cloned().collect();
    let (with, without) = (all(parts), all(&rest));
    let differ = |a: &Formula, b: &Formula| {
        let only = |a: Formula, b: Formula| Formula::All(vec![a, b.negated()]);
        Formula::Any(vec![
            only(a.clone().holds(), b.clone().holds()),
            only(a.clone().gives_something(), b.clone().gives_something()),
        ])
    };
    let differs = Formula::Any(vec![differ(&with, &without), differ(&without, &with)]);
    can_hold(&differs) == Answer::Never
}

fn unreachable_branch(branch: &Branch, expr: &Expr, what: &str) -> Option<Finding> {
    let Answer::On(_) = can_hold(&branch.reached) else { return None };
    let span = || expr.span_of(branch.range.clone());
    if can_hold(&branch.taken) == Answer::Never {
        let message = format!("a branch in {what} is never taken");
        let help = match can_hold(&branch.condition) {
            Answer::On(witness) => Some(format!("where it would be taken ({witness}), an earlier one is")),
            Answer::Never => Some("its condition can never be true".to_owned()),
            Answer::Undecided => None,
        };
        return Some(Finding::warning("unreachable-branch", message).at(span(), "").maybe_help(help));
    }
    if can_hold(&branch.left) == Answer::Never {
        let message = format!("the `else` of an `if` in {what} is never taken");
        let help = "the condition holds whenever it is asked";
        return Some(Finding::warning("unreachable-branch", message).at(span(), "").help(help));
    }
    None
}
