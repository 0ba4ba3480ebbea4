//! What the values that config files hold would take, beside those of the plan: a change of a file → the VRAM that it saves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Fit, ask};
use crate::engine::Question;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::policy::{PolicySet, Stack};
use crate::settings::SETTINGS;
use crate::target::Change;

/// What a change of one setting saves, all others as they are planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Saving {
    /// The setting.
    pub setting: String,
    /// What a file holds for it.
    pub from: Value,
    /// By how many bytes the peak of the run falls; negative where it rises.
    pub bytes: i64,
}

/// What the changes of the files of a stack save, as the memory model says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Savings {
    /// Change by change, where what the file holds is a value of the setting and the stack follows it.
    pub each: Vec<Saving>,
    /// All together, bytes; `None` where the files change nothing of it, or nobody can tell what they stood for.
    pub together: Option<i64>,
}

/// The question and its answer, which rests on a plan.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The policies.
    pub set: &'a PolicySet,
    /// The stack.
    pub stack: &'a Stack,
    /// The machine and the workload.
    pub facts: &'a Facts,
    /// The question.
    pub question: &'a Question,
    /// The plan.
    pub plan: &'a Plan,
    /// The answer.
    pub answer: &'a Fit,
}

impl Savings {
    /// Asks the memory model about what the changes replace.
    pub fn of<'c>(asked: Asked<'_>, changes: impl IntoIterator<Item = &'c Change>) -> Self {
        let is_of_the_memory = |change: &&Change| asked.answer.settings.contains_key(&change.setting);
        let mut each: Vec<Saving> = Vec::new();
        // What all of them replace; `None` as soon as one says nothing certain.
        let mut replaced = Some(BTreeMap::new());
        for change in changes.into_iter().filter(|change| change.is_due()).filter(is_of_the_memory) {
            let Some(from) = asked.replaced(change) else {
                replaced = None;
                continue;
            };
            let before = replaced.as_mut().and_then(|replaced| replaced.insert(change.setting.as_str(), from));
            if before.is_some_and(|before| before != from) {
                replaced = None;
            }
            if each.iter().any(|one| one.setting == change.setting && one.from == *from) {
                continue;
            }
            if let Some(bytes) = asked.saved(&[(change.setting.as_str(), from)]) {
                each.push(Saving { setting: change.setting.clone(), from: from.clone(), bytes });
            }
        }
        let replaced: Vec<(&str, &Value)> = replaced.unwrap_or_default().into_iter().collect();
        let together = if replaced.is_empty() { None } else { asked.saved(&replaced) };
        Self { each, together }
    }

    /// What a change of one setting saves, bytes; `None` where nobody can tell.
    pub fn find(&self, change: &Change) -> Option<i64> {
        let is_it = |one: &&Saving| one.setting == change.setting && Some(&one.from) == change.from.as_ref();
        self.each.iter().find(is_it).filter(|_| change.is_due()).map(|one| one.bytes)
    }
}

impl Asked<'_> {
    // What the file holds, where that is a value of the setting and the key takes such values as they are.
    fn replaced<'c>(&self, change: &'c Change) -> Option<&'c Value> {
        let from = change.from.as_ref()?;
        let planned = &self.plan.settings.get(&change.setting)?.value;
        let is_value = SETTINGS.find(&change.setting)?.check(from).is_ok();
        (is_value && change.to.as_ref() == Some(planned)).then_some(from)
    }

    // By how many bytes the peak is above that of the answer with these values in place of the planned ones.
    fn saved(&self, others: &[(&str, &Value)]) -> Option<i64> {
        let with = self.with(others)?;
        let is_followed = others.iter().all(|(name, value)| with.settings.get(*name) == Some(*value));
        is_followed.then_some(())?;
        Some(with.peak() - self.with(&[])?.peak())
    }

    // The answer with the settings of the memory held where they are, but for these.
    fn with(&self, others: &[(&str, &Value)]) -> Option<Fit> {
        let held = self.answer.settings.iter().map(|(name, value)| (name.as_str(), value));
        let mut pins = self.question.pins.clone();
        for (name, value) in held.chain(others.iter().copied()) {
            pins.insert(SETTINGS.index(name)?, value.clone());
        }
        let question = Question { pins, as_of: self.question.as_of };
        ask(self.set, self.stack, self.facts, &question).ok().filter(|answer| !answer.is_refused())
    }
}
