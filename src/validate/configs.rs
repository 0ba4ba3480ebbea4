//! The config files of an installation and of its models, held against their schemas.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::Repair;
use super::tree::{Entry, Tree};
use crate::apply::{self, ApplyError, FileChange, Root};
use crate::diag::{Finding, Severity};
use crate::facts::probe::checkpoints::find::Kind;
use crate::policy::Validation;
use crate::policy::rule::{FilesTest, Test};
use crate::target::Target;
use crate::target::look::{Looked, look_at_json};
use crate::target::schema::Edit;

/// Larger files are not read: a model's config has a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// What became of the config files.
#[derive(Clone, Debug, Default)]
pub struct Configs {
    /// Files of the stack that are there.
    pub present: Vec<String>,
    /// Files of the stack that it cannot use as they are.
    pub broken: Vec<String>,
    /// Files that rules are about, by the rule's id.
    pub by_rule: BTreeMap<String, Matched>,
    /// What is wrong, by file and place.
    pub findings: Vec<Finding>,
    /// The files that can be put right.
    pub repairs: Vec<Repair>,
}

/// The files that one rule is about.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// All of them.
    pub files: Vec<String>,
    /// Those that do not satisfy its schema, or could not be read.
    pub broken: Vec<String>,
}

/// Looks at the files of a stack, and at those that rules are about. `planned` are the former as `apply` would write them.
///
/// # Errors
/// A file of the stack that lies behind a link out of the root, or cannot be read.
pub fn look(
    root: &Root,
    target: Option<&Target>,
    planned: &[Value],
    validation: &Validation,
    tree: &Tree,
) -> Result<Configs, ApplyError> {
    let mut configs = Configs::default();
    if target.is_none() {
        let message = "no known stack, so the files of none were looked at";
        configs.findings.push(Finding::note("stack-unknown", message).help("name it with --target"));
    }
    for (index, file) in target.iter().flat_map(|target| target.files.iter().enumerate()) {
        let bytes = apply::read(root, &file.path)?;
        let text = bytes.as_deref().map(String::from_utf8_lossy);
        configs.present.extend(text.is_some().then(|| file.path.clone()));
        let planned = planned.get(index).unwrap_or(&Value::Null);
        let looked = file.look(text.as_deref(), index == 0, planned, &file.path);
        if configs.take(&file.path, &looked, bytes, &file.restored()) {
            configs.broken.push(file.path.clone());
        }
    }
    for rule in &validation.rules {
        if let Test::Files(test) = &rule.test {
            let matched = configs.matched(test, tree);
            configs.by_rule.insert(rule.id.clone(), matched);
        }
    }
    Ok(configs)
}

impl Configs {
    // Takes over what there is to say of a file; whether it cannot be used as it is.
    fn take(&mut self, file: &str, looked: &Looked, before: Option<Vec<u8>>, restored: &str) -> bool {
        let (after, mended) = looked.mended(restored);
        let says = |i: &usize| {
            let problem = looked.problems.get(*i)?;
            let Finding { message, help, .. } = &problem.finding;
            Some(match (&problem.edit, help) {
                (Some(Edit::Restore), _) => format!("{message}; the default that comes with the target is written"),
                (Some(Edit::Mend(_, says)), _) => says.join(", "),
                (_, Some(help)) => format!("{message}; {help}"),
                (_, None) => message.clone(),
            })
        };
        // What cannot be decoded would not come out as it was, unless all of it is replaced.
        let is_text = before.as_deref().is_none_or(|bytes| std::str::from_utf8(bytes).is_ok());
        let is_restored = looked.problems.iter().any(|problem| matches!(problem.edit, Some(Edit::Restore)));
        // Of a file that several rules are about the first puts it right; what is left is for the next run.
        let is_first = self.repairs.iter().all(|repair| repair.change.file != file);
        if !mended.is_empty() && (is_text || is_restored) && is_first {
            let change = FileChange { file: file.to_owned(), before, after: after.into_bytes() };
            self.repairs.push(Repair { change, says: mended.iter().filter_map(says).collect() });
        }
        let findings = looked.problems.iter().map(|problem| &problem.finding);
        let is_broken = findings.clone().any(|finding| finding.severity == Severity::Error);
        self.findings.extend(findings.cloned());
        is_broken
    }

    fn is_said(&self, file: &str) -> bool {
        let is_of_it = |finding: &Finding| finding.labels.first().is_some_and(|label| label.span.source.name == file);
        self.findings.iter().any(is_of_it)
    }

    fn matched(&mut self, test: &FilesTest, tree: &Tree) -> Matched {
        let mut matched = Matched::default();
        for Entry { name: file, path } in tree.all_files().filter(|file| test.pattern.is_match(&file.name)) {
            let bytes = match read(path) {
                Ok(bytes) => bytes,
                Err(_) if !may_be_meant(test, tree, file, "") => continue,
                Err(error) => {
                    let message = format!("`{file}` cannot be read: {error}");
                    if self.findings.iter().all(|finding| finding.message != message) {
                        self.findings.push(Finding::warning("config-unread", message));
                    }
                    matched.files.push(file.clone());
                    matched.broken.push(file.clone());
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&bytes);
            let looked = look_at_json(&text, &test.schema, file);
            let is_about = match &looked.config {
                Some(config) => test.is_about(config.value()),
                // What nobody can read is said once, for the first rule that may be about it.
                None => may_be_meant(test, tree, file, &text) && !self.is_said(file),
            };
            if !is_about {
                continue;
            }
            matched.files.push(file.clone());
            if self.take(file, &looked, Some(bytes), "") {
                matched.broken.push(file.clone());
            }
        }
        let is_own = |file: &str| tree.elsewhere.iter().all(|entry| entry.name != file);
        self.repairs.retain(|repair| is_own(&repair.change.file));
        matched
    }
}

// Whether a rule may be about a file that nobody can read. Every program has a `config.json`: that of a model lies beside
// weights, or names what the rule is about.
fn may_be_meant(test: &FilesTest, tree: &Tree, file: &str, text: &str) -> bool {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let is_beside = |other: &Entry| other.name.rsplit_once('/').unwrap_or(("", &other.name)).0 == folder;
    let has_weights = || tree.all_files().any(|other| Kind::of(&other.name).is_some() && is_beside(other));
    let is_named = || test.holding.iter().flat_map(|(_, values)| values).any(|value| text.contains(value.as_str()));
    name != "config.json" || is_named() || has_weights()
}

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20))),
        false => Ok(bytes),
    }
}
