//! The reports of a validation: everything that they show, and the files that they are written to.

use super::final_validation::FinalValidationReport;
use super::json::{self, PlanReport, TargetRecord};
use super::optimization::OptimizationReport;
use super::validation::ValidateReport;
use super::{junit, markdown, page};
use crate::facts::Facts;
use crate::fit::Fit;
use crate::fit::saving::Savings;
use crate::target::Change;

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
    /// What those changes save of it.
    pub savings: Savings,
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
        let file = |name, text| ReportFile { name, text };
        vec![
            file("final_system_validation_report.json", json::text(&FinalValidationReport::new(self))),
            file("performance_optimization_report.json", json::text(&OptimizationReport::new(self))),
            file("validation.json", json::text(self.validation)),
            file("junit.xml", junit::text(self)),
            file("report.md", markdown::validation::text(self)),
            file("index.html", page::page(self)),
        ]
    }

    /// What an apply would make of the files, key by key.
    pub fn changes(&self) -> impl Iterator<Item = (&TargetRecord, &Change)> {
        self.plan.targets.iter().flat_map(|target| target.changes.iter().map(move |change| (target, change)))
    }
}
