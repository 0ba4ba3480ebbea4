//! Facts files: a machine as YAML or JSON, written by `facts --save` and read by `--facts`.
//!
//! The file is the JSON that `facts --format json` prints. Written by hand it may be short: only `facts` is needed,
//! numbers may carry units (`vram: { total: 16376 MiB }`), and an entry of `origins` or `unknown` counts for everything
//! below its name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::units::{Unit, parse_quantity};
use super::vocabulary::{self, FactType};
use super::{Fact, Facts, Origin, is_at_or_below};
use crate::diag::placeholder::unwritten;
use crate::diag::{Code, Finding, FindingRecord, nearest};
use crate::yaml::{Document, escape};

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/facts/v1";

/// Most records of one list. The largest machines have 16 GPUs, some tens of NUMA nodes and L3 caches.
const MAX_RECORDS: usize = 1024;

/// The facts of one machine as they stand in a file and in `facts --format json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactsFile {
    /// Name and version of this format: `wan22-policy/facts/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Where the numbers come from, when the file was written by hand or edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The known facts, nested by their dotted names; bytes as integers. Unknown ones are absent.
    pub facts: Map<String, Value>,
    /// Why a fact is unknown, by dotted name.
    #[serde(default)]
    pub unknown: BTreeMap<String, String>,
    /// Where each known fact comes from, by dotted name.
    #[serde(default)]
    pub origins: BTreeMap<String, Origin>,
    /// What the probes had to say.
    #[serde(default)]
    pub findings: Vec<FindingRecord>,
}

impl From<&Facts> for FactsFile {
    fn from(facts: &Facts) -> Self {
        let mut file = Self {
            schema: SCHEMA.to_owned(),
            source: None,
            facts: facts.to_tree(),
            unknown: BTreeMap::new(),
            origins: BTreeMap::new(),
            findings: facts.findings.iter().map(FindingRecord::from).collect(),
        };
        for (name, fact) in facts.iter() {
            match fact {
                Fact::Known { origin, .. } => {
                    file.origins.insert(name.to_owned(), *origin);
                }
                Fact::Unknown { reason } => {
                    file.unknown.insert(name.to_owned(), reason.clone());
                }
            }
        }
        file
    }
}

/// Reads a facts file.
///
/// # Errors
/// Every unknown name and every value of the wrong type or unit, each a finding at its place.
pub fn read(document: &Document) -> Result<Facts, Vec<Finding>> {
    let file: FactsFile = document.read("facts-file").map_err(|finding| vec![finding])?;
    if file.schema != SCHEMA {
        let message = format!("`{}` is not a version of the facts format that this program reads", file.schema);
        return Err(vec![
            Finding::error("facts-file", message)
                .at(document.span("/schema"), "")
                .help(format!("write `schema: {SCHEMA}`")),
        ]);
    }
    let mut reader =
        Reader { document, file: &file, facts: Facts::new("the facts file does not say"), errors: Vec::new() };
    reader.record(&file.facts, "", "/facts");
    for (name, reason) in &file.unknown {
        if vocabulary::find(name).is_none() && !is_family(name) {
            reader.unknown_name(name, &format!("/unknown/{}", escape(name)));
        } else if reader.facts.get(name).is_none() {
            reader.facts.unknown(name, reason);
        }
    }
    for name in file.origins.keys() {
        if vocabulary::find(name).is_none() && !is_family(name) {
            reader.unknown_name(name, &format!("/origins/{}", escape(name)));
        }
    }
    for record in &file.findings {
        let finding = Finding::new(Code::named(&record.code), record.severity, record.message.clone());
        reader.facts.findings.push(finding.maybe_help(record.help.clone()));
    }
    let source = file.source.as_deref().unwrap_or_default();
    reader.facts.findings.extend(unwritten("the machine", "source", source, || document.span("/source")));
    if reader.errors.is_empty() { Ok(reader.facts) } else { Err(reader.errors) }
}

