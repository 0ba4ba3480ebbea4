//! `performance_optimization_report.json`: what the files of the stack hold, what the plan says, and the figures that have a
//! bound. Its keys are those of the report of the WAN22 UI, so that what reads that one reads this one; a figure is an object
//! that says where it comes from, and nothing is said to be faster that nobody has timed.
//!
//! Source: ramcana/wan, August 2025: infrastructure/config/performance_optimization_report.json.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dossier::Dossier;
use super::figure::{Bounds, Figure, MIB, MILLISECONDS, PERCENT, mib, share};
use super::human::count;
use super::human::fit::title;
use super::json::TargetRecord;
use super::validation::{FigureOrigin, FigureRecord, GroupRecord, RuleRecord, RuleResult};
use crate::diag::Severity;
use crate::facts::units::Unit;
use crate::fit::{Fit, PHASES, Span};
use crate::plan::Origin;
use crate::target::{Change, Status};

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/performance-optimization/v1";

/// What `validate --report` writes into `performance_optimization_report.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizationReport {
    /// Name and version of this format: `wan22-policy/performance-optimization/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// When it was looked at, RFC 3339 in UTC, to the second.
    pub time: String,
    /// How long a session of tuning took; not measured, because the settings follow from policies and nothing was tried.
    pub session_time: Figure,
    /// The settings, by what they are about.
    pub optimization_phases: Phases,
    /// The rules whose figure has a bound.
    pub benchmark_validation: BenchmarkValidation,
    /// What a run is expected to take with the planned settings; empty where nobody can tell, as without a GPU.
    pub predictions: Vec<Prediction>,
    /// All of it in a few numbers.
    pub summary: Summary,
    /// What to do, a sentence each.
    pub recommendations: Vec<String>,
}

/// The settings, by what they are about.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// The GPU and its memory.
    pub gpu: Phase,
    /// The CPU and its memory.
    pub cpu: Phase,
    /// What watching the machine costs.
    pub system_overhead: Phase,
    /// Everything else.
    pub other: Phase,
}

/// Settings of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What becomes of each key of the files; empty without a stack that is known.
    pub results: Vec<Optimization>,
    /// What the plan says, by setting, in the canonical unit of each.
    pub settings: BTreeMap<String, Value>,
}

/// What becomes of a key of a file, or of a setting that the file has no key for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Optimization {
    /// The family of the setting.
    pub component: String,
    /// The rest of its name.
    pub parameter: String,
    /// What the key holds now; null where the file does not have it.
    pub original_value: Value,
    /// What the plan wants there; null where it is not expressible in this file.
    pub optimized_value: Value,
    /// By how much a run is faster; not measured, because nobody has timed one before and one after.
    pub performance_improvement_percent: Figure,
    /// By how much the peak of VRAM falls with this setting alone, the others as they are planned; negative where it rises.
    pub memory_savings_mb: Figure,
    /// Whether a target is met because of it; null, because nobody measures the effect of one setting alone.
    pub meets_targets: Option<bool>,
    /// What becomes of it.
    pub status: Status,
    /// What there is to know of it.
    pub details: OptimizationDetails,
    /// What to do; empty where the key holds the planned value.
    pub recommendations: Vec<String>,
}

/// What there is to know of a setting and its key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizationDetails {
    /// The setting.
    pub setting: String,
    /// Canonical unit of the setting; null where it has none. A key may hold it in another.
    pub unit: Option<Unit>,
    /// The target.
    pub target: String,
    /// The file, relative to the root.
    pub file: String,
    /// Dotted path of the key; null where the setting has none here.
    pub key: Option<String>,
    /// Why it becomes this here, where the status does not say it all; null where it does.
    pub note: Option<String>,
    /// How the setting came to its value; null where it has none.
    pub how: Option<Origin>,
    /// The policy that gave the value; null when it is pinned.
    pub policy: Option<String>,
    /// The file of the policy; null without one.
    pub policy_file: Option<String>,
    /// The line in it, from 1; null without one.
    pub policy_line: Option<usize>,
    /// Why the policy is right; null where it does not say.
    pub why: Option<String>,
    /// Where the policy's numbers come from; null where it does not say.
    pub source: Option<String>,
}

