//! The log: what a run writes down, within which bounds, and what the next run says of one that was cut off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wan22_policy::log::{KEPT, MOST_BYTES};

const MACHINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml");

/// A user's home, with an installation in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(common::stack::temporary());
        fs::create_dir_all(home.path("arthur/wan")).unwrap();
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wan22-ui/config.json");
        fs::copy(config, home.path("arthur/wan/config.json")).unwrap();
        fs::copy(MACHINE, home.path("arthur/machine.yaml")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = common::program::program();
        command.args(arguments).current_dir(self.path("arthur"));
        command
            .env("HOME", self.path("arthur"))
            .env("USER", "arthur")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME");
        command.env_remove("WAN22_POLICY_LOG");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.path("arthur/.local/state/wan22-policy")
    }

    /// The lines of the newest file, each an object.
    fn lines(&self) -> Vec<Value> {
        lines(&self.folder().join("wan22-policy.jsonl"))
    }

    /// An apply that waits for its facts.
    #[cfg(unix)]
    fn waiting(&self, command: &str) -> Child {
        let pipe = self.path("arthur/pipe");
        let _ = fs::remove_file(&pipe);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let began = self.starts();
        let mut child = self
            .command(&[command, "--root", "wan", "--facts", "pipe"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while self.starts() == began {
            assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "it does not begin");
            thread::sleep(Duration::from_millis(5));
        }
        child
    }

    fn starts(&self) -> usize {
        let log = fs::read_to_string(self.folder().join("wan22-policy.jsonl")).unwrap_or_default();
        log.matches("\"event\":\"start\"").count()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_run_is_logged_from_its_start_to_its_end() {
    let home = Home::new();
    let machine = home.path("arthur/machine.yaml");
    let output = home.run(&["apply", "--root", "wan", "--facts", machine.to_str().unwrap(), "--no-site"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = home.lines();
    let of = |event: &str| {
        lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}: {lines:?}"))
    };
    assert!(lines.iter().all(|line| line["run"] == lines[0]["run"] && line["time"].is_string()), "{lines:?}");
    assert_eq!(lines[0]["event"], "start");
    assert_eq!(lines[0]["arguments"], "apply --root wan --facts ~/machine.yaml --no-site");
    assert_eq!(of("facts")["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(of("policies")["hash"].as_str().unwrap().len(), 16);
    assert_eq!((&of("applied")["entry"], &of("applied")["files"]), (&1.into(), &"config.json".into()));
    assert!(
        lines.iter().any(|line| line["event"] == "finding" && line["code"] == "more-vram-than-the-goal"),
        "{lines:?}"
    );
    assert_eq!((&lines.last().unwrap()["event"], &lines.last().unwrap()["exit"]), (&"end".into(), &0.into()));

    // It came to its end, so nobody says that it was cut off.
    assert_eq!(fs::read_dir(home.folder().join("running")).unwrap().count(), 0);
    // What stops a command, and a secret in what was typed.
    let output = home.run(&["plan", "--facts", "hf_Abcdefghijklmnop123.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = home.lines();
    let [.., error, end] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&error["event"], &end["exit"]), (&"error".into(), &1.into()));
    let text = fs::read_to_string(home.folder().join("wan22-policy.jsonl")).unwrap();
    assert!(!text.contains("bcdefghij") && !text.contains(home.0.path().to_str().unwrap()), "{text}");
}

#[test]
fn the_fingerprint_is_of_the_machine_and_not_of_the_question() {
    let home = Home::new();
    let mut seen = Vec::new();
    for more in [
        &["--workload", "ti2v-5b"][..],
        &["--workload", "t2v-a14b"],
        &["--fact", "ram.available=1GiB"],
        &["--fact", "ram.total=9GiB"],
    ] {
        home.run(&[&["plan", "--facts", "machine.yaml"], more].concat());
        seen.push(home.lines().iter().rfind(|line| line["event"] == "facts").unwrap()["fingerprint"].clone());
    }
    assert_eq!((&seen[0], &seen[0]), (&seen[1], &seen[2]));
    assert_ne!(seen[0], seen[3]);
}

#[test]
fn the_variable_moves_the_log_or_switches_it_off() {
    let home = Home::new();
    let asked = ["plan", "--facts", "machine.yaml"];
    home.command(&asked).env("WAN22_POLICY_LOG", "off").output().unwrap();
    home.command(&asked).env_remove("HOME").output().unwrap();
    assert!(!home.path("arthur/.local").exists());
    home.command(&asked).env("WAN22_POLICY_LOG", "elsewhere").output().unwrap();
    assert_eq!(lines(&home.path("arthur/elsewhere/wan22-policy.jsonl"))[0]["command"], "plan");
    home.command(&asked).env("XDG_STATE_HOME", home.path("state")).output().unwrap();
    assert_eq!(lines(&home.path("state/wan22-policy/wan22-policy.jsonl"))[0]["command"], "plan");
    assert!(!home.path("arthur/.local").exists());
}

#[test]
fn files_are_bounded_and_no_line_is_lost_between_runs() {
    let home = Home::new();
    fs::create_dir_all(home.folder()).unwrap();
    let line = "{\"run\":\"old\"}\n";
    for round in 0..KEPT + 2 {
        let full = line.repeat(MOST_BYTES as usize / line.len() + 1);
        let newest = home.folder().join("wan22-policy.jsonl");
        let mut text = fs::read_to_string(&newest).unwrap_or_default();
        text += &full;
        fs::write(&newest, text).unwrap();
        // Several runs find the file full at once.
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| home.run(&["schema", "plan"]));
            }
        });
        let files: Vec<PathBuf> = fs::read_dir(home.folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() <= KEPT, "{files:?}");
        let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in &files {
            assert!(fs::metadata(file).unwrap().len() < 2 * MOST_BYTES, "{}", file.display());
            for line in lines(file).iter().filter(|line| line["run"] != "old") {
                let event = line["event"].as_str().unwrap().to_owned();
                runs.entry(line["run"].as_str().unwrap().to_owned()).or_default().push(event);
            }
        }
        let whole = runs
            .values()
            .filter(|events| events.iter().any(|e| e == "start") && events.iter().any(|e| e == "end"))
            .count();
        assert_eq!(whole, 6 * (round + 1).min(KEPT), "round {round}: {runs:?}");
    }
}

#[test]
fn a_log_that_cannot_be_written_changes_nothing() {
    let home = Home::new();
    let run = |log: &Path| {
        let asked = ["plan", "--facts", "machine.yaml", "--as-of", common::AS_OF];
        let output = home.command(&asked).env("WAN22_POLICY_LOG", log).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), said(&output))
    };
    let off = run(Path::new("off"));
    assert_eq!(off.0, Some(0));
    let full = home.path("arthur/folder-in-place-of-the-file");
    fs::create_dir_all(full.join("wan22-policy.jsonl")).unwrap();
    for log in [home.path("arthur/machine.yaml"), home.path("arthur/machine.yaml/below"), "/proc/nowhere".into(), full]
    {
        assert_eq!(run(&log), off, "{}", log.display());
    }
    #[cfg(unix)]
    {
        let pipe = home.path("arthur/pipes");
        fs::create_dir(&pipe).unwrap();
        assert!(Command::new("mkfifo").arg(pipe.join("wan22-policy.jsonl")).status().unwrap().success());
        assert_eq!(run(&pipe), off);
    }
}

