//! Explanations: how a setting came to its value, what a fact, a function or a table is, what a finding's code means.

mod definition;
mod rule;

pub use definition::{ColumnRecord, FunctionExplanation, NamedType, TableExplanation};
pub use rule::{GroupExplanation, GroupedRule, RuleExplanation, TestRecord};

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{At, Severity, codes, did_you_mean};
use crate::engine::describe_limit;
use crate::expr::{Comparison, Expr, functions};
use crate::facts::Facts;
use crate::facts::units::Unit;
use crate::facts::vocabulary::{self, FactType, Stability};
use crate::plan::{Candidate, Considered, Derivation, Limited, Origin, Outcome, Plan, PolicyRef, Setting, Verdict};
use crate::policy::{Check, Policy, PolicySet};
use crate::settings::{SETTINGS, SettingSpec};

/// Name and version of the format of [`ExplainReport`].
pub const SCHEMA: &str = "wan22-policy/explain/v1";

/// What `explain NAME --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainReport {
    /// Name and version of this format: `wan22-policy/explain/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The name that was asked about.
    pub name: String,
    /// What it is.
    pub explanation: Explanation,
}

/// What a name means.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Explanation {
    /// A setting, and how it came to its value.
    Setting(Box<SettingExplanation>),
    /// A fact of the machine or the workload.
    Fact(FactExplanation),
    /// The code of a finding.
    Code(CodeExplanation),
    /// A check of the policies, whose id is the code of its finding.
    Check(CheckExplanation),
    /// A policy.
    Policy(PolicyExplanation),
    /// A rule of `validate`.
    Rule(Box<RuleExplanation>),
    /// A group of such rules.
    Group(GroupExplanation),
    /// A function that expressions may call.
    Function(FunctionExplanation),
    /// A table or constant that expressions read.
    Table(TableExplanation),
}

/// How a setting came to its value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SettingExplanation {
    /// What the setting decides.
    pub description: String,
    /// The values it may have, in words.
    pub range: String,
    /// Its value; absent when no policy gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Canonical unit of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// How it came to its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The value before a limit moved it, and the policy with the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<MovedBy>,
    /// The policies that name the setting, highest layer first, the one that gave the value among them.
    pub considered: Vec<ConsideredRecord>,
    /// The limits that hold.
    pub limits: Vec<LimitRecord>,
    /// The candidates of the choice that decided, in its order, up to the one it took.
    pub candidates: Vec<CandidateRecord>,
}

/// A value that a limit moved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MovedBy {
    /// The value before.
    pub from: Value,
    /// The policy with the limit.
    pub policy: PolicyRecord,
}

/// A policy: where it stands and what it says for itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRecord {
    /// Its id.
    pub id: String,
    /// Its layer, 0 to 99.
    pub layer: u8,
    /// Where it names the setting.
    pub at: At,
    /// Why it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A policy that names the setting, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConsideredRecord {
    /// The policy.
    pub policy: PolicyRecord,
    /// What became of it.
    pub outcome: OutcomeRecord,
    /// The value that it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Its condition as written; absent when it always counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The expression that gives the value, or the condition on a candidate; absent for a literal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// What it reads.
    pub reads: Vec<ReadRecord>,
    /// Why it became of it what did: the comparisons that do not hold, what is unknown and why.
    pub because: Vec<String>,
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OutcomeRecord {
    /// It gave the value.
    #[serde(rename = "won")]
    Won,
    /// It matched, and a higher layer or a pin gave the value instead.
    #[serde(rename = "beaten")]
    Beaten,
    /// Its condition does not hold.
    #[serde(rename = "not matched")]
    NotMatched,
    /// It reads something unknown.
    #[serde(rename = "not applicable")]
    Unknown,
    /// Its last day has passed.
    #[serde(rename = "expired")]
    Expired,
    /// It failed, or none of its candidates would do.
    #[serde(rename = "failed")]
    Failed,
}

/// A fact, setting or table that an expression reads.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReadRecord {
    /// Its name: `gpu.vram.total`, `settings.dit.dtype`, `data.models`.
    pub name: String,
    /// Its value; absent when unknown, and for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Canonical unit of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Where the value comes from: the origin of a fact, or the policy of a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Why it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A limit that holds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LimitRecord {
    /// The policy.
    pub policy: PolicyRecord,
    /// The limit in words: `at most 8`.
    pub bound: String,
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Value>,
    /// Largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Value>,
    /// The only values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
}

