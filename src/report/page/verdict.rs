//! The head of the page: whether the installation is ready, by which formula, and what to do next.

use maud::{Markup, html};

use super::rules::{mark, rule_anchor};
use super::text::{place, prose};
use crate::diag::Severity;
use crate::report::dossier::Dossier;
use crate::report::human::count;
use crate::report::validation::{CountsRecord, RuleRecord, RuleResult, ValidateReport};

/// Width of the bar of a count, in its own units.
const WIDTH: usize = 1000;

/// What the window is called: the verdict first.
pub fn title(dossier: &Dossier<'_>) -> String {
    format!("{}: {} – wan22-policy", word(dossier.validation.verdict.ready), dossier.validation.root)
}

fn word(ready: bool) -> &'static str {
    if ready { "Ready" } else { "Not ready" }
}

/// The verdict with its scores, and what was looked at.
pub fn verdict(dossier: &Dossier<'_>) -> Markup {
    let report = dossier.validation;
    let verdict = &report.verdict;
    let unknown = "not known";
    let target = report.target.as_deref().unwrap_or(unknown);
    let python = report.python.as_deref().unwrap_or(unknown);
    html! {
        section.verdict.ready[verdict.ready].unready[!verdict.ready] id="verdict" tabindex="-1" aria-labelledby="verdict-heading" {
            h1 id="verdict-heading" {
                span.seal aria-hidden="true" { (if verdict.ready { "✓" } else { "✗" }) }
                (word(verdict.ready))
            }
            p.lead { (in_words(verdict.rules)) }
            div.scores {
                (score("Score", verdict.score, verdict.rules, "rule"))
                (score("Critical score", verdict.critical_score, verdict.critical_rules, "critical rule"))
            }
            dl.facts {
                div { dt { "Installation" } dd { code { (report.root) } } }
                div { dt { "Stack" } dd { (target) } }
                div { dt { "Python" } dd { (python) } }
                div.wide { dt { "Machine" } dd { (dossier.machine) } }
                div {
                    dt { "Looked at by wan22-policy " (env!("CARGO_PKG_VERSION")) }
                    dd { time datetime=(dossier.time) { (dossier.time.replace('T', " ").replace('Z', " UTC")) } }
                }
            }
            details {
                summary { "How the verdict follows" }
                dl.formulas {
                    div { dt { "score" } dd { code { (verdict.score_formula) } } }
                    div { dt { "ready" } dd { code { (verdict.ready_formula) } } }
                    div { dt { "stands in" } dd { (place(&verdict.at)) } }
                }
            }
        }
    }
}

// `22 of 28 rules pass, 1 fails, and 5 were not measured.`
fn in_words(rules: CountsRecord) -> String {
    let total = rules.total();
    if total == 0 {
        return "No rule was asked.".to_owned();
    }
    let fail = match rules.failed {
        0 => "none fails".to_owned(),
        1 => "1 fails".to_owned(),
        some => format!("{some} fail"),
    };
    let measured = match rules.not_measured {
        0 => "all were measured".to_owned(),
        1 => "1 was not measured".to_owned(),
        some => format!("{some} were not measured"),
    };
    let pass = if rules.passed == 1 && total == 1 { "passes" } else { "pass" };
    format!("{} of {} {pass}, {fail}, and {measured}.", rules.passed, count(total, "rule"))
}

fn score(name: &str, score: f64, rules: CountsRecord, one: &str) -> Markup {
    let all = rules.total().max(1);
    let parts = [(rules.passed, "pass"), (rules.failed, "fail"), (rules.not_measured, "not-measured")];
    let ends: Vec<usize> = parts
        .iter()
        .scan(0, |sum, (number, _)| {
            *sum += number;
            Some(*sum * WIDTH / all)
        })
        .collect();
    let says: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {}", what.replace('-', " ")))
        .collect();
    html! {
        div.score {
            p.name { (name) }
            p.number { @if rules.total() > 0 { (format!("{} %", (score * 100.0).round())) } @else { "–" } }
            svg.share viewBox=(format!("0 0 {WIDTH} 8")) preserveAspectRatio="none" aria-hidden="true" {
                @for ((_, class), (start, end)) in parts.iter().zip(std::iter::once(&0).chain(&ends).zip(&ends)) {
                    rect class=(class) x=(start) width=(end - start) height="8" {}
                }
            }
            p.counts {
                @if rules.total() > 0 { (count(rules.total(), one)) ": " (says.join(", ")) } @else { "no " (one) " was asked" }
            }
        }
    }
}

/// What fails, the critical rules first, and then what was not measured, each with what to do about it.
pub fn next(report: &ValidateReport) -> Markup {
    let of = |result: RuleResult| {
        let all = report.rules().map(|(_, rule)| rule);
        let mut found: Vec<&RuleRecord> = all.filter(|rule| rule.result == result).collect();
        found.sort_by_key(|rule| !rule.critical);
        found
    };
    let (failed, unmeasured) = (of(RuleResult::Fail), of(RuleResult::NotMeasured));
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    html! {
        @if failed.is_empty() && unmeasured.is_empty() && errors == 0 {
            p { @if report.verdict.rules.total() > 0 { "Nothing: every rule passes." } @else { "No rule was asked." } }
        }
        @if !failed.is_empty() || errors > 0 {
            h3 { "Put right" }
            ol.steps {
                @for rule in failed { (step(rule)) }
                @if errors > 0 {
                    li {
                        p.head { a href="#findings" { (count(errors, "finding")) " at error" } }
                        p { "Each names its file and line, and what may stand there." }
                    }
                }
            }
        }
        @if !unmeasured.is_empty() {
            h3 { "Measure" }
            p.note { "What was not measured never passes." }
            ol.steps {
                @for rule in unmeasured { (step(rule)) }
            }
        }
    }
}

fn step(rule: &RuleRecord) -> Markup {
    html! {
        li {
            p.head {
                (mark(rule.result)) " "
                a href=(format!("#{}", rule_anchor(rule))) { (rule.rule) }
                @if rule.critical { " " span.tag { "critical" } }
            }
            @if !rule.message.is_empty() { p { (prose(&rule.message)) } }
            @if let Some(help) = &rule.help { p.help { (prose(help)) } }
        }
    }
}
