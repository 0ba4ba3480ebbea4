//! The groups of rules: what came out of each, its figure, and why it is asked.

use maud::{Markup, html};

use super::text::{anchor, broken, place, prose, sourced};
use crate::report::human::validation::rounded;
use crate::report::validation::{FigureOrigin, FigureRecord, RuleRecord, RuleResult, ValidateReport};

/// Every group with its rules.
pub fn rules(report: &ValidateReport) -> Markup {
    html! {
        @for group in &report.groups {
            div.group {
                h3 id=(anchor("group", &group.group)) { (group.title) " " (mark(group.result)) }
                @if group.rules.is_empty() { p.note { "No rule of this group is about this installation." } }
                ul.rules {
                    @for record in &group.rules { (rule(record)) }
                }
            }
        }
    }
}

/// A result as a sign and a word, for those who see no colours.
pub fn mark(result: RuleResult) -> Markup {
    let (class, sign, word) = match result {
        RuleResult::Pass => ("pass", "✓", "pass"),
        RuleResult::Fail => ("fail", "✗", "fail"),
        RuleResult::NotMeasured => ("not-measured", "?", "not measured"),
    };
    html! { span class=(format!("mark {class}")) { span aria-hidden="true" { (sign) " " } (word) } }
}

/// What stands behind `#` for a rule.
pub fn rule_anchor(rule: &RuleRecord) -> String {
    anchor("rule", &rule.rule)
}

fn rule(record: &RuleRecord) -> Markup {
    html! {
        li id=(rule_anchor(record)) {
            (mark(record.result))
            p.head {
                strong { (broken(&record.rule, '-')) }
                @if record.critical { " " span.tag { "critical" } }
            }
            div {
                @if !record.message.is_empty() { p { (prose(&record.message)) } }
                @if let Some(figure) = &record.figure { (self::figure(figure)) }
                @if let Some(help) = &record.help { p.help { (prose(help)) } }
                p.why {
                    (prose(&record.why))
                    @if let Some(source) = &record.source { span.source { " Source: " (sourced(source)) } }
                    " " (place(&record.at))
                }
            }
        }
    }
}

// The figure, whose word it is, and what passes.
fn figure(figure: &FigureRecord) -> Markup {
    let shown = |value: Option<f64>| value.map(|value| rounded(value, figure.unit));
    let origin = match figure.origin {
        FigureOrigin::Measured => "measured",
        FigureOrigin::Predicted => "predicted by the model, not measured",
        FigureOrigin::Published => "published for this card, not measured",
        FigureOrigin::NotMeasured => "not measured",
    };
    html! {
        p.figure {
            @if let Some(value) = shown(figure.value) { b { (value) } " " }
            span.origin { (origin) }
            @if let Some(bound) = shown(figure.at_least) { " " span.bound { "at least " (bound) } }
            @if let Some(bound) = shown(figure.at_most) { " " span.bound { "at most " (bound) } }
        }
    }
}