/// A candidate of a choice.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CandidateRecord {
    /// The value, or the settings that it would give.
    pub value: Value,
    /// Whether it was taken.
    pub taken: bool,
    /// Why not: by how much it fails, or the limit that excludes it.
    pub because: Vec<String>,
}

/// A fact.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FactExplanation {
    /// What it means.
    pub description: String,
    /// Type of its value.
    #[serde(rename = "type")]
    pub ty: FactType,
    /// Whether settings may rest on it.
    pub stability: Stability,
    /// The fact on this machine; every record's when the name is one of a list.
    pub known: Vec<ReadRecord>,
    /// The settings whose policies read it.
    pub read_by: Vec<String>,
}

/// The code of a finding.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CodeExplanation {
    /// What it means and what to do about it.
    pub description: String,
    /// The severity that it is reported with.
    pub severity: Severity,
}

/// A check of the policies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckExplanation {
    /// Where it stands.
    pub at: At,
    /// The severity that it is reported with.
    pub severity: Severity,
    /// Condition under which it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What must be true.
    pub assert: String,
    /// What is wrong when it is not, as written: `{expression}` stands for a value.
    pub message: String,
    /// What to do about it, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where its numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it reads.
    pub reads: Vec<ReadRecord>,
}

/// A policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PolicyExplanation {
    /// The policy.
    pub policy: PolicyRecord,
    /// Its condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The settings that it gives a value or a limit.
    pub settings: Vec<String>,
}

/// What there is to explain from.
#[derive(Clone, Copy, Debug)]
pub struct Explainer<'a> {
    /// The policies.
    pub set: &'a PolicySet,
    /// The machine.
    pub facts: &'a Facts,
    /// What the policies say for it.
    pub plan: &'a Plan,
}

