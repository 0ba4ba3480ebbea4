//! What an edit of the policies changes, for people.

use crate::report::human::verdicts::{cause, sides};
use crate::report::human::{count, wrap};
use crate::report::json::{ImpactChange, ImpactReport};
use crate::report::paint::Paint;

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
    let asked = match report.generated_possible > report.generated {
        true => format!("{} of {} generated ones", report.generated, report.generated_possible),
        false => format!("{} generated ones", report.generated),
    };
    let edited = match report.edited.as_slice() {
        [] => "no policy is edited".to_owned(),
        edited => format!("edited: {}", edited.join(", ")),
    };
    format!("{edited}\n{} on {} and {asked}", count(report.changes.len(), "change"), count(report.machines, "machine"))
}
