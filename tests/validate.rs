//! `validate --only configuration`: every value that a stack does not take, at its line, with what may stand there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::project::Project;
use serde_json::Value;

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

fn validate(project: &Project, code: i32) -> Value {
    let asked = ["validate", "--root", "app", "--no-site", "--only", "configuration", "--format", "json"];
    project.run(&asked).expect(code).json("validate")
}

#[test]
fn each_wrong_value_is_named_with_what_may_stand_there() {
    let project = Project::empty();
    project.write("app/config.json", CONFIG);
    let report = validate(&project, 3);
    let group = serde_json::json!([{"group": "configuration", "result": "fail", "files": 1, "wrong": 1}]);
    assert_eq!(report["groups"], group);
    let said: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
            format!("{} {}: {}; {}", text("code"), finding["at"]["line"], text("message"), text("help"))
        })
        .collect();
    insta::assert_snapshot!("validate-configuration", said.join("\n"));
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
    assert_eq!(validate(&project, 0)["findings"], serde_json::json!([]));
}

#[test]
fn a_broken_or_missing_file_fails_and_an_unknown_stack_is_not_measured() {
    let project = Project::empty();
    project.write("app/config.json", CONFIG);
    assert_eq!(validate(&project, 3)["groups"][0]["result"], "fail");
    project.write("app/config.json", "{\n  \"system\": {\n");
    let asked = ["validate", "--root", "app", "--no-site", "--target", "wan22-ui", "--only", "configuration"];
    let broken = project.run(&[&asked[..], &["--format", "json"]].concat()).expect(3).json("validate");
    assert_eq!(broken["findings"][0]["code"], "config-corrupt", "{broken}");
    assert_eq!(broken["findings"][0]["at"]["file"], "config.json", "{broken}");
    std::fs::remove_file(project.path("app/config.json")).unwrap();
    project.run(&asked).expect(3).says("is not there, and the stack needs it");
    let unknown = validate(&project, 0);
    assert_eq!(unknown["groups"][0]["result"], "not-measured", "{unknown}");
    assert_eq!(unknown["findings"][0]["code"], "stack-unknown", "{unknown}");
}
