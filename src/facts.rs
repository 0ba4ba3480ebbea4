//! What is known of a machine: [`Facts`], each with its origin, or unknown with the reason.
//!
//! Probes ([`probe`]) and facts files ([`mod@file`]) give `Facts`; the engine reads them. The names, types, units and
//! meanings stand in one table, [`vocabulary::FACTS`].

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub mod cards;
pub mod file;
pub mod probe;
pub mod units;
pub mod vocabulary;
pub mod workload;

use crate::diag::Finding;

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The NVIDIA driver, through NVML.
    Nvml,
    /// A saved `nvidia-smi -q` dump.
    NvidiaSmi,
    /// The operating system, through sysinfo, the kernel's files or Win32.
    Sysinfo,
    /// The topology, through hwloc (live or from its XML).
    Hwloc,
    /// A saved table of `lscpu`.
    Lscpu,
    /// Metadata of installed packages.
    Installed,
    /// The headers of checkpoints on disk.
    Checkpoint,
    /// The files of an installation, and what was measured of it.
    Installation,
    /// Measured by this program, and kept in the installation.
    Measured,
    /// A table in the policies (compute capability by PCI device id, say).
    Table,
    /// A facts file, where it names no finer origin.
    File,
    /// The command line or the environment.
    User,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvml => "nvml",
            Self::NvidiaSmi => "nvidia-smi",
            Self::Sysinfo => "sysinfo",
            Self::Hwloc => "hwloc",
            Self::Lscpu => "lscpu",
            Self::Installed => "installed",
            Self::Checkpoint => "checkpoint",
            Self::Installation => "installation",
            Self::Measured => "measured",
            Self::Table => "table",
            Self::File => "file",
            Self::User => "user",
        })
    }
}

/// One fact: its value and where it comes from, or why it is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A value in the fact's canonical unit. For a list of records (`gpus`) the value is its length.
    Known {
        /// A boolean, number, text, or list of integers; never null.
        value: Value,
        /// Who reported it.
        origin: Origin,
    },
    /// Not known, and why.
    Unknown {
        /// One clause, lower case, no final period: `no NVIDIA driver answers`.
        reason: String,
    },
}

impl Fact {
    /// Whether there is a value.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

/// The facts of one machine, by concrete name (`gpus[0].vram.total`).
///
/// A name of the vocabulary that is not present is unknown too: [`Facts::reason`] says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    facts: BTreeMap<String, Fact>,
    absent: String,
    /// What the probes have to say: contradictions, impossible values, missing drivers.
    pub findings: Vec<Finding>,
}

impl Facts {
    /// No facts; `absent` is the reason given for every fact that is never inserted.
    pub fn new(absent: impl Into<String>) -> Self {
        Self { facts: BTreeMap::new(), absent: absent.into(), findings: Vec::new() }
    }

    /// Records a value. A null value is ignored: absence is said with [`Facts::unknown`].
    pub fn know(&mut self, name: impl Into<String>, value: impl Into<Value>, origin: Origin) {
        let value = value.into();
        if !value.is_null() {
            self.facts.insert(name.into(), Fact::Known { value, origin });
        }
    }

    /// Records that a fact is unknown, and why.
    pub fn unknown(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        let reason = reason.into();
        self.facts.insert(name.into(), Fact::Unknown { reason });
    }

    /// Records the value, or that it is unknown because of the error.
    pub fn know_or<V: Into<Value>, E: fmt::Display>(
        &mut self,
        name: impl Into<String>,
        value: Result<V, E>,
        origin: Origin,
    ) {
        match value {
            Ok(value) => self.know(name, value, origin),
            Err(reason) => self.unknown(name, reason.to_string()),
        }
    }

    /// Forgets a fact and everything below it (`gpus` forgets `gpus[0].name` too).
    pub fn forget(&mut self, name: &str) {
        self.facts.retain(|known, _| !is_at_or_below(known, name));
    }

    /// Records of another thing what is recorded of one: `gpus[0]` → `gpus[1]`.
    pub fn repeat(&mut self, name: &str, other: &str) {
        let same = |(known, fact): (&String, &Fact)| {
            let below = known.strip_prefix(name).filter(|_| is_at_or_below(known, name))?;
            Some((format!("{other}{below}"), fact.clone()))
        };
        let repeated: Vec<(String, Fact)> = self.facts.iter().filter_map(same).collect();
        self.facts.extend(repeated);
    }

