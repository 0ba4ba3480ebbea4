//! Policies and one machine's facts → a [`Plan`].
//!
//! Settings are decided group by group, in an order in which each group reads only what is decided already. Within a
//! group: pins, then the highest layer that matches; limits of all matching policies hold together; choices see the
//! limits, pins and higher layers before they choose. Nothing here touches files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::diag::{Finding, Severity, Span};
use crate::expr::{Comparison, Dynamic, EvalError, Evaluation, Expr, Node, namespaces, runtime};
use crate::facts::Facts;
use crate::facts::units::show;
use crate::plan::{
    Candidate, Considered, Derivation, Failed, Limited, Origin, Outcome, Plan, PolicyRef, Setting, Verdict,
};
use crate::policy::{Candidates, Choose, Contribution, LimitRule, Operand, Policy, PolicySet};
use crate::settings::{self, SETTINGS, SettingSpec};

/// Most candidates of one choice.
const MAX_CANDIDATES: usize = 4096;

/// What the user asks besides the facts.
#[derive(Clone, Debug)]
pub struct Question {
    /// Settings that the user asks for, by index.
    pub pins: BTreeMap<usize, Value>,
    /// The day to compare `expires` with.
    pub as_of: Date,
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

fn undecided<'a>(set: &'a PolicySet, facts: &Facts) -> Evaluation<'a> {
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
struct Offer {
    policy: usize,
    contribution: Contribution,
    result: Result<(Value, Origin), Outcome>,
}

// The bounds of all matching policies on one setting.
#[derive(Default)]
struct Bounds {
    limits: Vec<Limited>,
    // An unknown in a limit leaves the setting undecided.
    undecided: bool,
}

