//! What came out of a validation, for people.

use super::{count, wrap};
use crate::facts::units::{Unit, show};
use crate::report::diff;
use crate::report::paint::Paint;
use crate::report::validation::{
    FigureOrigin, FigureRecord, LeftRecord, RepairRecord, RuleRecord, RuleResult, ValidateReport,
};

/// Columns of a line; what goes on below begins where it began.
const WIDTH: usize = 110;

/// The rules of each group, and the verdict.
pub fn render(report: &ValidateReport, paint: Paint) -> String {
    let rules = report.groups.iter().flat_map(|group| &group.rules);
    let widest = rules.map(|rule| rule.rule.len()).max().unwrap_or_default();
    let mut text = String::new();
    for group in report.groups.iter().filter(|group| !group.rules.is_empty()) {
        text += &format!("{}\n", paint.bold(&group.title));
        group.rules.iter().for_each(|record| text += &rule(record, widest, paint));
        text.push('\n');
    }
    text += &verdict(report, paint);
    text
}

/// What is put right, file by file, and what a person does about the sources that are not.
pub fn repairs(report: &ValidateReport, paint: Paint) -> String {
    let repair = |repair: &RepairRecord| {
        let says = repair.repairs.iter().map(|says| format!("  {}: {says}\n", repair.file));
        format!("{}{}\n", diff::coloured(&repair.diff, paint), says.collect::<String>())
    };
    let left = |left: &LeftRecord| {
        let steps =
            left.steps.iter().enumerate().map(|(i, step)| format!("  {}. {}\n", i + 1, wrap(step, WIDTH - 5, 5)));
        format!("{}\n{}\n", paint.bold(&format!("{} is left to you", left.file)), steps.collect::<String>())
    };
    report.repairs.iter().map(repair).chain(report.left.iter().map(left)).collect()
}

fn rule(record: &RuleRecord, widest: usize, paint: Paint) -> String {
    let word = match record.result {
        RuleResult::Pass => paint.green("pass        "),
        RuleResult::Fail => paint.red("fail        "),
        RuleResult::NotMeasured => paint.faint("not measured"),
    };
    let indent = (2 + 12 + 2 + widest + 2).min(WIDTH / 2);
    let figure = record.figure.as_ref().map_or_else(String::new, self::figure);
    let says = [record.message.as_str(), &figure].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let mut text = format!("  {word}  {:widest$}  {}", record.rule, wrap(&says.join("; "), WIDTH - indent, indent));
    text.truncate(text.trim_end().len());
    text.push('\n');
    if let Some(help) = &record.help {
        text += &format!(
            "{}{}\n",
            " ".repeat(indent),
            paint.faint(&wrap(&format!("help: {help}"), WIDTH - indent, indent))
        );
    }
    text
}

/// The figure, what passes, and what it is expected to be where nobody measured it. Empty without all three.
pub fn figure(figure: &FigureRecord) -> String {
    let wanted = bounds(figure);
    let value = figure.value.map(|value| rounded(value, figure.unit));
    let (measured, predicted) = match figure.origin {
        FigureOrigin::Measured => (value, None),
        FigureOrigin::Predicted => (None, value.map(|value| format!("predicted by the model: {value}"))),
        FigureOrigin::Published => (None, value.map(|value| format!("published for this card: {value}"))),
        FigureOrigin::NotMeasured => (None, None),
    };
    let wanted = (!wanted.is_empty()).then(|| format!("wanted: {wanted}"));
    [measured, wanted, predicted].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What is wanted of a figure: `at least 1 GiB, at most 4 GiB`.
pub fn bounds(figure: &FigureRecord) -> String {
    let bound = |word: &str, value: Option<f64>| value.map(|value| format!("{word} {}", rounded(value, figure.unit)));
    let bounds = [bound("at least", figure.at_least), bound("at most", figure.at_most)];
    bounds.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A figure as precise as people read it.
pub fn rounded(value: f64, unit: Option<Unit>) -> String {
    match unit {
        Some(Unit::Seconds) if value >= 7200.0 => format!("{} h", (value / 360.0).round() / 10.0),
        Some(Unit::Seconds) if value >= 120.0 => format!("{} min", (value / 6.0).round() / 10.0),
        Some(Unit::Seconds) if value >= 10.0 => format!("{} s", value.round()),
        Some(Unit::Ratio) => format!("{} %", (value * 1000.0).round() / 10.0),
        unit => show(&value.into(), unit),
    }
}

/// Whether the installation is ready, and of how many rules.
pub fn verdict(report: &ValidateReport, paint: Paint) -> String {
    let verdict = &report.verdict;
    let rules = verdict.rules;
    let percent = |score: f64| format!("{} %", (score * 100.0).round());
    let word = if verdict.ready { paint.green("ready") } else { paint.red("not ready") };
    let others = [(rules.failed, "fail"), (rules.not_measured, "not measured")];
    let others: Vec<String> =
        others.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(", {}", others.join(", ")) };
    let critical = verdict.critical_rules;
    let critical = match critical.total() {
        0 => "none of them is critical".to_owned(),
        _ => format!("of the critical ones {}", percent(verdict.critical_score)),
    };
    let (passed, total, score) = (rules.passed, count(rules.total(), "rule"), percent(verdict.score));
    format!("{word}: {passed} of {total} pass{others}; score {score}, {critical}\n")
}
