//! A machine's facts for people.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::facts::units::show;
use crate::facts::vocabulary::{self, FACTS, FactSpec, FactType};
use crate::facts::{Fact, Facts, is_at_or_below};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// Width of lists, in characters: they fit into a terminal of 80.
const WIDTH: usize = 76;

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
            text.push_str(&format!("  {reason}:\n    {}\n", super::wrap(&names.join(", "), WIDTH, 4)));
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
        (Some(Value::Array(items)), Some(FactType::Ints)) => match spec.and_then(|spec| spec.unit) {
            Some(unit) if !items.is_empty() => {
                items.iter().map(|item| show(item, Some(unit))).collect::<Vec<_>>().join(", ")
            }
            _ => ranges(items),
        },
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
    // What is not asked of a machine is not missed.
    let others = ["workload", "gpu", "installation"];
    for spec in FACTS.iter().filter(|spec| others.iter().all(|family| !is_at_or_below(spec.name, family))) {
        names.extend(facts.concrete(spec.name).into_iter().filter(|name| facts.value(name).is_none()));
    }
    let covered = |name: &String| names.iter().any(|other| other != name && is_at_or_below(name, other));
    let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names.iter().filter(|name| !covered(name)) {
        reasons.entry(facts.reason(name).to_owned()).or_default().insert(name.clone());
    }
    reasons.into_iter().map(|(reason, names)| (reason, in_short(&names, facts))).collect()
}

// Names of one reason: a family for all its facts, and `gpus[0-7].…` for one that no card has.
fn in_short(names: &BTreeSet<String>, facts: &Facts) -> BTreeSet<String> {
    let cards = facts.count("gpus").unwrap_or(0);
    let of_card = |name: &str, card: usize| Some(name.strip_prefix(&format!("gpus[{card}]."))?.to_owned());
    let mut short = BTreeSet::new();
    for name in names {
        let family = family(name);
        let is_of_it = |spec: &&FactSpec| spec.name.starts_with(&format!("{family}.")) && !spec.name.contains("[]");
        let mut facts_of_it = FACTS.iter().filter(is_of_it);
        if facts_of_it.clone().count() > 1 && facts_of_it.all(|spec| names.contains(spec.name)) {
            short.insert(family);
            continue;
        }
        let everywhere = of_card(name, 0).or_else(|| (1..cards).find_map(|card| of_card(name, card)));
        let everywhere = everywhere
            .filter(|rest| cards > 1 && (0..cards).all(|card| names.contains(&format!("gpus[{card}].{rest}"))));
        short.insert(everywhere.map_or_else(|| name.clone(), |rest| format!("gpus[0-{}].{rest}", cards - 1)));
    }
    short
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

    #[test]
    fn what_no_card_and_no_fact_of_a_family_has_is_said_once() {
        let mut facts = Facts::new("the dump does not say");
        facts.know("gpus", 3, Origin::NvidiaSmi);
        facts.know("gpus[1].name", "a card", Origin::NvidiaSmi);
        facts.know("host.os", "linux", Origin::User);
        let text = render(&facts, Paint::default());
        for (said, whether) in
            [("gpus[0-2].compute_capability,", true), ("gpus[0].name", true), (" cpu,", true), (" host,", false)]
        {
            assert_eq!(text.contains(said), whether, "{said}: {text}");
        }
    }
}
