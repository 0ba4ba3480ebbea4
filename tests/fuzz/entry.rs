//! What is fuzzed: each function takes any bytes, and must neither panic nor break what it says.
#![allow(clippy::expect_used, reason = "a panic is what is looked for")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use wan22_policy::diag::{Finding, Source, Span};
use wan22_policy::engine::{Question, evaluate};
use wan22_policy::facts::file::{self, FactsFile};
use wan22_policy::facts::probe::checkpoints::{self, find::Kind, index::Index, recognise};
use wan22_policy::facts::probe::{self, nvidia_smi as dump};
use wan22_policy::facts::{Fact, Facts, Origin, cards};
use wan22_policy::lint::lint;
use wan22_policy::plan::Plan;
use wan22_policy::policy::rule::Test;
use wan22_policy::policy::{LoadError, LoadOptions, PolicySet, What, compile, load, table};
use wan22_policy::report::findings::render;
use wan22_policy::report::paint::Paint;
use wan22_policy::target::config::{Config, KeyChange};
use wan22_policy::target::json;
use wan22_policy::target::look::{Looked, look_at_json};
use wan22_policy::target::schema::{Edit, FileSchema};
use wan22_policy::target::source::Format;
use wan22_policy::validate::configs::Matched;
use wan22_policy::validate::python::{self, repair::repair};
use wan22_policy::validate::{Configs, judge};
use wan22_policy::yaml;

static TABLE: LazyLock<Value> = LazyLock::new(|| {
    let options = LoadOptions { what: What::Tables, ..LoadOptions::default() };
    table(&load(&options).expect("the shipped tables load").0, "gpus").expect("one is of cards")
});

static MACHINE: LazyLock<Facts> = LazyLock::new(|| {
    let machine = read_facts(Source::new("machine", include_str!("../machines/rtx-3060-12g-32g.yaml")));
    let mut facts = machine.expect("a machine of the tests is a facts file");
    facts.know("workload.model", "ti2v-5b", Origin::User);
    facts
});

/// The shipped files, each as one that says nothing, except for the models and the groups of rules: compiling all of them takes
/// most of a run.
static MASKS: LazyLock<Vec<(String, Arc<Source>)>> = LazyLock::new(|| {
    let (files, _) = load(&VALIDATION).expect("the shipped policies load");
    let is_kept =
        |name: &String| matches!(&**name, "10-models.yaml" | "validate/groups.yaml") || name.starts_with("models/");
    let names = files.into_iter().map(|file| file.name).filter(|name| !is_kept(name));
    names.map(|name| (name, Source::new("mask", ""))).collect()
});

static VALIDATION: LazyLock<LoadOptions> =
    LazyLock::new(|| LoadOptions { what: What::Validation, allow_targets: true, ..LoadOptions::default() });

/// A policy file beside the shipped models: read, compiled, searched for contradictions, evaluated and judged on one machine.
pub fn policies(bytes: &[u8]) {
    let file = ("85-site.yaml".to_owned(), source(bytes));
    let texts = MASKS.iter().cloned().chain([file]).collect();
    let files = match load(&LoadOptions { texts, ..VALIDATION.clone() }) {
        Ok((files, _)) => files,
        Err(LoadError::Invalid(findings)) => return show(&findings),
        Err(error) => panic!("{error}"),
    };
    match compile(&files) {
        Ok(set) => {
            show(&lint(&set, None));
            let question = Question { pins: BTreeMap::new(), as_of: "2026-11-23".parse().expect("a date") };
            let plan = evaluate(&set, &MACHINE, &question);
            show(&plan.findings);
            judged(&set, &plan);
        }
        Err(findings) => show(&findings),
    }
}

