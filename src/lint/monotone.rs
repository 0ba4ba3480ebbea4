//! More VRAM, RAM or cores never makes a setting worse: looked for over the machines of a corpus, each with more and more
//! of one of them, and shown with the smallest counter-example.

use jiff::civil::Date;
use rayon::prelude::*;
use serde_json::Value;

use crate::corpus::edges::edges;
use crate::corpus::smallest::smallest;
use crate::corpus::{Answer, Corpus, Machine};
use crate::diag::Finding;
use crate::expr::formula::Constant;
use crate::facts::units::{Unit, show};
use crate::facts::{Facts, Origin};
use crate::plan::{Plan, Setting};
use crate::policy::PolicySet;
use crate::settings::SETTINGS;

/// What a machine can have more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Memory of the GPU that the workload runs on.
    Vram,
    /// Memory of the machine.
    Ram,
    /// Cores, all of which the process may use.
    Cores,
}

impl More {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vram, Self::Ram, Self::Cores];

    fn fact(self) -> &'static str {
        match self {
            Self::Vram => "gpu.vram.total",
            Self::Ram => "ram.total",
            Self::Cores => "cpu.physical_cores",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Vram => "VRAM",
            Self::Ram => "RAM",
            Self::Cores => "cores",
        }
    }

    fn show(self, amount: i64) -> String {
        match self {
            Self::Vram | Self::Ram if amount % (1 << 30) != 0 => format!("{} MiB", amount >> 20),
            Self::Vram | Self::Ram => show(&amount.into(), Some(Unit::Bytes)),
            Self::Cores => amount.to_string(),
        }
    }

    // The smallest step.
    fn step(self) -> i64 {
        match self {
            Self::Vram | Self::Ram => 1 << 20,
            Self::Cores => 1,
        }
    }

    /// The machine with so much of it; `None` where it is unknown how much there is.
    pub fn with(self, facts: &Facts, amount: i64) -> Option<Facts> {
        facts.value(self.fact())?;
        let mut facts = facts.clone();
        match self {
            Self::Vram => {
                let gpu = facts.gpu_index()?;
                facts.know(format!("gpus[{gpu}].vram.total"), amount, Origin::User);
            }
            Self::Ram => facts.know("ram.total", amount, Origin::User),
            Self::Cores => {
                let cpus = facts.value("cpu.allowed_cpus").and_then(Value::as_array).map_or(1, Vec::len) as i64;
                let cpus = amount * (cpus / facts.value("cpu.physical_cores")?.as_i64()?.max(1)).max(1);
                facts.know("cpu.physical_cores", amount, Origin::User);
                facts.know("cpu.allowed_cores", amount, Origin::User);
                facts.know("cpu.allowed_cpus", (0..cpus).collect::<Vec<_>>(), Origin::User);
                facts.know("cpu.logical_cpus", cpus, Origin::User);
            }
        }
        Some(facts)
    }

    // Amounts from small to large: about a fourth more each time, and both sides of each number that policies compare with.
    fn amounts(self, set: &PolicySet) -> Vec<i64> {
        let (mut amount, most) = match self {
            Self::Vram => (2_i64 << 30, 320_i64 << 30),
            Self::Ram => (4 << 30, 1 << 40),
            Self::Cores => (1, 256),
        };
        let mut amounts = Vec::new();
        while amount <= most {
            amounts.push(amount);
            amount += (amount / 4 / self.step()).max(1) * self.step();
        }
        for (edge, _) in edges(set).remove(self.fact()).unwrap_or_default() {
            let sides = edge.sides(self.fact());
            amounts.extend(
                sides
                    .iter()
                    .filter_map(|side| if let Constant::Number(number) = side { Some(*number as i64) } else { None }),
            );
        }
        amounts.sort_unstable();
        amounts.dedup();
        amounts
    }
}

/// A setting that is worse on the better machine.
#[derive(Clone, Debug)]
pub struct Worse {
    /// The setting.
    pub name: String,
    /// Its value on the lesser machine.
    pub before: Setting,
    /// Its value on the better one.
    pub after: Setting,
}

