//! `validate`: whether an installation is ready, each wrong value at its line, and what `--fix` puts right.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::project::{Project, repository};
use serde_json::{Value, json};

const CONFIG: &str = r#"{
  "system": { "default_quantization": "BF16", "enable_offload": "yes", "vae_tile_size": 256 },
  "directories": { "models_directory": "models" },
  "optimization": {
    "default_quantization": "bf16",
    "vae_tile_size": 9999,
    "vae_tile_size_range": [8, 512],
    "max_vram_usage_gb": "12"
  },
  "performance": { "sample_interval_seconds": 0.5, "max_history_samples": 20.5 }
}
"#;

const SEED: &str = "tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml";

fn validate(project: &Project, more: &[&str], code: i32) -> Value {
    let asked = ["validate", "--root", "app", "--no-site", "--format", "json"];
    project.run(&[&asked[..], more].concat()).expect(code).json("validate")
}

fn configuration(project: &Project, code: i32) -> Value {
    validate(project, &["--facts", &repository(SEED), "--only", "configuration"], code)
}

// `rule: result`, by group.
fn results(report: &Value) -> Vec<String> {
    let rules = report["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| format!("{}: {}", rule["rule"].as_str().unwrap(), rule["result"].as_str().unwrap())).collect()
}

fn result(report: &Value, rule: &str) -> String {
    let all = results(report);
    let found = all.iter().find_map(|line| line.strip_prefix(&format!("{rule}: ")));
    found.unwrap_or_else(|| panic!("`{rule}` was not asked: {all:?}")).to_owned()
}

fn said(report: &Value) -> Vec<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("-").to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            let at = format!("{}:{}", finding["at"]["file"].as_str().unwrap_or("-"), finding["at"]["line"]);
            format!("{} {at}: {}; {}", text(finding, "code"), text(finding, "message"), text(finding, "help"))
        })
        .collect()
}

#[test]
fn each_wrong_value_is_named_with_what_may_stand_there() {
    let project = Project::empty();
    project.write("app/config.json", CONFIG);
    let report = configuration(&project, 3);
    assert_eq!(results(&report), ["stack-configuration: fail"]);
    insta::assert_snapshot!("validate-configuration", said(&report).join("\n"));
    // Whoever writes what is proposed has nothing left to mend.
    project.write(
        "app/config.json",
        &CONFIG
            .replace("\"BF16\"", "\"bf16\"")
            .replace("\"yes\"", "true")
            .replace("9999", "512")
            .replace("\"vae_tile_size\": 256", "\"vae_tile_size\": 512")
            .replace("[8, 512]", "[64, 512]")
            .replace("\"12\"", "12")
            .replace("0.5,", "1,")
            .replace("20.5", "21"),
    );
    assert_eq!(configuration(&project, 0)["findings"], json!([]));
}

#[test]
fn a_broken_or_missing_file_fails_and_an_unknown_stack_is_not_measured() {
    let project = Project::empty();
    project.write("app/config.json", CONFIG);
    assert_eq!(configuration(&project, 3)["groups"][0]["result"], "fail");
    project.write("app/config.json", "{\n  \"system\": {\n");
    let asked = ["validate", "--root", "app", "--no-site", "--target", "wan22-ui", "--only", "configuration"];
    let broken = project.run(&[&asked[..], &["--format", "json"]].concat()).expect(3).json("validate");
    assert_eq!(broken["findings"][0]["code"], "config-corrupt", "{broken}");
    assert_eq!(broken["findings"][0]["at"]["file"], "config.json", "{broken}");
    fs::remove_file(project.path("app/config.json")).unwrap();
    project.run(&asked).expect(3).says("is not there, and the stack needs it");
    // Not measured is never a pass, so what is critical is not ready.
    let unknown = configuration(&project, 3);
    assert_eq!(unknown["groups"][0]["result"], "not-measured", "{unknown}");
    assert_eq!(unknown["findings"][0]["code"], "stack-unknown", "{unknown}");
}

// What says that the weights of the example's model lie beside their configs.
fn weights() -> Vec<&'static str> {
    let facts = [
        "models=3",
        "models[0].file=models/Wan2.2-TI2V-5B-Diffusers/transformer/a.safetensors",
        "models[1].file=models/Wan2.2-TI2V-5B-Diffusers/vae/a.safetensors",
        "models[2].file=models/Wan2.2-TI2V-5B-Diffusers/text_encoder/a.safetensors",
        "models[0].complete=true",
        "models[1].complete=true",
        "models[2].complete=true",
        "models[0].component=dit",
        "models[1].component=vae",
        "models[2].component=text_encoder",
    ];
    facts.iter().flat_map(|fact| ["--fact", fact]).collect()
}

