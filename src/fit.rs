//! Whether a video fits: a stack of the policies, a machine and a workload → the memory of each phase against what may be
//! taken, and the smallest change that makes it fit.
//!
//! The numbers are those of the policies; here they are compared and other settings, lengths and sizes are tried.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{Question, evaluate, evaluation};
use crate::expr::{EvalError, Evaluation, Expr};
use crate::facts::units::show;
use crate::facts::workload::Workload;
use crate::facts::{Facts, Origin};
use crate::policy::{PolicySet, RunTime, Stack};
use crate::settings::{SETTINGS, SettingSpec, SettingType};

pub mod saving;

/// Sizes that are tried where a video does not fit and the stack takes any, the largest first, px. All but the first suit the
/// patches of every model.
const SIZES: &[[i64; 2]] = &[[1280, 720], [1280, 704], [960, 544], [832, 480], [640, 352], [448, 256]];

/// Sizes of RAM that computers are sold with, GiB; a larger one is proposed where RAM is what is short.
const RAM_SIZES: [i64; 9] = [16, 24, 32, 48, 64, 96, 128, 192, 256];

/// Fewest frames that are proposed: a second of video at 16 frames a second.
const LEAST_FRAMES: i64 = 16;

/// The phases of a run, in order.
pub const PHASES: [&str; 3] = ["encode", "denoise", "decode"];

/// Whether it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fits {
    /// It does.
    Yes,
    /// Only when memory does not fragment, when nothing else is on the card or in the RAM, or when an estimate was too high.
    Marginal,
    /// It does not.
    No,
}

/// What a part of a phase takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name for people.
    pub name: String,
    /// Bytes of VRAM.
    pub bytes: i64,
}

/// How long something takes, seconds: at best, as expected, at worst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// At the fast end of what is known.
    pub low: f64,
    /// As expected, the middle of the two as a ratio.
    pub expected: f64,
    /// At the slow end.
    pub high: f64,
}

/// How long a run takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Time {
    /// From the prompt to the frames.
    pub run: Span,
    /// Loading before it; `None` where the disk is unknown.
    pub load: Option<Span>,
    /// Whether it rests on published runs on this very card, or is an estimate.
    pub is_published: bool,
}

/// The answer for one workload.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The stack.
    pub stack: String,
    /// The model and its size.
    pub workload: Workload,
    /// Why the stack cannot run it, whatever the machine has; `None` where it can.
    pub refused: Option<String>,
    /// The only sizes that the stack takes of the model, `[width, height]` in px; empty where it takes any.
    pub sizes: Vec<[i64; 2]>,
    /// Denoising steps, and passes of the transformer in each; `None` where nobody knows.
    pub steps: Option<[i64; 2]>,
    /// What the stack does about the settings that it rests on.
    pub settings: Map<String, Value>,
    /// Settings that were asked for with another value than the stack takes, or that it does not have.
    pub ignored: Vec<String>,
    /// What lies on the GPU in each of [`PHASES`], as the allocator counts it.
    pub phases: [Vec<Part>; 3],
    /// What the device counts beside it, bytes.
    pub context: i64,
    /// What may be lost to fragmentation before the decode, bytes.
    pub fragmentation: i64,
    /// By how much denoising and the decode may take more or less, where the figures are estimates, bytes.
    pub uncertainty: i64,
    /// VRAM that it may take, bytes.
    pub budget: i64,
    /// VRAM that it might take if nothing else were on the card, bytes.
    pub card: i64,
    /// RAM that it takes, bytes.
    pub ram: i64,
    /// RAM without which it does not run at all, bytes; with less than `ram` it slows down.
    pub least_ram: i64,
    /// RAM that it takes while everything is loaded at once, which part by part would avoid, bytes.
    pub ram_to_load: i64,
    /// RAM that it may take, bytes; `None` where the RAM is unknown.
    pub ram_budget: Option<i64>,
    /// RAM that it might take if nothing else were in it, bytes; `None` where the RAM is unknown.
    pub ram_at_best: Option<i64>,
    /// VRAM that nobody uses now, bytes; `None` where nobody was asked.
    pub free: Option<i64>,
    /// Whether what is too much for the card moves to the RAM without an error.
    pub spills: bool,
    /// How long it takes if there is room for it; `None` where nobody knows.
    pub time: Option<Time>,
    /// What makes it fit, the smallest change first; empty where it fits, and where nothing was found.
    pub would_fit_with: Vec<String>,
}

