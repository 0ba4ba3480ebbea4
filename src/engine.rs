//! Policies and one machine's facts → a [`Plan`].
//!
//! Settings are decided group by group, in an order in which each group reads only what is decided already. Within a
//! group: pins, then the highest layer that matches; limits of all matching policies hold together; choices see the
//! limits, pins and higher layers before they choose. Nothing here touches files.

mod checks;
mod choose;
mod limits;

pub use choose::{all_candidates, describe_candidate, show_candidate};
pub use limits::describe_limit;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::diag::{Finding, Span};
use crate::expr::{Comparison, EvalError, Evaluation, Expr, Operand, namespaces};
use crate::facts::Facts;
use crate::facts::units::show;
use crate::plan::{Candidate, Considered, Derivation, Limited, Origin, Outcome, Plan, PolicyRef, Setting};
use crate::policy::{Contribution, Part, Policy, PolicySet};
use crate::settings::{self, SETTINGS, SettingSpec};

/// Layers from here on are the user's own: what they say is pinned.
const USER_LAYER: u8 = 90;

/// What the user asks besides the facts.
#[derive(Clone, Debug)]
pub struct Question {
    /// Settings that the user asks for, by index.
    pub pins: BTreeMap<usize, Value>,
    /// The day to compare `expires` with.
    pub as_of: Date,
}

impl Question {
    /// What the user asks for of a setting; `None` where that is left to the policies.
    pub fn pin(&self, name: &str) -> Option<&Value> {
        SETTINGS.index(name).and_then(|index| self.pins.get(&index))
    }
}

/// Evaluates the policies over one machine.
pub fn evaluate(set: &PolicySet, facts: &Facts, question: &Question) -> Plan {
    let evaluation = undecided(set, facts);
    let mut run = Run {
        set,
        facts,
        question,
        evaluation,
        matches: vec![None; set.policies.len()],
        settings: BTreeMap::new(),
        unset: BTreeMap::new(),
        findings: Vec::new(),
    };
    for group in &set.groups {
        run.group(group);
    }
    run.ranges();
    run.checks();
    run.expired();
    let settings = run.settings.into_iter().map(|(index, setting)| (SETTINGS.get(index).name.clone(), setting));
    Plan {
        settings: settings.collect(),
        unset: run.unset,
        findings: run.findings,
        as_of: question.as_of,
        policy_hash: set.hash.clone(),
    }
}

/// An evaluation that knows a plan's settings: what the expressions of a target read.
pub fn evaluation<'a>(set: &'a PolicySet, facts: &Facts, plan: &Plan) -> Evaluation<'a> {
    let evaluation = undecided(set, facts);
    for (name, setting) in &plan.settings {
        if let Some(index) = SETTINGS.index(name) {
            evaluation.decide(index, &setting.value);
        }
    }
    evaluation
}

/// An evaluation over one machine in which no setting is decided yet.
pub fn undecided<'a>(set: &'a PolicySet, facts: &Facts) -> Evaluation<'a> {
    let mut namespaces = namespaces::values(&set.types, facts);
    namespaces.insert(namespaces::DATA_NAMESPACE.to_owned(), set.data.clone());
    set.language.evaluation(namespaces, SETTINGS.len())
}

// Whether a policy counts on this machine.
#[derive(Clone, Debug)]
enum Match {
    Yes,
    No(Vec<Comparison>),
    Unknown(String),
    Expired(Date),
    Failed,
}

struct Run<'a> {
    set: &'a PolicySet,
    facts: &'a Facts,
    question: &'a Question,
    evaluation: Evaluation<'a>,
    matches: Vec<Option<Match>>,
    settings: BTreeMap<usize, Setting>,
    unset: BTreeMap<String, Derivation>,
    findings: Vec<Finding>,
}

// A value that a matching policy gives.
struct Offer<'a> {
    part: &'a Part,
    result: Result<(Value, Origin), Outcome>,
}

impl<'a> Run<'a> {
    fn matches(&mut self, policy: usize) -> Match {
        if let Some(known) = &self.matches[policy] {
            return known.clone();
        }
        let set = self.set;
        let rule = &set.policies[policy];
        let result = match (&rule.expires, &rule.when) {
            (Some(last), _) if *last < self.question.as_of => Match::Expired(*last),
            (_, None) => Match::Yes,
            (_, Some(when)) => match self.evaluation.test(when, &[]) {
                Ok((true, _)) => Match::Yes,
                Ok((false, comparisons)) => Match::No(comparisons),
                Err(EvalError::Unknown(name)) => Match::Unknown(name),
                Err(error) => {
                    self.failed(when, &error, &format!("the condition of policy `{}`", rule.id));
                    Match::Failed
                }
            },
        };
        self.matches[policy] = Some(result.clone());
        result
    }

