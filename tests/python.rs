//! `validate --only syntax`: which Python sources are broken and at which line, as Python itself says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic and speak"
)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::project::Project;
use common::python::{asked, python, sources};
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand_core::Rng;
use serde_json::Value;
use wan22_policy::diag::{Source, Span};
use wan22_policy::validate::python::check;

/// Sources, each with the line of its error; 0 where there is none. Python 3.11 says the same of all of them.
const SOURCES: &[(&str, usize)] = &[
    ("", 0),
    ("x = 1\n", 0),
    ("match x:\n    case [1, *rest]:\n        pass\n", 0),
    ("async def f():\n    return [x async for x in y]\n", 0),
    ("try:\n    pass\nexcept* ValueError:\n    pass\n", 0),
    ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n", 0),
    ("x = 0xfF + 1_000.5e-3j if 1else 0\n", 0),
    ("\u{e9}t\u{e9} = 'caf\u{e9}'\n", 0),
    ("if x:\n\ty = 1\n\tz = 2\n", 0),
    ("class A:\n    def f(self):\n        nonlocal __class__\n        __class__ = 1\n", 0),
    // Brackets are found where they were opened.
    ("x = (1,\n     2\ny = 3\n", 1),
    ("def f(a,\n      b:\n    pass\n", 1),
    ("x = [1, 2)\n", 1),
    ("x = 1\ny = 2)\n", 2),
    ("f(\n", 1),
    // Texts are found where they begin.
    ("x = 1\ny = 'abc\nz = 2\n", 2),
    ("x = \"\"\"abc\n\n\n", 1),
    ("if x\n    y = '''\n", 2),
    // Blocks.
    ("if x:\ny = 1\n", 2),
    ("if x:\n    # nothing\n\ny = 1\n", 4),
    ("def f():\n", 1),
    ("x = 1\n  y = 2\n", 2),
    ("if x:\n        y = 1\n    z = 2\n", 3),
    ("if x:\n\ty = 1\n        z = 2\n", 3),
    ("if x\n    y = 1\n", 1),
    ("try:\n    pass\nx = 1\n", 3),
    ("for x in y:\n    pass\nelse\n    pass\n", 3),
    // Expressions.
    ("x = [\n    1,\n    2\n    3,\n]\n", 3),
    ("x = \n", 1),
    ("print 'hello'\n", 1),
    ("x = 1 +\n", 1),
    ("f(a=1,\n  b)\n", 2),
    ("import\n", 1),
    ("x = 012\n", 1),
    ("x = 1abc\n", 1),
    ("x = \u{2019}a\u{2019}\n", 1),
    ("x = 1 \\ \ny = 2\n", 1),
    ("a b\n", 1),
    ("x = $\n", 1),
    // What the grammar allows and the compiler does not.
    ("x = 1\nreturn x\n", 2),
    ("def f():\n    x = 1\n    global x\n", 3),
    ("def f(a, a):\n    pass\n", 1),
    ("f(a=1, a=2)\n", 1),
    ("break\n", 1),
    ("if x:\n    continue\n", 2),
    ("class A:\n    yield 1\n", 2),
    ("def f():\n    await x\n", 2),
    ("nonlocal x\n", 1),
    ("def f():\n    nonlocal x\n", 2),
    ("def f():\n    x = 1\n    from __future__ import annotations\n", 3),
    ("None = 1\n", 1),
    ("f() = 1\n", 1),
    ("def f():\n    from x import *\n", 2),
];

fn line(bytes: &[u8], version: Option<(u8, u8)>) -> usize {
    let checked = check(bytes, version).unwrap();
    let at = |range| Span { source: Source::new("x.py", checked.text.as_str()), range }.at().line;
    checked.error.map_or(0, |error| at(error.range))
}

#[test]
fn an_error_is_at_its_line() {
    for (text, expected) in SOURCES {
        assert_eq!(line(text.as_bytes(), Some((3, 11))), *expected, "{text:?}");
        // Nor do ends of lines as Windows writes them change anything.
        let windows = text.replace('\n', "\r\n");
        assert_eq!(line(windows.as_bytes(), Some((3, 11))), *expected, "{windows:?}");
    }
    let types = b"x = 1\ntype Pair[T] = tuple[T, T]\n";
    assert_eq!((line(types, Some((3, 11))), line(types, Some((3, 12))), line(types, None)), (2, 0, 0));
}

