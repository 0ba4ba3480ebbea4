//! The committed reference pages are those of the tables, and the tables are true of what the probes report.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::POLICIES;
use wan22_policy::docs::PAGES;
use wan22_policy::facts::probe::{Sources, gather};

/// Set UPDATE_DOCS=1 to write the committed pages anew, and look at the difference.
#[test]
fn committed_pages_are_those_of_the_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut stale = Vec::new();
    for page in PAGES {
        let (path, text) = (folder.join(page.file), page.text(&POLICIES));
        if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
            fs::write(&path, &text).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(page.file);
        }
    }
    assert!(stale.is_empty(), "{stale:?} in docs/ differ from the tables: run the tests with UPDATE_DOCS=1");
}

#[test]
fn every_page_in_the_folder_is_generated() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(PAGES.iter().any(|page| page.file == name), "docs/{name}");
    }
}

/// Code and check, function and table: whatever a policy file can name stands on a page.
#[test]
fn everything_that_is_shipped_stands_on_a_page() {
    let pages: String = PAGES.iter().map(|page| page.text(&POLICIES)).collect();
    let checks = POLICIES.checks.iter().map(|check| format!("| `{}` |", check.id));
    let functions = POLICIES.functions.keys().map(|name| format!("| `{name}("));
    let tables = POLICIES.tables.keys().map(|name| format!("| `data.{name}` |"));
    for row in checks.chain(functions).chain(tables) {
        assert_eq!(pages.matches(&row).count(), 1, "{row}");
    }
}

#[test]
fn every_fact_comes_from_where_the_table_says() {
    common::assert_origins_are_declared("this machine", &gather(&Sources::default()).unwrap());
    for machine in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines")).unwrap() {
        let path = machine.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let facts = common::read_machine(&path, "ti2v-5b");
        common::assert_origins_are_declared(&path.display().to_string(), &facts);
    }
}
