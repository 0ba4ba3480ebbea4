//! `impact`: what an edit of the policies changes, on which machines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::author::AuthorOptions;
use super::error::CliError;
use super::{Exit, Screen};
use crate::diag::Source;
use crate::impact::{Side, impact};
use crate::policy::{LoadOptions, What, compile, load, table};
use crate::report::json::{self, ImpactReport};
use crate::report::{human, markdown};

/// Show which settings an edit of the policies changes, on which machines, from what to what
///
/// Compares the policies with those of a Git revision or of another directory: on every machine of
/// the folder, and on generated ones at each number that either side compares a fact with. Same
/// changes are shown once; those that no machine of the folder has, with the smallest machine that
/// was found. Ends with 4 when something changes.
///
/// Examples:
///   wan22-policy impact --base main
///   wan22-policy impact --base main --format markdown   for a pull request
///   wan22-policy impact --base ../released/policies
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Impact {
    /// The policies to compare with: a revision, as Git names it, or a directory
    #[arg(long, value_name = "REV|DIR")]
    base: String,

    #[command(flatten)]
    author: AuthorOptions,

    /// For people, as JSON that `wan22-policy schema` describes, or as Markdown for a pull request
    #[arg(long, value_enum, default_value_t = Format::Human, help_heading = "Output")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For a pull request.
    Markdown,
}

impl Impact {
    /// Whether what stops the command is printed as JSON too.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let edited = self.author.policies().load_options(What::All);
        let base = self.side(self.base(&edited)?)?;
        let head = self.side(edited)?;
        let found = impact(&base, &head, self.author.as_of());
        let report = ImpactReport::new(&base.set, &head.set, &found);
        screen.print(&match self.format {
            Format::Human => human::impact::render(&report, screen.paint),
            Format::Json => json::text(&report),
            Format::Markdown => markdown::impact(&report),
        })?;
        Ok(if report.changes.is_empty() { Exit::Fine } else { Exit::Differs })
    }

    fn side(&self, options: LoadOptions) -> Result<Side, CliError> {
        let (files, _) = load(&options)?;
        let corpus = self.author.corpus_with(&table(&files, "gpus")?)?;
        Ok(Side { set: compile(&files)?, files, corpus })
    }

    // What is compared with: a directory in place of those that are edited, or the same ones as they were.
    fn base(&self, edited: &LoadOptions) -> Result<LoadOptions, CliError> {
        let directory = PathBuf::from(&self.base);
        if directory.is_dir() {
            return Ok(LoadOptions { directories: vec![directory], ..edited.clone() });
        }
        let mut texts = Vec::new();
        for directory in self.author.directories() {
            texts.extend(at_revision(&self.base, &directory)?);
        }
        Ok(LoadOptions { directories: Vec::new(), texts, ..edited.clone() })
    }
}

// The files of a folder at a revision, by their names below it.
fn at_revision(revision: &str, folder: &Path) -> Result<Vec<(String, Arc<Source>)>, CliError> {
    // Git reads `REV:./` from its own folder on.
    let tree = format!("{revision}:./");
    let listed = git(folder, &["ls-tree", "--full-tree", "-r", "-z", "--name-only", "--end-of-options", &tree])
        .map_err(|error| {
            let message = format!("cannot read the policies at `{revision}`: {error}");
            CliError::usage(message)
                .help("--base takes a revision that Git knows (main, HEAD~1, a tag), or a directory")
        })?;
    let names = listed.split('\0').filter(|name| name.ends_with(".yaml"));
    let read = |name: &str| {
        let shown = format!("{revision}:{}", folder.join(name).display());
        let text = git(folder, &["show", "--end-of-options", &format!("{revision}:./{name}")])
            .map_err(|error| CliError::failed(format!("cannot read `{shown}`: {error}")))?;
        Ok((name.to_owned(), Source::new(shown, text)))
    };
    names.map(read).collect()
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let output = output.map_err(|error| format!("Git cannot be run: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(error.trim().trim_start_matches("fatal: ").to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "it is not UTF-8".to_owned())
}