#[test]
fn a_file_is_read_in_its_encoding() {
    assert_eq!(line(b"\xef\xbb\xbfx = 1\n", None), 0);
    assert_eq!(line(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", None), 0);
    assert_eq!(line(b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nx = '\x93'\n", None), 0);
    assert_eq!(line(b"x = 1\n\ny = '\xe9'\n", None), 3);
    assert_eq!(line(b"\xef\xbb\xbf# coding: UTF_8\nx = 1\n", None), 0);
    assert_eq!(line(b"\xef\xbb\xbf# coding: utf8\nx = 1\n", None), 1);
    assert_eq!(line(b"# coding: nonsense\nx = 1\n", None), 1);
    // What stands before the name takes more bytes in the text than in the file.
    assert_eq!(line(b"\xef\xbb\xbf# \xd6\xd6\xd6\xd6\xd6 coding: latin-1\n", None), 1);
    assert_eq!(line(b"x = 1\ny = \0\n", None), 2);
    assert_eq!(line(b"\xff\xfex\0", None), 1);
}

/// As deep as a source may be it is read, and what is deeper is refused before anything calls itself too often.
#[test]
fn a_deep_source_is_read_or_refused() {
    let project = Project::empty();
    let blocks = |count: usize| (0..count).map(|level| format!("{}if x:\n", " ".repeat(level))).collect::<String>();
    let ends = |text: String, level: usize| format!("{text}{}pass\n", " ".repeat(level));
    for (text, said) in [
        (format!("{}1{}\n", "(".repeat(200), ")".repeat(200)), "sources-parse     1 read"),
        (format!("{}1\n", "not ".repeat(990)), "sources-parse     1 read"),
        (format!("{}b\n", "a.".repeat(990)), "sources-parse     1 read"),
        (format!("x = {}1\n", "lambda: ".repeat(490)), "sources-parse     1 read"),
        (format!("{}1\n", "1 + ".repeat(990)), "sources-parse     1 read"),
        (format!("{}c\n", "a if b else ".repeat(490)), "sources-parse     1 read"),
        (ends(blocks(99), 99), "sources-parse     1 read"),
        (format!("x = [{}]\n", "1, ".repeat(100_000)), "sources-parse     1 read"),
        ("(".repeat(1_000_000), "too many brackets are open here"),
        (format!("{}1\n", "not ".repeat(1_000_000)), "deeper than 1000 operators"),
        (format!("{}b\n", "a.".repeat(1_000_000)), "deeper than 1000 operators"),
        (format!("x = {}1\n", "lambda: ".repeat(400_000)), "deeper than 1000 operators"),
        (format!("{}1\n", "-".repeat(3_000_000)), "deeper than 1000 operators"),
        (ends(blocks(1500), 1500), "this line is indented too many times"),
        // What is wrong before does not hide it.
        (format!(")\n{}1\n", "not ".repeat(1_000_000)), "deeper than 1000 operators"),
        (format!("x = 'a\n{}b\n", "a.".repeat(1_000_000)), "deeper than 1000 operators"),
        (format!("x = 1a\ny = \0\n{}\n", "[".repeat(1_000_000)), "deeper than 1000 operators"),
        (format!("if x:\n    y\n  z\n{}", ends(blocks(1500), 1500)), "deeper than 1000 operators"),
        ("x = 1\n".repeat(1_000_000), "it is larger than 4 MiB"),
    ] {
        project.write("app/main.py", &text);
        let ran = project.run(&["validate", "--root", "app", "--only", "syntax"]);
        assert!(ran.out.contains(said), "{said}: {}{}", ran.out.chars().take(500).collect::<String>(), ran.err);
    }
}

/// One change to a source, as slips of a hand or a broken download make them.
fn damaged(text: &str, random: &mut impl FnMut(usize) -> usize) -> String {
    let boundary = |at: usize| text.floor_char_boundary(at);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let picked = random(lines.len());
    let with = |line: &str| {
        let (before, after) = (lines[..picked].concat(), lines[picked + 1..].concat());
        format!("{before}{line}{after}")
    };
    match random(8) {
        0 => with(""),
        1 => with(&format!("    {}", lines[picked])),
        2 => with(lines[picked].get(1..).unwrap_or_default()),
        3 => with(&lines[picked].repeat(2)),
        4 => text[..boundary(random(text.len()))].to_owned(),
        5 => {
            let at = boundary(random(text.len()));
            let put = ["(", ")", "[", "]", "{", "}", ":", ",", "\"", "'", "=", "\\", "$", "\n", " "][random(15)];
            format!("{}{put}{}", &text[..at], &text[at..])
        }
        _ => {
            let what = ["(", ")", "[", "]", "{", "}", ":", ",", "\"", "'", "=", "def ", "in ", "import "][random(14)];
            let found: Vec<usize> = text.match_indices(what).map(|(at, _)| at).collect();
            match found.len() {
                0 => with(""),
                count => {
                    let at = found[random(count)];
                    format!("{}{}", &text[..at], &text[at + what.len()..])
                }
            }
        }
    }
}

/// The library of Python and damaged copies of it: the same files are broken, and all but a few at the same line.
#[test]
fn python_says_the_same() {
    let Some((python, library, minor)) = python() else {
        eprintln!("SKIPPED: no Python of 3.11 or newer is there");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut table = Vec::new();
    for (index, (text, expected)) in SOURCES.iter().enumerate() {
        let file = folder.path().join(format!("table{index}.py"));
        fs::write(&file, text).unwrap();
        table.push((file, *expected));
    }
    let files: Vec<PathBuf> = table.iter().map(|(file, _)| file.clone()).collect();
    for ((file, expected), said) in table.iter().zip(asked(&python, &files)) {
        assert_eq!(i64::try_from(*expected).unwrap(), said, "{:?}", fs::read_to_string(file).unwrap());
    }

    let texts = sources(&library);
    assert!(texts.len() > 50, "{} has {} sources", library.display(), texts.len());
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut random = |below: usize| usize::try_from(rng.next_u64() % below.max(1) as u64).unwrap();
    let files: Vec<PathBuf> = (0..1200)
        .map(|index| {
            let text = texts[random(texts.len())].clone();
            let text = if index % 10 == 0 { text } else { damaged(&text, &mut random) };
            let file = folder.path().join(format!("{index}.py"));
            fs::write(&file, text).unwrap();
            file
        })
        .collect();
    let (mut broken, mut same, mut others) = (0, 0, Vec::new());
    for (file, said) in files.iter().zip(asked(&python, &files)) {
        let found = i64::try_from(line(&fs::read(file).unwrap(), Some((3, minor)))).unwrap();
        assert_eq!(found == 0, said == 0, "{said} to Python, {found} here: {}", fs::read_to_string(file).unwrap());
        broken += i64::from(said != 0);
        same += i64::from(said != 0 && found == said);
        if found != said {
            others.push((said, found));
        }
    }
    eprintln!(
        "{} sources, {broken} of them broken: the same ones, {same} at the same line; else {others:?}",
        files.len()
    );
    assert!(broken > 400 && same * 100 >= broken * 99, "{same} of {broken} at the same line: {others:?}");
}

#[test]
fn validate_names_the_file_and_the_line() {
    let project = Project::empty();
    for (name, text) in [
        ("app/main.py", "import os\n\ndef f(a,\n      b:\n    return a\n"),
        ("app/fine.py", "x = 1\n"),
        ("app/.cache/broken.py", "x = (\n"),
        ("app/venv/pyvenv.cfg", "home = /usr/bin\n"),
        ("app/venv/lib/broken.py", "x = (\n"),
        ("app/node_modules/broken.py", "x = (\n"),
        ("app/notes.txt", "x = (\n"),
    ] {
        project.write(name, text);
    }
    let asked = ["validate", "--root", "app", "--only", "syntax"];
    let report: Value = project.run(&[&asked[..], &["--format", "json"]].concat()).expect(3).json("validate");
    let group = &report["groups"][0];
    assert_eq!((&group["group"], &group["result"]), (&"syntax".into(), &"fail".into()), "{report}");
    assert_eq!(group["rules"][0]["message"], "Python cannot read 1 of 2", "{report}");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "python-syntax", "{report}");
    assert_eq!((&finding["at"]["file"], &finding["at"]["line"]), (&"main.py".into(), &3.into()), "{report}");
    let shown = project.run(&asked).expect(3);
    insta::assert_snapshot!("validate-syntax", shown.out);
    project.write("app/main.py", "import os\n");
    project.run(&asked).expect(0).says("pass          sources-parse     2 read");
    project.run(&["validate", "--root", "nowhere"]).expect(1).says("there is no folder `nowhere`");
}
