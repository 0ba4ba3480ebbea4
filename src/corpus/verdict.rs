//! What became of each machine since its snapshot was reviewed.

use std::collections::BTreeSet;
use std::io;

use super::compare::{Change, State, changes, state};
use super::invariants::Invariants;
use super::snapshot::{Snapshot, Snapshots};
use super::{Answer, Corpus};
use crate::diag::{At, Finding, Severity};
use crate::policy::PolicySet;

/// What became of one machine.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The machine.
    pub machine: String,
    /// In a word.
    pub state: State,
    /// What differs; empty for a machine without a snapshot.
    pub changes: Vec<Change>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What was reviewed.
    pub old: Option<Snapshot>,
    /// What the policies say now; `None` for an orphan and for a machine that cannot be read.
    pub new: Option<Snapshot>,
}

/// Findings of policies that fail on a machine. A snapshot cannot make them right.
const BROKEN: &[&str] = &[
    "ambiguous-setting",
    "contradicting-limits",
    "expression-failed",
    "limit-unmet",
    "no-candidate",
    "setting-out-of-range",
];

impl Verdict {
    /// Whether a person may say that it is right as it is now.
    pub fn is_acceptable(&self) -> bool {
        self.findings.iter().all(|finding| finding.code.as_str() == "snapshot-malformed")
    }

    fn of(machine: &str, old: Option<Snapshot>, new: Snapshot, findings: Vec<Finding>) -> Self {
        let changes = old.as_ref().map(|old| changes(old, &new)).unwrap_or_default();
        let state = match &old {
            _ if !findings.is_empty() => State::Error,
            None => State::New,
            Some(_) => state(&changes),
        };
        Self { machine: machine.to_owned(), state, changes, findings, old, new: Some(new) }
    }

    fn without_answer(machine: &str, state: State, findings: Vec<Finding>) -> Self {
        Self { machine: machine.to_owned(), state, changes: Vec::new(), findings, old: None, new: None }
    }
}

/// The verdict on every machine of the corpus, and on every snapshot without one, by name.
///
/// # Errors
/// The folder of snapshots, or one of them, is there and cannot be read.
pub fn verdicts(
    corpus: &Corpus,
    answers: &[Vec<Answer>],
    invariants: &Invariants,
    snapshots: &Snapshots,
) -> io::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let mut orphans = snapshots.names()?;
    for (machine, answers) in corpus.machines.iter().zip(answers) {
        orphans.remove(&machine.name);
        let new = Snapshot::of(answers, |finding| invariants.gave(finding));
        let mut findings = wrong(answers, invariants);
        let old = match snapshots.read(&machine.name)?.as_deref().map(Snapshot::parse).transpose() {
            Ok(old) => old,
            Err(error) => {
                let message =
                    format!("the snapshot `{}` cannot be read: {error}", snapshots.path(&machine.name).display());
                let help = "restore it, or write it anew with --accept after reading what it says";
                findings.push(Finding::error("snapshot-malformed", message).help(help));
                None
            }
        };
        verdicts.push(Verdict::of(&machine.name, old, new, findings));
    }
    for (machine, findings) in &corpus.unreadable {
        orphans.remove(machine);
        verdicts.push(Verdict::without_answer(machine, State::Error, findings.clone()));
    }
    verdicts.extend(orphans.iter().map(|machine| Verdict::without_answer(machine, State::Orphan, Vec::new())));
    verdicts.sort_by(|a, b| a.machine.cmp(&b.machine));
    Ok(verdicts)
}

// Policies that fail, and invariants that are violated or cannot be decided; each once, whichever models it is about.
fn wrong(answers: &[Answer], invariants: &Invariants) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for answer in answers {
        for finding in &answer.plan.findings {
            let is_wrong = BROKEN.contains(&finding.code.as_str())
                || (invariants.gave(finding) && finding.severity == Severity::Error);
            if is_wrong && seen.insert((finding.code.clone(), finding.labels.first().map(|label| label.span.at()))) {
                let mut finding = finding.clone();
                finding.message = format!("{} (with {})", finding.message, answer.workload);
                found.push(finding);
            }
        }
    }
    found
}

/// Where the policy or check of that id stands.
pub fn place_of(set: &PolicySet, id: &str) -> Option<At> {
    let policies = set.policies.iter().map(|policy| (&policy.id, &policy.span));
    let checks = set.checks.iter().map(|check| (&check.id, &check.span));
    policies.chain(checks).find(|(known, _)| *known == id).map(|(_, span)| span.at())
}
