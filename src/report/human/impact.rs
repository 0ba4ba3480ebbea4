//! What an edit of the policies changes, for people.

use std::collections::BTreeSet;

use crate::report::human::verdicts::{cause, sides};
use crate::report::human::{count, wrap};
use crate::report::json::{ImpactChange, ImpactReport};
use crate::report::paint::Paint;

/// Most machines that the summary names.
const FEW: usize = 3;

/// Each change with its cause, and the machines that have it.
pub fn render(report: &ImpactReport, paint: Paint) -> String {
    let mut text = String::new();
    for change in &report.changes {
        text += &format!("{}: {}\n", paint.bold(&change.change.name), sides(&change.change));
        text += &format!("  {}\n", paint.faint(&causes(change)));
        text += &format!("  {}\n\n", who(change, 98));
    }
    text.push_str(&summary(report));
    text.push('\n');
    text
}

/// The policy or check that is the cause, with its place; where another one gave the value before, both.
pub fn causes(change: &ImpactChange) -> String {
    match &change.was {
        Some(was) if was.id != change.change.cause.id => {
            format!("{}, in place of {}", cause(&change.change.cause), cause(was))
        }
        _ => cause(&change.change.cause),
    }
}

/// The machines that have a change, wrapped at a width.
pub fn who(change: &ImpactChange, width: usize) -> String {
    let models = change.change.models.join(", ");
    let text = match &change.witness {
        Some(witness) if witness.is_empty() => format!("no machine of the folder; any other ({models})"),
        Some(witness) => format!("no machine of the folder; one with {} ({models})", witness.join(", ")),
        None => {
            let machines = count(change.machines.len(), "machine");
            let figures = if change.varies { "; the figures differ" } else { "" };
            format!("{machines} ({models}{figures}): {}", change.machines.join(", "))
        }
    };
    wrap(&text, width, 4)
}

/// How much was asked, and how much differs.
pub fn summary(report: &ImpactReport) -> String {
    let generated = match (report.generated, report.generated_possible) {
        (0, 0) => "what is edited compares no fact with a number, so none were generated".to_owned(),
        (asked, possible) if possible > asked => format!("{asked} of {possible} generated ones were asked too"),
        (asked, _) => format!("{asked} generated ones were asked too"),
    };
    let edited = match report.edited.as_slice() {
        [] => "no policy is edited".to_owned(),
        edited => format!("edited: {}", edited.join(", ")),
    };
    let changes = count(report.changes.len(), "change");
    let machines = count(report.machines, "machine");
    let changed: BTreeSet<&str> =
        report.changes.iter().flat_map(|change| &change.machines).map(String::as_str).collect();
    let machines = match changed.len() {
        0 => machines,
        few @ 1..=FEW => format!("{few} of {machines} ({})", changed.into_iter().collect::<Vec<_>>().join(", ")),
        many => format!("{many} of {machines}"),
    };
    format!("{edited}\n{changes} on {machines}; {generated}")
}
