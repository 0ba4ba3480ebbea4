//! `doctor`: what a bug report needs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use walkdir::WalkDir;

use super::error::CliError;
use super::inputs::Inputs;
use super::installation::Installation;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, OutputOptions, PolicyOptions, QuestionOptions, TargetOptions};
use super::question::{Answer, answer};
use super::{Exit, Screen};
use crate::apply::{self as transaction, Operation, Root, sha256};
use crate::diag::{Finding, FindingRecord};
use crate::doctor::{self, MOST_BYTES, Part};
use crate::facts::Facts;
use crate::facts::file::FactsFile;
use crate::facts::probe::{self, software};
use crate::policy::{PolicySet, site_directories};
use crate::redaction::Redaction;
use crate::report::doctor::{
    BundleRecord, BundledFile, DoctorReport, FailedRun, InFlightRecord, InstallationRecord, LogRecord, PolicyFolder,
    RunningRecord, SCHEMA,
};
use crate::report::json::PlanReport;
use crate::report::paint::Paint;
use crate::report::{findings, human, json};
use crate::{log, yaml};

/// Runs that failed, of which the summary tells.
const MOST_RUNS: usize = 10;

/// Policy files that are put into an archive.
const MOST_POLICIES: usize = 200;

/// Say how this program and this machine do, and pack what a bug report needs
///
/// Prints versions, what is unknown and why, what is in flight, the last runs that failed and where the log is.
/// Nothing is written or repaired. With --bundle all of it goes into one archive, with the facts, the plan of the
/// default question, the config files of the stack, the history, the log and policies of your own. Secrets, serial
/// numbers, addresses and names are taken out; contents.txt in it says what each file is. Look before you send it.
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
    set: Option<PolicySet>,
    facts: Option<Facts>,
    answer: Option<Answer>,
    findings: Vec<Finding>,
    problems: Vec<String>,
}

impl Seen {
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

impl Doctor {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        self.root.installation()?;
        let redaction = Redaction::here();
        let mut seen = self.look();
        log::found(&seen.findings);
        let (mut parts, mut absent) = (Vec::new(), Vec::new());
        let mut report = self.report(&mut seen, &mut parts, &mut absent, &redaction)?;
        if let Some(asked) = &self.bundle {
            let (file, text) = (json::text(&report), summary(&report, &seen.findings, &redaction, Paint::default()));
            let first = [
                Part::new("summary.txt", "what `doctor` prints", text),
                Part::new("doctor.json", "the same for programs", file),
            ];
            parts.splice(0..0, first);
            parts.insert(0, doctor::contents(&parts, &absent));
            let archive = doctor::archive(&parts);
            let archive = archive.map_err(|error| CliError::failed(format!("cannot pack the archive: {error}")))?;
            let path = write(asked.as_deref(), &archive)?;
            let file =
                |part: &Part| BundledFile { name: part.name.clone(), what: part.what.clone(), bytes: part.text.len() };
            let files = parts.iter().map(file).collect();
            report.bundle = Some(BundleRecord { file: path.display().to_string(), files, absent });
        }
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else if let Some(bundle) = &report.bundle {
            screen.print(&human::doctor::bundle(bundle, screen.paint))?;
        } else {
            screen.print(&summary(&report, &seen.findings, &redaction, screen.paint))?;
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
        let gathered = seen.take("facts", gathered);
        let Some((mut facts, cards)) = gathered else {
            seen.findings.extend(set.iter().flat_map(|set| set.findings.clone()));
            seen.set = set;
            return seen;
        };
        let asked = set.as_ref().map(|_| {
            Inputs::new(&self.machine, &self.root, &self.policies, &QuestionOptions::default())
                .and_then(|inputs| answer(inputs, facts.clone(), self.policies.compile()?, &cards))
        });
        seen.answer = asked.and_then(|asked| seen.take("plan", asked));
        let completed = complete(&mut facts, self.machine.gpu_index, &self.machine.overrides, &cards);
        seen.take("facts", completed);
        match &seen.answer {
            Some(answer) => seen.findings.extend(answer.findings.clone()),
            None => {
                seen.findings.extend(set.iter().flat_map(|set| set.findings.clone()));
                seen.findings.extend(facts.findings.clone());
            }
        }
        seen.facts = Some(facts);
        seen.set = set;
        seen
    }