/// The settings that are worse in the second plan, of those of which the schema says what is better.
pub fn worse(lesser: &Plan, better: &Plan) -> Vec<Worse> {
    let both = SETTINGS
        .iter()
        .filter_map(|spec| Some((spec, lesser.settings.get(&spec.name)?, better.settings.get(&spec.name)?)));
    let worse = both.filter(|(spec, before, after)| spec.is_better(&before.value, &after.value));
    worse
        .map(|(spec, before, after)| Worse { name: spec.name.clone(), before: before.clone(), after: after.clone() })
        .collect()
}

/// The settings that get worse somewhere, each once for VRAM, RAM and cores.
pub fn violations(set: &PolicySet, corpus: &Corpus, as_of: Date) -> Vec<Finding> {
    let mut found: Vec<(More, Worse, Finding)> = Vec::new();
    for more in More::ALL {
        let amounts = more.amounts(set);
        let tried: Vec<Vec<(Worse, Finding)>> = corpus
            .machines
            .par_iter()
            .enumerate()
            .map(|(i, machine)| Trial { set, machine, model: i, more, as_of }.violations(&amounts))
            .collect();
        for (worse, finding) in tried.into_iter().flatten() {
            if found.iter().all(|(of, other, _)| *of != more || other.name != worse.name) {
                found.push((more, worse, finding));
            }
        }
    }
    found.into_iter().map(|(_, _, finding)| finding).collect()
}

// A machine with more and more of something, asked about one model: of each machine the next one.
struct Trial<'a> {
    set: &'a PolicySet,
    machine: &'a Machine,
    model: usize,
    more: More,
    as_of: Date,
}

impl Trial<'_> {
    fn answer(&self, facts: &Facts, amount: i64) -> Option<Answer> {
        let facts = self.more.with(facts, amount)?;
        Some(Machine { facts, ..self.machine.clone() }.answer(self.set, self.model, self.as_of))
    }

    fn violations(&self, amounts: &[i64]) -> Vec<(Worse, Finding)> {
        let answers: Vec<(i64, Answer)> =
            amounts.iter().filter_map(|amount| Some((*amount, self.answer(&self.machine.facts, *amount)?))).collect();
        let mut found: Vec<(Worse, Finding)> = Vec::new();
        for pair in answers.windows(2) {
            let [(less, before), (more, after)] = pair else { continue };
            for worse in worse(&before.plan, &after.plan) {
                if found.iter().all(|(other, _)| other.name != worse.name) {
                    let finding = self.finding(&worse.name, *less, *more);
                    found.extend(finding.map(|finding| (worse, finding)));
                }
            }
        }
        found
    }

    // The setting on both sides, when it is worse with more.
    fn between(&self, facts: &Facts, name: &str, less: i64, more: i64) -> Option<Worse> {
        let (before, after) = (self.answer(facts, less)?, self.answer(facts, more)?);
        worse(&before.plan, &after.plan).into_iter().find(|worse| worse.name == name)
    }

    // The counter-example: the two amounts moved together as far as they go, on the smallest machine that shows it.
    fn finding(&self, name: &str, mut less: i64, mut more: i64) -> Option<Finding> {
        let facts = &self.machine.facts;
        while more - less > self.more.step() {
            let middle = less + (more - less) / 2 / self.more.step() * self.more.step();
            if self.between(facts, name, less, middle).is_some() {
                more = middle;
            } else if self.between(facts, name, middle, more).is_some() {
                less = middle;
            } else {
                break;
            }
        }
        let worse = self.between(facts, name, less, more)?;
        let needed = smallest(facts, |facts| self.between(facts, name, less, more).is_some());
        let unit = worse.after.unit;
        let workload = self.answer(facts, more)?.workload;
        let message = format!(
            "more {} makes `{name}` worse: {} with {}, {} with {}, for {workload}",
            self.more.name(),
            show(&worse.before.value, unit),
            self.more.show(less),
            show(&worse.after.value, unit),
            self.more.show(more),
        );
        let mut finding = Finding::warning("not-monotone", message);
        for setting in [&worse.after, &worse.before] {
            if let Some(policy) = &setting.policy
                && finding.labels.iter().all(|label| label.span != policy.span)
            {
                finding = finding.at(policy.span.clone(), format!("gives {}", show(&setting.value, unit)));
            }
        }
        let needed: Vec<String> =
            needed.into_iter().filter(|fact| !fact.starts_with(&format!("{} =", self.more.fact()))).collect();
        Some(finding.help(format!(
            "on a machine like `{}`; what matters of it: {}",
            self.machine.name,
            needed.join(", ")
        )))
    }
}
