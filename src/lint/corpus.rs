//! What is wrong with policies when they are looked at over many machines: entries that never count, settings that nobody
//! sets, settings that get worse on a better machine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::monotone;
use crate::corpus::{Answer, Corpus};
use crate::diag::Finding;
use crate::engine;
use crate::policy::{Check, Policy, PolicySet};
use crate::settings::SETTINGS;

/// The codes of findings that only machines give.
pub const CODES: &[&str] =
    &["check-never-asked", "not-monotone", "policy-always-beaten", "policy-never-matches", "setting-never-set"];

/// Everything that the machines show.
pub fn lint(set: &PolicySet, corpus: &Corpus, as_of: Date, findings: &mut Vec<Finding>) {
    let answers = corpus.answers(set, as_of);
    let used = Used::of(set, &answers);
    for (index, policy) in set.policies.iter().enumerate() {
        findings.extend(used.policy(index, policy, corpus.machines.len()));
    }
    for (check, [asked, failed]) in set.checks.iter().zip(&used.checks) {
        findings.extend(of_check(check, *asked, *failed, corpus.machines.len()));
    }
    for spec in SETTINGS.iter().filter(|spec| !used.settings.contains(spec.name.as_str())) {
        let message = format!("no policy gives `{}` a value on any of {} machines", spec.name, corpus.machines.len());
        let help = "give it a value in layer 10, or remove it from the settings";
        findings.push(Finding::warning("setting-never-set", message).help(help));
    }
    let unwritten = corpus.machines.iter().flat_map(|machine| &machine.facts.findings);
    findings.extend(unwritten.filter(|finding| finding.code.as_str() == "to-fill-in").cloned());
    findings.extend(ambiguous(corpus, &answers));
    findings.extend(monotone::violations(set, corpus, as_of));
}

// What the answers make use of.
struct Used<'a> {
    // By policy: on how many machines it matches, and on how many something is as it says.
    policies: Vec<[usize; 2]>,
    // By check: of how many plans it is asked, and of how many it fails.
    checks: Vec<[usize; 2]>,
    settings: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    fn of(set: &PolicySet, answers: &'a [Vec<Answer>]) -> Self {
        let mut used = Self {
            policies: vec![[0; 2]; set.policies.len()],
            checks: vec![[0; 2]; set.checks.len()],
            settings: BTreeSet::new(),
        };
        let place: BTreeMap<&str, usize> =
            set.policies.iter().enumerate().map(|(index, policy)| (policy.id.as_str(), index)).collect();
        for answers in answers {
            let mut policies = vec![[false; 2]; set.policies.len()];
            for Answer { facts, plan, .. } in answers {
                let evaluation = engine::evaluation(set, facts, plan);
                let holds = |expr| evaluation.test(expr, &[]).is_ok_and(|(holds, _)| holds);
                for (policy, [matches, _]) in set.policies.iter().zip(&mut policies) {
                    *matches = *matches || policy.when.as_ref().is_none_or(holds);
                }
                for (check, [asked, failed]) in set.checks.iter().zip(&mut used.checks) {
                    *asked += usize::from(check.when.as_ref().is_none_or(holds));
                    *failed += usize::from(plan.findings.iter().any(|finding| finding.code.as_str() == check.id));
                }
                for (name, setting) in &plan.settings {
                    used.settings.insert(name);
                    let limits = setting.derivation.limits.iter().map(|limit| &limit.policy);
                    for policy in setting.policy.iter().chain(limits) {
                        if let Some(index) = place.get(policy.id.as_str()) {
                            policies[*index][1] = true;
                        }
                    }
                }
            }
            for (counts, seen) in used.policies.iter_mut().zip(policies) {
                counts.iter_mut().zip(seen).for_each(|(count, seen)| *count += usize::from(seen));
            }
        }
        used
    }

    fn policy(&self, index: usize, policy: &Policy, machines: usize) -> Option<Finding> {
        let [matches, decides] = self.policies[index];
        let id = &policy.id;
        if matches == 0 {
            let message = format!("policy `{id}` matches none of {machines} machines");
            let help = "add a machine that it is for, with `wan22-policy new machine`, or correct its condition";
            return Some(Finding::warning("policy-never-matches", message).at(policy.span.clone(), "").help(help));
        }
        if decides == 0 {
            let message =
                format!("policy `{id}` matches {matches} of {machines} machines, and is beaten on each of them");
            let help = "move it to a higher layer, or remove it";
            return Some(Finding::warning("policy-always-beaten", message).at(policy.span.clone(), "").help(help));
        }
        None
    }
}

fn of_check(check: &Check, asked: usize, failed: usize, machines: usize) -> Option<Finding> {
    // A check that asserts `false` warns of its condition.
    let warns = check.assert.text().trim() == "false";
    let (code, message, help) = match (asked, failed) {
        (0, _) => (
            "check-never-asked",
            format!("check `{}` is asked of none of {machines} machines", check.id),
            "add a machine that it is for, or correct its condition",
        ),
        (2.., failed) if failed == asked && !warns => (
            "check-always-fails",
            format!("check `{}` fails in each of the {asked} plans that it is asked of", check.id),
            "correct its assertion, or add a machine on which it holds",
        ),
        _ => return None,
    };
    Some(Finding::warning(code, message).at(check.span.clone(), "").help(help))
}

// The clashes that plans ran into, each once with the first of its machines.
fn ambiguous(corpus: &Corpus, answers: &[Vec<Answer>]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (machine, answers) in corpus.machines.iter().zip(answers) {
        let clashes = answers.iter().flat_map(|answer| &answer.plan.findings);
        for clash in clashes.filter(|finding| finding.code.as_str() == "ambiguous-setting") {
            if found.iter().all(|other| other.labels != clash.labels) {
                let mut clash = clash.clone();
                clash.message = format!("{}, on machine `{}`", clash.message, machine.name);
                found.push(clash);
            }
        }
    }
    found
}