/// Overrides one fact with what a person wrote: `gpu.vram.total=12GiB`, `gpus=0`, `host.os=linux`, `cpu.quota=unknown`.
///
/// `gpu.…` means the selected GPU, and makes one when the machine has none.
///
/// # Errors
/// A sentence that says what is wrong with the name or the value.
pub fn override_fact(facts: &mut Facts, assignment: &str) -> Result<(), String> {
    let (name, text) = assignment.split_once('=').ok_or_else(|| format!("`{assignment}` is not NAME=VALUE"))?;
    let (name, text) = (name.trim(), text.trim());
    let spec = vocabulary::find(name).ok_or_else(|| match suggest(name) {
        Some(help) => format!("unknown fact `{name}`; {help}"),
        None => format!("unknown fact `{name}`"),
    })?;
    if name.contains("[]") || name.contains("[-") {
        return Err(format!("`{name}` names no record; write its index, as in `gpus[0].name`"));
    }
    let name = own_name(facts, name);
    if spec.name == "gpu" {
        return Err("`gpu` is the GPU that `gpu.index` names; set that".to_owned());
    }
    if text == "unknown" {
        facts.forget(&name);
        facts.unknown(name, "said to be unknown");
        return Ok(());
    }
    let wrong = |why: String| format!("fact `{name}`: {why}");
    let value = match spec.ty {
        FactType::Text => Value::from(text),
        FactType::Bool => {
            text.parse::<bool>().map(Value::from).map_err(|_| wrong(format!("`{text}` is not true or false")))?
        }
        FactType::Int | FactType::Float => match spec.unit {
            // A share of a CPU counts too.
            Some(unit) if (spec.ty, unit) != (FactType::Float, Unit::Count) => {
                Value::Number(parse_quantity(text, unit).map_err(|e| wrong(e.to_string()))?)
            }
            _ => serde_json::from_str(text).map_err(|_| wrong(format!("`{text}` is not a number")))?,
        },
        FactType::Ints => {
            Value::from(parse_cpu_list(text).ok_or_else(|| wrong(format!("`{text}` is not a list like 0-3,8")))?)
        }
        FactType::Texts => match text {
            "[]" => Value::Array(Vec::new()),
            _ => text.split(',').map(str::trim).map(Value::from).collect(),
        },
        FactType::Records => {
            let count: usize = match text {
                "[]" => 0,
                _ => text
                    .parse()
                    .map_err(|_| wrong(format!("`{text}` is not a number of records; name their facts one by one")))?,
            };
            if count > MAX_RECORDS {
                return Err(wrong(format!("more than {MAX_RECORDS} records")));
            }
            facts.forget(&name);
            Value::from(count)
        }
    };
    if !spec.ty.admits(&value) && spec.ty != FactType::Records {
        return Err(wrong(format!("`{text}` is not {}", spec.ty.describe())));
    }
    if !in_range(spec, &value) {
        return Err(wrong("the number must not be negative".to_owned()));
    }
    if spec.name == "workload.goal" && !["speed", "balanced", "memory"].contains(&text) {
        return Err(wrong(format!("`{text}` is not speed, balanced or memory")));
    }
    if spec.name == "gpu.index" && value.as_u64().zip(facts.count("gpus")).is_some_and(|(i, n)| i >= n as u64) {
        return Err(wrong(format!("there is no GPU {text}")));
    }
    // A fact of a record that the list does not hold yet makes the record.
    if let Some((list, rest)) = name.split_once('[')
        && let Some(index) = rest.split(']').next().and_then(|i| i.parse::<usize>().ok())
    {
        if index >= MAX_RECORDS {
            return Err(wrong(format!("the index is above {}", MAX_RECORDS - 1)));
        }
        if facts.count(list).is_none_or(|count| count <= index) {
            facts.know(list, index + 1, Origin::User);
        }
    }
    facts.know(name, value, Origin::User);
    Ok(())
}

/// `0-3,8` → `[0, 1, 2, 3, 8]`: the kernel's way to write a set of CPUs. `None` when it is not one.
pub fn parse_cpu_list(text: &str) -> Option<Vec<i64>> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => {
                let cpu: i64 = part.parse().ok()?;
                (cpu, cpu)
            }
        };
        if first < 0 || last < first || last - first > 65_536 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

