//! One snapshot for each machine of `tests/machines/`: every setting with the policy that gave it, and every finding.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use wan22_policy::diag::Source;
use wan22_policy::engine::{Question, evaluate};
use wan22_policy::facts::units::show;
use wan22_policy::facts::{Facts, Origin, file, workload::Workload};
use wan22_policy::plan::Plan;
use wan22_policy::policy::{LoadOptions, PolicySet, compile, load};
use wan22_policy::yaml;

static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let (files, _) = load(&LoadOptions::default()).unwrap();
    compile(&files).unwrap()
});

fn machine(path: &std::path::Path, workload: &str) -> Facts {
    let text = std::fs::read_to_string(path).unwrap();
    let mut facts = file::read(&yaml::parse(Source::new(path.display().to_string(), text)).unwrap()).unwrap();
    workload.parse::<Workload>().unwrap().record(&mut facts);
    facts.know("workload.goal", "balanced", Origin::User);
    facts
}

fn plan(facts: &Facts) -> Plan {
    let question = Question { pins: BTreeMap::new(), as_of: "2026-11-23".parse().unwrap() };
    evaluate(&POLICIES, facts, &question)
}

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
        let facts = machine(path, "ti2v-5b:1280x704x121");
        insta::assert_snapshot!(render(&plan(&facts)));
    });
}

/// The machine that the seed report describes, with the seed's two-second video.
#[test]
fn the_reference_machine_has_the_settings_of_the_seed_report() {
    insta::glob!("machines/rtx-4080-16g-128g-5995wx-*.yaml", |path| {
        let facts = machine(path, "ti2v-5b:1280x704x49");
        insta::assert_snapshot!(render(&plan(&facts)));
    });
}
