//! An installation: a directory that holds a stack which a target knows.

use std::path::{Path, PathBuf};

use super::Screen;
use super::error::CliError;
use super::question::Answer;
use crate::apply::{self, FileChange, Operation, Outcome, Recovered, Root};
use crate::diag::{Finding, did_you_mean};
use crate::engine;
use crate::policy::PolicySet;
use crate::report::json::{FileReport, FileStatus, TargetRecord};
use crate::report::{diff, findings};
use crate::target::source::Recognition;
use crate::target::{FileEdit, Target};

/// A directory and the target that its stack is.
#[derive(Debug)]
pub struct Installation<'a> {
    /// The directory.
    pub root: Root,
    /// The target.
    pub target: &'a Target,
    // The directory as it was given, for messages.
    shown: PathBuf,
}

impl<'a> Installation<'a> {
    /// The installation in a directory; `None` when no target recognises its files.
    ///
    /// # Errors
    /// The directory cannot be opened, no target has the id that was asked for, or several recognise the files.
    pub fn find(path: &Path, id: Option<&str>, set: &'a PolicySet) -> Result<Option<Self>, CliError> {
        let root = Root::open(path)?;
        let target = match id {
            Some(id) => Some(set.targets.iter().find(|target| target.id == id).ok_or_else(|| {
                let ids = set.targets.iter().map(|target| target.id.as_str());
                CliError::usage(format!("there is no target `{id}`")).maybe_help(did_you_mean(id, ids))
            })?),
            None => recognise(&root, &set.targets)?,
        };
        Ok(target.map(|target| Self { root, target, shown: path.to_owned() }))
    }

    /// The same, when there must be one.
    pub fn require(path: &Path, id: Option<&str>, set: &'a PolicySet) -> Result<Self, CliError> {
        Self::find(path, id, set)?.ok_or_else(|| {
            let known: Vec<&str> = set.targets.iter().map(|target| target.id.as_str()).collect();
            let help =
                format!("name its directory with --root, or the stack with --target (known: {})", known.join(", "));
            CliError::usage(format!("no known stack in `{}`", path.display())).help(help)
        })
    }

    /// What each file of the target is to become, and what there is to say about it.
    pub fn edits(&self, answer: &Answer) -> Result<Vec<FileEdit>, CliError> {
        let evaluation = engine::evaluation(&answer.set, &answer.facts, &answer.plan);
        let mut edits = Vec::new();
        for (i, file) in self.target.files.iter().enumerate() {
            let before = apply::read(&self.root, &file.path)?.map(String::from_utf8).transpose();
            let before = before.map_err(|_| {
                let path = self.shown.join(&file.path);
                CliError::unreadable(&path, "it is not UTF-8").help("save it as UTF-8, as the stack itself reads it")
            })?;
            edits.push(file.edit(before, i == 0, &answer.plan, &evaluation, &self.shown(&file.path)));
        }
        Ok(edits)
    }

    /// A file as messages name it.
    pub fn shown(&self, file: &str) -> String {
        if self.shown == Path::new(".") { file.to_owned() } else { self.shown.join(file).display().to_string() }
    }

    /// What the edits would change, for the report of a plan.
    pub fn records(&self, edits: &[FileEdit]) -> Vec<TargetRecord> {
        let record = |edit: &FileEdit| TargetRecord {
            id: self.target.id.clone(),
            file: edit.file.clone(),
            changes: edit.changes.clone(),
        };
        edits.iter().map(record).collect()
    }
}

fn recognise<'a>(root: &Root, targets: &'a [Target]) -> Result<Option<&'a Target>, CliError> {
    let mut found = Vec::new();
    for target in targets {
        for sign in &target.recognise {
            if holds(root, sign)? {
                found.push(target);
                break;
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let ids: Vec<String> = several.iter().map(|target| format!("`{}`", target.id)).collect();
            let message = format!("`{}` could be {}", root.path().display(), ids.join(" or "));
            Err(CliError::usage(message).help("say which with --target"))
        }
    }
}

fn holds(root: &Root, sign: &Recognition) -> Result<bool, CliError> {
    for file in &sign.files {
        if !root.has(file)? {
            return Ok(false);
        }
    }
    let Some(mentions) = &sign.mentions else { return Ok(!sign.files.is_empty()) };
    let text = apply::read(root, &mentions.file)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(mentions.texts.iter().filter(|needle| text.contains(needle.as_str())).count() >= mentions.at_least)
}

/// The bytes to write. A file that does not exist and is not needed is left alone.
pub fn file_changes(edits: &[FileEdit]) -> Vec<FileChange> {
    let edits = edits.iter().filter(|edit| edit.before.is_some() || edit.restored);
    let change = |edit: &FileEdit| FileChange {
        file: edit.file.clone(),
        before: edit.before.as_ref().map(|text| text.clone().into_bytes()),
        after: edit.after.clone().into_bytes(),
    };
    edits.map(change).collect()
}

/// The report of each file; `written` are those that were.
pub fn file_reports(edits: &[FileEdit], written: &[String]) -> Vec<FileReport> {
    let report = |edit: &FileEdit| {
        let diff = match (&edit.before, edit.restored) {
            (None, false) => String::new(),
            (before, _) => diff::unified(&edit.file, before.as_deref(), &edit.after),
        };
        let status = match (written.contains(&edit.file), diff.is_empty()) {
            (true, _) => FileStatus::Written,
            (false, true) => FileStatus::Unchanged,
            (false, false) => FileStatus::Differs,
        };
        FileReport { file: edit.file.clone(), status, changes: edit.changes.clone(), diff }
    };
    edits.iter().map(report).collect()
}

/// Names of files for a message: a few, and how many more there are.
fn some_of(files: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = files.iter().take(SHOWN).map(|file| format!("`{file}`")).collect();
    names.extend(files.len().checked_sub(SHOWN).filter(|more| *more > 0).map(|more| format!("{more} more")));
    names.join(", ")
}

/// What is said when an interrupted run was found.
pub fn recovered(recovered: &Recovered) -> Finding {
    let operation = match recovered.operation {
        Operation::Apply => "apply",
        Operation::RollBack => "rollback",
    };
    let outcome = match recovered.outcome {
        Outcome::Finished => "finished",
        Outcome::Undone => "undone",
    };
    let files = some_of(&recovered.files);
    let numbers = recovered.entries.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("an interrupted {operation} (number {numbers}) of {files} has been {outcome}");
    Finding::warning("apply-in-flight", message)
}

/// What is said by a command that only looks, of what is half written.
pub fn half_done(files: &[String]) -> Finding {
    let message =
        format!("an apply or rollback of {} is half done, so some files are old and some new", some_of(files));
    let help = "wait for it where it still runs; else `wan22-policy history` finishes or undoes it";
    Finding::warning("apply-in-flight", message).help(help)
}

/// Says what an interrupted run left, where the command that found it ends with an error and no report.
pub fn or_say<T>(
    in_flight: Option<&Recovered>,
    screen: &mut Screen<'_>,
    run: impl FnOnce(&mut Screen<'_>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let result = run(screen);
    if let (Err(_), Some(found)) = (&result, in_flight) {
        let paint = screen.error_paint;
        screen.complain(&findings::render(&[recovered(found)], paint));
    }
    result
}

/// What is said where nothing keeps two runs apart.
pub fn no_locks(root: &Root) -> Finding {
    let message =
        format!("the file system of `{}` has no locks, so nothing keeps two runs apart", root.path().display());
    let help = "let only one apply or rollback run at a time; each still changes all its files or none";
    Finding::warning("no-locks", message).help(help)
}
