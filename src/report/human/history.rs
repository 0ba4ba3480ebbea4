//! Applies of the past, for people.

use crate::report::diff;
use crate::report::json::{PastApplyRecord, PastFileRecord};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// One line for each apply, and where asked what it changed.
pub fn render(applies: &[PastApplyRecord], with_diffs: bool, paint: Paint) -> String {
    let mut table = Table::default();
    if !applies.is_empty() {
        table.row(["number", "time", "policies", "asked", "changed"]);
    }
    for apply in applies {
        let files: Vec<String> = apply.files.iter().map(changed).collect();
        table.row([
            apply.number.to_string(),
            apply.time.clone(),
            apply.policy_hash.clone().unwrap_or_default(),
            if apply.repair { "repair".to_owned() } else { apply.workload.clone().unwrap_or_default() },
            files.join(", "),
        ]);
    }
    let mut text = table.render(paint, usize::MAX);
    for apply in applies.iter().filter(|_| with_diffs) {
        text += &format!("\n{}\n", paint.bold(&format!("number {}", apply.number)));
        for file in &apply.files {
            text += &match &file.diff {
                Some(diff) => diff::coloured(diff, paint),
                None => format!("{}: edited since, so what was written is not known any more\n", file.file),
            };
        }
    }
    text
}

// `config.json +3 -3`.
fn changed(file: &PastFileRecord) -> String {
    match (file.added, file.removed) {
        (Some(added), Some(removed)) => format!("{} +{added} -{removed}", file.file),
        _ => format!("{} (edited since)", file.file),
    }
}
