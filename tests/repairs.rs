//! The repairs of Python sources: what a hand forgot comes back, and nothing else is changed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic and speak"
)]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use common::python::{asked, python, sources};
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand_core::Rng;
use ruff_python_ast::comparable::ComparableMod;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use wan22_policy::validate::python::check;
use wan22_policy::validate::python::repair::repair;

/// What a hand forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slip {
    Opening,
    Closing,
    Colon,
    Quote,
    Comma,
}

const SLIPS: [Slip; 5] = [Slip::Opening, Slip::Closing, Slip::Colon, Slip::Quote, Slip::Comma];

const HEADS: [&str; 14] = [
    "async", "case", "class", "def", "elif", "else", "except", "finally", "for", "if", "match", "try", "while", "with",
];

/// Places of one byte that a slip may take away.
fn places(text: &str, slip: Slip) -> Vec<usize> {
    let all = |what: &[char]| text.match_indices(what).map(|(at, _)| at).collect();
    // Ends of lines, by what the line is.
    let ends = |end: char, is_meant: &dyn Fn(&str) -> bool| {
        let mut start = 0;
        let mut found = Vec::new();
        for line in text.split_inclusive('\n') {
            let code = line.trim_end();
            if code.ends_with(end) && is_meant(code.trim_start()) {
                found.push(start + code.len() - 1);
            }
            start += line.len();
        }
        found
    };
    let is_head = |line: &str| HEADS.contains(&line.split(|next: char| !next.is_alphanumeric()).next().unwrap());
    match slip {
        Slip::Opening => all(&['(', '[', '{']),
        Slip::Closing => all(&[')', ']', '}']),
        Slip::Colon => ends(':', &is_head),
        Slip::Quote => all(&['"', '\'']),
        Slip::Comma => ends(',', &|_| true),
    }
}

fn is_same_program(one: &str, other: &str) -> bool {
    let parse = |text: &str| parse_unchecked(text, ParseOptions::from(Mode::Module)).into_syntax();
    ComparableMod::from(&parse(one)) == ComparableMod::from(&parse(other))
}

#[derive(Debug, Default)]
struct Count {
    broken: usize,
    exact: usize,
    same: usize,
    other: usize,
}

/// Sources of the library of Python with one character less: what is repaired is nearly always what stood there.
///
/// Of 20 000 slips with Python 3.11, 15 873 broke their file; 8382 were repaired, 1 of them to something else (measured
/// 2026-11-29). What is left is nearly all in doubt: `f(a, b` may have been `f(a), b`. `WAN22_SLIPS` is how many there are.
#[test]
fn slips_are_repaired_or_left() {
    let Some((python, library, minor)) = python() else {
        eprintln!("SKIPPED: no Python of 3.11 or newer is there");
        return;
    };
    let count: usize = env::var("WAN22_SLIPS").map_or(600, |count| count.parse().expect("a number"));
    let texts = sources(&library);
    assert!(texts.len() > 50, "{} has {} sources", library.display(), texts.len());
    let version = Some((3, minor));
    let folder = tempfile::tempdir().unwrap();
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut random = |below: usize| usize::try_from(rng.next_u64() % below.max(1) as u64).unwrap();
    let mut counts: BTreeMap<Slip, Count> = BTreeMap::new();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut wrong = Vec::new();
    for index in 0..count {
        let slip = SLIPS[index % SLIPS.len()];
        let text = &texts[random(texts.len())];
        let places = places(text, slip);
        if places.is_empty() {
            continue;
        }
        let at = places[random(places.len())];
        let damaged = format!("{}{}", &text[..at], &text[at + 1..]);
        if check(damaged.as_bytes(), version).unwrap().error.is_none() {
            continue;
        }
        let count = counts.entry(slip).or_default();
        count.broken += 1;
        let Some(repaired) = repair(damaged.as_bytes(), version) else { continue };
        let after = String::from_utf8(repaired.after.clone()).unwrap();
        if after == *text {
            count.exact += 1;
        } else if is_same_program(&after, text) {
            count.same += 1;
        } else {
            count.other += 1;
            let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let line = text[start..].lines().next().unwrap_or_default();
            wrong.push(format!("{slip:?} in {line:?}: {:?}", repaired.edits));
        }
        let file = folder.path().join(format!("{index}.py"));
        fs::write(&file, &repaired.after).unwrap();
        files.push(file);
    }
    for (file, said) in files.iter().zip(asked(&python, &files)) {
        assert_eq!(said, 0, "Python does not read it: {}", fs::read_to_string(file).unwrap());
    }
    for (slip, count) in &counts {
        eprintln!("{slip:?}: {count:?}");
    }
    eprintln!("something else: {}", wrong.join("\n"));
    let all = |of: fn(&Count) -> usize| counts.values().map(of).sum::<usize>();
    let repaired = all(|count| count.exact + count.same + count.other);
    eprintln!("{} broken, {repaired} repaired, {} of them to something else", all(|count| count.broken), wrong.len());
    assert!(repaired * 4 > all(|count| count.broken), "{counts:?}");
    assert!(wrong.len() * 200 < repaired, "{}", wrong.join("\n"));
}