/// The rules whose figure has a bound. Counts are of rules; rates are percentages of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkValidation {
    /// How long measuring took; not measured, because the figures are read rather than made.
    pub validation_time: Figure,
    /// How many there are.
    pub total_targets: usize,
    /// How many were measured and lie within their bounds.
    pub passed_targets: usize,
    /// How many were measured and do not.
    pub failed_targets: usize,
    /// How many nobody measured.
    pub not_measured_targets: usize,
    /// Percentage of all of them that passed; null where there are none.
    pub success_rate: Option<f64>,
    /// The same, where one of priority 1 weighs 3 and one of priority 2 weighs 2; null where there are none.
    pub weighted_success_rate: Option<f64>,
    /// Each of them.
    pub results: Vec<BenchmarkResult>,
    /// What to do about those that did not pass.
    pub recommendations: Vec<String>,
}

/// A figure that has a bound.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkResult {
    /// What is wanted.
    pub target: BenchmarkTarget,
    /// What is known.
    pub metrics: BenchmarkMetrics,
    /// Which bounds are kept.
    pub targets_met: TargetsMet,
    /// Whether it was measured and lies within its bounds.
    pub all_targets_met: bool,
    /// What came out.
    pub result: RuleResult,
    /// By how much the figure is better than its bounds.
    pub performance_margin: PerformanceMargin,
}

/// What is wanted of a figure. A bound is null where the policies set none of its kind; nobody measures it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkTarget {
    /// The group of the rule.
    pub component: String,
    /// The rule.
    pub operation: String,
    /// Longest time, ms.
    pub target_duration_ms: Option<f64>,
    /// Most RAM, MiB.
    pub max_memory_mb: Option<f64>,
    /// Largest share of the time that is taken from the CPU, %.
    pub max_cpu_percent: Option<f64>,
    /// Largest load of the GPU, %.
    pub max_gpu_percent: Option<f64>,
    /// Most VRAM, MiB.
    pub max_vram_mb: Option<f64>,
    /// 1 for a critical rule, else 2.
    pub priority: u8,
    /// The bounds as the policy says them.
    pub bounds: Bounds,
    /// Why the policy asks for it.
    pub why: String,
    /// Where its numbers come from; null where it has none.
    pub source: Option<String>,
}

/// What is known of a figure, under the name of its kind; the others are not measured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkMetrics {
    /// When it was looked at, RFC 3339 in UTC, to the second.
    pub timestamp: String,
    /// The group of the rule.
    pub component: String,
    /// The rule.
    pub operation: String,
    /// The figure, in its own unit.
    pub figure: Figure,
    /// A time.
    pub duration_ms: Figure,
    /// RAM.
    pub memory_usage_mb: Figure,
    /// Share of the time that is taken from the CPU.
    pub cpu_usage_percent: Figure,
    /// Load of the GPU.
    pub gpu_usage_percent: Figure,
    /// VRAM.
    pub vram_usage_mb: Figure,
    /// Whether it was measured and lies within its bounds.
    pub success: bool,
    /// What is wrong, or why it was not measured; empty where it passes.
    pub error_message: String,
    /// The target once more.
    pub metadata: BenchmarkMetadata,
}

/// What a figure was held against.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkMetadata {
    /// What is wanted.
    pub target: BenchmarkTarget,
    /// Whether it is a figure of a validation; it always is.
    pub benchmark_validation: bool,
}

/// Which bounds are kept; null where there is none of the kind, and where nobody measured it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetsMet {
    /// Of the time.
    pub duration: Option<bool>,
    /// Of the RAM.
    pub memory: Option<bool>,
    /// Of the CPU.
    pub cpu: Option<bool>,
    /// Of the VRAM.
    pub vram: Option<bool>,
}

/// By how much a figure is better than its bounds; negative where it is worse. A margin has the origin of its figure.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceMargin {
    /// Of the figure, whatever its kind.
    pub margin_percent: Figure,
    /// Of the time.
    pub duration_margin_percent: Figure,
    /// Of the RAM.
    pub memory_margin_mb: Figure,
    /// Of the CPU, in percentage points.
    pub cpu_margin_percent: Figure,
    /// Of the VRAM.
    pub vram_margin_mb: Figure,
}

