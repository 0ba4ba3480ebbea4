//! `validate --report`: what the reports show, and their files.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::Validate;
use crate::apply;
use crate::cli::error::CliError;
use crate::cli::installation::Installation;
use crate::cli::question::Answer;
use crate::fit;
use crate::fit::saving::{Asked, Savings};
use crate::report::dossier::{Dossier, ReportFile};
use crate::report::json::PlanReport;
use crate::report::validation::ValidateReport;
use crate::scaffold::machine::summary;

/// The stack whose memory the reports show; the WAN22 UI runs on it.
const STACK: &str = "diffusers";

impl Validate {
    /// Everything that the reports show.
    pub(super) fn dossier<'a>(
        &self,
        answer: &'a Answer,
        validation: &'a ValidateReport,
    ) -> Result<Dossier<'a>, CliError> {
        let installation = Installation::find(self.root.path(), self.target.as_deref(), &answer.set)?;
        // A file that cannot be read gets no planned values, and is a finding of the look.
        let edits = installation.as_ref().and_then(|found| found.edits(answer).ok()).unwrap_or_default();
        let targets = installation.map(|found| found.records(&edits)).unwrap_or_default();
        let question = answer.question();
        let stack = answer.set.stacks.iter().find(|stack| stack.id == STACK);
        let plan = PlanReport::new(&answer.plan, &answer.findings, targets);
        let fit = stack.and_then(|stack| fit::fit(&answer.set, stack, &answer.facts, &question).ok());
        let savings = stack.zip(fit.as_ref()).map(|(stack, fit)| {
            let (set, facts) = (&answer.set, &answer.facts);
            let asked = Asked { set, stack, facts, question: &question, plan: &answer.plan, answer: fit };
            Savings::of(asked, plan.targets.iter().flat_map(|target| &target.changes))
        });
        Ok(Dossier {
            validation,
            machine: summary(&answer.facts),
            facts: &answer.facts,
            plan,
            fit,
            savings: savings.unwrap_or_default(),
            time: apply::now(),
        })
    }
}

/// Writes each file whole, in the place of an earlier one.
pub(super) fn write(folder: &Path, dossier: &Dossier<'_>) -> Result<(), CliError> {
    let failed =
        |path: &Path, error: io::Error| CliError::failed(format!("cannot write `{}`: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for ReportFile { name, text } in dossier.files() {
        let path = folder.join(name);
        let mut file = new_file(folder).map_err(|error| failed(&path, error))?;
        file.write_all(text.as_bytes()).map_err(|error| failed(&path, error))?;
        file.persist(&path).map_err(|error| failed(&path, error.error))?;
    }
    Ok(())
}

// As readable as any file of the user: a report is read by others.
#[cfg(unix)]
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(folder)
}
