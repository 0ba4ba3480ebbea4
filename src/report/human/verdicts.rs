//! What became of the machines of a corpus, for people.

use std::collections::BTreeMap;

use crate::corpus::compare::{Change, Entry, Group, State};
use crate::corpus::verdict::{Verdict, place_of};
use crate::policy::PolicySet;
use crate::report::findings;
use crate::report::human::count;
use crate::report::human::plan::place;
use crate::report::json::{Cause, ChangeRecord};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// Each machine that does not pass: its state, what differs and which line is the cause.
pub fn render(set: &PolicySet, verdicts: &[Verdict], paint: Paint) -> String {
    let mut text = String::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.state != State::Pass) {
        let state = match verdict.state {
            State::Error => paint.red(verdict.state.as_str()),
            state => paint.bold(state.as_str()),
        };
        text += &format!("{state}: {}\n", paint.bold(&verdict.machine));
        let models = verdict.new.as_ref().map_or(0, |new| new.answers.len());
        text += &changes(set, verdict.changes.iter(), models, paint);
        match (&verdict.old, &verdict.new) {
            (None, Some(new)) if verdict.findings.is_empty() => {
                let settings = new.answers.first().map_or(0, |(_, said)| said.settings.len());
                text += &format!("  {settings} settings for each of {} models, not reviewed yet\n", new.answers.len());
            }
            _ => {}
        }
        text.push('\n');
        text += &findings::render(&verdict.findings, paint);
        if !verdict.findings.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// `91 machines, 3 invariants: 88 pass, 2 changed, 1 new`, and what to do about it.
pub fn summary(verdicts: &[Verdict], invariants: usize, accepted: &[String]) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    verdicts.iter().for_each(|verdict| *counts.entry(verdict.state).or_default() += 1);
    let parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    let machines = verdicts.iter().filter(|verdict| verdict.state != State::Orphan).count();
    let mut text =
        format!("{}, {}: {}\n", count(machines, "machine"), count(invariants, "invariant"), parts.join(", "));
    if !accepted.is_empty() {
        text = format!("accepted {}\n{text}", count(accepted.len(), "snapshot"));
    }
    let differs = verdicts.iter().any(|verdict| verdict.is_acceptable() && verdict.state != State::Pass);
    if differs {
        text += "walk through what differs with `wan22-policy test --review`, or take it with --accept\n";
    }
    text
}

/// What a group of changes has in common: ``policy `vae-tile` (policies/50-memory.yaml:46): 3 machines, 1 setting``.
pub fn title(set: &PolicySet, group: &Group<'_>) -> String {
    let is_check = set.checks.iter().any(|check| check.id == group.cause);
    let is_setting =
        |change: &&Change| matches!(change.after.as_ref().or(change.before.as_ref()), Some(Entry::Setting(_)));
    let settings = group.machines.iter().flat_map(|(_, changes)| changes).copied().filter(is_setting).count();
    let kind = match (is_check, settings) {
        (true, _) => "check",
        (false, 0) => "finding",
        (false, _) => "policy",
    };
    let place = match place_of(set, group.cause) {
        Some(at) => format!(" ({})", place(&at)),
        None if kind == "policy" => " (no longer there)".to_owned(),
        None => String::new(),
    };
    let names = group.names().len();
    let what = if kind == "policy" { "setting" } else { "finding" };
    match group.cause {
        "workload" => format!("the table of models: {}", count(group.machines.len(), "machine")),
        id => format!("{kind} `{id}`{place}: {}, {}", count(group.machines.len(), "machine"), count(names, what)),
    }
}

/// The changes of a group, machine by machine.
pub fn group(set: &PolicySet, group: &Group<'_>, models: usize, paint: Paint) -> String {
    let mut text = String::new();
    for (machine, changes) in &group.machines {
        text += &format!("{machine}\n{}", self::changes(set, changes.iter().copied(), models, paint));
    }
    text
}

/// Both sides of a change: `512 px → 384 px`.
pub fn sides(change: &ChangeRecord) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("{before} → nothing"),
        (None, after) => format!("new: {}", after.as_deref().unwrap_or_default()),
    }
}

/// A policy or check with its place: `vae-tile policies/50-memory.yaml:46`.
pub fn cause(cause: &Cause) -> String {
    match &cause.at {
        Some(at) => format!("{} {}", cause.id, place(at)),
        None => cause.id.clone(),
    }
}

// The changes: settings as a table, each finding with its old and new words below each other.
fn changes<'a>(set: &PolicySet, changes: impl Iterator<Item = &'a Change>, models: usize, paint: Paint) -> String {
    let (mut table, mut findings) = (Table::default(), String::new());
    for change in changes {
        let record = ChangeRecord::new(set, change);
        let about = match record.models.len() == models {
            true => "every model".to_owned(),
            false => record.models.join(", "),
        };
        if !matches!(change.after.as_ref().or(change.before.as_ref()), Some(Entry::Finding(_))) {
            table.row([record.name.clone(), sides(&record), cause(&record.cause), about]);
            continue;
        }
        let what = format!("{}  {}  {about}", record.name, cause(&record.cause));
        findings += &format!("  {}\n", paint.faint(&what));
        findings += &record.before.map(|before| paint.red(&format!("  - {before}")) + "\n").unwrap_or_default();
        findings += &record.after.map(|after| paint.green(&format!("  + {after}")) + "\n").unwrap_or_default();
    }
    table.render(paint, 2) + findings.as_str()
}
