//! Invariants: assertions by hand over facts and settings that hold for every machine, whatever the snapshots say.
//!
//! They are checks in files of their own, beside the machines and not among the policies, so that accepting a snapshot
//! unread cannot bless what they forbid.

use std::path::Path;

use crate::diag::Finding;
use crate::policy::{LoadError, LoadedFile, load_checks};

/// The files of invariants.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    files: Vec<LoadedFile>,
}

impl Invariants {
    /// Reads every `*.yaml` of the folder; none where there is no such folder.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds more than checks.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let files = if folder.is_dir() { load_checks(folder)? } else { Vec::new() };
        Ok(Self { files })
    }

    /// The files, to be compiled with those of the policies.
    pub fn files(&self) -> &[LoadedFile] {
        &self.files
    }

    /// How many assertions there are.
    pub fn len(&self) -> usize {
        self.files.iter().map(|file| file.entries.checks.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an invariant gave the finding: that it is violated, or cannot be decided.
    pub fn gave(&self, finding: &Finding) -> bool {
        let about = finding.labels.first().map(|label| &label.span.source.name);
        self.files.iter().any(|file| Some(&file.document.source.name) == about)
    }
}
