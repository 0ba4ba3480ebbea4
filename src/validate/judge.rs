//! Rules and what was seen → which of them pass, and whether the installation is ready.

use serde_json::Value;

use super::configs::{Configs, Matched};
use crate::diag::Finding;
use crate::engine;
use crate::expr::{Comparison, Dynamic, EvalError, Evaluation, Expr, Operand};
use crate::facts::Facts;
use crate::facts::units::Unit;
use crate::plan::Plan;
use crate::policy::rule::{COUNTS, Metric, Rule, SCORES, Test, VerdictFormula};
use crate::policy::{PolicySet, Template};

/// What came out of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// Something that it reads is unknown, which is never a pass.
    NotMeasured,
}

/// A figure of a rule, in its canonical unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured; `None` where nobody did.
    pub measured: Option<f64>,
    /// What it is expected to be where nobody measured it; `None` where nothing says.
    pub predicted: Option<f64>,
    /// Smallest that passes; `None` without one, or where it cannot be told.
    pub at_least: Option<f64>,
    /// Largest that passes; `None` without one, or where it cannot be told.
    pub at_most: Option<f64>,
    /// Its unit; `None` for a plain number.
    pub unit: Option<Unit>,
}

/// A rule that was asked.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What came out.
    pub outcome: Outcome,
    /// What there is to say: what was found, what is wrong, or why it was not measured. May be empty.
    pub says: String,
    /// What to do, when it does not pass.
    pub help: Option<String>,
    /// Its figure; `None` where it has none.
    pub figure: Option<Figure>,
    /// The files that it is about, relative to the root; empty where it is about none.
    pub files: Vec<String>,
}

/// How many rules there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that hold.
    pub passed: usize,
    /// Those that do not.
    pub failed: usize,
    /// Those that nobody could tell of.
    pub not_measured: usize,
}

/// What came out of all rules together.
#[derive(Clone, Debug)]
pub struct Verdict<'a> {
    /// The rules that were asked, group by group; those whose condition does not hold were not.
    pub judged: Vec<Judged<'a>>,
    /// All of them.
    pub all: Counts,
    /// The critical ones.
    pub critical: Counts,
    /// From 0 to 1, by the formula of the policies.
    pub score: f64,
    /// The same of the critical ones.
    pub critical_score: f64,
    /// Whether the installation is ready, by the formula of the policies.
    pub ready: bool,
}

/// Asks the rules of these groups.
///
/// # Errors
/// A finding when a formula of the verdict fails.
pub fn judge<'a>(
    set: &'a PolicySet,
    formula: &VerdictFormula,
    groups: &[&str],
    (facts, plan): (&Facts, &Plan),
    configs: &Configs,
) -> Result<Verdict<'a>, Finding> {
    let bench = Bench { facts, evaluation: engine::evaluation(set, facts, plan), configs };
    let mut judged = Vec::new();
    for group in groups {
        let rules = set.validation.rules.iter().filter(|rule| rule.group == *group);
        judged.extend(rules.filter_map(|rule| bench.ask(rule)));
    }
    let all = Counts::of(judged.iter());
    let critical = Counts::of(judged.iter().filter(|judged| judged.rule.critical));
    let eval = |expr: &Expr, locals: &[(&str, Dynamic)]| {
        bench.evaluation.eval(expr, locals).map_err(|error| failed(expr, &error))
    };
    let score = |counts: Counts| eval(&formula.score, &counts.locals()).map(|score| score.as_f64().unwrap_or_default());
    let (score, critical_score) = (score(all)?, score(critical)?);
    let scores = SCORES.into_iter().zip([score, critical_score].map(Dynamic::from));
    let ready = eval(&formula.ready, &all.locals().into_iter().chain(scores).collect::<Vec<_>>())?;
    Ok(Verdict { all, critical, score, critical_score, ready: ready == Value::Bool(true), judged })
}

fn failed(expr: &Expr, error: &EvalError) -> Finding {
    let (message, position) = match error {
        EvalError::Unknown(name) => (format!("`{name}` is unknown"), None),
        EvalError::Failed { message, position } => (message.clone(), *position),
    };
    let message = format!("a formula of the verdict failed: {message}");
    Finding::error("expression-failed", message).at(expr.span_at(position), "")
}

impl Counts {
    fn of<'a>(judged: impl Iterator<Item = &'a Judged<'a>>) -> Self {
        let mut counts = Self::default();
        for judged in judged {
            match judged.outcome {
                Outcome::Pass => counts.passed += 1,
                Outcome::Fail => counts.failed += 1,
                Outcome::NotMeasured => counts.not_measured += 1,
            }
        }
        counts
    }

    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed + self.not_measured
    }

    // As the formulas of the verdict read them, in the order of `rule::COUNTS`.
    fn locals(self) -> Vec<(&'static str, Dynamic)> {
        let count = |n: usize| Dynamic::from(i64::try_from(n).unwrap_or(i64::MAX));
        COUNTS.into_iter().zip([self.passed, self.failed, self.not_measured].map(count)).collect()
    }
}

