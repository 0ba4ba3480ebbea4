//! What is installed in the Python of a stack: facts of this machine that change the plan, read without running anything.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::program::program;
use common::{boards, nvml_fake};
use serde_json::{Value, json};

/// Lays out a stack whose virtual environment holds these packages, and whose interpreter leaves a trace when it is run.
fn stack(root: &Path, packages: &[(&str, &str)]) {
    let venv = root.join("venv");
    let site = venv.join("lib/python3.12/site-packages");
    for (name, version) in packages {
        let info = site.join(format!("{name}-{version}.dist-info"));
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("METADATA"), format!("Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\n"))
            .unwrap();
    }
    fs::create_dir_all(site.join("torch")).unwrap();
    fs::write(site.join("torch/version.py"), "__version__ = '2.9.0+cu128'\ncuda: Optional[str] = '12.8'\n").unwrap();
    fs::write(venv.join("pyvenv.cfg"), "home = /usr/bin\nversion = 3.12.3\n").unwrap();
    fs::create_dir_all(venv.join("bin")).unwrap();
    let python = venv.join("bin/python3");
    fs::write(&python, format!("#!/bin/sh\ntouch {}\n", root.join("was-run").display())).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(root: &Path, arguments: &[&str]) -> Value {
    let output = program()
        .args(arguments)
        .args(["--format", "json", "--no-site", "--nvml-library", &nvml_fake(), "--root"])
        .arg(root)
        .env("NVML_FAKE", boards("one"))
        .env_remove("VIRTUAL_ENV")
        .env_remove("PYTHONPATH")
        .output()
        .unwrap();
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_stack_s_own_python_is_read_and_never_run() {
    let root = tempfile::tempdir().unwrap();
    let packages = [
        ("torch", "2.9.0+cu128"),
        ("diffusers", "0.35.2"),
        ("nvidia_cudnn_cu12", "9.10.2.21"),
        ("~ransformers", "4.1"),
        ("accelerate", "1.11.0"),
        ("Accelerate", "1.10.0"),
    ];
    stack(root.path(), &packages);
    let facts = run(root.path(), &["facts"]);
    let want = json!({
        "environment": "venv", "python": "3.12.3", "torch": "2.9.0+cu128", "torch_cuda": "12.8",
        "cudnn": "9.10.2.21", "diffusers": "0.35.2",
    });
    assert_eq!(facts["facts"]["software"], want);
    assert_eq!(facts["origins"]["software.torch"], "installed");
    assert!(facts["unknown"]["software.transformers"].is_string());
    assert!(facts["unknown"]["software.accelerate"].as_str().unwrap().contains("1.10.0"), "{}", facts["unknown"]);
    let codes: Vec<_> = facts["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert!(codes.contains(&&json!("fact-contradiction")), "{codes:?}");
    assert!(facts["facts"]["disk"]["total"].is_u64());
    assert!(!root.path().join("was-run").exists(), "the interpreter was run");
}

#[test]
fn what_is_installed_changes_the_plan() {
    let root = tempfile::tempdir().unwrap();
    let codes = |plan: &Value| -> Vec<String> {
        let findings = plan["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    };
    let has_trap = |plan: &Value| codes(plan).iter().any(|code| code == "torch-2-9-conv3d");
    assert!(!has_trap(&run(root.path(), &["plan"])));
    stack(root.path(), &[("torch", "2.9.0+cu128")]);
    assert!(has_trap(&run(root.path(), &["plan"])));
}

#[test]
fn a_python_that_is_not_there_is_an_error() {
    for path in ["/nowhere/python", "/etc/passwd", "tests"] {
        let output = program().args(["facts", "--python", path]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{path}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("there is no Python at `{path}`")));
    }
}
