//! Random files of each format: one key is set, and whatever is not its value stays.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use wan22_policy::target::config::{Config, KeyChange};
use wan22_policy::target::source::Format;

/// A file in three parts: before the value, the value, behind it.
#[derive(Clone, Debug)]
struct File {
    format: Format,
    key: &'static str,
    before: String,
    value: String,
    after: String,
}

impl File {
    fn text(&self) -> String {
        format!("{}{}{}", self.before, self.value, self.after)
    }
}

// Lines that are not ours; `#` stands for a number, so that no name comes twice.
fn lines(format: Format) -> Vec<&'static str> {
    match format {
        Format::Toml => vec![
            "",
            "# why = 1",
            "  # indented",
            "a# = 1",
            "a# = 'x' # \"y\"",
            "  a#   =   \"\\u0041\"",
            "a#.b.c = [1,\n  2, # two\n]",
            "a# = { x = 1, y = 'z' }",
            "a# = '''\nlong\n'''",
            "\"a #\" = 1e3",
            "a# = 2001-01-01T00:00:00Z",
            "a# = 0x1F",
        ],
        Format::Yaml => vec![
            "",
            "# why: 1",
            "  # indented",
            "a#: 1",
            "a#: 'x' # \"y\"",
            "a#:   yes",
            "a#:\n  b: 1\n  c: [1, 2] # two",
            "a#: |\n  long\n\n  longer",
            "a#: >-\n  x\n  y",
            "a#: {x: 1, 'y': z}",
            "a#:\n- 1\n- b: 2\n  c: 3",
            "a#: &x# 1\nb#: *x#",
            "a#: !!str 1",
            "\"a #\": 0x10",
            "? a#\n: 1",
            "a#:",
            "a#: plain\n  goes on",
        ],
        Format::Env => vec![
            "",
            "# A=1",
            "  # indented",
            "A#=1",
            "export A#='x y' # z",
            "A# = 2",
            "A#=\"$HOME\"",
            "A#='two\nlines'",
            "A#",
            "a.b-#=x",
            "A#=x # y",
            "!?",
            "A#=`x`",
            "  A#=",
        ],
        Format::Shell => vec![
            "",
            "# A=1",
            "  # indented",
            "A#=1",
            "export A#='x y' # z",
            "A#=$(pwd)",
            "A#=\"a\n b\"",
            "if [ -f x ]; then\n  A#=1\nfi",
            "echo \"NAME is $NAME\"",
            "cat <<EOF\nNAME=1\nEOF",
            "f#() { A#=1; }",
            "A#=1; B#=2",
            "python main.py --a \\\n  --b && true",
            "case $1 in a|b) A#=1;; *) ;; esac",
            "for x in a b; do\n  echo $x\ndone",
            "export A#",
            "A#='it'\\''s'",
            "[[ -n $A && a < b ]]",
            "x=(1 2)",
            "(cd x; A#=1)",
            "echo a > x 2>&1",
            ": ${A#:=1}",
        ],
        Format::Batch => vec![
            "",
            "REM set NAME=1",
            ":: x",
            ":label#",
            "set A#=1",
            "set \"A#=x y\"",
            "@set A#=%PATH%",
            "set A#=a ^\n& b",
            "if exist x (\n  set A#=1\n)",
            "echo NAME is %NAME%",
            "call x.bat",
            "  set A#= 2 ",
            "set /a A#=1",
            "if \"%NAME%\"==\"\" goto label",
            "for %%i in (a b) do set A#=%%i",
            "python main.py %NAME% & pause",
            "set A#=\"a & b\"",
            "SetLocal",
        ],
        Format::Json => vec![
            "\"a#\": 1",
            "\"a#\" :  [1, 2 ,3]",
            "\"a#\": {\"b\": {} , \"c\": NaN}",
            "\"a# \\u00e9\": \"é\"",
            "\"a#\":\n\n   null",
            "\"a#\": 1.50e+1",
        ],
    }
}