impl Explainer<'_> {
    /// Explains the setting, fact, function, table, check, policy, rule, group or code of that name; rules and groups only
    /// where the policies were compiled with them.
    ///
    /// # Errors
    /// Nothing has the name; `did you mean`, when something has one that is close.
    pub fn explain(&self, name: &str) -> Result<ExplainReport, Option<String>> {
        // As expressions and messages write it.
        let name = name.strip_prefix("settings.").or(name.strip_suffix("()")).unwrap_or(name);
        let explanation = if let Some(spec) = SETTINGS.find(name) {
            Explanation::Setting(Box::new(self.setting(spec)))
        } else if let Some(spec) = vocabulary::find(name) {
            Explanation::Fact(self.fact(name, spec))
        } else if let Some(check) = self.set.checks.iter().find(|check| check.id == name) {
            Explanation::Check(self.check(check))
        } else if let Some(policy) = self.set.policies.iter().find(|policy| policy.id == name) {
            Explanation::Policy(explain_policy(policy))
        } else if let Some(rule) = self.set.validation.rules.iter().find(|rule| rule.id == name) {
            Explanation::Rule(Box::new(RuleExplanation::new(
                rule,
                |expr| self.names_read(expr),
                |name| self.read(name),
            )))
        } else if let Some(group) = GroupExplanation::find(&self.set.validation, name) {
            Explanation::Group(group)
        } else if let Some(info) = codes::find(name) {
            let description = info.description.to_owned();
            Explanation::Code(CodeExplanation { description, severity: info.severity })
        } else if let Some(function) = functions::find(name) {
            Explanation::Function(FunctionExplanation::of_language(function))
        } else if let Some((signature, provenance)) = self.set.language.function(name).zip(self.set.functions.get(name))
        {
            let reads: BTreeSet<String> = signature.reads.iter().filter_map(|read| read.name()).collect();
            let reads = reads.iter().flat_map(|name| self.read(name)).collect();
            Explanation::Function(FunctionExplanation::of_policies(signature, provenance, reads))
        } else if let Some(table) = name.strip_prefix("data.").and_then(|name| self.set.tables.get(name)) {
            Explanation::Table(TableExplanation::new(table, self.read_by(|read| read == name)))
        } else {
            // A table is written as expressions read it, since a fact may have its name.
            return Err(match self.set.tables.contains_key(name) {
                true => Some(format!("did you mean `data.{name}`?")),
                false => did_you_mean(name, self.names()),
            });
        };
        Ok(ExplainReport { schema: SCHEMA.to_owned(), name: name.to_owned(), explanation })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let settings = SETTINGS.iter().map(|spec| spec.name.as_str());
        let facts = vocabulary::FACTS.iter().map(|spec| spec.name);
        let checks = self.set.checks.iter().map(|check| check.id.as_str());
        let policies = self.set.policies.iter().map(|policy| policy.id.as_str());
        let codes = codes::CODES.iter().map(|info| info.name);
        let functions = functions::FUNCTIONS.iter().map(|function| function.name);
        let functions = functions.chain(self.set.functions.keys().map(String::as_str));
        let rules = self.set.validation.rules.iter().map(|rule| rule.id.as_str());
        let groups = self.set.validation.groups.iter().map(|(group, _)| group.as_str());
        settings.chain(facts).chain(checks).chain(policies).chain(rules).chain(groups).chain(codes).chain(functions)
    }

    fn setting(&self, spec: &SettingSpec) -> SettingExplanation {
        let setting = self.plan.settings.get(&spec.name);
        let nothing = Derivation::default();
        let derivation = setting.map(|setting| &setting.derivation).or_else(|| self.plan.unset.get(&spec.name));
        let derivation = derivation.unwrap_or(&nothing);
        SettingExplanation {
            description: spec.description.clone(),
            range: spec.range(),
            value: setting.map(|setting| setting.value.clone()),
            unit: spec.unit,
            origin: setting.map(|setting| setting.origin),
            moved: setting
                .and_then(|setting| setting.moved.as_ref())
                .map(|(from, policy)| MovedBy { from: from.clone(), policy: policy.into() }),
            considered: derivation.considered.iter().map(|considered| self.considered(considered)).collect(),
            limits: derivation.limits.iter().map(|limit| explain_limit(limit, spec)).collect(),
            candidates: derivation.candidates.iter().map(CandidateRecord::from).collect(),
        }
    }

    fn considered(&self, considered: &Considered) -> ConsideredRecord {
        let (outcome, value, because) = match &considered.outcome {
            Outcome::Won(value) => (OutcomeRecord::Won, Some(value.clone()), Vec::new()),
            Outcome::Beaten(value) => (OutcomeRecord::Beaten, Some(value.clone()), Vec::new()),
            Outcome::NotMatched(comparisons) => (OutcomeRecord::NotMatched, None, unmet(comparisons)),
            Outcome::Unknown { name, reason } => {
                (OutcomeRecord::Unknown, None, vec![format!("`{name}` is unknown: {reason}")])
            }
            Outcome::Expired(last) => (OutcomeRecord::Expired, None, vec![format!("it expired on {last}")]),
            Outcome::Failed => {
                (OutcomeRecord::Failed, None, vec!["it failed, or none of its candidates would do".to_owned()])
            }
        };
        ConsideredRecord {
            policy: (&considered.policy).into(),
            outcome,
            value,
            expression: considered.expression.as_deref().map(str::to_owned),
            when: considered.when.as_deref().map(str::to_owned),
            reads: considered.reads.iter().flat_map(|name| self.read(name)).collect(),
            because,
        }
    }

    fn names_read(&self, expr: &Expr) -> BTreeSet<String> {
        self.set.reads(expr).into_iter().filter_map(|read| read.name()).collect()
    }

    // A name that an expression reads; of a list of records, each record's.
    fn read(&self, name: &str) -> Vec<ReadRecord> {
        if let Some(setting) = name.strip_prefix("settings.") {
            return vec![self.read_setting(name, setting)];
        }
        if name.starts_with("data.") {
            let origin = Some("policies".to_owned());
            return vec![ReadRecord { name: name.to_owned(), value: None, unit: None, origin, reason: None }];
        }
        self.facts.concrete(name).into_iter().map(|name| self.read_fact(name)).collect()
    }

    fn read_setting(&self, name: &str, setting: &str) -> ReadRecord {
        let planned: Option<&Setting> = self.plan.settings.get(setting);
        let policy = planned.map(|planned| planned.policy.as_ref().map_or("pinned", |policy| &policy.id));
        ReadRecord {
            name: name.to_owned(),
            value: planned.map(|planned| planned.value.clone()),
            unit: planned.and_then(|planned| planned.unit),
            origin: policy.map(str::to_owned),
            reason: planned.is_none().then(|| "no policy gives it a value".to_owned()),
        }
    }

    fn read_fact(&self, name: String) -> ReadRecord {
        let value = self.facts.value(&name).cloned();
        ReadRecord {
            unit: vocabulary::find(&name).and_then(|spec| spec.unit),
            origin: self.facts.origin(&name).map(|origin| origin.to_string()),
            reason: value.is_none().then(|| self.facts.reason(&name).to_owned()),
            value,
            name,
        }
    }

    fn fact(&self, name: &str, spec: &vocabulary::FactSpec) -> FactExplanation {
        let generic = vocabulary::generic(name);
        FactExplanation {
            description: spec.description(),
            ty: spec.ty,
            stability: spec.stability,
            known: self.facts.concrete(name).into_iter().map(|name| self.read_fact(name)).collect(),
            read_by: self.read_by(|read| vocabulary::generic(read) == generic),
        }
    }

    // The settings whose policies read a name of which this is true.
    fn read_by(&self, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        let reads = |derivation: &Derivation| {
            let mut names = derivation.considered.iter().flat_map(|considered| considered.reads.iter());
            names.any(|read| is_it(read))
        };
        let set = self.plan.settings.iter().map(|(name, setting)| (name, &setting.derivation));
        let derivations: BTreeMap<&String, &Derivation> = set.chain(&self.plan.unset).collect();
        derivations.into_iter().filter(|(_, d)| reads(d)).map(|(name, _)| name.clone()).collect()
    }

    fn check(&self, check: &Check) -> CheckExplanation {
        let names: BTreeSet<String> =
            check.when.iter().chain([&check.assert]).flat_map(|expr| self.names_read(expr)).collect();
        CheckExplanation {
            at: check.span.at(),
            severity: check.severity,
            when: check.when.as_ref().map(|when| when.text().trim().to_owned()),
            assert: check.assert.text().trim().to_owned(),
            message: check.message.text().to_owned(),
            help: check.help.as_ref().map(|help| help.text().to_owned()),
            why: check.why.clone(),
            source: check.source.clone(),
            reads: names.iter().flat_map(|name| self.read(name)).collect(),
        }
    }
}

