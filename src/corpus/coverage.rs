//! What the machines of a corpus try of the policies, and what they leave untried.
//!
//! Counted over every machine and model: whether each policy matches, whether each condition was seen true and false,
//! whether each candidate of a choice was taken, and whether there are machines right below and at each number that a
//! name is compared with. "Right" means: with no other number, that the name is compared with, in between.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::edges::{edges, show_value, value_of};
use super::{Answer, Corpus};
use crate::diag::At;
use crate::engine::{self, all_candidates, show_candidate};
use crate::expr::{Evaluation, Expr};
use crate::plan::{Origin, Plan};
use crate::policy::PolicySet;
use crate::settings::SETTINGS;
use crate::yaml::ScalarText;

/// What a corpus tries of the policies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How many machines there are.
    pub machines: usize,
    /// The policies.
    pub policies: Vec<Matched>,
    /// The conditions: of policies and checks, part by part, and of every `if`.
    pub conditions: Vec<Seen>,
    /// Conditions inside functions with parameters and of candidates, which are not told apart: how many.
    pub conditions_inside: usize,
    /// The candidates of choices.
    pub candidates: Vec<Taken>,
    /// The numbers and versions that names are compared with.
    pub boundaries: Vec<Boundary>,
}

/// A policy, and how many machines it matches.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Its id.
    pub policy: String,
    /// Where it stands.
    pub at: At,
    /// How many machines it matches, for some model.
    pub machines: usize,
}

/// A condition, and how often it was seen.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The condition as it is written.
    pub condition: String,
    /// Where it stands.
    pub at: At,
    /// How many machines it holds on, for some model.
    pub seen_true: usize,
    /// How many machines it does not hold on, for some model.
    pub seen_false: usize,
}

/// A candidate of a choice, and how many machines take it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The setting, or the choice's own name.
    pub choice: String,
    /// Where the choice stands.
    pub at: At,
    /// The candidate; `otherwise` when none would do.
    pub candidate: String,
    /// How many machines take it, for some model.
    pub machines: usize,
}

/// A number or version that a name is compared with, and the machines on both sides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// The fact or setting.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// The first place where it is.
    pub at: At,
    /// A machine right below: its name and value.
    pub below: Option<Side>,
    /// A machine at or right above: its name and value.
    pub at_or_above: Option<Side>,
}

/// A machine on one side of a boundary.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The machine.
    pub machine: String,
    /// The value that it has there.
    pub value: String,
}

impl Matched {
    /// Whether some machine matches.
    pub fn is_covered(&self) -> bool {
        self.machines > 0
    }
}

impl Seen {
    /// Whether it was seen both ways.
    pub fn is_covered(&self) -> bool {
        self.seen_true > 0 && self.seen_false > 0
    }
}

impl Taken {
    /// Whether some machine takes it.
    pub fn is_covered(&self) -> bool {
        self.machines > 0
    }
}

impl Boundary {
    /// Whether there is a machine on both sides.
    pub fn is_covered(&self) -> bool {
        self.below.is_some() && self.at_or_above.is_some()
    }
}

