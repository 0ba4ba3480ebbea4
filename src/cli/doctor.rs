//! `doctor`: what a bug report needs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};

use clap::Args;
use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::error::CliError;
use super::inputs::Inputs;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, OutputOptions, PolicyOptions, QuestionOptions, TargetOptions};
use super::question::{Answer, answer};
use super::{Exit, Screen};
use crate::diag::{Finding, FindingRecord};
use crate::doctor::{self, MOST_BYTES, Part};
use crate::facts::Facts;
use crate::facts::file::FactsFile;
use crate::facts::probe::{self, software};
use crate::policy::{PolicySet, site_directories};
use crate::redaction::Redaction;
use crate::report::doctor::{BundleRecord, BundledFile, DoctorReport, PolicyFolder, SCHEMA};
use crate::report::paint::Paint;
use crate::report::{findings, human, json};
use crate::{log, yaml};

mod installation;
mod past;

/// Policy files that are put into an archive.
const MOST_POLICIES: usize = 200;

/// Say how this program and this machine do, and pack what a bug report needs
///
/// Prints versions, what is unknown and why, what is in flight, the last runs that failed and where
/// the log is. Nothing is written or repaired.
///
/// With --bundle all of it goes into one archive, with the facts, the plan of the default question,
/// what `validate` says and what was measured, the config files of the stack, the history, the log,
/// and policies of your own. Secrets, serial numbers, addresses and names are taken out; contents.txt
/// in it says what each file is. Look before you send it.
///
/// Examples:
///   wan22-policy doctor --root ~/wan
///   wan22-policy doctor --root ~/wan --bundle
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Doctor {
    /// Write the archive [default: wan22-policy-bundle-YYYY-MM-DD-HHMM.zip here]; nothing is overwritten
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    bundle: Option<Option<PathBuf>>,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    target: TargetOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    policies: PolicyOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

// Everything that was found out, as far as it could be.
#[derive(Default)]
struct Seen {
    // Those of the answer where there is one.
    set: Option<PolicySet>,
    facts: Option<Facts>,
    answer: Option<Answer>,
    // The same question with the rules of a validation; only for an archive.
    rules: Option<Answer>,
    findings: Vec<Finding>,
    problems: Vec<String>,
}

impl Seen {
    fn policies(&self) -> Option<&PolicySet> {
        self.answer.as_ref().map(|answer| &answer.set).or(self.set.as_ref())
    }

    // What comes of it, or a problem; findings that stop something are findings here.
    fn take<T>(&mut self, what: &str, result: Result<T, CliError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(CliError::Findings(found)) => {
                self.findings.extend(found);
                None
            }
            Err(CliError::Stop { message, .. }) => {
                self.problems.push(format!("{what}: {message}"));
                None
            }
        }
    }
}

// The parts of an archive, and what is not in it.
struct Pack {
    parts: Vec<Part>,
    absent: Vec<String>,
    redaction: Redaction,
}

impl Pack {
    fn put(&mut self, name: impl Into<String>, what: impl Into<String>, text: impl Into<String>) {
        self.parts.push(Part::new(name, what, text));
    }

    // A report, each text of it redacted.
    fn put_tree(&mut self, name: &str, what: &str, mut tree: Value) {
        self.redaction.tree(&mut tree, Redaction::text);
        self.put(name, what, json::text(&tree));
    }

    fn lacks(&mut self, line: impl Into<String>) {
        self.absent.push(line.into());
    }
}

