//! What came out of a validation, for people.

use crate::report::json::{GroupRecord, GroupResult, ValidateReport};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// One line for each group.
pub fn groups(report: &ValidateReport, paint: Paint) -> String {
    let mut table = Table::default();
    for group in &report.groups {
        let result = match group.result {
            GroupResult::Pass => "pass",
            GroupResult::Fail => "fail",
            GroupResult::NotMeasured => "not measured",
        };
        table.row([group.group.clone(), result.to_owned(), detail(group, report.python.as_deref())]);
    }
    table.render(paint, usize::MAX)
}

fn detail(group: &GroupRecord, python: Option<&str>) -> String {
    let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    let of = match (group.group.as_str(), python) {
        ("syntax", Some(version)) => format!(" as Python {version} reads them"),
        ("syntax", None) => " as the newest Python reads them".to_owned(),
        _ => String::new(),
    };
    match group.result {
        GroupResult::NotMeasured => "nothing to look at".to_owned(),
        GroupResult::Pass => format!("{}{of}", files(group.files)),
        GroupResult::Fail => format!("{} of {}{of}", group.wrong, files(group.files)),
    }
}
