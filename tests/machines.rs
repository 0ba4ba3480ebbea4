//! One snapshot for each machine of `tests/machines/`: every setting with the policy that gave it, and every finding.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::fmt::Write;

use common::{POLICIES, plan, read_machine};
use wan22_policy::facts::units::show;
use wan22_policy::plan::Plan;

fn render(plan: &Plan) -> String {
    let mut text = String::new();
    for (name, setting) in &plan.settings {
        let policy = setting.policy.as_ref().map_or("pinned", |policy| policy.id.as_str());
        write!(text, "{name}: {} ({policy})", show(&setting.value, setting.unit)).unwrap();
        if let Some((from, limit)) = &setting.moved {
            write!(text, ", moved from {} by {}", show(from, setting.unit), limit.id).unwrap();
        }
        text.push('\n');
    }
    for finding in &plan.findings {
        writeln!(text, "{}[{}]: {}", finding.severity, finding.code, finding.message).unwrap();
    }
    text
}

#[test]
fn every_machine_has_its_plan() {
    insta::glob!("machines/*.yaml", |path| {
        let facts = read_machine(path, "ti2v-5b:1280x704x121");
        insta::assert_snapshot!(render(&plan(&POLICIES, &facts)));
    });
}

/// The machine that the seed report describes, with the seed's two-second video.
#[test]
fn the_reference_machine_has_the_settings_of_the_seed_report() {
    insta::glob!("machines/rtx-4080-16g-128g-5995wx-*.yaml", |path| {
        let facts = read_machine(path, "ti2v-5b:1280x704x49");
        insta::assert_snapshot!(render(&plan(&POLICIES, &facts)));
    });
}
