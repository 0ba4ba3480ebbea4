//! The committed schemas are those of the types, and what is shipped satisfies them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;
use wan22_policy::diag::Source;
use wan22_policy::{schema, yaml};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn validator(name: &str) -> Validator {
    let schema: Value = serde_json::from_str(&schema::find(name).unwrap().text()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Set UPDATE_SCHEMAS=1 to write the committed schemas anew, and look at the difference.
#[test]
fn committed_schemas_are_those_of_the_types() {
    let mut stale = Vec::new();
    for format in schema::FORMATS.iter().filter(|format| format.is_generated()) {
        let path = here(&format!("schemas/{}.schema.json", format.name));
        if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
            fs::write(&path, format.text()).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != format.text() {
            stale.push(format.name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} differ from the types: run the tests with UPDATE_SCHEMAS=1");
}

#[test]
fn every_schema_in_the_directory_is_of_a_format() {
    for entry in fs::read_dir(here("schemas")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_one = || name.strip_suffix(".schema.json").is_some_and(|name| schema::find(name).is_some());
        // Those of the stacks' files are not ours.
        assert!(name == "targets" && entry.path().is_dir() || is_one(), "{name}");
    }
}

#[test]
fn the_schemas_of_the_stacks_are_json_schemas_that_say_what_to_do() {
    let mut deprecated = 0;
    for entry in fs::read_dir(here("schemas/targets")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(jsonschema::meta::is_valid(&schema), "{}", path.display());
        assert!(jsonschema::validator_for(&schema).is_ok(), "{}", path.display());
        assert!(schema["$comment"].as_str().is_some_and(|source| source.contains("Source: ")), "{}", path.display());
        for (name, rule) in schema["properties"].as_object().unwrap() {
            let text = rule["description"].as_str().unwrap_or_default();
            if rule["deprecated"] == true {
                assert!(text.to_lowercase().contains("remove it"), "{}: {name}", path.display());
                deprecated += 1;
            }
        }
    }
    assert!(deprecated > 50, "{deprecated}");
}

fn assert_valid(directory: &str, format: &str) {
    let validator = validator(format);
    let mut seen = 0;
    let mut pending = vec![here(directory)];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let document = yaml::parse(Source::new("", fs::read_to_string(&path).unwrap())).unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&document.value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}:\n{}", path.display(), errors.join("\n"));
            seen += 1;
        }
    }
    assert!(seen > 5, "{directory}");
}

#[test]
fn shipped_policies_satisfy_their_schema() {
    assert_valid("policies", "policy");
}

#[test]
fn examples_satisfy_the_schema_of_policies() {
    assert_valid("tests/policies/good", "policy");
}

#[test]
fn invariants_satisfy_the_schema_of_policies() {
    assert_valid("tests/invariants", "policy");
}

#[test]
fn machines_satisfy_the_schema_of_facts() {
    assert_valid("tests/machines", "facts");
}

#[test]
fn a_policy_with_a_misspelt_setting_does_not_satisfy_the_schema() {
    let policy = |setting: &str| serde_json::json!({ "policies": [{ "id": "a", "derive": { setting: "1" } }] });
    assert!(validator("policy").is_valid(&policy("vae.tile_size")));
    assert!(!validator("policy").is_valid(&policy("vae.tile_sise")));
}
