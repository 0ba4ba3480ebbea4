//! What became of a machine's snapshot: the settings and findings that differ, by model, with the policy that is the
//! cause.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::snapshot::{Given, Remark, Said, Snapshot};

/// What became of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The policies say what the snapshot says.
    Pass,
    /// The same values, and another policy gives one of them.
    ReasonChanged,
    /// A value or a finding differs.
    Changed,
    /// There is no snapshot yet.
    New,
    /// There is a snapshot, and no machine.
    Orphan,
    /// The machine or its snapshot cannot be read, a policy fails on it, or an invariant is violated.
    Error,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::ReasonChanged => "reason changed",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Orphan => "orphan",
            Self::Error => "error",
        }
    }
}

/// What stands on one side of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A setting's value.
    Setting(Given),
    /// A finding.
    Finding(Remark),
    /// The size at which a model is asked about.
    Workload(String),
}

/// Something that differs between two snapshots of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The models that it differs for.
    pub models: Vec<String>,
    /// The setting, the code of the finding, or `workload`.
    pub name: String,
    /// What was said; `None` when nothing was.
    pub before: Option<Entry>,
    /// What is said now; `None` when nothing is.
    pub after: Option<Entry>,
}

impl Change {
    /// Whether only the policy behind the value differs.
    pub fn is_reason(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(Entry::Setting(before)), Some(Entry::Setting(after))) => before.value == after.value,
            _ => false,
        }
    }

    /// The id of the policy or check that is the cause: the one that says what is said now, else the one that no longer
    /// says it.
    pub fn cause(&self) -> &str {
        match self.after.as_ref().or(self.before.as_ref()) {
            Some(Entry::Setting(given)) => given.policy(),
            Some(Entry::Finding(remark)) => &remark.code,
            Some(Entry::Workload(_)) | None => &self.name,
        }
    }

    /// The policy that gave the setting its value before: its id.
    pub fn was(&self) -> Option<&str> {
        match &self.before {
            Some(Entry::Setting(given)) => Some(given.policy()),
            _ => None,
        }
    }

    /// Both sides, as people read them.
    pub fn sides(&self) -> [Option<String>; 2] {
        let reason = self.is_reason();
        [&self.before, &self.after].map(|side| {
            side.as_ref().map(|entry| match entry {
                Entry::Setting(given) if reason => format!("{} ({})", given.value, given.by),
                Entry::Setting(given) => given.value.clone(),
                Entry::Finding(remark) => format!("{}: {}", remark.severity, remark.message),
                Entry::Workload(workload) => workload.clone(),
            })
        })
    }

    // What two changes have in common that are the same for different models.
    fn is_like(&self, other: &Self) -> bool {
        (&self.name, &self.before, &self.after) == (&other.name, &other.before, &other.after)
    }
}

/// What differs between two snapshots: of the same model, whatever its size.
pub fn changes(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let none = Said::default();
    let first = old.answers.first().map_or(&none, |(_, said)| said);
    let mut seen = BTreeSet::new();
    for (workload, said) in &new.answers {
        let model = model_of(workload);
        seen.insert(model);
        let before = old.answers.iter().find(|(asked, _)| model_of(asked) == model);
        let asked = before.map(|(asked, _)| asked);
        if asked != Some(workload) {
            let entry = |workload: &String| Entry::Workload(workload.clone());
            found.push(change(model, "workload", asked.map(entry), Some(entry(workload))));
        }
        // A model that is new is compared with the first one, as in its file.
        found.extend(differences(model, before.map_or(first, |(_, said)| said), said));
    }
    for (workload, _) in old.answers.iter().filter(|(workload, _)| !seen.contains(model_of(workload))) {
        found.push(change(model_of(workload), "workload", Some(Entry::Workload(workload.clone())), None));
    }
    joined(found)
}

fn change(model: &str, name: &str, before: Option<Entry>, after: Option<Entry>) -> Change {
    Change { models: vec![model.to_owned()], name: name.to_owned(), before, after }
}

// `t2v-a14b:1280x720x81` → `t2v-a14b`.
fn model_of(workload: &str) -> &str {
    workload.split(':').next().unwrap_or(workload)
}

