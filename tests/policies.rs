//! Policy files, good and bad: each bad one gives exactly the finding that its folder is named for, and its correction
//! none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::{CORPUS, REFERENCE, machine, question};
use wan22_policy::corpus::Corpus;
use wan22_policy::diag::{CODES, Finding, codes};
use wan22_policy::engine::{self, evaluate};
use wan22_policy::lint::{self, lint};
use wan22_policy::plan::{Origin, Plan};
use wan22_policy::policy::{LoadError, LoadOptions, What, compile, load};
use wan22_policy::report::findings::render;
use wan22_policy::report::paint::Paint;

/// Machines on which what only machines show is looked for.
const MACHINES: [&str; 2] = ["no-gpu-32g-i7-1270p", REFERENCE];

fn options(directory: Option<&Path>) -> LoadOptions {
    let directories = directory.map(Path::to_path_buf).into_iter().collect();
    LoadOptions { directories, what: What::All, ..LoadOptions::default() }
}

// The plan of the reference machine and what is found on the way there, or what stops it from being made.
fn plan(options: &LoadOptions, corpus: Option<&Corpus>) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let (files, mut findings) = load(options).map_err(|error| match error {
        LoadError::Invalid(findings) => findings,
        unreadable => panic!("{unreadable}"),
    })?;
    let set = compile(&files)?;
    findings.extend(lint(&set, corpus.map(|corpus| (corpus, common::AS_OF.parse().unwrap()))));
    let facts = machine(REFERENCE, "ti2v-5b:1280x704x49");
    let plan = evaluate(&set, &facts, &question(BTreeMap::new()));
    let evaluation = engine::evaluation(&set, &facts, &plan);
    for file in set.targets.iter().flat_map(|target| &target.files) {
        // That there is no installation here says nothing of the target; its default is written instead.
        let found = file.edit(None, true, &plan, &evaluation, &file.path).findings;
        findings.extend(found.into_iter().filter(|finding| finding.code.as_str() != "config-default-restored"));
    }
    Ok((plan, findings))
}

// A folder of policies for each code, good or bad ones.
struct Cases(BTreeMap<String, PathBuf>);

impl Cases {
    fn of(kind: &str) -> Self {
        let folders = fs::read_dir(Path::new("tests/policies").join(kind)).unwrap().map(|entry| entry.unwrap().path());
        Self(folders.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder)).collect())
    }

    // What the policies of the folder have to say for themselves.
    fn findings(&self, code: &str) -> Vec<Finding> {
        let folder = &self.0[code];
        // Targets are trusted as an author trusts their own; the one case is about a stranger's.
        let options = LoadOptions { allow_targets: !folder.ends_with("bad/untrusted-target"), ..options(Some(folder)) };
        // A check that always fails shows in its file, or only on machines.
        let is_of_machines = lint::corpus::CODES.contains(&code) || code == "check-always-fails";
        let corpus = is_of_machines.then(|| Corpus {
            machines: CORPUS.machines.iter().filter(|m| MACHINES.contains(&m.name.as_str())).cloned().collect(),
            unreadable: Vec::new(),
        });
        let mut findings = match plan(&options, corpus.as_ref()) {
            Ok((plan, findings)) => [findings, plan.findings].concat(),
            Err(findings) => findings,
        };
        // What checks and the shipped policies have to say of the machines is not the case's concern, except for the
        // findings of its code, which may point at no place.
        findings.retain(|finding| codes::find(finding.code.as_str()).is_some());
        findings.retain(|finding| {
            let mut files = finding.labels.iter().map(|label| Path::new(&label.span.source.name));
            finding.code.as_str() == code && files.all(|file| !file.starts_with("<built-in>"))
                || finding.labels.iter().any(|label| Path::new(&label.span.source.name).starts_with(folder))
        });
        findings
    }
}

// The codes that the modules give, with the modules below them.
fn codes_in(modules: &[&str]) -> BTreeSet<String> {
    let mut paths: Vec<PathBuf> = modules.iter().map(PathBuf::from).collect();
    let mut found = BTreeSet::new();
    while let Some(path) = paths.pop() {
        let below = path.with_extension("");
        if below.is_dir() {
            paths.extend(fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()));
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let names = CODES.iter().map(|info| info.name).filter(|name| code.contains(&format!("\"{name}\"")));
        found.extend(names.map(str::to_owned));
    }
    found
}