// `gpu.vram.total` → `gpus[0].vram.total` of the selected GPU.
fn own_name(facts: &Facts, name: &str) -> String {
    match name.strip_prefix("gpu.") {
        Some(rest) if rest != "index" => format!("gpus[{}].{rest}", facts.gpu_index().unwrap_or(0)),
        _ => name.to_owned(),
    }
}

// A number with a unit is not negative, except for a temperature.
fn in_range(spec: &vocabulary::FactSpec, value: &Value) -> bool {
    spec.unit.is_none_or(|unit| unit == Unit::Celsius) || value.as_f64().is_none_or(|number| number >= 0.0)
}

fn is_family(name: &str) -> bool {
    let generic = vocabulary::generic(name);
    vocabulary::FACTS.iter().any(|spec| is_at_or_below(spec.name, &generic))
}

/// ``did you mean `…`?`` for a fact name that does not exist.
pub fn suggest(name: &str) -> Option<String> {
    let near = nearest(&vocabulary::generic(name), vocabulary::FACTS.iter().map(|spec| spec.name))?;
    // As people write it: of the selected GPU, or of the first record.
    let near = match name.starts_with("gpu.") {
        true => near.replace("gpus[].", "gpu."),
        false => near.replace("[]", "[0]"),
    };
    Some(format!("did you mean `{near}`?"))
}

struct Reader<'a> {
    document: &'a Document,
    file: &'a FactsFile,
    facts: Facts,
    errors: Vec<Finding>,
}

