//! Which entries of two sets of policy files are not the same, and which facts they read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::expr::{Expr, Read};
use crate::policy::{LoadedFile, PolicySet};

/// Names of the policies, checks, functions and tables that only one side has, or that say something else.
pub fn edited(base: &[LoadedFile], head: &[LoadedFile]) -> BTreeSet<String> {
    let (base, head) = (entries(base), entries(head));
    let names = base.keys().chain(head.keys());
    names.filter(|name| base.get(*name) != head.get(*name)).cloned().collect()
}

// Every entry by its name, as far as it decides anything; of one name the highest layer's.
fn entries(files: &[LoadedFile]) -> BTreeMap<String, (u8, Value)> {
    let mut entries = BTreeMap::new();
    for LoadedFile { layer, entries: file, .. } in files {
        let mut add = |name: String, entry: Option<Value>| {
            let mut entry = entry.unwrap_or_default();
            if let Value::Object(entry) = &mut entry {
                // Words change no plan.
                ["why", "source"].iter().for_each(|key| drop(entry.shift_remove(*key)));
            }
            entries.insert(name, (*layer, entry));
        };
        file.policies.iter().for_each(|entry| add(entry.id.clone(), serde_json::to_value(entry).ok()));
        file.checks.iter().for_each(|entry| add(entry.id.clone(), serde_json::to_value(entry).ok()));
        file.functions.iter().for_each(|(name, entry)| add(format!("{name}()"), serde_json::to_value(entry).ok()));
        file.data.iter().for_each(|(name, entry)| add(format!("data.{name}"), serde_json::to_value(entry).ok()));
        file.disable.iter().for_each(|id| add(format!("disable {id}"), None));
    }
    entries
}

/// The facts that the edited entries read, and those behind the settings that they read.
pub fn facts(set: &PolicySet, edited: &BTreeSet<String>) -> BTreeSet<String> {
    let is_edited = |id: &str, expressions: &[&Expr]| {
        edited.contains(id)
            || edited.contains(&format!("disable {id}"))
            || expressions.iter().any(|expr| reads_edited(set, expr, edited))
    };
    let mut facts = BTreeSet::new();
    let mut settings = Vec::new();
    let mut read = |expressions: &[&Expr], settings: &mut Vec<String>| {
        for read in expressions.iter().flat_map(|expr| set.reads(expr)) {
            match read {
                Read::Fact(name) => drop(facts.insert(name)),
                Read::Setting(name) => settings.push(name),
                Read::Data(_) | Read::Function(_) => {}
            }
        }
    };
    for policy in &set.policies {
        let expressions = policy.all_expressions();
        if is_edited(&policy.id, &expressions) {
            read(&expressions, &mut settings);
        }
    }
    for check in &set.checks {
        let expressions: Vec<&Expr> = check.when.iter().chain([&check.assert]).collect();
        if is_edited(&check.id, &expressions) {
            read(&expressions, &mut settings);
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(setting) = settings.pop() {
        if !seen.insert(setting.clone()) {
            continue;
        }
        let gives = |policy: &&crate::policy::Policy| {
            policy.settings().iter().any(|index| crate::settings::SETTINGS.get(*index).name == setting)
        };
        for policy in set.policies.iter().filter(gives) {
            read(&policy.all_expressions(), &mut settings);
        }
    }
    facts
}

fn reads_edited(set: &PolicySet, expr: &Expr, edited: &BTreeSet<String>) -> bool {
    set.reads(expr).iter().any(|read| match read {
        Read::Function(name) => edited.contains(&format!("{name}()")),
        read => read.name().is_some_and(|name| edited.contains(&name)),
    })
}
