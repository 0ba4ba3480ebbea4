//! What becomes of the keys of an installation's files, for people.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::report::diff;
use crate::report::json::{Drift, FileReport, FileStatus};
use crate::report::paint::Paint;
use crate::report::table::Table;
use crate::target::{Change, Status};

/// The keys of a file by status; the settings that have no key are a short list at the end.
pub fn render(file: &str, changes: &[Change], paint: Paint) -> String {
    let mut table = Table::default();
    for status in [Status::Applied, Status::Clamped, Status::NoOp] {
        for change in changes.iter().filter(|change| change.status == status) {
            let why = change.why.clone().unwrap_or_default();
            let key = change.key.clone().unwrap_or_default();
            table.row([status.as_str().to_owned(), key, values(change), change.setting.clone(), why]);
        }
    }
    let mut text = format!("{}\n{}", paint.bold(file), table.render(paint, 3));
    let absent: BTreeSet<&str> =
        changes.iter().filter(|c| c.status == Status::NotExpressible).map(|c| c.setting.as_str()).collect();
    if !absent.is_empty() {
        let names = absent.into_iter().collect::<Vec<_>>().join(", ");
        let list = super::wrap(&names, 88, 24);
        text.push_str(&format!("  {}: {list}\n", Status::NotExpressible.as_str()));
    }
    text.push('\n');
    text
}

/// The diffs of all files that differ.
pub fn diffs(files: &[FileReport], paint: Paint) -> String {
    let diffs = files.iter().filter(|file| !file.diff.is_empty());
    diffs.map(|file| diff::coloured(&file.diff, paint) + "\n").collect()
}

/// One line for each key that does not hold what the plan says.
pub fn drift(drift: &[Drift], paint: Paint) -> String {
    let line = |drift: &Drift| {
        let place = match (drift.line, drift.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", drift.file),
            _ => drift.file.clone(),
        };
        let found = match &drift.found {
            Some(found) => format!("is {}", value(found)),
            None => "is not there".to_owned(),
        };
        let policy = match &drift.policy {
            Some(policy) => format!("`{}` by policy `{policy}`", drift.setting),
            None => format!("`{}`, pinned", drift.setting),
        };
        format!("{}: {} {found}, the plan says {} ({policy})\n", paint.bold(&place), drift.key, value(&drift.expected))
    };
    drift.iter().map(line).collect()
}

/// Names of the files with a status, in words: `config.json and b.json`.
pub fn names(files: &[FileReport], status: FileStatus) -> String {
    let names: Vec<&str> = files.iter().filter(|file| file.status == status).map(|file| file.file.as_str()).collect();
    names.join(" and ")
}

fn values(change: &Change) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) if change.is_due() => format!("{} → {}", value(from), value(to)),
        (_, Some(to)) if change.is_due() => format!("new: {}", value(to)),
        (_, Some(to)) => value(to),
        _ => String::new(),
    }
}

// As the file has it.
fn value(value: &Value) -> String {
    value.to_string()
}
