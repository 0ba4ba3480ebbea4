//! The checked form of policies: what [`compile`](super::compile()) gives and the engine evaluates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;

use super::rule::Validation;
use super::tables::Table;
use super::template::Template;
use crate::diag::{Code, Finding, Severity, Span};
use crate::expr::{Expr, Field, Language, Operand, Read, Slot};
use crate::settings::SETTINGS;
use crate::target::Target;

/// Layers from here on belong to the site and the user: they may expire, and need no source.
pub const FIRST_OVERRIDE_LAYER: u8 = 80;

/// The policies of one run: checked, compiled and ordered.
#[derive(Debug)]
pub struct PolicySet {
    /// The language with all functions of the files.
    pub language: Language,
    /// Types of the namespaces.
    pub types: BTreeMap<String, Field>,
    /// The tables and constants at run time.
    pub data: Slot,
    /// The policies, by layer, file and place.
    pub policies: Vec<Policy>,
    /// The checks, by layer, file and place.
    pub checks: Vec<Check>,
    /// The targets, by id.
    pub targets: Vec<Target>,
    /// How stacks use memory, by id.
    pub stacks: Vec<Stack>,
    /// What an installation must be.
    pub validation: Validation,
    /// Settings that are decided together, in an order in which each group only reads earlier ones.
    pub groups: Vec<Vec<usize>>,
    /// First 16 hexadecimal digits of the SHA-256 of all files' names and texts.
    pub hash: String,
    /// Warnings about the files.
    pub findings: Vec<Finding>,
    /// Findings that files accept about themselves.
    pub allowed: Vec<Allowed>,
    /// Where each function of the files stands, and why it is right.
    pub functions: BTreeMap<String, Provenance>,
    /// The tables and constants, by name.
    pub tables: BTreeMap<String, Table>,
    pub(super) parts: Vec<Vec<Part>>,
}

/// Where an entry of `functions` or `data` stands, and what it says for itself.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Its layer.
    pub layer: u8,
    /// The name in its file.
    pub span: Span,
    /// What it is, in one sentence.
    pub why: String,
    /// Where its numbers come from.
    pub source: Option<String>,
}

/// A finding that a file accepts about itself.
#[derive(Debug)]
pub struct Allowed {
    /// The code of the finding.
    pub code: String,
    /// Where the file says so.
    pub span: Span,
}

/// One policy.
#[derive(Debug)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// Where it stands: the `id`.
    pub span: Span,
    /// Why it is right.
    pub why: Option<String>,
    /// Where its numbers come from.
    pub source: Option<String>,
    /// Condition; `None` means always.
    pub when: Option<Expr>,
    /// Settings that it gives a value.
    pub values: Vec<ValueRule>,
    /// Choices that it makes.
    pub chooses: Vec<Choose>,
    /// Bounds that it sets.
    pub limits: Vec<LimitRule>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
}