/// Something that a run is expected to take.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Of which run: model, size and stack.
    pub workload: String,
    /// How much; a time rests on published runs on this very card where it says so, else on the model.
    pub figure: Figure,
}

/// The report in a few numbers. Counts are of keys and of rules; rates are percentages of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How many keys the plan has a value for.
    pub total_optimizations: usize,
    /// How many of them hold it already.
    pub successful_optimizations: usize,
    /// Percentage of the keys that hold it already; null where there are none.
    pub success_rate: Option<f64>,
    /// By how much a run is faster; not measured, because nobody has timed one before and one after.
    pub total_performance_improvement: Figure,
    /// By how much the peak of VRAM falls with all changes together; negative where it rises.
    pub total_memory_savings_mb: Figure,
    /// How many figures with a bound were measured and lie within it.
    pub benchmarks_passed: usize,
    /// How many figures with a bound nobody measured.
    pub benchmarks_not_measured: usize,
    /// Percentage of all figures with a bound that were measured and lie within it; null where there are none.
    pub benchmark_success_rate: Option<f64>,
}

impl OptimizationReport {
    /// The report of a validation.
    pub fn new(dossier: &Dossier<'_>) -> Self {
        let benchmark_validation = BenchmarkValidation::new(dossier);
        Self {
            schema: SCHEMA.to_owned(),
            time: dossier.time.clone(),
            session_time: Figure::not_measured(Unit::Seconds.as_str()),
            optimization_phases: Phases::new(dossier),
            predictions: dossier.fit.as_ref().map(predictions).unwrap_or_default(),
            summary: Summary::new(dossier, &benchmark_validation),
            recommendations: recommendations(dossier, &benchmark_validation),
            benchmark_validation,
        }
    }
}

impl Phases {
    fn new(dossier: &Dossier<'_>) -> Self {
        let mut phases = Self::default();
        for (name, setting) in &dossier.plan.settings {
            phases.of(name).settings.insert(name.clone(), setting.value.clone());
        }
        for (target, change) in dossier.changes() {
            let optimization = Optimization::new(dossier, target, change);
            phases.of(&change.setting).results.push(optimization);
        }
        phases
    }

    // That of a setting, by its family.
    fn of(&mut self, setting: &str) -> &mut Phase {
        match split(setting).0 {
            "allocator" | "attention" | "batch" | "compute" | "dit" | "memory" | "offload" | "text_encoder" | "vae" => {
                &mut self.gpu
            }
            "numa" | "threads" => &mut self.cpu,
            "monitor" => &mut self.system_overhead,
            _ => &mut self.other,
        }
    }
}

impl Optimization {
    fn new(dossier: &Dossier<'_>, target: &TargetRecord, change: &Change) -> Self {
        let (component, parameter) = split(&change.setting);
        let planned = dossier.plan.settings.get(&change.setting);
        Self {
            component: component.to_owned(),
            parameter: parameter.to_owned(),
            original_value: change.from.clone().unwrap_or_default(),
            optimized_value: change.to.clone().unwrap_or_default(),
            performance_improvement_percent: Figure::not_measured(PERCENT),
            memory_savings_mb: Figure::predicted_mib(dossier.savings.find(change)),
            meets_targets: None,
            status: change.status,
            details: OptimizationDetails {
                setting: change.setting.clone(),
                unit: planned.and_then(|planned| planned.unit),
                target: target.id.clone(),
                file: target.file.clone(),
                key: change.key.clone(),
                note: change.why.clone(),
                how: planned.map(|planned| planned.origin),
                policy: planned.and_then(|planned| planned.policy.clone()),
                policy_file: planned.and_then(|planned| planned.file.clone()),
                policy_line: planned.and_then(|planned| planned.line),
                why: planned.and_then(|planned| planned.why.clone()),
                source: planned.and_then(|planned| planned.source.clone()),
            },
            recommendations: advice(target, change).into_iter().collect(),
        }
    }
}

// `None` where there is nothing to write.
fn advice(target: &TargetRecord, change: &Change) -> Option<String> {
    let (key, to) = (change.key.as_ref()?, change.to.as_ref().filter(|_| change.is_due())?);
    let why = change.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    Some(format!("write {to} at `{key}` of `{}`, as `wan22-policy apply` does{why}", target.file))
}

