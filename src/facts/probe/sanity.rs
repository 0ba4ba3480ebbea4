//! Values that cannot be true, whoever reports them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::diag::{Finding, Span};
use crate::facts::units::show;
use crate::facts::{Fact, Facts, vocabulary};

/// More RAM than any machine has that runs these models: 64 TiB.
const MOST_RAM: u64 = 64 << 40;

/// More VRAM than any card has: 16 TiB.
const MOST_VRAM: u64 = 16 << 40;

/// What a 32-bit counter of bytes, or one of MiB made from it, cannot exceed.
const CAPS: [u64; 2] = [u32::MAX as u64, 4095 << 20];

/// Numbers that no card has are outside these, by the fact's name in the table of facts. The bounds are wide: what they
/// refuse is a wrong unit, an error code or a counter that ran over.
const RANGES: &[(&str, RangeInclusive<f64>)] = &[
    ("gpus[].compute_capability", 1.0..=50.0),
    ("gpus[].pcie.generation", 1.0..=20.0),
    ("gpus[].pcie.generation_max", 1.0..=20.0),
    ("gpus[].pcie.width", 1.0..=64.0),
    ("gpus[].pcie.width_max", 1.0..=64.0),
    ("gpus[].performance_state", 0.0..=15.0),
    ("gpus[].power.draw", 0.0..=1e5),
    ("gpus[].power.limit", 0.0..=1e5),
    ("gpus[].power.limit_default", 0.0..=1e5),
    ("gpus[].power.limit_max", 0.0..=1e5),
    ("gpus[].power.limit_min", 0.0..=1e5),
    ("gpus[].temperature.current", -100.0..=250.0),
    ("gpus[].temperature.max_operating", -100.0..=250.0),
    ("gpus[].temperature.shutdown", -100.0..=250.0),
    ("gpus[].temperature.slowdown", -100.0..=250.0),
    ("gpus[].temperature.target", -100.0..=250.0),
    ("gpus[].utilization", 0.0..=1.0),
];

/// Facts that are a part of another one.
const PARTS: &[(&str, &str)] = &[
    ("cpu.allowed_cores", "cpu.physical_cores"),
    ("cpu.efficiency_cores", "cpu.physical_cores"),
    ("cpu.performance_cores", "cpu.physical_cores"),
    ("cpu.physical_cores", "cpu.logical_cpus"),
    ("disk.free", "disk.total"),
    ("ram.available", "ram.total"),
    ("ram.swap_free", "ram.swap_total"),
];

/// Makes every value that cannot be true unknown, each with a `fact-impossible` finding.
///
/// `place` says where a fact stands in the file it was read from, if in one. A value that is only doubtful stays, with a
/// `fact-suspect` finding.
pub fn check(facts: &mut Facts, place: impl Fn(&str) -> Option<Span>) {
    check_ranges(facts, &place);
    check_parts(facts, &place);
    if facts.value("cpu.allowed_cpus").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        refuse(facts, "cpu.allowed_cpus", "[]", "is none at all", place("cpu.allowed_cpus"));
    }
    let numbers: Vec<(String, u64)> = facts
        .iter()
        .filter_map(|(name, fact)| match fact {
            Fact::Known { value, .. } => Some((name.to_owned(), value.as_u64()?)),
            Fact::Unknown { .. } => None,
        })
        .collect();
    for (name, value) in numbers {
        let why = match name.rsplit_once('.') {
            _ if name == "ram.total" => ram(value),
            Some((_, "memory")) if name.starts_with("numa.nodes[") => {
                (value > MOST_RAM).then(|| "is more than any machine has".to_owned())
            }
            Some((gpu, "total")) if name.starts_with("gpus[") => vram(facts, gpu, value),
            Some((gpu, "free" | "used" | "reserved")) if name.starts_with("gpus[") => {
                let total = facts.value(&format!("{gpu}.total")).and_then(Value::as_u64);
                total.filter(|&total| total > 0 && value > total).map(|_| "is more than the card has".to_owned())
            }
            Some((_, "packages" | "physical_cores" | "logical_cpus")) if value == 0 => {
                Some("is none at all".to_owned())
            }
            _ => None,
        };
        if let Some(why) = why {
            refuse(facts, &name, &shown(&name, &value.into()), &why, place(&name));
        } else if name.ends_with(".vram.total") && value == 4 << 30 {
            let message = format!(
                "`{name}` is exactly 4 GiB: true of few cards, and what tools with a 32-bit counter say of any larger one"
            );
            facts.findings.push(locate(Finding::warning("fact-suspect", message), place(&name)));
        }
    }
    let names: Vec<(String, String)> = facts
        .iter()
        .filter(|(name, _)| name.starts_with("gpus[") && name.ends_with("].name"))
        .filter_map(|(name, fact)| match fact {
            Fact::Known { value, .. } => Some((name.to_owned(), value.as_str()?.to_owned())),
            Fact::Unknown { .. } => None,
        })
        .collect();
    for (fact, name) in names {
        if let Some(why) = unlike_a_name(&name) {
            refuse(facts, &fact, &name, why, place(&fact));
        }
    }
}

