//! What an edit of the policies changes, for people.

use crate::report::human::plan::place;
use crate::report::human::wrap;
use crate::report::json::{ImpactChange, ImpactReport};
use crate::report::paint::Paint;

/// Each change with its cause, and the machines that have it.
pub fn render(report: &ImpactReport, paint: Paint) -> String {
    let mut text = String::new();
    for change in &report.changes {
        text += &format!("{}: {}\n", paint.bold(&change.name), sides(change));
        text += &format!("  {}\n", paint.faint(&cause(change)));
        text += &format!("  {}\n\n", who(change, 98));
    }
    text.push_str(&summary(report));
    text.push('\n');
    text
}

/// Both sides of a change.
pub fn sides(change: &ImpactChange) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("{before} → nothing"),
        (None, Some(after)) => format!("new: {after}"),
        (None, None) => String::new(),
    }
}

/// The policy or check that is the cause, with its place; where another one gave the value before, both.
pub fn cause(change: &ImpactChange) -> String {
    let named = |id: &str, at: &Option<crate::diag::At>| match at {
        Some(at) => format!("{id} {}", place(at)),
        None => id.to_owned(),
    };
    match &change.was {
        Some(was) if was.id != change.cause.id => {
            format!("{}, in place of {}", named(&change.cause.id, &change.cause.at), named(&was.id, &was.at))
        }
        _ => named(&change.cause.id, &change.cause.at),
    }
}

/// The machines that have a change, wrapped at a width.
pub fn who(change: &ImpactChange, width: usize) -> String {
    let models = change.models.join(", ");
    let text = match &change.witness {
        Some(witness) if witness.is_empty() => format!("no machine of the folder; any other ({models})"),
        Some(witness) => format!("no machine of the folder; one with {} ({models})", witness.join(", ")),
        None => {
            let count = change.machines.len();
            let machines = if count == 1 { "machine" } else { "machines" };
            let figures = if change.varies { "; the figures differ" } else { "" };
            format!("{count} {machines} ({models}{figures}): {}", change.machines.join(", "))
        }
    };
    wrap(&text, width, 4)
}

/// How much was asked, and how much differs.
pub fn summary(report: &ImpactReport) -> String {
    let of = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let asked = match report.generated_possible > report.generated {
        true => format!("{} of {} generated ones", report.generated, report.generated_possible),
        false => format!("{} generated ones", report.generated),
    };
    let edited = match report.edited.as_slice() {
        [] => "no policy is edited".to_owned(),
        edited => format!("edited: {}", edited.join(", ")),
    };
    format!("{edited}\n{} on {} and {asked}", of(report.changes.len(), "change"), of(report.machines, "machine"))
}
