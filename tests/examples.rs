//! The examples of `policies/README.md`: each loads over the shipped policies without a finding, and gives what it claims.
//!
//! The first comment of an example says what it is: `# 85-site.yaml` a policy file, `# into FILE, under data.TABLE.rows` rows
//! of a shipped table, `# tests/machines/NAME.yaml` a machine. Comments that begin with `# on MACHINE` are claims.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::fs;
use std::path::Path;

use common::{CARDS, plan, read_machine};
use wan22_policy::facts::cards;
use wan22_policy::facts::units::show;
use wan22_policy::lint::lint;
use wan22_policy::plan::Plan;
use wan22_policy::policy::{LoadError, LoadOptions, PolicySet, What, compile, load};
use wan22_policy::report::findings::render;
use wan22_policy::report::paint::Paint;

/// What the page asks for where a claim names no workload.
const WORKLOAD: &str = "ti2v-5b:1280x704x49";

struct Example {
    line: usize,
    name: String,
    text: String,
}

impl Example {
    // `# on MACHINE[ with WORKLOAD]: WHAT`.
    fn claims(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.text.lines().filter_map(|line| line.strip_prefix("# on ")).map(move |claim| {
            let (place, what) = claim.split_once(": ").unwrap_or_else(|| panic!("{self}: `{claim}` claims nothing"));
            let (machine, workload) = place.split_once(" with ").unwrap_or((place, WORKLOAD));
            (machine, workload, what)
        })
    }
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policies/README.md:{} ({})", self.line, self.name)
    }
}

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn examples() -> Vec<Example> {
    let page = fs::read_to_string(repository("policies/README.md")).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        match (inside, line) {
            (false, "```yaml") => {
                inside = true;
                examples.push(Example { line: number + 1, name: String::new(), text: String::new() });
            }
            (true, "```") => inside = false,
            (true, line) => {
                let example = examples.last_mut().unwrap();
                if example.name.is_empty() && !line.starts_with("# yaml-language-server") {
                    let name = line.strip_prefix("# ").unwrap_or_else(|| panic!("line {}: no name", example.line));
                    example.name = name.to_owned();
                }
                example.text += line;
                example.text.push('\n');
            }
            (false, line) => assert!(!line.trim_start().starts_with("```yaml"), "line {}: an odd fence", number + 1),
        }
    }
    examples
}

// The shipped policies with a file of the example, which says nothing wrong.
fn policies(example: &Example) -> PolicySet {
    let folder = tempfile::tempdir().unwrap();
    let (file, text) = match example.name.strip_prefix("into ") {
        Some(place) => {
            let (file, table) = place.split_once(", under data.").unwrap();
            let shipped = fs::read_to_string(repository("policies").join(file)).unwrap();
            (file, with_rows(&shipped, table.strip_suffix(".rows").unwrap(), &example.text))
        }
        None => (example.name.as_str(), example.text.clone()),
    };
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let directories = vec![folder.path().to_path_buf()];
    let options = LoadOptions { directories, allow_targets: true, what: What::All, ..LoadOptions::default() };
    let (files, mut findings) = load(&options).unwrap_or_else(|error| match error {
        LoadError::Invalid(findings) => panic!("{example}:\n{}", render(&findings, Paint::default())),
        unreadable => panic!("{example}: {unreadable}"),
    });
    let set = compile(&files).unwrap_or_else(|found| panic!("{example}:\n{}", render(&found, Paint::default())));
    findings.extend(lint(&set, None));
    assert!(findings.is_empty(), "{example}:\n{}", render(&findings, Paint::default()));
    set
}

// The text of a policy file with more rows at the head of a table.
fn with_rows(file: &str, table: &str, rows: &str) -> String {
    let head = file.find(&format!("\n  {table}:\n")).unwrap();
    let at = head + file[head..].find("\n    rows:\n").unwrap() + "\n    rows:\n".len();
    let rows: String = rows.lines().map(|line| format!("      {line}\n")).collect();
    format!("{}{rows}{}", &file[..at], &file[at..])
}

fn what_is(plan: &Plan, name: &str) -> String {
    match plan.settings.get(name) {
        Some(setting) => {
            let policy = setting.policy.as_ref().map_or("pinned", |policy| policy.id.as_str());
            let moved = setting
                .moved
                .as_ref()
                .map(|(from, by)| format!(", moved from {} by {}", show(from, setting.unit), by.id));
            format!("{name} is {} ({policy}{})", show(&setting.value, setting.unit), moved.unwrap_or_default())
        }
        None => format!("{name} has no value"),
    }
}

#[test]
fn every_example_loads_and_gives_what_it_claims() {
    let examples = examples();
    let is_machine = |example: &Example| example.name.starts_with("tests/machines/");
    let folder = tempfile::tempdir().unwrap();
    for machine in examples.iter().filter(|example| is_machine(example)) {
        fs::write(folder.path().join(machine.name.rsplit('/').next().unwrap()), &machine.text).unwrap();
    }
    let (mut claims, mut broken) = (0, String::new());
    for example in &examples {
        let set = if is_machine(example) { &*common::POLICIES } else { &policies(example) };
        for (machine, workload, claim) in example.claims() {
            let file = format!("{machine}.yaml");
            let own = folder.path().join(&file);
            let path = if own.exists() { own } else { repository("tests/machines").join(&file) };
            let mut facts = read_machine(&path, workload);
            cards::fill(&mut facts, &CARDS);
            let plan = plan(set, &facts);
            let said = claim.split_once(' ').map_or(claim, |(name, _)| name);
            let found: Vec<String> = match said.contains('[') {
                true => plan.findings.iter().map(|f| format!("{}[{}]: {}", f.severity, f.code, f.message)).collect(),
                false => vec![what_is(&plan, said)],
            };
            if !found.iter().any(|found| found == claim) {
                broken += &format!("{example}: on {machine} not `{claim}` but\n  {}\n", found.join("\n  "));
            }
            claims += 1;
        }
        let decides = example.text.contains("\npolicies:") || example.text.contains("\nchecks:");
        assert!(!decides || example.claims().next().is_some(), "{example} claims nothing");
    }
    assert!(broken.is_empty(), "{broken}");
    assert!(examples.len() >= 12 && claims >= 15, "{} examples, {claims} claims", examples.len());
}

/// A recipe names commands, files and pages that are there.
#[test]
fn the_page_names_what_is_there() {
    let page = fs::read_to_string(repository("policies/README.md")).unwrap();
    for (_, rest) in page.match_indices("](").map(|(at, found)| page.split_at(at + found.len())) {
        let link = rest.split([')', '#']).next().unwrap();
        let is_path = !link.is_empty() && !link.starts_with("http");
        assert!(!is_path || repository("policies").join(link).exists(), "the link to `{link}` leads nowhere");
    }
}