// Values that the key may hold, with what stands around them.
fn holders(format: Format) -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    match format {
        Format::Toml => vec![
            ("NAME", "NAME = ", "'old'", " # why"),
            ("NAME", "  NAME=", "1", ""),
            ("NAME", "NAME = ", "[1, 2]", ""),
            ("s.NAME", "s.NAME = ", "\"\"\"\nold\"\"\"", ""),
            ("s.t.NAME", "s = { x = 1, t = { NAME = ", "1.5", " } } # why"),
            ("s.NAME", "[s]\nx = 1\nNAME = ", "true", "\ny = 2\n[z]\n"),
            ("s.t.NAME", "[s.t]\nNAME = ", "2001-01-01", ""),
        ],
        Format::Yaml => vec![
            ("NAME", "NAME: ", "old", " # why"),
            ("NAME", "\"NAME\" :   ", "'it''s'", ""),
            ("s.NAME", "s:\n    x: 1\n    NAME: ", "1", "\n    y: 2 # z"),
            ("s.NAME", "s: {x: 1, NAME: ", "\"old\"", ", y: 2}"),
            ("NAME", "NAME: ", "[1, 2]", " # why"),
            ("s.t.NAME", "s:\n  t:\n    NAME: ", "yes", ""),
            ("NAME", "NAME: ", "old\n  goes on", "\n# end"),
            ("s.NAME", "s:\n  NAME: ", "|\n    old\n\n    goes on", "\n  y: 1"),
            ("NAME", "NAME:  ", ">-", "\ny: 1"),
        ],
        Format::Env => vec![
            ("NAME", "NAME=", "old", " # why"),
            ("NAME", "export NAME=", "'old'", ""),
            ("NAME", "  NAME=", "\"o l d\"", "  # why"),
            ("NAME", "NAME=", "", ""),
        ],
        Format::Shell => vec![
            ("NAME", "NAME=", "old", " # why"),
            ("NAME", "export NAME=", "'o\nl\nd'", ""),
            ("NAME", "export A=1 NAME=", "\"o \\\" d\"", " B=2"),
            ("NAME", "A=1; NAME=", "o\\ l'd'", "; B=2"),
            ("NAME", "NAME=", "", ""),
        ],
        Format::Batch => vec![
            ("NAME", "set ", "NAME=old", ""),
            ("NAME", "  @SET  ", "name=old ", ""),
            ("NAME", "set ", "\"NAME=o & d\"", " "),
            ("NAME", "set ", "NAME=", ""),
        ],
        Format::Json => {
            vec![("NAME", "\"NAME\" : ", "\"old\"", ""), ("s.NAME", "\"s\": {\"x\": 1,\n\t\"NAME\":", "1.50", " }")]
        }
    }
}

fn file(format: Format) -> impl Strategy<Value = File> {
    let some = || prop::collection::vec(select(lines(format)), 0..6);
    let holder = select(holders(format));
    let shape = (any::<bool>(), any::<bool>(), any::<bool>());
    (some(), some(), holder, shape).prop_map(
        move |(above, below, (key, left, value, right), (is_crlf, has_bom, ends))| {
            let mut number = 0;
            let mut numbered = |line: &str| {
                number += 1;
                // A `#` of a comment stays one.
                line.chars()
                    .enumerate()
                    .map(|(i, c)| match c {
                        '#' if i > 0 && !line[..i].ends_with([' ', '\t', '\n']) || line[..i].ends_with("\"a ") => {
                            number.to_string()
                        }
                        c => c.to_string(),
                    })
                    .collect::<String>()
            };
            let is_json = format == Format::Json;
            let above: Vec<String> = above.into_iter().map(&mut numbered).collect();
            let below: Vec<String> = below.into_iter().map(&mut numbered).collect();
            let join = |lines: &[String], is_above: bool| -> String {
                lines
                    .iter()
                    .map(|line| match (is_json, is_above) {
                        (true, true) => format!("  {line} ,\n"),
                        (true, false) => format!(",\n  {line}"),
                        (false, true) => format!("{line}\n"),
                        (false, false) => format!("\n{line}"),
                    })
                    .collect()
            };
            let (open, close) = if is_json { ("{\n", "\n}") } else { ("", "") };
            let end = if ends { "\n" } else { "" };
            // A block of lines at the end keeps its last line break.
            let lined = |text: String| if is_crlf { text.replace('\n', "\r\n") } else { text };
            File {
                format,
                key,
                before: (if has_bom { "\u{feff}" } else { "" }).to_owned()
                    + lined(format!("{open}{}{left}", join(&above, true))).as_str(),
                value: lined(value.to_owned()),
                after: lined(format!("{right}{}{close}{end}", join(&below, false))),
            }
        },
    )
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(|on| json!(on)),
        (-5_000_000_i64..5_000_000).prop_map(|number| json!(number)),
        (-1e6_f64..1e6).prop_map(|number| json!(number)),
        "[a-z0-9_./-]{1,12}".prop_map(|text| json!(text)),
        select(crate::HOSTILE.clone()).prop_map(|text| json!(text)),
        "\\PC{0,20}".prop_map(|text| json!(text)),
    ]
}