/// Counts over the answers for the machines of a corpus, as [`Corpus::answers`] gives them.
pub fn coverage(set: &PolicySet, corpus: &Corpus, answers: &[Vec<Answer>]) -> Coverage {
    let names: Vec<&str> = corpus.machines.iter().map(|machine| machine.name.as_str()).collect();
    let conditions = Conditions::of(set);
    let mut counted = Counted {
        policies: vec![0; set.policies.len()],
        conditions: vec![[0; 2]; conditions.found.len()],
        candidates: BTreeMap::new(),
        listed: BTreeMap::new(),
    };
    for answers in answers {
        counted.machine(set, &conditions, answers);
    }
    let policies = set.policies.iter().zip(&counted.policies);
    Coverage {
        machines: names.len(),
        policies: policies
            .map(|(policy, machines)| Matched { policy: policy.id.clone(), at: policy.span.at(), machines: *machines })
            .collect(),
        conditions: conditions
            .found
            .iter()
            .zip(&counted.conditions)
            .map(|(condition, [seen_true, seen_false])| Seen {
                condition: one_line(condition.text()),
                at: condition.span().at(),
                seen_true: *seen_true,
                seen_false: *seen_false,
            })
            .collect(),
        conditions_inside: conditions.inside,
        candidates: counted.taken(set),
        boundaries: boundaries(set, &names, answers),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// The conditions that can be asked on their own, each as an expression.
struct Conditions {
    found: Vec<Expr>,
    inside: usize,
}

impl Conditions {
    fn of(set: &PolicySet) -> Self {
        let mut conditions = Self { found: Vec::new(), inside: 0 };
        let data = set.data.node();
        let whens = set.policies.iter().filter_map(|policy| policy.when.as_ref());
        let checks = set.checks.iter().flat_map(|check| check.when.iter().chain([&check.assert]));
        for when in whens.chain(checks).filter(|expr| !["true", "false"].contains(&expr.text().trim())) {
            for part in set.language.parts(when, data.as_ref()) {
                conditions.add(set, when, part.range);
            }
        }
        for expr in set.expressions() {
            for branch in set.language.branches(expr, data.as_ref()) {
                conditions.add(set, expr, branch.range);
            }
        }
        conditions
    }

    fn add(&mut self, set: &PolicySet, expr: &Expr, range: std::ops::Range<usize>) {
        let text = expr.text()[range.clone()].trim_end().trim_end_matches("&&").trim_end();
        match set.language.compile(text, &ScalarText::opaque(expr.span_of(range)), &[]) {
            Ok(condition) => self.found.push(condition),
            // It reads a parameter or a candidate.
            Err(_) => self.inside += 1,
        }
    }
}

struct Counted {
    policies: Vec<usize>,
    conditions: Vec<[usize; 2]>,
    // By policy and choice, then by candidate.
    candidates: BTreeMap<(usize, usize), BTreeMap<String, usize>>,
    listed: BTreeMap<(usize, usize), Vec<String>>,
}

impl Counted {
    fn machine(&mut self, set: &PolicySet, conditions: &Conditions, answers: &[Answer]) {
        let mut policies = vec![false; self.policies.len()];
        let mut seen = vec![[false; 2]; self.conditions.len()];
        let mut taken = BTreeSet::new();
        for answer in answers {
            let evaluation = engine::evaluation(set, &answer.facts, &answer.plan);
            for (policy, matched) in set.policies.iter().zip(&mut policies) {
                *matched = *matched || policy.when.as_ref().is_none_or(|when| holds(&evaluation, when) == Some(true));
            }
            for (condition, [seen_true, seen_false]) in conditions.found.iter().zip(&mut seen) {
                match holds(&evaluation, condition) {
                    Some(true) => *seen_true = true,
                    Some(false) => *seen_false = true,
                    None => {}
                }
            }
            self.choices(set, &evaluation, &answer.plan, &mut taken);
        }
        let count = |counts: &mut usize, seen: bool| *counts += usize::from(seen);
        self.policies.iter_mut().zip(policies).for_each(|(counts, matched)| count(counts, matched));
        for (counts, seen) in self.conditions.iter_mut().zip(seen) {
            counts.iter_mut().zip(seen).for_each(|(counts, seen)| count(counts, seen));
        }
        for (choice, candidate) in taken {
            *self.candidates.entry(choice).or_default().entry(candidate).or_default() += 1;
        }
    }

    fn choices(
        &mut self,
        set: &PolicySet,
        evaluation: &Evaluation<'_>,
        plan: &Plan,
        taken: &mut BTreeSet<((usize, usize), String)>,
    ) {
        for (p, policy) in set.policies.iter().enumerate() {
            for (c, choose) in policy.chooses.iter().enumerate() {
                let listed = self.listed.entry((p, c)).or_default();
                for candidate in all_candidates(evaluation, choose) {
                    let candidate = show_candidate(&candidate);
                    if !listed.contains(&candidate) {
                        listed.push(candidate);
                    }
                }
                let settings =
                    choose.into.iter().filter_map(|into| plan.settings.get(&SETTINGS.get(into.setting).name));
                let mut won =
                    settings.filter(|setting| setting.policy.as_ref().is_some_and(|winner| winner.id == policy.id));
                let Some(setting) = won.next() else { continue };
                let candidate = match setting.origin {
                    Origin::Otherwise => Some(OTHERWISE.to_owned()),
                    _ => {
                        let is_taken =
                            |candidate: &&crate::plan::Candidate| candidate.verdict == crate::plan::Verdict::Taken;
                        setting
                            .derivation
                            .candidates
                            .iter()
                            .find(is_taken)
                            .map(|candidate| show_candidate(&candidate.value))
                    }
                };
                taken.extend(candidate.map(|candidate| ((p, c), candidate)));
            }
        }
    }

    fn taken(&self, set: &PolicySet) -> Vec<Taken> {
        let mut found = Vec::new();
        for (choice, listed) in &self.listed {
            let choose = &set.policies[choice.0].chooses[choice.1];
            let otherwise = choose.otherwise.is_some().then(|| OTHERWISE.to_owned());
            for candidate in listed.iter().cloned().chain(otherwise) {
                let machines = self.candidates.get(choice).and_then(|taken| taken.get(&candidate)).copied();
                found.push(Taken {
                    choice: choose.name.clone(),
                    at: choose.span.at(),
                    candidate,
                    machines: machines.unwrap_or(0),
                });
            }
        }
        found
    }
}

const OTHERWISE: &str = "otherwise";

fn holds(evaluation: &Evaluation<'_>, condition: &Expr) -> Option<bool> {
    evaluation.test(condition, &[]).ok().map(|(holds, _)| holds)
}

fn boundaries(set: &PolicySet, names: &[&str], answers: &[Vec<Answer>]) -> Vec<Boundary> {
    let mut found = Vec::new();
    for (name, edges) in edges(set) {
        // The machines by cell: below the first edge, between each two, and from the last one on.
        let mut cells: Vec<Option<Side>> = vec![None; edges.len() + 1];
        for (machine, answers) in names.iter().zip(answers) {
            for value in answers.iter().filter_map(|answer| value_of(&name, &answer.facts, &answer.plan)) {
                let cell = edges.iter().take_while(|(edge, _)| !edge.is_above(&value)).count();
                cells[cell]
                    .get_or_insert_with(|| Side { machine: (*machine).to_owned(), value: show_value(&name, &value) });
            }
        }
        for (i, (edge, at)) in edges.into_iter().enumerate() {
            found.push(Boundary {
                name: name.clone(),
                value: show_value(&name, &edge.value),
                at,
                below: cells[i].clone(),
                at_or_above: cells[i + 1].clone(),
            });
        }
    }
    found
}
