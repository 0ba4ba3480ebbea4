//! The committed reference pages are those of the tables, and the tables are true of what the probes report.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use wan22_policy::docs;
use wan22_policy::facts::probe::{Sources, gather};

/// Set UPDATE_DOCS=1 to write the committed pages anew, and look at the difference.
#[test]
fn committed_pages_are_those_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/facts.md");
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, docs::facts()).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == docs::facts(), "docs/facts.md differs from the table: run the tests with UPDATE_DOCS=1");
}

#[test]
fn every_fact_comes_from_where_the_table_says() {
    common::assert_origins_are_declared("this machine", &gather(&Sources::default()).unwrap());
    for machine in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines")).unwrap() {
        let path = machine.unwrap().path();
        let facts = common::read_machine(&path, "ti2v-5b");
        common::assert_origins_are_declared(&path.display().to_string(), &facts);
    }
}