impl Fit {
    /// Peak of a phase as the allocator counts it, bytes.
    pub fn allocated(&self, phase: usize) -> i64 {
        self.phases[phase].iter().map(|part| part.bytes).sum()
    }

    /// Peak of a phase as the device reports it, bytes, when nothing is lost to fragmentation.
    pub fn reported(&self, phase: usize) -> i64 {
        self.allocated(phase) + self.context
    }

    /// What a phase takes of the device: its parts, what the device counts beside them, and before the decode what
    /// fragmentation takes at worst. Nothing that is empty.
    pub fn taken(&self, phase: usize) -> Vec<Part> {
        let mut taken = self.phases[phase].clone();
        taken.push(Part { name: "CUDA context".to_owned(), bytes: self.context });
        if phase == 2 {
            taken.push(Part { name: "fragmentation, at worst".to_owned(), bytes: self.fragmentation });
        }
        taken.retain(|part| part.bytes > 0);
        taken
    }

    /// The largest phase.
    pub fn largest(&self) -> usize {
        (0..PHASES.len()).max_by_key(|&phase| self.allocated(phase)).unwrap_or_default()
    }

    /// Peak of the run as the device reports it, bytes.
    pub fn peak(&self) -> i64 {
        self.reported(self.largest())
    }

    /// Whether it fits.
    pub fn fits(&self) -> Fits {
        match () {
            () if self.is_refused() || self.ram_at_best.is_some_and(|ram| self.least_ram > ram) => Fits::No,
            () if self.at_worst() <= self.budget && self.ram_shortfall() == 0 => Fits::Yes,
            () if self.at_best() <= self.budget.max(self.card) => Fits::Marginal,
            () => Fits::No,
        }
    }

    /// Whether the stack takes no video of this size, whatever the machine has.
    fn is_without_size(&self) -> bool {
        let size = self.workload.size.map(|[width, height, _]| [width, height]);
        !self.sizes.is_empty() && size.is_some_and(|size| !self.sizes.contains(&size))
    }

    /// Whether the stack makes no such video, whatever the machine has.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some() || self.is_without_size()
    }

    /// How long it takes; `None` where nobody knows, and where it does not fit.
    pub fn time_of_run(&self) -> Option<&Time> {
        self.time.as_ref().filter(|_| self.fits() != Fits::No)
    }

    /// What binds: a phase, `ram`, the `size` that the stack does not take, or the `stack` that cannot run it.
    pub fn binding(&self) -> &'static str {
        match () {
            () if self.refused.is_some() => "stack",
            () if self.is_without_size() => "size",
            () if self.peak() <= self.budget && self.ram_shortfall() > 0 => "ram",
            () if self.fragments() && self.peak() <= self.budget => PHASES[2],
            // Only these two are estimated.
            () if self.uncertainty > 0 && self.peak() <= self.budget => {
                PHASES[if self.reported(2) + self.fragmentation > self.reported(1) { 2 } else { 1 }]
            }
            () => PHASES[self.largest()],
        }
    }

    /// By how much it does not fit, bytes; 0 where it does. Of a marginal one, what it may lack at worst.
    pub fn shortfall(&self) -> i64 {
        match (self.fits(), self.peak() > self.budget) {
            (Fits::Yes, _) => 0,
            (_, true) => self.peak() - self.budget,
            (_, false) if self.ram_shortfall() > 0 => self.ram_shortfall(),
            (_, false) => (self.at_worst() - self.budget).max(0),
        }
    }

    /// Whether the decode fits only when memory does not fragment.
    pub fn fragments(&self) -> bool {
        self.reported(2) + self.fragmentation > self.peak().max(self.budget)
    }

    // Peak with all that may be lost or was estimated too low; of the weights that encode, the sizes are known.
    fn at_worst(&self) -> i64 {
        let estimated = self.reported(1).max(self.reported(2) + self.fragmentation) + self.uncertainty;
        estimated.max(self.reported(0))
    }

    fn at_best(&self) -> i64 {
        (self.reported(1).max(self.reported(2)) - self.uncertainty).max(self.reported(0))
    }

    /// What others must free before it fits, bytes, as the memory is used now; 0 where it fits now, or never does.
    pub fn taken_by_others(&self) -> i64 {
        let free = self.free.filter(|_| self.fits() != Fits::No);
        free.map_or(0, |free| (self.peak() - free).max(0))
    }

    fn ram_shortfall(&self) -> i64 {
        self.ram_budget.map_or(0, |budget| (self.ram - budget).max(0))
    }
}