fn check_ranges(facts: &mut Facts, place: impl Fn(&str) -> Option<Span>) {
    let outside = |(name, fact): (&str, &Fact)| {
        let Fact::Known { value, .. } = fact else { return None };
        let (_, range) = RANGES.iter().find(|(generic, _)| *generic == vocabulary::generic(name))?;
        (!range.contains(&value.as_f64()?)).then(|| (name.to_owned(), value.clone()))
    };
    let outside: Vec<(String, Value)> = facts.iter().filter_map(outside).collect();
    for (name, value) in outside {
        refuse(facts, &name, &shown(&name, &value), "no card has", place(&name));
    }
}

fn check_parts(facts: &mut Facts, place: impl Fn(&str) -> Option<Span>) {
    for (part, whole) in PARTS {
        let number = |name: &str| facts.value(name).and_then(Value::as_u64);
        if let (Some(number), Some(all)) = (number(part), number(whole))
            && number > all
        {
            let why = format!("is more than `{whole}`, {}", shown(whole, &all.into()));
            refuse(facts, part, &shown(part, &number.into()), &why, place(part));
        }
    }
}

fn shown(name: &str, value: &Value) -> String {
    show(value, vocabulary::find(name).and_then(|spec| spec.unit))
}

/// The same for facts of several sources, some of which were checked with their places at hand; what is found again is
/// said once.
pub fn check_again(facts: &mut Facts) {
    check(facts, |_| None);
    let mut said = BTreeSet::new();
    facts.findings.retain(|finding| said.insert((finding.code.clone(), finding.message.clone())));
}

fn ram(total: u64) -> Option<String> {
    match total {
        0 => Some("is none at all".to_owned()),
        _ if total > MOST_RAM => Some("is more than any machine has".to_owned()),
        _ if CAPS.contains(&total) => Some("is the most that a 32-bit counter can say".to_owned()),
        _ => None,
    }
}

fn vram(facts: &Facts, gpu: &str, total: u64) -> Option<String> {
    let parts = ["used", "free"].map(|part| facts.value(&format!("{gpu}.{part}")).and_then(Value::as_u64));
    match total {
        0 => Some("is none at all".to_owned()),
        _ if total > MOST_VRAM => Some("is more than any card has".to_owned()),
        _ if CAPS.contains(&total) => Some("is the most that a 32-bit counter can say".to_owned()),
        // Each part is rounded to MiB on its own.
        _ => match parts {
            [Some(used), Some(free)] if used.saturating_add(free) > total.saturating_add(2 << 20) => {
                Some("is less than what is used and free together".to_owned())
            }
            _ => None,
        },
    }
}

fn unlike_a_name(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        return Some("is empty");
    }
    if name == "Graphics Device" {
        return Some("is what the driver calls a card that it does not know");
    }
    let version = name.contains('.') && name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (version || name.bytes().all(|b| b.is_ascii_digit())).then_some("looks like a version, not like a name")
}

fn refuse(facts: &mut Facts, name: &str, value: &str, why: &str, place: Option<Span>) {
    let origin = facts.origin(name).map_or_else(String::new, |origin| format!(" ({origin})"));
    let message = format!("`{name}` is reported as `{value}`, which {why}{origin}");
    facts.findings.push(locate(Finding::warning("fact-impossible", message), place));
    facts.unknown(name, format!("reported as `{value}`, which {why}"));
}

