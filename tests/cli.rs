//! The command line as people and scripts see it: help, exit codes, one run from plan to rollback, JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use wan22_policy::schema;

const MACHINE: &str = "tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml";
const CONFIG: &str = "{\r\n    \"video\": { \"tile\": 256, \"fps\": 24 },\r\n    \"cpu\": { \"threads\": 4 },\r\n    \"watch\": {}\r\n}\r\n";

/// Policies of our own in place of those that are shipped, and an installation of the stack that they know.
struct World {
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        // An empty file removes the shipped one of its name.
        let shipped = repository("policies");
        for folder in ["", "data", "models", "stacks", "targets", "validate"] {
            fs::create_dir_all(world.path("policies").join(folder)).unwrap();
            for entry in fs::read_dir(shipped.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "yaml") {
                    fs::write(world.path("policies").join(folder).join(path.file_name().unwrap()), "").unwrap();
                }
            }
        }
        for (file, name) in [
            ("10-small.yaml", "10-small.yaml"),
            ("50-limits.yaml", "50-limits.yaml"),
            ("models.yaml", "05-models.yaml"),
            ("target.yaml", "targets/test-stack.yaml"),
        ] {
            world.write(&format!("policies/{name}"), &fs::read_to_string(repository("tests/cli").join(file)).unwrap());
        }
        fs::create_dir(world.path("stack")).unwrap();
        world.write("stack/config.json", CONFIG);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command in the installation. The name of the command comes first.
    fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        let mut all = vec![command];
        let (machine, policies) = (repository(MACHINE), self.path("policies"));
        let (machine, policies) = (machine.to_str().unwrap(), policies.to_str().unwrap());
        if ["facts", "plan", "explain", "apply", "check"].contains(&command) {
            all.extend(["--policies", policies, "--allow-targets", "--no-site"]);
        }
        if ["facts", "plan", "explain", "apply"].contains(&command) && !arguments.contains(&"--facts") {
            all.extend(["--facts", machine]);
        }
        if ["plan", "explain", "apply"].contains(&command) {
            all.extend(["--as-of", "2026-08-01"]);
        }
        all.extend(arguments);
        Ran::of(program().args(all).current_dir(self.path("stack")).output().unwrap(), self)
    }
}

/// What a command printed, with the temporary directory taken out.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output, world: &World) -> Self {
        let real = fs::canonicalize(world.directory.path()).unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(real.to_str().unwrap(), "WORLD").replace(world.directory.path().to_str().unwrap(), "WORLD")
        };
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The JSON that was printed.
    #[track_caller]
    fn json(&self, format: &str) -> Value {
        common::printed(format, &self.out)
    }
}

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn program() -> Command {
    let mut command = common::program::program();
    command.env_remove("NO_COLOR").env("COLUMNS", "100");
    command
}