    fn report(
        &self,
        seen: &mut Seen,
        parts: &mut Vec<Part>,
        absent: &mut Vec<String>,
        redaction: &Redaction,
    ) -> Result<DoctorReport, CliError> {
        let mut unknown = Default::default();
        let (mut system, mut gpu) = (String::new(), "unknown".to_owned());
        if let Some(facts) = &seen.facts {
            let mut file = serde_json::to_value(probe::anonymous(facts)).unwrap_or_default();
            redaction.tree(&mut file, Redaction::own);
            let file: FactsFile = serde_json::from_value(file)
                .map_err(|error| CliError::failed(format!("cannot write the facts: {error}")))?;
            let text = yaml::write(&file)
                .map_err(|error| CliError::failed(format!("cannot write the facts as YAML: {error}")))?;
            parts.push(Part::new(
                "facts.yaml",
                "the machine, to be read with --facts; without serial numbers, UUIDs, names of hosts and users",
                text,
            ));
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
            absent.push("facts.yaml: the machine could not be asked".to_owned());
        }
        self.packages(parts, absent, redaction);
        let policies = self.own_policies(parts, absent, redaction);
        let installation = self.installation(seen, parts, absent, redaction);
        let log = logged(parts, redaction);
        let folder = log::folder();
        let failed = folder.as_deref().map(log::runs).unwrap_or_default().into_iter();
        let failed = failed.filter(|run| run.exit != Some(0) && run.pid != Some(std::process::id().into()));
        let failed = failed.take(MOST_RUNS).map(|run| FailedRun {
            time: run.time,
            arguments: redaction.text(&run.arguments),
            exit: run.exit,
            error: run.error.map(|error| redaction.text(&error)),
        });
        let running = folder.as_deref().map(log::running).unwrap_or_default().into_iter();
        let running = running.map(|run| RunningRecord { time: run.time, arguments: redaction.text(&run.arguments) });
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
            policy_hash: seen.set.as_ref().map(|set| set.hash.clone()),
            policies,
            installation,
            running: running.collect(),
            failed: failed.collect(),
            log,
            problems: seen.problems.clone(),
            bundle: None,
        })
        .unwrap_or_default();
        redaction.tree(&mut report, Redaction::text);
        serde_json::from_value(report).map_err(|error| CliError::failed(format!("cannot write the report: {error}")))
    }

    fn packages(&self, parts: &mut Vec<Part>, absent: &mut Vec<String>, redaction: &Redaction) {
        if !self.machine.is_live() {
            absent.push("packages.txt: the machine is a saved one".to_owned());
            return;
        }
        match software::installed(Some(self.root.path()), self.root.python.as_deref()) {
            Ok(packages) => {
                let what = "the packages of the stack's Python with their versions, your own among them";
                parts.push(Part::new("packages.txt", what, redaction.own(&(packages.join("\n") + "\n"))));
            }
            Err(why) => absent.push(format!("packages.txt: {}", redaction.own(&why))),
        }
    }

    // Policies that did not come with the program.
    fn own_policies(
        &self,
        parts: &mut Vec<Part>,
        absent: &mut Vec<String>,
        redaction: &Redaction,
    ) -> Vec<PolicyFolder> {
        let site = if self.policies.no_site { Vec::new() } else { site_directories() };
        let mut folders = Vec::new();
        let mut count = 0;
        for (number, folder) in site.iter().chain(&self.policies.directories).enumerate() {
            let mut names = Vec::new();
            let walk = WalkDir::new(folder).max_depth(2).sort_by_file_name();
            for entry in walk.into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
                let name =
                    entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
                if !name.ends_with(".yaml") && !name.ends_with(".yml") {
                    continue;
                }
                names.push(name.clone());
                count += 1;
                let shown = redaction.own(&format!("policies/{number}/{name}"));
                match read(entry.path()).filter(|_| count <= MOST_POLICIES) {
                    Some(text) => {
                        let what = format!(
                            "a policy file of `{}`, without secrets",
                            redaction.own(&folder.display().to_string())
                        );
                        parts.push(Part::new(shown, what, redaction.text(&text)));
                    }
                    None => absent.push(format!("{shown}: too large, too many, or no text")),
                }
            }
            folders.push(PolicyFolder { folder: folder.display().to_string(), files: names });
        }
        folders
    }

    fn installation(
        &self,
        seen: &mut Seen,
        parts: &mut Vec<Part>,
        absent: &mut Vec<String>,
        redaction: &Redaction,
    ) -> InstallationRecord {
        let path = self.root.path();
        let root = path.display().to_string();
        let mut record = InstallationRecord { root, target: None, applies: 0, in_flight: None };
        let opened = Root::open(path).map_err(CliError::from);
        let Some(opened) = seen.take("installation", opened) else { return record };
        let in_flight = seen.take("journal", transaction::in_flight(&opened).map_err(CliError::from)).flatten();
        record.in_flight = in_flight.map(|(operation, files)| InFlightRecord {
            operation: match operation {
                Operation::Apply => "apply".to_owned(),
                Operation::RollBack => "rollback".to_owned(),
            },
            files,
        });
        if let Some(past) = seen.take("history", transaction::history(&opened).map_err(CliError::from)) {
            record.applies = past.len();
            let hash = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| sha256(bytes)[..16].to_owned());
            let applies = past.iter().map(|apply| {
                let files = apply.files.iter().map(|file| {
                    json!({ "file": file.file, "sha256_before": hash(&file.before), "sha256_after": hash(&file.after) })
                });
                let inputs = &apply.inputs;
                json!({
                    "number": apply.number, "time": apply.time, "policy_hash": inputs["policy_hash"], "target": inputs["target"],
                    "workload": inputs["workload"], "files": files.collect::<Vec<_>>(),
                })
            });
            let mut applies = Value::from(applies.collect::<Vec<_>>());
            redaction.tree(&mut applies, Redaction::text);
            let what =
                "the applies that can be taken back; hashes (first 16 digits of a SHA-256) in place of the bytes";
            parts.push(Part::new("history.json", what, json::text(&applies)));
        }
        let set = seen.set.take();
        let id = self.target.target.as_deref();
        let found = set.as_ref().map(|set| Installation::find(path, id, set));
        if let Some(installation) = found.and_then(|found| seen.take("installation", found)).flatten() {
            record.target = Some(installation.target.id.clone());
            for file in &installation.target.files {
                let name = redaction.own(&format!("config/{}", file.path));
                let bytes =
                    seen.take("config", transaction::read(&installation.root, &file.path).map_err(CliError::from));
                let text = match bytes.flatten() {
                    Some(bytes) if bytes.len() <= MOST_BYTES => String::from_utf8(bytes).ok(),
                    Some(_) => None,
                    None => {
                        absent.push(format!("{name}: there is none"));
                        continue;
                    }
                };
                match text {
                    Some(text) => {
                        let what = "a config file of the stack; secrets as `*`, so that lines and columns are those of the file";
                        parts.push(Part::new(name, what, redaction.text(&text)));
                    }
                    None => absent.push(format!("{name}: too large, or no text")),
                }
            }
            self.plan(seen, Some(&installation), parts, redaction);
        } else {
            absent.push("config files: no stack is recognised".to_owned());
            self.plan(seen, None, parts, redaction);
        }
        seen.set = set;
        record
    }

    fn plan(
        &self,
        seen: &mut Seen,
        installation: Option<&Installation<'_>>,
        parts: &mut Vec<Part>,
        redaction: &Redaction,
    ) {
        let Some(answer) = seen.answer.take() else { return };
        let edits = installation.map(|installation| installation.edits(&answer));
        let edits = edits.and_then(|edits| seen.take("plan", edits)).unwrap_or_default();
        seen.findings.extend(edits.iter().flat_map(|edit| edit.findings.clone()));
        let records = installation.map(|installation| installation.records(&edits)).unwrap_or_default();
        let report = PlanReport::new(&answer.plan, &seen.findings, records);
        let mut report = serde_json::to_value(report).unwrap_or_default();
        redaction.tree(&mut report, Redaction::text);
        let what = "the plan of the default question, what it would change, and every finding";
        parts.push(Part::new("plan.json", what, json::text(&report)));
    }
}

