//! Machines that tell the conditions of two sets of policies apart.

use std::collections::BTreeMap;

use crate::expr::{Expr, Formula};
use crate::facts::Facts;
use crate::lint::solve::{Answer, can_hold};
use crate::policy::PolicySet;

/// For each condition that the two sets write differently, machines on which just one of the two holds.
pub fn of_conditions(base: &PolicySet, head: &PolicySet) -> Vec<Facts> {
    let (before, after) = (conditions(base), conditions(head));
    let mut found = Vec::new();
    for (id, condition) in &after {
        let Some(old) = before.get(id).filter(|old| *old != condition) else { continue };
        for (holds, fails) in [(condition, old), (old, condition)] {
            let apart = Formula::All(vec![holds.clone(), fails.clone().holds().negated()]);
            if let Answer::On(witness) = can_hold(&apart) {
                found.push(witness.facts());
            }
        }
    }
    found
}

fn conditions(set: &PolicySet) -> BTreeMap<String, Formula> {
    let data = set.data.node();
    let formula = |when: &Option<Expr>| match when {
        Some(when) => set.language.formula(when, data.as_ref()),
        None => Formula::Constant(true),
    };
    let mut found: BTreeMap<String, Formula> =
        set.policies.iter().map(|policy| (policy.id.clone(), formula(&policy.when))).collect();
    for check in &set.checks {
        let assert = set.language.formula(&check.assert, data.as_ref());
        found.insert(check.id.clone(), Formula::All(vec![formula(&check.when), assert.negated()]));
    }
    found
}
