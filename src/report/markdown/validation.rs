//! A validation as a page that reads well where Markdown is shown, as on GitHub: the verdict, then why, then what to do.

use super::{cell, fenced};
use crate::facts::units::{Unit, show};
use crate::report::dossier::Dossier;
use crate::report::figure::{Figure, MIB, mib};
use crate::report::human::validation::{bounds, rounded, verdict};
use crate::report::json::{SettingRecord, TargetRecord};
use crate::report::optimization::{Prediction, predictions};
use crate::report::paint::Paint;
use crate::report::validation::{FigureRecord, LeftRecord, RuleRecord, RuleResult, ValidateReport};
use crate::target::Change;

/// The page.
pub fn text(dossier: &Dossier<'_>) -> String {
    let validation = dossier.validation;
    let parts = [
        head(dossier),
        advice(validation),
        groups(validation),
        findings(validation),
        repairs(validation),
        left(validation),
        changes(dossier),
        figures(dossier),
        formulas(validation),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn head(dossier: &Dossier<'_>) -> String {
    let validation = dossier.validation;
    let said = verdict(validation, Paint::default());
    let (word, rest) = said.trim_end().split_once(": ").unwrap_or((&said, ""));
    let unknown = "no stack that is known";
    let rows = [
        ("installation", validation.root.as_str()),
        ("stack", validation.target.as_deref().unwrap_or(unknown)),
        ("machine", &dossier.machine),
        ("looked at", &dossier.time),
    ];
    let rows: Vec<[String; 2]> = rows.iter().map(|(name, value)| [(*name).to_owned(), cell(value)]).collect();
    format!("# Validation: {word}\n\n**{}**: {}\n\n{}", capitalised(word), cell(rest), table(["", ""], rows))
}

fn advice(validation: &ValidateReport) -> String {
    // What was found stands below with its own.
    let advice: Vec<String> = validation.rules().filter_map(|(_, rule)| rule.advice()).collect();
    if advice.is_empty() {
        return String::new();
    }
    let lines: String = advice.iter().map(|one| format!("- {}\n", cell(one))).collect();
    format!("## What to do\n\n{lines}")
}

fn groups(validation: &ValidateReport) -> String {
    let rows = validation.groups.iter().map(|group| {
        let of = |result: RuleResult| group.rules.iter().filter(|rule| rule.result == result).count().to_string();
        let [passed, failed, unknown] = [RuleResult::Pass, RuleResult::Fail, RuleResult::NotMeasured].map(of);
        [cell(&group.title), word(group.result), passed, failed, unknown]
    });
    let mut text = format!("## Rules\n\n{}", table(["group", "result", "pass", "fail", "not measured"], rows));
    for group in validation.groups.iter().filter(|group| !group.rules.is_empty()) {
        let rows = group.rules.iter().map(rule);
        let columns = ["rule", "result", "critical", "what was found", "figure", "wanted", "origin"];
        text += &format!("\n### {}\n\n{}", cell(&group.title), table(columns, rows));
    }
    text
}

fn rule(rule: &RuleRecord) -> [String; 7] {
    let figure = rule.figure.as_ref();
    let shown = |figure: &FigureRecord| figure.value.map(|value| rounded(value, figure.unit)).unwrap_or_default();
    [
        cell(&rule.rule),
        word(rule.result),
        if rule.critical { "yes" } else { "" }.to_owned(),
        cell(&rule.message),
        cell(&figure.map(shown).unwrap_or_default()),
        cell(&figure.map(bounds).unwrap_or_default()),
        figure.map(|figure| figure.origin.as_str()).unwrap_or_default().to_owned(),
    ]
}

fn findings(validation: &ValidateReport) -> String {
    if validation.findings.is_empty() {
        return String::new();
    }
    let mut findings: Vec<_> = validation.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let rows = findings.into_iter().map(|finding| {
        let at = finding.at.as_ref().map(ToString::to_string).unwrap_or_default();
        let help = finding.help.as_deref().unwrap_or_default();
        [finding.severity.to_string(), cell(&finding.code), cell(&at), cell(&finding.message), cell(help)]
    });
    format!("## What was found\n\n{}", table(["", "code", "where", "what", "what to do"], rows))
}

fn repairs(validation: &ValidateReport) -> String {
    if validation.repairs.is_empty() {
        return String::new();
    }
    let is_written = validation.repairs.iter().all(|repair| repair.written);
    let title = if is_written {
        "## What was repaired\n\n`wan22-policy rollback` takes it back.\n"
    } else {
        "## What a repair would change\n\n`wan22-policy validate --fix` writes it, `wan22-policy rollback` takes it back.\n"
    };
    let mut text = title.to_owned();
    for repair in &validation.repairs {
        let says: String = repair.repairs.iter().map(|says| format!("- {}\n", cell(says))).collect();
        text += &format!("\n### {}\n\n{says}\n{}", cell(&repair.file), fenced(&repair.diff, "diff"));
    }
    text
}

fn left(validation: &ValidateReport) -> String {
    if validation.left.is_empty() {
        return String::new();
    }
    let one = |LeftRecord { file, steps }: &LeftRecord| {
        let steps = steps.iter().enumerate().map(|(i, step)| format!("{}. {}\n", i + 1, cell(step)));
        format!("\n### {}\n\n{}", cell(file), steps.collect::<String>())
    };
    format!("## What is left to you\n{}", validation.left.iter().map(one).collect::<String>())
}

fn changes(dossier: &Dossier<'_>) -> String {
    let due: Vec<_> = dossier.changes().filter(|(_, change)| change.is_due()).collect();
    if due.is_empty() {
        return String::new();
    }
    let rows = due.into_iter().map(|(target, change)| row(dossier, target, change));
    let columns = ["file", "key", "now", "planned", "setting", "policy", "where", "VRAM saved"];
    format!("## What an apply would change\n\n`wan22-policy apply` writes it.\n\n{}", table(columns, rows))
}

fn row(dossier: &Dossier<'_>, target: &TargetRecord, change: &Change) -> [String; 8] {
    let planned = dossier.plan.settings.get(&change.setting);
    let value = |value: &Option<serde_json::Value>| value.as_ref().map(|value| show(value, None)).unwrap_or_default();
    let saved = Figure::predicted_mib(dossier.savings.find(change));
    [
        cell(&target.file),
        cell(change.key.as_deref().unwrap_or_default()),
        cell(&value(&change.from)),
        cell(&value(&change.to)),
        cell(&change.setting),
        cell(planned.and_then(|planned| planned.policy.as_deref()).unwrap_or_default()),
        cell(&planned.and_then(place).unwrap_or_default()),
        figure(&saved),
    ]
}

fn figures(dossier: &Dossier<'_>) -> String {
    let Some(fit) = &dossier.fit else { return String::new() };
    let predictions = predictions(fit);
    let workload = predictions.first().map(|one| cell(&one.workload)).unwrap_or_default();
    let rows = predictions.iter().map(|Prediction { what, figure: known, .. }| [cell(what), figure(known)]);
    format!("## What a run is expected to take\n\n{workload}\n\n{}", table(["", "figure and its origin"], rows))
}

fn formulas(validation: &ValidateReport) -> String {
    let verdict = &validation.verdict;
    format!(
        "## How the verdict follows\n\n{}",
        table(
            ["", "formula"],
            [
                ["score".to_owned(), cell(&verdict.score_formula)],
                ["ready".to_owned(), cell(&verdict.ready_formula)],
                ["where they stand".to_owned(), cell(&verdict.at.to_string())],
            ]
        )
    )
}

// Where the policy stands that gave a setting its value; `None` when it is pinned.
fn place(planned: &SettingRecord) -> Option<String> {
    Some(format!("{}:{}", planned.file.as_ref()?, planned.line?))
}

// `8.6 min, predicted`, as people read it.
fn figure(figure: &Figure) -> String {
    let Some(value) = figure.value else { return figure.origin.as_str().to_owned() };
    let shown = match figure.unit.as_deref() {
        Some(MIB) => rounded(value / mib(1.0), Some(Unit::Bytes)),
        unit => rounded(value, unit.and_then(Unit::of_name)),
    };
    cell(&format!("{shown}, {}", figure.origin.as_str()))
}

fn word(result: RuleResult) -> String {
    match result {
        RuleResult::Pass => "pass".to_owned(),
        RuleResult::Fail => "**fail**".to_owned(),
        RuleResult::NotMeasured => "*not measured*".to_owned(),
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

// The cells hold Markdown already.
fn table<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(N));
    rows.into_iter().for_each(|row| text += &format!("| {} |\n", row.join(" | ")));
    text
}
