//! Every format of a config file: hostile texts come back through the parsers that read such files or are refused, and an
//! edit changes one value and no other byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

#[path = "formats/cmd.rs"]
mod cmd;
#[path = "formats/documents.rs"]
mod documents;
#[path = "formats/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use wan22_policy::target::config::{Config, Fault, KeyChange};
use wan22_policy::target::source::Format;

/// Texts that a careless writer would turn into something else.
pub static HOSTILE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut texts: Vec<String> = [
        "",
        " ",
        "  both ends  ",
        "\ttab\t",
        "a b",
        "'",
        "\"",
        "''",
        "\"\"",
        "'\\''",
        "it's",
        "say \"hi\"",
        "`",
        "\\",
        "\\\\",
        "a\\",
        "\\'",
        "\\\"",
        "\\n",
        "C:\\new\\table",
        "C:\\\\x",
        "\\\\server\\share",
        "C:\\Program Files (x86)\\x",
        "$(touch x)",
        "`touch x`",
        "${IFS}",
        "${HOME:-x}",
        "$HOME",
        "$$",
        "$",
        "a$b",
        "a\nb",
        "\n",
        "a\r\nb",
        "a\rb",
        "\0",
        "a\0b",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{7}",
        "\u{7f}",
        "\u{85}",
        "\u{1a}",
        "%PATH%",
        "%",
        "%%",
        "100%",
        "%1",
        "%~dp0",
        "!x!",
        "!",
        "^",
        "^^",
        "a^b",
        "& del x",
        "&& del",
        "|| del",
        "|",
        ">",
        "> x",
        "< x",
        "(x)",
        ") & del x",
        "#",
        "a #b",
        "a#b",
        ";",
        "a; touch x",
        "&",
        "- a",
        "-",
        "--",
        "--lowvram",
        "-1",
        ": ",
        "a: b",
        "a:",
        ":",
        "yes",
        "no",
        "on",
        "null",
        "~",
        "true",
        "True",
        "NaN",
        ".inf",
        "1e3",
        "1.5",
        "0x10",
        "010",
        "1_000",
        "1:30",
        "2001-01-01",
        "=",
        "<<",
        "@",
        "@x",
        "!tag",
        "!!str x",
        "&a",
        "*a",
        "%TAG",
        "---",
        "...",
        "--- a",
        "? a",
        "[",
        "]",
        "{",
        "}",
        "{a: b}",
        "[1, 2]",
        ",",
        "|-",
        ">-",
        "\u{202e}txt.exe\u{202c}",
        "\u{200f}",
        "\u{200b}",
        "é",
        "ß漢字",
        "😀",
        "\u{2028}",
        "\u{2029}",
        "\u{feff}",
        "\u{feff}a",
        "\u{fffe}",
        "\u{ffff}",
        "\u{fffd}",
        "\u{a0}a\u{a0}",
        "\u{10ffff}",
        "\\ud800",
        "\\u0041",
        "\\x41",
        "]]>",
        "<!--",
        "\"; rm -rf /; \"",
        "'; touch x; '",
        "'''",
        "\"\"\"",
        "*",
        "?",
        "~/x",
        "~root",
        "[a-z]*",
        "{a,b}",
        "a=b",
        "=a",
        "a\\\nb",
        "NAME=other",
        "export NAME=x",
        "set NAME=x",
        "EOF",
        "REM x",
        ":: x",
        "\u{3000}a",
        "a\u{c}b",
        "a\u{b}b",
        "🏳️‍🌈",
        "e\u{301}",
    ]
    .map(str::to_owned)
    .into();
    texts.push("x".repeat(10_000));
    texts.push("é'\"\\ $".repeat(1_500));
    texts
});

const FORMATS: [Format; 6] = [Format::Json, Format::Toml, Format::Yaml, Format::Env, Format::Shell, Format::Batch];