#[test]
fn shipped_policies_load_without_a_finding() {
    let (files, findings) = load(&options(None)).unwrap();
    assert_eq!(findings, []);
    let set = compile(&files).unwrap();
    assert_eq!(lint(&set, None), []);
}

#[test]
fn every_form_of_a_policy_loads_without_a_finding() {
    let (plan, warnings) = plan(&options(Some(Path::new("tests/policies/forms"))), None).unwrap();
    assert_eq!(warnings, []);
    let value = |name: &str| plan.settings[name].value.clone();
    assert_eq!(value("monitor.interval"), 0.5);
    assert_eq!(value("memory.reserve"), 1_i64 << 30);
    assert_eq!(value("batch.size"), 2);
    assert_eq!(value("attention.slicing"), false);
    assert_eq!(value("threads.workers"), 7);
    assert_eq!(plan.settings["threads.workers"].origin, Origin::Pin, "layer 90 is the user's");
    assert_eq!(value("vae.tile_overlap"), 32, "a limit moves a number");
    assert!(!plan.settings.contains_key("objective.vram"), "`disable` switches a lower layer's policy off");
}

/// What `check` can find in policies, and a plan in them.
#[test]
fn each_code_has_an_example_and_its_correction() {
    let asked =
        ["src/yaml.rs", "src/policy.rs", "src/expr.rs", "src/lint.rs", "src/engine.rs", "src/diag/placeholder.rs"];
    let names = |cases: Cases| cases.0.into_keys().collect::<BTreeSet<String>>();
    let (bad, good) = (names(Cases::of("bad")), names(Cases::of("good")));
    assert_eq!(bad, good);
    assert_eq!(codes_in(&asked).difference(&bad).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_bad_policy_gives_the_finding_it_is_named_for() {
    let cases = Cases::of("bad");
    for code in cases.0.keys().filter(|code| *code != WITHOUT_TEXT) {
        let ours = cases.findings(code);
        assert!(!ours.is_empty(), "{code}: no finding");
        assert!(ours.iter().all(|finding| finding.code.as_str() == code), "{code}: {ours:#?}");
        insta::assert_snapshot!(code.as_str(), render(&ours, Paint::default()));
    }
}

#[test]
fn each_corrected_policy_gives_none() {
    let cases = Cases::of("good");
    let codes = cases.0.keys().filter(|code| *code != WITHOUT_TEXT);
    let findings: Vec<Finding> = codes.flat_map(|code| cases.findings(code)).collect();
    assert!(findings.is_empty(), "{}", render(&findings, Paint::default()));
}

/// Not of the text of a file, but of who may write it: the next test's.
const WITHOUT_TEXT: &str = "untrusted-policy";

/// Only root has something to lose to a file that others may write; others see that the mode is of no matter to them.
#[cfg(unix)]
#[test]
fn root_refuses_policies_that_others_may_write() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("85-site.yaml");
    for (kind, mode) in [("good", 0o644), ("bad", 0o664), ("bad", 0o646)] {
        fs::copy(Cases::of(kind).0[WITHOUT_TEXT].join("85-site.yaml"), &file).unwrap();
        let is_root = fs::metadata(&file).unwrap().uid() == 0;
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let (_, findings) = load(&options(Some(directory.path()))).unwrap();
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, if is_root && kind == "bad" { vec![WITHOUT_TEXT] } else { vec![] }, "{mode:o}");
    }
}

/// A function does not use up the variable that it is given.
#[test]
fn a_closure_may_pass_its_variable_on_again() {
    let directory = tempfile::tempdir().unwrap();
    let text = "functions:
  is_small: { parameters: { n: count }, returns: bool, expression: n < 3, why: x }
  stays: { parameters: { s: data.strategies }, returns: bool, expression: 's.dit == \"none\"', why: x }
policies:
  - id: twice
    when: '[1, 2].all(|n| is_small(n) && is_small(n)) && data.strategies.some(|s| stays(s) && stays(s) && s.quant == \"none\")'
    set: { batch.size: 2 }
";
    fs::write(directory.path().join("85-site.yaml"), text).unwrap();
    let (plan, _) = plan(&options(Some(directory.path())), None).unwrap();
    assert_eq!(plan.settings["batch.size"].value, 2);
}