fn differences(model: &str, old: &Said, new: &Said) -> Vec<Change> {
    let mut found = Vec::new();
    let names: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for name in names {
        let (before, after) = (old.settings.get(name), new.settings.get(name));
        if before != after {
            let entry = |given: Option<&Given>| given.cloned().map(Entry::Setting);
            found.push(change(model, name, entry(before), entry(after)));
        }
    }
    let mut codes: BTreeMap<&str, [Vec<&Remark>; 2]> = BTreeMap::new();
    for (side, remarks) in
        [old.findings.difference(&new.findings), new.findings.difference(&old.findings)].into_iter().enumerate()
    {
        remarks.for_each(|remark| codes.entry(&remark.code).or_default()[side].push(remark));
    }
    for (code, [before, after]) in codes {
        // Of one code, what is gone and what is new are the two sides of one change.
        for i in 0..before.len().max(after.len()) {
            let entry = |side: &[&Remark]| side.get(i).map(|remark| Entry::Finding((*remark).clone()));
            found.push(change(model, code, entry(&before), entry(&after)));
        }
    }
    found
}

// The same change of several models, once.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        match joined.iter_mut().find(|other| other.is_like(&change)) {
            Some(same) => same.models.extend(change.models),
            None => joined.push(change),
        }
    }
    joined
}

/// The old snapshot with some of the changes taken over.
pub fn with(old: &Snapshot, changes: &[&Change]) -> Snapshot {
    let mut snapshot = old.clone();
    for change in changes {
        for model in &change.models {
            let place = snapshot.answers.iter().position(|(workload, _)| model_of(workload) == model);
            match (&change.before, &change.after, place) {
                (_, Some(Entry::Workload(workload)), Some(place)) => snapshot.answers[place].0.clone_from(workload),
                (_, Some(Entry::Workload(workload)), None) => {
                    let first = snapshot.answers.first().map(|(_, said)| said.clone()).unwrap_or_default();
                    snapshot.answers.push((workload.clone(), first));
                }
                (Some(Entry::Workload(_)), None, Some(place)) => {
                    snapshot.answers.remove(place);
                }
                (before, after, Some(place)) => {
                    let said = &mut snapshot.answers[place].1;
                    before.iter().for_each(|entry| said.remove(&change.name, entry));
                    after.iter().for_each(|entry| said.insert(&change.name, entry));
                }
                // A change of a model that is not taken over itself.
                (_, _, None) => {}
            }
        }
    }
    snapshot
}

impl Said {
    fn remove(&mut self, name: &str, entry: &Entry) {
        match entry {
            Entry::Setting(_) => drop(self.settings.remove(name)),
            Entry::Finding(remark) => drop(self.findings.remove(remark)),
            Entry::Workload(_) => {}
        }
    }

    fn insert(&mut self, name: &str, entry: &Entry) {
        match entry {
            Entry::Setting(given) => drop(self.settings.insert(name.to_owned(), given.clone())),
            Entry::Finding(remark) => drop(self.findings.insert(remark.clone())),
            Entry::Workload(_) => {}
        }
    }
}

/// What became of a machine that both sides know.
pub fn state(changes: &[Change]) -> State {
    match changes {
        [] => State::Pass,
        changes if changes.iter().all(Change::is_reason) => State::ReasonChanged,
        _ => State::Changed,
    }
}

/// The changes of several machines with one cause.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The policy or check, or `workload`.
    pub cause: &'a str,
    /// The machines with their changes.
    pub machines: Vec<(&'a str, Vec<&'a Change>)>,
}

impl Group<'_> {
    /// Names of the settings and findings that change.
    pub fn names(&self) -> BTreeSet<&str> {
        self.machines.iter().flat_map(|(_, changes)| changes.iter().map(|change| change.name.as_str())).collect()
    }
}

/// The changes of all machines by what caused them, the cause of most machines first.
pub fn by_cause<'a>(machines: impl IntoIterator<Item = (&'a str, &'a [Change])>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&str, Vec<(&str, Vec<&Change>)>> = BTreeMap::new();
    for (machine, changes) in machines {
        for change in changes {
            let machines = groups.entry(change.cause()).or_default();
            match machines.last_mut().filter(|(name, _)| *name == machine) {
                Some((_, changes)) => changes.push(change),
                None => machines.push((machine, vec![change])),
            }
        }
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(|(cause, machines)| Group { cause, machines }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.machines.len()));
    groups
}
