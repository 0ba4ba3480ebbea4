//! Limits: the bounds of all matching policies on a setting, and what they do to its value.

use serde_json::Value;

use super::{Match, Run, policy_ref, same};
use crate::diag::Finding;
use crate::expr::{EvalError, Operand};
use crate::facts::units::show;
use crate::plan::{Limited, PolicyRef};
use crate::policy::{Contribution, LimitRule};
use crate::settings::{SETTINGS, SettingSpec};

impl Run<'_> {
    /// The limits of all matching policies on a setting.
    pub(super) fn bounds(&mut self, setting: usize) -> Vec<Limited> {
        let mut bounds = Vec::new();
        let set = self.set;
        for part in set.parts(setting) {
            let Contribution::Limit(index) = part.contribution else { continue };
            let policy = part.policy;
            let rule = &set.policies[policy].limits[index];
            match self.matches(policy) {
                Match::Yes => {}
                Match::Unknown(name) => {
                    self.undecided_limit(policy, rule, &name);
                    continue;
                }
                Match::No(_) | Match::Expired(_) | Match::Failed => continue,
            }
            match self.limit(policy, rule) {
                Ok(limited) => bounds.push(limited),
                Err(EvalError::Unknown(name)) => {
                    self.undecided_limit(policy, rule, &name);
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

    /// Says which limits a pinned value breaks.
    pub(super) fn pinned(&mut self, spec: &SettingSpec, value: &Value, limits: &[Limited]) {
        for limit in limits.iter().filter(|limit| !within(value, limit)) {
            let (shown, bound) = (show(value, spec.unit), describe_limit(limit, spec));
            let message =
                format!("`{}` is pinned to {shown}, outside {bound} of policy `{}`", spec.name, limit.policy.id);
            let finding = Finding::warning("pin-breaks-limit", message).at(limit.policy.span.clone(), "");
            self.findings.push(finding.maybe_help(limit.policy.why.clone()));
        }
    }

    fn contradicting(&mut self, spec: &SettingSpec, a: &Limited, b: &Limited) {
        let message = format!("the limits on `{}` contradict each other", spec.name);
        let text = |limit: &Limited| format!("`{}`: {}", limit.policy.id, describe_limit(limit, spec));
        let finding = Finding::error("contradicting-limits", message);
        self.findings.push(finding.at(a.policy.span.clone(), text(a)).at(b.policy.span.clone(), text(b)));
    }

    /// Moves a number into its bounds; says so when there is no legal value to move it to.
    pub(super) fn bounded(
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
            self.contradicting(spec, a, b);
            return (value, None);
        }
        let listed: Vec<(&Vec<Value>, &Limited)> =
            limits.iter().filter_map(|l| Some((l.one_of.as_ref()?, l))).collect();
        let common = |values: &[Value]| -> Vec<Value> {
            let everywhere =
                |value: &&Value| listed.iter().all(|(list, _)| list.iter().any(|other| same(other, value)));
            values.iter().filter(everywhere).cloned().collect()
        };
        let legal = listed.first().map(|(values, _)| common(values));
        if let (Some([]), [(_, a), .., (_, b)]) = (legal.as_deref(), listed.as_slice()) {
            self.contradicting(spec, a, b);
            return (value, None);
        }
        let Some(broken) = limits.iter().find(|limit| !within(&value, limit)) else { return (value, None) };
        let moved = value.as_f64().and_then(|number| match (&legal, lowest, highest) {
            // Of listed numbers the nearest below, else the nearest above.
            (Some(values), ..) => {
                let mut values: Vec<&Value> = values.iter().filter(|v| limits.iter().all(|l| within(v, l))).collect();
                values.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
                let below = values.iter().rev().find(|v| v.as_f64().is_some_and(|v| v <= number));
                Some(((*below.or(values.first())?).clone(), broken))
            }
            (None, _, Some((high, limit))) if number > high => Some((spec.legal_near(high, true)?, limit)),
            (None, Some((low, limit)), _) if number < low => Some((spec.legal_near(low, false)?, limit)),
            _ => None,
        });
        if let Some((moved, limit)) = moved
            && limits.iter().all(|limit| within(&moved, limit))
        {
            return (moved, Some((value, limit.policy.clone())));
        }
        let message = format!(
            "`{}` {} is outside {}, and cannot be moved there",
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
}

/// Whether the limit allows the value.
pub(super) fn within(value: &Value, limit: &Limited) -> bool {
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
