//! `schema`: the JSON Schema of a format.

use std::path::Path;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::error::CliError;
use super::{Exit, Screen};
use crate::schema;

/// Print the JSON Schema of a format
///
/// An editor with a YAML language server completes and checks policy files when their first line is
///   # yaml-language-server: $schema=policy.schema.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Schema {
    /// The format
    #[arg(value_parser = PossibleValuesParser::new(schema::FORMATS.iter().map(|format| {
        clap::builder::PossibleValue::new(format.name).help(format.what)
    })))]
    name: String,
}

impl Schema {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let format =
            schema::find(&self.name).ok_or_else(|| CliError::usage(format!("there is no format `{}`", self.name)))?;
        screen.print(&format.text())?;
        Ok(Exit::Fine)
    }
}

/// The line at the head of a YAML file by which an editor finds the schema of its format: where the file lies in a checkout
/// of this program, the path to `schemas/` there.
pub fn first_line(format: &str, file: &Path) -> Option<String> {
    let name = format!("schemas/{format}.schema.json");
    let file = std::path::absolute(file).ok()?;
    let up = file.parent()?.ancestors().position(|folder| folder.join(&name).is_file())?;
    Some(format!(
        "# yaml-language-server: $schema={}{name}\n",
        if up == 0 { "./".to_owned() } else { "../".repeat(up) }
    ))
}