/// Another file's rows join a table; where a name is taken the higher layer's counts.
#[test]
fn rows_are_added_to_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let added = |table: &str, rows: &str| format!("data:\n  {table}: {{ {rows}, why: a test, source: estimate }}\n");
    let run = |files: &[(&str, String)]| {
        fs::create_dir_all(directory.path().join("models")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let set = load(&options(Some(directory.path()))).map_err(|error| error.to_string()).and_then(|(files, _)| {
            compile(&files)
                .map_err(|findings| findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("\n"))
        });
        for (name, _) in files {
            fs::remove_file(directory.path().join(name)).unwrap();
        }
        set
    };
    let site = |rows: &str| ("85-site.yaml", added("models", rows));
    let set = run(&[site("adds: { tiny: { width: 64, dim: 8 } }")]).unwrap();
    let models = set.table("models").unwrap();
    assert_eq!((&models["tiny"]["dim"], &models["tiny"]["name"]), (&8.into(), &"tiny".into()));
    assert!(models["ti2v-5b"]["dim"] == 3072, "the others stay");
    let set = run(&[site("adds: { ti2v-5b: { width: 64, dim: 8 } }")]).unwrap();
    assert_eq!(set.table("models").unwrap()["ti2v-5b"]["dim"], 8);
    let set = run(&[site("adds: { a: { dim: 1 } }"), ("models/b.yaml", added("models", "adds: { a: { dim: 2 } }"))]);
    assert_eq!(set.unwrap().table("models").unwrap()["a"]["dim"], 1);

    let refused = |files: &[(&str, String)]| run(files).err().unwrap();
    let twice = [
        ("models/a.yaml", added("models", "adds: { x: { dim: 1 } }")),
        ("models/b.yaml", added("models", "adds: { x: { dim: 2 } }")),
    ];
    assert_eq!(refused(&twice), "data `models` has the row `x` twice in layer 0");
    assert!(
        refused(&[("85-site.yaml", added("model", "adds: { x: { dim: 1 } }"))]).contains("there is no table `model`")
    );
    assert!(
        refused(&[site("adds: [ { dim: 1 } ]")]).contains("the table is a map of rows, so what is added is one too")
    );
    assert!(refused(&[site("adds: { x: { dim: wide } }")]).contains("is not a number with a unit"));
    assert!(
        refused(&[site("adds: { x: { dim: 1 } }, rows: { y: { dim: 1 } }")]).contains("both adds rows and is a table")
    );
    assert!(
        refused(&[("85-site.yaml", added("cuda_context", "adds: { x: { dim: 1 } }"))]).contains("it is a constant")
    );
    assert!(
        refused(&[("85-site.yaml", added("strategies", "adds: { x: { dit: none } }"))]).contains("is a list of rows")
    );
}

/// A policy file from a stranger cannot crash or stall the program.
#[test]
fn hostile_policies_end_in_a_finding() {
    let directory = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        fs::write(directory.path().join("85-site.yaml"), text).unwrap();
        match plan(&options(Some(directory.path())), None) {
            Ok((plan, _)) => plan.findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("\n"),
            Err(findings) => findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("\n"),
        }
    };
    let mut chain =
        "functions:\n  f0: { parameters: { a: count }, returns: count, expression: a, why: x }\n".to_owned();
    for i in 1..2000 {
        chain +=
            &format!("  f{i}: {{ parameters: {{ a: count }}, returns: count, expression: f{}(a), why: x }}\n", i - 1);
    }
    assert!(run(&chain).contains("more than 64 deep"));

    let by_name =
        "functions:\n  ff: { parameters: { a: count }, returns: count, expression: '[a].map(\"ff\").len()', why: x }\n";
    assert!(run(by_name).contains("takes a closure"));

    let ones = ["1"; 16_000].join(",");
    let sums = ["sum(data.b)"; 12].join(" + ");
    let heavy = format!(
        "data:\n  b: {{ value: [{ones}], why: x, source: x }}\npolicies:\n  - id: heavy\n    when: 'data.b.all(|x| {sums} > 0)'\n    set: {{ batch.size: 1 }}\n"
    );
    assert!(run(&heavy).contains("too much work"));
}