impl Doctor {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        self.root.installation()?;
        let mut pack = Pack { parts: Vec::new(), absent: Vec::new(), redaction: Redaction::here() };
        let mut seen = self.look();
        log::found(&seen.findings);
        let mut report = self.report(&mut seen, &mut pack)?;
        let summary = |report: &DoctorReport, paint| summary(report, &seen.findings, &pack.redaction, paint);
        if let Some(asked) = &self.bundle {
            let (file, text) = (json::text(&report), summary(&report, Paint::default()));
            let first = [
                Part::new("summary.txt", "what `doctor` prints", text),
                Part::new("doctor.json", "the same for programs", file),
            ];
            let mut parts: Vec<Part> = first.into_iter().chain(pack.parts).collect();
            parts.insert(0, doctor::contents(&parts, &pack.absent));
            let archive = doctor::archive(&parts);
            let archive = archive.map_err(|error| CliError::failed(format!("cannot pack the archive: {error}")))?;
            let path = write(asked.as_deref(), &archive)?;
            let file =
                |part: &Part| BundledFile { name: part.name.clone(), what: part.what.clone(), bytes: part.text.len() };
            let files = parts.iter().map(file).collect();
            report.bundle = Some(BundleRecord { file: path.display().to_string(), files, absent: pack.absent });
        }
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else if let Some(bundle) = &report.bundle {
            screen.print(&human::doctor::bundle(bundle, screen.paint))?;
        } else {
            screen.print(&summary(&report, screen.paint))?;
        }
        Ok(Exit::Fine)
    }

    // The policies, the facts and the plan of the default question, each as far as the one before it allows.
    fn look(&self) -> Seen {
        let mut seen = Seen::default();
        let set = seen.take("policies", self.policies.compile());
        let gathered = match set {
            Some(_) => self.machine.gather_with_cards(&self.root, &self.policies),
            None => self.machine.gather(&self.root).map(|facts| (facts, Value::Null)),
        };
        let Some((mut facts, cards)) = seen.take("facts", gathered) else {
            seen.findings.extend(set.iter().flat_map(|set| set.findings.clone()));
            seen.set = set;
            return seen;
        };
        if let Some(set) = set {
            seen.answer = seen.take("plan", self.ask(&facts, set, &cards));
            if seen.answer.is_none() {
                // The question that failed has taken them.
                seen.set = self.policies.compile().ok();
            } else if self.bundle.is_some() {
                let rules = self.policies.compile_rules().and_then(|set| self.ask(&facts, set, &cards));
                seen.rules = seen.take("rules", rules);
            }
        }
        let completed = complete(&mut facts, self.machine.gpu_index, &self.machine.overrides, &cards);
        seen.take("facts", completed);
        match &seen.answer {
            Some(answer) => seen.findings.extend(answer.findings.clone()),
            None => {
                seen.findings.extend(seen.set.iter().flat_map(|set| set.findings.clone()));
                seen.findings.extend(facts.findings.clone());
            }
        }
        seen.facts = Some(facts);
        seen
    }

    // The default question.
    fn ask(&self, facts: &Facts, set: PolicySet, cards: &Value) -> Result<Answer, CliError> {
        let inputs = Inputs::new(&self.machine, &self.root, &self.policies, &QuestionOptions::default())?;
        answer(inputs, facts.clone(), set, cards)
    }

    fn report(&self, seen: &mut Seen, pack: &mut Pack) -> Result<DoctorReport, CliError> {
        let mut unknown = Default::default();
        let (mut system, mut gpu) = (String::new(), "unknown".to_owned());
        if let Some(facts) = &seen.facts {
            let mut file = serde_json::to_value(probe::anonymous(facts)).unwrap_or_default();
            pack.redaction.tree(&mut file, Redaction::own);
            let file: FactsFile = serde_json::from_value(file)
                .map_err(|error| CliError::failed(format!("cannot write the facts: {error}")))?;
            let text = yaml::write(&file)
                .map_err(|error| CliError::failed(format!("cannot write the facts as YAML: {error}")))?;
            let what = "the machine, to be read with --facts; without serial numbers, UUIDs, names of hosts and users";
            pack.put("facts.yaml", what, text);
            unknown = file.unknown;
            let value = |name: &str| facts.value(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let words = ["host.os", "host.os_version", "host.kernel", "host.arch"].map(value);
            system = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
            gpu = match facts.value("gpu.name").and_then(Value::as_str) {
                Some(name) => format!(
                    "{name}, driver {}",
                    facts.value("driver.version").map_or("unknown", |version| version.as_str().unwrap_or("unknown"))
                ),
                None => facts.reason("gpu.name").to_owned(),
            };
        } else {
            pack.lacks("facts.yaml: the machine could not be asked");
        }
        let policy_hash = seen.policies().map(|set| set.hash.clone());
        self.packages(pack);
        let policies = self.own_policies(pack);
        let installation = self.installation(seen, pack);
        let folder = log::folder();
        let mut report = serde_json::to_value(DoctorReport {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: env!("BUILD_TARGET").to_owned(),
            hwloc: cfg!(all(feature = "hwloc", not(windows))),
            system,
            gpu,
            fingerprint: seen.facts.as_ref().map(Facts::fingerprint),
            unknown,
            findings: seen.findings.iter().map(FindingRecord::from).collect(),
            policy_hash,
            policies,
            installation,
            running: folder.as_deref().map(past::running).unwrap_or_default(),
            failed: folder.as_deref().map(past::failed).unwrap_or_default(),
            log: past::logged(folder.as_deref(), pack),
            problems: seen.problems.clone(),
            bundle: None,
        })
        .unwrap_or_default();
        pack.redaction.tree(&mut report, Redaction::text);
        serde_json::from_value(report).map_err(|error| CliError::failed(format!("cannot write the report: {error}")))
    }

    fn packages(&self, pack: &mut Pack) {
        if !self.machine.is_live() {
            return pack.lacks("packages.txt: the machine is a saved one");
        }
        match software::installed(Some(self.root.path()), self.root.python.as_deref()) {
            Ok(packages) => {
                let what = "the packages of the stack's Python with their versions, your own among them";
                pack.put("packages.txt", what, pack.redaction.own(&(packages.join("\n") + "\n")));
            }
            Err(why) => pack.lacks(format!("packages.txt: {}", pack.redaction.own(&why))),
        }
    }

    // Policies that did not come with the program.
    fn own_policies(&self, pack: &mut Pack) -> Vec<PolicyFolder> {
        let site = if self.policies.no_site { Vec::new() } else { site_directories() };
        let mut folders = Vec::new();
        let mut count = 0;
        for (number, folder) in site.iter().chain(&self.policies.directories).enumerate() {
            let folder = whole(folder);
            let mut names = Vec::new();
            // Links count in the folders of the system and of the user, also such as lead to no file and mask one.
            let walk = WalkDir::new(&folder).max_depth(2).follow_links(number < site.len()).sort_by_file_name();
            let is_listed = |entry: &DirEntry| !entry.file_type().is_dir() && !entry.file_type().is_symlink();
            for entry in walk.into_iter().flatten().filter(is_listed) {
                let name =
                    entry.path().strip_prefix(&folder).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
                if !name.ends_with(".yaml") && !name.ends_with(".yml") {
                    continue;
                }
                names.push(name.clone());
                count += 1;
                let shown = pack.redaction.own(&format!("policies/{number}/{name}"));
                match read(entry.path()).filter(|_| count <= MOST_POLICIES) {
                    Some(text) => {
                        let folder = pack.redaction.own(&folder.display().to_string());
                        let what = format!("a policy file of `{folder}`, without secrets");
                        pack.put(shown, what, pack.redaction.text(&text));
                    }
                    None => pack.lacks(format!("{shown}: too large, too many, or no file of text")),
                }
            }
            folders.push(PolicyFolder { folder: folder.display().to_string(), files: names });
        }
        folders
    }
}

// For people, who may show it to others: the lines that a finding shows are those of somebody's file.
fn summary(report: &DoctorReport, found: &[Finding], redaction: &Redaction, paint: Paint) -> String {
    let text = human::doctor::render(report, paint);
    if found.is_empty() { text } else { format!("{text}\n{}", redaction.text(&findings::render(found, paint))) }
}

// The absolute path; who reads it does not know where the program ran.
fn whole(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let is_small = found.is_file() && found.len() <= MOST_BYTES as u64;
    is_small.then(|| fs::read_to_string(path).ok()).flatten()
}

// A file that was not there before. A name of our own is numbered until it is free.
fn write(asked: Option<&Path>, bytes: &[u8]) -> Result<PathBuf, CliError> {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime();
    for nth in 1.. {
        let path = asked.map_or_else(|| PathBuf::from(doctor::name(now, nth)), Path::to_owned);
        let cannot = |error: io::Error| CliError::failed(format!("cannot write `{}`: {error}", path.display()));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(bytes).map_err(cannot)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && asked.is_none() => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(cannot(error).help("name another file: nothing is overwritten"));
            }
            Err(error) => return Err(cannot(error)),
        }
    }
    Err(CliError::failed("no name is free"))
}
