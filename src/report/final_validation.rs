//! `final_system_validation_report.json`: the verdict, and every rule with its figure. Its keys are those of the report of the
//! WAN22 UI, so that what reads that one reads this one; a figure is an object that says where it comes from.
//!
//! Source: ramcana/wan, August 2025: infrastructure/config/final_system_validation_report.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dossier::Dossier;
use super::figure::{Bounds, Figure, PERCENT, share};
use super::optimization::BenchmarkValidation;
use super::validation::{GroupRecord, RuleRecord, RuleResult, ValidateReport};
use crate::diag::{At, FindingRecord};

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/final-system-validation/v1";

/// What `validate --report` writes into `final_system_validation_report.json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalValidationReport {
    /// Name and version of this format: `wan22-policy/final-system-validation/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Whether the installation is ready.
    pub validation_summary: ValidationSummary,
    /// What the planned settings bring, as far as somebody knows it.
    pub performance_improvements: PerformanceImprovements,
    /// What to do, a sentence each: about the rules that do not pass, then about what was found.
    pub recommendations: Vec<String>,
    /// Every rule that was asked.
    pub detailed_results: Vec<DetailedResult>,
}

/// Whether an installation is ready. Rates and scores are percentages that follow from the counts of tests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationSummary {
    /// When it was looked at, RFC 3339 in UTC, to the second.
    pub validation_time: String,
    /// The installation, as it was given.
    pub root: String,
    /// The stack, by its target; null where none recognises the files.
    pub target: Option<String>,
    /// The machine in a few words.
    pub machine: String,
    /// How many rules were asked.
    pub total_tests: usize,
    /// How many of them hold.
    pub passed_tests: usize,
    /// How many do not.
    pub failed_tests: usize,
    /// How many nobody could tell of.
    pub not_measured_tests: usize,
    /// Percentage of all rules that hold; null where none was asked.
    pub overall_success_rate: Option<f64>,
    /// How many critical rules hold.
    pub critical_tests_passed: usize,
    /// How many critical rules were asked.
    pub critical_tests_total: usize,
    /// Percentage of the critical rules that hold; null where none was asked.
    pub critical_success_rate: Option<f64>,
    /// The score by `score_formula`, as a percentage.
    pub system_health_score: f64,
    /// Whether it is ready, by `ready_formula`.
    pub ready_for_production: bool,
    /// The formula of the score.
    pub score_formula: String,
    /// The formula of whether it is ready.
    pub ready_formula: String,
}

/// What the planned settings bring, as far as somebody knows it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceImprovements {
    /// By how much a run is faster; not measured, because nobody has timed one before and one after.
    pub total_performance_improvement: Figure,
    /// By how much the peak of VRAM falls against what the files hold now; negative where it rises.
    pub memory_savings_mb: Figure,
    /// Percentage of the figures with a bound that were measured and lie within it; null without one.
    pub benchmark_success_rate: Option<f64>,
}

/// What came out of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedResult {
    /// The group that it counts in.
    pub component: String,
    /// The rule.
    pub test_name: String,
    /// Whether it was seen to hold; false also where nobody could tell.
    pub passed: bool,
    /// What came out.
    pub result: RuleResult,
    /// The figure that it is about; null where it is about none.
    pub performance_metric: Option<Figure>,
    /// What is wanted of that figure; null where it is about none.
    pub target_metric: Option<Bounds>,
    /// By how much the figure is better than the nearer bound, as a percentage of it; null where it is about none.
    pub margin_percent: Option<Figure>,
    /// What there is to know of it.
    pub details: ResultDetails,
    /// What to do about it; empty where it holds.
    pub recommendations: Vec<String>,
}

/// What there is to know of a rule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultDetails {
    /// What its group is about.
    pub title: String,
    /// Whether no installation is ready without it.
    pub critical: bool,
    /// What was found, what is wrong, or why nobody could tell; may be empty.
    pub message: String,
    /// Why it is asked.
    pub why: String,
    /// Where its numbers come from; null where it has none.
    pub source: Option<String>,
    /// Where it stands.
    pub at: At,
    /// What is wrong that it does not hold for, each with its file and line.
    pub findings: Vec<FindingRecord>,
}

impl FinalValidationReport {
    /// The report of a validation.
    pub fn new(dossier: &Dossier<'_>) -> Self {
        let validation = dossier.validation;
        Self {
            schema: SCHEMA.to_owned(),
            validation_summary: ValidationSummary::new(dossier),
            performance_improvements: PerformanceImprovements {
                total_performance_improvement: Figure::not_measured(PERCENT),
                memory_savings_mb: Figure::predicted_mib(dossier.savings.together),
                benchmark_success_rate: BenchmarkValidation::new(dossier).success_rate,
            },
            recommendations: validation.advice(),
            detailed_results: validation
                .rules()
                .map(|(group, rule)| DetailedResult::new(validation, group, rule))
                .collect(),
        }
    }
}

impl ValidationSummary {
    fn new(dossier: &Dossier<'_>) -> Self {
        let validation = dossier.validation;
        let verdict = &validation.verdict;
        let (rules, critical) = (verdict.rules, verdict.critical_rules);
        Self {
            validation_time: dossier.time.clone(),
            root: validation.root.clone(),
            target: validation.target.clone(),
            machine: dossier.machine.clone(),
            total_tests: rules.total(),
            passed_tests: rules.passed,
            failed_tests: rules.failed,
            not_measured_tests: rules.not_measured,
            overall_success_rate: share(rules.passed, rules.total()),
            critical_tests_passed: critical.passed,
            critical_tests_total: critical.total(),
            critical_success_rate: share(critical.passed, critical.total()),
            system_health_score: verdict.score * 100.0,
            ready_for_production: verdict.ready,
            score_formula: verdict.score_formula.clone(),
            ready_formula: verdict.ready_formula.clone(),
        }
    }
}

impl DetailedResult {
    fn new(validation: &ValidateReport, group: &GroupRecord, rule: &RuleRecord) -> Self {
        let figure = rule.figure.as_ref();
        Self {
            component: group.group.clone(),
            test_name: rule.rule.clone(),
            passed: rule.result == RuleResult::Pass,
            result: rule.result,
            performance_metric: figure.map(Figure::from),
            target_metric: figure.map(Bounds::from),
            margin_percent: figure.map(|figure| figure.margin_percent()),
            details: ResultDetails {
                title: group.title.clone(),
                critical: rule.critical,
                message: rule.message.clone(),
                why: rule.why.clone(),
                source: rule.source.clone(),
                at: rule.at.clone(),
                findings: validation.findings_of(group, rule).into_iter().cloned().collect(),
            },
            recommendations: rule.advice().into_iter().collect(),
        }
    }
}
