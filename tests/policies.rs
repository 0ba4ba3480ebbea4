//! The shipped policies load without a finding, and plan every machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::path::Path;

use wan22_policy::policy::{LoadOptions, compile, load};

#[test]
fn shipped_policies_load_without_a_finding() {
    let (files, findings) = load(&LoadOptions::default()).unwrap();
    assert_eq!(findings, []);
    match compile(&files) {
        Ok(set) => assert_eq!(set.findings, []),
        Err(findings) => {
            let lines: Vec<_> = findings
                .iter()
                .map(|f| {
                    format!(
                        "{} {}: {} {:?}",
                        f.labels.first().map(|l| l.span.at().to_string()).unwrap_or_default(),
                        f.code,
                        f.message,
                        f.help
                    )
                })
                .collect();
            panic!("{}", lines.join("\n"));
        }
    }
    let _ = Path::new("");
}