    /// The fact, when something was recorded for this very name. `gpu.x` reads the selected device.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        match name.strip_prefix("gpu.") {
            Some(rest) if rest != "index" => self.facts.get(&format!("gpus[{}].{rest}", self.gpu_index()?)),
            _ => self.facts.get(name),
        }
    }

    /// The value, `None` when unknown.
    pub fn value(&self, name: &str) -> Option<&Value> {
        match self.get(name)? {
            Fact::Known { value, .. } => Some(value),
            Fact::Unknown { .. } => None,
        }
    }

    /// The origin of a known fact.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        match self.get(name)? {
            Fact::Known { origin, .. } => Some(*origin),
            Fact::Unknown { .. } => None,
        }
    }

    /// Why the fact is unknown: its own reason, that of the family it belongs to, or that nothing reported it.
    pub fn reason(&self, name: &str) -> &str {
        if let Some(Fact::Unknown { reason }) = self.get(name) {
            return reason;
        }
        let mut family = match name.strip_prefix("gpu.") {
            Some(_) if self.count("gpus") == Some(0) => return "the machine has no NVIDIA GPU",
            Some(rest) => format!("gpus[{}].{rest}", self.gpu_index().unwrap_or(0)),
            None => name.to_owned(),
        };
        while let Some(end) = family.rfind(['.', '[']) {
            family.truncate(end);
            if let Some(Fact::Unknown { reason }) = self.facts.get(&family) {
                return reason;
            }
        }
        &self.absent
    }

    /// How many records a list holds (`gpus`, `numa.nodes`); `None` when the list is unknown.
    pub fn count(&self, list: &str) -> Option<usize> {
        usize::try_from(self.value(list)?.as_u64()?).ok()
    }

    /// The concrete names that a name of the table has here: `gpus[].name` → that of every GPU.
    ///
    /// A list that is unknown keeps its `[]`; a concrete name is its own only one.
    pub fn concrete(&self, name: &str) -> Vec<String> {
        let Some((list, rest)) = name.split_once("[]") else { return vec![name.to_owned()] };
        match self.count(list) {
            None => vec![name.to_owned()],
            Some(count) => (0..count).flat_map(|i| self.concrete(&format!("{list}[{i}]{rest}"))).collect(),
        }
    }

    /// Which GPU the workload runs on, `None` without one.
    ///
    /// The one recorded as `gpu.index`, else the one with the most VRAM (the first of equals).
    pub fn gpu_index(&self) -> Option<usize> {
        let count = self.count("gpus")?;
        let chosen = self.facts.get("gpu.index").and_then(|fact| match fact {
            Fact::Known { value, .. } => usize::try_from(value.as_u64()?).ok(),
            Fact::Unknown { .. } => None,
        });
        chosen.filter(|&index| index < count).or_else(|| {
            (0..count).max_by_key(|i| {
                let total = self.value(&format!("gpus[{i}].vram.total"));
                (total.and_then(Value::as_u64), std::cmp::Reverse(*i))
            })
        })
    }

    /// Every recorded fact, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.facts.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// Takes over the facts of another probe. What is already known stays; what is unknown here is filled.
    pub fn fill(&mut self, other: Self) {
        for (name, fact) in other.facts {
            if !matches!(self.facts.get(&name), Some(Fact::Known { .. })) {
                self.facts.insert(name, fact);
            }
        }
        self.findings.extend(other.findings);
    }

    /// A short hash of what stays the same on this machine: first 16 hexadecimal digits of a SHA-256 over the known facts
    /// that settings may read, but the question asked and the names of files.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for (name, fact) in &self.facts {
            let is_stable = vocabulary::find(name).is_some_and(|spec| spec.stability == vocabulary::Stability::Stable);
            let is_left_out = is_at_or_below(name, "workload") || name.ends_with("].file");
            if let (Fact::Known { value, .. }, true) = (fact, is_stable && !is_left_out) {
                text += &format!("{name}={value}\n");
            }
        }
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The known facts as a tree nested by the dotted names; lists of records are arrays.
    pub fn to_tree(&self) -> Map<String, Value> {
        let mut root = Value::Object(Map::new());
        for (name, fact) in &self.facts {
            let Fact::Known { value, .. } = fact else { continue };
            let is_list = vocabulary::find(name).is_some_and(|spec| spec.ty == vocabulary::FactType::Records);
            // A record that nothing is known of counts too.
            let records = self.count(name).filter(|_| is_list);
            let value = records.map_or_else(|| value.clone(), |count| vec![Map::new(); count].into());
            insert(&mut root, name, value);
        }
        match root {
            Value::Object(tree) => tree,
            _ => Map::new(),
        }
    }
}

/// Whether `name` is `family` or stands below it.
pub fn is_at_or_below(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

// Puts a value at a concrete name, making maps and list items on the way. A list stands before its items in name order.
fn insert(root: &mut Value, name: &str, value: Value) {
    let mut node = root;
    for part in name.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, rest)) => (key, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Value::Object(map) = node else { return };
        let child = map.entry(key).or_insert_with(|| match index {
            Some(_) => Value::Array(Vec::new()),
            None => Value::Object(Map::new()),
        });
        node = match (index, child) {
            (Some(index), Value::Array(items)) => {
                while items.len() <= index {
                    items.push(Value::Object(Map::new()));
                }
                &mut items[index]
            }
            (_, child) => child,
        };
    }
    *node = value;
}