/// Asks about one workload; its facts are complete.
///
/// # Errors
/// Why there is no answer: a fact that nobody knows, or an expression of the policies that fails.
pub fn fit(set: &PolicySet, stack: &Stack, facts: &Facts, question: &Question) -> Result<Fit, String> {
    let mut answer = ask(set, stack, facts, question)?;
    if answer.fits() != Fits::Yes {
        answer.would_fit_with = Search { set, stack, facts, question, answer: &answer }.changes();
    }
    Ok(answer)
}

/// The same without a search for what would make it fit.
///
/// # Errors
/// As [`fit`].
pub fn ask(set: &PolicySet, stack: &Stack, facts: &Facts, question: &Question) -> Result<Fit, String> {
    let plan = evaluate(set, facts, question);
    let evaluation = evaluation(set, facts, &plan);
    let bytes = |expr: &Expr| bytes(&evaluation, expr);
    let part = |(name, expr): &(String, Expr)| Ok(Part { name: name.clone(), bytes: bytes(expr)? });
    let parts = |phase: usize| stack.phases[phase].iter().map(part).collect::<Result<Vec<_>, String>>();
    let settings = settings(&evaluation, stack)?;
    // Whoever says what others take does not want to have the card alone.
    let others = question.pin("memory.reserve").and_then(Value::as_i64).unwrap_or_default();
    let card = (bytes(&stack.card)? - others).max(0);
    let is_whole = question.pin("allocator.expandable_segments") == Some(&Value::Bool(true)) && has_segments(facts);
    let fragmentation = stack.fragmentation.as_ref().filter(|_| !is_whole);
    Ok(Fit {
        stack: stack.id.clone(),
        workload: Workload::of(facts),
        steps: steps(facts),
        refused: refused(&evaluation, stack),
        sizes: taken_sizes(&evaluation, stack)?,
        ignored: ignored(set, &settings, question),
        settings,
        phases: [parts(0)?, parts(1)?, parts(2)?],
        context: bytes(&stack.context)?,
        fragmentation: fragmentation.map_or(Ok(0), bytes)?,
        uncertainty: stack.uncertainty.as_ref().map_or(Ok(0), bytes)?,
        budget: bytes(&stack.budget)?,
        card,
        ram: bytes(&stack.ram)?,
        least_ram: bytes(stack.least_ram.as_ref().unwrap_or(&stack.ram))?,
        ram_to_load: bytes(stack.ram_to_load.as_ref().unwrap_or(&stack.ram))?,
        ram_budget: bytes(&stack.ram_budget).ok(),
        ram_at_best: bytes(stack.ram_at_best.as_ref().unwrap_or(&stack.ram_budget)).ok(),
        free: bytes(&stack.free).ok(),
        spills: evaluation.eval(&stack.spills, &[]).is_ok_and(|spills| spills == true),
        time: stack.time.as_ref().map_or(Ok(None), |time| self::time(&evaluation, time))?,
        would_fit_with: Vec::new(),
    })
}

