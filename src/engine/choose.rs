//! Choices: the first candidate that pins, limits and the condition allow.

use std::collections::BTreeMap;

use serde_json::Value;

use super::limits::{describe_limit, within};
use super::{Offer, Run, same};
use crate::diag::Finding;
use crate::expr::{Comparison, Dynamic, EvalError, Evaluation, Node, runtime};
use crate::facts::units::show;
use crate::plan::{Candidate, Limited, Origin, Outcome, Verdict};
use crate::policy::{Candidates, Choose, Policy};
use crate::settings::SETTINGS;

/// Most candidates of one choice.
const MAX_CANDIDATES: usize = 4096;

// A candidate and the settings that it would give.
struct Row {
    it: Dynamic,
    values: BTreeMap<usize, Value>,
}

impl<'a> Run<'a> {
    /// What a choice gives each of its settings, and the candidates it went through.
    #[expect(clippy::type_complexity, reason = "the two halves of one answer, used in one place")]
    pub(super) fn choose(
        &mut self,
        policy: usize,
        index: usize,
        offers: &BTreeMap<usize, Vec<Offer<'a>>>,
        bounds: &BTreeMap<usize, Vec<Limited>>,
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
        let mut rows = Vec::new();
        for it in candidates {
            match self.row(choose, it) {
                Ok(row) => rows.push(row),
                // A row without a cell that the settings need is no candidate.
                Err(Outcome::Unknown { name, .. }) if name.starts_with("data.") => {
                    let reason = format!("`{name}` is missing in the table");
                    tried.push(Candidate { value: Value::from(name), verdict: Verdict::Excluded(reason) });
                }
                Err(outcome) => return (all(&outcome), tried),
            }
        }
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
                    let failed = comparisons.into_iter().filter(|c| !c.holds).collect();
                    tried.push(Candidate { value: shown, verdict: Verdict::Fails(failed) });
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
                if choose.into.iter().all(|into| given.contains_key(&into.setting)) {
                    // A pin or a higher layer decides all of it, so nothing is missing.
                    return (given.into_iter().map(|(s, value)| (s, Ok((value, Origin::Choose)))).collect(), tried);
                }
                self.no_candidate(choose, rule, &tried);
                (all(&Outcome::Failed), tried)
            }
        }
    }

    // Values that pins and higher layers give to settings of a choice.
    fn given(&self, choose: &Choose, layer: u8, offers: &BTreeMap<usize, Vec<Offer<'a>>>) -> BTreeMap<usize, Value> {
        let mut given = BTreeMap::new();
        for into in &choose.into {
            if let Some(pin) = self.question.pins.get(&into.setting) {
                given.insert(into.setting, pin.clone());
                continue;
            }
            let offers = offers.get(&into.setting).into_iter().flatten();
            let higher = offers.filter(|offer| self.set.policies[offer.part.policy].layer > layer);
            let best = higher
                .filter_map(|offer| Some((self.set.policies[offer.part.policy].layer, offer.result.as_ref().ok()?)));
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
                    let items: Vec<Dynamic> =
                        list.into_array().unwrap_or_default().into_iter().map(runtime::as_node).collect();
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
        bounds: &BTreeMap<usize, Vec<Limited>>,
    ) -> Option<String> {
        for (setting, value) in values.iter().filter(|(setting, _)| !given.contains_key(setting)) {
            let spec = SETTINGS.get(*setting);
            let broken = bounds.get(setting).and_then(|limits| limits.iter().find(|limit| !within(value, limit)));
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
}

// The candidate for people: its literal, or the settings that it would give.
fn shown(choose: &Choose, values: &BTreeMap<usize, Value>) -> Value {
    match (choose.into.as_slice(), values.iter().next()) {
        ([only], Some((_, value))) if only.value.is_none() => value.clone(),
        _ => Value::Object(values.iter().map(|(s, v)| (SETTINGS.get(*s).name.clone(), v.clone())).collect()),
    }
}

/// Every candidate of a choice, in order, as [`Candidate::value`] shows it; none where one cannot be told on this machine.
pub fn all_candidates(evaluation: &Evaluation<'_>, choose: &Choose) -> Vec<Value> {
    let list = match &choose.candidates {
        Candidates::Literals(values) => return values.clone(),
        Candidates::Expr(expr) => evaluation.eval_dynamic(expr, &[]),
    };
    let items = list.ok().and_then(|list| list.into_array().ok()).unwrap_or_default();
    let value = |it: Dynamic| -> Option<Value> {
        let mut values = BTreeMap::new();
        for into in &choose.into {
            let value = match &into.value {
                None => runtime::to_value(&it)?,
                Some(expr) => evaluation.eval(expr, &[("it", it.clone())]).ok()?,
            };
            values.insert(into.setting, value);
        }
        Some(shown(choose, &values))
    };
    items.into_iter().map(runtime::as_node).map(value).collect::<Option<_>>().unwrap_or_default()
}

/// A candidate's value for people: the literal, or the settings that it gives.
pub fn show_candidate(value: &Value) -> String {
    match value {
        Value::Object(settings) => {
            let show = |(name, value): (&String, &Value)| {
                format!("{name} {}", show(value, SETTINGS.find(name).and_then(|spec| spec.unit)))
            };
            settings.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        value => show(value, None),
    }
}

/// A candidate and what became of it, in one line.
pub fn describe_candidate(candidate: &Candidate) -> String {
    let value = show_candidate(&candidate.value);
    match &candidate.verdict {
        Verdict::Taken => format!("{value}: taken"),
        Verdict::Excluded(reason) => format!("{value}: {reason}"),
        Verdict::Fails(failed) => {
            let failed: Vec<_> = failed.iter().map(Comparison::describe).collect();
            format!("{value}: {}", failed.join("; "))
        }
    }
}
