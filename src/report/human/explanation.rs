//! Explanations for people.

use serde_json::Value;

use super::plan::place;
use super::wrap;
use crate::facts::units::{Unit, show};
use crate::facts::vocabulary::Stability;
use crate::plan::Origin;
use crate::report::explain::{
    CandidateRecord, ColumnRecord, ConsideredRecord, ExplainReport, Explanation, FactExplanation, FunctionExplanation,
    GroupExplanation, GroupedRule, OutcomeRecord, PolicyRecord, ReadRecord, RuleExplanation, SettingExplanation,
    TableExplanation, TestRecord,
};
use crate::report::paint::Paint;
use crate::report::table::Table;
use crate::settings::SETTINGS;

const WIDTH: usize = 100;

/// The explanation of any name.
pub fn render(report: &ExplainReport, paint: Paint) -> String {
    let name = paint.bold(&report.name);
    match &report.explanation {
        Explanation::Setting(setting) => render_setting(&report.name, setting, paint),
        Explanation::Fact(fact) => format!("{name}\n{}", render_fact(fact, paint)),
        Explanation::Code(code) => {
            format!("{name} (finding, usually {})\n  {}\n", code.severity, wrap(&code.description, WIDTH, 2))
        }
        Explanation::Check(check) => {
            let mut text = format!("{name} (check, {}), {}\n", check.severity, place(&check.at));
            text += &section("when", check.when.as_deref());
            text += &section("assert", Some(&check.assert));
            text += &section("message", Some(&check.message));
            text += &section("help", check.help.as_deref());
            text += &section("why", check.why.as_deref());
            text += &section("source", check.source.as_deref());
            text += &reads(&check.reads, paint);
            text
        }
        Explanation::Policy(policy) => {
            let mut text = policy_line("", &policy.policy, paint);
            text += &section("when", policy.when.as_deref());
            text += &section("sets", Some(&policy.settings.join(", ")));
            text += &reasons(&policy.policy);
            text
        }
        Explanation::Rule(rule) => render_rule(&report.name, rule, paint),
        Explanation::Group(group) => render_group(&report.name, group, paint),
        Explanation::Function(function) => render_function(&report.name, function, paint),
        Explanation::Table(table) => render_table(&report.name, table, paint),
    }
}

fn render_rule(name: &str, rule: &RuleExplanation, paint: Paint) -> String {
    let critical = if rule.critical { ", critical" } else { "" };
    let mut text = format!("{} (rule of {}{critical}), {}\n", paint.bold(name), rule.group, place(&rule.at));
    text += &section("when", rule.when.as_deref());
    text += &match &rule.test {
        TestRecord::Assert { assert } => section("assert", Some(assert)),
        TestRecord::Metric { metric, at_least, at_most, predicted } => [
            section("metric", Some(metric)),
            section("at least", at_least.as_deref()),
            section("at most", at_most.as_deref()),
            section("predicted", predicted.as_deref()),
        ]
        .concat(),
        TestRecord::Files { files, holding, lacking, schema } => {
            let holding: Vec<String> =
                holding.iter().map(|(key, texts)| format!("{key}: {}", texts.join(" or "))).collect();
            [
                section("files", Some(files)),
                section("holding", Some(&holding.join("; "))),
                section("lacking", Some(&lacking.join(", "))),
                section("schema", Some(schema.as_deref().unwrap_or("written out in the rule"))),
            ]
            .concat()
        }
    };
    text += &section("pass", rule.pass.as_deref());
    text += &section("fail", rule.fail.as_deref());
    text += &section("help", rule.help.as_deref());
    text += &section("why", Some(&rule.why));
    text += &section("source", rule.source.as_deref());
    text += &reads(&rule.reads, paint);
    text += &format!("\n`wan22-policy validate --only {}` asks it\n", rule.group);
    text
}

fn render_group(name: &str, group: &GroupExplanation, paint: Paint) -> String {
    let mut text = format!("{} (rules of validate)\n  {}\n\n", paint.bold(name), group.description);
    for GroupedRule { rule, critical, why } in &group.rules {
        let critical = if *critical { ", critical" } else { "" };
        text += &format!("  {}{critical}\n      {}\n", paint.bold(rule), wrap(why, WIDTH, 6));
    }
    text += &format!("\n`wan22-policy validate --only {name}` asks them\n");
    text
}

fn render_function(name: &str, function: &FunctionExplanation, paint: Paint) -> String {
    let whose = match &function.at {
        Some(at) => format!("function, {}", place(at)),
        None => "function of the language".to_owned(),
    };
    let mut text = format!("{}, {whose}\n", paint.bold(&function.usage(name)));
    text += &format!("  {}\n", wrap(&function.description, WIDTH, 2));
    let takes: Vec<String> = function.parameters.iter().map(|p| format!("{}: {}", p.name, p.ty)).collect();
    text += &section("takes", Some(&takes.join("; ")));
    text += &section("gives", Some(&function.gives));
    text += &section("is", function.expression.as_deref());
    text += &section("example", function.example.as_deref());
    text += &section("source", function.source.as_deref());
    text += &reads(&function.reads, paint);
    text
}

