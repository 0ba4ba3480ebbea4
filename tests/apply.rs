//! Installations before and after: `tests/apply/<case>/before` becomes `after`, stays so, and comes back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

#[path = "common/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde::Deserialize;

/// `case.yaml`: the machine and what is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows.
    note: String,
    /// A machine of `tests/machines/`.
    machine: String,
    /// Further arguments of `apply`.
    arguments: Vec<String>,
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

// Names and bytes of every file, but for what the program remembers.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            files.insert(name, fs::read(&path).unwrap());
        } else {
            assert_eq!(name, ".wan22-policy", "a stray folder");
        }
    }
    files
}

fn run(command: &str, root: &Path, arguments: &[String]) -> Output {
    let mut run = program::program();
    run.arg(command).arg("--root").arg(root).args(arguments);
    // The policies of the machine that the test runs on must not count.
    run.env("XDG_CONFIG_HOME", root.join("no-such-folder")).output().unwrap()
}

fn expect(output: &Output, code: i32, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{what}\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn every_case_goes_there_and_back() {
    let update = std::env::var_os("UPDATE_APPLY").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(repository("tests/apply")).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10);
    for directory in cases {
        let case: Case = serde_yaml::from_str(&fs::read_to_string(directory.join("case.yaml")).unwrap()).unwrap();
        let what = format!("{}: {}", directory.display(), case.note);
        let before = tree(&directory.join("before"));
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in &before {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        let machine = repository(&format!("tests/machines/{}.yaml", case.machine));
        let mut arguments = vec!["--facts".to_owned(), machine.to_str().unwrap().to_owned(), "--no-site".to_owned()];
        arguments.extend(case.arguments);

        let dry: Vec<String> = arguments.iter().cloned().chain(["--dry-run".to_owned()]).collect();
        expect(&run("apply", root.path(), &dry), 0, &what);
        assert_eq!(tree(root.path()), before, "{what}: --dry-run wrote");

        expect(&run("apply", root.path(), &arguments), 0, &what);
        let applied = tree(root.path());
        if update {
            let after = directory.join("after");
            let _ = fs::remove_dir_all(&after);
            fs::create_dir(&after).unwrap();
            for (name, bytes) in &applied {
                fs::write(after.join(name), bytes).unwrap();
            }
        }
        let after = tree(&directory.join("after"));
        for (name, bytes) in &after {
            let (got, want) = (applied.get(name).map(|b| String::from_utf8_lossy(b)), String::from_utf8_lossy(bytes));
            assert_eq!(got.as_deref(), Some(want.as_ref()), "{what}: {name}");
        }
        assert_eq!(applied.len(), after.len(), "{what}");

        expect(&run("apply", root.path(), &arguments), 0, &what);
        assert_eq!(tree(root.path()), applied, "{what}: a second apply changed something");
        expect(&run("verify", root.path(), &[]), 0, &what);
        if applied != before {
            expect(&run("rollback", root.path(), &[]), 0, &what);
        }
        assert_eq!(tree(root.path()), before, "{what}: rollback");
    }
}

/// Configs of real installations, where they are at hand: what is not ours keeps every byte.
#[test]
fn real_configs_keep_what_is_not_ours() {
    let folder = repository("../shared/reference/wan22-ui");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no configs of real installations in {}", folder.display());
        return;
    };
    let machine = repository("tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml").to_str().unwrap().to_owned();
    let arguments = [
        "--facts".to_owned(),
        machine,
        "--workload".to_owned(),
        "ti2v-5b:1280x704x49".to_owned(),
        "--no-site".to_owned(),
    ];
    let configs =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    for config in configs {
        let what = config.display().to_string();
        let root = tempfile::tempdir().unwrap();
        let before = fs::read(&config).unwrap();
        fs::write(root.path().join("config.json"), &before).unwrap();
        expect(&run("apply", root.path(), &arguments), 0, &what);
        let after = fs::read(root.path().join("config.json")).unwrap();
        assert_ne!(after, before, "{what}");
        // A line that holds no key of ours stands there as it was, line end and all.
        let (old, new) = (String::from_utf8_lossy(&before), String::from_utf8_lossy(&after));
        let new: Vec<&str> = new.split_inclusive('\n').collect();
        let untouched = [
            "\"max_queue_size\"",
            "\"output_directory\"",
            "\"t2v_model\"",
            "\"default_fps\"",
            "\"cors_origins\"",
            "\"secret_key\"",
            "\"auto_launch\"",
        ];
        for line in old.split_inclusive('\n').filter(|line| untouched.iter().any(|key| line.contains(key))) {
            assert!(new.contains(&line), "{what}: {line:?}");
        }
        assert_eq!(old.matches("\r\n").count() > 0, new.concat().matches("\r\n").count() > 0, "{what}");
        expect(&run("verify", root.path(), &[]), 0, &what);
        expect(&run("rollback", root.path(), &[]), 0, &what);
        assert_eq!(fs::read(root.path().join("config.json")).unwrap(), before, "{what}");
    }
}
