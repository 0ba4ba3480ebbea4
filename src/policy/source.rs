//! Policy files as they are written: serde types, from which `schemas/policy.schema.json` is generated.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::diag::Severity;
use crate::yaml::escape;

/// One policy file. Its name's two digits are the layer; a higher layer wins.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Rules that give settings their values.
    #[serde(default)]
    pub policies: Vec<PolicyEntry>,
    /// Assertions over facts and settings.
    #[serde(default)]
    pub checks: Vec<CheckEntry>,
    /// Named steps that expressions may call, by name.
    #[serde(default)]
    pub functions: IndexMap<String, FunctionEntry>,
    /// Tables and constants that expressions read as `data.NAME`, by name.
    #[serde(default)]
    pub data: IndexMap<String, DataEntry>,
    /// Ids of policies and checks of lower layers that no longer count.
    #[serde(default)]
    pub disable: Vec<String>,
    /// Findings about this file that are accepted: the code, and the reason.
    #[serde(default)]
    pub allow: IndexMap<String, String>,
    /// Stacks whose config files the settings are written to.
    #[serde(default)]
    pub targets: Vec<crate::target::source::TargetEntry>,
    /// What runs of a stack take of the memory: what `fit` answers from.
    #[serde(default)]
    pub stacks: Vec<StackEntry>,
    /// What an installation must be: what `validate` answers from.
    #[serde(default)]
    pub validation: ValidationSection,
}

/// What an installation must be, and what follows from it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationSection {
    /// Groups of rules, by name, in the order in which they are shown: what each is about.
    #[serde(default)]
    pub groups: IndexMap<String, String>,
    /// What must hold of an installation.
    #[serde(default)]
    pub rules: Vec<RuleEntry>,
    /// Ids of rules of lower layers that are no longer asked.
    #[serde(default)]
    pub disable: Vec<String>,
    /// What follows from the rules together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictEntry>,
}

/// What must hold of an installation: an assertion, a figure within bounds, or files that satisfy a schema.
///
/// An expression that reads something unknown makes the rule *not measured*, which is never a pass.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// Kebab-case name, unique among all policies, checks and rules.
    pub id: String,
    /// The group that it counts in.
    pub group: String,
    /// Whether no installation is ready without it.
    #[serde(default)]
    pub critical: bool,
    /// Condition under which it is asked; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assert: Option<String>,
    /// A figure that must lie within `at_least` and `at_most`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Smallest figure that passes: a quantity or an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Value>,
    /// Largest figure that passes: a quantity or an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Value>,
    /// What the figure is expected to be, by a model or by what others published; shown where nobody measured it, and never a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<String>,
    /// JSON files that must satisfy `schema`: a pattern below the root, such as `**/vae/config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// Only those of `files` whose topmost keys hold one of these texts: `_class_name: [AutoencoderKLWan]`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub holding: IndexMap<String, Vec<String>>,
    /// Only those of `files` that have none of these topmost keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
    /// The schema of `files`, by its name in `schemas/targets`, or inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What is said when it passes; `{expression}` shows a value in its unit. Absent where the figure or the files say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// What is wrong when it fails; `{expression}` shows a value in its unit. Absent where the figure or the files say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<String>,
    /// What to do when it fails, of a figure also how to measure it; `{expression}` shows a value in its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why it is asked.
    pub why: String,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What follows from how many rules passed, failed or were not measured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictEntry {
    /// From 0 to 1, of the counts `passed`, `failed` and `not_measured`; asked of all rules, and of the critical ones alone.
    pub score: String,
    /// Whether the installation is ready, of `score`, `critical_score` and the counts of all rules.
    pub ready: String,
    /// Why these are the formulas.
    pub why: String,
}

/// Why an entry is right, and where its numbers come from.
#[derive(Clone, Debug)]
pub struct Reason<'a> {
    /// The entry in words: "policy `vae-tile`".
    pub whose: String,
    /// JSON pointer to it in the file.
    pub pointer: String,
    /// Its `why`.
    pub why: Option<&'a str>,
    /// Its `source`.
    pub source: Option<&'a str>,
}

impl PolicyFile {
    /// The reasons of all entries that give one.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        fn reason<'a>(
            whose: String,
            pointer: String,
            why: Option<&'a String>,
            source: Option<&'a String>,
        ) -> Reason<'a> {
            Reason { whose, pointer, why: why.map(String::as_str), source: source.map(String::as_str) }
        }
        let policies = self.policies.iter().enumerate().map(|(i, entry)| {
            reason(
                format!("policy `{}`", entry.id),
                format!("/policies/{i}"),
                entry.why.as_ref(),
                entry.source.as_ref(),
            )
        });
        let checks = self.checks.iter().enumerate().map(|(i, entry)| {
            reason(format!("check `{}`", entry.id), format!("/checks/{i}"), entry.why.as_ref(), entry.source.as_ref())
        });
        let functions = self.functions.iter().map(|(name, entry)| {
            let pointer = format!("/functions/{}", escape(name));
            reason(format!("function `{name}`"), pointer, Some(&entry.why), entry.source.as_ref())
        });
        let data = self.data.iter().map(|(name, entry)| {
            let pointer = format!("/data/{}", escape(name));
            reason(format!("`data.{name}`"), pointer, Some(&entry.why), Some(&entry.source))
        });
        let rules = self.validation.rules.iter().enumerate().map(|(i, entry)| {
            let pointer = format!("/validation/rules/{i}");
            reason(format!("rule `{}`", entry.id), pointer, Some(&entry.why), entry.source.as_ref())
        });
        policies.chain(checks).chain(functions).chain(data).chain(rules)
    }
}