// Where the rules are asked.
struct Bench<'a> {
    facts: &'a Facts,
    evaluation: Evaluation<'a>,
    configs: &'a Configs,
}

// What a test gives: the outcome, what its own part says of it, and its figure.
type Answer = (Outcome, String, Option<Figure>);

impl Bench<'_> {
    // `None` where the condition of the rule does not hold.
    fn ask<'r>(&self, rule: &'r Rule) -> Option<Judged<'r>> {
        let asked = match &rule.when {
            Some(when) => self.evaluation.test(when, &[]).map(|(holds, _)| holds),
            None => Ok(true),
        };
        let (outcome, own, figure) = match asked {
            Ok(false) => return None,
            Ok(true) => self.answer(rule)?,
            Err(error) => self.undecided(&error),
        };
        let render = |template: &Option<Template>| template.as_ref().map(|text| text.render(&self.evaluation));
        let says = match outcome {
            Outcome::Pass => render(&rule.pass),
            Outcome::Fail => render(&rule.fail),
            Outcome::NotMeasured => None,
        };
        // Of a figure it says how to measure it.
        let is_helped = match outcome {
            Outcome::Pass => false,
            Outcome::Fail => true,
            Outcome::NotMeasured => matches!(rule.test, Test::Metric(_)),
        };
        let help = if is_helped { render(&rule.help) } else { None };
        let files = self.configs.by_rule.get(&rule.id).map(|matched| matched.files.clone()).unwrap_or_default();
        Some(Judged { rule, outcome, says: says.unwrap_or(own), help, figure, files })
    }

    fn answer(&self, rule: &Rule) -> Option<Answer> {
        Some(match &rule.test {
            Test::Assert(assert) => match self.evaluation.test(assert, &[]) {
                Ok((true, _)) => (Outcome::Pass, String::new(), None),
                Ok((false, comparisons)) => {
                    let by: Vec<String> = comparisons.iter().filter(|c| !c.holds).map(Comparison::describe).collect();
                    (Outcome::Fail, by.join("; "), None)
                }
                Err(error) => self.undecided(&error),
            },
            Test::Metric(metric) => self.metric(metric),
            Test::Files(_) => {
                self.files(self.configs.by_rule.get(&rule.id).filter(|matched| !matched.files.is_empty())?)
            }
        })
    }

    fn files(&self, matched: &Matched) -> Answer {
        let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        match matched.broken.as_slice() {
            [] => (Outcome::Pass, files(matched.files.len()), None),
            [first] => (Outcome::Fail, format!("`{first}` does not hold what it must"), None),
            broken => {
                let says = format!("{} of {} do not hold what they must", broken.len(), files(matched.files.len()));
                (Outcome::Fail, format!("{says}: {}", broken.join(", ")), None)
            }
        }
    }

    fn metric(&self, metric: &Metric) -> Answer {
        let unit = metric.figure.ty().unit();
        let bound = |bound: &Option<Operand>| {
            bound.as_ref().and_then(|bound| self.evaluation.operand(bound).ok()).and_then(|value| value.as_f64())
        };
        let predicted = metric.predicted.as_ref().and_then(|expr| self.evaluation.eval(expr, &[]).ok());
        let mut figure = Figure {
            measured: None,
            predicted: predicted.and_then(|value| value.as_f64()),
            at_least: bound(&metric.at_least),
            at_most: bound(&metric.at_most),
            unit,
        };
        let measured = match self.evaluation.eval(&metric.figure, &[]) {
            Ok(value) => value.as_f64(),
            Err(error) => {
                let (outcome, says, _) = self.undecided(&error);
                return (outcome, says, Some(figure));
            }
        };
        figure.measured = measured;
        // A bound that cannot be told decides nothing.
        let is_missing = |bound: &Option<Operand>, told: Option<f64>| bound.is_some() && told.is_none();
        let outcome = match measured {
            Some(value)
                if figure.at_least.is_some_and(|least| value < least)
                    || figure.at_most.is_some_and(|most| value > most) =>
            {
                Outcome::Fail
            }
            Some(_)
                if !is_missing(&metric.at_least, figure.at_least) && !is_missing(&metric.at_most, figure.at_most) =>
            {
                Outcome::Pass
            }
            _ => Outcome::NotMeasured,
        };
        (outcome, String::new(), Some(figure))
    }

    fn undecided(&self, error: &EvalError) -> Answer {
        match error {
            EvalError::Unknown(name) => {
                let reason = match name.starts_with("settings.") {
                    true => format!("no policy gives `{name}` a value"),
                    false => self.facts.reason(name).to_owned(),
                };
                (Outcome::NotMeasured, reason, None)
            }
            EvalError::Failed { message, .. } => (Outcome::NotMeasured, format!("the rule failed: {message}"), None),
        }
    }
}
