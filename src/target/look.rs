//! What is wrong with a stack's file as it is, whatever a plan would make of it, and the file with that put right.

use serde_json::Value;

use super::config::{Config, TextError};
use super::schema::{Edit, FileSchema, Other, Problem};
use super::source::Format;
use super::{TargetFile, json, span_of};
use crate::diag::Finding;

/// A file that was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What it says; `None` where it is missing or cannot be read.
    pub config: Option<Config>,
}

impl TargetFile {
    /// Everything that the stack would stumble over: a file that is missing or cannot be read, a value that its schema does
    /// not allow, two keys for one thing that contradict each other.
    ///
    /// `text` is `None` when the file does not exist, which only of a file that is `required` is wrong. For a value that is not
    /// allowed the one of `planned` is proposed, the file as `apply` would write it.
    pub fn look(&self, text: Option<&str>, required: bool, planned: &Value, shown: &str) -> Looked {
        let restored = |finding: Finding, help: &str| {
            let problem = Problem { finding: finding.help(help), edit: Some(Edit::Restore) };
            Looked { problems: vec![problem], config: None }
        };
        let Some(text) = text else {
            let missing = Finding::error("config-missing", format!("`{shown}` is not there, and the stack needs it"));
            return match required {
                true => restored(
                    missing,
                    "`validate --fix` and `apply` write it from the default that comes with the target",
                ),
                false => Looked { problems: Vec::new(), config: None },
            };
        };
        let corrupt = |message: String, place| {
            let finding = Finding::error("config-corrupt", message).at(span_of(shown, text, place), "");
            restored(
                finding,
                "`validate --fix` and `apply` replace it by the default that comes with the target, which `rollback` takes back",
            )
        };
        let config = match Config::read(self.format, text, &self.lists) {
            Ok(config) if config.value().is_object() => config,
            Ok(_) => return corrupt(format!("`{shown}` holds no sections, so the stack cannot use it"), (1, 1)),
            Err(error) => {
                let message = format!("`{shown}` is not {}: {}", self.format.name(), error.message);
                if let (Format::Json, Some(mended)) = (self.format, mended(text, shown, &message, &error)) {
                    return mended;
                }
                return corrupt(message, (error.line, error.column));
            }
        };
        let planned = Other { what: "planned", values: planned };
        let default = Other { what: "the default of the target", values: self.restore.value() };
        let mut problems = self.schema.problems(&config, &[planned, default], shown);
        let mut contradictions = Vec::new();
        self.disagreements(shown, &config, &mut contradictions);
        let help = "`wan22-policy apply` gives both the planned value";
        problems.extend(contradictions.into_iter().map(|finding| Problem { finding: finding.help(help), edit: None }));
        Looked { problems, config: Some(config) }
    }

    /// The file as it comes with the target.
    pub fn restored(&self) -> String {
        self.restore.text()
    }
}

/// Everything that is wrong with a JSON file by a schema.
pub fn look_at_json(text: &str, schema: &FileSchema, shown: &str) -> Looked {
    match Config::read(Format::Json, text, &Default::default()) {
        Ok(config) => Looked { problems: schema.problems(&config, &[], shown), config: Some(config) },
        Err(error) => {
            let message = format!("`{shown}` is not {}: {}", Format::Json.name(), error.message);
            if let Some(mended) = mended(text, shown, &message, &error) {
                return mended;
            }
            let finding = Finding::error("config-corrupt", message);
            let finding = finding.at(span_of(shown, text, (error.line, error.column)), "");
            let help = "it comes with the model: download that file again";
            Looked { problems: vec![Problem { finding: finding.help(help), edit: None }], config: None }
        }
    }
}

// A file that nobody can read for slips that can be mended; `None` where there is more to it.
fn mended(text: &str, shown: &str, message: &str, error: &TextError) -> Option<Looked> {
    let (new, says) = json::mend::mend(text)?;
    let finding = Finding::error("config-corrupt", message).at(span_of(shown, text, (error.line, error.column)), "");
    let finding = finding.help(format!("`validate --fix` mends it: {}", says.join(", ")));
    Some(Looked { problems: vec![Problem { finding, edit: Some(Edit::Mend(new, says)) }], config: None })
}

impl Looked {
    /// The text in which every problem that can be is put right, and the indices of those problems.
    ///
    /// `restored` stands for a file that cannot be read; what cannot be edited without harm to other values is left.
    pub fn mended(&self, restored: &str) -> (String, Vec<usize>) {
        let Some(mut config) = self.config.clone() else {
            let whole = self.problems.iter().enumerate().find_map(|(i, problem)| match &problem.edit {
                Some(Edit::Restore) => Some((restored.to_owned(), vec![i])),
                Some(Edit::Mend(text, _)) => Some((text.clone(), vec![i])),
                _ => None,
            });
            return whole.unwrap_or_default();
        };
        let mut mended = Vec::new();
        for (i, problem) in self.problems.iter().enumerate() {
            let done = match &problem.edit {
                Some(Edit::Set(change)) => config.set(change),
                Some(Edit::Remove(path)) => config.remove(path),
                Some(Edit::Rename(path, other)) => config.rename(path, other),
                Some(Edit::Restore | Edit::Mend(..)) | None => continue,
            };
            mended.extend(done.is_ok().then_some(i));
        }
        (config.text(), mended)
    }
}
