//! What tests and benchmarks share: the machines of `tests/machines/`, the captures and the shipped policies.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use serde_json::Value;
use wan22_policy::corpus::Corpus;
use wan22_policy::diag::Source;
use wan22_policy::engine::{Question, evaluate};
use wan22_policy::expr::Expr;
use wan22_policy::facts::workload::{self, Workload};
use wan22_policy::facts::{Fact, Facts, Origin, file, vocabulary};
use wan22_policy::plan::Plan;
use wan22_policy::policy::{LoadOptions, LoadedFile, PolicySet, What, compile, load, table};
use wan22_policy::yaml::ScalarText;
use wan22_policy::{schema, yaml};

pub mod program;
pub mod project;
pub mod python;
pub mod stack;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub mod trace;

/// The machine that the seed report describes.
pub const REFERENCE: &str = "rtx-4080-16g-128g-5995wx-nps4";

/// The shipped policy files.
pub static FILES: LazyLock<Vec<LoadedFile>> = LazyLock::new(|| load(&LoadOptions::default()).unwrap().0);
/// The day of the tests.
pub const AS_OF: &str = "2026-11-23";
/// The shipped table of cards.
pub static CARDS: LazyLock<Value> = LazyLock::new(|| {
    let options = LoadOptions { what: What::Tables, ..LoadOptions::default() };
    table(&load(&options).unwrap().0, "gpus").unwrap()
});
/// The machines of `tests/machines/`.
pub static CORPUS: LazyLock<Corpus> =
    LazyLock::new(|| Corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines"), &CARDS).unwrap());
/// The shipped policies.
pub static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| compile(&FILES).unwrap());

/// The library that answers as NVML does, which cargo builds beside the tests that depend on it.
pub fn nvml_fake() -> String {
    let library = std::env::current_exe().unwrap().with_file_name("libnvml_fake.so");
    assert!(library.exists(), "`{}` is not built", library.display());
    library.display().to_string()
}

/// A file of boards for that library, by its name.
pub fn boards(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml").join(case).with_extension("yaml")
}

/// That each fact comes from where the table of facts says.
pub fn assert_origins_are_declared(whose: &str, facts: &Facts) {
    for (name, fact) in facts.iter() {
        let Fact::Known { origin, .. } = fact else { continue };
        let declared = vocabulary::find(name).unwrap().origins;
        assert!(
            declared.contains(origin) || matches!(origin, Origin::File | Origin::User),
            "{whose}: `{name}` comes from {origin}, which the table does not say"
        );
    }
}

/// JSON that the program printed, which must satisfy the schema of its format.
#[track_caller]
pub fn printed(format: &str, text: &str) -> Value {
    let schema: Value = serde_json::from_str(&schema::find(format).unwrap().text()).unwrap();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{}\n{text}", errors.join("\n"));
    value
}

/// A machine file with a workload.
pub fn read_machine(path: &Path, workload: &str) -> Facts {
    let text = fs::read_to_string(path).unwrap();
    let facts = file::read(&yaml::parse(Source::new(path.display().to_string(), text)).unwrap()).unwrap();
    asked(facts, workload)
}

/// A machine that is only described, `NAME=VALUE` each, with a workload.
pub fn described<'a>(mut facts: Facts, said: impl IntoIterator<Item = &'a str>, workload: &str) -> Facts {
    for fact in said {
        file::override_fact(&mut facts, fact).unwrap();
    }
    asked(facts, workload)
}

fn asked(mut facts: Facts, workload: &str) -> Facts {
    workload.parse::<Workload>().unwrap().record(&mut facts);
    // A model of other policies has no row here.
    let _ = workload::complete(&mut facts, POLICIES.table("models").and_then(Value::as_object).unwrap());
    facts
}

/// A machine of `tests/machines/` by its name.
pub fn machine(name: &str, workload: &str) -> Facts {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    read_machine(&root.join(format!("tests/machines/{name}.yaml")), workload)
}

/// The question without pins, on a fixed day.
pub fn question(pins: BTreeMap<usize, Value>) -> Question {
    Question { pins, as_of: AS_OF.parse().unwrap() }
}

/// An expression over the shipped policies.
pub fn expression(text: &str) -> Expr {
    let document = yaml::parse(Source::new("<test>", text)).unwrap();
    POLICIES.language.compile(text, &ScalarText::opaque(document.span("")), &[]).unwrap()
}

/// The plan without pins.
pub fn plan(set: &PolicySet, facts: &Facts) -> Plan {
    evaluate(set, facts, &question(BTreeMap::new()))
}

/// The folder of real machines' dumps, and what other tools read from them; `None`, with a word, where it is not there.
pub fn captures() -> Option<(PathBuf, Value)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/hardware");
    let folder = env::var_os("WAN22_CAPTURES").map_or_else(beside, PathBuf::from);
    match fs::read_to_string(folder.join("expected.json")) {
        Ok(text) => Some((folder, serde_json::from_str(&text).expect("`expected.json` is JSON"))),
        Err(error) => {
            eprintln!("SKIPPED: no captures in `{}` ({error})", folder.display());
            None
        }
    }
}
