//! The plan: every setting with its value and where it comes from, and everything there is to say about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{At, Finding, Span};
use crate::expr::Comparison;
use crate::facts::units::Unit;

/// What the policies say for one machine and one workload.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The settings that have a value, by name.
    pub settings: BTreeMap<String, Setting>,
    /// The settings that policies name and none gives a value here, by name.
    pub unset: BTreeMap<String, Derivation>,
    /// Everything there is to say; an error refuses the plan.
    pub findings: Vec<Finding>,
    /// The day that `expires` was compared with.
    pub as_of: Date,
    /// Hash of the policies.
    pub policy_hash: String,
}

/// How a setting came to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A literal of a policy.
    Set,
    /// An expression of a policy.
    Derive,
    /// The first candidate that would do.
    Choose,
    /// No candidate would do; the policy's `otherwise`.
    Otherwise,
    /// Asked for by the user, in the question or in a policy of layer 90 and above.
    Pin,
}

/// One setting of a plan.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The final value, in the canonical unit.
    pub value: Value,
    /// The canonical unit of a number.
    pub unit: Option<Unit>,
    /// How it came to its value.
    pub origin: Origin,
    /// The policy that gave the value; `None` when it is pinned.
    pub policy: Option<PolicyRef>,
    /// The value before a limit moved it, and the policy with the limit.
    pub moved: Option<(Value, PolicyRef)>,
    /// Everything that took part, winner included.
    pub derivation: Derivation,
}

/// A policy as plans name it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRef {
    /// Its id.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// The key that names the setting.
    pub span: Span,
    /// Why it is right.
    pub why: Option<String>,
    /// Where its numbers come from.
    pub source: Option<String>,
}

impl PolicyRef {
    /// File, line and column.
    pub fn at(&self) -> At {
        self.span.at()
    }
}

/// How a setting was decided: what `explain` shows.
#[derive(Clone, Debug, Default)]
pub struct Derivation {
    /// The policies that name the setting, highest layer first.
    pub considered: Vec<Considered>,
    /// The limits of matching policies.
    pub limits: Vec<Limited>,
    /// The candidates that the winning choice went through, up to the one it took.
    pub candidates: Vec<Candidate>,
}

/// A policy that names the setting, and what became of it.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The policy.
    pub policy: PolicyRef,
    /// The condition as written; `None` when there is none.
    pub when: Option<Arc<str>>,
    /// The expression as written; `None` for a literal.
    pub expression: Option<Arc<str>>,
    /// The facts, settings and tables read.
    pub reads: Arc<[String]>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It gave the value.
    Won(Value),
    /// It matched, and a higher layer (or a pin) gave the value instead.
    Beaten(Value),
    /// Its condition does not hold: the comparisons that it made.
    NotMatched(Vec<Comparison>),
    /// It reads something unknown.
    Unknown {
        /// The fact or setting.
        name: String,
        /// Why it is unknown.
        reason: String,
    },
    /// It has expired.
    Expired(Date),
    /// It failed, or none of its candidates would do; a finding says more.
    Failed,
}

/// A limit on a setting.
#[derive(Clone, Debug)]
pub struct Limited {
    /// The policy.
    pub policy: PolicyRef,
    /// Smallest value.
    pub at_least: Option<Value>,
    /// Largest value.
    pub at_most: Option<Value>,
    /// The only values.
    pub one_of: Option<Vec<Value>>,
}

/// A candidate of a choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The literal, or the settings that the row would give.
    pub value: Value,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// The condition does not hold for it: the comparisons that failed.
    Fails(Vec<Comparison>),
    /// A limit, a pin or a higher layer excludes it.
    Excluded(String),
}
