//! A machine file from the facts of a machine: its name, what its first lines say, and where its numbers come from.

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::diag::placeholder::PLACEHOLDER;
use crate::facts::file::FactsFile;
use crate::facts::units::{Unit, show};
use crate::facts::vocabulary::find;
use crate::facts::{Facts, Origin};

/// Words in the names of cards that tell no two of them apart.
const USUAL: &[&str] = &["nvidia", "geforce", "tesla", "quadro", "gpu", "graphics", "generation", "edition"];

/// Sizes that memory is sold in, GiB. Any other is named as it is.
const SOLD: &[u64] = &[2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];

/// The share of what is built in that a system reports at least: firmware, a graphics unit and a kernel's reserve take
/// the rest. The machines in `tests/machines` that were measured report 96 to 98 %.
const REPORTED: f64 = 0.94;

/// `<gpu>-<vram>-<ram>[-<what is odd>]`, as in `rtx-4090-24g-64g`; before it `fake-` when the card is one that was only
/// named.
pub fn name(facts: &Facts) -> String {
    let mut parts = cards(facts);
    if let Some(ram) = number(facts, "ram.total") {
        parts.push(size(ram));
    }
    let holds = |fact: &str| facts.value(fact) == Some(&Value::Bool(true));
    let is_windows = facts.value("host.os").is_some_and(|os| os == "windows");
    let odd = [("win", is_windows), ("wsl2", holds("host.wsl")), ("container", holds("host.container"))];
    parts.extend(odd.into_iter().filter(|(_, is_so)| *is_so).map(|(word, _)| word.to_owned()));
    if facts.iter().any(|(name, _)| name.starts_with("gpus") && facts.origin(name) == Some(Origin::User)) {
        parts.insert(0, "fake".to_owned());
    }
    parts.join("-")
}

/// The file, after the line that names its schema. `from` says where the facts were read, `day` when.
///
/// # Errors
/// A fact that is no YAML.
pub fn text(facts: &Facts, file: &FactsFile, from: &str, day: Date) -> std::io::Result<String> {
    let named: Vec<&str> =
        facts.iter().map(|(name, _)| name).filter(|name| facts.origin(name) == Some(Origin::User)).collect();
    let mut source = vec![format!("{from} on {day}, by wan22-policy {}.", env!("CARGO_PKG_VERSION"))];
    if !named.is_empty() {
        source.push(format!("{PLACEHOLDER}: where these come from: {}.", named.join(", ")));
    }
    source.push(format!("{PLACEHOLDER}: what is special about this machine, so that a reader knows why it is here."));
    let written = crate::yaml::write(&by_hand(file)?)?;
    let (schema, rest) = written.split_once('\n').unwrap_or((&written, ""));
    Ok(format!("# {}.\n{schema}\nsource: >-\n  {}\n{rest}", summary(facts), source.join("\n  ")))
}

// The file as one would write it by hand: sizes in MiB and CPUs as ranges where that loses nothing, and no word of what is
// empty, nor of origins where somebody said it all.
fn by_hand(file: &FactsFile) -> Result<Value, serde_json::Error> {
    let mut written = serde_json::to_value(file)?;
    if let Some(parts) = written.as_object_mut() {
        parts.iter_mut().filter(|(part, _)| *part == "facts").for_each(|(_, facts)| shorten(facts, ""));
        let is_said = file.origins.values().all(|origin| *origin == Origin::User);
        parts.retain(|part, value| match part.as_str() {
            "origins" => !is_said,
            "unknown" => value != &json!({}),
            "findings" => value != &json!([]),
            _ => true,
        });
    }
    Ok(written)
}

