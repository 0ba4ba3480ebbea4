//! What `facts` saves of a machine: enough to answer the same again elsewhere, and nothing that tells whose it is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;

use common::program::program;
use common::{boards, nvml_fake};
use serde_json::Value;
use tempfile::TempDir;
use wan22_policy::facts::file::FactsFile;
use wan22_policy::facts::probe::{Sources, gather};

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const USER: &str = "arthur-dent";

/// What a command prints on a machine with these boards.
fn run(case: &str, arguments: &[&str]) -> String {
    let output = program()
        .args(arguments)
        .arg("--no-site")
        .env("NVML_FAKE", boards(case))
        .env("CUDA_VISIBLE_DEVICES", format!("GPU-{UUID}"))
        .env("USER", USER)
        .env("HOME", format!("/home/{USER}"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn live<'a>(library: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--nvml-library", library]].concat()
}

/// The text of every file below a folder, and its name.
fn texts(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        texts.push(path.strip_prefix(folder).unwrap().display().to_string());
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// What tells this machine from others: names, addresses of its network cards, serial numbers and ids.
fn secrets() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let addresses = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let addresses = addresses.map(|card| fs::read_to_string(card.path().join("address")).unwrap_or_default());
    let ids = ["product_serial", "product_uuid", "board_serial", "chassis_serial"];
    let mut secrets: Vec<String> = ids.iter().map(|id| read(&format!("/sys/class/dmi/id/{id}"))).collect();
    secrets.extend(["/etc/machine-id", "/proc/sys/kernel/hostname"].map(read));
    secrets.extend(addresses);
    secrets.extend([UUID.to_owned(), USER.to_owned()]);
    secrets.iter_mut().for_each(|secret| *secret = secret.trim().to_owned());
    // What is that short, or the loopback's address, tells nothing.
    secrets.retain(|secret| secret.len() > 4 && secret.chars().any(|c| !"0:".contains(c)));
    secrets
}

#[test]
fn what_the_probes_saw_gives_the_same_facts_again() {
    let (library, folder) = (nvml_fake(), tempfile::tempdir().unwrap());
    for case in ["one", "none", "mig", "unified", "lost-in-mid-read", "no-permission-for-one", "impossible"] {
        let raw = folder.path().join(case);
        let raw = raw.to_str().unwrap();
        let now = run(case, &live(&library, &["facts", "--format", "json", "--raw", raw]));
        let then = run(case, &["facts", "--format", "json", "--from-raw", raw]);
        assert!(then.contains("driver"), "{then}");
        // The environment chooses on the machine alone.
        let without_choice = |text: &str| {
            let mut facts: Value = serde_json::from_str(text).unwrap();
            facts["facts"].as_object_mut().unwrap().remove("gpu");
            facts["origins"].as_object_mut().unwrap().remove("gpu.index");
            facts["findings"].as_array_mut().unwrap().retain(|finding| finding["code"] != "no-such-gpu");
            facts
        };
        assert_eq!(without_choice(&now), without_choice(&then), "{case}");
    }
}

#[test]
fn a_plan_from_a_capture_is_the_plan_of_the_machine() {
    let (library, folder) = (nvml_fake(), tempfile::tempdir().unwrap());
    for case in ["one", "none", "two-unequal", "mig", "unified", "lost-in-mid-read", "lost", "no-permission-for-one"] {
        let saved = folder.path().join(format!("{case}.yaml"));
        let saved = saved.to_str().unwrap();
        let settings = |text: &str| serde_json::from_str::<Value>(text).unwrap()["settings"].clone();
        run(case, &live(&library, &["facts", "--save", saved]));
        let now = run(case, &live(&library, &["plan", "--format", "json"]));
        let then = run(case, &["plan", "--format", "json", "--facts", saved]);
        assert_eq!(settings(&now), settings(&then), "{case}");
        assert!(settings(&then).as_object().is_some_and(|settings| settings.len() > 20), "{then}");
    }
}

#[test]
fn nothing_that_is_saved_tells_whose_machine_it_is() {
    let library = nvml_fake();
    let folder: TempDir = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    run("one", &live(&library, &["facts", "--save", &place("facts.yaml")]));
    run("two-unequal", &live(&library, &["facts", "--save", &place("wrong-uuid.yaml")]));
    run("one", &live(&library, &["facts", "--raw", &place("raw")]));
    let texts = texts(folder.path());
    assert!(texts.iter().any(|text| text.contains("NVIDIA GeForce RTX 4080")));
    for secret in secrets() {
        for text in &texts {
            assert!(!text.contains(&secret), "`{secret}` is in:\n{text}");
        }
    }
}

#[test]
fn what_the_user_named_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join(USER).join("dump.txt");
    fs::create_dir(dump.parent().unwrap()).unwrap();
    // The second card is announced and missing, which is a finding at the file's place.
    let text = "==============NVSMI LOG==============\n\nDriver Version : 570.86\nAttached GPUs : 2\n\
                GPU 00000000:01:00.0\n    Product Name : NVIDIA GeForce RTX 4080\n    FB Memory Usage\n        Total : 16376 MiB\n    Processes : None\n";
    fs::write(&dump, text).unwrap();
    let saved = run("none", &["facts", "--nvidia-smi", dump.to_str().unwrap(), "--save", "-"]);
    assert!(saved.contains("findings:\n- code") && saved.contains("RTX 4080"), "{saved}");
    assert!(!saved.contains(USER), "{saved}");
    // What was found is known again where the file is read.
    let file = folder.path().join("saved.yaml");
    fs::write(&file, &saved).unwrap();
    let again = run("none", &["facts", "--facts", file.to_str().unwrap(), "--save", "-"]);
    assert_eq!(saved, again);
}

#[test]
fn a_capture_replaces_an_older_one_as_a_whole() {
    let (library, folder) = (nvml_fake(), tempfile::tempdir().unwrap());
    let raw = folder.path().join("raw");
    let save = || run("none", &live(&library, &["facts", "--format", "json", "--raw", raw.to_str().unwrap()]));
    let first = save();
    fs::create_dir_all(raw.join("root/sys/bus/pci/devices/0000:09:00.0")).unwrap();
    fs::write(raw.join("root/sys/bus/pci/devices/0000:09:00.0/vendor"), "0x10de\n").unwrap();
    let count = |text: &str| serde_json::from_str::<Value>(text).unwrap()["facts"]["gpus"].clone();
    assert_eq!(count(&first), count(&save()));
    assert!(!raw.join("root/sys/bus/pci/devices/0000:09:00.0").exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // A part of one is none, and what is something else is left alone.
    fs::remove_dir_all(raw.join("root")).unwrap();
    let partial = program().args(["facts", "--from-raw"]).arg(&raw).output().unwrap();
    assert_eq!(partial.status.code(), Some(1));
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("thesis.tex"), "").unwrap();
    let refused = program().args(["facts", "--raw"]).arg(other.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_no_capture_is_an_error_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nvml.yaml"), "devices:\n- name: { refused: no_idea }\n").unwrap();
    fs::write(folder.path().join("sysinfo.yaml"), "schema: wan22-policy/facts/v1\nfacts: {}\n").unwrap();
    let read = |folder: &Path| {
        let output = program().args(["plan", "--from-raw"]).arg(folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = read(folder.path());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("nvml.yaml:2:") && message.contains("unknown variant `no_idea`"), "{message}");
    let (code, message) = read(&folder.path().join("nowhere"));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("name a folder that `facts --raw` wrote"), "{message}");
}

/// A wrong fact becomes a test: `facts --raw tests/probes/NAME`, and a look at the snapshot. Those named `synthetic` were
/// written by hand, in the forms that kernels and drivers write.
#[test]
fn each_saved_machine_has_its_facts() {
    insta::glob!("probes/*/nvml.yaml", |path| {
        let raw = Some(path.parent().unwrap().to_owned());
        let facts = gather(&Sources { raw, ..Sources::default() }).unwrap();
        common::assert_origins_are_declared(&path.display().to_string(), &facts);
        insta::assert_yaml_snapshot!(FactsFile::from(&facts));
    });
}
