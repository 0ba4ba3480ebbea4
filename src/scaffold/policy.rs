//! A policy file that gives settings the values which a machine has today, on machines like it.

use serde_json::Value;

use crate::diag::placeholder::PLACEHOLDER;
use crate::facts::Facts;
use crate::facts::units::{parse_quantity, show};
use crate::plan::Plan;
use crate::settings::SettingSpec;

/// What VRAM is rounded down to in a condition, so that another card of the same kind, of which the driver keeps a little
/// more, is met too.
const HALF_A_GIB: u64 = 1 << 29;

/// The file, after the line that names its schema.
pub fn text(id: &str, settings: &[&SettingSpec], machine: &str, facts: &Facts, plan: &Plan) -> String {
    let mut text = format!("# {PLACEHOLDER}: what this file is for.\npolicies:\n  - id: {id}\n");
    if let Some(when) = condition(facts) {
        text += &format!("    # {machine} and machines like it. {PLACEHOLDER}: ask for what makes the values right.\n");
        text += &format!("    when: {when}\n");
    }
    text += "    set:\n";
    for spec in settings {
        text += &entry(spec, plan);
    }
    text += &format!("    why: \"{PLACEHOLDER}: why these values are right there\"\n");
    text += &format!(
        "    source: \"{PLACEHOLDER}: a link, a measurement with machine, date and version, or the word estimate\"\n"
    );
    text
}

// What tells the machine from others, as far as it is known: its GPU, else its cores, else its RAM.
fn condition(facts: &Facts) -> Option<String> {
    let number = |fact: &str| facts.value(fact).and_then(Value::as_u64);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(facts.value("gpu.compute_capability").map(|it| format!("gpu.compute_capability == {it}")));
    parts.extend(number("gpu.vram.total").map(|bytes| format!("gpu.vram.total >= {}", at_least(bytes))));
    if parts.is_empty() {
        parts.extend(number("cpu.physical_cores").map(|cores| format!("cpu.physical_cores >= {cores}")));
    }
    if parts.is_empty() {
        parts.extend(number("ram.total").map(|bytes| format!("ram.total >= {}", at_least(bytes))));
    }
    (!parts.is_empty()).then(|| parts.join(" && "))
}

// `gib(23.5)` for the 24564 MiB of an RTX 4090; always less, for a whole size is the one on the box.
fn at_least(bytes: u64) -> String {
    format!("gib({})", (bytes.saturating_sub(1) / HALF_A_GIB) as f64 / 2.0)
}

fn entry(spec: &SettingSpec, plan: &Plan) -> String {
    let setting = plan.settings.get(&spec.name);
    let (value, today) = match setting {
        Some(setting) => {
            let by = setting.policy.as_ref().map(|policy| format!(" of `{}`", policy.id)).unwrap_or_default();
            (literal(spec, &setting.value), format!("today's value{by}"))
        }
        None => (legal(spec), "no policy gives it a value today".to_owned()),
    };
    let range = spec.range();
    let range = if range.is_empty() { String::new() } else { format!("; {range}") };
    format!("      {}: {value} # {today}{range}\n", spec.name)
}

// As a person would write it, in its unit, where that says all of it.
fn literal(spec: &SettingSpec, value: &Value) -> String {
    let shown = show(value, spec.unit);
    match (value, spec.unit) {
        (Value::Number(number), Some(unit)) if parse_quantity(&shown, unit).is_ok_and(|it| it == *number) => shown,
        _ => value.to_string(),
    }
}

// Any value that the setting may have.
fn legal(spec: &SettingSpec) -> String {
    let (low, _) = spec.bounds();
    let value = spec.allowed().first().cloned().or_else(|| spec.legal_near(low, false));
    value.map_or_else(|| "false".to_owned(), |value| literal(spec, &value))
}