fn help(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_has_its_help() {
    let short = help(&["-h"]);
    let (_, list) = short.split_once("Commands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let commands: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(commands.len(), 18, "{commands:?}");
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in commands {
        insta::assert_snapshot!(format!("help-{command}"), help(&[command, "--help"]));
    }
}

#[test]
fn a_run_from_plan_to_rollback() {
    let world = World::new();
    insta::assert_snapshot!("run-1-plan", world.run("plan", &[]).expect(0).out);
    world.run("plan", &["--exit-code"]).expect(4);
    insta::assert_snapshot!("run-2-dry-run", world.run("apply", &["--dry-run"]).expect(0).out);
    assert_eq!(world.read("stack/config.json"), CONFIG);
    assert!(!world.path("stack/.wan22-policy").exists());
    world.run("verify", &[]).expect(1);

    insta::assert_snapshot!("run-3-apply", world.run("apply", &[]).expect(0).out);
    let applied = world.read("stack/config.json");
    assert_eq!(
        applied,
        CONFIG
            .replace("256", "384")
            .replace("\"threads\": 4", "\"threads\": 32")
            .replace("{}", "{\r\n        \"seconds\": 2\r\n    }"),
    );
    assert!(world.run("apply", &[]).expect(0).out.ends_with("nothing to change\n"));
    world.run("plan", &["--exit-code"]).expect(0);
    insta::assert_snapshot!("run-4-verify", world.run("verify", &[]).expect(0).out);

    let past = world.run("history", &["--diff"]).expect(0).out;
    insta::with_settings!({ filters => [(r"\d{4}-\d\d-\d\dT[\d:]+Z", "[time]"), (r"[0-9a-f]{16}", "[hash]")] }, {
        insta::assert_snapshot!("run-4-history", past);
    });

    world.write("stack/config.json", &applied.replace("384", "128"));
    insta::assert_snapshot!("run-5-drift", world.run("verify", &[]).expect(4).out);
    let drift = world.run("verify", &["--format", "json"]).expect(4).json("apply");
    assert_eq!(
        drift["drift"],
        serde_json::json!([{
            "file": "config.json", "line": 2, "column": 24, "key": "video.tile", "setting": "vae.tile_size",
            "policy": "tile-by-memory", "expected": 384, "found": 128
        }])
    );

    insta::assert_snapshot!("run-6-rollback-refused", world.run("rollback", &[]).expect(3).err);
    insta::assert_snapshot!("run-7-rollback", world.run("rollback", &["--force"]).expect(0).out);
    assert_eq!(world.read("stack/config.json"), CONFIG);
    insta::assert_snapshot!("run-8-nothing-left", world.run("rollback", &[]).expect(1).err);
}

#[test]
fn verify_asks_what_was_applied() {
    let world = World::new();
    world.run("apply", &["--set", "vae.tile_size=256", "--fact", "cpu.physical_cores=16"]).expect(0);
    assert!(world.read("stack/config.json").contains("\"threads\": 12"));
    world.run("verify", &[]).expect(0);
    // Another machine in its place gives other values.
    let drift = world.run("verify", &["--fact", "cpu.physical_cores=32"]).expect(4);
    assert!(drift.out.contains("cpu.threads is 12, the plan says 24 (`threads.intra_op` by policy"), "{}", drift.out);
    // So do other policies, and it says so.
    let policies = world.read("policies/10-small.yaml").replace("interval: 2 s", "interval: 3 s");
    world.write("policies/10-small.yaml", &policies);
    let drift = world.run("verify", &[]).expect(4).out;
    assert!(drift.contains("warning[policies-changed]") && drift.contains("watch.seconds is 2"), "{drift}");
}

#[test]
fn a_broken_or_missing_file_is_written_from_the_default_and_comes_back() {
    for broken in [Some("{ \"tile\" \"threads\""), None] {
        let world = World::new();
        let path = world.path("stack/config.json");
        match broken {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let shown = world.run("apply", &["--target", "test-stack"]).expect(0).out;
        let code = if broken.is_some() { "config-corrupt" } else { "config-default-restored" };
        assert!(shown.contains(&format!("warning[{code}]")), "{shown}");
        assert!(world.read("stack/config.json").contains("\"tile\": 384"));
        fs::remove_file(&path).unwrap();
        let drift = world.run("verify", &[]).expect(4).out;
        assert!(drift.contains("config.json: video.tile is not there, the plan says 384"), "{drift}");
        world.run("rollback", &["--force"]).expect(0);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), broken);
    }
}

#[test]
fn an_error_refuses_unless_it_is_allowed() {
    let world = World::new();
    let poor = ["--fact", "ram.total=8GiB"];
    let refused = world.run("apply", &poor).expect(3);
    insta::assert_snapshot!("refused", refused.err);
    assert!(refused.out.contains("error[enough-ram]: 8 GiB of RAM is too little"), "{}", refused.out);
    assert_eq!(world.read("stack/config.json"), CONFIG);
    world.run("plan", &poor).expect(3);
    let allowed = [&poor[..], &["--allow", "enough-ram"]].concat();
    world.run("apply", &allowed).expect(0);
    world.run("verify", &[]).expect(0);
    let unknown = world.run("plan", &["--allow", "enough-rma"]).expect(2);
    assert!(unknown.err.contains("did you mean `enough-ram`?"), "{}", unknown.err);
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let world = World::new();
    world.write("no-yaml.yaml", "facts: [");
    world.write("no-facts.yaml", "schema: wan22-policy/facts/v1\nfacts: { rma: 1 }\n");
    let file = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let cases: &[(i32, &str, &[&str])] = &[
        (1, "plan", &["--facts", "no-such-file.yaml"]),
        (1, "plan", &["--facts", &file("no-yaml.yaml")]),
        (3, "plan", &["--facts", &file("no-facts.yaml")]),
        (1, "plan", &["--policies", "no-such-directory"]),
        (1, "apply", &["--root", "no-such-directory"]),
        (2, "apply", &["--root", "../policies"]),
        (2, "apply", &["--target", "no-such-stack"]),
        (2, "plan", &["--exit-code", "--root", "../policies"]),
        (0, "plan", &["--root", "../policies"]),
        (2, "plan", &["--workload", "no-such-model"]),
        (2, "plan", &["--workload", "tiny:1x2"]),
        (2, "plan", &["--set", "vae.tile_sise=1"]),
        (2, "plan", &["--set", "vae.tile_size=2 s"]),
        (2, "plan", &["--fact", "gpu.vrm=1"]),
        (2, "plan", &["--gpu-index", "7"]),
        (2, "plan", &["--as-of", "yesterday"]),
        (2, "explain", &["vae.tile_sise"]),
        (2, "no-such-command", &[]),
    ];
    for (code, command, arguments) in cases {
        let ran = world.run(command, arguments);
        assert_eq!(ran.code, *code, "{command} {arguments:?}\n{}\n{}", ran.out, ran.err);
        assert!(*code == 0 || ran.err.contains("error"), "{command} {arguments:?}\n{}", ran.err);
    }
    let known = world.run("plan", &["--workload", "no-such-model"]).err;
    assert!(known.contains("the models are `ti2v-5b`, `tiny`"), "{known}");
}

#[test]
fn policies_are_checked() {
    let world = World::new();
    let good = world.run("check", &[]).expect(0);
    assert_eq!(good.out, "6 policies, 1 check and 1 target: no findings\n");
    world.write("policies/20-bad.yaml", "policies:\n  - id: bad\n    derive:\n      vae.tile_size: gpu.vrm\n");
    let bad = world.run("check", &[]).expect(3);
    insta::assert_snapshot!("check", bad.out);
    let found = world.run("check", &["--format", "json"]).expect(3).json("findings");
    assert_eq!(found["findings"][0]["at"]["line"], 4);
    // Every command that needs them is refused before it has a plan.
    let plan = world.run("plan", &["--format", "json"]).expect(3).json("findings");
    assert_eq!(plan["findings"], found["findings"]);
    assert!(world.run("plan", &[]).expect(3).err.contains("20-bad.yaml:4:26"));
    world.write("policies/20-bad.yaml", "policies: [");
    world.run("check", &[]).expect(1);
    // Targets name files to write, so they need to be asked for.
    let policies = world.path("policies");
    let output = program().args(["check", "--no-site", policies.to_str().unwrap()]).output().unwrap();
    assert!(Ran::of(output, &world).expect(1).out.contains("untrusted-target"));
}

#[test]
fn findings_are_taken_as_seriously_as_asked() {
    let world = World::new();
    let cards = "data:\n  gpus:\n    columns: { vram: bytes }\n    rows: [{ name: A card, vram: 24 GiB }]\n    why: a test\n    source: a test\n";
    world.write("policies/data/gpus.yaml", cards);
    world.write(
        "policies/80-box.yaml",
        "policies:\n  - id: box\n    when: gpu.vram.total >= gib(24)\n    set: { vae.tile_size: 512 }\n",
    );
    assert!(world.run("check", &[]).expect(0).out.starts_with("warning[nominal-vram]"));
    assert!(world.run("check", &["-D", "nominal-vram"]).expect(3).out.starts_with("error[nominal-vram]"));
    assert!(world.run("check", &["-A", "nominal-vram"]).expect(0).out.contains("no findings"));
    assert!(world.run("check", &["-A", "nominal-vram", "-D", "nominal-vram"]).expect(3).out.contains("1 error"));
    assert!(world.run("check", &["-D", "nominal-vrm"]).expect(2).err.contains("did you mean `nominal-vram`?"));
    let sarif = world.run("check", &["--format", "sarif"]).expect(0).out;
    let sarif: serde_sarif::sarif::Sarif = serde_json::from_str(&sarif).unwrap();
    let result = &sarif.runs[0].results.as_ref().unwrap()[0];
    assert_eq!(result.rule_id.as_deref(), Some("nominal-vram"));
    let place = result.locations.as_ref().unwrap()[0].physical_location.as_ref().unwrap();
    let region = place.region.as_ref().unwrap();
    assert_eq!((region.start_line, region.start_column, region.end_column), (Some(3), Some(11), Some(36)));
    // A file may say so of itself.
    let text = world.read("policies/80-box.yaml");
    world.write("policies/80-box.yaml", &format!("allow: {{ nominal-vram: that is what the box says }}\n{text}"));
    assert!(world.run("check", &["-D", "nominal-vram"]).expect(0).out.contains("no findings"));
    world.write("policies/80-box.yaml", &format!("allow: {{ nominal-vrm: '' }}\n{text}"));
    let wrong = world.run("check", &[]).expect(3).out;
    assert!(wrong.contains("did you mean `nominal-vram`?") && wrong.contains("without a reason"), "{wrong}");
}

#[test]
fn json_satisfies_its_schemas() {
    let world = World::new();
    let json = ["--format", "json"];
    let facts = world.run("facts", &json).expect(0).json("facts");
    assert_eq!(facts["facts"]["cpu"]["physical_cores"], 64);
    assert_eq!(facts["facts"]["gpus"][0]["vram"]["total"], 16376_i64 << 20);
    assert_eq!(facts["origins"]["gpus[0].memory_bandwidth"], "table");
    assert_eq!(facts["unknown"]["cpu.quota"], "no quota is set");

    let plan = world.run("plan", &json).expect(0).json("plan");
    let tile = &plan["settings"]["vae.tile_size"];
    assert_eq!((&tile["value"], &tile["unit"], &tile["policy"]), (&384.into(), &"px".into(), &"tile-by-memory".into()));
    assert_eq!(tile["line"], 5);
    assert_eq!(plan["settings"]["threads.intra_op"]["moved"]["from"], 48);
    assert_eq!(plan["targets"][0]["file"], "config.json");
    let elsewhere = world.run("plan", &["--format", "json", "--root", "../policies"]).expect(0).json("plan");
    assert_eq!(elsewhere["targets"], serde_json::json!([]));

    for name in [
        "vae.tile_size",
        "threads.intra_op",
        "gpu.vram.total",
        "gpus[].name",
        "undecided",
        "enough-ram",
        "monitor",
        "floor_div",
        "pool_of",
        "data.models",
        "data.left_free",
    ] {
        let explained = world.run("explain", &["--format", "json", name]).expect(0).json("explain");
        assert_eq!(explained["name"], name);
    }
    let dry = world.run("apply", &["--format", "json", "--dry-run"]).expect(0).json("apply");
    assert_eq!((&dry["files"][0]["status"], &dry["entry"]), (&"differs".into(), &Value::Null));
    let refused = world.run("apply", &["--format", "json", "--fact", "ram.total=1GiB"]).expect(3).json("apply");
    assert_eq!(refused["findings"][0]["code"], "enough-ram");
    let applied = world.run("apply", &json).expect(0).json("apply");
    assert_eq!((&applied["files"][0]["status"], &applied["entry"]), (&"written".into(), &1.into()));
    world.run("verify", &json).expect(0).json("apply");
    let past = world.run("history", &json).expect(0).json("history");
    assert_eq!(
        (&past["applies"][0]["number"], &past["applies"][0]["files"][0]["file"]),
        (&1.into(), &"config.json".into())
    );
    let rolled_back = world.run("rollback", &json).expect(0).json("apply");
    assert_eq!(rolled_back["files"][0]["status"], "restored");
}

#[test]
fn a_derivation_is_explained() {
    let world = World::new();
    let explain = |name: &str| world.run("explain", &[name]).expect(0).out;
    insta::assert_snapshot!("explain-choice", explain("vae.tile_size"));
    insta::assert_snapshot!("explain-limit", explain("threads.intra_op"));
    insta::assert_snapshot!("explain-fact", explain("gpu.vram.total"));
    insta::assert_snapshot!("explain-code", explain("undecided"));
    insta::assert_snapshot!("explain-check", explain("enough-ram"));
    insta::assert_snapshot!("explain-function", explain("pool_of"));
    insta::assert_snapshot!("explain-function-of-the-language", explain("floor_div()"));
    insta::assert_snapshot!("explain-table", explain("data.models"));
    insta::assert_snapshot!("explain-constant", explain("data.left_free"));
    for (name, meant) in [("flor_div", "floor_div"), ("left_free", "data.left_free")] {
        let near = world.run("explain", &[name]).expect(2).err;
        assert!(near.contains(&format!("did you mean `{meant}`?")), "{near}");
    }
    let pinned = world.run("explain", &["threads.intra_op", "--set", "threads.intra_op=20"]).expect(0).out;
    assert!(pinned.contains("pinned") && pinned.contains("would give 48; beaten"), "{pinned}");
    let unset = world.run("explain", &["threads.intra_op", "--fact", "cpu.physical_cores=unknown"]).expect(0).out;
    assert!(unset.contains("has no value"), "{unset}");
    assert!(unset.contains("`cpu.physical_cores` is unknown: said to be unknown"), "{unset}");
}

#[test]
fn facts_are_shown_saved_and_read_again() {
    let world = World::new();
    insta::assert_snapshot!("facts", world.run("facts", &[]).expect(0).out);
    for name in ["box.yaml", "box.json"] {
        let path = world.path(name);
        let path = path.to_str().unwrap();
        world.run("facts", &["--save", path]).expect(0);
        let again = world.run("plan", &["--facts", path]).expect(0).out;
        assert_eq!(again, world.run("plan", &[]).expect(0).out);
    }
    // In a checkout an editor is told the schema; elsewhere there is none to be told of.
    assert!(world.read("box.yaml").starts_with("schema: "));
    fs::create_dir_all(world.path("schemas")).unwrap();
    fs::create_dir_all(world.path("tests/machines")).unwrap();
    world.write("schemas/facts.schema.json", &schema::find("facts").unwrap().text());
    world.run("facts", &["--save", world.path("tests/machines/box.yaml").to_str().unwrap()]).expect(0);
    let saved = world.read("tests/machines/box.yaml");
    let rest = saved.strip_prefix("# yaml-language-server: $schema=../../schemas/facts.schema.json\n").unwrap();
    assert_eq!(rest, world.read("box.yaml"));
    let machine = world.path("tests/machines/box.yaml");
    world.run("plan", &["--facts", machine.to_str().unwrap()]).expect(0);
    // A machine may come through a pipe.
    let policies = world.path("policies");
    let mut child = program()
        .args(["plan", "--facts", "-", "--format", "json", "--allow-targets", "--policies", policies.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(world.read("box.json").as_bytes()).unwrap();
    let plan = Ran::of(child.wait_with_output().unwrap(), &world).expect(0).json("plan");
    assert_eq!(plan["settings"]["vae.tile_size"]["value"], 384);
}

#[test]
fn what_windows_saves_is_read() {
    let world = World::new();
    let text = fs::read_to_string(repository(MACHINE)).unwrap();
    let text = format!("\u{FEFF}{}", text.replace('\n', "\r\n"));
    fs::write(world.path("machine.yaml"), text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
    let machine = world.path("machine.yaml");
    let facts = |path: &Path| {
        let output = program().args(["facts", "--no-site", "--format", "json", "--facts"]).arg(path).output().unwrap();
        Ran::of(output, &world)
    };
    assert_eq!(facts(&machine).expect(0).out, facts(&repository(MACHINE)).expect(0).out);
    assert!(facts(&world.path("stack")).expect(1).err.contains("--from-raw"));
    world.write("dump.txt", "==============NVSMI LOG==============\n");
    assert!(facts(&world.path("dump.txt")).expect(3).out.contains("--nvidia-smi"));
}

#[test]
fn colours_are_for_terminals() {
    let world = World::new();
    assert!(!world.run("plan", &[]).expect(0).out.contains('\x1b'));
    assert!(world.run("plan", &["--color", "always"]).expect(0).out.contains('\x1b'));
    assert!(!world.run("plan", &["--color", "never"]).expect(0).out.contains('\x1b'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = World::new();
    let mut child = program()
        .args(["schema", "policy"])
        .current_dir(world.path("stack"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap(), &world).expect(0);
    assert_eq!(ran.err, "");
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(world.run("completions", &[shell]).expect(0).out.contains("rollback"), "{shell}");
    }
    assert!(world.run("man", &[]).expect(0).out.contains("wan22\\-policy"));
    world.run("man", &["--dir", "../man"]).expect(0);
    assert_eq!(fs::read_dir(world.path("man")).unwrap().count(), 21);
    assert_eq!(world.run("schema", &["facts"]).expect(0).out, schema::find("facts").unwrap().text());
}