fn render_table(name: &str, table: &TableExplanation, paint: Paint) -> String {
    let value = match table.columns.is_empty() {
        true => format!(" = {}", show(&table.value, table.unit)),
        false => String::new(),
    };
    let mut text = format!("{}, {}\n", paint.bold(&format!("{name}{value}")), place(&table.at));
    text += &format!("  {}\n", wrap(&table.description, WIDTH, 2));
    text += &section("source", table.source.as_deref());
    if !table.read_by.is_empty() {
        text += &section("read by", Some(&format!("the policies of {}", table.read_by.join(", "))));
    }
    if !table.columns.is_empty() {
        text += &format!("\n{}\n", paint.bold("columns"));
        let mut columns = Table::default();
        table.columns.iter().for_each(|column| columns.row([&column.named.name, &column.named.ty]));
        text += &columns.render(paint, 9);
        text += &format!("\n{}\n", paint.bold("rows"));
        match &table.value {
            Value::Object(rows) => {
                rows.iter().for_each(|(name, row)| text += &format!("  {name}\n      {}\n", cells(row, table)));
            }
            Value::Array(rows) => {
                rows.iter().enumerate().for_each(|(i, row)| text += &format!("  {i:<4}{}\n", cells(row, table)));
            }
            _ => {}
        }
    }
    for added in &table.added {
        text += &format!("\n{} {}\n", paint.bold(&format!("added {}", added.rows.join(", "))), place(&added.at));
        text += &format!("  {}\n", wrap(&added.description, WIDTH, 2));
        text += &section("source", added.source.as_deref());
    }
    text
}

// The cells of a row, besides its name.
fn cells(row: &Value, table: &TableExplanation) -> String {
    let cell = |column: &ColumnRecord| {
        let value = row.get(&column.named.name).filter(|_| column.named.name != "name")?;
        Some(format!("{} {}", column.named.name, show(value, column.unit)))
    };
    let cells: Vec<String> = table.columns.iter().filter_map(cell).collect();
    wrap(&cells.join(", "), WIDTH, 6)
}

fn render_setting(name: &str, setting: &SettingExplanation, paint: Paint) -> String {
    let shown = |value: &Value| show(value, setting.unit);
    let mut text = match &setting.value {
        Some(value) => paint.bold(&format!("{name} = {}", shown(value))) + "\n",
        None => format!("{} has no value: no policy gives it one\n", paint.bold(name)),
    };
    text += &format!("  {}\n", wrap(&setting.description, WIDTH, 2));
    if !setting.range.is_empty() {
        text += &format!("  may be: {}\n", wrap(&setting.range, WIDTH, 2));
    }
    if setting.origin == Some(Origin::Pin) {
        text += "\nIt is pinned: you asked for this value.\n";
    }
    if let Some(moved) = &setting.moved {
        let (from, policy) = (shown(&moved.from), &moved.policy);
        text += &format!("\nIt was {from} before the limit of `{}` ({}) moved it.\n", policy.id, place(&policy.at));
    }
    let (won, others): (Vec<_>, Vec<_>) =
        setting.considered.iter().partition(|considered| considered.outcome == OutcomeRecord::Won);
    for considered in won {
        text += &format!("\n{}", policy_line("policy ", &considered.policy, paint));
        text += &reasons(&considered.policy);
        let how = match setting.origin {
            Some(Origin::Choose) => "such that",
            Some(Origin::Otherwise) => "otherwise",
            _ => "derived",
        };
        text += &section("when", considered.when.as_deref());
        text += &section(how, considered.expression.as_deref());
        text += &reads(&considered.reads, paint);
    }
    text += &candidates(setting, paint);
    if !setting.limits.is_empty() {
        text += &format!("\n{}\n", paint.bold("limits"));
        let mut table = Table::default();
        for limit in &setting.limits {
            table.row([limit.bound.clone(), limit.policy.id.clone(), place(&limit.policy.at)]);
        }
        text += &table.render(paint, 1);
    }
    if !others.is_empty() {
        text += &format!("\n{}\n", paint.bold("other policies"));
        for considered in others {
            text += &other(considered, setting.unit, paint);
        }
    }
    text
}