fn locate(finding: Finding, place: Option<Span>) -> Finding {
    match place {
        Some(span) => finding.at(span, ""),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;

    #[test]
    fn impossible_values_become_unknown_and_possible_ones_stay() {
        let cases: [(&str, Value, bool); 12] = [
            ("ram.total", (373_u64 << 40).into(), false),
            ("ram.total", u64::from(u32::MAX).into(), false),
            ("ram.total", (63_u64 << 40).into(), true),
            ("gpus[0].vram.total", 0.into(), false),
            ("gpus[0].vram.total", (4095_u64 << 20).into(), false),
            ("gpus[0].vram.total", (16376_u64 << 20).into(), true),
            ("gpus[0].name", "535.104.05".into(), false),
            ("gpus[0].name", "Graphics Device".into(), false),
            ("gpus[0].name", "NVIDIA L4".into(), true),
            ("cpu.packages", 0.into(), false),
            ("numa.nodes[1].memory", (400_u64 << 40).into(), false),
            ("numa.nodes[1].memory", (4_u64 << 30).into(), true),
        ];
        for (name, value, possible) in cases {
            let mut facts = Facts::new("");
            facts.know(name, value.clone(), Origin::Nvml);
            check(&mut facts, |_| None);
            assert_eq!(facts.value(name).is_some(), possible, "{name} {value}");
            let impossible = facts.findings.iter().filter(|finding| finding.code.as_str() == "fact-impossible").count();
            assert_eq!(impossible, usize::from(!possible), "{name} {value}");
            let before = facts.findings.len();
            check(&mut facts, |_| None);
            assert_eq!(facts.findings.len(), before, "{name} {value}");
        }
    }

    #[test]
    fn numbers_outside_what_hardware_has_are_impossible() {
        for (name, possible, impossible) in [
            ("gpus[1].compute_capability", 12.1, 89.0),
            ("gpus[0].compute_capability", 3.5, 0.0),
            ("gpus[0].temperature.current", -5.0, 4_294_967_295.0),
            ("gpus[0].utilization", 1.0, 65.0),
            ("gpus[0].pcie.generation", 7.0, 0.0),
            ("gpus[0].power.limit", 1400.0, 450_000.0),
        ] {
            for (value, stays) in [(possible, true), (impossible, false)] {
                let mut facts = Facts::new("");
                facts.know(name, value, Origin::Nvml);
                check(&mut facts, |_| None);
                assert_eq!(facts.value(name).is_some(), stays, "{name} {value}");
            }
        }
        let mut facts = Facts::new("");
        facts.know("cpu.allowed_cpus", Value::Array(Vec::new()), Origin::Sysinfo);
        facts.know("gpus[0].name", " ", Origin::Nvml);
        check(&mut facts, |_| None);
        assert_eq!(facts.reason("cpu.allowed_cpus"), "reported as `[]`, which is none at all");
        assert_eq!(facts.reason("gpus[0].name"), "reported as ` `, which is empty");
    }

    #[test]
    fn parts_must_fit_their_whole() {
        let mut facts = Facts::new("");
        facts.know("ram.total", 8_u64 << 30, Origin::Sysinfo);
        facts.know("ram.available", 9_u64 << 30, Origin::Sysinfo);
        facts.know("cpu.physical_cores", 8, Origin::Hwloc);
        facts.know("cpu.logical_cpus", 8, Origin::Hwloc);
        check(&mut facts, |_| None);
        assert_eq!(facts.reason("ram.available"), "reported as `9 GiB`, which is more than `ram.total`, 8 GiB");
        assert_eq!(facts.value("cpu.physical_cores"), Some(&8.into()));

        let mut facts = Facts::new("");
        facts.know("gpus[0].vram.total", 8_u64 << 30, Origin::NvidiaSmi);
        facts.know("gpus[0].vram.free", 9_u64 << 30, Origin::NvidiaSmi);
        check(&mut facts, |_| None);
        assert_eq!(facts.reason("gpus[0].vram.free"), "reported as `9 GiB`, which is more than the card has");
        assert!(facts.value("gpus[0].vram.total").is_some());
    }

    #[test]
    fn a_total_of_four_gib_stays_with_a_warning() {
        let mut facts = Facts::new("");
        facts.know("gpus[0].vram.total", 4_u64 << 30, Origin::NvidiaSmi);
        check(&mut facts, |_| None);
        assert!(facts.value("gpus[0].vram.total").is_some());
        assert_eq!(facts.findings[0].code.as_str(), "fact-suspect");
    }
}
