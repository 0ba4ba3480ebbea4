//! The smallest machine that shows a difference.

use std::collections::BTreeMap;

use crate::expr::{Expr, Formula};
use crate::facts::units::{Unit, show};
use crate::facts::{Fact, Facts, vocabulary};
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

/// What remains of a machine when every fact is left out that can be, while it shows the difference.
pub fn smallest(machine: &Facts, has: impl Fn(&Facts) -> bool) -> Vec<String> {
    let mut facts = machine.clone();
    facts.findings.clear();
    let known = |facts: &Facts| -> Vec<String> {
        facts.iter().filter(|(_, fact)| matches!(fact, Fact::Known { .. })).map(|(name, _)| name.to_owned()).collect()
    };
    // Whole families first, then one by one.
    let families = known(&facts).into_iter().filter_map(|name| Some(name.split_once('.')?.0.to_owned()));
    let mut families: Vec<String> = families.collect();
    families.dedup();
    for name in families.into_iter().chain(known(&facts)) {
        let mut without = facts.clone();
        without.forget(&name);
        if has(&without) {
            facts = without;
        }
    }
    let mut shown = Vec::new();
    for name in known(&facts) {
        let (Some(value), Some(spec)) = (facts.value(&name), vocabulary::find(&name)) else { continue };
        // Next to a boundary the figures of GiB would hide on which side.
        let shown_value = match (spec.unit, value.as_u64()) {
            (Some(Unit::Bytes), Some(bytes)) if bytes % (1 << 30) != 0 => format!("{} MiB", bytes.div_ceil(1 << 20)),
            _ => show(value, spec.unit),
        };
        shown.push(format!("{name} = {shown_value}"));
    }
    shown
}
