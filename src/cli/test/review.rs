//! `test --review`: the differences one after the other, grouped by what caused them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::Tested;
use crate::cli::error::CliError;
use crate::cli::{Exit, Screen};
use crate::corpus::Answer;
use crate::corpus::compare::{Change, Entry, Group, State, by_cause, with};
use crate::corpus::snapshot::Snapshot;
use crate::corpus::verdict::{Verdict, place_of};
use crate::report::explain::Explainer;
use crate::report::human;
use crate::report::paint::Paint;

/// What a person says of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Accept,
    Reject,
    Skip,
    Why,
    Quit,
}

// Something to decide.
enum Item<'a> {
    Cause(Group<'a>),
    New(&'a Verdict, &'a Snapshot),
    Orphan(&'a Verdict),
}

/// Shows each item and asks; what is accepted is written at once.
pub fn run(tested: &Tested, screen: &mut Screen<'_>, input: &mut dyn BufRead) -> Result<Exit, CliError> {
    let items = items(&tested.verdicts);
    let mut taken: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    let mut counts = [0_usize; 3];
    let mut rejected = Vec::new();
    'items: for (i, item) in items.iter().enumerate() {
        let heading = format!("{} of {}: {}", i + 1, items.len(), item.title(tested));
        screen.print(&format!("{}\n{}\n", screen.paint.bold(&heading), item.show(tested, screen.paint)))?;
        loop {
            match ask(screen, input)? {
                Decision::Accept => {
                    item.accept(tested, &mut taken)?;
                    counts[0] += 1;
                }
                Decision::Reject => {
                    rejected.push(item.title(tested));
                    counts[1] += 1;
                }
                Decision::Skip => counts[2] += 1,
                Decision::Why => {
                    screen.print(&item.why(tested, screen.paint))?;
                    continue;
                }
                Decision::Quit => {
                    counts[2] += items.len() - i;
                    break 'items;
                }
            }
            break;
        }
    }
    let wrong = tested.verdicts.iter().filter(|verdict| !verdict.findings.is_empty());
    let wrong: Vec<Verdict> = wrong.cloned().collect();
    let mut text = human::verdicts::render(&tested.set, &wrong, screen.paint);
    text += &format!("{} accepted, {} rejected, {} skipped\n", counts[0], counts[1], counts[2]);
    if !rejected.is_empty() {
        text += &format!("rejected, to be mended in the policies:\n  {}\n", rejected.join("\n  "));
    }
    screen.print(&text)?;
    Ok(match (wrong.is_empty(), counts[1] + counts[2]) {
        (false, _) => Exit::Refused,
        (true, 0) => Exit::Fine,
        (true, _) => Exit::Differs,
    })
}

fn items(verdicts: &[Verdict]) -> Vec<Item<'_>> {
    let acceptable: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.is_acceptable()).collect();
    let changed = acceptable.iter().map(|verdict| (verdict.machine.as_str(), verdict.changes.as_slice()));
    let mut items: Vec<Item<'_>> = by_cause(changed).into_iter().map(Item::Cause).collect();
    for verdict in acceptable {
        match (&verdict.old, &verdict.new) {
            (None, Some(new)) => items.push(Item::New(verdict, new)),
            (None, None) if verdict.state == State::Orphan => items.push(Item::Orphan(verdict)),
            _ => {}
        }
    }
    items
}

fn ask(screen: &mut Screen<'_>, input: &mut dyn BufRead) -> Result<Decision, CliError> {
    loop {
        screen.print("accept, reject, skip, why, quit? [a/r/s/w/q] ")?;
        let mut line = String::new();
        let read =
            input.read_line(&mut line).map_err(|error| CliError::failed(format!("cannot read the answer: {error}")))?;
        if read == 0 {
            screen.print("\n")?;
            return Ok(Decision::Quit);
        }
        match line.trim() {
            "a" | "accept" => return Ok(Decision::Accept),
            "r" | "reject" => return Ok(Decision::Reject),
            "s" | "skip" => return Ok(Decision::Skip),
            "w" | "why" => return Ok(Decision::Why),
            "q" | "quit" => return Ok(Decision::Quit),
            _ => {}
        }
    }
}

impl<'a> Item<'a> {
    fn title(&self, tested: &Tested) -> String {
        match self {
            Self::Cause(group) => human::verdicts::title(&tested.set, group),
            Self::New(verdict, _) => format!("new machine `{}`", verdict.machine),
            Self::Orphan(verdict) => format!("the snapshot of `{}`, which is no machine any more", verdict.machine),
        }
    }

