//! What an installation gives: its history, its config files, the plan for it, how `validate` finds it, what was measured.

use serde_json::{Value, json};

use super::{Doctor, Pack, Seen, whole};
use crate::apply::{self as transaction, Operation, Root, sha256};
use crate::cli::error::CliError;
use crate::cli::installation::Installation;
use crate::cli::question::{Answer, Ask};
use crate::cli::validate::Validate;
use crate::doctor::MOST_BYTES;
use crate::measured;
use crate::report::doctor::{InFlightRecord, InstallationRecord};
use crate::report::json::PlanReport;

impl Doctor {
    /// Looks at the installation, and packs what there is.
    pub(super) fn installation(&self, seen: &mut Seen, pack: &mut Pack) -> InstallationRecord {
        let path = self.root.path();
        let root = whole(path).display().to_string();
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
        record.applies = history(&opened, seen, pack);
        measurements(&opened, seen, pack);
        let (answer, set) = (seen.answer.take(), seen.set.take());
        let policies = answer.as_ref().map(|answer| &answer.set).or(set.as_ref());
        let found = policies.map(|set| Installation::find(path, self.target.target.as_deref(), set));
        let installation = found.and_then(|found| seen.take("installation", found)).flatten();
        match &installation {
            Some(installation) => {
                record.target = Some(installation.target.id.clone());
                configs(installation, seen, pack);
            }
            None => pack.lacks("config files: no stack is recognised"),
        }
        match &answer {
            Some(answer) => plan(answer, installation.as_ref(), seen, pack),
            None => pack.lacks("plan.json: there is none"),
        }
        self.validation(seen, pack);
        record
    }

    // What `validate` says, where it only looks.
    fn validation(&self, seen: &mut Seen, pack: &mut Pack) {
        let Some(answer) = seen.rules.take() else {
            return pack.lacks("validate.json: there is no plan, or the rules of a validation cannot be used");
        };
        let ask = Ask { question: Default::default(), machine: self.machine.clone(), policies: self.policies.clone() };
        let validate = Validate::that_looks(self.root.clone(), self.target.target.clone(), ask, self.output);
        match seen.take("validate", validate.look_at(answer)) {
            Some(report) => {
                let what =
                    "what `validate` says of the installation, with lines of the files that are wrong; it only looked";
                pack.put_tree("validate.json", what, serde_json::to_value(report).unwrap_or_default());
            }
            None => pack.lacks("validate.json: the installation could not be looked at"),
        }
    }
}

// Gives how many applies can be taken back.
fn history(root: &Root, seen: &mut Seen, pack: &mut Pack) -> usize {
    let Some(past) = seen.take("history", transaction::history(root).map_err(CliError::from)) else {
        pack.lacks("history.json: it cannot be read");
        return 0;
    };
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
    let applies = Value::from(applies.collect::<Vec<_>>());
    let what = "the applies that can be taken back; hashes (first 16 digits of a SHA-256) in place of the bytes";
    pack.put_tree("history.json", what, applies);
    past.len()
}

fn measurements(root: &Root, seen: &mut Seen, pack: &mut Pack) {
    match seen.take("measurements", measured::read(root).map_err(CliError::from)) {
        Some(Some(measured)) => {
            let what =
                "what was measured in the installation: the last load from the disk, the last start of the stack";
            pack.put_tree(measured::FILE, what, serde_json::to_value(measured).unwrap_or_default());
        }
        Some(None) => pack.lacks(format!("{}: nothing was measured", measured::FILE)),
        None => pack.lacks(format!("{}: it cannot be read", measured::FILE)),
    }
}

fn configs(installation: &Installation<'_>, seen: &mut Seen, pack: &mut Pack) {
    for file in &installation.target.files {
        let name = pack.redaction.own(&format!("config/{}", file.path));
        let bytes = seen.take("config", transaction::read(&installation.root, &file.path).map_err(CliError::from));
        let text = match bytes.flatten() {
            Some(bytes) if bytes.len() <= MOST_BYTES => String::from_utf8(bytes).ok(),
            Some(_) => None,
            None => {
                pack.lacks(format!("{name}: there is none"));
                continue;
            }
        };
        match text {
            Some(text) => {
                let what =
                    "a config file of the stack; secrets as `*`, so that lines and columns are those of the file";
                pack.put(name, what, pack.redaction.text(&text));
            }
            None => pack.lacks(format!("{name}: too large, or no text")),
        }
    }
}

fn plan(answer: &Answer, installation: Option<&Installation<'_>>, seen: &mut Seen, pack: &mut Pack) {
    let edits = installation.map(|installation| installation.edits(answer));
    let edits = edits.and_then(|edits| seen.take("plan", edits)).unwrap_or_default();
    seen.findings.extend(edits.iter().flat_map(|edit| edit.findings.clone()));
    let records = installation.map(|installation| installation.records(&edits)).unwrap_or_default();
    let report = PlanReport::new(&answer.plan, &seen.findings, records);
    let what = "the plan of the default question, what it would change, and every finding";
    pack.put_tree("plan.json", what, serde_json::to_value(report).unwrap_or_default());
}
