//! The table of hostile texts through the whole program: applied, applied again, verified, rolled back.

#[path = "../common/program.rs"]
mod start;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use wan22_policy::target::source::Format;

use crate::{FORMATS, HOSTILE, refuses, repository};

fn name(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Toml => "toml",
        Format::Yaml => "yaml",
        Format::Env => "env",
        Format::Shell => "shell",
        Format::Batch => "batch",
    }
}

// A text as an expression of a policy.
fn literal(text: &str) -> String {
    let escaped = text.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_string(),
        false => format!("\\U{:08X}", u32::from(c)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

// A target of one file, with a key for each text.
fn policies(folder: &Path, format: Format, texts: &BTreeMap<String, &str>) {
    let keys: BTreeMap<&String, Value> = texts
        .iter()
        .map(|(key, text)| {
            (key, json!({ "setting": "attention.backend", "value": literal(text), "when_missing": "add" }))
        })
        .collect();
    let restore = match format {
        Format::Json => json!({}),
        _ => json!(""),
    };
    let file = json!({ "path": "config.file", "format": name(format), "schema": {}, "restore": restore, "keys": keys });
    let target = json!({
        "id": "hostile", "why": "a test", "source": "a test", "recognise": [{ "files": ["config.file"] }], "files": [file],
    });
    fs::write(folder.join("85-hostile.yaml"), json!({ "targets": [target] }).to_string()).unwrap();
}

fn run(arguments: &[&str], root: &Path, policies: Option<&Path>) -> Output {
    let mut run = start::program();
    run.args(arguments).arg("--root").arg(root).env("XDG_CONFIG_HOME", root.join("none"));
    if let Some(policies) = policies {
        let machine = repository("tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml");
        run.arg("--facts")
            .arg(machine)
            .args(["--workload", "ti2v-5b:1280x704x49", "--no-site", "--allow-targets", "--policies"])
            .arg(policies);
    }
    run.output().unwrap()
}

fn expect(output: &Output, code: i32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(4000).collect::<String>();
    assert_eq!(output.status.code(), Some(code), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

fn before(format: Format) -> &'static str {
    match format {
        Format::Json => "{\n  \"KEPT\": 1.50\n}",
        Format::Toml => "# top\r\nKEPT = 0x1F # why\r\n",
        Format::Yaml => "# top\nKEPT: yes # why\n",
        Format::Env => "# top\nKEPT=$HOME",
        Format::Shell => "#!/bin/sh\n# top\n\nKEPT=$(pwd)\nexec true\n",
        Format::Batch => "@echo off\r\nrem top\r\nset KEPT=%PATH%\r\npause\r\n",
    }
}

#[test]
fn every_text_is_applied_once_and_rolled_back() {
    for format in FORMATS {
        let (policy_folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // The longest rows are for the formats themselves; an expression is shorter.
        let texts: BTreeMap<String, &str> = HOSTILE
            .iter()
            .enumerate()
            .filter(|(_, text)| text.len() < 1000 && !refuses(format, text))
            .map(|(i, text)| (format!("K{i}"), text.as_str()))
            .collect();
        assert!(texts.len() > 60, "{format:?}: {}", texts.len());
        policies(policy_folder.path(), format, &texts);
        let file = root.path().join("config.file");
        fs::write(&file, before(format)).unwrap();

        expect(&run(&["apply"], root.path(), Some(policy_folder.path())), 0);
        let applied = fs::read_to_string(&file).unwrap();
        assert_ne!(applied, before(format));
        match format {
            Format::Json | Format::Toml | Format::Yaml => {
                let values: Value = match format {
                    Format::Json => serde_json::from_str(&applied).unwrap(),
                    Format::Toml => toml::from_str(&applied).unwrap(),
                    _ => serde_yaml::from_str(&applied).unwrap(),
                };
                for (key, text) in &texts {
                    assert_eq!(values[key], json!(text), "{format:?}");
                }
            }
            Format::Env | Format::Shell => {
                let keys: Vec<&str> = texts.keys().map(String::as_str).collect();
                let show = keys.iter().map(|key| format!("\"${key}\"")).collect::<Vec<_>>().join(" ");
                // But for the command that it ends with.
                let sourced = fs::read_to_string(&file).unwrap().replace("exec true\n", "");
                fs::write(root.path().join("sourced"), sourced).unwrap();
                let script = format!(". ./sourced; printf '%s\\0' {show}");
                let output = Command::new("/bin/sh").args(["-c", &script]).current_dir(root.path()).output().unwrap();
                fs::remove_file(root.path().join("sourced")).unwrap();
                let want: String = texts.values().map(|text| format!("{text}\0")).collect();
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    want,
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            Format::Batch => {
                let variables = crate::cmd::run(&applied.replace("pause\r\n", ""), true).unwrap();
                for (key, text) in &texts {
                    assert_eq!(variables.get(key).map_or("", String::as_str), *text);
                }
            }
        }

        expect(&run(&["apply"], root.path(), Some(policy_folder.path())), 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), applied, "{format:?}: a second apply changed something");
        expect(&run(&["verify"], root.path(), None), 0);
        expect(&run(&["rollback"], root.path(), None), 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), before(format), "{format:?}");
        assert!(fs::read_dir(root.path()).unwrap().count() <= 2, "{format:?}: a file was made");
    }
}

#[test]
fn a_text_that_a_format_cannot_carry_refuses_the_plan() {
    for (format, text) in [
        (Format::Env, "a\nb"),
        (Format::Env, "${IFS}"),
        (Format::Shell, "a\0b"),
        (Format::Batch, "a & del x"),
        (Format::Batch, "say \"hi\""),
        (Format::Batch, "a\nb"),
        (Format::Batch, "!x!"),
    ] {
        assert!(refuses(format, text));
        let (policy_folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        policies(policy_folder.path(), format, &BTreeMap::from([("K".to_owned(), text)]));
        let file = root.path().join("config.file");
        fs::write(&file, before(format)).unwrap();
        let output = run(&["apply"], root.path(), Some(policy_folder.path()));
        expect(&output, 3);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("value-not-writable"), "{format:?} {text:?}: {said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), before(format), "{format:?} {text:?}");
    }
}