/// How a stack uses memory.
#[derive(Debug)]
pub struct Stack {
    /// Its id.
    pub id: String,
    /// What it is, in one sentence.
    pub why: String,
    /// What it does about settings, by their names.
    pub settings: Vec<(&'static str, Expr)>,
    /// What it cannot run, whatever the machine has: a condition, and why.
    pub refuses: Vec<(Expr, String)>,
    /// The only sizes that it takes of the model, a list of `[width, height]` in px; `None` where it takes any.
    pub sizes: Option<Expr>,
    /// Ids of other stacks that are the same program run otherwise.
    pub alternatives: Vec<String>,
    /// What lies on the GPU while the prompt is encoded, the video denoised, and decoded; each by its name.
    pub phases: [Vec<(String, Expr)>; 3],
    /// What the device counts beside the allocator.
    pub context: Expr,
    /// What may be lost to fragmentation before the decode.
    pub fragmentation: Option<Expr>,
    /// By how much denoising and the decode may take more or less.
    pub uncertainty: Option<Expr>,
    /// RAM that the run takes.
    pub ram: Expr,
    /// RAM without which it does not run at all, where that is less.
    pub least_ram: Option<Expr>,
    /// RAM that it takes while everything is loaded at once, where that can be avoided.
    pub ram_to_load: Option<Expr>,
    /// VRAM that it may take.
    pub budget: Expr,
    /// VRAM that it might take if nothing else were on the card.
    pub card: Expr,
    /// RAM that it may take; unknown where the RAM is.
    pub ram_budget: Expr,
    /// RAM that it might take if nothing else were in it.
    pub ram_at_best: Option<Expr>,
    /// VRAM that nobody uses now; unknown where nobody was asked.
    pub free: Expr,
    /// Whether what is too much for the card moves to the RAM without an error.
    pub spills: Expr,
    /// How long it takes, where that is known.
    pub time: Option<RunTime>,
}

/// How long a run takes, as expressions of `pace`: 0 is the slow end of what is known, 1 the fast one.
#[derive(Debug)]
pub struct RunTime {
    /// Seconds from the prompt to the frames.
    pub run: Expr,
    /// Seconds in which the model is loaded before.
    pub load: Expr,
    /// Whether it rests on published runs on this very card.
    pub is_published: Expr,
}

/// `set` or `derive` of one setting.
#[derive(Debug)]
pub struct ValueRule {
    /// Index of the setting.
    pub setting: usize,
    /// The key in the file.
    pub span: Span,
    /// The value.
    pub value: Operand,
}

/// `choose`.
#[derive(Debug)]
pub struct Choose {
    /// The setting's name, or the choice's own.
    pub name: String,
    /// The key in the file.
    pub span: Span,
    /// What there is to choose from.
    pub candidates: Candidates,
    /// Condition on `it`.
    pub such_that: Expr,
    /// Settings that it decides.
    pub into: Vec<Into>,
    /// By setting index, what to take when no candidate will do.
    pub otherwise: Option<Vec<(usize, Value)>>,
}

/// What a choice has to choose from.
#[derive(Debug)]
pub enum Candidates {
    /// Literals, in canonical units.
    Literals(Vec<Value>),
    /// An expression that gives a list.
    Expr(Expr),
}

/// One setting that a choice decides.
#[derive(Debug)]
pub struct Into {
    /// Index of the setting.
    pub setting: usize,
    /// The value for a candidate `it`; `None` when the candidate itself is the value.
    pub value: Option<Expr>,
    /// When the value is just a field of the candidate: that field.
    pub field: Option<String>,
}

/// `limit` of one setting.
#[derive(Debug)]
pub struct LimitRule {
    /// Index of the setting.
    pub setting: usize,
    /// The key in the file.
    pub span: Span,
    /// Smallest value.
    pub at_least: Option<Operand>,
    /// Largest value.
    pub at_most: Option<Operand>,
    /// The only values.
    pub one_of: Option<Operand>,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its id, the code of its finding.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// Where it stands: the `id`.
    pub span: Span,
    /// Condition; `None` means always.
    pub when: Option<Expr>,
    /// What must be true.
    pub assert: Expr,
    /// How serious it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: Template,
    /// What to do.
    pub help: Option<Template>,
    /// Why it is asked.
    pub why: Option<String>,
    /// Where its numbers come from.
    pub source: Option<String>,
}

/// A policy's part in deciding a setting.
#[derive(Clone, Debug)]
pub struct Part {
    /// Index of the policy.
    pub policy: usize,
    /// What it contributes.
    pub contribution: Contribution,
    /// The condition as written; `None` when there is none.
    pub when: Option<Arc<str>>,
    /// The expression as written, a choice's condition; `None` for a literal.
    pub expression: Option<Arc<str>>,
    /// The facts (`gpu.vram.total`), settings (`settings.…`) and tables (`data.…`) that it reads.
    pub reads: Arc<[String]>,
}

/// How a policy takes part in deciding a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contribution {
    /// Its value rule of that index.
    Value(usize),
    /// Its choice of that index.
    Choose(usize),
    /// Its limit of that index.
    Limit(usize),
}

impl PolicySet {
    /// The policies that take part in deciding a setting, in their order.
    pub fn parts(&self, setting: usize) -> &[Part] {
        &self.parts[setting]
    }

    /// Every expression: of policies, of checks, and the bodies of functions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let of_policies = self.policies.iter().flat_map(Policy::all_expressions);
        let of_checks = self.checks.iter().flat_map(|check| check.when.iter().chain([&check.assert]));
        let of_functions = self.language.functions().map(|(_, function)| &function.body);
        of_policies.chain(of_checks).chain(of_functions)
    }

    /// A table or constant of `data:` as JSON, quantities in canonical units.
    pub fn table(&self, name: &str) -> Option<&Value> {
        self.tables.get(name).map(|table| &table.value)
    }

    /// What an expression reads, the functions it calls included: facts and settings.
    pub fn reads(&self, expr: &Expr) -> BTreeSet<Read> {
        self.language.all_reads(expr)
    }
}