fn shorten(value: &mut Value, name: &str) {
    const MIB: u64 = 1 << 20;
    let unit = || find(name).and_then(|spec| spec.unit);
    let shorter = match value {
        Value::Object(below) => {
            let dot = if name.is_empty() { "" } else { "." };
            return below.iter_mut().for_each(|(key, value)| shorten(value, &format!("{name}{dot}{key}")));
        }
        Value::Array(items) => match cpu_list(items) {
            Some(list) if name.ends_with("cpus") => Some(list),
            _ => return items.iter_mut().for_each(|item| shorten(item, &format!("{name}[]"))),
        },
        Value::Number(number) if unit() == Some(Unit::Bytes) => {
            number.as_u64().filter(|bytes| *bytes > 0 && bytes % MIB == 0).map(|bytes| format!("{} MiB", bytes / MIB))
        }
        _ => None,
    };
    if let Some(text) = shorter {
        *value = text.into();
    }
}

// `0-3,8`, as the kernel writes it; nothing for what is no list of numbers in their order.
fn cpu_list(items: &[Value]) -> Option<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for item in items {
        let cpu = item.as_u64()?;
        match ranges.last_mut() {
            Some((_, last)) if cpu == *last + 1 => *last = cpu,
            Some((_, last)) if cpu <= *last => return None,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    (!ranges.is_empty()).then(|| ranges.into_iter().map(range).collect::<Vec<_>>().join(","))
}

/// The machine in a few words: `NVIDIA L4 (22.49 GiB), 2 cores of AMD EPYC, 24 GiB RAM, Debian 12`.
pub fn summary(facts: &Facts) -> String {
    let text = |fact: &str| facts.value(fact).and_then(Value::as_str);
    let card = |index: usize| {
        let name = text(&format!("gpus[{index}].name")).unwrap_or("a GPU without a name").to_owned();
        match facts.value(&format!("gpus[{index}].vram.total")) {
            Some(vram) => format!("{name} ({})", show(vram, Some(Unit::Bytes))),
            None => name,
        }
    };
    let cards: Vec<String> = (0..facts.count("gpus").unwrap_or(0)).map(card).collect();
    let named = |same: &[String]| match same {
        [one] => one.clone(),
        several => format!("{} x {}", several.len(), several[0]),
    };
    let mut parts: Vec<String> = cards.chunk_by(|one, next| one == next).map(named).collect();
    match facts.count("gpus") {
        Some(0) => parts.push("No GPU".to_owned()),
        None => parts.push("A machine whose GPUs are unknown".to_owned()),
        Some(_) => {}
    }
    if let (Some(cores), Some(model)) = (facts.value("cpu.physical_cores"), text("cpu.model")) {
        parts.push(format!("{cores} cores of {}", model.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some(ram) = facts.value("ram.total") {
        parts.push(format!("{} RAM", show(ram, Some(Unit::Bytes))));
    }
    parts.extend(text("host.os_version").map(str::to_owned));
    parts.join(", ")
}

// Each kind of card once, `2x24g` where there are two of it.
fn cards(facts: &Facts) -> Vec<String> {
    let Some(count) = facts.count("gpus") else { return vec!["unknown-gpu".to_owned()] };
    let mut kinds: Vec<(String, Option<String>, usize)> = Vec::new();
    for index in 0..count {
        let card = facts.value(&format!("gpus[{index}].name")).and_then(Value::as_str).map_or_else(unnamed, short);
        let vram = number(facts, &format!("gpus[{index}].vram.total")).map(|bytes| format!("{}g", gib(bytes).ceil()));
        match kinds.iter_mut().find(|(other, size, _)| *other == card && *size == vram) {
            Some((.., number)) => *number += 1,
            None => kinds.push((card, vram, 1)),
        }
    }
    let kind = |(card, vram, number): (String, Option<String>, usize)| {
        let number = if number > 1 { format!("{number}x") } else { String::new() };
        match vram {
            Some(vram) => format!("{card}-{number}{vram}"),
            None => format!("{number}{card}"),
        }
    };
    if kinds.is_empty() { vec!["no-gpu".to_owned()] } else { kinds.into_iter().map(kind).collect() }
}

fn unnamed() -> String {
    "unknown-gpu".to_owned()
}

// `NVIDIA GeForce RTX 3070 Laptop GPU` → `rtx-3070-laptop`; the size of its memory, as in `A100-SXM4-80GB`, is said apart.
fn short(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let is_size = |word: &str| word.strip_suffix("gb").is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
    let words: Vec<&str> = words.filter(|word| !USUAL.contains(word) && !is_size(word)).collect();
    if words.is_empty() { unnamed() } else { words.join("-") }
}

// `64g` for the 62.7 GiB that are left of what is built in.
fn size(bytes: f64) -> String {
    let total = gib(bytes);
    let sold = SOLD.iter().copied().find(|&sold| (sold as f64 * REPORTED..=sold as f64).contains(&total));
    format!("{}g", sold.unwrap_or(total.round() as u64))
}

fn number(facts: &Facts, name: &str) -> Option<f64> {
    facts.value(name).and_then(Value::as_f64)
}

fn gib(bytes: f64) -> f64 {
    bytes / (1_u64 << 30) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;
    use crate::facts::file::override_fact;

    fn machine(facts: &[&str], origin: Origin) -> Facts {
        let mut made = Facts::new("");
        facts.iter().for_each(|fact| override_fact(&mut made, fact).unwrap());
        let mut told = Facts::new("");
        for (name, _) in made.iter() {
            told.know(name, made.value(name).unwrap().clone(), origin);
        }
        told
    }

    #[test]
    fn machines_are_named_by_what_tells_them_apart() {
        for (facts, expected) in [
            (
                &["gpus[0].name=NVIDIA GeForce RTX 4090", "gpus[0].vram.total=24564MiB", "ram.total=62.5GiB"][..],
                "rtx-4090-24g-64g",
            ),
            (&["gpus[0].name=Tesla T4", "gpus[0].vram.total=15360MiB", "ram.total=12.5GiB"], "t4-15g-13g"),
            (
                &[
                    "gpus[0].name=NVIDIA A100-SXM4-80GB",
                    "gpus[0].vram.total=81920MiB",
                    "gpus[1].name=NVIDIA A100-SXM4-80GB",
                    "gpus[1].vram.total=81920MiB",
                    "host.container=true",
                ],
                "a100-sxm4-2x80g-container",
            ),
            (
                &["gpus[0].name=NVIDIA GeForce RTX 3070 Laptop GPU", "ram.total=16GiB", "host.os=windows"],
                "rtx-3070-laptop-16g-win",
            ),
            (&["gpus=0", "ram.total=8GiB"], "no-gpu-8g"),
            (&["ram.total=4GiB", "host.wsl=true"], "unknown-gpu-4g-wsl2"),
            (&["gpus[0].name=NVIDIA"], "unknown-gpu"),
        ] {
            assert_eq!(name(&machine(facts, Origin::Nvml)), expected);
        }
    }

    #[test]
    fn a_card_that_was_only_named_is_a_fake() {
        assert_eq!(name(&machine(&["gpu.name=NVIDIA L4", "gpu.vram.total=23034MiB"], Origin::User)), "fake-l4-23g");
        assert_eq!(name(&machine(&["ram.total=32GiB"], Origin::User)), "unknown-gpu-32g");
    }

    #[test]
    fn the_source_asks_for_what_the_program_cannot_know() {
        let facts = machine(&["gpus=0", "ram.total=32GiB", "cpu.allowed_cpus=0-3,8"], Origin::Sysinfo);
        let text = text(&facts, &FactsFile::from(&facts), "Read from this machine", "2026-11-25".parse().unwrap());
        let text = text.unwrap();
        assert!(
            text.starts_with("# No GPU, 32 GiB RAM.\nschema: wan22-policy/facts/v1\nsource: >-\n  Read from"),
            "{text}"
        );
        let read =
            crate::facts::file::read(&crate::yaml::parse(Source::new("a.yaml", text.as_str())).unwrap()).unwrap();
        assert!(text.contains("\n    allowed_cpus: 0-3,8\n") && text.contains("total: 32768 MiB\n"), "{text}");
        assert!(facts.iter().all(|(name, _)| read.value(name) == facts.value(name)), "{text}");
        assert_eq!(read.findings[0].message, "the `source` of the machine is still to be written");
    }
}