// The rules of a set, where each that is about files finds one.
fn judged(set: &PolicySet, plan: &Plan) {
    const FILE: &str = r#"{ "a": "1", "b": [2, { "c": null }], "tile": 64, "_class_name": "AutoencoderKLWan" }"#;
    let mut configs = Configs::default();
    for rule in &set.validation.rules {
        if let Test::Files(test) = &rule.test {
            std::hint::black_box(test.pattern.is_match("vae/config.json"));
            let looked = look_at_json(FILE, &test.schema, "config.json");
            if looked.config.as_ref().is_none_or(|config| test.is_about(config.value())) {
                mended(&looked, FILE);
                let files = vec!["config.json".to_owned()];
                let broken = if looked.problems.is_empty() { Vec::new() } else { files.clone() };
                configs.by_rule.insert(rule.id.clone(), Matched { files, broken });
            }
        }
    }
    let Some(formula) = &set.validation.verdict else { return };
    let groups: Vec<&str> = set.validation.groups.iter().map(|(name, _)| name.as_str()).collect();
    match judge(set, formula, &groups, (&MACHINE, plan), &configs) {
        Ok(verdict) => {
            assert_eq!(verdict.all.total(), verdict.judged.len());
            assert!(verdict.critical.total() <= verdict.all.total());
        }
        Err(finding) => show(&[finding]),
    }
}

/// A report of `nvidia-smi -q`, completed from the table of cards.
pub fn nvidia_smi(bytes: &[u8]) {
    match dump::read(source(bytes)) {
        Ok(facts) => saved_and_read_again(complete(facts)),
        Err(finding) => show(&[finding]),
    }
}

/// A facts file, completed from the table of cards.
pub fn facts(bytes: &[u8]) {
    match read_facts(source(bytes)) {
        Ok(facts) => saved_and_read_again(complete(facts)),
        Err(findings) => show(&findings),
    }
}

/// A checkpoint of each format, and an index of shards.
pub fn checkpoint(bytes: &[u8]) {
    let length = bytes.len() as u64;
    for kind in [Kind::Safetensors, Kind::Gguf, Kind::Pth] {
        let header = match checkpoints::read(Cursor::new(bytes), kind, length) {
            Ok(header) => header,
            Err(fault) => {
                std::hint::black_box(fault.to_string());
                continue;
            }
        };
        std::hint::black_box((
            recognise::named(&header.tensors, Default::default()),
            recognise::unnamed(&header.tensors),
        ));
        if header.fault_of_length(length).is_none() {
            let tensors = header.tensors.iter().map(|tensor| tensor.bytes);
            let all = tensors.fold(0_u64, |all, bytes| all.checked_add(bytes).expect("no file is so long"));
            assert!(all <= length, "{kind:?}: {all} bytes of tensors in {length}");
        }
    }
    if let Ok(index) = Index::read(bytes, length) {
        assert!(index.tensors().all(|(_, shard)| shard < index.shards().len()));
        assert!(index.shards().iter().all(|shard| !shard.contains(['/', '\\'])));
        std::hint::black_box(index.total_size());
    }
}

/// Schemas with keys of every kind: sections, what the weights decide, former names, what must be there.
static SCHEMAS: LazyLock<Vec<FileSchema>> = LazyLock::new(|| {
    let names = [
        "wan22-ui",
        "diffusers-autoencoder-kl-wan",
        "diffusers-unipc-multistep-scheduler",
        "diffusers-wan-transformer-3d",
    ];
    let schemas = names.map(|name| FileSchema::of_entry(&Value::from(name)).expect("it is shipped"));
    schemas.into()
});

/// A config file, in the format that the first byte names, and a key set in it: the rest of its line, up to `=`, and what
/// follows. The same byte names the schema that JSON is held against.
pub fn config(bytes: &[u8]) {
    const FORMATS: [Format; 6] = [Format::Json, Format::Toml, Format::Yaml, Format::Env, Format::Shell, Format::Batch];
    let Some((first, rest)) = bytes.split_first() else { return };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    let text = String::from_utf8_lossy(rest);
    let Some((line, text)) = text.trim_start_matches('\n').split_once('\n') else { return };
    if format == Format::Json {
        held_against(&SCHEMAS[usize::from(*first) / FORMATS.len() % SCHEMAS.len()], text);
    }
    let (name, value) = line.split_once('=').unwrap_or((line, "x"));
    let Ok(path) = format.path(name) else { return };
    let lists: BTreeSet<String> = format.list_of(&path).into_iter().collect();
    let Ok(mut config) = Config::read(format, text, &lists) else { return };
    assert_eq!(config.text(), text, "{format:?}");
    std::hint::black_box(config.position(&path));
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    let change = KeyChange { path, value };
    match config.set(&change) {
        Err(_) => assert_eq!(config.text(), text, "{format:?}: refused and changed"),
        Ok(()) => {
            let after = config.text();
            let held = config.held(&change.path, &change.value).expect("a key that was set is there");
            assert!(config.same(&held, &config.spelt(&change.path, &change.value)), "{format:?}: {held}");
            config.set(&change).expect("what was set can be set again");
            assert_eq!(config.text(), after, "{format:?}: setting it again changed something");
            removed_and_renamed(&config, &change.path);
        }
    }
}