impl Reader<'_> {
    fn record(&mut self, map: &Map<String, Value>, prefix: &str, pointer: &str) {
        for (key, value) in map {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let pointer = format!("{pointer}/{}", escape(key));
            match (vocabulary::find(&name), value) {
                (Some(spec), Value::Array(items)) if spec.ty == FactType::Records && items.len() > MAX_RECORDS => {
                    self.wrong(&name, &pointer, "a list of at most 1024 records");
                }
                (Some(spec), Value::Array(items)) if spec.ty == FactType::Records => {
                    self.know(&name, Value::from(items.len()));
                    for (i, item) in items.iter().enumerate() {
                        let (name, pointer) = (format!("{name}[{i}]"), format!("{pointer}/{i}"));
                        match item {
                            Value::Object(map) => self.record(map, &name, &pointer),
                            _ => self.wrong(&name, &pointer, "a map of facts"),
                        }
                    }
                }
                (_, Value::Object(map)) if is_family(&name) => self.record(map, &name, &pointer),
                (Some(spec), value) => self.leaf(&name, spec, value, &pointer),
                (None, _) => self.unknown_name(&name, &pointer),
            }
        }
    }

    fn leaf(&mut self, name: &str, spec: &vocabulary::FactSpec, value: &Value, pointer: &str) {
        let value = match (value, spec.unit) {
            (Value::String(text), Some(unit)) => match parse_quantity(text, unit) {
                Ok(number) => Value::Number(number),
                Err(error) => {
                    let finding = Finding::error("facts-file", format!("fact `{name}`: {error}"));
                    self.errors.push(finding.at(self.document.span(pointer), ""));
                    return;
                }
            },
            (Value::String(text), None) if spec.ty == FactType::Ints => match parse_cpu_list(text) {
                Some(cpus) => Value::from(cpus),
                None => return self.wrong(name, pointer, "a list like [0, 1] or 0-3,8"),
            },
            _ => value.clone(),
        };
        if !spec.ty.admits(&value) {
            return self.wrong(name, pointer, spec.ty.describe());
        }
        if !in_range(spec, &value) {
            return self.wrong(name, pointer, "a number that is not negative");
        }
        self.know(name, value);
    }

    // The origin of the longest name in `origins` that the fact is at or below.
    fn know(&mut self, name: &str, value: Value) {
        let origins = self.file.origins.iter().filter(|(family, _)| is_at_or_below(name, family));
        let origin = origins.max_by_key(|(family, _)| family.len()).map_or(Origin::File, |(_, origin)| *origin);
        self.facts.know(name, value, origin);
    }

    fn wrong(&mut self, name: &str, pointer: &str, wanted: &str) {
        let finding = Finding::error("facts-file", format!("fact `{name}` must be {wanted}"));
        self.errors.push(finding.at(self.document.span(pointer), ""));
    }

    fn unknown_name(&mut self, name: &str, pointer: &str) {
        let finding = Finding::error("unknown-fact", format!("unknown fact `{name}`"));
        self.errors.push(finding.at(self.document.key_span(pointer), "").maybe_help(suggest(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;
    use crate::yaml::{self, parse};

    const SMALL: &str = "
schema: wan22-policy/facts/v1
facts:
  ram: { total: 128 GiB }
  gpus:
    - { name: A, vram: { total: 8188 MiB } }
    - { name: B, vram: { total: 16376 MiB } }
  cpu: { allowed_cpus: 0-3 }
unknown: { driver: 'no driver' }
origins: { gpus: nvml }
";

    fn facts(text: &str) -> Result<Facts, String> {
        read(&parse(Source::new("m.yaml", text)).unwrap()).map_err(|errors| {
            let lines = errors.iter().map(|f| format!("{}: {}", f.labels[0].span.at(), f.message));
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn a_short_file_reads_with_units_and_families() {
        let facts = facts(SMALL).unwrap();
        assert_eq!(facts.value("gpu.vram.total"), Some(&Value::from(16376_i64 << 20)));
        assert_eq!(facts.origin("gpu.name"), Some(Origin::Nvml));
        assert_eq!(facts.origin("ram.total"), Some(Origin::File));
        assert_eq!(facts.reason("driver.version"), "no driver");
        assert_eq!(facts.reason("host.os"), "the facts file does not say");
        assert_eq!(facts.value("cpu.allowed_cpus"), Some(&serde_json::json!([0, 1, 2, 3])));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let before = facts(SMALL).unwrap();
        let text = yaml::write(&FactsFile::from(&before)).unwrap();
        let after = facts(&text).unwrap();
        assert!(before.iter().eq(after.iter()), "{text}");
    }

    #[test]
    fn a_card_that_nothing_is_known_of_still_counts() {
        let mut before = Facts::new("");
        before.know("gpus", 2, Origin::Nvml);
        before.unknown("gpus[0]", "the GPU fell off the bus");
        before.unknown("gpus[1]", "the GPU needs a reset");
        let after = facts(&yaml::write(&FactsFile::from(&before)).unwrap()).unwrap();
        assert_eq!(after.count("gpus"), Some(2));
        assert_eq!(after.reason("gpus[1].vram.total"), "the GPU needs a reset");
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        let text = SMALL.replace("  ram:", "  rma:").replace("8188 MiB", "8188 W");
        let shown = facts(&text).unwrap_err();
        assert!(shown.contains("m.yaml:4:3: unknown fact `rma"), "{shown}");
        assert!(shown.contains("fact `gpus[0].vram.total`: `8188 W` is in W, not in bytes"), "{shown}");
    }

    #[test]
    fn single_facts_can_be_overridden() {
        let mut facts = facts(SMALL).unwrap();
        override_fact(&mut facts, "gpu.vram.total=12GiB").unwrap();
        assert_eq!(facts.value("gpus[1].vram.total"), Some(&Value::from(12_i64 << 30)));
        override_fact(&mut facts, "gpus=0").unwrap();
        assert_eq!(facts.value("gpu.vram.total"), None);
        assert_eq!(facts.reason("gpu.name"), "the machine has no NVIDIA GPU");
        override_fact(&mut facts, "gpu.name=C").unwrap();
        assert_eq!(facts.count("gpus"), Some(1));
        assert!(override_fact(&mut facts, "gpu.vrm=1").unwrap_err().contains("unknown fact"));
        assert!(override_fact(&mut facts, "ram.total=lots").unwrap_err().contains("not a number"));
    }
}
