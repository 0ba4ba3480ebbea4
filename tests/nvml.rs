//! The driver's side, with a library that answers as NVML does.
//!
//! It is built with `cc`; where there is none the tests say so and pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use wan22_policy::facts::Facts;
use wan22_policy::facts::probe::{Sources, gather, nvml};

/// Builds the library; the folder that holds it goes with the first value.
fn library(options: &[&str]) -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = folder.path().join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml/fake.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).args(options).arg(source).output();
    match built {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some((folder, library))
        }
        Err(error) => {
            eprintln!("SKIPPED: no C compiler ({error})");
            None
        }
    }
}

fn assert_known(facts: &Facts, wanted: &[(&str, Value)]) {
    for (name, value) in wanted {
        assert_eq!(facts.value(name), Some(value), "{name}: {}", facts.reason(name));
    }
}

#[test]
fn every_card_gives_what_it_reports_and_no_more() {
    let Some((_folder, library)) = library(&[]) else { return };
    let facts = gather(&Sources { nvml_library: Some(library), gpu_index: Some(3), ..Sources::default() }).unwrap();
    assert_known(
        &facts,
        &[
            ("driver.version", json!("580.95.05")),
            ("driver.cuda", json!("13.1")),
            ("gpus", json!(4)),
            ("gpu.index", json!(3)),
            ("gpus[0].name", json!("NVIDIA GeForce RTX 4080")),
            ("gpus[0].architecture", json!("Ada Lovelace")),
            ("gpus[0].compute_capability", json!(8.9)),
            ("gpus[0].pci_device_id", json!("270410DE")),
            ("gpus[0].vram.total", json!(16376_u64 << 20)),
            ("gpus[0].vram.reserved", json!(434_u64 << 20)),
            ("gpus[0].vram.used", json!(594_u64 << 20)),
            ("gpus[0].vram.free", json!(15348_u64 << 20)),
            ("gpus[0].vram.unified", json!(false)),
            ("gpus[0].pcie.generation", json!(1)),
            ("gpus[0].pcie.width", json!(8)),
            ("gpus[0].pcie.generation_max", json!(4)),
            ("gpus[0].pcie.width_max", json!(16)),
            ("gpus[0].power.limit", json!(320.5)),
            ("gpus[0].power.limit_default", json!(320.0)),
            ("gpus[0].power.limit_min", json!(150.0)),
            ("gpus[0].power.limit_max", json!(400.0)),
            ("gpus[0].power.draw", json!(25.92)),
            ("gpus[0].temperature.current", json!(43)),
            ("gpus[0].temperature.shutdown", json!(101)),
            ("gpus[0].temperature.slowdown", json!(96)),
            ("gpus[0].temperature.max_operating", json!(90)),
            ("gpus[0].temperature.target", json!(84)),
            ("gpus[0].utilization", json!(0.65)),
            ("gpus[0].throttle_reasons", json!("idle, sw_power_cap")),
            ("gpus[0].performance_state", json!(8)),
            ("gpus[0].mig.enabled", json!(false)),
            ("gpus[0].mig.instances", json!([])),
            ("gpus[0].display.attached", json!(true)),
            ("gpus[0].display.active", json!(false)),
            ("gpus[0].compute_mode", json!("Exclusive_Process")),
            ("gpus[0].persistence_mode", json!(true)),
            ("gpus[1].compute_capability", json!(12.1)),
            ("gpus[1].vram.unified", json!(true)),
            ("gpus[3].mig.enabled", json!(true)),
            ("gpus[3].mig.instances", json!([10_u64 << 30, 12_u64 << 30])),
        ],
    );
    for (name, reason) in [
        ("gpus[0].ecc.enabled", "the driver is too old to report it"),
        ("gpus[1].architecture", "the driver says 77, which this program does not know"),
        ("gpus[1].vram.total", "unified memory: the card shares the RAM"),
        ("gpus[1].power.limit_max", "the driver does not report it for this card"),
        ("gpus[2].name", "the GPU fell off the bus"),
    ] {
        assert_eq!((facts.value(name), facts.reason(name)), (None, reason), "{name}");
    }
    let lost: Vec<_> = facts.findings.iter().filter(|finding| finding.code.as_str() == "gpu-lost").collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].message, "`gpus[2]` does not answer: the GPU fell off the bus");
}

#[test]
fn a_driver_that_fails_says_why() {
    for (code, cause) in [
        ("18", "its library and its kernel module are of different versions"),
        ("9", "its kernel module is not loaded"),
        ("4", "no permission to talk to it"),
        ("999", "an internal error of the driver"),
    ] {
        let Some((_folder, library)) = library(&[&format!("-DINIT={code}")]) else { return };
        let facts = nvml::probe(Some(&library));
        let want = format!("no NVIDIA driver answers ({cause})");
        assert_eq!(facts.reason("driver.version"), want);
    }
}

#[test]
fn a_driver_that_hangs_is_not_waited_for() {
    let Some((_folder, library)) = library(&["-DHANG"]) else { return };
    let start = Instant::now();
    let facts = gather(&Sources { nvml_library: Some(library), ..Sources::default() }).unwrap();
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(facts.reason("gpu.vram.total"), "the NVIDIA driver did not answer in 2 s");
    assert!(facts.value("ram.total").is_some());
}