#[cfg(unix)]
#[test]
fn an_apply_that_was_killed_is_told_once() {
    let home = Home::new();
    let mut apply = home.waiting("apply");
    // While it runs nobody says anything.
    assert_eq!(said(&home.run(&["explain", "vae.tile_size", "--facts", "machine.yaml"])), "");
    apply.kill().unwrap();
    apply.wait().unwrap();
    let next = home.run(&["plan", "--facts", "machine.yaml", "--format", "json"]);
    let warning = said(&next);
    assert!(
        warning.starts_with("warning[run-cut-off]: `wan22-policy apply --root wan --facts pipe` was cut off"),
        "{warning}"
    );
    let root = home.path("arthur/wan");
    for part in ["no file is half written", &format!("rollback --root {}", root.display())] {
        assert!(warning.replace("\n", " ").contains(part), "{warning}");
    }
    common::printed("plan", &String::from_utf8(next.stdout).unwrap());
    assert_eq!(said(&home.run(&["plan", "--facts", "machine.yaml"])), "");
    assert_eq!(fs::read_dir(home.folder().join("running")).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn a_plan_that_was_killed_is_only_logged() {
    let home = Home::new();
    let mut plan = home.waiting("plan");
    plan.kill().unwrap();
    plan.wait().unwrap();
    assert_eq!(said(&home.run(&["plan", "--facts", "machine.yaml"])), "");
    let ends = home.lines().iter().filter(|line| line["event"] == "end").count();
    assert_eq!((home.starts(), ends), (2, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_that_asks_the_driver_logs_nothing() {
    let home = Home::new();
    let facts = ["facts", "--nvml-library", &common::nvml_fake(), "--no-site"];
    let output = home.command(&facts).env("NVML_FAKE", common::boards("one")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("nvml"), "{}", said(&output));
    assert_eq!(home.starts(), 1);
    home.command(&["ask-driver", &common::nvml_fake()]).env("NVML_FAKE", common::boards("one")).output().unwrap();
    assert_eq!(home.starts(), 1);
}

#[test]
fn no_test_logs_into_the_home_of_who_runs_it() {
    let mut pending = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))];
    let named = ["CARGO_BIN_EXE", "wan22-policy"].join("_");
    let mut found = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&path).unwrap().contains(&named)
            {
                found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert_eq!(found, ["program.rs", "watched.rs"], "start it with `common::program::program()`");
}

#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod traced {
    use super::*;
    use crate::common::trace::{self, Act, Kind, Moment};

    // An apply that is killed while its journal says that files change places.
    fn cut_off(home: &Home) {
        let root = home.path("arthur/wan");
        let mut names = 0;
        let command = home.command(&["apply", "--root", "wan", "--facts", "machine.yaml", "--no-site"]);
        let ended = trace::run(&command, &root, |_, call, moment| {
            let is_journal = call.kind == Kind::Name && call.path.ends_with(".wan22-policy/journal.json");
            names += usize::from(is_journal && moment == Moment::After);
            // The second one decides.
            if names == 2 { Act::Kill } else { Act::Go }
        });
        assert_eq!(ended.code, None, "{}", ended.err);
        assert!(root.join(".wan22-policy/journal.json").exists());
    }

    #[test]
    fn what_the_journal_knows_is_told_by_who_finishes_it_or_with_how_to() {
        if let Some(why) = trace::refused() {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("SKIPPED: {why}");
            return;
        }
        let home = Home::new();
        cut_off(&home);
        let report = home.command(&["doctor", "--root", "wan", "--facts", "machine.yaml", "--format", "json"]);
        let output = { report }.output().unwrap();
        let warning = said(&output).replace('\n', " ");
        assert!(
            warning.contains("run-cut-off") && warning.contains("finishes or undoes what was being written"),
            "{warning}"
        );
        let report = common::printed("doctor", &String::from_utf8(output.stdout).unwrap());
        assert_eq!(
            report["installation"]["in_flight"],
            serde_json::json!({ "operation": "apply", "files": ["config.json"] })
        );
        assert!(home.path("arthur/wan/.wan22-policy/journal.json").exists(), "doctor looks and repairs nothing");
        let failed = &report["failed"][0];
        assert_eq!(
            (failed.get("exit"), &failed["arguments"]),
            (None, &"apply --root wan --facts machine.yaml --no-site".into())
        );

        let home = Home::new();
        cut_off(&home);
        let output = home.run(&["history", "--root", "wan"]);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(
            text.contains(
                "warning[apply-in-flight]: an interrupted apply (number 1) of `config.json` has been finished"
            ),
            "{text}"
        );
        assert_eq!(said(&output), "");
    }
}