// A key goes, or goes by another name, and nothing else changes.
fn removed_and_renamed(config: &Config, path: &[String]) {
    let mut removed = config.clone();
    match removed.remove(path) {
        Err(_) => assert_eq!(removed.text(), config.text(), "refused and changed"),
        Ok(()) => {
            assert_eq!(removed.get(path), None);
            assert_eq!(without(removed.value(), &[]), without(config.value(), &[path.to_vec()]));
            assert!(removed.remove(path).is_err(), "it is there no more");
        }
    }
    let mut renamed = config.clone();
    let (Some((last, section)), Some(_)) = (path.split_last(), config.get(path)) else { return };
    let other = [section, &[format!("{last}_")]].concat();
    match renamed.rename(path, &format!("{last}_")) {
        Err(_) => assert_eq!(renamed.text(), config.text(), "refused and changed"),
        Ok(()) => {
            assert_eq!((renamed.get(path), renamed.get(&other)), (None, config.get(path)));
            assert_eq!(spelling(&renamed, &other), spelling(config, path));
            let touched = [path.to_vec(), other];
            assert_eq!(without(renamed.value(), &touched), without(config.value(), &touched));
        }
    }
}

// What a schema finds in a JSON file, put right until nothing more can be.
fn held_against(schema: &FileSchema, text: &str) {
    // What can only be seen in what was put right is put right in the next round.
    const ROUNDS: usize = 3;
    let mut text = text.to_owned();
    let mut edits = Vec::new();
    for _ in 0..=ROUNDS {
        let looked = look_at_json(&text, schema, "config.json");
        let (after, done) = mended(&looked, &text);
        assert!(done.iter().all(|edit| !edits.contains(edit)), "{done:?} again in {text}");
        if done.is_empty() {
            return;
        }
        edits.extend(done);
        text = after;
    }
    panic!("there is no end to {edits:?} in {text}");
}

// A file with what can be put right, and by which edits. No other value is changed.
fn mended(looked: &Looked, text: &str) -> (String, Vec<Edit>) {
    let findings: Vec<Finding> = looked.problems.iter().map(|problem| problem.finding.clone()).collect();
    show(&findings);
    let (after, done) = looked.mended("");
    let done: Vec<Edit> = done.iter().filter_map(|index| looked.problems[*index].edit.clone()).collect();
    let Some(config) = &looked.config else {
        if let [Edit::Mend(..)] = &*done {
            assert!(json::parse(&after).expect("what was mended is JSON").is_object());
            assert_eq!(json::mend::mend(&after), None, "nothing is left to mend");
            let kept = |text: &str| text.replace([',', '}', ']', '\n'], "");
            assert_eq!(kept(&after), kept(text));
        }
        return (after, done);
    };
    if done.is_empty() {
        assert_eq!(after, text);
    }
    let read = Config::read(Format::Json, &after, &BTreeSet::new()).expect("it is JSON as before");
    let mut touched = Vec::new();
    for edit in &done {
        match edit {
            Edit::Set(change) => touched.push(change.path.clone()),
            Edit::Remove(path) => touched.push(path.clone()),
            Edit::Rename(path, other) => {
                let section = &path[..path.len() - 1];
                touched.extend([path.clone(), [section, std::slice::from_ref(other)].concat()]);
            }
            Edit::Restore | Edit::Mend(..) => panic!("{edit:?} of a file that can be read"),
        }
    }
    assert_eq!(without(read.value(), &touched), without(config.value(), &touched), "{done:?}");
    (after, done)
}