/// One rule: when it holds, what it gives, and why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// Kebab-case name, unique among all policies and checks.
    pub id: String,
    /// Condition; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Literal values by setting; numbers may carry units (`2 s`, `12 GiB`, `95 %`).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub set: IndexMap<String, Value>,
    /// Expressions by setting.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub derive: IndexMap<String, String>,
    /// The first candidate that satisfies a condition, by setting, or by a name of its own when it decides several (`into`).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub choose: IndexMap<String, ChooseEntry>,
    /// Bounds by setting; those of all matching policies hold together.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub limit: IndexMap<String, LimitEntry>,
    /// One sentence: why this is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the numbers come from: a link, a measurement with machine, date and version, or the word estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// For overrides in layers 80 and above: the last day (YYYY-MM-DD) on which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The first candidate that satisfies a condition.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseEntry {
    /// Candidates in order of preference: a list of literals, or an expression that gives a list (of values or rows).
    pub first_of: Value,
    /// Condition on the candidate `it`.
    pub such_that: String,
    /// When one choice decides several settings: an expression of `it` for each.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub into: IndexMap<String, String>,
    /// What to take when no candidate will do: a literal, or with `into` a map of literals by setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Value>,
}

/// Bounds on a setting. Each is a literal number or an expression.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitEntry {
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Value>,
    /// Largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Value>,
    /// The only values: a list of literals, or an expression that gives a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Value>,
}

/// An assertion over facts and settings.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckEntry {
    /// Kebab-case name, unique among all policies and checks; the code of its finding.
    pub id: String,
    /// Condition under which it is asked; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What must be true.
    pub assert: String,
    /// How serious it is when it is not; an error refuses the plan.
    pub severity: Severity,
    /// What is wrong then; `{expression}` shows a value in its unit.
    pub message: String,
    /// What to do about it; `{expression}` shows a value in its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// How a stack uses memory. Every expression is in bytes and reads the plan's settings.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackEntry {
    /// Kebab-case name: `diffusers`.
    pub id: String,
    /// What the stack is, in one sentence.
    pub why: String,
    /// Where the knowledge of it comes from.
    pub source: String,
    /// What the stack does about these settings: an expression, which gives the plan's own value where the stack follows the plan.
    /// Another value of one that it follows is a way to fit.
    #[serde(default)]
    pub settings: IndexMap<String, String>,
    /// What the stack cannot run, whatever the machine has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuses: Vec<RefusalEntry>,
    /// The only sizes that the stack takes of the model, a list of `[width, height]` in px; absent where it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<String>,
    /// Ids of other stacks that are the same program run otherwise, which may fit where this one does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// What lies on the GPU in each phase.
    pub phases: PhasesEntry,
    /// What the device counts beside the allocator, in every phase.
    pub context: String,
    /// What may be lost to fragmentation before the decode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragmentation: Option<String>,
    /// By how much denoising and the decode may take more or less, where that is an estimate: what fits only at best fits marginally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<String>,
    /// RAM that the run takes.
    pub ram: String,
    /// RAM without which it does not run at all, where it only slows down with less than `ram`; absent where that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_ram: Option<String>,
    /// RAM that it takes while everything is loaded at once, where that can be avoided; absent where that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_to_load: Option<String>,
    /// VRAM that it may take.
    pub budget: String,
    /// VRAM that it might take if nothing else were on the card.
    pub card: String,
    /// RAM that it may take; unknown where the RAM is.
    pub ram_budget: String,
    /// RAM that it might take if nothing else were in it, with what can be swapped; absent where that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_at_best: Option<String>,
    /// VRAM that nobody uses now; unknown where nobody was asked.
    pub free: String,
    /// Whether what is too much for the card moves to the RAM without an error.
    pub spills: String,
    /// How long it takes; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeEntry>,
}

/// What a stack cannot run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusalEntry {
    /// Condition under which it cannot.
    pub when: String,
    /// Why, as half a sentence after "it cannot run it:".
    pub why: String,
}

/// How long a run takes. `pace` goes from 0, the slow end of what is known, to 1, the fast one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeEntry {
    /// Seconds from the prompt to the frames, at a `pace`.
    pub run: String,
    /// Seconds in which the model is loaded before, at a `pace`; unknown where the disk is.
    pub load: String,
    /// Whether it rests on published runs on this very card.
    pub is_published: String,
}

/// The phases of a run: for each, what lies on the GPU, by its name for people.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhasesEntry {
    /// The prompt is encoded.
    pub encode: IndexMap<String, String>,
    /// The video is denoised.
    pub denoise: IndexMap<String, String>,
    /// The latent video is decoded.
    pub decode: IndexMap<String, String>,
}

/// A named step.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionEntry {
    /// What it takes, by name and in order: a unit (`bytes`, `px`, `count`, `ratio`, `s`, `°C`, `W`), `number`, `bool`,
    /// `text`, or `data.TABLE` for a row of a table.
    #[serde(default)]
    pub parameters: IndexMap<String, String>,
    /// What it gives; the same words. Absent when it gives a row or list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<String>,
    /// What it gives, as an expression that sees the parameters too.
    pub expression: String,
    /// What the step is, in one sentence.
    pub why: String,
    /// Where the formula comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A constant (`value`), a table (`rows`), or rows for a table that another file has (`adds`).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// A constant; a number may carry its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The constant's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A table: a list of rows, or a map of rows by name. All rows have the same columns; a cell may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Value>,
    /// Rows for the table of this name in another file, in its form. One of a name that the table has takes its place when it
    /// is in a higher layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adds: Option<Value>,
    /// Units of the columns that have one.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<String, String>,
    /// What it holds, in one sentence.
    pub why: String,
    /// Where the numbers come from.
    pub source: String,
}

/// A map of literals, as `otherwise` of a choice with `into` is written.
pub type Literals = Map<String, Value>;
