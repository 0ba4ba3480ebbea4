//! `fit`: which videos fit.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::card::Card;
use super::error::CliError;
use super::inputs::today;
use super::machine::{MachineOptions, complete};
use super::options::{Goal, InstallationOptions, OutputOptions, PolicyOptions, parse_pin};
use super::{Exit, Screen};
use crate::diag::did_you_mean;
use crate::engine::Question;
use crate::facts::units::{Unit, parse_quantity};
use crate::facts::workload::{self, Workload};
use crate::facts::{Facts, Origin, cards};
use crate::fit::{self, Fit as Answer};
use crate::policy::{PolicySet, Stack};
use crate::report::fit::{FitRecord, FitReport, SCHEMA};
use crate::report::human;
use crate::report::{json, svg};
use crate::scaffold::machine::summary;
use crate::settings::SETTINGS;

/// The capability of a card of which nothing but the VRAM is asked: Ampere, the oldest with bf16.
const CAPABILITY: f64 = 8.6;

/// The small size that is asked about beside a model's own, px: the one that every Wan model of 480p makes.
const SMALL: [i64; 2] = [832, 480];

/// Show which models and sizes fit, by phase, and what would make the others fit
///
/// Each model at the size that it is usually run at, and at 832x480, where the stack takes that; or
/// those that are asked for. It fits, fits marginally (only when memory does not fragment, or with
/// nothing else on the card), or does not fit.
///
/// Examples:
///   wan22-policy fit
///   wan22-policy fit --model ti2v-5b --size 1280x704x121 --why --svg budget.svg
///   wan22-policy fit --gpu "RTX 4070 Ti" --ram 32GiB
///   wan22-policy fit --stack official --vram 24GiB
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Fit {
    /// Only this model; may be given several times
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,

    /// This size and, or else the model's own, number of frames; may be given several times
    #[arg(long, value_name = "WxH[xF]", value_parser = parse_size)]
    size: Vec<Size>,

    /// So many denoising steps, as 4 with a distilled model [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    steps: Option<u16>,

    /// Passes of the transformer in each step: 2 with guidance, 1 without (CFG 1) [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    passes: Option<u8>,

    /// The stack that runs it; may be given several times [default: diffusers]
    #[arg(long, value_name = "ID")]
    stack: Vec<String>,

    /// Also show what lies on the card in each phase, as a bar
    #[arg(long)]
    why: bool,

    /// Write those bars to this file as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// What to favour where there is a choice [default: balanced]
    #[arg(long, value_enum)]
    goal: Option<Goal>,

    /// Ask about a setting of your own, such as offload.dit=none; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_pin)]
    pins: Vec<(String, Value)>,

    /// VRAM that is left to others; the same as --set memory.reserve=SIZE
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    reserve_vram: Option<i64>,

    /// Another machine with this card, as `nvidia-smi -L` names it; its VRAM is a little less than on the box
    #[arg(long, value_name = "NAME", help_heading = "Machine")]
    gpu: Option<String>,

    /// Another machine with a card of so much VRAM as it reports, or another size of the one that --gpu names
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, help_heading = "Machine")]
    vram: Option<i64>,

    /// So many of that card
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16), help_heading = "Machine")]
    gpus: u8,

    /// The RAM of that machine
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, help_heading = "Machine")]
    ram: Option<i64>,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    policies: PolicyOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

/// Width, height and, where it was said, the number of frames.
type Size = (i64, i64, Option<i64>);