// Values without those at some paths.
fn without(value: &Value, paths: &[Vec<String>]) -> Value {
    let mut value = value.clone();
    for path in paths {
        let Some((last, sections)) = path.split_last() else { continue };
        let section = sections.iter().try_fold(&mut value, |value, key| value.get_mut(key));
        section.and_then(Value::as_object_mut).map(|entries| entries.shift_remove(last));
    }
    value
}

// How a value is written, up to where it may end: what a number that no tree holds is, such as NaN, shows only there.
fn spelling(config: &Config, path: &[String]) -> String {
    let (line, column) = config.position(path).expect("it is there");
    let text = config.text();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.split('\n').nth(line - 1).expect("it has such a line");
    let end = |c: &char| !matches!(c, ',' | '}' | ']' | ' ' | '\t' | '\r');
    line.chars().skip(column - 1).take_while(end).collect()
}

// As `--facts` and `--nvidia-smi` read their files, but for UTF-16.
fn source(bytes: &[u8]) -> Arc<Source> {
    Source::new("input", String::from_utf8_lossy(bytes))
}

fn read_facts(source: Arc<Source>) -> Result<Facts, Vec<Finding>> {
    let mut facts = file::read(&yaml::parse(source).map_err(|finding| vec![finding])?)?;
    probe::check(&mut facts);
    Ok(facts)
}

fn complete(mut facts: Facts) -> Facts {
    cards::fill(&mut facts, &TABLE);
    show(&facts.findings);
    facts
}

// What is known of a machine stays what it is when it is saved.
fn saved_and_read_again(facts: Facts) {
    let text = yaml::write(&FactsFile::from(&facts)).expect("facts can be written");
    let again = read_facts(Source::new("saved", &*text));
    let again = again.unwrap_or_else(|findings| panic!("{}\n{text}", render(&findings, Paint::default())));
    assert_eq!(known(&again), known(&facts), "{text}");
}

fn known(facts: &Facts) -> BTreeMap<&str, &Value> {
    let values = facts.iter().filter_map(|(name, fact)| match fact {
        Fact::Known { value, .. } => Some((name, value)),
        Fact::Unknown { .. } => None,
    });
    values.collect()
}

fn show(findings: &[Finding]) {
    std::hint::black_box(render(findings, Paint::default()));
}

/// A Python source, as the Python reads it that its length names.
pub fn python(bytes: &[u8]) {
    let minor = 7 + u8::try_from(bytes.len() % 9).expect("less than nine");
    let Ok(checked) = python::check(bytes, Some((3, minor))) else { return };
    if let Some(error) = checked.error {
        assert!(python::steps(&error, &checked.text).len() > 1, "{error:?}");
        let span = Span { source: Source::new("x.py", checked.text), range: error.range };
        assert!(span.range.end <= span.source.text.len() && span.at().line >= 1, "{span:?}");
        let finding = Finding::error("python-syntax", error.message).at(span, "");
        std::hint::black_box(render(&[finding], Paint::default()));
    }
    repaired(bytes, Some((3, minor)));
}

// What is repaired can be read, and is the old file outside the edits.
fn repaired(bytes: &[u8], version: Option<(u8, u8)>) {
    let Some(found) = repair(bytes, version) else { return };
    let checked = python::check(&found.after, version).expect("it was looked at");
    assert_eq!(checked.error, None, "{found:?}");
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut edited = bytes[..bytes.len() - text.len()].to_vec();
    let mut at = 0;
    for edit in &found.edits {
        edited.extend_from_slice(&text[at..edit.range.start]);
        edited.extend_from_slice(edit.insert.as_bytes());
        at = edit.range.end;
    }
    edited.extend_from_slice(&text[at..]);
    assert_eq!(edited, found.after, "{:?}", found.edits);
    assert_eq!(repair(&found.after, version), None, "nothing is left to repair");
}
