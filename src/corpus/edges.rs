//! The numbers and versions that policies compare names with: where what they say may change from one machine to the
//! next.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::diag::At;
use crate::expr::formula::{Constant, Formula, Operator};
use crate::expr::functions::compare_versions;
use crate::facts::Facts;
use crate::facts::units::{Unit, show};
use crate::facts::vocabulary::{self, FactType};
use crate::plan::Plan;
use crate::policy::PolicySet;
use crate::settings::SETTINGS;

/// A place between the values of a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// What the name is compared with.
    pub value: Constant,
    /// Whether that value itself lies below (`<=`, `>`), or is the first above (`<`, `>=`).
    pub is_below: bool,
}

impl Edge {
    fn order(&self, other: &Self) -> Ordering {
        compare(&self.value, &other.value).then(self.is_below.cmp(&other.is_below))
    }

    /// Whether a value of the name lies below.
    pub fn is_above(&self, value: &Constant) -> bool {
        match compare(value, &self.value) {
            Ordering::Less => true,
            Ordering::Equal => self.is_below,
            Ordering::Greater => false,
        }
    }

    /// The value right below and the one right above, as the name can have them.
    pub fn sides(&self, name: &str) -> [Constant; 2] {
        match &self.value {
            Constant::Number(number) => {
                let step = step(name, *number);
                let (below, above) = if self.is_below { (*number, number + step) } else { (number - step, *number) };
                [Constant::Number(below.max(0.0)), Constant::Number(above)]
            }
            Constant::Text(version) => [Constant::Text(version_below(version)), Constant::Text(version.clone())],
            Constant::Bool(_) => [Constant::Bool(false), Constant::Bool(true)],
        }
    }
}

// The smallest difference that the values of a name have.
fn step(name: &str, near: f64) -> f64 {
    match vocabulary::find(name).map(|spec| (spec.ty, spec.unit)) {
        // Sizes come in MiB.
        Some((FactType::Int, Some(Unit::Bytes))) => f64::from(1 << 20),
        Some((FactType::Int | FactType::Ints | FactType::Records, _)) => 1.0,
        _ if near.abs() < 100.0 => 0.1,
        _ => 1.0,
    }
}

// `2.9` → `2.8.99`, `2.9.1` → `2.9.0.99`: as high as versions get below it.
fn version_below(version: &str) -> String {
    let mut numbers: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    while let Some(last) = numbers.pop() {
        if last > 0 {
            numbers.push(last - 1);
            break;
        }
    }
    numbers.push(99);
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

fn compare(a: &Constant, b: &Constant) -> Ordering {
    match (a, b) {
        (Constant::Number(a), Constant::Number(b)) => a.total_cmp(b),
        (Constant::Text(a), Constant::Text(b)) => compare_versions(a, b),
        _ => Ordering::Equal,
    }
}

/// The edges of each name, sorted, each with the first place where the name is compared.
pub fn edges(set: &PolicySet) -> BTreeMap<String, Vec<(Edge, At)>> {
    let mut found: BTreeMap<String, Vec<(Edge, At)>> = BTreeMap::new();
    let data = set.data.node();
    for expr in set.expressions() {
        let parts = set.language.parts(expr, data.as_ref()).into_iter().map(|part| (part.formula, part.range));
        let branches = set.language.branches(expr, data.as_ref()).into_iter();
        for (formula, range) in parts.chain(branches.map(|branch| (branch.condition, branch.range))) {
            formula.visit(&mut |part| {
                let Formula::Compare(name, operator, value) = part else { return };
                let is_below = match operator {
                    Operator::Less | Operator::AtLeast | Operator::VersionAtLeast => false,
                    Operator::AtMost | Operator::Greater => true,
                    Operator::Equal | Operator::NotEqual => return,
                };
                let edge = Edge { value: value.clone(), is_below };
                let edges = found.entry(name.clone()).or_default();
                if !edges.iter().any(|(other, _)| *other == edge) {
                    edges.push((edge, expr.span_of(range.clone()).at()));
                }
            });
        }
    }
    found.values_mut().for_each(|edges| edges.sort_by(|(a, _), (b, _)| a.order(b)));
    found
}

/// The value of a fact or setting, as it is compared: a list counts as its length.
pub fn value_of(name: &str, facts: &Facts, plan: &Plan) -> Option<Constant> {
    let value = match name.strip_prefix("settings.") {
        Some(setting) => &plan.settings.get(setting)?.value,
        None => facts.value(name)?,
    };
    match value {
        Value::Array(items) => Some(Constant::Number(items.len() as f64)),
        Value::Number(number) => Some(Constant::Number(number.as_f64()?)),
        Value::String(text) => Some(Constant::Text(text.clone())),
        Value::Bool(value) => Some(Constant::Bool(*value)),
        _ => None,
    }
}

/// A value of a fact or setting in its unit.
pub fn show_value(name: &str, value: &Constant) -> String {
    let unit = match name.strip_prefix("settings.") {
        Some(setting) => SETTINGS.find(setting).and_then(|spec| spec.unit),
        None => vocabulary::find(name).and_then(|spec| spec.unit),
    };
    show(&value.to_json(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_has_a_value_on_either_side() {
        let number = |value: f64, is_below| Edge { value: Constant::Number(value), is_below };
        let sides = |edge: Edge, name: &str| edge.sides(name).map(|side| show_value(name, &side));
        assert_eq!(sides(number(32.0, false), "cpu.physical_cores"), ["31", "32"]);
        assert_eq!(sides(number(32.0, true), "cpu.physical_cores"), ["32", "33"]);
        assert_eq!(sides(number(8.0, false), "gpu.compute_capability"), ["7.9", "8"]);
        let version = |text: &str| Edge { value: Constant::Text(text.to_owned()), is_below: false };
        for (wanted, below) in [("2.9", "2.8.99"), ("2.9.1", "2.9.0.99"), ("12.0", "11.99"), ("13", "12.99")] {
            let edge = version(wanted);
            let [lower, upper] = edge.sides("software.torch");
            assert_eq!(lower, Constant::Text(below.to_owned()));
            assert!(edge.is_above(&lower) && !edge.is_above(&upper), "{wanted}");
        }
    }
}
