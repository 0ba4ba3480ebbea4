//! What policies say of one machine, written down for review: one text file a machine, in the form of `insta`'s, so that
//! `cargo insta review` and `wan22-policy test --review` work on the same files.
//!
//! The first workload is written whole, every other one as its difference from the first: what it says of its own in
//! place of what the first says of the same setting or with the same code, and `- ` before what it does not say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Answer;
use crate::facts::units::show;
use crate::plan::Setting;

/// The answers for one machine, by workload; the first is the one that is written whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Workload and answer.
    pub answers: Vec<(String, Said)>,
}

/// What is said for one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The settings by name.
    pub settings: BTreeMap<String, Given>,
    /// The findings.
    pub findings: BTreeSet<Remark>,
}

/// A setting's value, as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The value with its unit.
    pub value: String,
    /// The policy that gave it, and the limit that moved it.
    pub by: String,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// Its code.
    pub code: String,
    /// `warning`.
    pub severity: String,
    /// What it says, on one line.
    pub message: String,
}

/// A line that is none of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not one of a snapshot: `{text}`")]
pub struct NoSnapshot {
    /// The line, from 1.
    pub line: usize,
    /// What it holds.
    pub text: String,
}

impl Given {
    fn of(setting: &Setting) -> Self {
        let policy = setting.policy.as_ref().map_or("pinned", |policy| policy.id.as_str());
        let moved = setting
            .moved
            .as_ref()
            .map(|(from, limit)| format!(", moved from {} by {}", show(from, setting.unit), limit.id));
        Self { value: show(&setting.value, setting.unit), by: format!("{policy}{}", moved.unwrap_or_default()) }
    }

    /// The policy that gave the value: its id.
    pub fn policy(&self) -> &str {
        self.by.split(',').next().unwrap_or(&self.by)
    }
}

impl Snapshot {
    /// What the answers say, without the findings that the test of invariants is about.
    pub fn of(answers: &[Answer], is_invariant: impl Fn(&crate::diag::Finding) -> bool) -> Self {
        let said = |answer: &Answer| Said {
            settings: answer.plan.settings.iter().map(|(name, setting)| (name.clone(), Given::of(setting))).collect(),
            findings: answer.plan.findings.iter().filter(|finding| !is_invariant(finding)).map(Remark::of).collect(),
        };
        Self { answers: answers.iter().map(|answer| (answer.workload.clone(), said(answer))).collect() }
    }

    /// The text, one line a setting or finding.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let none = Said::default();
        let first = self.answers.first().map_or(&none, |(_, said)| said);
        for (i, (workload, said)) in self.answers.iter().enumerate() {
            let base = if i == 0 { &none } else { first };
            let _ = writeln!(text, "{}{workload}{}", if i == 0 { "" } else { "\n" }, if i == 0 { "" } else { REST });
            let gone = base.settings.keys().filter(|name| !said.settings.contains_key(*name));
            let own = said.settings.iter().filter(|(name, given)| base.settings.get(*name) != Some(given));
            let mut lines: BTreeMap<&String, String> = gone.map(|name| (name, format!("- {name}"))).collect();
            lines.extend(own.map(|(name, given)| (name, format!("{name}: {} ({})", given.value, given.by))));
            for line in lines.values() {
                let _ = writeln!(text, "  {line}");
            }
            for code in codes(&base.findings).difference(&codes(&said.findings)) {
                let _ = writeln!(text, "  - {code}");
            }
            for code in codes(&said.findings) {
                let of = |findings: &BTreeSet<Remark>| -> Vec<Remark> {
                    findings.iter().filter(|remark| remark.code == code).cloned().collect()
                };
                let own = of(&said.findings);
                if own != of(&base.findings) {
                    own.iter().for_each(|remark| text.push_str(&format!("  {}\n", remark.line())));
                }
            }
        }
        text
    }

    /// Reads what [`Self::render`] wrote, below a header or without one.
    ///
    /// # Errors
    /// The first line that it cannot have written.
    pub fn parse(text: &str) -> Result<Self, NoSnapshot> {
        let mut snapshot = Self::default();
        // The codes whose findings the workload has of its own.
        let mut own = BTreeSet::new();
        let body = body(text);
        let header = text[..text.len() - body.len()].lines().count();
        for (i, line) in body.lines().enumerate() {
            let wrong = || NoSnapshot { line: header + i + 1, text: line.to_owned() };
            if line.is_empty() {
                continue;
            }
            let Some(line) = line.strip_prefix("  ") else {
                let workload = line.strip_suffix(REST).unwrap_or(line);
                if workload.contains(' ') || !workload.starts_with(char::is_alphanumeric) {
                    return Err(wrong());
                }
                let first = snapshot.answers.first().map(|(_, said)| said.clone()).unwrap_or_default();
                snapshot.answers.push((workload.to_owned(), first));
                own.clear();
                continue;
            };
            let (_, said) = snapshot.answers.last_mut().ok_or_else(wrong)?;
            if let Some(gone) = line.strip_prefix("- ") {
                said.settings.remove(gone);
                said.findings.retain(|remark| remark.code != gone);
            } else if let Some(remark) = Remark::parse(line) {
                if own.insert(remark.code.clone()) {
                    said.findings.retain(|other| other.code != remark.code);
                }
                said.findings.insert(remark);
            } else {
                let (name, rest) = line.split_once(": ").ok_or_else(wrong)?;
                let (value, by) = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")).ok_or_else(wrong)?;
                said.settings.insert(name.to_owned(), Given { value: value.to_owned(), by: by.to_owned() });
            }
        }
        Ok(snapshot)
    }
}

