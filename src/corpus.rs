//! The machines of a folder, and what policies say of each: what authors test a change against.
//!
//! A machine is a facts file. It is asked about every model of the policies' table, each at its own size, so that an edit
//! of any model shows on the machines that it changes. [`snapshot`] writes the answers down, [`compare`] tells what
//! became of them, [`coverage`] what the machines leave untried.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use rayon::prelude::*;
use serde_json::Value;

pub mod compare;
pub mod coverage;
pub mod edges;
pub mod invariants;
pub mod smallest;
pub mod snapshot;
pub mod verdict;

use crate::diag::{Finding, Source};
use crate::engine::{Question, evaluate};
use crate::facts::workload::{self, DEFAULT_MODEL, Workload};
use crate::facts::{Facts, Origin, cards, file, probe};
use crate::plan::Plan;
use crate::policy::PolicySet;
use crate::yaml;

/// A machine of the corpus.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Name of its file, without the ending: `rtx-4090-24g-64g`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What is known of it.
    pub facts: Facts,
}

/// The machines of a folder.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// Those that can be read, by name.
    pub machines: Vec<Machine>,
    /// Those that cannot, with what is wrong.
    pub unreadable: Vec<(String, Vec<Finding>)>,
}

/// The plan of a machine for one workload.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `MODEL:WxHxF`.
    pub workload: String,
    /// The facts, the workload's among them.
    pub facts: Facts,
    /// What the policies say.
    pub plan: Plan,
}

impl Corpus {
    /// Reads every `*.yaml` of the folder; `cards` is the table that fills what a dump leaves out.
    ///
    /// # Errors
    /// The folder cannot be read. A file that cannot is one of the [`Self::unreadable`].
    pub fn read(folder: &Path, cards: &Value) -> std::io::Result<Self> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        let mut corpus = Self::default();
        for path in paths {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            match read(&path, cards) {
                Ok(facts) => corpus.machines.push(Machine { name, path, facts }),
                Err(findings) => corpus.unreadable.push((name, findings)),
            }
        }
        Ok(corpus)
    }

    /// Whether there is no machine at all, readable or not.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.unreadable.is_empty()
    }

    /// What the policies say of each machine, in the order of [`Self::machines`].
    pub fn answers(&self, set: &PolicySet, as_of: Date) -> Vec<Vec<Answer>> {
        self.machines.par_iter().map(|machine| machine.answers(set, as_of)).collect()
    }
}

fn read(path: &Path, cards: &Value) -> Result<Facts, Vec<Finding>> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| vec![Finding::error("facts-file", format!("cannot read `{shown}`: {error}"))])?;
    let mut facts = file::read(&yaml::parse(Source::new(shown, text)).map_err(|finding| vec![finding])?)?;
    probe::check(&mut facts);
    cards::fill(&mut facts, cards);
    Ok(facts)
}

impl Machine {
    /// What the policies say of it: first for the workload of its file, or the default one, then for each other model at
    /// the model's own size.
    pub fn answers(&self, set: &PolicySet, as_of: Date) -> Vec<Answer> {
        (0..self.models(set).len()).map(|index| self.answer(set, index, as_of)).collect()
    }

    /// What they say for one of the models; `index` counts round and round.
    pub fn answer(&self, set: &PolicySet, index: usize, as_of: Date) -> Answer {
        let mut facts = self.facts.clone();
        let models = self.models(set);
        let index = index % models.len();
        if index > 0 {
            facts.forget("workload");
            facts.know("workload.model", models[index], Origin::User);
        }
        let none = serde_json::Map::new();
        // A model without a row of its own is planned without a size, as far as the policies can.
        let _ = workload::complete(&mut facts, set.table("models").and_then(Value::as_object).unwrap_or(&none));
        let plan = evaluate(set, &facts, &Question { pins: Default::default(), as_of });
        Answer { workload: Workload::of(&facts).to_string(), facts, plan }
    }

    // The model of its file, or the default one, and all others.
    fn models<'a>(&'a self, set: &'a PolicySet) -> Vec<&'a str> {
        let first = self.facts.value("workload.model").and_then(Value::as_str).unwrap_or(DEFAULT_MODEL);
        let rows = set.table("models").and_then(Value::as_object);
        let others = rows.into_iter().flat_map(|rows| rows.keys()).map(String::as_str).filter(|model| *model != first);
        std::iter::once(first).chain(others).collect()
    }
}