/// Two files in which the key is to hold the text: one that holds another value, one without the key. What stands beside
/// it is `BEFORE` and `AFTER`, both `kept`.
fn files(format: Format) -> [&'static str; 2] {
    match format {
        Format::Json => [
            "{\"BEFORE\": \"kept\", \"NAME\": \"old\", \"AFTER\": \"kept\"}\n",
            "{\"BEFORE\": \"kept\", \"AFTER\": \"kept\"}\n",
        ],
        Format::Toml => {
            ["BEFORE = 'kept'\nNAME = 'old' # why\nAFTER = \"kept\"\n", "BEFORE = 'kept'\nAFTER = \"kept\"\n"]
        }
        Format::Yaml => ["BEFORE: kept\nNAME: old # why\nAFTER: 'kept'\n", "BEFORE: kept\nAFTER: 'kept'\n"],
        Format::Env => ["BEFORE=kept\nNAME=old # why\nAFTER='kept'\n", "BEFORE=kept\nAFTER='kept'\n"],
        Format::Shell => [
            "#!/bin/sh\nBEFORE=kept\nexport NAME=\"old\" # why\nAFTER='kept'\n",
            "#!/bin/sh\nBEFORE=kept\nAFTER='kept'\n",
        ],
        Format::Batch => [
            "@echo off\r\nset BEFORE=kept\r\nset NAME=old\r\nset \"AFTER=kept\"\r\n",
            "@echo off\r\nset BEFORE=kept\r\nset \"AFTER=kept\"\r\n",
        ],
    }
}

/// The text with the key set, or why it is not.
fn written(format: Format, file: &str, value: &Value) -> Result<String, Fault> {
    let path = format.path("NAME").unwrap();
    let mut config = Config::read(format, file, &BTreeSet::new()).unwrap();
    let change = KeyChange { path, value: value.clone() };
    match config.set(&change) {
        Ok(()) => {
            let text = config.text();
            let again = config.get(&change.path).cloned();
            assert!(config.same(&again.unwrap(), value), "{format:?}: {value}");
            config.set(&change).unwrap();
            assert_eq!(config.text(), text, "{format:?}: {value}: setting it again changed something");
            Ok(text)
        }
        Err(error) => {
            assert_eq!(config.text(), file, "{format:?}: {value}: refused and changed");
            Err(error.fault)
        }
    }
}

/// All hostile texts that a format takes, each in both files, with a name for the file.
fn all_written(format: Format) -> Vec<(String, &'static str, String)> {
    let mut all = Vec::new();
    for (i, text) in HOSTILE.iter().enumerate() {
        for (k, file) in files(format).into_iter().enumerate() {
            match written(format, file, &json!(text)) {
                Ok(new) => all.push((format!("{i}-{k}"), text.as_str(), new)),
                Err(fault) => {
                    assert_eq!(fault, Fault::NotWritable, "{format:?}: {text:?}");
                    assert!(refuses(format, text), "{format:?} refused {text:?}");
                }
            }
        }
    }
    eprintln!("{format:?}: {} of {} texts written, twice each, the others refused", all.len() / 2, HOSTILE.len());
    all
}

/// What each format may refuse: no other text.
fn refuses(format: Format, text: &str) -> bool {
    let has_control = text.contains(|c: char| c.is_control() && c != '\t');
    match format {
        Format::Json | Format::Toml | Format::Yaml => false,
        Format::Shell => text.contains('\0'),
        Format::Env => {
            has_control
                || text.contains("${")
                || (text.contains('\'') || text.contains("\\\\") || text.ends_with('\\'))
                    && text.contains(['"', '\\', '$', '`', '!'])
        }
        Format::Batch => {
            text.contains(|c: char| c.is_control() || !c.is_ascii() || "\"&|<>^()!".contains(c)) || text.len() > 8_000
        }
    }
}

fn neighbours(values: &Value) -> [Option<&Value>; 2] {
    [values.get("BEFORE"), values.get("AFTER")]
}

fn assert_reads(what: &str, values: &Value, text: &str) {
    assert_eq!(values.get("NAME"), Some(&json!(text)), "{what}");
    assert_eq!(neighbours(values), [Some(&json!("kept")); 2], "{what}: {text:?}");
}

#[test]
fn the_table_is_long_and_has_no_row_twice() {
    assert!(HOSTILE.len() >= 60);
    assert_eq!(HOSTILE.iter().collect::<BTreeSet<_>>().len(), HOSTILE.len());
}

