//! The driver's side, with a library that answers as NVML does: `nvml-fake`, with the boards of `tests/nvml/*.yaml`.
//!
//! The program runs as its users run it, with `--nvml-library`, so that each case has a driver of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]
#![cfg(target_os = "linux")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::program::program;
use common::{boards, nvml_fake};
use serde_json::{Value, json};
use wan22_policy::facts::vocabulary::{FACTS, generic};

/// Facts of a GPU that NVML has no part in.
const NOT_NVML: &[(&str, &str)] = &[
    ("gpus[].memory_bandwidth", "comes from the table of cards"),
    ("gpus[].numa_node", "comes from the kernel's files"),
    ("gpus[].driver_model", "is reported by Windows alone"),
];

/// What `facts` says with these boards.
fn facts(boards: &Path, options: &[&str]) -> Value {
    let output = program()
        .args(["facts", "--format", "json", "--no-site", "--nvml-library"])
        .arg(nvml_fake())
        .args(options)
        .env("NVML_FAKE", boards)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", boards.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same, with boards that need no file of their own.
fn facts_with(boards: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, boards).unwrap();
    facts(file.path(), &[])
}

/// What the driver has a part in, without the node of each card, which this machine's kernel has.
fn of_driver(mut facts: Value) -> Value {
    let ours = |name: &str| ["gpus", "gpu.", "driver"].iter().any(|family| name.starts_with(family));
    let mut known = facts["facts"].take();
    known.as_object_mut().unwrap().retain(|name, _| ours(name));
    for gpu in known["gpus"].as_array_mut().into_iter().flatten() {
        gpu.as_object_mut().unwrap().remove("numa_node");
    }
    let mut unknown = BTreeMap::<&str, Vec<&str>>::new();
    for (name, reason) in facts["unknown"].as_object().unwrap() {
        if ours(name) && !name.ends_with("numa_node") {
            unknown.entry(reason.as_str().unwrap()).or_default().push(name);
        }
    }
    let unknown: BTreeMap<_, _> = unknown.into_iter().map(|(reason, names)| (reason, names.join(", "))).collect();
    let findings = facts["findings"].as_array().unwrap().iter();
    let findings = findings.map(|finding| [&finding["code"], &finding["message"]].map(|text| text.as_str().unwrap()));
    let findings: Vec<_> = findings
        .filter(|[code, message]| code.starts_with("gpu-") || message.contains("`gpus["))
        .map(|parts| parts.join(": "))
        .collect();
    json!({ "facts": known, "unknown": unknown, "findings": findings })
}

#[test]
fn each_driver_gives_what_it_reports_and_no_more() {
    insta::glob!("nvml/*.yaml", |boards| {
        insta::assert_yaml_snapshot!(of_driver(facts(boards, &[])));
    });
}

