//! Explanations of what `validate` asks: its rules and their groups.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReadRecord;
use crate::diag::At;
use crate::expr::{Expr, Operand};
use crate::facts::units::{Unit, show};
use crate::policy::rule::{FilesTest, Metric, Rule, Test, Validation};

/// A rule of `validate`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RuleExplanation {
    /// Where it stands.
    pub at: At,
    /// The group that it counts in; `validate --only` takes it.
    pub group: String,
    /// Whether no installation is ready without it.
    pub critical: bool,
    /// Condition under which it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What it asks.
    #[serde(flatten)]
    pub test: TestRecord,
    /// What is said when it passes, as written: `{expression}` stands for a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// What is wrong when it fails, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<String>,
    /// What to do about it, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why it is asked.
    pub why: String,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it reads.
    pub reads: Vec<ReadRecord>,
}

/// What a rule asks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestRecord {
    /// Whether something is true.
    Assert {
        /// What must be true.
        assert: String,
    },
    /// Whether a figure lies within bounds.
    Metric {
        /// The figure.
        metric: String,
        /// Smallest that passes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<String>,
        /// Largest that passes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<String>,
        /// What it is expected to be, where nobody measured it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predicted: Option<String>,
    },
    /// Whether files satisfy a schema.
    Files {
        /// Which files, by their names below the root.
        files: String,
        /// Texts of which their topmost keys must hold one to be meant.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        holding: BTreeMap<String, Vec<String>>,
        /// Topmost keys that those which are meant do not have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacking: Vec<String>,
        /// The name of the schema; absent where it is written out in the rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
    },
}

/// A group of rules.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GroupExplanation {
    /// What it is about.
    pub description: String,
    /// Its rules, in the order in which they are asked.
    pub rules: Vec<GroupedRule>,
}

/// A rule of a group.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GroupedRule {
    /// Its id.
    pub rule: String,
    /// Whether no installation is ready without it.
    pub critical: bool,
    /// Why it is asked.
    pub why: String,
}

impl RuleExplanation {
    /// A rule, of which `read` says what an expression reads.
    pub fn new(
        rule: &Rule,
        read: impl Fn(&Expr) -> BTreeSet<String>,
        record: impl Fn(&str) -> Vec<ReadRecord>,
    ) -> Self {
        let names: BTreeSet<String> = rule.expressions().flat_map(read).collect();
        Self {
            at: rule.span.at(),
            group: rule.group.clone(),
            critical: rule.critical,
            when: rule.when.as_ref().map(written),
            test: TestRecord::from(&rule.test),
            pass: rule.pass.as_ref().map(|text| text.text().to_owned()),
            fail: rule.fail.as_ref().map(|text| text.text().to_owned()),
            help: rule.help.as_ref().map(|text| text.text().to_owned()),
            why: rule.why.clone(),
            source: rule.source.clone(),
            reads: names.iter().flat_map(|name| record(name)).collect(),
        }
    }
}

impl From<&Test> for TestRecord {
    fn from(test: &Test) -> Self {
        match test {
            Test::Assert(assert) => Self::Assert { assert: written(assert) },
            Test::Metric(metric) => {
                let Metric { figure, at_least, at_most, predicted } = &**metric;
                let unit = figure.ty().unit();
                Self::Metric {
                    metric: written(figure),
                    at_least: at_least.as_ref().map(|least| bound(least, unit)),
                    at_most: at_most.as_ref().map(|most| bound(most, unit)),
                    predicted: predicted.as_ref().map(written),
                }
            }
            Test::Files(FilesTest { pattern, holding, lacking, schema }) => Self::Files {
                files: pattern.glob().to_string(),
                holding: holding.iter().cloned().collect(),
                lacking: lacking.clone(),
                schema: schema.name().map(str::to_owned),
            },
        }
    }
}

impl GroupExplanation {
    /// The group of that name.
    pub fn find(validation: &Validation, name: &str) -> Option<Self> {
        let (_, title) = validation.groups.iter().find(|(group, _)| group == name)?;
        let rules = validation.rules.iter().filter(|rule| rule.group == name);
        let rules =
            rules.map(|rule| GroupedRule { rule: rule.id.clone(), critical: rule.critical, why: rule.why.clone() });
        Some(Self { description: title.clone(), rules: rules.collect() })
    }
}

fn written(expr: &Expr) -> String {
    expr.text().trim().to_owned()
}

fn bound(bound: &Operand, unit: Option<Unit>) -> String {
    match bound {
        Operand::Literal(value) => show(value, unit),
        Operand::Expr(expr) => written(expr),
    }
}
