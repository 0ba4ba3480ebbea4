//! Two sets of policies and the machines of a corpus → which settings and findings differ, on which machines, and why.
//!
//! The machines of the corpus are asked first. What differs on none of them is looked for on generated ones: each machine
//! of the corpus with one fact on either side of a number that one of the two sets compares it with, and the machines
//! that tell the conditions of the two sets apart. Of those the smallest is shown: with the fewest facts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rayon::prelude::*;

mod affected;
mod witness;

use crate::corpus::compare::{Change, Entry, changes};
use crate::corpus::edges::edges;
use crate::corpus::smallest::smallest;
use crate::corpus::snapshot::Snapshot;
use crate::corpus::{Corpus, Machine};
use crate::facts::Facts;
use crate::lint::solve::assume;
use crate::policy::{LoadedFile, PolicySet};

/// Most generated machines that are asked; a few seconds.
const MAX_GENERATED: usize = 600;

/// One of the two sets of policies, with the machines as its table of cards completes them.
#[derive(Debug)]
pub struct Side {
    /// The files, as they are written.
    pub files: Vec<LoadedFile>,
    /// Compiled.
    pub set: PolicySet,
    /// The machines.
    pub corpus: Corpus,
}

/// What differs between two sets of policies.
#[derive(Clone, Debug)]
pub struct Impact {
    /// The differences, those of most machines first.
    pub differences: Vec<Difference>,
    /// How many machines of the corpus were asked.
    pub machines: usize,
    /// How many generated machines were asked.
    pub generated: usize,
    /// How many there would have been to ask.
    pub possible: usize,
    /// The policies, checks, functions and tables that are not the same: their names.
    pub edited: BTreeSet<String>,
}

/// A difference, and the machines that have it.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What was said before and after, on the first of the machines.
    pub change: Change,
    /// Whether the figures in what is said differ from machine to machine.
    pub varies: bool,
    /// The machines of the corpus.
    pub machines: Vec<String>,
    /// When no machine of the corpus has it: the smallest that was found, as facts.
    pub witness: Option<Vec<String>>,
}

// What makes two differences the same one: of findings, not the figures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    sides: [Option<String>; 2],
}

impl Key {
    fn of(change: &Change) -> Self {
        let side = |entry: &Option<Entry>| {
            entry.as_ref().map(|entry| match entry {
                Entry::Setting(given) => format!("{} ({})", given.value, given.by),
                Entry::Finding(remark) => remark.severity.clone(),
                Entry::Workload(workload) => workload.clone(),
            })
        };
        Self { name: change.name.clone(), sides: [side(&change.before), side(&change.after)] }
    }
}

/// Asks all machines by both sets.
pub fn impact(base: &Side, head: &Side, as_of: Date) -> Impact {
    let edited = affected::edited(&base.files, &head.files);
    let sides = Sides { base, head, as_of };
    let machines = sides.machines();
    let mut found = sides.of_corpus(&machines);
    let candidates = generated(base, head, &edited);
    let possible = candidates.len();
    // Evenly from all of them.
    let asked: Vec<Machine> = candidates.into_iter().step_by(possible.div_ceil(MAX_GENERATED).max(1)).collect();
    found.extend(sides.only_of_generated(&asked, &found));
    let mut differences: Vec<Difference> = found.into_values().collect();
    for difference in &mut differences {
        let mut seen = BTreeSet::new();
        difference.change.models.retain(|model| seen.insert(model.clone()));
        difference.machines.dedup();
    }
    differences.sort_by_key(|difference| std::cmp::Reverse(difference.machines.len()));
    Impact { differences, machines: machines.len(), generated: asked.len(), possible, edited }
}

struct Sides<'a> {
    base: &'a Side,
    head: &'a Side,
    as_of: Date,
}

impl<'a> Sides<'a> {
    // Each machine, as either side's table of cards completes it.
    fn machines(&self) -> Vec<(&'a Machine, &'a Machine)> {
        let other = |before: &'a Machine| self.head.corpus.machines.iter().find(|after| after.name == before.name);
        self.base.corpus.machines.iter().filter_map(|before| Some((before, other(before)?))).collect()
    }

    fn between(&self, before: &Machine, after: &Machine) -> Vec<Change> {
        let said = |side: &Side, machine: &Machine| Snapshot::of(&machine.answers(&side.set, self.as_of), |_| false);
        changes(&said(self.base, before), &said(self.head, after))
    }

    fn of_corpus(&self, machines: &[(&Machine, &Machine)]) -> BTreeMap<Key, Difference> {
        let all: Vec<Vec<Change>> = machines.par_iter().map(|(before, after)| self.between(before, after)).collect();
        let mut found: BTreeMap<Key, Difference> = BTreeMap::new();
        for ((machine, _), changes) in machines.iter().zip(all) {
            for change in changes {
                let difference = found.entry(Key::of(&change)).or_insert_with(|| Difference::new(change.clone()));
                let first = &difference.change;
                difference.varies |= (&first.before, &first.after) != (&change.before, &change.after);
                difference.change.models.extend(change.models);
                difference.machines.push(machine.name.clone());
            }
        }
        found
    }

    // What no machine of the corpus has, each with the smallest machine that was found for it.
    fn only_of_generated(&self, machines: &[Machine], of_corpus: &BTreeMap<Key, Difference>) -> Vec<(Key, Difference)> {
        let all: Vec<Vec<Change>> = machines.par_iter().map(|machine| self.between(machine, machine)).collect();
        let mut found: BTreeMap<Key, (Change, &Machine)> = BTreeMap::new();
        for (machine, changes) in machines.iter().zip(all) {
            for change in changes {
                let key = Key::of(&change);
                if !of_corpus.contains_key(&key) {
                    found.entry(key).or_insert((change, machine));
                }
            }
        }
        let with_witness = |(key, (change, machine)): (Key, (Change, &Machine))| {
            let has = |facts: &Facts| {
                let machine = Machine { facts: facts.clone(), ..machine.clone() };
                self.between(&machine, &machine).iter().any(|change| Key::of(change) == key)
            };
            let witness = smallest(&machine.facts, has);
            (key, Difference { witness: Some(witness), ..Difference::new(change) })
        };
        found.into_par_iter().map(with_witness).collect()
    }
}

impl Difference {
    fn new(change: Change) -> Self {
        Self { change, varies: false, machines: Vec::new(), witness: None }
    }
}

// The machines at the boundaries of the facts that edited entries read, and those that tell conditions apart.
fn generated(base: &Side, head: &Side, edited: &BTreeSet<String>) -> Vec<Machine> {
    let machine = |facts: Facts| Machine { name: String::new(), path: Default::default(), facts };
    let mut machines: Vec<Machine> = witness::of_conditions(&base.set, &head.set).into_iter().map(machine).collect();
    let mut names = affected::facts(&base.set, edited);
    names.extend(affected::facts(&head.set, edited));
    let mut values: Vec<(String, serde_json::Value)> = Vec::new();
    for (name, edges) in [&base.set, &head.set].into_iter().flat_map(edges).filter(|(name, _)| names.contains(name)) {
        values.extend(edges.iter().flat_map(|(edge, _)| edge.sides(&name)).map(|side| (name.clone(), side.to_json())));
    }
    // The smaller value is found first, and shown.
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0);
    values.sort_by(|(a, x), (b, y)| a.cmp(b).then(number(x).total_cmp(&number(y))));
    values.dedup();
    for seed in &head.corpus.machines {
        for (name, value) in &values {
            let mut facts = seed.facts.clone();
            assume(&mut facts, name, value);
            machines.push(machine(facts));
        }
    }
    machines
}