// For people, who may show it to others: the lines that a finding shows are those of somebody's file.
fn summary(report: &DoctorReport, found: &[Finding], redaction: &Redaction, paint: Paint) -> String {
    let text = human::doctor::render(report, paint);
    if found.is_empty() { text } else { format!("{text}\n{}", redaction.text(&findings::render(found, paint))) }
}

// The log as it is shown to others: what was written is redacted, and again here, as another version may have written it.
fn logged(parts: &mut Vec<Part>, redaction: &Redaction) -> LogRecord {
    let Some(folder) = log::folder() else { return LogRecord { folder: None, files: Vec::new(), bytes: 0 } };
    let mut record = LogRecord { folder: Some(folder.display().to_string()), files: Vec::new(), bytes: 0 };
    for path in log::files(&folder) {
        let Ok(bytes) = fs::read(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        record.bytes += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        let text: String = text.lines().map(|line| redacted(line, redaction) + "\n").collect();
        parts.push(Part::new(format!("log/{name}"), "what earlier runs did, one JSON object a line", text));
        record.files.push(name);
    }
    record
}

fn redacted(line: &str, redaction: &Redaction) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut map)) => {
            for (name, value) in &mut map {
                match value {
                    Value::String(text) if name != "time" && name != "run" => *text = redaction.text(text),
                    // The log has no lists.
                    Value::Array(_) | Value::Object(_) => *value = Value::Null,
                    _ => {}
                }
            }
            Value::Object(map).to_string()
        }
        _ => redaction.text(line),
    }
}

fn read(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).ok()?.len() <= MOST_BYTES as u64;
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
