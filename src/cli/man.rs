//! `man`: the manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;

use super::error::CliError;
use super::{Cli, Exit, Screen};

/// Print the manual page, or write those of all commands into a directory
///
/// Examples:
///   wan22-policy man | man -l -
///   wan22-policy man --dir ~/.local/share/man/man1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Man {
    /// Write wan22-policy.1 and one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let failed = |error: std::io::Error| CliError::failed(format!("cannot write the manual pages: {error}"));
        match &self.dir {
            Some(directory) => {
                std::fs::create_dir_all(directory).map_err(failed)?;
                clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
                screen.print(&format!("the manual pages are in {}\n", directory.display()))?;
            }
            None => {
                let mut page = Vec::new();
                Page::new(Cli::command()).render(&mut page).map_err(failed)?;
                screen.print(&String::from_utf8_lossy(&page))?;
            }
        }
        Ok(Exit::Fine)
    }
}
