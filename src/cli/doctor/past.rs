//! What the log says of earlier runs, and the log itself as it is shown to others.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Pack;
use crate::log;
use crate::redaction::Redaction;
use crate::report::doctor::{FailedRun, LogRecord, RunningRecord};

/// Runs that failed, of which the summary tells.
const MOST_RUNS: usize = 10;

/// The last runs that failed, the newest first. This one, which has not ended, is none of them.
pub fn failed(folder: &Path) -> Vec<FailedRun> {
    let own = Some(u64::from(std::process::id()));
    let failed =
        log::runs(folder).into_iter().filter(|run| run.exit != Some(0) && (run.exit.is_some() || run.pid != own));
    let record = |run: log::PastRun| FailedRun {
        time: run.time,
        arguments: run.arguments,
        exit: run.exit,
        error: run.error,
        codes: run.codes,
    };
    failed.take(MOST_RUNS).map(record).collect()
}

/// What other runs change right now.
pub fn running(folder: &Path) -> Vec<RunningRecord> {
    let record = |run: log::Flight| RunningRecord { time: run.time, arguments: run.arguments };
    log::running(folder).into_iter().map(record).collect()
}

/// Packs the log. What was written is redacted, and again here, as another version may have written it.
pub fn logged(folder: Option<&Path>, pack: &mut Pack) -> LogRecord {
    let mut record = LogRecord { folder: None, unwritten: None, files: Vec::new(), bytes: 0 };
    let Some(folder) = folder else { return record };
    record.folder = Some(folder.display().to_string());
    record.unwritten = log::unwritten(folder).map(|error| error.to_string());
    for path in log::files(folder) {
        let Ok(bytes) = fs::read(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        record.bytes += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        let text: String = text.lines().map(|line| redacted(line, &pack.redaction) + "\n").collect();
        pack.put(format!("log/{name}"), "what earlier runs did, one JSON object a line", text);
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