#[test]
fn sixteen_cards_are_sixteen() {
    let board = "- { name: Tesla V100-SXM3-32GB, memory: { total: 34359738368, reserved: 0, used: 0, free: 0 } }\n";
    let facts = facts_with(&format!("device_count: 16\ndevices:\n{}", board.repeat(16)));
    let gpus = facts["facts"]["gpus"].as_array().unwrap();
    assert_eq!(gpus.len(), 16);
    assert!(gpus.iter().all(|gpu| gpu["name"] == "Tesla V100-SXM3-32GB" && gpu["compute_capability"] == 7.0));
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    for (refused, cause) in [
        ("lib_rm_version_mismatch", "its library and its kernel module are of different versions"),
        ("driver_not_loaded", "its kernel module is not loaded"),
        ("no_permission", "no permission to talk to it"),
        ("operating_system", "the system or its control group blocks it"),
        ("gpu_is_lost", "the GPU fell off the bus"),
        ("unknown", "an internal error of the driver"),
    ] {
        let facts = facts_with(&format!("refused: {refused}"));
        assert_eq!(facts["unknown"]["driver"], format!("no NVIDIA driver answers ({cause})"));
        let codes: Vec<_> = facts["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
        assert!(codes.iter().any(|code| *code == "driver-missing" || *code == "gpu-without-driver"), "{codes:?}");
    }
}

#[test]
fn every_fact_of_the_driver_and_its_gpus_goes_through() {
    let mut known = BTreeSet::new();
    for case in ["one", "mig", "unified"] {
        let facts = facts(&boards(case), &[]);
        known.extend(facts["origins"].as_object().unwrap().keys().map(|name| generic(name)));
    }
    for spec in FACTS.iter().filter(|spec| spec.name.starts_with("gpus[].") || spec.name.starts_with("driver.")) {
        match NOT_NVML.iter().find(|(name, _)| *name == spec.name) {
            None => assert!(known.contains(spec.name), "`{}` is known on no board", spec.name),
            Some((_, why)) => assert!(!why.is_empty()),
        }
    }
}

#[test]
fn a_driver_that_hangs_is_not_waited_for() {
    is_not_waited_for("hangs: true");
}

/// Which holds the lock of the loader, for which other threads of its process wait.
#[test]
fn a_library_that_hangs_while_it_is_loaded_is_not_waited_for() {
    is_not_waited_for("loading: { hangs: true }");
}

#[test]
fn a_library_that_crashes_takes_no_other_fact_with_it() {
    for boards in ["loading: { crashes: true }", "device_count: { crashes: true }"] {
        let facts = facts_with(boards);
        assert_eq!(facts["unknown"]["driver"], "no NVIDIA driver answers (an internal error of the driver)");
        assert!(facts["facts"]["ram"]["total"].is_u64(), "the other probes answer");
    }
}

fn is_not_waited_for(boards: &str) {
    let start = Instant::now();
    let facts = facts_with(boards);
    assert!(start.elapsed() < Duration::from_secs(8), "{boards}: {:?}", start.elapsed());
    assert_eq!(facts["unknown"]["gpus"], "the NVIDIA driver did not answer in 2 s");
    assert!(facts["facts"]["ram"]["total"].is_u64(), "the other probes answer");
}

/// The process that asked the driver is not left behind, whatever it hangs in.
#[test]
fn no_process_is_left_behind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "loading: { hangs: true }").unwrap();
    facts(file.path(), &[]);
    // Its environment names the file.
    let name = file.path().to_str().unwrap().to_owned();
    let is_left = || {
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("environ")).ok());
        let of_ours = |environ: &Vec<u8>| environ.windows(name.len()).any(|part| part == name.as_bytes());
        processes.filter(of_ours).count() > 0
    };
    let start = Instant::now();
    while is_left() {
        assert!(start.elapsed() < Duration::from_secs(10), "a process is left that asks the driver");
        std::thread::yield_now();
    }
}

#[test]
fn the_user_chooses_a_card() {
    assert_eq!(facts(&boards("two-unequal"), &["--gpu-index", "0"])["facts"]["gpu"]["index"], 0);
    assert_eq!(facts(&boards("two-unequal"), &[])["facts"]["gpu"], Value::Null);
}

#[test]
fn a_library_that_is_none_is_no_driver() {
    let output = program()
        .args(["facts", "--format", "json", "--no-site", "--nvml-library", "/nowhere/libnvidia-ml.so.1"])
        .output()
        .unwrap();
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(facts["unknown"]["driver"].as_str().unwrap().contains("its library is not there"));
}

/// What `validate --only monitoring` says with these boards.
fn monitoring(boards: &str) -> Value {
    let root = tempfile::tempdir().unwrap();
    let output = program()
        .args(["validate", "--only", "monitoring", "--format", "json", "--no-site", "--root"])
        .arg(root.path())
        .arg("--nvml-library")
        .arg(nvml_fake())
        .env("NVML_FAKE", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml").join(boards))
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["groups"][0]["rules"][0].clone()
}

#[test]
fn what_watching_costs_is_measured_where_a_driver_answers() {
    let measured = monitoring("one.yaml");
    assert_eq!(
        (&measured["result"], &measured["figure"]["origin"]),
        (&json!("pass"), &json!("measured")),
        "{measured}"
    );
    let share = measured["figure"]["value"].as_f64().unwrap();
    assert!((0.000_000_1..0.05).contains(&share), "{share}");
    // Without a card there is nothing to watch, and a guess is none.
    let none = monitoring("none.yaml");
    assert_eq!(
        (&none["result"], &none["figure"]["origin"]),
        (&json!("not-measured"), &json!("not-measured")),
        "{none}"
    );
}