// Who takes part in deciding each setting.
pub(super) fn parts(policies: &[Policy], language: &Language) -> Vec<Vec<Part>> {
    let mut by_setting = vec![Vec::new(); SETTINGS.len()];
    for (p, policy) in policies.iter().enumerate() {
        let part = |contribution| policy.part(p, contribution, language);
        for (i, rule) in policy.values.iter().enumerate() {
            by_setting[rule.setting].push(part(Contribution::Value(i)));
        }
        for (i, choose) in policy.chooses.iter().enumerate() {
            for into in &choose.into {
                by_setting[into.setting].push(part(Contribution::Choose(i)));
            }
        }
        for (i, rule) in policy.limits.iter().enumerate() {
            by_setting[rule.setting].push(part(Contribution::Limit(i)));
        }
    }
    by_setting
}

impl Check {
    /// The code of its finding.
    pub fn code(&self) -> Code {
        Code::named(&self.id)
    }
}

impl Policy {
    /// The key that names the setting.
    pub fn span_of(&self, contribution: Contribution) -> &Span {
        match contribution {
            Contribution::Value(i) => &self.values[i].span,
            Contribution::Choose(i) => &self.chooses[i].span,
            Contribution::Limit(i) => &self.limits[i].span,
        }
    }

    // The expressions of one part, without the condition.
    pub(super) fn expressions(&self, contribution: Contribution) -> Vec<&Expr> {
        match contribution {
            Contribution::Value(i) => self.values[i].value.expr().into_iter().collect(),
            Contribution::Choose(i) => {
                let choose = &self.chooses[i];
                let candidates = match &choose.candidates {
                    Candidates::Expr(expr) => Some(expr),
                    Candidates::Literals(_) => None,
                };
                let into = choose.into.iter().filter_map(|into| into.value.as_ref());
                candidates.into_iter().chain([&choose.such_that]).chain(into).collect()
            }
            Contribution::Limit(i) => {
                let rule = &self.limits[i];
                let bounds = [&rule.at_least, &rule.at_most, &rule.one_of].into_iter().flatten();
                bounds.filter_map(Operand::expr).collect()
            }
        }
    }

    /// All its expressions: the condition, and those of its values, choices and limits.
    pub fn all_expressions(&self) -> Vec<&Expr> {
        let values = (0..self.values.len()).map(Contribution::Value);
        let chooses = (0..self.chooses.len()).map(Contribution::Choose);
        let parts = values.chain(chooses).chain((0..self.limits.len()).map(Contribution::Limit));
        self.when.iter().chain(parts.flat_map(|part| self.expressions(part))).collect()
    }

    fn part(&self, index: usize, contribution: Contribution, language: &Language) -> Part {
        let expressions = self.expressions(contribution);
        let read = self.when.iter().chain(expressions.iter().copied()).flat_map(|expr| language.all_reads(expr));
        let reads: BTreeSet<String> = read.filter_map(|read| read.name()).collect();
        let shown = match contribution {
            // The fields of a row explain themselves; its condition does not.
            Contribution::Choose(i) => vec![&self.chooses[i].such_that],
            Contribution::Value(_) | Contribution::Limit(_) => expressions,
        };
        let lines: Vec<&str> = shown.iter().map(|expr| expr.text().trim()).collect();
        Part {
            policy: index,
            contribution,
            when: self.when.as_ref().map(|when| when.text().trim().into()),
            expression: (!lines.is_empty()).then(|| lines.join("\n").into()),
            reads: reads.into_iter().collect(),
        }
    }

    // How it takes part in deciding a setting.
    pub(super) fn contributions(&self, setting: usize) -> impl Iterator<Item = Contribution> {
        let values = self.values.iter().enumerate().filter(move |(_, rule)| rule.setting == setting);
        let chooses = self.chooses.iter().enumerate();
        let chooses = chooses.filter(move |(_, choose)| choose.into.iter().any(|into| into.setting == setting));
        let limits = self.limits.iter().enumerate().filter(move |(_, rule)| rule.setting == setting);
        let values = values.map(|(i, _)| Contribution::Value(i));
        values.chain(chooses.map(|(i, _)| Contribution::Choose(i))).chain(limits.map(|(i, _)| Contribution::Limit(i)))
    }

    /// The settings that it gives a value or a limit.
    pub fn settings(&self) -> BTreeSet<usize> {
        let values = self.values.iter().map(|rule| rule.setting);
        let chooses = self.chooses.iter().flat_map(|choose| choose.into.iter().map(|into| into.setting));
        values.chain(chooses).chain(self.limits.iter().map(|rule| rule.setting)).collect()
    }
}