/// The only sizes that a stack takes of the model of a workload, `[width, height]` in px; empty where it takes any.
///
/// # Errors
/// As [`fit`].
pub fn sizes(set: &PolicySet, stack: &Stack, facts: &Facts, question: &Question) -> Result<Vec<[i64; 2]>, String> {
    let plan = evaluate(set, facts, question);
    taken_sizes(&evaluation(set, facts, &plan), stack)
}

fn bytes(evaluation: &Evaluation<'_>, expr: &Expr) -> Result<i64, String> {
    match evaluation.eval(expr, &[]) {
        Ok(value) => value.as_i64().ok_or_else(|| format!("`{}` gives no number of bytes", expr.text())),
        Err(EvalError::Unknown(name)) => Err(format!("`{name}` is unknown")),
        Err(EvalError::Failed { message, .. }) => Err(format!("`{}` fails: {message}", expr.text())),
    }
}

// What nobody knows refuses nothing.
fn refused(evaluation: &Evaluation<'_>, stack: &Stack) -> Option<String> {
    let holds = |when: &Expr| evaluation.eval(when, &[]).is_ok_and(|holds| holds == true);
    stack.refuses.iter().find(|(when, _)| holds(when)).map(|(_, why)| why.clone())
}

fn steps(facts: &Facts) -> Option<[i64; 2]> {
    let number = |name: &str| facts.value(name).and_then(Value::as_i64);
    Some([number("workload.steps")?, number("workload.passes")?])
}

// Empty where the stack takes any, and where nobody said which it takes of this model.
fn taken_sizes(evaluation: &Evaluation<'_>, stack: &Stack) -> Result<Vec<[i64; 2]>, String> {
    let Some(expr) = &stack.sizes else { return Ok(Vec::new()) };
    match evaluation.eval(expr, &[]) {
        Ok(value) => serde_json::from_value(value).map_err(|_| format!("`{}` gives no sizes", expr.text())),
        Err(EvalError::Unknown(_)) => Ok(Vec::new()),
        Err(EvalError::Failed { message, .. }) => Err(format!("`{}` fails: {message}", expr.text())),
    }
}

fn time(evaluation: &Evaluation<'_>, time: &RunTime) -> Result<Option<Time>, String> {
    let Some(run) = span(evaluation, &time.run)? else { return Ok(None) };
    let load = span(evaluation, &time.load)?;
    Ok(Some(Time { run, load, is_published: evaluation.eval(&time.is_published, &[]).is_ok_and(|is| is == true) }))
}