    // An expression that failed hides a gap, so it refuses the plan.
    fn failed(&mut self, expr: &Expr, error: &EvalError, what: &str) {
        if let EvalError::Failed { message, position } = error {
            let finding = Finding::error("expression-failed", format!("{what} failed: {message}"));
            self.findings.push(finding.at(expr.span_at(*position), ""));
        }
    }

    fn reason(&self, name: &str) -> String {
        match name.strip_prefix("settings.") {
            Some(_) => "no policy gives it a value".to_owned(),
            None if name.starts_with("data.") => "the table has no such cell".to_owned(),
            None => self.facts.reason(name).to_owned(),
        }
    }

    fn group(&mut self, group: &[usize]) {
        let bounds: BTreeMap<usize, Vec<Limited>> =
            group.iter().map(|&setting| (setting, self.bounds(setting))).collect();
        let mut offers: BTreeMap<usize, Vec<Offer<'a>>> = BTreeMap::new();
        let mut idle: BTreeMap<usize, Vec<(&'a Part, Outcome)>> = BTreeMap::new();
        let mut choices: BTreeSet<(Reverse<u8>, usize, usize)> = BTreeSet::new();
        let set = self.set;
        for &setting in group {
            for part in set.parts(setting) {
                let outcome = match (part.contribution, self.matches(part.policy)) {
                    (Contribution::Limit(_), _) => continue,
                    (Contribution::Value(i), Match::Yes) => {
                        let result = self.value(part.policy, i);
                        offers.entry(setting).or_default().push(Offer { part, result });
                        continue;
                    }
                    (Contribution::Choose(i), Match::Yes) => {
                        choices.insert((Reverse(set.policies[part.policy].layer), part.policy, i));
                        continue;
                    }
                    (_, Match::No(comparisons)) => Outcome::NotMatched(comparisons),
                    (_, Match::Unknown(name)) => Outcome::Unknown { reason: self.reason(&name), name },
                    (_, Match::Expired(last)) => Outcome::Expired(last),
                    (_, Match::Failed) => Outcome::Failed,
                };
                idle.entry(setting).or_default().push((part, outcome));
            }
        }
        let mut candidates: BTreeMap<(usize, usize), Vec<Candidate>> = BTreeMap::new();
        // Highest layer first: what it decides is given to the choices below it.
        for (_, policy, index) in choices {
            let (results, tried) = self.choose(policy, index, &offers, &bounds);
            candidates.insert((policy, index), tried);
            for (setting, result) in results {
                let chosen = |part: &&Part| part.policy == policy && part.contribution == Contribution::Choose(index);
                if let Some(part) = set.parts(setting).iter().find(chosen) {
                    offers.entry(setting).or_default().push(Offer { part, result });
                }
            }
        }
        for &setting in group {
            let offers = offers.remove(&setting).unwrap_or_default();
            let idle = idle.remove(&setting).unwrap_or_default();
            let limits = bounds.get(&setting).cloned().unwrap_or_default();
            self.decide(setting, offers, idle, limits, &candidates);
        }
        for &setting in group {
            if let Some(decided) = self.settings.get(&setting) {
                self.evaluation.decide(setting, &decided.value);
            }
        }
    }

    fn value(&mut self, policy: usize, index: usize) -> Result<(Value, Origin), Outcome> {
        let set = self.set;
        let rule = &set.policies[policy].values[index];
        match &rule.value {
            Operand::Literal(value) => Ok((value.clone(), Origin::Set)),
            Operand::Expr(expr) => match self.evaluation.eval(expr, &[]) {
                Ok(value) => Ok((value, Origin::Derive)),
                Err(EvalError::Unknown(name)) => Err(Outcome::Unknown { reason: self.reason(&name), name }),
                Err(error) => {
                    let what = format!(
                        "the value of `{}` in policy `{}`",
                        SETTINGS.get(rule.setting).name,
                        set.policies[policy].id
                    );
                    self.failed(expr, &error, &what);
                    Err(Outcome::Failed)
                }
            },
        }
    }

    fn decide(
        &mut self,
        setting: usize,
        mut offers: Vec<Offer<'a>>,
        idle: Vec<(&'a Part, Outcome)>,
        limits: Vec<Limited>,
        candidates: &BTreeMap<(usize, usize), Vec<Candidate>>,
    ) {
        let set = self.set;
        let spec = SETTINGS.get(setting);
        let rank = |part: &Part| (Reverse(set.policies[part.policy].layer), set.policies[part.policy].id.as_str());
        offers.sort_by_key(|offer| rank(offer.part));
        let winner = offers.iter().position(|offer| offer.result.is_ok());
        if let Some(winner) = winner {
            self.ambiguous(setting, &offers, winner);
        }
        let pin = self.question.pins.get(&setting);
        let mut derivation = Derivation { limits, ..Derivation::default() };
        let mut decided = pin.map(|value| (value.clone(), Origin::Pin, None));
        let mut considered: Vec<(&Part, Outcome)> = idle;
        for (i, Offer { part, result }) in offers.into_iter().enumerate() {
            let outcome = match result {
                Ok((value, origin)) if Some(i) == winner && pin.is_none() => {
                    if let Contribution::Choose(index) = part.contribution {
                        derivation.candidates = candidates.get(&(part.policy, index)).cloned().unwrap_or_default();
                    }
                    // What stands in the user's own layer is asked for, as with a pin.
                    let user = set.policies[part.policy].layer >= USER_LAYER;
                    let origin = if user { Origin::Pin } else { origin };
                    decided = Some((value.clone(), origin, Some(self.policy_ref(part))));
                    Outcome::Won(value)
                }
                Ok((value, _)) => Outcome::Beaten(value),
                Err(outcome) => outcome,
            };
            considered.push((part, outcome));
        }
        considered.sort_by_key(|(part, _)| rank(part));
        derivation.considered = considered
            .into_iter()
            .map(|(part, outcome)| Considered {
                policy: self.policy_ref(part),
                when: part.when.clone(),
                expression: part.expression.clone(),
                reads: part.reads.clone(),
                outcome,
            })
            .collect();
        let Some((value, origin, policy)) = decided else {
            if !derivation.considered.is_empty() {
                self.unset.insert(spec.name.clone(), derivation);
            }
            return;
        };
        let (value, moved) = match origin {
            Origin::Pin => {
                self.pinned(spec, &value, &derivation.limits);
                (value, None)
            }
            _ => self.bounded(spec, value, &derivation.limits, policy.as_ref()),
        };
        self.settings.insert(setting, Setting { value, unit: spec.unit, origin, policy, moved, derivation });
    }

    fn policy_ref(&self, part: &Part) -> PolicyRef {
        let policy = &self.set.policies[part.policy];
        policy_ref(policy, policy.span_of(part.contribution))
    }

    // Two policies of the winning layer that give different values.
    fn ambiguous(&mut self, setting: usize, offers: &[Offer<'_>], winner: usize) {
        let first = &offers[winner];
        let (Ok((value, _)), layer) = (&first.result, self.set.policies[first.part.policy].layer) else { return };
        let spec = SETTINGS.get(setting);
        for other in &offers[winner + 1..] {
            let rule = &self.set.policies[other.part.policy];
            let Ok((different, _)) = &other.result else { continue };
            if rule.layer != layer || same(value, different) {
                continue;
            }
            let message = format!("two policies of layer {layer} give `{}` different values", spec.name);
            let label = |offer: &Offer<'_>, value: &Value| {
                let rule = &self.set.policies[offer.part.policy];
                let text = format!("`{}` gives {}", rule.id, show(value, spec.unit));
                (rule.span_of(offer.part.contribution).clone(), text)
            };
            let (a, b) = (label(first, value), label(other, different));
            let help = "make one policy of the two with if/else, or exclude one of them with `when`";
            self.findings.push(Finding::error("ambiguous-setting", message).at(a.0, a.1).at(b.0, b.1).help(help));
            return;
        }
    }

    // The schema has the last word on every value.
    fn ranges(&mut self) {
        let values: Map<String, Value> = self
            .settings
            .iter()
            .map(|(index, setting)| (SETTINGS.get(*index).name.clone(), setting.value.clone()))
            .collect();
        for (name, message) in settings::violations(&values) {
            let mut finding = Finding::error("setting-out-of-range", format!("`{name}`: {message}"));
            let setting = SETTINGS.index(&name).and_then(|index| self.settings.get(&index));
            if let Some(policy) = setting.and_then(|setting| setting.policy.as_ref()) {
                finding = finding.at(policy.span.clone(), format!("policy `{}`", policy.id));
            }
            let range = SETTINGS.find(&name).map(SettingSpec::range).filter(|range| !range.is_empty());
            self.findings.push(finding.maybe_help(range.map(|range| format!("`{name}` may be {range}"))));
        }
    }

    fn expired(&mut self) {
        for rule in &self.set.policies {
            if let Some(last) = rule.expires.filter(|last| *last < self.question.as_of) {
                let message = format!("policy `{}` expired on {last} and does not count", rule.id);
                let finding = Finding::warning("expired-override", message).at(rule.span.clone(), "");
                self.findings.push(finding.help("renew its date or remove it"));
            }
        }
    }
}

fn policy_ref(policy: &Policy, span: &Span) -> PolicyRef {
    PolicyRef {
        id: policy.id.clone(),
        layer: policy.layer,
        span: span.clone(),
        why: policy.why.clone(),
        source: policy.source.clone(),
    }
}

/// Whether two values are the same; 2 and 2.0 are.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x == y,
        _ => a == b,
    }
}
