//! What the machines of a corpus try of the policies, for people: the counts, and what is left untried.

use crate::corpus::coverage::{Boundary, Coverage, Matched, Seen, Taken};
use crate::report::human::plan::place;
use crate::report::paint::Paint;
use crate::report::table::Table;

/// The counts, covered and total, and every item that is not covered with its place.
pub fn render(coverage: &Coverage, paint: Paint) -> String {
    let mut table = Table::default();
    for policy in coverage.policies.iter().filter(|policy| !policy.is_covered()) {
        table.row(["policy", &policy.policy, "matches no machine", &place(&policy.at)]);
    }
    for condition in coverage.conditions.iter().filter(|condition| !condition.is_covered()) {
        let never = match (condition.seen_true, condition.seen_false) {
            (0, 0) => "never asked",
            (0, _) => "never true",
            (_, _) => "never false",
        };
        table.row(["condition", &short(&condition.condition), never, &place(&condition.at)]);
    }
    for taken in coverage.candidates.iter().filter(|taken| !taken.is_covered()) {
        table.row([
            "candidate",
            &short(&format!("{}: {}", taken.choice, taken.candidate)),
            "never taken",
            &place(&taken.at),
        ]);
    }
    for boundary in coverage.boundaries.iter().filter(|boundary| !boundary.is_covered()) {
        let missing = match (&boundary.below, &boundary.at_or_above) {
            (None, None) => "no machine on either side",
            (None, Some(_)) => "no machine right below",
            (Some(_), _) => "no machine at it or right above",
        };
        table.row(["boundary", &format!("{} {}", boundary.name, boundary.value), missing, &place(&boundary.at)]);
    }
    let counts = [
        counted("policies", &coverage.policies, Matched::is_covered),
        counted("conditions", &coverage.conditions, Seen::is_covered),
        counted("candidates", &coverage.candidates, Taken::is_covered),
        counted("boundaries", &coverage.boundaries, Boundary::is_covered),
    ];
    let inside = coverage.conditions_inside;
    format!(
        "{}{}\n",
        table.render(paint, 2),
        format_args!(
            "covered by {} machines: {}; {inside} conditions inside functions are not told apart",
            coverage.machines,
            counts.join(", ")
        )
    )
}

// `policies 26/27`.
fn counted<T>(what: &str, items: &[T], is_covered: impl Fn(&T) -> bool) -> String {
    format!("{what} {}/{}", items.iter().filter(|item| is_covered(item)).count(), items.len())
}

fn short(text: &str) -> String {
    const LONGEST: usize = 76;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
