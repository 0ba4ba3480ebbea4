//! The smallest machine that shows something.

use crate::facts::units::{Unit, show};
use crate::facts::{Fact, Facts, vocabulary};

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