#[test]
fn serde_json_reads_every_text_back() {
    for (_, text, file) in all_written(Format::Json) {
        assert_reads("serde_json", &serde_json::from_str(&file).unwrap(), text);
    }
}

#[test]
fn toml_reads_every_text_back() {
    for (_, text, file) in all_written(Format::Toml) {
        let values: Value = toml::from_str(&file).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_reads("toml", &values, text);
    }
}

#[test]
fn serde_yaml_reads_every_text_back() {
    for (_, text, file) in all_written(Format::Yaml) {
        let values: Value = serde_yaml::from_str(&file).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_reads("serde_yaml", &values, text);
    }
}

// What a module of Python reads from each file; `None` where it is not installed.
fn python(needs: &str, read: &str, files: &[(String, &str, String)]) -> Option<BTreeMap<String, Value>> {
    let has = |needs: &str| {
        let check = Command::new("python3").args(["-c", needs]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    };
    if !has(needs) {
        eprintln!("SKIPPED: no `{needs}` in python3");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, _, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let script = format!("import json, os, sys\n{needs}\nprint(json.dumps({{n: {read} for n in os.listdir('.')}}))");
    let output =
        Command::new("python3").args(["-X", "utf8", "-c", &script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{needs}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn assert_python_reads(needs: &str, read: &str, format: Format) {
    let files = all_written(format);
    let Some(values) = python(needs, read, &files) else { return };
    assert_eq!(values.len(), files.len());
    for (name, text, _) in &files {
        assert_reads(needs, &values[name], text);
    }
}

#[test]
fn python_json_reads_every_text_back() {
    assert_python_reads("import json", "json.load(open(n, encoding='utf-8'))", Format::Json);
}

#[test]
fn tomllib_reads_every_text_back() {
    assert_python_reads("import tomllib", "tomllib.load(open(n, 'rb'))", Format::Toml);
}

#[test]
fn pyyaml_reads_every_text_back() {
    assert_python_reads("import yaml", "yaml.safe_load(open(n, encoding='utf-8', newline=''))", Format::Yaml);
}

#[test]
fn python_dotenv_reads_every_text_back() {
    assert_python_reads("import dotenv", "dotenv.dotenv_values(n)", Format::Env);
}

// What a shell makes of each file; it must do nothing but assign.
fn assert_shell_reads(shell: &str, format: Format) {
    if Command::new(shell).args(["-c", ":"]).status().is_err() {
        eprintln!("SKIPPED: no `{shell}`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (_, text, file) in all_written(format) {
        fs::write(folder.path().join("file"), &file).unwrap();
        let script = ". ./file; printf '%s\\0%s\\0%s\\0' \"$NAME\" \"$BEFORE\" \"$AFTER\"";
        // No command is found, so a text that ran would say so.
        let output =
            Command::new(shell).args(["-c", script]).current_dir(folder.path()).env("PATH", "/none").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{text}\0kept\0kept\0"), "{shell}: {said}");
        assert_eq!(said, "", "{shell}: {text:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{shell}: {text:?} made a file");
    }
}

#[test]
fn sh_reads_every_text_of_a_script_back_and_runs_nothing() {
    assert_shell_reads("/bin/sh", Format::Shell);
}

#[test]
fn bash_reads_every_text_of_a_script_back_and_runs_nothing() {
    assert_shell_reads("/bin/bash", Format::Shell);
}

#[test]
fn sh_reads_every_text_of_an_env_file_back_and_runs_nothing() {
    assert_shell_reads("/bin/sh", Format::Env);
}

#[test]
fn cmd_reads_every_text_back_and_runs_nothing() {
    for (_, text, file) in all_written(Format::Batch) {
        for is_delayed in [false, true] {
            let batch = cmd::run(&file, is_delayed).unwrap_or_else(|what| panic!("{text:?}: {what}"));
            let values: BTreeMap<&str, &str> =
                batch.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            // A variable that holds nothing is none to `cmd`.
            assert_eq!(values.get("NAME").copied().unwrap_or_default(), text);
            assert_eq!((values["BEFORE"], values["AFTER"]), ("kept", "kept"), "{text:?}");
            cmd::used(&batch, "tool %NAME% x", is_delayed).unwrap_or_else(|what| panic!("{text:?} when used: {what}"));
        }
    }
}

/// Under wine, where there is one.
#[test]
fn a_real_cmd_reads_every_text_back() {
    if Command::new("wine").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: no `wine`, so no real cmd.exe");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = all_written(Format::Batch);
    let mut all = "@echo off\r\n".to_owned();
    for (name, _, file) in &files {
        fs::write(folder.path().join(format!("{name}.bat")), file).unwrap();
        all += &format!(
            "setlocal\r\ncall {name}.bat\r\necho FILE={name}\r\nset NAME\r\nset BEFORE\r\nset AFTER\r\nendlocal\r\n"
        );
    }
    fs::write(folder.path().join("all.bat"), all).unwrap();
    let mut wine = Command::new("wine");
    wine.args(["cmd", "/c", "all.bat"]).current_dir(folder.path()).env("WINEDEBUG", "-all").stdin(Stdio::null());
    let output = wine.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut values: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut current = "";
    for (name, value) in said.lines().filter_map(|line| line.trim_end_matches('\r').split_once('=')) {
        if name == "FILE" {
            current = value;
        }
        values.entry(current).or_default().insert(name, value);
    }
    for (name, text, _) in &files {
        let read = &values[name.as_str()];
        // A variable that holds nothing is none.
        assert_eq!(read.get("NAME").copied().unwrap_or_default(), *text, "{said}");
        assert_eq!((read["BEFORE"], read["AFTER"]), ("kept", "kept"), "{text:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files.len() + 1, "a text made a file");
}

/// The words of a list of arguments, for those who split it as a shell does and for those who split at blanks.
#[test]
fn a_list_of_arguments_is_split_alike_by_everyone() {
    let lists = [
        (Format::Env, "NAME='--lowvram --x old'\n"),
        (Format::Shell, "export NAME=\"--lowvram --x old\"\n"),
        (Format::Batch, "set NAME=--lowvram --x old\r\n"),
    ];
    let mut taken = 0;
    for (format, file) in lists {
        let folder = tempfile::tempdir().unwrap();
        let names = BTreeSet::from(["NAME".to_owned()]);
        for text in HOSTILE.iter() {
            let mut config = Config::read(format, file, &names).unwrap();
            let change = KeyChange { path: format.path("NAME.--x").unwrap(), value: json!(text) };
            if let Err(error) = config.set(&change) {
                assert_eq!((error.fault, config.text().as_str()), (Fault::NotWritable, file), "{text:?}");
                continue;
            }
            taken += 1;
            let want = format!("--lowvram\n--x\n{text}\n");
            let got = match format {
                Format::Batch => {
                    let batch = cmd::run(&config.text(), true).unwrap();
                    let line = cmd::used(&batch, "%NAME%", true).unwrap();
                    line.split(' ').map(|word| format!("{word}\n")).collect()
                }
                _ => {
                    fs::write(folder.path().join("file"), config.text()).unwrap();
                    let script = ". ./file; printf '%s\\n' $NAME";
                    let output =
                        Command::new("/bin/sh").args(["-c", script]).current_dir(folder.path()).output().unwrap();
                    assert!(output.stderr.is_empty(), "{text:?}");
                    String::from_utf8(output.stdout).unwrap()
                }
            };
            assert_eq!(got, want, "{format:?}");
        }
    }
    assert!(taken >= 3 * 15, "{taken}");
}

#[test]
fn numbers_and_truth_values_are_written_as_the_format_has_them() {
    for format in FORMATS {
        for value in [
            json!(0),
            json!(-7),
            json!(1.5),
            json!(1e-7),
            json!(1e20),
            json!(2.0),
            json!(i64::MAX),
            json!(true),
            json!(false),
        ] {
            for file in files(format) {
                let text = written(format, file, &value).unwrap();
                let read: Value = match format {
                    Format::Json => serde_json::from_str(&text).unwrap(),
                    Format::Toml => toml::from_str(&text).unwrap(),
                    Format::Yaml => serde_yaml::from_str(&text).unwrap(),
                    _ => {
                        assert!(text.replace('"', "").contains(&format!("NAME={value}")), "{text}");
                        continue;
                    }
                };
                assert_eq!(read["NAME"].as_f64(), value.as_f64(), "{format:?}: {text}");
                assert_eq!(read["NAME"].is_boolean(), value.is_boolean(), "{format:?}: {text}");
            }
        }
    }
}

#[test]
fn pyyaml_reads_every_number_back() {
    let numbers = [json!(1.5), json!(1e-7), json!(1e20), json!(2.0), json!(true), json!(-7), json!(1.25e300)];
    let files: Vec<_> = numbers
        .iter()
        .enumerate()
        .map(|(i, value)| (i.to_string(), "", written(Format::Yaml, files(Format::Yaml)[0], value).unwrap()))
        .collect();
    let Some(values) = python("import yaml", "yaml.safe_load(open(n))", &files) else { return };
    for (i, value) in numbers.iter().enumerate() {
        let read = &values[&i.to_string()]["NAME"];
        assert_eq!((read.as_f64(), read.is_boolean()), (value.as_f64(), value.is_boolean()), "{value}");
    }
}

/// The reader of YAML takes numbers and truth values as PyYAML does.
#[test]
fn yaml_is_read_as_pyyaml_reads_it() {
    let scalars = [
        "yes", "No", "on", "OFF", "y", "n", "true", "TRUE", "~", "null", "Null", "", "1", "-1", "+1", "010", "08", "0",
        "-0", "0x1F", "0b101", "0o17", "1_000", "1:30", "1:60", "-1:30", "1e3", "1.0e3", "1.0e+3", "1.5", ".5", "5.",
        "-.5", "1_0.5", "._5", "abc", "1a", "'1'", "\"yes\"", "0x", "--1", "1.2.3", "v1", "12e03", "0.", "00", "_1",
    ];
    let files: Vec<_> =
        scalars.iter().enumerate().map(|(i, scalar)| (i.to_string(), "", format!("NAME: {scalar}\n"))).collect();
    let Some(values) = python("import yaml", "yaml.safe_load(open(n))", &files) else { return };
    for (name, _, text) in &files {
        let config = Config::read(Format::Yaml, text, &BTreeSet::new()).unwrap();
        let (got, want) = (&config.value()["NAME"], &values[name]["NAME"]);
        assert!(config.same(got, want), "{text}: {got}, and PyYAML reads {want}");
    }
}

/// What a file writes in a way that is not edited is said with its place, and the file stays as it is.
#[test]
fn what_is_not_edited_is_refused_with_its_place() {
    use Format::{Batch, Env, Shell, Toml, Yaml};
    for (format, text, key, place, why) in [
        (Env, "A=1\nNAME=1\nNAME=2\n", "NAME", (3, 6), "set twice, first in line 2"),
        (Env, "NAME=$HOME/x\n", "NAME", (1, 1), "evaluated"),
        (Env, "NAME='${HOME}'\n", "NAME", (1, 1), "evaluated"),
        (Env, "NAME=\"a\\nb\"\n", "NAME", (1, 1), "backslash"),
        (Env, "NAME = 1\n", "NAME", (1, 1), "blanks stand before"),
        (Env, "NAME\n", "NAME", (1, 1), "without a value"),
        (Env, "A='1\nNAME=2\n", "NAME", (1, 1), "not closed"),
        (Env, "A=1\\\nNAME=2\n", "NAME", (2, 1), "ends with"),
        (Shell, "NAME=1\nNAME=2\n", "NAME", (2, 6), "set twice, first in line 1"),
        (Shell, "NAME=\"$(cat x)\"\n", "NAME", (1, 1), "evaluated"),
        (Shell, "NAME=`cat x`\n", "NAME", (1, 1), "evaluated"),
        (Shell, "NAME=~/x\n", "NAME", (1, 1), "evaluated"),
        (Shell, "NAME=\"a \\\n b\"\n", "NAME", (1, 1), "goes on in the next line"),
        (Shell, "NAME=1\nif x; then\n  NAME=2\nfi\n", "NAME", (3, 3), "not followed"),
        (Shell, "f() { NAME=1; }\n", "NAME", (1, 7), "not followed"),
        (Shell, "true && NAME=1\n", "NAME", (1, 9), "not followed"),
        (Shell, "true &&\nNAME=1\n", "NAME", (2, 1), "not followed"),
        (Shell, "NAME=1 python main.py\n", "NAME", (1, 1), "not followed"),
        (Shell, "NAME=1\nread NAME\n", "NAME", (2, 6), "not followed"),
        (Shell, "NAME=1\nunset NAME\n", "NAME", (2, 7), "not followed"),
        (Shell, "NAME=1\nNAME+=2\n", "NAME", (2, 1), "not followed"),
        (Shell, ": \"${NAME:=1}\"\n", "NAME", (1, 3), "where it is used"),
        (Shell, "NAME=1\nif x; then\n", "NAME", (3, 1), "not closed"),
        (Shell, "NAME=1\necho 'x\n", "NAME", (2, 6), "not closed"),
        (Shell, "NAME='--x 1 --x 2'\n", "NAME.--x", (1, 6), "stands twice"),
        (Shell, "NAME='--x 1 2'\n", "NAME.--x", (1, 6), "several values"),
        (Batch, "set NAME=1\r\nset name=2\r\n", "NAME", (2, 5), "set twice"),
        (Batch, "set NAME=%PATH%\r\n", "NAME", (1, 1), "evaluated"),
        (Batch, "setlocal EnableDelayedExpansion\r\nset NAME=!x!\r\n", "NAME", (2, 1), "evaluated"),
        (Batch, "set NAME=1 & x\r\n", "NAME", (1, 1), "operator"),
        (Batch, "set NAME=1^\r\n2\r\n", "NAME", (1, 5), "not followed"),
        (Batch, "if x (\r\n  set NAME=1\r\n)\r\n", "NAME", (2, 7), "not followed"),
        (Batch, "set /p NAME=name?\r\n", "NAME", (1, 8), "not followed"),
        (Batch, "set /a NAME+=1\r\n", "NAME", (1, 8), "not followed"),
        (Batch, "set NAME=\"a\r\n", "NAME", (1, 1), "not closed"),
        (Yaml, "a: &x {NAME: 1}\nb: *x\n", "a.NAME", (1, 7), "behind an anchor"),
        (Yaml, "a: &x 1\nNAME: *x\n", "NAME", (2, 7), "an alias"),
        (Yaml, "NAME: !!int 1\n", "NAME", (1, 13), "behind a tag"),
        (Yaml, "NAME: 1\nNAME: 2\n", "NAME", (2, 1), "stands twice"),
        (Yaml, "NAME: 1\n---\nNAME: 2\n", "NAME", (2, 1), "several documents"),
        (Yaml, "b: &b {NAME: 1}\na:\n  <<: *b\n", "a.NAME", (3, 3), "takes keys over"),
        (Yaml, "NAME:\n  a: 1\n", "NAME", (1, 1), "of several lines"),
        (Yaml, "NAME: | # why\n  a\n", "NAME", (1, 1), "with a comment"),
        (Toml, "[NAME]\na = 1\n", "NAME", (1, 1), "tables are not replaced"),
        (Toml, "[[a]]\nNAME = 1\n", "a.NAME", (1, 1), "array of tables"),
    ] {
        let path = format.path(key).unwrap();
        let lists = format.list_of(&path).into_iter().collect();
        let mut config = Config::read(format, text, &lists).unwrap();
        let Err(error) = config.set(&KeyChange { path, value: json!("new") }) else {
            panic!("{text:?} was set: {:?}", config.text())
        };
        assert!(error.message.contains(why), "{text:?}: {error}");
        assert_eq!((error.line, error.column), place, "{text:?}: {error}");
        assert!(matches!(error.fault, Fault::NotEdited | Fault::Path), "{text:?}: {error}");
        assert_eq!(config.text(), text);
    }
}

#[test]
fn what_is_not_of_its_format_is_said_with_its_place() {
    for (format, text, want) in [
        (Format::Json, "{\"a\": 1,}", "line 1, column 8"),
        (Format::Toml, "a = 1\na = 2\n", "line 2, column 1"),
        (Format::Toml, "a = \n", "line 1, column 5"),
        (Format::Yaml, "a: 1\n b: [\n", "line 2, column 3"),
        (Format::Yaml, "a: [1\n", "line 1, column 4"),
    ] {
        let error = Config::read(format, text, &BTreeSet::new()).unwrap_err();
        assert_eq!(error.fault, Fault::Broken);
        assert!(error.to_string().starts_with(want), "{text:?}: {error}");
    }
}

/// A new variable of a launcher stands before the first command, and behind what is set there.
#[test]
fn a_new_variable_stands_where_it_counts() {
    use Format::{Batch, Env, Shell, Toml, Yaml};
    for (format, text, key, want) in [
        (
            Shell,
            "#!/bin/sh\n# top\n\nA=1\nexec x\nB=2\n",
            "NAME",
            "#!/bin/sh\n# top\n\nA=1\nexport NAME=7\nexec x\nB=2\n",
        ),
        (Shell, "#!/bin/sh\nset -e\ncd x\nA=1\n", "NAME", "#!/bin/sh\nset -e\nexport NAME=7\ncd x\nA=1\n"),
        (Shell, "exec x", "NAME", "export NAME=7\nexec x"),
        (Shell, "A=1", "NAME", "A=1\nexport NAME=7"),
        (Batch, "@echo off\r\nsetlocal\r\nx\r\n", "NAME", "@echo off\r\nsetlocal\r\nset \"NAME=7\"\r\nx\r\n"),
        (Batch, "@set  name=old\r\n", "NAME", "@set  name=7\r\n"),
        (Batch, "set \"Name=old\"\r\n", "NAME", "set \"Name=7\"\r\n"),
        (Batch, "", "NAME", "set \"NAME=7\"\r\n"),
        (Env, "A=1\r\n", "NAME", "A=1\r\nNAME=7\r\n"),
        (Env, "A=1", "NAME.--x", "A=1\nNAME='--x 7'"),
        (Toml, "a = 1\n[s]\nb = 2 # two\n\n[t]\n", "s.NAME", "a = 1\n[s]\nb = 2 # two\nNAME = 7\n\n[t]\n"),
        (Toml, "[s.t]\nb = 2\n", "s.NAME", "[s.t]\nb = 2\n\n[s]\nNAME = 7\n"),
        (Toml, "[s]\n[t]\n", "s.NAME", "[s]\nNAME = 7\n[t]\n"),
        (Toml, "[t]\n", "NAME", "NAME = 7\n[t]\n"),
        (Toml, "a.b = 1\nc = 2\n", "a.NAME", "a.b = 1\na.NAME = 7\nc = 2\n"),
        (Toml, "a = {}\n", "a.b.NAME", "a = { b.NAME = 7 }\n"),
        (Yaml, "a: 1\ns:\n    b: 2 # two\n\nt: 1\n", "s.NAME", "a: 1\ns:\n    b: 2 # two\n    NAME: 7\n\nt: 1\n"),
        (Yaml, "s: # empty\nt: 1\n", "s.NAME", "s: # empty\n  NAME: 7\nt: 1\n"),
        (Yaml, "s: {}\n", "s.t.NAME", "s: {t: {NAME: 7}}\n"),
        (Yaml, "a: |\n  x\n\n", "NAME", "NAME: 7\na: |\n  x\n\n"),
        (Yaml, "# nothing\n", "a.NAME", "# nothing\na:\n  NAME: 7\n"),
        (Yaml, "", "NAME", "NAME: 7\n"),
    ] {
        let path = format.path(key).unwrap();
        let lists = format.list_of(&path).into_iter().collect();
        let mut config = Config::read(format, text, &lists).unwrap();
        config.set(&KeyChange { path, value: json!(7) }).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(config.text(), want, "{format:?}");
    }
}

/// For the checks that write files beside those of the repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