fn explain_policy(policy: &Policy) -> PolicyExplanation {
    PolicyExplanation {
        policy: PolicyRecord {
            id: policy.id.clone(),
            layer: policy.layer,
            at: policy.span.at(),
            why: policy.why.clone(),
            source: policy.source.clone(),
        },
        when: policy.when.as_ref().map(|when| when.text().trim().to_owned()),
        settings: policy.settings().into_iter().map(|index| SETTINGS.get(index).name.clone()).collect(),
    }
}

fn explain_limit(limit: &Limited, spec: &SettingSpec) -> LimitRecord {
    LimitRecord {
        policy: (&limit.policy).into(),
        bound: describe_limit(limit, spec),
        at_least: limit.at_least.clone(),
        at_most: limit.at_most.clone(),
        one_of: limit.one_of.clone(),
    }
}

// The comparisons that made a condition false: those that do not hold, or all when it is their opposite that is wanted.
fn unmet(comparisons: &[Comparison]) -> Vec<String> {
    let all_hold = comparisons.iter().all(|comparison| comparison.holds);
    comparisons.iter().filter(|comparison| all_hold || !comparison.holds).map(Comparison::describe).collect()
}

impl From<&PolicyRef> for PolicyRecord {
    fn from(policy: &PolicyRef) -> Self {
        Self {
            id: policy.id.clone(),
            layer: policy.layer,
            at: policy.at(),
            why: policy.why.clone(),
            source: policy.source.clone(),
        }
    }
}

impl From<&Candidate> for CandidateRecord {
    fn from(candidate: &Candidate) -> Self {
        let because = match &candidate.verdict {
            Verdict::Taken => Vec::new(),
            Verdict::Fails(failed) => failed.iter().map(Comparison::describe).collect(),
            Verdict::Excluded(reason) => vec![reason.clone()],
        };
        Self { value: candidate.value.clone(), taken: candidate.verdict == Verdict::Taken, because }
    }
}
