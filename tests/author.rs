//! The loop of a policy author, on a project of its own: edit, test, review, accept, and what an edit has as impact.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::fs;
use std::path::Path;

use common::program::program;
use common::project::Project;
use serde_json::Value;
use wan22_policy::lint::lint;

const SMALL: &str = "schema: wan22-policy/facts/v1
facts:
  gpus: [{ name: A, compute_capability: 8.6, vram: { total: 8188 MiB } }]
  ram: { total: 32 GiB }
";

// The layer is above the built-in ones and below a site's.
const TILES: &str = "policies:
  - id: tiles-by-size
    when: known(gpu.vram.total)
    derive:
      vae.tile_size: 'if gpu.vram.total >= gib(12) { 320 } else { 256 }'
    why: A test.
    source: estimate
";

/// One with two machines and a policy that tells them apart.
fn project() -> Project {
    let project = Project::empty();
    project.write("policies/70-tiles.yaml", TILES);
    project.write("tests/machines/small.yaml", SMALL);
    project.write("tests/machines/large.yaml", &SMALL.replace("8188", "12500"));
    project
}

/// The same, whose machines are reviewed.
fn reviewed() -> Project {
    let project = project();
    project.run(&["test", "--accept"]).expect(0);
    project
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let text = |value: &'_ Value| -> &str { Box::leak(value.as_str().unwrap().to_owned().into_boxed_str()) };
    report["machines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|machine| (text(&machine["machine"]), text(&machine["state"])))
        .collect()
}

/// The snapshot of an output; lines of the shipped policies move with every edit of theirs, and are left out.
fn assert_snapshot(name: &str, output: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(built-in\\?>/[^ :|]+\.yaml):\d+", "$1:LINE");
    settings.bind(|| insta::assert_snapshot!(name, output));
}

#[test]
fn every_state_is_told() {
    let project = project();
    project.run(&["test"]).expect(4).says("2 machines, 0 invariants: 2 new");
    project.run(&["test", "--accept"]).expect(0).says("accepted 2 snapshots").says("2 pass");
    project.run(&["test"]).expect(0).says("2 machines, 0 invariants: 2 pass");
    assert!(project.snapshot("small").starts_with("---\nsource: tests/machines.rs\n---\nti2v-5b:1280x704x121\n"));

    project.edit("policies/70-tiles.yaml", "256", "128");
    let changed = project.run(&["test"]).expect(4).says("1 pass, 1 changed");
    assert_snapshot("author-changed", &changed.out);

    // The same values from another policy.
    project.edit("policies/70-tiles.yaml", "128", "256");
    project.edit("policies/70-tiles.yaml", "tiles-by-size", "tiles");
    project.run(&["test"]).expect(4).says("2 reason changed").says("256 px (tiles-by-size) → 256 px (tiles)");
    project.edit("policies/70-tiles.yaml", "id: tiles", "id: tiles-by-size");

    fs::remove_file(project.path("tests/machines/large.yaml")).unwrap();
    project.write("tests/machines/broken.yaml", "schema: wan22-policy/facts/v1\nfacts: { ramm: 1 }\n");
    project.write("tests/machines/more.yaml", SMALL);
    let ran = project.run(&["test", "--format", "json"]).expect(3);
    assert_eq!(
        states(&ran.json("test")),
        [("broken", "error"), ("large", "orphan"), ("more", "new"), ("small", "pass")]
    );
    project.run(&["test"]).expect(3).says("tests/machines/broken.yaml:2:10").says("did you mean `ram");

    // What can be accepted is; what is broken stays broken.
    project.run(&["test", "--accept"]).expect(3).says("accepted 2 snapshots");
    assert_eq!(project.snapshot("large"), "");
    fs::remove_file(project.path("tests/machines/broken.yaml")).unwrap();
    project.run(&["test"]).expect(0);

    project.write("tests/machines/snapshots/plan@more.yaml.snap", "---\nsource: a\n---\nnot a snapshot\n");
    project.run(&["test"]).expect(3).says("line 4 is not one of a snapshot: `not a snapshot`");
    project.run(&["test", "--accept", "--machine", "more"]).expect(0);
}

#[test]
fn nothing_to_test_is_a_failure() {
    let project = reviewed();
    project
        .run(&["test", "--machine", "smal"])
        .expect(2)
        .says("there is no machine `smal`")
        .says("did you mean `small`?");
    project.run(&["test", "--accept", "--policy", "tiles-by-sise"]).expect(2).says("did you mean `tiles-by-size`?");
    project.run(&["test", "--policy", "vae-tile"]).expect(2);
    project.run(&["test", "--machines", "nowhere"]).expect(1).says("--machines");
    project.write("empty/readme.txt", "");
    project.run(&["test", "--machines", "empty"]).expect(2).says("there is no machine in `empty`");
    project.write("policies/70-tiles.yaml", "policies: [{ id: a, when: 'gpu.vrm > 1', set: { batch.size: 1 } }]\n");
    project.run(&["test"]).expect(3).says("unknown fact `gpu.vrm`");
    project.write("policies/70-tiles.yaml", "policies: [");
    project.run(&["test"]).expect(1);
}

#[test]
fn a_policy_that_fails_on_a_machine_cannot_be_accepted() {
    let project = reviewed();
    project.edit("policies/70-tiles.yaml", "else { 256 }", "else { 100 }");
    project.run(&["test"]).expect(3).says("error[setting-out-of-range]").says("(with ti2v-5b:1280x704x121)");
    let before = project.snapshot("small");
    project.run(&["test", "--accept"]).expect(3);
    assert_eq!(project.snapshot("small"), before);
}

#[test]
fn an_invariant_stands_above_the_snapshots() {
    let project = reviewed();
    let invariant = "checks:
  - id: tiles-are-small
    when: known(gpu.vram.total)
    assert: settings.vae.tile_size <= 256
    severity: error
    message: 'a tile of {settings.vae.tile_size}'
    why: A test.
";
    project.write("tests/invariants/tiles.yaml", invariant);
    let ran = project.run(&["test", "--accept"]).expect(3).says("a tile of 320 px (with ti2v-5b:1280x704x121)");
    assert!(ran.says("1 invariant").out.contains("tests/invariants/tiles.yaml:4:13"));
    assert!(!project.snapshot("large").contains("tiles-are-small"));
    project.run(&["test", "--machine", "small"]).expect(0);
    project.write("tests/invariants/tiles.yaml", "policies: [{ id: a, set: { batch.size: 1 } }]\n");
    project.run(&["test"]).expect(3).says("a file of invariants holds `checks`, not `policies`");
}

#[test]
fn one_policys_changes_are_accepted_alone() {
    let project = reviewed();
    project.edit("policies/70-tiles.yaml", "256", "128");
    project.write(
        "policies/71-batch.yaml",
        "policies: [{ id: two-at-once, set: { batch.size: 2 }, why: A test., source: estimate }]\n",
    );
    project.run(&["test", "--accept", "--policy", "two-at-once"]).expect(4).says("accepted 2 snapshots");
    let ran = project.run(&["test", "--format", "json"]).expect(4);
    let report = ran.json("test");
    let left: Vec<&Value> =
        report["machines"].as_array().unwrap().iter().flat_map(|m| m["changes"].as_array().unwrap()).collect();
    assert!(!left.is_empty() && left.iter().all(|change| change["cause"]["id"] != "two-at-once"), "{left:#?}");
    assert!(project.snapshot("small").contains("batch.size: 2 (two-at-once)"));
    assert!(project.snapshot("small").contains("vae.tile_size: 256 px (tiles-by-size)"));
    project.run(&["test", "--accept", "--machine", "large"]).expect(0);
    project.run(&["test", "--accept"]).expect(0);
    project.run(&["test"]).expect(0);
}

#[test]
fn a_review_walks_through_the_causes() {
    let project = reviewed();
    project.edit("policies/70-tiles.yaml", "256", "128");
    project.write(
        "policies/71-batch.yaml",
        "policies: [{ id: two-at-once, set: { batch.size: 2 }, why: A test., source: estimate }]\n",
    );
    // `maybe` is no answer, so it asks again; the end of the input quits.
    let quit = project.run_with(&["test", "--review", "--machine", "small"], "maybe\n").expect(4);
    quit.says("1 of 4: ").says("0 accepted, 0 rejected, 4 skipped");
    let first = project.run_with(&["test", "--review"], "w\nr\ns\ns\ns\n").expect(4);
    assert_snapshot("author-review", &first.out);
    project.write("tests/machines/more.yaml", SMALL);
    project.run_with(&["test", "--review"], "a\na\na\na\na\na\n").expect(0).says("0 rejected, 0 skipped");
    project.run(&["test"]).expect(0).says("3 pass");
    fs::remove_file(project.path("tests/machines/more.yaml")).unwrap();
    project.run_with(&["test", "--review"], "a\n").expect(0).says("which is no machine any more");
    project.run(&["test"]).expect(0).says("2 pass");
}

#[test]
fn coverage_counts_what_machines_try() {
    let project = reviewed();
    let coverage = |project: &Project| {
        let report = project.run(&["test", "--coverage", "--format", "json"]).json("test");
        report["coverage"].clone()
    };
    let find = |list: &Value, key: &str, part: &str| -> Value {
        let items = list.as_array().unwrap().iter();
        items.clone().find(|item| item[key].as_str().unwrap().contains(part)).cloned().unwrap()
    };
    let ours = |coverage: &Value| {
        let edges = coverage["boundaries"].as_array().unwrap().iter();
        edges.clone().find(|edge| edge["name"] == "gpu.vram.total" && edge["value"] == "12 GiB").cloned().unwrap()
    };
    let both = coverage(&project);
    assert_eq!(find(&both["policies"], "policy", "tiles-by-size")["machines"], 2);
    let condition = find(&both["conditions"], "condition", "gpu.vram.total >= gib(12)");
    assert_eq!((&condition["seen_true"], &condition["seen_false"]), (&1.into(), &1.into()));
    assert_eq!(ours(&both)["below"]["machine"], "small");
    assert_eq!(ours(&both)["at_or_above"]["machine"], "large");

    fs::remove_file(project.path("tests/machines/large.yaml")).unwrap();
    assert_eq!(ours(&coverage(&project))["at_or_above"], Value::Null);
    project
        .run(&["test", "--coverage"])
        .says("gpu.vram.total 12 GiB")
        .says("no machine at it or right above")
        .says("covered by 1 machines: policies ");
}

#[test]
fn an_edit_has_its_impact() {
    let project = reviewed();
    project.git(&["init", "--quiet"]);
    project.git(&["add", "."]);
    project.git(&["commit", "--quiet", "-m", "a"]);
    project.run(&["impact", "--base", "HEAD"]).expect(0).says("no policy is edited").says("0 changes on 2 machines");

    project.edit("policies/70-tiles.yaml", "gib(12)", "gib(7)");
    let ran = project.run(&["impact", "--base", "HEAD"]).expect(4);
    assert_snapshot("author-impact", &ran.out);
    let markdown = project.run(&["impact", "--base", "main", "--format", "markdown"]).expect(4);
    assert_snapshot("author-impact-markdown", &markdown.out);

    // No machine of the folder is between 9 and 10 GiB; a generated one is.
    project.edit("policies/70-tiles.yaml", "gib(7)", "gib(10)");
    let report = project.run(&["impact", "--base", "HEAD", "--format", "json"]).expect(4).json("impact");
    let changes = report["changes"].as_array().unwrap();
    let tile = changes.iter().find(|change| change["change"]["name"] == "vae.tile_size").unwrap();
    assert_eq!((&tile["change"]["before"], &tile["change"]["after"]), (&"256 px".into(), &"320 px".into()));
    assert_eq!(tile["machines"], serde_json::json!([]));
    assert_eq!(tile["change"]["cause"]["at"]["line"], 2);
    let witness: Vec<&str> = tile["witness"].as_array().unwrap().iter().map(|fact| fact.as_str().unwrap()).collect();
    assert!(witness.contains(&"gpus[0].vram.total = 10 GiB"), "{witness:?}");
    assert!(witness.len() < 4, "as few facts as possible: {witness:?}");

    // Against a directory.
    fs::rename(project.path("policies"), project.path("new")).unwrap();
    project.write("old/70-tiles.yaml", TILES);
    project.run(&["impact", "--base", "old", "--policies", "new"]).expect(4).says("tiles-by-size new/70-tiles.yaml:2");
    project.run(&["impact", "--base", "nothing", "--policies", "new"]).expect(2).says("a revision that Git knows");
}

#[test]
fn what_machines_show_is_checked() {
    let project = project();
    let found = |project: &Project, arguments: &[&str]| -> Vec<(String, String)> {
        let report = project.run(&[&["check", "--no-site", "--format", "json"], arguments].concat()).json("findings");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap().iter();
        // The shipped policies are for more machines than these two.
        let ours =
            findings.filter(|finding| finding["at"]["file"].as_str().is_some_and(|file| file.starts_with("policies/")));
        ours.map(|finding| (text(&finding["code"]), text(&finding["message"]))).collect()
    };
    project.edit("policies/70-tiles.yaml", "gib(12)", "mib(11500)");
    assert_eq!(found(&project, &[]), []);
    project.write(
        "policies/70-tiles.yaml",
        "policies:
  - id: tiles-by-size
    when: known(gpu.vram.total)
    derive:
      vae.tile_size: 'if gpu.vram.total >= mib(11500) { 256 } else { 512 }'
    why: A test.
    source: estimate
  - id: for-nobody
    when: known(cpu.vendor) && cpu.vendor == \"Nobody\"
    set: { batch.size: 2 }
    why: A test.
    source: estimate
checks:
  - id: asked-of-nobody
    when: known(cpu.vendor) && cpu.vendor == \"Nobody\"
    assert: settings.batch.size == 1
    severity: warning
    message: a
    why: A test.
  - id: of-large-ones
    when: known(gpu.vram.total)
    assert: gpu.vram.total >= mib(20100)
    severity: warning
    message: b
    why: A test.
",
    );
    project.write(
        "policies/75-higher.yaml",
        "policies:
  - id: lower
    when: known(ram.total)
    set: { monitor.interval: 1 s }
    why: A test.
    source: estimate
",
    );
    project.write(
        "policies/76-highest.yaml",
        "policies:
  - id: higher
    when: ram.total > 0
    set: { monitor.interval: 3 s }
    why: A test.
    source: estimate
",
    );
    let findings = found(&project, &[]);
    let codes: Vec<&str> = findings.iter().map(|(code, _)| code.as_str()).collect();
    for code in
        ["check-always-fails", "check-never-asked", "not-monotone", "policy-always-beaten", "policy-never-matches"]
    {
        assert!(codes.contains(&code), "{code} in {findings:#?}");
    }
    let (_, message) = findings.iter().find(|(code, _)| code == "not-monotone").unwrap();
    // As close as two sizes are.
    assert!(
        message.starts_with("more VRAM makes `vae.tile_size` worse: 384 px with 11499 MiB, 256 px with 11500 MiB"),
        "{message}"
    );
    let (_, message) = findings.iter().find(|(code, _)| code == "policy-never-matches").unwrap();
    assert_eq!(message, "policy `for-nobody` matches none of 2 machines");
    assert_eq!(found(&project, &["--no-machines"]), []);
    project.edit("policies/70-tiles.yaml", "checks:", "allow: { not-monotone: A test of it. }\nchecks:");
    assert!(found(&project, &[]).iter().all(|(code, _)| code != "not-monotone" && code != "unused-allow"));
    assert_eq!(found(&project, &["--no-machines"]), []);
    project.run(&["check", "--machines", "policies"]).expect(2).says("there is no machine in `policies`");
}

/// Over all machines: no entry that never counts, and more VRAM, RAM or cores never makes a setting worse.
#[test]
fn the_machines_have_nothing_against_the_shipped_policies() {
    assert_eq!(lint(&common::POLICIES, Some((&common::CORPUS, common::AS_OF.parse().unwrap()))), []);
}

/// The project's own machines, as the command sees them.
#[test]
fn the_shipped_policies_say_what_was_reviewed() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = program().args(["test", "--as-of", common::AS_OF]).current_dir(repository).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{out}");
}