// The value of the key changes, nothing else; the second time nothing does.
fn holds(file: &File, value: &Value) -> Result<(), TestCaseError> {
    let text = file.text();
    let lists = BTreeSet::new();
    let mut config =
        Config::read(file.format, &text, &lists).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
    prop_assert_eq!(config.text(), text.clone());
    let change = KeyChange { path: file.format.path(file.key).unwrap(), value: value.clone() };
    if let Err(error) = config.set(&change) {
        prop_assert_eq!(config.text(), text.clone(), "{}", error);
        prop_assert_eq!(error.fault.code(), "value-not-writable", "{}\n{}", error, text);
        return Ok(());
    }
    let after = config.text();
    prop_assert!(after.starts_with(&file.before) && after.ends_with(&file.after), "{:?}\n{:?}", text, after);
    prop_assert!(after.len() >= file.before.len() + file.after.len(), "{:?}", after);
    let read = Config::read(file.format, &after, &lists).unwrap();
    prop_assert!(read.same(read.get(&change.path).unwrap(), value), "{:?}", after);
    config.set(&change).unwrap();
    prop_assert_eq!(config.text(), after);
    Ok(())
}

/// What texts of all formats are made of.
const PIECES: &[&str] = &[
    "NAME",
    "=",
    ":",
    ": ",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "'",
    "\"",
    "\\",
    "#",
    " # x",
    "$",
    "$(",
    "${",
    ")",
    "(",
    "((",
    "))",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    ",",
    "- ",
    "? ",
    "|",
    ">",
    "&",
    "&&",
    ";",
    ";;",
    "<<",
    "<<E\nx\nE\n",
    "<(",
    "`",
    "~",
    "!",
    "!t ",
    "%",
    "%%",
    "^",
    "*a ",
    "&a ",
    "---\n",
    "...\n",
    "export ",
    "set ",
    "SET \"",
    "if ",
    "then ",
    "fi",
    "case x in ",
    "esac",
    "for ",
    "do ",
    "done",
    "f() ",
    "--x",
    "--x 1",
    "--x=2 ",
    "-- ",
    "[s]\n",
    "[[s]]\n",
    "NAME = 1\n",
    "NAME: 1\n",
    "NAME=1\n",
    "{\"NAME\": 1}",
    "s.NAME",
    "s:\n  ",
    "|-\n  x\n",
    "é",
    "\u{feff}",
    "\u{2028}",
    "\0",
    "1",
    "1.5",
    "null",
    "'''",
    "\"\"\"",
    "\\\n",
    "^\n",
    "rem ",
    "::",
    "@echo off\n",
    "setlocal EnableDelayedExpansion\n",
];

macro_rules! properties {
    ($($name:ident: $format:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(file in file($format), value in values()) {
                    holds(&file, &value)?;
                }
            )*

            // Whatever the pieces make: nothing panics, a refusal changes nothing, and what is set is there and stays.
            #[test]
            fn any_text_is_edited_or_left_alone(
                format in select(crate::FORMATS.to_vec()),
                pieces in prop::collection::vec(select(PIECES.to_vec()), 0..24),
                key in select(vec!["NAME", "NAME.--x"]),
                value in values(),
            ) {
                let text = pieces.concat();
                let path = format.path(key).unwrap();
                let lists: BTreeSet<String> = format.list_of(&path).into_iter().collect();
                let Ok(mut config) = Config::read(format, &text, &lists) else { return Ok(()) };
                config.position(&path);
                let change = KeyChange { path, value };
                match config.set(&change) {
                    Err(_) => prop_assert_eq!(config.text(), text),
                    Ok(()) => {
                        let after = config.text();
                        let held = config.held(&change.path, &change.value);
                        let is_there = held.is_some_and(|held| config.same(&held, &config.spelt(&change.path, &change.value)));
                        prop_assert!(is_there, "{:?}", after);
                        config.set(&change).unwrap();
                        prop_assert_eq!(config.text(), after);
                    }
                }
            }

            // A key that is not there is added, and every line that was there stays as it was.
            #[test]
            fn a_missing_key_changes_no_line(file in select(crate::FORMATS.to_vec()).prop_flat_map(file), value in values()) {
                let text = file.text();
                let mut config = Config::read(file.format, &text, &BTreeSet::new()).unwrap();
                let change = KeyChange { path: file.format.path("OTHER").unwrap(), value: value.clone() };
                match config.set(&change) {
                    Err(error) => {
                        prop_assert_eq!(error.fault.code(), "value-not-writable", "{}\n{}", error, text);
                        prop_assert_eq!(config.text(), text);
                    }
                    Ok(()) => {
                        let after = config.text();
                        let added = after.len() - text.len();
                        let at = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
                        prop_assert!(after.as_bytes()[at + added..] == text.as_bytes()[at..], "{:?}\n{:?}", text, after);
                        config.set(&change).unwrap();
                        prop_assert_eq!(config.text(), after);
                    }
                }
            }
        }
    };
}

properties! {
    one_value_of_json_changes: Format::Json;
    one_value_of_toml_changes: Format::Toml;
    one_value_of_yaml_changes: Format::Yaml;
    one_value_of_an_env_file_changes: Format::Env;
    one_value_of_a_shell_script_changes: Format::Shell;
    one_value_of_a_batch_file_changes: Format::Batch;
}
