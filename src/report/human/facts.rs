//! A machine's facts for people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::facts::units::show;
use crate::facts::vocabulary::{self, FACTS, FactType};
use crate::facts::{Fact, Facts, is_at_or_below};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// The known facts by family, each with its origin, and at the end the unknown ones by reason.
pub fn render(facts: &Facts, paint: Paint) -> String {
    let mut text = String::new();
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, fact) in facts.iter() {
        if matches!(fact, Fact::Known { .. }) {
            families.entry(family(name)).or_default().push(name.to_owned());
        }
    }
    for (family, mut names) in families {
        names.sort_by_key(|name| place(name));
        let selected = facts.gpu_index().is_some_and(|index| family == format!("gpus[{index}]"));
        text.push_str(&paint.bold(&family));
        text.push_str(if selected { " (the workload runs on this one)\n" } else { "\n" });
        let mut table = Table::default();
        for name in names {
            table.row([name.clone(), value(facts, &name), origin(facts, &name)]);
        }
        text.push_str(&table.render(paint, 2));
        text.push('\n');
    }
    let unknown = unknown(facts);
    if !unknown.is_empty() {
        text.push_str(&paint.bold("unknown"));
        text.push('\n');
        for (reason, names) in unknown {
            let names: Vec<String> = names.into_iter().collect();
            text.push_str(&format!("  {reason}:\n    {}\n", super::wrap(&names.join(", "), 112, 4)));
        }
        text.push('\n');
    }
    text
}

// `gpus[0].vram.total` → `gpus[0]`; a list of records counts to the family it is in.
fn family(name: &str) -> String {
    name.split('.').next().unwrap_or(name).to_owned()
}

// The place in the table of facts; the records of a list stand one after the other.
fn place(name: &str) -> (usize, Vec<usize>, usize) {
    let row = |name: &str| {
        let generic = vocabulary::generic(name);
        FACTS.iter().position(|spec| spec.name == generic).unwrap_or(FACTS.len())
    };
    let indices = name.split('[').skip(1).filter_map(|part| part.split(']').next()?.parse().ok());
    (row(name.split('[').next().unwrap_or(name)), indices.collect(), row(name))
}

fn value(facts: &Facts, name: &str) -> String {
    let spec = vocabulary::find(name);
    match (facts.value(name), spec.map(|spec| spec.ty)) {
        (Some(Value::Array(items)), Some(FactType::Ints)) => ranges(items),
        (Some(value), _) => {
            let text = show(value, spec.and_then(|spec| spec.unit));
            if text.is_empty() { "none".to_owned() } else { text }
        }
        (None, _) => String::new(),
    }
}

fn origin(facts: &Facts, name: &str) -> String {
    facts.origin(name).map_or_else(String::new, |origin| origin.to_string())
}

/// `[0, 1, 2, 3, 8]` → `0-3,8`, as the kernel writes a set of CPUs.
pub fn ranges(items: &[Value]) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for item in items.iter().filter_map(Value::as_i64) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == item => *last = item,
            _ => runs.push((item, item)),
        }
    }
    if runs.is_empty() {
        return "none".to_owned();
    }
    let run = |(first, last): (i64, i64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(",")
}

// Names by the reason why they are unknown; a whole family that is unknown stands for everything below it.
fn unknown(facts: &Facts) -> BTreeMap<String, BTreeSet<String>> {
    let mut names: BTreeSet<String> = facts
        .iter()
        .filter(|(_, fact)| matches!(fact, Fact::Unknown { .. }))
        .map(|(name, _)| name.to_owned())
        .collect();
    for spec in FACTS.iter().filter(|spec| !is_at_or_below(spec.name, "workload") && !is_at_or_below(spec.name, "gpu"))
    {
        names.extend(facts.concrete(spec.name).into_iter().filter(|name| facts.value(name).is_none()));
    }
    let covered = |name: &String| names.iter().any(|other| other != name && is_at_or_below(name, other));
    let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names.iter().filter(|name| !covered(name)) {
        reasons.entry(facts.reason(name).to_owned()).or_default().insert(name.clone());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::Origin;

    #[test]
    fn sets_of_cpus_are_short() {
        let ranges = |value: Value| ranges(value.as_array().unwrap());
        assert_eq!(ranges(json!([0, 1, 2, 3, 8])), "0-3,8");
        assert_eq!(ranges(json!([])), "none");
    }

    #[test]
    fn a_family_that_is_unknown_stands_for_its_facts() {
        let mut facts = Facts::new("nothing reports it");
        facts.know("ram.total", 16_i64 << 30, Origin::Sysinfo);
        facts.unknown("driver", "no driver");
        facts.unknown("gpus", "no driver");
        let text = render(&facts, Paint::default());
        assert!(text.starts_with("ram\n  ram.total  16 GiB  sysinfo\n"), "{text}");
        assert!(text.contains("  no driver:\n    driver, gpus\n"), "{text}");
    }
}
