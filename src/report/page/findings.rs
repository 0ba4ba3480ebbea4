//! What is wrong, each with its file and line, and what was put right or can be.

use maud::{Markup, html};

use super::text::{place, prose};
use crate::diag::{FindingRecord, Severity};
use crate::report::human::count;
use crate::report::validation::{LeftRecord, RepairRecord, ValidateReport};

/// Most findings that the page shows; more only make it long.
const MOST: usize = 200;

/// Most lines of diffs that the page shows, of all repairs together, so that it opens at once.
const MOST_LINES: usize = 1000;

/// Longest line of a diff that is shown whole, in characters: a generated file may have all in one.
const LONGEST: usize = 400;

/// The findings, errors first.
pub fn findings(report: &ValidateReport) -> Markup {
    let mut findings: Vec<&FindingRecord> = report.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    html! {
        @if findings.is_empty() { p { "None." } }
        ul.findings {
            @for finding in findings.iter().take(MOST) { (self::finding(finding)) }
        }
        @if findings.len() > MOST { p.note { "And " (findings.len() - MOST) " more, in " code { "validation.json" } "." } }
    }
}

fn finding(finding: &FindingRecord) -> Markup {
    let (class, sign) = match finding.severity {
        Severity::Error => ("fail", "✗"),
        Severity::Warning => ("warning", "!"),
        Severity::Note => ("note-mark", "i"),
    };
    html! {
        li {
            span class=(format!("mark {class}")) { span aria-hidden="true" { (sign) " " } (finding.severity) }
            div {
                p.said { (prose(&finding.message)) }
                @if let Some(help) = &finding.help { p.help { (prose(help)) } }
                p.why { code { (finding.code) } @if let Some(at) = &finding.at { " " (place(at)) } }
            }
        }
    }
}

/// The files that were put right or can be, with what changes, and what to do about the sources that cannot.
pub fn repairs(report: &ValidateReport) -> Markup {
    let mut left = MOST_LINES;
    html! {
        @if report.repairs.is_empty() { p { "There is nothing that can be put right by itself." } }
        @for repair in &report.repairs { (self::repair(repair, &mut left)) }
        @for LeftRecord { file, steps } in &report.left {
            div.group {
                h3 { code { (file) } " " span.tag { "left to you" } }
                ol { @for step in steps { li { (prose(step)) } } }
            }
        }
    }
}

fn repair(repair: &RepairRecord, left: &mut usize) -> Markup {
    let lines: Vec<&str> = repair.diff.lines().collect();
    let shown = lines.len().min(*left);
    *left -= shown;
    html! {
        div.group {
            h3 { code { (repair.file) } " " span.tag { (if repair.written { "written" } else { "not written" }) } }
            ul { @for says in &repair.repairs { li { (prose(says)) } } }
            @if shown > 0 {
                pre.diff tabindex="0" aria-label=(format!("Changes of {}", repair.file)) {
                    @for line in &lines[..shown] { (diff_line(line)) "\n" }
                }
            }
            @if shown < lines.len() { p.note { (count(lines.len() - shown, "line")) " more, in " code { "validation.json" } "." } }
        }
    }
}

fn diff_line(line: &str) -> Markup {
    let short: String = line.chars().take(LONGEST).collect();
    let rest = if short.len() < line.len() { "…" } else { "" };
    let is_head = line.starts_with("+++") || line.starts_with("---");
    html! {
        @match line.as_bytes().first() {
            _ if is_head => b { (short) (rest) },
            Some(b'+') => ins { (short) (rest) },
            Some(b'-') => del { (short) (rest) },
            Some(b'@') => i { (short) (rest) },
            _ => { (short) (rest) },
        }
    }
}