// `None` where a fact that it needs is unknown.
fn span(evaluation: &Evaluation<'_>, expr: &Expr) -> Result<Option<Span>, String> {
    let at = |pace: f64| match evaluation.eval(expr, &[("pace", pace.into())]) {
        Ok(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{}` gives no number of seconds", expr.text())),
        Err(EvalError::Unknown(_)) => Ok(None),
        Err(EvalError::Failed { message, .. }) => Err(format!("`{}` fails: {message}", expr.text())),
    };
    let ends = (at(1.0)?, at(0.5)?, at(0.0)?);
    let (Some(low), Some(expected), Some(high)) = ends else { return Ok(None) };
    Ok(Some(Span { low, expected, high }))
}

// Without those that rest on what nobody knows.
fn settings(evaluation: &Evaluation<'_>, stack: &Stack) -> Result<Map<String, Value>, String> {
    let mut settings = Map::new();
    for (name, expr) in &stack.settings {
        match evaluation.eval(expr, &[]) {
            Err(EvalError::Unknown(_)) => {}
            Ok(value) => drop(settings.insert((*name).to_owned(), value)),
            Err(EvalError::Failed { message, .. }) => return Err(format!("`{}` fails: {message}", expr.text())),
        }
    }
    Ok(settings)
}

// Of what was asked for, what some stack has, and this one does otherwise or not at all.
fn ignored(set: &PolicySet, settings: &Map<String, Value>, question: &Question) -> Vec<String> {
    let pinned = question.pins.iter().map(|(index, value)| (SETTINGS.get(*index).name.as_str(), value));
    let is_of_some_stack =
        |name: &str| set.stacks.iter().any(|stack| stack.settings.iter().any(|(has, _)| *has == name));
    let is_ignored = |(name, value): &(&str, &Value)| is_of_some_stack(name) && settings.get(*name) != Some(*value);
    pinned.filter(is_ignored).map(|(name, _)| name.to_owned()).collect()
}

// Expandable segments keep what is free in one piece; Windows and WSL have none.
fn has_segments(facts: &Facts) -> bool {
    let is_windows = facts.value("host.os").is_some_and(|os| os == "windows");
    let is_wsl = facts.value("host.wsl") == Some(&Value::Bool(true));
    !is_windows && !is_wsl
}

// What else may be asked so that it fits.
#[derive(Clone, Copy)]
struct Search<'a> {
    set: &'a PolicySet,
    stack: &'a Stack,
    facts: &'a Facts,
    question: &'a Question,
    answer: &'a Fit,
}

impl Search<'_> {
    fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.answer.refused.is_some() {
            changes.extend(self.stack_among(|_| true));
        }
        if !self.answer.is_refused() {
            changes.extend(self.circumstances());
            changes.extend(self.settings());
            let is_alternative = |stack: &Stack| self.stack.alternatives.contains(&stack.id);
            changes.extend(self.stack_among(is_alternative));
            changes.extend(self.more_ram().map(|gib| format!("{gib} GiB of RAM")));
            changes.extend(self.frames().map(|frames| format!("{frames} frames")));
        }
        changes.extend(self.size().map(|[width, height]| format!("{width}x{height}")));
        if changes.is_empty() && !self.answer.is_refused() {
            changes.extend(self.two_changes().or_else(|| self.stack_among(|_| true)));
        }
        changes
    }

    // That of these stacks with which it fits better than now, and best.
    fn stack_among(&self, is_meant: impl Fn(&Stack) -> bool) -> Option<String> {
        let meant = self.set.stacks.iter().filter(|stack| is_meant(stack));
        let answers = meant.filter_map(|stack| ask(self.set, stack, self.facts, self.question).ok());
        let best = answers.filter(|answer| answer.fits() < self.answer.fits()).min_by_key(Fit::fits)?;
        let how = if best.fits() == Fits::Marginal { " (marginally)" } else { "" };
        Some(format!("stack {}{how}", best.stack))
    }

    // All that must be so for what is planned to fit; `None` where that is no matter of these.
    fn circumstances(&self) -> Option<String> {
        let answer = self.answer;
        let is_short_even_then =
            answer.peak() > answer.budget.max(answer.card) || answer.ram_at_best.is_some_and(|ram| answer.ram > ram);
        if answer.fits() != Fits::Marginal || is_short_even_then {
            return None;
        }
        let mut needs = Vec::new();
        if answer.peak() > answer.budget {
            needs.push("nothing else on the card");
        } else if answer.fragments() {
            needs.push(has_segments(self.facts).then_some("expandable segments")?);
        }
        if answer.ram_shortfall() > 0 {
            needs.push("nothing else in the RAM");
        }
        (!needs.is_empty()).then(|| needs.join(" and "))
    }

    // Questions with another value of one setting that the stack follows, in the order in which it names them.
    fn other_settings(&self) -> impl Iterator<Item = (String, Question, Fit)> {
        let specs = self.stack.settings.iter().filter_map(|(name, _)| SETTINGS.find(name));
        let values = specs.flat_map(|spec| self.other_values(spec).into_iter().map(move |value| (spec, value)));
        values.filter_map(|(spec, value)| {
            let mut pins = self.question.pins.clone();
            pins.insert(SETTINGS.index(&spec.name)?, value.clone());
            let question = Question { pins, as_of: self.question.as_of };
            let answer = ask(self.set, self.stack, self.facts, &question).ok()?;
            let is_followed = answer.settings.get(&spec.name) == Some(&value);
            is_followed.then(|| (format!("{} {}", spec.name, show(&value, spec.unit)), question, answer))
        })
    }

    fn settings(&self) -> Option<String> {
        self.other_settings().find(|(_, _, answer)| answer.fits() == Fits::Yes).map(|(name, _, _)| name)
    }

    // Where no single change is enough: another value of a setting, or more RAM, and with it fewer frames or a smaller size.
    fn two_changes(&self) -> Option<String> {
        let with_less = |name: &str, facts: &Facts, question: &Question| {
            let search = Search { facts, question, ..*self };
            let frames = search.frames().map(|frames| format!("{name} and {frames} frames"));
            frames.or_else(|| search.size().map(|[width, height]| format!("{name} and {width}x{height}")))
        };
        let by_setting = self.other_settings().find_map(|(name, question, _)| with_less(&name, self.facts, &question));
        by_setting.or_else(|| {
            self.larger_rams().find_map(|gib| {
                let mut facts = self.facts.clone();
                facts.know("ram.total", gib << 30, Origin::User);
                with_less(&format!("{gib} GiB of RAM"), &facts, self.question)
            })
        })
    }

    fn other_values(&self, spec: &SettingSpec) -> Vec<Value> {
        let Some(now) = self.answer.settings.get(&spec.name) else { return Vec::new() };
        match spec.ty {
            SettingType::Boolean => vec![Value::Bool(now != &Value::Bool(true))],
            SettingType::String => spec.allowed().iter().filter(|value| *value != now).cloned().collect(),
            // Halves, down to the smallest.
            SettingType::Integer => {
                let (low, _) = spec.bounds();
                let mut values = Vec::new();
                let mut next = now.as_f64().unwrap_or_default() / 2.0;
                while next >= low {
                    values.extend(spec.legal_near(next, true));
                    next /= 2.0;
                }
                values
            }
            SettingType::Number | SettingType::Array => Vec::new(),
        }
    }

    // The smallest usual size of RAM with which it fits, GiB.
    fn more_ram(&self) -> Option<i64> {
        self.larger_rams().find(|gib| self.fits_with(&[("ram.total", gib << 30)]))
    }

    // None where RAM is not what is short.
    fn larger_rams(&self) -> impl Iterator<Item = i64> {
        let total = self.facts.value("ram.total").and_then(Value::as_i64);
        let is_short = self.answer.ram_shortfall() > 0;
        RAM_SIZES.into_iter().filter(move |gib| is_short && total.is_some_and(|total| gib << 30 > total))
    }

    // The most frames below those that were asked for.
    fn frames(&self) -> Option<i64> {
        let [_, _, frames] = self.answer.workload.size?;
        // Every model takes its frames in steps of four; fewer never need more.
        let (mut least, mut most) = (1, (frames - 1) / 4);
        let mut found = None;
        while least <= most {
            let steps = i64::midpoint(least, most);
            let fewer = frames - 4 * steps;
            if fewer >= LEAST_FRAMES && self.fits_with(&[("workload.frames", fewer)]) {
                (found, most) = (Some(fewer), steps - 1);
            } else {
                least = steps + 1;
            }
        }
        found
    }

    // The largest that the stack takes, below the one that was asked for unless it refuses that; upright where that is.
    fn size(&self) -> Option<[i64; 2]> {
        let [width, height, _] = self.answer.workload.size?;
        let turned = |[w, h]: [i64; 2]| if (height > width) == (h > w) { [w, h] } else { [h, w] };
        let mut sizes: Vec<[i64; 2]> = match &self.answer.sizes[..] {
            [] => SIZES.iter().copied().map(turned).collect(),
            taken => taken.iter().copied().filter(|&size| size == turned(size)).collect(),
        };
        sizes.retain(|[w, h]| self.answer.is_refused() || w * h < width * height);
        sizes.sort_by_key(|[w, h]| -w * h);
        sizes.into_iter().find(|&[w, h]| self.fits_with(&[("workload.width", w), ("workload.height", h)]))
    }

    fn fits_with(&self, known: &[(&str, i64)]) -> bool {
        let mut facts = self.facts.clone();
        for (name, value) in known {
            facts.know(*name, *value, Origin::User);
        }
        ask(self.set, self.stack, &facts, self.question).is_ok_and(|answer| answer.fits() == Fits::Yes)
    }
}
