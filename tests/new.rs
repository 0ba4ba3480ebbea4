//! What an author begins with: `new machine` and `new policy`, until `check` and `test` have nothing more to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use common::program::program;
use common::project::{Project, Ran};
use common::{boards, nvml_fake};

const DUMP: &str = "==NVSMI LOG==\nDriver Version : 570.86.10\nCUDA Version : 12.8\nAttached GPUs : 1\n\
                    GPU 00000000:01:00.0\n    Product Name : NVIDIA L4\n    FB Memory Usage\n        \
                    Total : 23034 MiB\n        Reserved : 459 MiB\n        Used : 1 MiB\n        Free : 22574 MiB\n    \
                    Processes : None\n";

/// What a command says of placeholders.
fn unwritten(ran: &Ran) -> usize {
    [&ran.out, &ran.err].iter().map(|text| text.matches("warning[to-fill-in]").count()).sum()
}

#[test]
fn a_machine_from_a_dump_is_tested_once_it_is_filled_in() {
    let project = Project::empty();
    project.write("dump.txt", DUMP);
    let new = ["new", "machine", "--nvidia-smi", "dump.txt"];
    project.run(&new).expect(0).says("tests/machines/l4-23g.yaml is written").says("wan22-policy schema facts >");
    let name = "tests/machines/l4-23g.yaml";
    let text = project.read(name);
    let head = "# yaml-language-server: $schema=./facts.schema.json\n# NVIDIA L4 (22.49 GiB).\nschema: wan22-policy/facts/v1\n\
                source: >-\n  Read from dump.txt on ";
    assert!(text.starts_with(head), "{text}");
    assert!(!text.contains("compute_capability"), "the table of cards is asked each time");
    let plan = project.run(&["plan", "--no-site", "--facts", name]);
    plan.says("run-on-the-gpu");
    assert_eq!(unwritten(&project.run(&["check"]).expect(0)), 1);
    project.run(&["check", "-D", "to-fill-in"]).expect(3).says("the `source` of the machine is still to be written");
    let (before, after) = text.split_once("  TODO: what is special").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    project.write(name, &format!("{before}  A server of a cloud, without its CPU.\n{after}"));
    assert_eq!(unwritten(&project.run(&["check"]).expect(0)), 0);
    project.run(&["test"]).expect(4).says("new: l4-23g");
    project.run(&["test", "--accept"]).expect(0);
}

#[test]
fn a_machine_is_named_or_named_by_its_facts() {
    let project = Project::empty();
    let card = ["--fact", "gpus[0].name=NVIDIA GeForce RTX 5090", "--fact", "gpus[0].vram.total=32607MiB"];
    let new =
        |more: &[&str]| project.run(&[&["new", "machine", "--fact", "ram.total=96GiB"], &card[..], more].concat());
    new(&["--print"]).expect(0).says("TODO: where these come from: gpus, gpus[0].name, gpus[0].vram.total, ram.total.");
    new(&["our-box"]).expect(0).says("tests/machines/our-box.yaml is written");
    let text = project.read("tests/machines/our-box.yaml");
    new(&["our-box"]).expect(2).says("is there already");
    assert_eq!(project.read("tests/machines/our-box.yaml"), text, "nothing is overwritten");
    let elsewhere = new(&["--elsewhere", "--print"]).expect(0).out;
    assert!(elsewhere.contains("Described by hand on ") && !elsewhere.contains("cpu:"), "{elsewhere}");
    new(&["../our-box"]).expect(2).says("is no name for a file");
    new(&["x", "--machines", "boxes"]).expect(0).says("boxes/x.yaml is written");
}

#[test]
#[cfg(target_os = "linux")]
fn a_card_of_another_name_is_another_card() {
    let project = Project::empty();
    let (library, boards) = (nvml_fake(), boards("one"));
    let facts = |overrides: &[&str]| {
        let mut command = program();
        command.args(["new", "machine", "--print", "--nvml-library", &library]).env("NVML_FAKE", &boards);
        for fact in overrides {
            command.args(["--fact", fact]);
        }
        let output = command.current_dir(project.path("")).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        serde_yaml::from_str::<serde_json::Value>(&text).unwrap()["facts"]["gpus"][0].clone()
    };
    let real = facts(&[]);
    assert!(real["power"]["limit"].is_number() && real["vram"]["total"] == "16376 MiB", "{real}");
    let other = facts(&["gpu.vram.total=8188MiB", "gpu.name=NVIDIA GeForce RTX 4060"]);
    assert_eq!(other["name"], "NVIDIA GeForce RTX 4060");
    assert_eq!(other["vram"]["total"], "8188 MiB");
    assert!(real["compute_capability"].is_number() && other["compute_capability"].is_null(), "{other}");
    assert!(other["power"].is_null() && other["pci_device_id"].is_null(), "{other}");
    let same = facts(&[&format!("gpu.name={}", real["name"].as_str().unwrap())]);
    assert_eq!(same["power"], real["power"]);
}

#[test]
fn a_policy_begins_with_what_the_machine_has() {
    let project = Project::empty();
    project.write("l4.txt", DUMP);
    let machine = ["--nvidia-smi", "l4.txt"];
    let new = |arguments: &[&str]| project.run(&[&["new", "policy"], arguments, &machine[..]].concat());
    new(&["small-tiles", "vae.tile_size", "monitor.interval"])
        .expect(0)
        .says("policies/80-small-tiles.yaml is written");
    let name = "policies/80-small-tiles.yaml";
    insta::assert_snapshot!("new-policy", project.read(name));
    assert_eq!(unwritten(&project.run(&["check"]).expect(0)), 2);
    project.run(&[&["plan"], &machine[..], &["--policies", "policies", "--no-site"]].concat()).says("small-tiles");

    new(&["small-tiles", "vae.tile_size", "--layer", "41"]).expect(3).says("error[duplicate-id]");
    new(&["vae-tile", "vae.tile_size"]).expect(3).says("error[duplicate-id]");
    new(&["Small", "vae.tile_size"]).expect(3).says("is not kebab-case");
    new(&["small", "vae.tile_sise"]).expect(2).says("did you mean `vae.tile_size`?");
    new(&["small"]).expect(2).says("<SETTING>");
    assert_eq!(std::fs::read_dir(project.path("policies")).unwrap().count(), 1, "nothing else was written");
    new(&["quirk", "vae.tile_size", "--layer", "41", "--print"]).expect(0).says("  - id: quirk");

    project.edit(name, "TODO: what this file is for", "Smaller tiles");
    project.edit(name, "TODO: why these values are right there", "People look at the seams");
    project.edit(name, "TODO: a link, a measurement with machine, date and version, or the word estimate", "estimate");
    assert_eq!(unwritten(&project.run(&["check"]).expect(0)), 0);
}

#[test]
fn every_setting_has_a_value_to_begin_with() {
    let project = Project::empty();
    let settings: Vec<&str> = wan22_policy::settings::SETTINGS.iter().map(|spec| spec.name.as_str()).collect();
    for machine in ["--fact=gpus=0", "--fact=gpu.vram.total=24564MiB"] {
        let folder = machine.len().to_string();
        let new = [&["new", "policy", "all", "--policies", &folder, machine][..], &settings].concat();
        project.run(&new).expect(0);
        project.run(&["check", &folder, "--no-machines", "--no-site"]).expect(0);
    }
}