// The family of a setting, and the rest of its name.
fn split(setting: &str) -> (&str, &str) {
    setting.split_once('.').unwrap_or((setting, ""))
}

/// The kinds of figures that have a key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Duration,
    Cpu,
    Vram,
}

impl Kind {
    // `None` where the figure is of no kind that has a key.
    fn of(group: &GroupRecord, figure: &FigureRecord) -> Option<Self> {
        match (figure.unit?, group.group.as_str()) {
            (Unit::Seconds, _) => Some(Self::Duration),
            (Unit::Bytes, "generation" | "vram") => Some(Self::Vram),
            (Unit::Ratio, "monitoring") => Some(Self::Cpu),
            _ => None,
        }
    }

    // What a figure in its canonical unit is multiplied by, and the unit that this gives.
    fn scale(self) -> (f64, &'static str) {
        match self {
            Self::Duration => (1000.0, MILLISECONDS),
            Self::Cpu => (100.0, PERCENT),
            Self::Vram => (mib(1.0), MIB),
        }
    }
}

impl BenchmarkValidation {
    /// The rules whose figure has a bound.
    pub fn new(dossier: &Dossier<'_>) -> Self {
        let rules = dossier.validation.rules();
        let figures = rules.filter_map(|(group, rule)| Some((group, rule, rule.figure.as_ref()?)));
        let (mut results, mut recommendations) = (Vec::new(), Vec::new());
        for (group, rule, figure) in figures {
            recommendations.extend(rule.advice());
            results.push(BenchmarkResult::new(&dossier.time, group, rule, figure));
        }
        let of = |result: RuleResult| results.iter().filter(|one| one.result == result).count();
        let weight = |one: &BenchmarkResult| 4 - usize::from(one.target.priority);
        let passed = results.iter().filter(|one| one.all_targets_met);
        Self {
            validation_time: Figure::not_measured(Unit::Seconds.as_str()),
            total_targets: results.len(),
            passed_targets: of(RuleResult::Pass),
            failed_targets: of(RuleResult::Fail),
            not_measured_targets: of(RuleResult::NotMeasured),
            success_rate: share(of(RuleResult::Pass), results.len()),
            weighted_success_rate: share(passed.map(weight).sum(), results.iter().map(weight).sum()),
            results,
            recommendations,
        }
    }
}

impl BenchmarkResult {
    fn new(time: &str, group: &GroupRecord, rule: &RuleRecord, figure: &FigureRecord) -> Self {
        let kind = Kind::of(group, figure);
        let is = |wanted: Kind| kind == Some(wanted);
        let (factor, unit) = kind.map_or((1.0, ""), Kind::scale);
        let most = |wanted: Kind| figure.at_most.filter(|_| is(wanted)).map(|most| most * factor);
        let known = |wanted: Kind, unit: &str| match is(wanted) {
            true => figure.times(factor, unit),
            false => Figure::not_measured(unit),
        };
        let met = match rule.result {
            RuleResult::Pass => Some(true),
            RuleResult::Fail => Some(false),
            RuleResult::NotMeasured => None,
        };
        let margin = |wanted: Kind| match figure.margin().filter(|_| is(wanted)) {
            Some(margin) => Figure::known(margin * factor, unit, figure.origin),
            None => Figure::not_measured(wanted.scale().1),
        };
        let target = BenchmarkTarget {
            component: group.group.clone(),
            operation: rule.rule.clone(),
            target_duration_ms: most(Kind::Duration),
            max_memory_mb: None,
            max_cpu_percent: most(Kind::Cpu),
            max_gpu_percent: None,
            max_vram_mb: most(Kind::Vram),
            priority: if rule.critical { 1 } else { 2 },
            bounds: figure.into(),
            why: rule.why.clone(),
            source: rule.source.clone(),
        };
        let is_passed = rule.result == RuleResult::Pass;
        Self {
            metrics: BenchmarkMetrics {
                timestamp: time.to_owned(),
                component: group.group.clone(),
                operation: rule.rule.clone(),
                figure: figure.into(),
                duration_ms: known(Kind::Duration, MILLISECONDS),
                memory_usage_mb: Figure::not_measured(MIB),
                cpu_usage_percent: known(Kind::Cpu, PERCENT),
                gpu_usage_percent: Figure::not_measured(PERCENT),
                vram_usage_mb: known(Kind::Vram, MIB),
                success: is_passed,
                error_message: if is_passed { String::new() } else { rule.message.clone() },
                metadata: BenchmarkMetadata { target: target.clone(), benchmark_validation: true },
            },
            target,
            targets_met: TargetsMet {
                duration: met.filter(|_| is(Kind::Duration)),
                memory: None,
                cpu: met.filter(|_| is(Kind::Cpu)),
                vram: met.filter(|_| is(Kind::Vram)),
            },
            all_targets_met: is_passed,
            result: rule.result,
            performance_margin: PerformanceMargin {
                margin_percent: figure.margin_percent(),
                duration_margin_percent: match is(Kind::Duration) {
                    true => figure.margin_percent(),
                    false => Figure::not_measured(PERCENT),
                },
                memory_margin_mb: Figure::not_measured(MIB),
                cpu_margin_percent: margin(Kind::Cpu),
                vram_margin_mb: margin(Kind::Vram),
            },
        }
    }
}

