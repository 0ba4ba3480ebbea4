//! `test`: what the policies say of every machine, against what was reviewed.

use clap::Args;

mod review;

use super::author::AuthorOptions;
use super::error::CliError;
use super::options::OutputOptions;
use super::{Exit, Screen};
use crate::corpus::compare::{Change, State, with};
use crate::corpus::coverage::{Coverage, coverage};
use crate::corpus::invariants::Invariants;
use crate::corpus::snapshot::Snapshots;
use crate::corpus::verdict::{Verdict, verdicts};
use crate::corpus::{Answer, Corpus};
use crate::diag::did_you_mean;
use crate::log;
use crate::policy::PolicySet;
use crate::report::human;
use crate::report::json::{self, TestReport};

/// Evaluate every machine of a folder and compare with its reviewed snapshot
///
/// Asks each machine about each model, and tells what became of it: pass, changed, reason changed
/// (the same value by another policy), new, orphan (a snapshot without a machine) or error. The
/// snapshots lie in the folder `snapshots` beside the machines. Ends with 4 when something differs
/// from what was reviewed, with 3 when a policy is wrong, fails on a machine or violates an
/// invariant (checks in the folder `invariants` next to the machines).
///
/// Examples:
///   wan22-policy test                              what my edits change, machine by machine
///   wan22-policy test --review                     walk through it: accept, reject, skip, why
///   wan22-policy test --accept --policy vae-tile   take what this policy changes
///   wan22-policy test --coverage                   what no machine tries
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Test {
    /// Walk through the differences, grouped by what caused them
    #[arg(long, conflicts_with_all = ["accept", "format"])]
    review: bool,

    /// Take what the policies say now as reviewed
    #[arg(long)]
    accept: bool,

    /// With --accept, only what this policy or check changes; may be given several times
    #[arg(long, value_name = "ID", requires = "accept")]
    policy: Vec<String>,

    /// Also count what the machines try: policies, conditions, candidates, boundaries
    #[arg(long)]
    coverage: bool,

    #[command(flatten)]
    author: AuthorOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

// Everything that was found out about the corpus.
struct Tested {
    set: PolicySet,
    corpus: Corpus,
    answers: Vec<Vec<Answer>>,
    invariants: Invariants,
    snapshots: Snapshots,
    verdicts: Vec<Verdict>,
}

impl Test {
    /// Whether it writes snapshots.
    pub fn accepts(&self) -> bool {
        self.accept || self.review
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut tested = self.tested()?;
        if self.review {
            return review::run(&tested, screen, &mut std::io::stdin().lock());
        }
        let accepted = if self.accept { self.take(&mut tested)? } else { Vec::new() };
        let coverage = self.coverage.then(|| self.covered(&tested)).transpose()?;
        let exit = exit_of(&tested.verdicts);
        log::found(&tested.verdicts.iter().flat_map(|verdict| verdict.findings.clone()).collect::<Vec<_>>());
        if self.output.is_json() {
            screen.print(&json::text(&TestReport::new(&tested.set, &tested.verdicts, accepted, coverage)))?;
        } else {
            let mut text = human::verdicts::render(&tested.set, &tested.verdicts, screen.paint);
            if let Some(coverage) = &coverage {
                text += &human::coverage::render(coverage, screen.paint);
            }
            text += &human::verdicts::summary(&tested.verdicts, tested.invariants.len(), &accepted);
            screen.print(&text)?;
        }
        Ok(exit)
    }

    fn tested(&self) -> Result<Tested, CliError> {
        let corpus = self.author.corpus()?;
        let invariants = Invariants::read(&self.author.invariants())?;
        let set = self.author.policies().compile_with(invariants.files())?;
        self.known_ids(&set)?;
        let answers = corpus.answers(&set, self.author.as_of());
        let snapshots = Snapshots::beside(self.author.folder());
        let unreadable = |error| CliError::unreadable(self.author.folder(), error);
        let mut verdicts = verdicts(&corpus, &answers, &invariants, &snapshots).map_err(unreadable)?;
        if !self.author.machine.is_empty() {
            verdicts.retain(|verdict| self.author.machine.contains(&verdict.machine));
        }
        Ok(Tested { set, corpus, answers, invariants, snapshots, verdicts })
    }

    fn known_ids(&self, set: &PolicySet) -> Result<(), CliError> {
        let known = || {
            let checks = set.checks.iter().map(|check| check.id.as_str());
            set.policies.iter().map(|policy| policy.id.as_str()).chain(checks)
        };
        match self.policy.iter().find(|id| known().all(|known| known != id.as_str())) {
            Some(id) => {
                Err(CliError::usage(format!("there is no policy or check `{id}`"))
                    .maybe_help(did_you_mean(id, known())))
            }
            None => Ok(()),
        }
    }

    // Writes what is taken over, and judges again; the machines that were.
    fn take(&self, tested: &mut Tested) -> Result<Vec<String>, CliError> {
        let mut accepted = Vec::new();
        for verdict in tested.verdicts.iter().filter(|verdict| verdict.state != State::Pass && verdict.is_acceptable())
        {
            let chosen: Vec<&Change> =
                verdict.changes.iter().filter(|change| self.policy.iter().any(|id| id == change.cause())).collect();
            if !self.policy.is_empty() && chosen.is_empty() {
                continue;
            }
            let written = match (&verdict.old, &verdict.new) {
                (Some(old), _) if !self.policy.is_empty() => {
                    tested.snapshots.write(&verdict.machine, &with(old, &chosen))
                }
                (_, Some(new)) => tested.snapshots.write(&verdict.machine, new),
                (_, None) if verdict.state == State::Orphan => tested.snapshots.remove(&verdict.machine),
                (_, None) => continue,
            };
            written.map_err(|error| {
                CliError::failed(format!(
                    "cannot write `{}`: {error}",
                    tested.snapshots.path(&verdict.machine).display()
                ))
            })?;
            accepted.push(verdict.machine.clone());
        }
        let unreadable = |error| CliError::unreadable(self.author.folder(), error);
        let again =
            verdicts(&tested.corpus, &tested.answers, &tested.invariants, &tested.snapshots).map_err(unreadable)?;
        let names: Vec<String> = tested.verdicts.iter().map(|verdict| verdict.machine.clone()).collect();
        tested.verdicts = again.into_iter().filter(|verdict| names.contains(&verdict.machine)).collect();
        Ok(accepted)
    }

    // Of the policies alone: what invariants ask is not theirs to cover.
    fn covered(&self, tested: &Tested) -> Result<Coverage, CliError> {
        let set = self.author.policies().compile()?;
        Ok(coverage(&set, &tested.corpus, &tested.answers))
    }
}

/// The exit code that the states lead to.
fn exit_of(verdicts: &[Verdict]) -> Exit {
    match verdicts.iter().map(|verdict| verdict.state).max() {
        Some(State::Error) => Exit::Refused,
        Some(State::Pass) | None => Exit::Fine,
        Some(_) => Exit::Differs,
    }
}
