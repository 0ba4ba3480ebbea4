//! What the log says of earlier runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::file;

/// An earlier run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastRun {
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// What was typed, without the name of the program, as it was logged.
    pub arguments: String,
    /// Its process.
    pub pid: Option<u64>,
    /// The exit code; `None` for a run that was cut off, or goes on.
    pub exit: Option<u64>,
    /// What stopped it.
    pub error: Option<String>,
    /// Codes of the errors that it found, and critical rules that did not pass, each once.
    pub codes: Vec<String>,
}

/// The runs that the log knows, the newest first. Lines of another form are passed over.
pub fn runs(folder: &Path) -> Vec<PastRun> {
    let mut runs: BTreeMap<String, PastRun> = BTreeMap::new();
    for path in file::files(folder).into_iter().rev() {
        let text = fs::read(path).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let run = runs.entry(text("run")).or_default();
            match line["event"].as_str() {
                Some("start") => {
                    (run.time, run.arguments, run.pid) = (text("time"), text("arguments"), line["pid"].as_u64());
                }
                Some("error" | "panic") => run.error = Some(text("text")),
                Some("finding" | "rule") if line["severity"] == "error" && !run.codes.contains(&text("code")) => {
                    run.codes.push(text("code"));
                }
                Some("end") => run.exit = line["exit"].as_u64(),
                _ => {}
            }
        }
    }
    // Of one whose start is in a file that is gone, nobody can tell what it was.
    let mut runs: Vec<PastRun> = runs.into_values().filter(|run| !run.time.is_empty()).collect();
    runs.sort_by(|a, b| b.time.cmp(&a.time));
    runs
}