impl Run<'_> {
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
        let bounds: BTreeMap<usize, Bounds> = group.iter().map(|&setting| (setting, self.bounds(setting))).collect();
        let mut offers: BTreeMap<usize, Vec<Offer>> = BTreeMap::new();
        let mut considered: BTreeMap<usize, Vec<(usize, Contribution, Outcome)>> = BTreeMap::new();
        let mut choices: BTreeSet<(Reverse<u8>, usize, usize)> = BTreeSet::new();
        for &setting in group {
            let contributions: Vec<_> = self.set.contributions(setting).collect();
            for (policy, contribution) in contributions {
                if matches!(contribution, Contribution::Limit(_)) {
                    continue;
                }
                let outcome = match self.matches(policy) {
                    Match::Yes => match contribution {
                        Contribution::Value(i) => {
                            let result = self.value(policy, i);
                            offers.entry(setting).or_default().push(Offer { policy, contribution, result });
                            continue;
                        }
                        Contribution::Choose(i) => {
                            choices.insert((Reverse(self.set.policies[policy].layer), policy, i));
                            continue;
                        }
                        Contribution::Limit(_) => continue,
                    },
                    Match::No(comparisons) => Outcome::NotMatched(comparisons),
                    Match::Unknown(name) => Outcome::Unknown { reason: self.reason(&name), name },
                    Match::Expired(last) => Outcome::Expired(last),
                    Match::Failed => Outcome::Failed,
                };
                considered.entry(setting).or_default().push((policy, contribution, outcome));
            }
        }
        let mut candidates: BTreeMap<(usize, usize), Vec<Candidate>> = BTreeMap::new();
        // Highest layer first: what it decides is given to the choices below it.
        for (_, policy, index) in choices {
            let (results, tried) = self.choose(policy, index, &offers, &bounds);
            candidates.insert((policy, index), tried);
            for (setting, result) in results {
                let contribution = Contribution::Choose(index);
                offers.entry(setting).or_default().push(Offer { policy, contribution, result });
            }
        }
        for &setting in group {
            let offers = offers.remove(&setting).unwrap_or_default();
            let considered = considered.remove(&setting).unwrap_or_default();
            let bounds = bounds.get(&setting);
            self.decide(setting, offers, considered, bounds, &candidates);
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

    fn bounds(&mut self, setting: usize) -> Bounds {
        let mut bounds = Bounds::default();
        let contributions: Vec<_> = self.set.contributions(setting).collect();
        for (policy, contribution) in contributions {
            let Contribution::Limit(index) = contribution else { continue };
            let set = self.set;
            let rule = &set.policies[policy].limits[index];
            match self.matches(policy) {
                Match::Yes => {}
                Match::Unknown(name) => {
                    self.undecided_limit(policy, rule, &name);
                    bounds.undecided = true;
                    continue;
                }
                Match::No(_) | Match::Expired(_) | Match::Failed => continue,
            }
            match self.limit(policy, rule) {
                Ok(limited) => bounds.limits.push(limited),
                Err(EvalError::Unknown(name)) => {
                    self.undecided_limit(policy, rule, &name);
                    bounds.undecided = true;
                }
                Err(EvalError::Failed { .. }) => {}
            }
        }
        bounds
    }

    fn undecided_limit(&mut self, policy: usize, rule: &LimitRule, name: &str) {
        let id = &self.set.policies[policy].id;
        let setting = &SETTINGS.get(rule.setting).name;
        let reason = self.reason(name);
        let message =
            format!("the limit of `{id}` on `{setting}` cannot be decided: `{name}` is unknown, because {reason}");
        let help = format!("supply it with --fact {name}=…, or go on without the limit: --allow undecided");
        self.findings.push(Finding::error("undecided", message).at(rule.span.clone(), "").help(help));
    }

    fn limit(&mut self, policy: usize, rule: &LimitRule) -> Result<Limited, EvalError> {
        let operand = |run: &mut Self, operand: &Option<Operand>| match operand {
            None => Ok(None),
            Some(Operand::Literal(value)) => Ok(Some(value.clone())),
            Some(Operand::Expr(expr)) => match run.evaluation.eval(expr, &[]) {
                Ok(value) => Ok(Some(value)),
                Err(error) => {
                    run.failed(expr, &error, &format!("the limit of policy `{}`", run.set.policies[policy].id));
                    Err(error)
                }
            },
        };
        Ok(Limited {
            policy: policy_ref(&self.set.policies[policy], &rule.span),
            at_least: operand(self, &rule.at_least)?,
            at_most: operand(self, &rule.at_most)?,
            one_of: operand(self, &rule.one_of)?.and_then(|value| match value {
                Value::Array(items) => Some(items),
                _ => None,
            }),
        })
    }

    // What a choice gives each of its settings, and the candidates it went through.
    #[expect(clippy::type_complexity, reason = "the two halves of one answer, used in one place")]
    fn choose(
        &mut self,
        policy: usize,
        index: usize,
        offers: &BTreeMap<usize, Vec<Offer>>,
        bounds: &BTreeMap<usize, Bounds>,
    ) -> (Vec<(usize, Result<(Value, Origin), Outcome>)>, Vec<Candidate>) {
        let set = self.set;
        let rule = &set.policies[policy];
        let choose = &rule.chooses[index];
        let all =
            |outcome: &Outcome| choose.into.iter().map(|into| (into.setting, Err(outcome.clone()))).collect::<Vec<_>>();
        let given = self.given(choose, rule.layer, offers);
        let candidates = match self.candidates(choose) {
            Ok(candidates) => candidates,
            Err(outcome) => return (all(&outcome), Vec::new()),
        };
        let mut tried = Vec::new();
        let mut rows = match self.rows(choose, &candidates) {
            Ok(rows) => rows,
            Err(outcome) => return (all(&outcome), Vec::new()),
        };
        // What is given from above filters the candidates; if none agrees, the given values take the place of theirs.
        let agrees =
            |row: &Row| given.iter().all(|(setting, value)| row.values.get(setting).is_none_or(|v| same(v, value)));
        if rows.iter().any(agrees) {
            rows.retain(agrees);
        } else if !given.is_empty() {
            rows = self.substituted(choose, rows, &given);
        }
        for row in rows {
            let shown = shown(choose, &row.values);
            if let Some(reason) = self.excluded(&row.values, &given, bounds) {
                tried.push(Candidate { value: shown, verdict: Verdict::Excluded(reason) });
                continue;
            }
            match self.evaluation.test(&choose.such_that, &[("it", row.it.clone())]) {
                Ok((true, _)) => {
                    tried.push(Candidate { value: shown, verdict: Verdict::Taken });
                    let results = row.values.into_iter().map(|(setting, value)| (setting, Ok((value, Origin::Choose))));
                    return (results.collect(), tried);
                }
                Ok((false, comparisons)) => {
                    let failed = comparisons
                        .into_iter()
                        .filter(|c| !c.holds)
                        .map(|comparison| Failed { unit: choose.such_that.unit_of(&comparison), comparison });
                    tried.push(Candidate { value: shown, verdict: Verdict::Fails(failed.collect()) });
                }
                Err(EvalError::Unknown(name)) => {
                    return (all(&Outcome::Unknown { reason: self.reason(&name), name }), tried);
                }
                Err(error) => {
                    self.failed(
                        &choose.such_that,
                        &error,
                        &format!("the choice `{}` of policy `{}`", choose.name, rule.id),
                    );
                    return (all(&Outcome::Failed), tried);
                }
            }
        }
        match &choose.otherwise {
            Some(values) => {
                let value = |(setting, value): &(usize, Value)| (*setting, Ok((value.clone(), Origin::Otherwise)));
                (values.iter().map(value).collect(), tried)
            }
            None => {
                let higher = choose.into.iter().all(|into| given.contains_key(&into.setting));
                if !higher {
                    self.no_candidate(choose, rule, &tried);
                }
                (all(&Outcome::Failed), tried)
            }
        }
    }

    // Values that pins and higher layers give to settings of a choice.
    fn given(&self, choose: &Choose, layer: u8, offers: &BTreeMap<usize, Vec<Offer>>) -> BTreeMap<usize, Value> {
        let mut given = BTreeMap::new();
        for into in &choose.into {
            if let Some(pin) = self.question.pins.get(&into.setting) {
                given.insert(into.setting, pin.clone());
                continue;
            }
            let offers = offers.get(&into.setting).into_iter().flatten();
            let higher = offers.filter(|offer| self.set.policies[offer.policy].layer > layer);
            let best =
                higher.filter_map(|offer| Some((self.set.policies[offer.policy].layer, offer.result.as_ref().ok()?)));
            if let Some((_, (value, _))) = best.max_by_key(|(layer, _)| *layer) {
                given.insert(into.setting, value.clone());
            }
        }
        given
    }

    fn candidates(&mut self, choose: &Choose) -> Result<Vec<Dynamic>, Outcome> {
        match &choose.candidates {
            Candidates::Literals(values) => Ok(values.iter().map(runtime::to_dynamic).collect()),
            Candidates::Expr(expr) => match self.evaluation.eval_dynamic(expr, &[]) {
                Ok(list) => {
                    let items = list.into_array().unwrap_or_default();
                    if items.len() > MAX_CANDIDATES {
                        let message = format!("the choice `{}` has more than {MAX_CANDIDATES} candidates", choose.name);
                        self.findings.push(Finding::error("expression-failed", message).at(expr.span(), ""));
                        return Err(Outcome::Failed);
                    }
                    Ok(items)
                }
                Err(EvalError::Unknown(name)) => Err(Outcome::Unknown { reason: self.reason(&name), name }),
                Err(error) => {
                    self.failed(expr, &error, &format!("the candidates of `{}`", choose.name));
                    Err(Outcome::Failed)
                }
            },
        }
    }

    fn rows(&mut self, choose: &Choose, candidates: &[Dynamic]) -> Result<Vec<Row>, Outcome> {
        candidates.iter().map(|it| self.row(choose, it.clone())).collect()
    }

    fn row(&mut self, choose: &Choose, it: Dynamic) -> Result<Row, Outcome> {
        let mut values = BTreeMap::new();
        for into in &choose.into {
            let value = match &into.value {
                None => runtime::to_value(&it).ok_or(Outcome::Failed)?,
                Some(expr) => match self.evaluation.eval(expr, &[("it", it.clone())]) {
                    Ok(value) => value,
                    Err(EvalError::Unknown(name)) => return Err(Outcome::Unknown { reason: self.reason(&name), name }),
                    Err(error) => {
                        self.failed(expr, &error, &format!("the choice `{}`", choose.name));
                        return Err(Outcome::Failed);
                    }
                },
            };
            values.insert(into.setting, value);
        }
        Ok(Row { it, values })
    }

    // The rows with the given values in place of their own, without the doubles that this makes.
    fn substituted(&self, choose: &Choose, rows: Vec<Row>, given: &BTreeMap<usize, Value>) -> Vec<Row> {
        let mut substituted: Vec<Row> = Vec::new();
        for mut row in rows {
            for into in &choose.into {
                let Some(value) = given.get(&into.setting) else { continue };
                match (&into.field, row.it.clone().try_cast::<Node>()) {
                    (Some(field), Some(node)) => {
                        row.it = Dynamic::from(node.with([(field.clone(), runtime::to_dynamic(value))]));
                    }
                    (None, None) if into.value.is_none() => row.it = runtime::to_dynamic(value),
                    _ => {}
                }
                row.values.insert(into.setting, value.clone());
            }
            if !substituted.iter().any(|other| other.values == row.values) {
                substituted.push(row);
            }
        }
        substituted
    }

    // Why a row is out of the question: a limit on one of its settings. What was given is not limited here.
    fn excluded(
        &self,
        values: &BTreeMap<usize, Value>,
        given: &BTreeMap<usize, Value>,
        bounds: &BTreeMap<usize, Bounds>,
    ) -> Option<String> {
        for (setting, value) in values.iter().filter(|(setting, _)| !given.contains_key(setting)) {
            let spec = SETTINGS.get(*setting);
            let broken =
                bounds.get(setting).and_then(|bounds| bounds.limits.iter().find(|limit| !within(value, limit)));
            if let Some(limit) = broken {
                let (value, bound) = (show(value, spec.unit), describe_limit(limit, spec));
                return Some(format!("`{}` {value} is outside {bound} (`{}`)", spec.name, limit.policy.id));
            }
        }
        None
    }

    fn no_candidate(&mut self, choose: &Choose, rule: &Policy, tried: &[Candidate]) {
        let message = format!("no candidate for `{}` will do", choose.name);
        let mut finding =
            Finding::error("no-candidate", message).at(choose.span.clone(), format!("in policy `{}`", rule.id));
        let lines: Vec<String> = tried.iter().map(describe_candidate).collect();
        if !lines.is_empty() {
            finding = finding.help(format!("tried, in this order:\n{}", lines.join("\n")));
        }
        self.findings.push(finding);
    }

    fn decide(
        &mut self,
        setting: usize,
        mut offers: Vec<Offer>,
        considered: Vec<(usize, Contribution, Outcome)>,
        bounds: Option<&Bounds>,
        candidates: &BTreeMap<(usize, usize), Vec<Candidate>>,
    ) {
        let set = self.set;
        let spec = SETTINGS.get(setting);
        let rank = |offer: &Offer| (Reverse(set.policies[offer.policy].layer), set.policies[offer.policy].id.clone());
        offers.sort_by_key(rank);
        let winner = offers.iter().position(|offer| offer.result.is_ok());
        if let Some(winner) = winner {
            self.ambiguous(setting, &offers, winner);
        }
        let pin = self.question.pins.get(&setting);
        let mut derivation = Derivation {
            limits: bounds.map(|bounds| bounds.limits.clone()).unwrap_or_default(),
            ..Derivation::default()
        };
        let mut decided = pin.map(|value| (value.clone(), Origin::Pin, None));
        for (i, offer) in offers.into_iter().enumerate() {
            let rule = &set.policies[offer.policy];
            let policy = policy_ref(rule, contribution_span(rule, offer.contribution));
            let outcome = match offer.result {
                Ok((value, origin)) if Some(i) == winner && pin.is_none() => {
                    if let Contribution::Choose(index) = offer.contribution {
                        derivation.candidates = candidates.get(&(offer.policy, index)).cloned().unwrap_or_default();
                    }
                    decided = Some((value.clone(), origin, Some(policy.clone())));
                    Outcome::Won(value)
                }
                Ok((value, _)) => Outcome::Beaten(value),
                Err(outcome) => outcome,
            };
            derivation.considered.push(self.considered(rule, offer.contribution, policy, outcome));
        }
        for (policy, contribution, outcome) in considered {
            let rule = &set.policies[policy];
            let policy = policy_ref(rule, contribution_span(rule, contribution));
            derivation.considered.push(self.considered(rule, contribution, policy, outcome));
        }
        derivation.considered.sort_by_key(|c| (Reverse(c.policy.layer), c.policy.id.clone()));
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

    fn considered(&self, rule: &Policy, contribution: Contribution, policy: PolicyRef, outcome: Outcome) -> Considered {
        let expressions = contribution_expressions(rule, contribution);
        let read = rule.when.iter().chain(expressions.iter().copied()).flat_map(|expr| self.set.reads(expr));
        let reads: BTreeSet<String> = read.filter_map(|read| read.name()).collect();
        let when = rule.when.iter().map(|when| format!("when {}", when.text().trim()));
        let texts: Vec<String> = when.chain(expressions.iter().map(|expr| expr.text().trim().to_owned())).collect();
        let text = (!texts.is_empty()).then(|| texts.join("\n"));
        Considered { policy, text, reads: reads.into_iter().collect(), outcome }
    }

    // Two policies of the winning layer that give different values.
    fn ambiguous(&mut self, setting: usize, offers: &[Offer], winner: usize) {
        let first = &offers[winner];
        let (Ok((value, _)), layer) = (&first.result, self.set.policies[first.policy].layer) else { return };
        let spec = SETTINGS.get(setting);
        for other in &offers[winner + 1..] {
            let rule = &self.set.policies[other.policy];
            let Ok((different, _)) = &other.result else { continue };
            if rule.layer != layer || same(value, different) {
                continue;
            }
            let message = format!("two policies of layer {layer} give `{}` different values", spec.name);
            let label = |offer: &Offer, value: &Value| {
                let rule = &self.set.policies[offer.policy];
                let text = format!("`{}` gives {}", rule.id, show(value, spec.unit));
                (contribution_span(rule, offer.contribution).clone(), text)
            };
            let (a, b) = (label(first, value), label(other, different));
            let help = "make one policy of the two with if/else, or exclude one of them with `when`";
            self.findings.push(Finding::error("ambiguous-setting", message).at(a.0, a.1).at(b.0, b.1).help(help));
            return;
        }
    }

    fn pinned(&mut self, spec: &SettingSpec, value: &Value, limits: &[Limited]) {
        for limit in limits.iter().filter(|limit| !within(value, limit)) {
            let (shown, bound) = (show(value, spec.unit), describe_limit(limit, spec));
            let message =
                format!("`{}` is pinned to {shown}, outside {bound} of policy `{}`", spec.name, limit.policy.id);
            let finding = Finding::warning("pin-breaks-limit", message).at(limit.policy.span.clone(), "");
            self.findings.push(finding.maybe_help(limit.policy.why.clone()));
        }
    }

    // Moves a number into its bounds; says so when there is no legal value to move it to.
    fn bounded(
        &mut self,
        spec: &SettingSpec,
        value: Value,
        limits: &[Limited],
        policy: Option<&PolicyRef>,
    ) -> (Value, Option<(Value, PolicyRef)>) {
        let bound = |limit: &Limited, low: bool| {
            (if low { &limit.at_least } else { &limit.at_most }).as_ref().and_then(Value::as_f64)
        };
        let lowest = limits.iter().filter_map(|l| Some((bound(l, true)?, l))).max_by(|a, b| a.0.total_cmp(&b.0));
        let highest = limits.iter().filter_map(|l| Some((bound(l, false)?, l))).min_by(|a, b| a.0.total_cmp(&b.0));
        if let (Some((low, a)), Some((high, b))) = (lowest, highest)
            && low > high
        {
            let message = format!("the limits on `{}` contradict each other", spec.name);
            let text = |limit: &Limited| format!("`{}`: {}", limit.policy.id, describe_limit(limit, spec));
            let finding = Finding::error("contradicting-limits", message);
            self.findings.push(finding.at(a.policy.span.clone(), text(a)).at(b.policy.span.clone(), text(b)));
            return (value, None);
        }
        let Some(broken) = limits.iter().find(|limit| !within(&value, limit)) else { return (value, None) };
        let target = match value.as_f64() {
            Some(number) => match (lowest, highest) {
                (_, Some((high, limit))) if number > high => Some((spec.legal_near(high, true), limit)),
                (Some((low, limit)), _) if number < low => Some((spec.legal_near(low, false), limit)),
                _ => None,
            },
            None => None,
        };
        if let Some((Some(moved), limit)) = target
            && limits.iter().all(|limit| within(&moved, limit))
        {
            return (moved, Some((value, limit.policy.clone())));
        }
        let message = format!(
            "`{}` {} is outside {} and no legal value is inside",
            spec.name,
            show(&value, spec.unit),
            describe_limit(broken, spec)
        );
        let mut finding =
            Finding::error("limit-unmet", message).at(broken.policy.span.clone(), format!("`{}`", broken.policy.id));
        if let Some(policy) = policy {
            finding = finding.at(policy.span.clone(), format!("`{}` gives the value", policy.id));
        }
        self.findings.push(finding);
        (value, None)
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

    fn checks(&mut self) {
        let set = self.set;
        for check in &set.checks {
            let asked = match &check.when {
                None => Ok(true),
                Some(when) => self.evaluation.test(when, &[]).map(|(holds, _)| holds).map_err(|e| (when, e)),
            };
            let answer = match asked {
                Ok(false) => continue,
                Ok(true) => self.evaluation.test(&check.assert, &[]).map_err(|e| (&check.assert, e)),
                Err(error) => Err(error),
            };
            match answer {
                Ok((true, _)) => {}
                Ok((false, comparisons)) => {
                    let failed = comparisons
                        .into_iter()
                        .filter(|c| !c.holds)
                        .map(|comparison| Failed { unit: check.assert.unit_of(&comparison), comparison });
                    let by: Vec<String> = failed.map(|failed| failed.describe()).collect();
                    let finding = Finding::new(check.code(), check.severity, check.message.render(&self.evaluation));
                    let help = check.help.as_ref().map(|help| help.render(&self.evaluation));
                    self.findings.push(finding.at(check.assert.span(), by.join("; ")).maybe_help(help));
                }
                Err((expr, EvalError::Unknown(name))) => {
                    let reason = self.reason(&name);
                    let message =
                        format!("check `{}` cannot be decided: `{name}` is unknown, because {reason}", check.id);
                    let severity = if check.severity == Severity::Error { Severity::Error } else { Severity::Note };
                    let help = format!("supply it with --fact {name}=…, or go on without: --allow undecided");
                    let finding = Finding::new("undecided", severity, message).at(expr.span(), "");
                    self.findings.push(if severity == Severity::Error { finding.help(help) } else { finding });
                }
                Err((expr, error)) => self.failed(expr, &error, &format!("check `{}`", check.id)),
            }
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

// A candidate and the settings that it would give.
struct Row {
    it: Dynamic,
    values: BTreeMap<usize, Value>,
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

fn contribution_span(policy: &Policy, contribution: Contribution) -> &Span {
    match contribution {
        Contribution::Value(i) => &policy.values[i].span,
        Contribution::Choose(i) => &policy.chooses[i].span,
        Contribution::Limit(i) => &policy.limits[i].span,
    }
}

fn contribution_expressions(policy: &Policy, contribution: Contribution) -> Vec<&Expr> {
    match contribution {
        Contribution::Value(i) => match &policy.values[i].value {
            Operand::Expr(expr) => vec![expr],
            Operand::Literal(_) => Vec::new(),
        },
        Contribution::Choose(i) => vec![&policy.chooses[i].such_that],
        Contribution::Limit(_) => Vec::new(),
    }
}

// 2 and 2.0 are the same value.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x == y,
        _ => a == b,
    }
}

fn within(value: &Value, limit: &Limited) -> bool {
    let number = value.as_f64();
    let at_least = limit.at_least.as_ref().and_then(Value::as_f64);
    let at_most = limit.at_most.as_ref().and_then(Value::as_f64);
    let above = number.zip(at_least).is_none_or(|(n, bound)| n >= bound);
    let below = number.zip(at_most).is_none_or(|(n, bound)| n <= bound);
    above && below && limit.one_of.as_ref().is_none_or(|values| values.iter().any(|v| same(v, value)))
}

/// A limit in words: `at most 8`, `one of none, int8`.
pub fn describe_limit(limit: &Limited, spec: &SettingSpec) -> String {
    let mut parts = Vec::new();
    if let Some(low) = &limit.at_least {
        parts.push(format!("at least {}", show(low, spec.unit)));
    }
    if let Some(high) = &limit.at_most {
        parts.push(format!("at most {}", show(high, spec.unit)));
    }
    if let Some(values) = &limit.one_of {
        let values: Vec<_> = values.iter().map(|v| show(v, spec.unit)).collect();
        parts.push(format!("one of {}", values.join(", ")));
    }
    parts.join(" and ")
}

// The candidate for people: its literal, or the settings that it would give.
fn shown(choose: &Choose, values: &BTreeMap<usize, Value>) -> Value {
    match (choose.into.as_slice(), values.iter().next()) {
        ([only], Some((_, value))) if only.value.is_none() => value.clone(),
        _ => Value::Object(values.iter().map(|(s, v)| (SETTINGS.get(*s).name.clone(), v.clone())).collect()),
    }
}

/// A candidate and what became of it, in one line.
pub fn describe_candidate(candidate: &Candidate) -> String {
    let value = match &candidate.value {
        Value::Object(settings) => {
            let show = |(name, value): (&String, &Value)| {
                format!("{name} {}", show(value, SETTINGS.find(name).and_then(|spec| spec.unit)))
            };
            settings.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        value => show(value, None),
    };
    match &candidate.verdict {
        Verdict::Taken => format!("{value}: taken"),
        Verdict::Excluded(reason) => format!("{value}: {reason}"),
        Verdict::Fails(failed) => {
            let failed: Vec<_> = failed.iter().map(Failed::describe).collect();
            format!("{value}: {}", failed.join("; "))
        }
    }
}