impl Fit {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let set = self.policies.compile()?;
        let mut facts = self.facts()?;
        if let Some(goal) = self.goal {
            facts.know("workload.goal", goal.as_str(), Origin::User);
        }
        facts.know("workload.steps", self.steps, Origin::User);
        facts.know("workload.passes", self.passes, Origin::User);
        let answers = self.answers(&set, &facts)?;
        if let Some(path) = &self.svg {
            fs::write(path, svg::budgets(&summary(&facts), &answers))
                .map_err(|error| CliError::failed(format!("cannot write {}: {error}", path.display())))?;
        }
        if self.output.is_json() {
            let fit = answers.iter().map(FitRecord::from).collect();
            screen.print(&json::text(&FitReport { schema: SCHEMA.to_owned(), machine: summary(&facts), fit }))?;
            return Ok(Exit::Fine);
        }
        let mut text = format!("{}\n", screen.paint.bold(&summary(&facts)));
        text += &human::fit::render(&answers, self.why, screen.paint);
        if self.gpu.is_none() && self.vram.is_some() {
            text += &screen.paint.faint("\n  --gpu names the card, and narrows the times\n");
        }
        if self.why {
            answers.iter().for_each(|answer| text += &human::fit::budget(answer, screen.paint));
        }
        screen.print(&text)?;
        Ok(Exit::Fine)
    }

    fn answers(&self, set: &PolicySet, facts: &Facts) -> Result<Vec<Answer>, CliError> {
        let none = Map::new();
        let models = set.table("models").and_then(Value::as_object).unwrap_or(&none);
        let question = Question { pins: self.pins()?, as_of: today() };
        let mut asked = Vec::new();
        for model in self.models(models)? {
            for stack in self.stacks(set)? {
                let workloads = self.workloads((set, stack, &question), facts, model, models)?;
                asked.extend(workloads.into_iter().map(|facts| (stack, facts)));
            }
        }
        let answers = asked.par_iter().map(|(stack, facts)| fit::fit(set, stack, facts, &question));
        answers.collect::<Result<_, String>>().map_err(unanswered)
    }

    fn models<'a>(&'a self, models: &'a Map<String, Value>) -> Result<Vec<&'a str>, CliError> {
        if self.model.is_empty() {
            return Ok(models.keys().map(String::as_str).collect());
        }
        let known = |model: &'a String| match models.get_key_value(&model.to_lowercase()) {
            Some((name, _)) => Ok(name.as_str()),
            None => {
                let names: Vec<&str> = models.keys().map(String::as_str).collect();
                let help = did_you_mean(model, names.iter().copied());
                let help = help.unwrap_or_else(|| format!("there are {}", names.join(", ")));
                Err(CliError::usage(format!("unknown model `{model}`")).help(help))
            }
        };
        self.model.iter().map(known).collect()
    }

    fn stacks<'a>(&self, set: &'a PolicySet) -> Result<Vec<&'a Stack>, CliError> {
        let asked =
            if self.stack.is_empty() { vec!["diffusers"] } else { self.stack.iter().map(String::as_str).collect() };
        let known = |id: &str| {
            set.stacks.iter().find(|stack| stack.id == id).ok_or_else(|| {
                let all: Vec<&str> = set.stacks.iter().map(|stack| stack.id.as_str()).collect();
                CliError::usage(format!("unknown stack `{id}`")).help(format!("there are {}", all.join(", ")))
            })
        };
        asked.into_iter().map(known).collect()
    }

    // The machine with each size that is asked of the model on a stack.
    fn workloads(
        &self,
        (set, stack, question): (&PolicySet, &Stack, &Question),
        facts: &Facts,
        model: &str,
        models: &Map<String, Value>,
    ) -> Result<Vec<Facts>, CliError> {
        let of = |size: Option<Size>| {
            let mut facts = facts.clone();
            facts.forget("workload.model");
            Workload { model: model.to_owned(), size: None }.record(&mut facts);
            if let Some((width, height, frames)) = size {
                facts.know("workload.width", width, Origin::User);
                facts.know("workload.height", height, Origin::User);
                if let Some(frames) = frames {
                    facts.know("workload.frames", frames, Origin::User);
                }
            }
            workload::complete(&mut facts, models).map_err(|error| CliError::usage(error.to_string()))?;
            Ok(facts)
        };
        if !self.size.is_empty() {
            return self.size.iter().map(|size| of(Some(*size))).collect();
        }
        // The model's own size and a small one, or where the stack takes neither, its largest and its smallest.
        let own = of(None)?;
        let mut taken = fit::sizes(set, stack, &own, question).map_err(unanswered)?;
        taken.retain(|[width, height]| width >= height);
        taken.sort_by_key(|[width, height]| width * height);
        let takes = |size: [i64; 2]| taken.is_empty() || taken.contains(&size);
        let of_size = |[width, height]: [i64; 2]| of(Some((width, height, None)));
        let small = taken.first().copied().filter(|_| !takes(SMALL)).unwrap_or(SMALL);
        let own = match (Workload::of(&own).size, taken.last()) {
            (Some([width, height, _]), Some(&largest)) if !takes([width, height]) => of_size(largest)?,
            _ => own,
        };
        let small = of_size(small)?;
        let is_same = Workload::of(&own) == Workload::of(&small);
        Ok(if is_same { vec![own] } else { vec![own, small] })
    }

    fn pins(&self) -> Result<BTreeMap<usize, Value>, CliError> {
        let reserve = self.reserve_vram.map(|bytes| ("memory.reserve".to_owned(), Value::from(bytes)));
        let mut pins = BTreeMap::new();
        for (name, value) in self.pins.iter().cloned().chain(reserve) {
            let index = SETTINGS.index(&name).ok_or_else(|| CliError::usage(format!("unknown setting `{name}`")))?;
            pins.insert(index, value);
        }
        Ok(pins)
    }

    // This machine or a saved one; or one that is only described.
    fn facts(&self) -> Result<Facts, CliError> {
        let mut overrides = self.machine.overrides.clone();
        overrides.extend(self.ram.map(|bytes| format!("ram.total={bytes}")));
        let (mut facts, table) = match (&self.gpu, self.vram) {
            (None, None) if self.gpus > 1 => {
                return Err(CliError::usage("--gpus says how many there are of the card that --gpu or --vram names"));
            }
            (None, None) => self.machine.gather_with_cards(&self.root, &self.policies)?,
            _ if !self.machine.is_live() => {
                return Err(CliError::usage("--gpu and --vram describe a machine, and a saved one was named too"));
            }
            _ => {
                let table = self.policies.table("gpus")?;
                let mut facts = Facts::new("nobody said so");
                match &self.gpu {
                    Some(name) => self.card(name, &table, &mut facts)?,
                    None => {
                        let vram = self.vram.unwrap_or_default();
                        overrides
                            .extend([format!("gpu.vram.total={vram}"), format!("gpu.compute_capability={CAPABILITY}")]);
                    }
                }
                (facts, table)
            }
        };
        complete(&mut facts, self.machine.gpu_index, &overrides, &table)?;
        (1..usize::from(self.gpus)).for_each(|index| facts.repeat("gpus[0]", &format!("gpus[{index}]")));
        if self.gpus > 1 {
            facts.know("gpus", self.gpus, Origin::User);
        }
        Ok(facts)
    }

    fn card(&self, asked: &str, table: &Value, facts: &mut Facts) -> Result<(), CliError> {
        let card = Card::find(asked, self.vram, table)?;
        let (total, origin) = card.total(self.vram, &self.policies.table("reported")?)?;
        facts.know("gpus", 1, Origin::Table);
        facts.know("gpus[0].name", card.name, Origin::User);
        cards::fill(facts, table);
        if let Some(rows) = card.of_size(self.vram) {
            cards::fill(facts, &rows);
        }
        facts.know("gpus[0].vram.total", total, origin);
        Ok(())
    }
}