impl Summary {
    fn new(dossier: &Dossier<'_>, benchmarks: &BenchmarkValidation) -> Self {
        let planned = || dossier.changes().map(|(_, change)| change).filter(|change| change.to.is_some());
        let (total, held) = (planned().count(), planned().filter(|change| !change.is_due()).count());
        Self {
            total_optimizations: total,
            successful_optimizations: held,
            success_rate: share(held, total),
            total_performance_improvement: Figure::not_measured(PERCENT),
            total_memory_savings_mb: Figure::predicted_mib(dossier.savings.together),
            benchmarks_passed: benchmarks.passed_targets,
            benchmarks_not_measured: benchmarks.not_measured_targets,
            benchmark_success_rate: benchmarks.success_rate,
        }
    }
}

fn recommendations(dossier: &Dossier<'_>, benchmarks: &BenchmarkValidation) -> Vec<String> {
    let due = dossier.changes().filter(|(_, change)| change.is_due()).count();
    let write = (due > 0).then(|| {
        let hold = if due == 1 { "does" } else { "do" };
        format!("{} {hold} not hold what the plan says; `wan22-policy apply` writes it", count(due, "key"))
    });
    let findings = dossier.plan.findings.iter().filter(|finding| finding.severity > Severity::Note);
    let findings = findings.map(|finding| finding.advice());
    write.into_iter().chain(benchmarks.recommendations.iter().cloned()).chain(findings).collect()
}

/// What a run is expected to take, by the memory model and the model of time.
pub fn predictions(fit: &Fit) -> Vec<Prediction> {
    let workload = title(fit);
    let mut predictions = Vec::new();
    let mut say = |name: &str, what: &str, figure: Figure| {
        predictions.push(Prediction {
            name: name.to_owned(),
            what: what.to_owned(),
            workload: workload.clone(),
            figure,
        });
    };
    let mut bytes = |name: &str, what: &str, bytes: i64| say(name, what, Figure::predicted_mib(Some(bytes)));
    for (index, phase) in PHASES.iter().enumerate() {
        bytes(
            &format!("vram_{phase}"),
            &format!("VRAM of the phase `{phase}`, as the device reports it"),
            fit.reported(index),
        );
    }
    bytes("vram_budget", "VRAM that may be taken", fit.budget);
    bytes("ram", "RAM that offloaded weights take", fit.ram);
    if let Some(time) = fit.time_of_run() {
        let origin = if time.is_published { FigureOrigin::Published } else { FigureOrigin::Predicted };
        let runs = [("run", "from the prompt to the frames", Some(time.run), origin)];
        let loads = [("load", "loading before the first run", time.load, FigureOrigin::Predicted)];
        for (name, what, span, origin) in runs.into_iter().chain(loads) {
            let Some(Span { low, expected, high }) = span else { continue };
            for (end, seconds) in [("at_best", low), ("expected", expected), ("at_worst", high)] {
                let figure = Figure::known(seconds, Unit::Seconds.as_str(), origin);
                say(&format!("{name}_{end}"), &format!("{what}, {}", end.replace('_', " ")), figure);
            }
        }
    }
    predictions
}