const REST: &str = ", else the same";

fn codes(findings: &BTreeSet<Remark>) -> BTreeSet<&str> {
    findings.iter().map(|remark| remark.code.as_str()).collect()
}

impl Remark {
    fn of(finding: &crate::diag::Finding) -> Self {
        let message = finding.message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { code: finding.code.to_string(), severity: finding.severity.to_string(), message }
    }

    /// `warning[code]: message`.
    pub fn line(&self) -> String {
        format!("{}[{}]: {}", self.severity, self.code, self.message)
    }

    fn parse(line: &str) -> Option<Self> {
        let (severity, rest) = line.split_once('[')?;
        let (code, message) = rest.split_once("]: ")?;
        ["note", "warning", "error"].contains(&severity).then(|| Self {
            code: code.to_owned(),
            severity: severity.to_owned(),
            message: message.to_owned(),
        })
    }
}

/// The snapshot files of a folder.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

const PREFIX: &str = "plan@";
const SUFFIX: &str = ".yaml.snap";

impl Snapshots {
    /// Those of the machines in a folder: its folder `snapshots`.
    pub fn beside(machines: &Path) -> Self {
        Self { folder: machines.join("snapshots") }
    }

    /// The file of a machine.
    pub fn path(&self, machine: &str) -> PathBuf {
        self.folder.join(format!("{PREFIX}{machine}{SUFFIX}"))
    }

    /// The text for a machine; `None` when there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(&self, machine: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(machine)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The machines that there is a file for.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn names(&self) -> io::Result<BTreeSet<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let file = entry?.file_name();
            let name = file.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    /// Writes a machine's snapshot, whole or not at all, under the header that the file has; `insta`'s proposal for it goes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, machine: &str, snapshot: &Snapshot) -> io::Result<()> {
        let path = self.path(machine);
        let old = fs::read_to_string(&path).unwrap_or_default();
        let header = old.strip_suffix(body(&old)).filter(|header| !header.is_empty());
        let text = format!("{}{}", header.unwrap_or("---\nsource: tests/machines.rs\n---\n"), snapshot.render());
        fs::create_dir_all(&self.folder)?;
        let beside = path.with_extension("snap.part");
        fs::write(&beside, text)?;
        fs::rename(&beside, &path)?;
        self.forget_proposal(machine)
    }

    /// Removes a machine's snapshot.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, machine: &str) -> io::Result<()> {
        fs::remove_file(self.path(machine))?;
        self.forget_proposal(machine)
    }

    fn forget_proposal(&self, machine: &str) -> io::Result<()> {
        match fs::remove_file(self.path(machine).with_extension("snap.new")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

// What stands below the header, which is between two lines `---`.
fn body(text: &str) -> &str {
    let below = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    below.map_or(text, |(_, body)| body)
}