    fn show(&self, tested: &Tested, paint: Paint) -> String {
        match self {
            Self::Cause(group) => {
                let models =
                    tested.verdicts.iter().filter_map(|verdict| verdict.new.as_ref()).map(|new| new.answers.len());
                human::verdicts::group(&tested.set, group, models.max().unwrap_or(0), paint)
            }
            Self::New(_, snapshot) => snapshot.render(),
            Self::Orphan(verdict) => format!("  {}\n", tested.snapshots.path(&verdict.machine).display()),
        }
    }

    // Several items may be about one machine: each acceptance writes all that were.
    fn accept(&self, tested: &'a Tested, taken: &mut BTreeMap<&'a str, Vec<&'a Change>>) -> Result<(), CliError> {
        let failed = |machine: &str, error: std::io::Error| {
            CliError::failed(format!("cannot write `{}`: {error}", tested.snapshots.path(machine).display()))
        };
        match self {
            Self::Cause(group) => {
                for (machine, changes) in &group.machines {
                    let Some(old) = tested.old(machine) else { continue };
                    let taken = taken.entry(machine).or_default();
                    taken.extend(changes);
                    tested.snapshots.write(machine, &with(old, taken)).map_err(|error| failed(machine, error))?;
                }
                Ok(())
            }
            Self::New(verdict, new) => {
                tested.snapshots.write(&verdict.machine, new).map_err(|error| failed(&verdict.machine, error))
            }
            Self::Orphan(verdict) => {
                tested.snapshots.remove(&verdict.machine).map_err(|error| failed(&verdict.machine, error))
            }
        }
    }

    // How the values came about on the first machine, once for each name.
    fn why(&self, tested: &Tested, paint: Paint) -> String {
        let group = match self {
            Self::Cause(group) => group,
            Self::New(verdict, _) => return tested.choices(&verdict.machine, paint),
            Self::Orphan(_) => return "  there is no machine of that name\n\n".to_owned(),
        };
        let mut text = String::new();
        let mut explained = BTreeSet::new();
        for (machine, changes) in &group.machines {
            for change in changes.iter().filter(|change| explained.insert(change.name.as_str())) {
                text += &tested.explain(machine, change, paint).unwrap_or_default();
            }
        }
        match (text.is_empty(), place_of(&tested.set, group.cause)) {
            (true, Some(at)) => format!("  look at {at}\n\n"),
            (true, None) => format!("  `{}` is no policy or check any more\n\n", group.cause),
            (false, _) => text,
        }
    }
}

impl Tested {
    fn old(&self, machine: &str) -> Option<&Snapshot> {
        self.verdicts.iter().find(|verdict| verdict.machine == machine)?.old.as_ref()
    }

    fn answers_of(&self, machine: &str) -> Option<&[Answer]> {
        let place = self.corpus.machines.iter().position(|known| known.name == machine)?;
        self.answers.get(place).map(Vec::as_slice)
    }

    // How the choices came about on a machine that nobody has reviewed, for its first model.
    fn choices(&self, machine: &str, paint: Paint) -> String {
        let Some(answer) = self.answers_of(machine).and_then(|answers| answers.first()) else { return String::new() };
        let explainer = Explainer { set: &self.set, facts: &answer.facts, plan: &answer.plan };
        let chosen = answer.plan.settings.iter().filter(|(_, setting)| !setting.derivation.candidates.is_empty());
        let mut seen = BTreeSet::new();
        // One choice decides several settings; it is told once.
        let chosen =
            chosen.filter(|(_, setting)| seen.insert(setting.policy.as_ref().map(|policy| policy.id.as_str())));
        let explained = chosen.filter_map(|(name, _)| explainer.explain(name).ok());
        let text: String =
            explained.map(|report| format!("{}\n", human::explanation::render(&report, paint))).collect();
        let more = "`wan22-policy explain SETTING --facts FILE` tells of any other\n\n";
        format!("{}\n{text}{more}", paint.bold(&format!("on {machine}, {}", answer.workload)))
    }

    fn explain(&self, machine: &str, change: &Change, paint: Paint) -> Option<String> {
        let model = change.models.first()?;
        let answer =
            self.answers_of(machine)?.iter().find(|answer| answer.workload.split(':').next() == Some(model))?;
        let name = match change.after.as_ref().or(change.before.as_ref())? {
            Entry::Setting(_) | Entry::Finding(_) => &change.name,
            Entry::Workload(_) => return None,
        };
        let explainer = Explainer { set: &self.set, facts: &answer.facts, plan: &answer.plan };
        let report = explainer.explain(name).ok()?;
        let heading = paint.bold(&format!("on {machine}, {}", answer.workload));
        Some(format!("{heading}\n{}\n", human::explanation::render(&report, paint)))
    }
}
