//! The reports of a validation: everything that they show, and the files that they are written to.

use crate::facts::Facts;
use crate::fit::Fit;
use crate::report::json::PlanReport;
use crate::report::validation::ValidateReport;

/// Everything that the reports of a validation show.
#[derive(Debug)]
pub struct Dossier<'a> {
    /// What came out of the rules.
    pub validation: &'a ValidateReport,
    /// The machine in a few words.
    pub machine: String,
    /// What is known of the machine and the installation.
    pub facts: &'a Facts,
    /// The settings, and what an apply would change in the files of the stack.
    pub plan: PlanReport,
    /// The memory of the question; `None` where nobody can tell, as without a GPU.
    pub fit: Option<Fit>,
    /// When it was looked at, RFC 3339 in UTC, to the second.
    pub time: String,
}

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

impl Dossier<'_> {
    /// The files, each by its own format.
    pub fn files(&self) -> Vec<ReportFile> {
        vec![ReportFile { name: "validation.json", text: super::json::text(self.validation) }]
    }
}