#[test]
fn a_healthy_installation_on_the_machine_of_the_seed() {
    let project = Project::of_example("wan22-ui");
    let facts = repository(SEED);
    // It has no weights.
    let report = validate(&project, &["--facts", &facts], 3);
    assert_eq!(result(&report, "checkpoints-are-there"), "fail");
    assert_eq!(result(&report, "parts-have-weights"), "fail");
    assert_eq!(report["verdict"]["rules"]["failed"], 2, "{report}");
    assert_eq!(report["verdict"]["ready"], false);
    // With some, nothing fails; what nobody has measured does not pass.
    let report = validate(&project, &[&["--facts", &facts][..], &weights()].concat(), 0);
    insta::assert_snapshot!("validate-healthy", results(&report).join("\n"));
    let verdict = &report["verdict"];
    assert_eq!((&verdict["ready"], &verdict["critical_score"]), (&json!(true), &json!(1.0)), "{verdict}");
    let passed = verdict["rules"]["passed"].as_f64().unwrap();
    let total = passed + verdict["rules"]["not_measured"].as_f64().unwrap();
    assert!((verdict["score"].as_f64().unwrap() - passed / total).abs() < 1e-9);
}

#[test]
fn what_was_measured_passes_or_fails_and_a_prediction_never_does() {
    let project = Project::of_example("wan22-ui");
    let seed = repository(SEED);
    let measured = |time: &str, code: i32| {
        let fact = format!("installation.video_time={time}");
        validate(&project, &["--facts", &seed, "--only", "generation", "--fact", &fact], code)
    };
    // Of five seconds, as the model makes it.
    assert_eq!(result(&measured("295 s", 0), "video-in-time"), "pass");
    let late = measured("310 s", 3);
    assert_eq!(result(&late, "video-in-time"), "fail");
    assert_eq!(late["groups"][0]["rules"][0]["figure"]["origin"], "measured");
    let unmeasured = validate(&project, &["--facts", &seed, "--only", "generation"], 3);
    let rule = &unmeasured["groups"][0]["rules"][0];
    assert_eq!((&rule["result"], &rule["figure"]["origin"]), (&json!("not-measured"), &json!("predicted")), "{rule}");
    assert!(rule["figure"]["value"].as_f64().unwrap() > 60.0, "{rule}");
    assert_eq!(unmeasured["verdict"]["score"], 0.0);
}

#[test]
fn a_broken_installation_is_named_line_by_line() {
    let project = Project::of_example("wan22-ui-broken");
    let report = validate(&project, &["--facts", &repository(SEED)], 3);
    let of_files = |line: &&String| !line.contains(" -:");
    let said: Vec<String> = said(&report).iter().filter(of_files).cloned().collect();
    insta::assert_snapshot!("validate-broken", [results(&report), said].concat().join("\n"));
}