fn candidates(setting: &SettingExplanation, paint: Paint) -> String {
    if setting.candidates.is_empty() {
        return String::new();
    }
    let verdict = |candidate: &CandidateRecord| match candidate.taken {
        true => "taken".to_owned(),
        false => candidate.because.join("; "),
    };
    let value = |candidate: &CandidateRecord| candidate_value(candidate, setting.unit);
    // A row of several settings takes a line of its own.
    let rows = setting.candidates.iter().any(|candidate| candidate.value.is_object());
    let text = if rows {
        let line = |c: &CandidateRecord| format!("  {}\n      {}\n", value(c), verdict(c));
        setting.candidates.iter().map(line).collect()
    } else {
        let mut table = Table::default();
        for candidate in &setting.candidates {
            table.row([value(candidate), verdict(candidate)]);
        }
        table.render(paint, 9)
    };
    format!("\n{}\n{text}", paint.bold("candidates, in order"))
}

fn candidate_value(candidate: &CandidateRecord, unit: Option<Unit>) -> String {
    match &candidate.value {
        Value::Object(settings) => {
            let one = |(name, value): (&String, &Value)| {
                format!("{name} {}", show(value, SETTINGS.find(name).and_then(|spec| spec.unit)))
            };
            settings.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        value => show(value, unit),
    }
}

fn other(considered: &ConsideredRecord, unit: Option<Unit>, paint: Paint) -> String {
    let policy = &considered.policy;
    let what = match considered.outcome {
        OutcomeRecord::Won => "gave the value".to_owned(),
        OutcomeRecord::Beaten => {
            let value = considered.value.as_ref().map(|value| show(value, unit)).unwrap_or_default();
            format!("would give {value}; beaten by a higher layer or a pin")
        }
        OutcomeRecord::NotMatched => "does not match".to_owned(),
        OutcomeRecord::Unknown => "not applicable".to_owned(),
        OutcomeRecord::Expired => "does not count".to_owned(),
        OutcomeRecord::Failed => "gives nothing".to_owned(),
    };
    let because = if considered.because.is_empty() {
        String::new()
    } else {
        format!(": {}", wrap(&considered.because.join("; "), WIDTH, 6))
    };
    let mut text = format!(
        "  layer {} {} {}\n      {what}{because}\n",
        policy.layer,
        paint.bold(&policy.id),
        paint.faint(&place(&policy.at))
    );
    if let (OutcomeRecord::NotMatched, Some(when)) = (considered.outcome, &considered.when) {
        text += &format!("      when {}\n", wrap(when, WIDTH, 6));
    }
    text
}

fn policy_line(before: &str, policy: &PolicyRecord, paint: Paint) -> String {
    format!("{before}{}, layer {}, {}\n", paint.bold(&policy.id), policy.layer, place(&policy.at))
}

fn reasons(policy: &PolicyRecord) -> String {
    format!("{}{}", section("why", policy.why.as_deref()), section("source", policy.source.as_deref()))
}

// A label and a text that keeps its own lines when it has several.
fn section(label: &str, text: Option<&str>) -> String {
    match text {
        None | Some("") => String::new(),
        Some(text) if text.contains('\n') => {
            let lines: Vec<String> = text.lines().map(|line| format!("  {:10}{line}", "")).collect();
            format!("  {label:10}{}\n", lines.join("\n").trim_start())
        }
        Some(text) => format!("  {label:10}{}\n", wrap(text, WIDTH - 10, 12)),
    }
}

fn reads(reads: &[ReadRecord], paint: Paint) -> String {
    if reads.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    for (i, read) in reads.iter().enumerate() {
        let label = if i == 0 { "reads   " } else { "" };
        let [name, value, origin] = read_cells(read);
        table.row([label.to_owned(), name, value, origin]);
    }
    table.render(paint, 3)
}

// The name, the value, and where it comes from or why it is unknown.
fn read_cells(read: &ReadRecord) -> [String; 3] {
    let value = match (&read.value, &read.reason) {
        (Some(value), _) => show(value, read.unit),
        (None, Some(_)) => "unknown".to_owned(),
        (None, None) => String::new(),
    };
    [read.name.clone(), value, read.origin.as_ref().or(read.reason.as_ref()).cloned().unwrap_or_default()]
}

fn render_fact(fact: &FactExplanation, paint: Paint) -> String {
    let stability = match fact.stability {
        Stability::Stable => "stable: settings may rest on it",
        Stability::Volatile => "changes while the machine runs: for checks only",
    };
    let mut text = format!("  {}\n  {}; {stability}\n\n", wrap(&fact.description, WIDTH, 2), fact.ty.describe());
    let mut table = Table::default();
    for read in &fact.known {
        table.row(read_cells(read));
    }
    text += &table.render(paint, 2);
    if fact.known.is_empty() {
        text += "  there is none on this machine\n";
    }
    if !fact.read_by.is_empty() {
        text += &format!("\n  read by the policies of {}\n", wrap(&fact.read_by.join(", "), WIDTH, 2));
    }
    text
}
