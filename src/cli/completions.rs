//! `completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::error::CliError;
use super::{Cli, Exit, Screen};

/// Print the completions for a shell
///
/// Examples:
///   wan22-policy completions bash > ~/.local/share/bash-completion/completions/wan22-policy
///   wan22-policy completions fish > ~/.config/fish/completions/wan22-policy.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "wan22-policy", &mut script);
        screen.print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Fine)
    }
}
