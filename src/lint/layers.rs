//! Policies beside and above each other: two of one layer that match together and disagree, one that higher ones hide,
//! machines that several leave out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Linter;
use super::solve::{Answer, Witness, can_hold};
use crate::diag::Finding;
use crate::engine;
use crate::expr::formula::{Formula, Unknown};
use crate::expr::{Operand, Read};
use crate::facts::units::show;
use crate::policy::{Contribution, FIRST_OVERRIDE_LAYER, Part, Policy, ValueRule};
use crate::settings::SETTINGS;

impl Linter<'_> {
    pub(super) fn layers(&self, findings: &mut Vec<Finding>) {
        for setting in 0..SETTINGS.len() {
            let parts: Vec<&Part> =
                self.set.parts(setting).iter().filter(|part| gives_a_value(part.contribution)).collect();
            for (i, one) in parts.iter().enumerate() {
                let rest = parts[i + 1..].iter();
                findings.extend(rest.filter_map(|other| self.ambiguous(setting, one, other)));
            }
            findings.extend(self.gap(setting, &parts));
        }
        findings.extend(self.set.policies.iter().filter_map(|policy| self.shadowed(policy)));
    }

    fn policy(&self, part: &Part) -> &Policy {
        &self.set.policies[part.policy]
    }

    fn rule(&self, part: &Part) -> Option<&ValueRule> {
        match part.contribution {
            Contribution::Value(index) => self.policy(part).values.get(index),
            Contribution::Choose(_) | Contribution::Limit(_) => None,
        }
    }

    // Two of one layer that can match together and then differ.
    fn ambiguous(&self, setting: usize, one: &Part, other: &Part) -> Option<Finding> {
        let (a, b) = (self.policy(one), self.policy(other));
        if a.layer != b.layer || one.policy == other.policy {
            return None;
        }
        let (left, right) = (self.rule(one)?, self.rule(other)?);
        if let (Operand::Literal(left), Operand::Literal(right)) = (&left.value, &right.value)
            && engine::same(left, right)
        {
            return None;
        }
        let mut together = vec![self.condition(a.when.as_ref()), self.condition(b.when.as_ref())];
        together.extend(self.readable(left));
        together.extend(self.readable(right));
        let Answer::On(witness) = can_hold(&Formula::All(together)) else { return None };
        let (left, right) = self.values(&witness, left, right)?;
        if engine::same(&left, &right) {
            return None;
        }
        let spec = SETTINGS.get(setting);
        let message = format!(
            "`{}` and `{}` both match a machine with {witness}, and give `{}` different values in layer {}",
            a.id, b.id, spec.name, a.layer
        );
        let label = |value: &Value| format!("gives {}", show(value, spec.unit));
        let finding = Finding::error("ambiguous-setting", message);
        let finding = finding.at(a.span_of(one.contribution).clone(), label(&left));
        let help = "give one of them a condition that excludes the other, or write one policy with if/else";
        Some(finding.at(b.span_of(other.contribution).clone(), label(&right)).help(help))
    }

    // That everything an expression reads is known.
    fn readable(&self, rule: &ValueRule) -> Vec<Formula> {
        let reads = rule.value.expr().map(|expr| self.set.reads(expr)).unwrap_or_default();
        let name = |read: Read| match read {
            Read::Fact(_) | Read::Setting(_) => read.name().map(Formula::Known),
            Read::Data(_) | Read::Function(_) => None,
        };
        reads.into_iter().filter_map(name).collect()
    }

    // What the two give on the machine, provided that it is one: both conditions hold there.
    fn values(&self, witness: &Witness, left: &ValueRule, right: &ValueRule) -> Option<(Value, Value)> {
        let facts = witness.facts();
        let evaluation = engine::undecided(self.set, &facts);
        for (index, value) in witness.pins() {
            evaluation.decide(index, &value);
        }
        let value = |rule: &ValueRule| match &rule.value {
            Operand::Literal(value) => Some(value.clone()),
            Operand::Expr(expr) => evaluation.eval(expr, &[]).ok(),
        };
        Some((value(left)?, value(right)?))
    }

    // A policy all whose settings higher layers give a value wherever it matches.
    fn shadowed(&self, policy: &Policy) -> Option<Finding> {
        if !policy.limits.is_empty() || policy.values.is_empty() && policy.chooses.is_empty() {
            return None;
        }
        let mut hiding: BTreeSet<usize> = BTreeSet::new();
        for setting in policy.settings() {
            let higher: Vec<&Part> = self
                .set
                .parts(setting)
                .iter()
                .filter(|part| {
                    // Overriding is what the layers of a site and a user are for.
                    let layer = self.policy(part).layer;
                    layer > policy.layer && layer < FIRST_OVERRIDE_LAYER && self.rule(part).is_some()
                })
                .collect();
            let matches = |part: &&Part| {
                let mut parts = vec![self.condition(self.policy(part).when.as_ref())];
                parts.extend(self.rule(part).map(|rule| self.readable(rule)).unwrap_or_default());
                Formula::All(parts).holds()
            };
            let free = Formula::Any(higher.iter().map(matches).collect()).negated();
            let counts = Formula::All(vec![self.condition(policy.when.as_ref()), free]);
            if can_hold(&counts) != Answer::Never {
                return None;
            }
            hiding.extend(higher.iter().map(|part| part.policy));
        }
        if can_hold(&self.condition(policy.when.as_ref())) == Answer::Never {
            return None;
        }
        let message = format!("policy `{}` never counts: wherever it matches, higher layers decide", policy.id);
        let finding = Finding::warning("shadowed-policy", message).at(policy.span.clone(), "");
        let label = |index: &usize| {
            let higher = &self.set.policies[*index];
            (higher.span.clone(), format!("layer {}", higher.layer))
        };
        Some(hiding.iter().map(label).fold(finding, |finding, (span, text)| finding.at(span, text)))
    }

    // A machine of which all is known that the policies of a setting ask, and to which none of them gives a value.
    fn gap(&self, setting: usize, parts: &[&Part]) -> Option<Finding> {
        // One policy alone says what it is for; two in one layer share the machines among them.
        let layers: Vec<u8> = parts.iter().map(|part| self.policy(part).layer).collect();
        let shared = layers.windows(2).find(|pair| pair[0] == pair[1])?[0];
        let conditions: Vec<Formula> =
            parts.iter().map(|part| self.condition(self.policy(part).when.as_ref())).collect();
        let any = Formula::Any(conditions.into_iter().map(Formula::holds).collect());
        let asked = any.unknowns().into_iter().filter_map(|unknown| match unknown {
            Unknown::Name(name) => Some(Formula::Known(name)),
            Unknown::Opaque(_) => None,
        });
        let none = Formula::All(asked.chain([any.clone().negated()]).collect());
        let Answer::On(witness) = can_hold(&none) else { return None };
        let name = &SETTINGS.get(setting).name;
        let message = format!("no policy gives `{name}` a value on a machine with {witness}");
        let finding = Finding::warning("setting-gap", message);
        let spans = parts.iter().map(|part| self.policy(part).span_of(part.contribution).clone());
        let finding = spans.fold(finding, |finding, span| finding.at(span, ""));
        Some(finding.help(format!("close the gap, or give `{name}` a value in a layer below {shared}")))
    }
}

fn gives_a_value(contribution: Contribution) -> bool {
    matches!(contribution, Contribution::Value(_) | Contribution::Choose(_))
}