fn unanswered(why: String) -> CliError {
    let help = "name the card with --gpu, or its memory with --vram and --ram";
    CliError::usage(format!("nobody can tell what fits: {why}")).help(help)
}

fn parse_bytes(text: &str) -> Result<i64, String> {
    let number = parse_quantity(text, Unit::Bytes).map_err(|error| error.to_string())?;
    match number.as_i64() {
        Some(bytes) if bytes < 0 => Err("it must not be negative".to_owned()),
        // Nobody means 32 bytes of RAM.
        Some(bytes) if (1..1 << 20).contains(&bytes) => Err(format!("say the unit, as in {text}GiB")),
        Some(bytes) => Ok(bytes),
        None => Err("it is no whole number of bytes".to_owned()),
    }
}

// No machine has none.
fn parse_memory(text: &str) -> Result<i64, String> {
    match parse_bytes(text)? {
        0 => Err("it must be more than nothing".to_owned()),
        bytes => Ok(bytes),
    }
}

fn parse_size(text: &str) -> Result<Size, String> {
    match workload::parse_size(text).as_deref() {
        Some(&[width, height]) => Ok((width, height, None)),
        Some(&[width, height, frames]) => Ok((width, height, Some(frames))),
        _ => Err(format!("`{text}` is not WIDTHxHEIGHT or WIDTHxHEIGHTxFRAMES, each from 1 to 65536")),
    }
}
