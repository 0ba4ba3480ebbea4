//! Policy files, good and bad: good ones load silently, each bad one gives exactly the finding it is named for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{REFERENCE, machine, question};
use wan22_policy::diag::Finding;
use wan22_policy::engine::evaluate;
use wan22_policy::lint::lint;
use wan22_policy::plan::{Origin, Plan};
use wan22_policy::policy::{LoadError, LoadOptions, What, compile, load};
use wan22_policy::report::findings::render;
use wan22_policy::report::paint::Paint;
use wan22_policy::settings::SETTINGS;

fn options(directory: Option<&Path>) -> LoadOptions {
    let directories = directory.map(Path::to_path_buf).into_iter().collect();
    LoadOptions { directories, what: What::All, ..LoadOptions::default() }
}

// The plan of the reference machine, or what stops it from being made.
fn plan(directory: Option<&Path>) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let (files, mut warnings) = load(&options(directory)).map_err(|error| match error {
        LoadError::Invalid(findings) => findings,
        unreadable => panic!("{unreadable}"),
    })?;
    let set = compile(&files)?;
    warnings.extend(lint(&set, None));
    let pins = BTreeMap::from([(SETTINGS.index("batch.size").unwrap(), 8.into())]);
    let pinned = directory.is_some_and(|d| d.ends_with("pin-breaks-limit"));
    let pins = if pinned { pins } else { BTreeMap::new() };
    Ok((evaluate(&set, &machine(REFERENCE, "ti2v-5b:1280x704x49"), &question(pins)), warnings))
}

#[test]
fn shipped_policies_load_without_a_finding() {
    let (files, findings) = load(&options(None)).unwrap();
    assert_eq!(findings, []);
    let set = compile(&files).unwrap();
    assert_eq!(lint(&set, None), []);
}

#[test]
fn every_form_of_a_policy_loads_without_a_finding() {
    let (plan, warnings) = plan(Some(Path::new("tests/policies/good"))).unwrap();
    assert_eq!(warnings, []);
    let value = |name: &str| plan.settings[name].value.clone();
    assert_eq!(value("monitor.interval"), 0.5);
    assert_eq!(value("memory.reserve"), 1_i64 << 30);
    assert_eq!(value("batch.size"), 2);
    assert_eq!(value("attention.slicing"), false);
    assert_eq!(value("threads.workers"), 7);
    assert_eq!(plan.settings["threads.workers"].origin, Origin::Pin, "layer 90 is the user's");
    assert_eq!(value("vae.tile_overlap"), 32, "a limit moves a number");
    assert!(!plan.settings.contains_key("objective.vram"), "`disable` switches a lower layer's policy off");
}

#[test]
fn each_bad_policy_gives_the_finding_it_is_named_for() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir("tests/policies/bad").unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 25);
    for directory in cases {
        let code = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let findings = match plan(Some(&directory)) {
            Ok((plan, warnings)) => warnings.into_iter().chain(plan.findings).collect(),
            Err(findings) => findings,
        };
        // What the shipped policies have to say of the machine is not the case's concern, except for the findings that
        // point at several places.
        let ours = |finding: &&Finding| {
            finding.code.as_str() == code
                || finding.labels.iter().any(|label| label.span.source.name.starts_with("tests/policies/bad"))
        };
        let ours: Vec<&Finding> = findings.iter().filter(ours).collect();
        assert!(!ours.is_empty(), "{code}: no finding");
        assert!(ours.iter().all(|finding| finding.code.as_str() == code), "{code}: {ours:#?}");
        let ours: Vec<Finding> = ours.into_iter().cloned().collect();
        insta::assert_snapshot!(code, render(&ours, Paint::default()));
    }
}

/// Only root has something to lose to a file that others may write; others see that the mode is of no matter to them.
#[cfg(unix)]
#[test]
fn root_refuses_policies_that_others_may_write() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("85-site.yaml");
    std::fs::write(&file, "policies: []\n").unwrap();
    let root = std::fs::metadata(&file).unwrap().uid() == 0;
    for (mode, open) in [(0o644, false), (0o664, true), (0o646, true)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let (_, findings) = load(&options(Some(directory.path()))).unwrap();
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, if root && open { vec!["untrusted-policy"] } else { vec![] }, "{mode:o}");
    }
}

/// A function does not use up the variable that it is given.
#[test]
fn a_closure_may_pass_its_variable_on_again() {
    let directory = tempfile::tempdir().unwrap();
    let text = "functions:
  is_small: { parameters: { n: count }, returns: bool, expression: n < 3, why: x }
  stays: { parameters: { s: data.strategies }, returns: bool, expression: 's.dit == \"none\"', why: x }
policies:
  - id: twice
    when: '[1, 2].all(|n| is_small(n) && is_small(n)) && data.strategies.some(|s| stays(s) && stays(s) && s.quant == \"none\")'
    set: { batch.size: 2 }
";
    std::fs::write(directory.path().join("85-site.yaml"), text).unwrap();
    let (plan, _) = plan(Some(directory.path())).unwrap();
    assert_eq!(plan.settings["batch.size"].value, 2);
}

/// A policy file from a stranger cannot crash or stall the program.
#[test]
fn hostile_policies_end_in_a_finding() {
    let directory = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        std::fs::write(directory.path().join("85-site.yaml"), text).unwrap();
        match plan(Some(directory.path())) {
            Ok((plan, _)) => plan.findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("\n"),
            Err(findings) => findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("\n"),
        }
    };
    let mut chain =
        "functions:\n  f0: { parameters: { a: count }, returns: count, expression: a, why: x }\n".to_owned();
    for i in 1..2000 {
        chain +=
            &format!("  f{i}: {{ parameters: {{ a: count }}, returns: count, expression: f{}(a), why: x }}\n", i - 1);
    }
    assert!(run(&chain).contains("more than 64 deep"));

    let by_name =
        "functions:\n  ff: { parameters: { a: count }, returns: count, expression: '[a].map(\"ff\").len()', why: x }\n";
    assert!(run(by_name).contains("takes a closure"));

    let ones = ["1"; 16_000].join(",");
    let sums = ["sum(data.b)"; 12].join(" + ");
    let heavy = format!(
        "data:\n  b: {{ value: [{ones}], why: x, source: x }}\npolicies:\n  - id: heavy\n    when: 'data.b.all(|x| {sums} > 0)'\n    set: {{ batch.size: 1 }}\n"
    );
    assert!(run(&heavy).contains("too much work"));
}