#[test]
fn a_fix_is_shown_then_made_then_taken_back_byte_for_byte() {
    let project = Project::of_example("wan22-ui-broken");
    let files = ["config.json", "models/Wan2.2-TI2V-5B-Diffusers/vae/config.json", "main.py", "ui.py", "utils.py"];
    let bytes = || files.map(|file| project.read(&format!("app/{file}")));
    let before = bytes();
    let facts = repository(SEED);
    let shown = validate(&project, &["--facts", &facts, "--fix", "--dry-run"], 3);
    assert_eq!(bytes(), before, "a dry run writes nothing");
    assert!(!project.path("app/.wan22-policy").exists());
    let repaired = |report: &Value| {
        let repairs = report["repairs"].as_array().unwrap().iter();
        repairs.map(|repair| repair["file"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(files[..4].iter().all(|file| repaired(&shown).contains(&(*file).to_owned())), "{shown}");
    let fixed = validate(&project, &["--facts", &facts, "--fix"], 3);
    assert_eq!(repaired(&fixed), repaired(&shown));
    assert!(fixed["repairs"].as_array().unwrap().iter().all(|repair| repair["written"] == true), "{fixed}");
    let after = bytes();
    // Out of range is put where the plan has it, which is not at the bound.
    assert!(after[0].contains("\"vae_tile_size\": 384") && !after[1].contains("clip_output"), "{}", after[0]);
    // What is left is what nobody can guess; doing it again changes nothing.
    assert_eq!(result(&fixed, "vae-configuration"), "pass");
    assert!(after[2].contains("def main() -> None:") && after[3].contains("str(len(body)))"));
    assert_eq!((&after[4], fixed["left"][0]["file"].as_str()), (&before[4], Some("utils.py")));
    assert!(fixed["left"][0]["steps"].as_array().unwrap().len() > 1, "{fixed}");
    assert_eq!(validate(&project, &["--facts", &facts, "--fix"], 3)["repairs"], json!([]));
    project.run(&["rollback", "--root", "app"]).expect(0);
    assert_eq!(bytes(), before);
}

#[test]
fn a_fix_leaves_the_question_of_the_last_apply_on_record() {
    let project = Project::of_example("wan22-ui");
    let facts = repository(SEED);
    let apply = ["apply", "--root", "app", "--no-site", "--facts", &facts, "--workload", "ti2v-5b:832x480x49"];
    project.run(&apply).expect(0);
    project.edit("app/config.json", "\"vram_warning_percent\": 9", "\"vram_warning_percent\": 19");
    project.edit("app/config.json", "\"sample_interval_seconds\": ", "\"sample_interval_seconds\": 1");
    validate(&project, &["--facts", &facts, "--fix"], 3);
    // What no longer is as it was applied, and may be so, is left.
    project.run(&["verify", "--root", "app"]).says("sample_interval_seconds").expect(4);
    project.run(&["history", "--root", "app"]).expect(0).says("repair");
    // A fix in an installation where nothing was applied is no apply to compare with.
    let project = Project::of_example("wan22-ui-broken");
    validate(&project, &["--facts", &facts, "--fix"], 3);
    project.run(&["verify", "--root", "app"]).expect(1).says("nothing was applied");
}

#[test]
fn only_the_groups_that_are_asked_are_put_right() {
    let project = Project::of_example("wan22-ui-broken");
    let before = project.read("app/config.json");
    let fixed = validate(&project, &["--fix", "--only", "syntax"], 3);
    assert_eq!(fixed["repairs"].as_array().unwrap().len(), 2, "{fixed}");
    assert_eq!(project.read("app/config.json"), before);
}

#[test]
fn a_start_is_measured_and_one_that_fails_says_why() {
    let project = Project::of_example("wan22-ui");
    let start = |command: &str, code: i32| {
        let asked = ["--only", "initialisation", "--start", command, "--ready", "Running on"];
        validate(&project, &asked, code)
    };
    let started = start("python3 -B main.py --port 0", 0);
    assert_eq!(results(&started), ["starts: pass", "starts-in-time: pass"]);
    let figure = &started["groups"][0]["rules"][1]["figure"];
    assert!((0.01..30.0).contains(&figure["value"].as_f64().unwrap()), "{figure}");
    let failed = start("python3 -B main.py --prot 0", 3);
    assert_eq!(results(&failed), ["starts: fail", "starts-in-time: not-measured"]);
    assert!(said(&failed)[0].contains("unrecognized arguments: --prot"), "{failed}");
}

#[test]
fn parts_of_a_model_that_do_not_belong_together_are_named() {
    let project = Project::of_example("wan22-ui");
    let model = "app/models/Wan2.2-TI2V-5B-Diffusers";
    project.edit(&format!("{model}/transformer/config.json"), "\"out_channels\": 48", "\"out_channels\": 16");
    project.edit(&format!("{model}/transformer/config.json"), "\"text_dim\": 4096", "\"text_dim\": 1024");
    fs::remove_dir_all(project.path(&format!("{model}/tokenizer"))).unwrap();
    let report = configuration(&project, 3);
    for (rule, wanted) in [
        ("parts-are-there", "fail"),
        ("parts-are-of-their-class", "pass"),
        ("latent-channels-agree", "fail"),
        ("input-channels-agree", "pass"),
        ("text-widths-agree", "fail"),
    ] {
        assert_eq!(result(&report, rule), wanted, "{rule}");
    }
}

#[test]
fn a_part_without_a_config_is_no_part_that_agrees() {
    let model = "app/models/Wan2.2-TI2V-5B-Diffusers";
    for part in ["vae/config.json", "transformer/config.json", "scheduler/scheduler_config.json"] {
        let project = Project::of_example("wan22-ui");
        fs::remove_file(project.path(&format!("{model}/{part}"))).unwrap();
        let report = configuration(&project, 3);
        assert_eq!(result(&report, "parts-are-configured"), "fail", "{part}");
        let agrees = results(&report).contains(&"latent-channels-agree: pass".to_owned());
        assert_eq!(agrees, part.starts_with("scheduler"), "{part}");
    }
}

#[test]
fn sources_that_nobody_could_read_do_not_pass() {
    let project = Project::of_example("wan22-ui");
    let large = "# a comment of some length, so that the file is soon too large\n".repeat(80_000);
    project.write("app/main.py", &large);
    let asked = ["--facts", &repository(SEED), "--only", "syntax,components"];
    let report = validate(&project, &asked, 3);
    assert_eq!(result(&report, "entry-point-parses"), "fail");
    assert_eq!(result(&report, "sources-are-read"), "fail");
    for other in ["ui.py", "utils.py"] {
        fs::remove_file(project.path(&format!("app/{other}"))).unwrap();
    }
    assert_eq!(result(&validate(&project, &asked, 3), "sources-are-there"), "fail");
}

#[test]
fn the_config_of_another_program_is_no_model() {
    let project = Project::of_example("wan22-ui");
    let sound = configuration(&project, 0);
    let large = format!("{{ \"x\": \"{}\" }}", "x".repeat(2 << 20));
    for text in ["{ // a comment\n \"port\": 3000,\n}\n", large.as_str()] {
        project.write("app/frontend/config.json", text);
        let report = validate(&project, &["--facts", &repository(SEED), "--only", "configuration", "--fix"], 0);
        assert_eq!((results(&report), &report["findings"]), (results(&sound), &sound["findings"]));
        assert_eq!(project.read("app/frontend/config.json"), text);
    }
    // Beside weights, or where it names the class, it is one.
    for (place, text) in [("app/wan/config.json", "{"), ("app/other/config.json", "{ \"_class_name\": \"WanModel\"")] {
        let project = Project::of_example("wan22-ui");
        project.write("app/wan/diffusion_pytorch_model.safetensors", "");
        project.write(place, text);
        assert_eq!(result(&configuration(&project, 3), "vendor-configuration"), "fail", "{place}");
    }
}

#[test]
fn what_is_no_utf8_is_replaced_as_a_whole_or_not_at_all() {
    let project = Project::of_example("wan22-ui");
    let path = project.path("app/config.json");
    let text = project.read("app/config.json").replace("\"max_vram_usage_gb\": 12\n", "\"max_vram_usage_gb\": 12,\n");
    let (before, after) = text.split_once("\"outputs\"").unwrap();
    let bytes = [before.as_bytes(), b"\"Vid\xe9os\"", after.as_bytes()].concat();
    fs::write(&path, &bytes).unwrap();
    let asked = ["--facts", &repository(SEED), "--only", "configuration", "--fix", "--report", "report"];
    validate(&project, &asked, 3);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(project.read("report/report.md").starts_with("# Validation: not ready"));
}

#[test]
fn a_file_of_two_rules_is_put_right_for_one_after_the_other() {
    let project = Project::of_example("wan22-ui");
    let scheduler = "app/models/Wan2.2-TI2V-5B-Diffusers/scheduler/scheduler_config.json";
    project.write(scheduler, "{ \"_class_name\": \"UniPCMultistepScheduler\", \"shift\": 5.0 }\n");
    let rules = "validation:\n  rules:\n    - id: again\n      group: configuration\n      files: \"**/scheduler_config.json\"\n      schema: diffusers-unipc-multistep-scheduler\n      why: a test\n";
    project.write("site/85-site.yaml", rules);
    let asked = ["--facts", &repository(SEED), "--policies", "site", "--only", "configuration", "--fix"];
    let fixed = validate(&project, &asked, 0);
    assert_eq!(fixed["repairs"].as_array().unwrap().len(), 1, "{fixed}");
    assert!(project.read(scheduler).contains("\"flow_shift\": 5.0"));
}

#[test]
fn only_the_load_of_a_whole_model_is_held_against_its_goal() {
    let project = Project::of_example("wan22-ui");
    for (is_of_a_model, wanted) in [(true, "pass"), (false, "not-measured")] {
        let load = json!({
            "model": "models", "bytes": 20_u64 << 30, "bytes_read": 20_u64 << 30, "seconds": 20.0, "is_of_a_model": is_of_a_model,
            "bytes_per_second": 1_u64 << 30, "readers": 4, "time": "2026-08-01T12:00:00Z",
        });
        let record = json!({ "schema": "wan22-policy/measured/v1", "load": load });
        project.write("app/.wan22-policy/measured.json", &record.to_string());
        let seed = repository(SEED);
        let asked = [&["--facts", &seed, "--only", "models"], &weights()[..]].concat();
        assert_eq!(result(&validate(&project, &asked, 0), "model-loads-in-time"), wanted);
    }
}

#[test]
fn a_broken_config_is_restored_from_the_default() {
    let project = Project::of_example("wan22-ui");
    project.write("app/config.json", "{ \"system\": { \"default_quantization\": \"bf16\", \"enable_offload\": tr");
    let broken = project.read("app/config.json");
    let fixed = validate(&project, &["--fix", "--only", "configuration"], 0);
    assert!(
        fixed["repairs"][0]["repairs"][0]
            .as_str()
            .unwrap()
            .ends_with("the default that comes with the target is written")
    );
    assert_eq!(configuration(&project, 0)["findings"], json!([]));
    project.run(&["rollback", "--root", "app"]).expect(0);
    assert_eq!(project.read("app/config.json"), broken);
}

#[test]
fn a_slip_in_json_is_mended_and_every_other_value_stays() {
    let project = Project::of_example("wan22-ui");
    project.edit("app/config.json", "\"output_directory\": \"outputs\"", "\"output_directory\": \"/mnt/big\"");
    let sound = project.read("app/config.json");
    project.edit("app/config.json", "\"max_vram_usage_gb\": 12\n", "\"max_vram_usage_gb\": 12,\n");
    let fixed = validate(&project, &["--fix", "--only", "configuration"], 0);
    let said = &fixed["repairs"][0]["repairs"][0];
    assert_eq!(said, "the comma before an end is taken away in line 21", "{fixed}");
    assert_eq!(project.read("app/config.json"), sound);
}

#[test]
fn rules_of_a_site_are_no_matter_of_other_commands() {
    let project = Project::of_example("wan22-ui");
    let rules = "validation:\n  rules:\n    - id: never\n      group: models\n      critical: true\n      assert: 1 > 2\n      fail: it never holds\n      why: a test\n  disable: [output-folder]\n";
    project.write("site/85-site.yaml", rules);
    let facts = repository(SEED);
    let site = ["--facts", &facts, "--policies", "site"];
    let report = validate(&project, &site, 3);
    assert_eq!(result(&report, "never"), "fail");
    assert!(results(&report).iter().all(|line| !line.starts_with("output-folder")));
    project.run(&[&["plan", "--no-site"], &site[..]].concat()).expect(0);
}

#[test]
fn what_is_seen_at_error_is_refused_whatever_the_score() {
    let project = Project::of_example("wan22-ui");
    let small = ["--fact", "gpu.vram.total=2GiB", "--fact", "ram.total=6GiB"];
    let report = validate(&project, &[&["--facts", &repository(SEED)][..], &weights(), &small].concat(), 3);
    assert_eq!(result(&report, "plan-is-not-refused"), "fail");
    // Where nothing was measured nothing is ready.
    let nothing = validate(&project, &["--facts", &repository(SEED), "--only", "generation"], 3);
    assert_eq!(nothing["verdict"]["ready"], false);
}

#[test]
fn an_unknown_group_is_named_with_those_that_there_are() {
    let project = Project::of_example("wan22-ui");
    let asked = ["validate", "--root", "app", "--no-site", "--only", "sintax"];
    project.run(&asked).expect(2).says("the groups are syntax, vram,").says("did you mean `syntax`?");
    // Before anything is written.
    let project = Project::of_example("wan22-ui-broken");
    let before = project.read("app/main.py");
    let asked = ["validate", "--root", "app", "--no-site", "--fix", "--only", "syntax,sintax"];
    project.run(&asked).expect(2);
    assert_eq!(project.read("app/main.py"), before);
}

#[test]
fn rules_and_groups_are_explained_and_a_broken_one_is_no_matter_of_settings() {
    let project = Project::of_example("wan22-ui");
    let explain = |name: &str| project.run(&["explain", name, "--no-site", "--facts", &repository(SEED)]).expect(0).out;
    insta::assert_snapshot!(
        "explain-rules",
        ["vae-of-the-model", "starts-in-time", "transformer-configuration", "initialisation"].map(explain).join("\n")
    );
    project.run(&["explain", "monitoring-overhed"]).expect(2).says("did you mean `monitoring-overhead`?");
    // A rule is no finding, and is left out in another way.
    let allowed = ["validate", "--root", "app", "--no-site", "--allow", "pytorch"];
    project.run(&allowed).expect(2).says("disable: [pytorch]");
    project.write(
        "site/validate/broken.yaml",
        "validation: { rules: [{ id: broken, group: no-such-group, assert: 'true', fail: no, why: none }] }\n",
    );
    project.run(&["explain", "vae.tile_size", "--no-site", "--policies", "site"]).expect(0);
    project
        .run(&["explain", "vae-of-the-model", "--no-site", "--policies", "site"])
        .expect(3)
        .says("no group `no-such-group`");
}

#[test]
fn another_web_project_is_not_taken_for_the_ui() {
    let project = Project::empty();
    for file in ["app/backend/main.py", "app/frontend/package.json", "app/main.py", "app/core/__init__.py"] {
        project.write(file, "");
    }
    assert_eq!(validate(&project, &["--only", "components"], 3)["target"], Value::Null);
    project.write("app/backend/services/generation_service.py", "");
    assert_eq!(validate(&project, &["--only", "components"], 3)["target"], "wan22-ui");
}

#[test]
fn a_prompt_that_diffusers_cannot_clean_is_told_before_the_first_one() {
    let project = Project::of_example("wan22-ui");
    let seed = repository(SEED);
    let components = |more: &[&str], code: i32| {
        validate(&project, &[&["--facts", &seed, "--only", "components"], more].concat(), code)
    };
    assert!(results(&components(&[], 0)).iter().all(|line| !line.starts_with("ftfy")));
    let old = ["--fact", "software.diffusers=0.36.0"];
    assert_eq!(result(&components(&old, 3), "ftfy"), "fail");
    assert_eq!(result(&components(&["--workload", "i2v-a14b"], 3), "ftfy"), "fail");
    let mended = [&old[..], &["--fact", "software.ftfy=6.3.1"]].concat();
    assert_eq!(result(&components(&mended, 0), "ftfy"), "pass");
}

#[test]
fn a_transformer_alone_is_no_model_and_neither_is_a_vae() {
    let project = Project::empty();
    project.write("app/config.json", CONFIG);
    let models = |components: &[&str]| {
        let mut facts = vec![format!("models={}", components.len())];
        for (index, component) in components.iter().enumerate() {
            let part = |fact: &str, value: &str| format!("models[{index}].{fact}={value}");
            facts.extend([part("component", component), part("file", "a.safetensors"), part("complete", "true")]);
        }
        let facts: Vec<&str> = facts.iter().flat_map(|fact| ["--fact", fact]).collect();
        let seed = repository(SEED);
        let code = if components.len() == 3 { 0 } else { 3 };
        results(&validate(&project, &[&["--facts", &seed, "--only", "models"], &facts[..]].concat(), code))
    };
    assert!(models(&["vae"]).contains(&"checkpoints-are-there: fail".to_owned()));
    assert!(models(&["dit", "vae"]).contains(&"parts-of-a-run: fail".to_owned()));
    assert!(models(&["dit", "vae", "text_encoder"]).contains(&"parts-of-a-run: pass".to_owned()));
}

#[test]
fn models_on_another_disk_are_looked_at_and_never_written() {
    let project = Project::of_example("wan22-ui-broken");
    let there = project.path("disk");
    fs::rename(project.path("app/models"), &there).unwrap();
    let asked = ["--facts", &repository(SEED), "--only", "configuration"];
    let without = validate(&project, &asked, 3);
    assert!(results(&without).iter().all(|line| !line.starts_with("vae-configuration")), "{without}");
    let named = [&asked[..], &["--models", there.to_str().unwrap(), "--fix"]].concat();
    let before = project.read("disk/Wan2.2-TI2V-5B-Diffusers/vae/config.json");
    let fixed = validate(&project, &named, 3);
    assert_eq!(result(&fixed, "vae-configuration"), "pass", "an attribute that nothing reads is a warning");
    let place = dunce::canonicalize(&there).unwrap();
    let deprecated =
        fixed["findings"].as_array().unwrap().iter().find(|found| found["code"] == "config-deprecated-key");
    let file = deprecated.unwrap()["at"]["file"].as_str().unwrap();
    assert_eq!(file, format!("{}/Wan2.2-TI2V-5B-Diffusers/vae/config.json", place.display()).replace('\\', "/"));
    // Of what is not below the root nothing is changed.
    assert_eq!(fixed["repairs"].as_array().unwrap().len(), 1, "{}", fixed["repairs"]);
    assert_eq!(project.read("disk/Wan2.2-TI2V-5B-Diffusers/vae/config.json"), before);
}
