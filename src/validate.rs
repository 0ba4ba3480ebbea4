//! Validation: whether an installation is what it should be. It looks, and runs nothing but what [`start`] is asked to.
//!
//! [`look`] gives what is there: the files, the Python sources as Python reads them, the config files against their schemas.
//! [`Look::facts`] makes facts of it, and [`judge()`] holds them against the rules of the policies. What can be put right
//! stands beside what is wrong, as new file contents that [`crate::apply`] may write.

use std::path::Path;

use serde_json::Value;

use crate::apply::{ApplyError, FileChange, Root};
use crate::facts::{Facts, Origin};
use crate::measured::{self, Measured};
use crate::policy::PolicySet;
use crate::target::Target;

pub mod configs;
pub mod judge;
mod pipelines;
pub mod python;
pub mod sources;
pub mod start;
pub mod tree;

pub use configs::Configs;
pub use judge::judge;
pub use sources::{Left, Repaired, Sources};
pub use tree::Tree;

/// What is there.
#[derive(Clone, Debug)]
pub struct Look {
    /// The stack, by its target; `None` where no target recognises the files.
    pub stack: Option<String>,
    /// Its files.
    pub tree: Tree,
    /// Its Python sources.
    pub sources: Sources,
    /// Its config files, and those of its models.
    pub configs: Configs,
    // `installation.pipelines[]`.
    pipelines: Facts,
    // What was measured of it before; a file that cannot be read is said with the other facts.
    measured: Measured,
}

/// A file that can be put right.
#[derive(Clone, Debug)]
pub struct Repair {
    /// Its bytes, and what they are to become.
    pub change: FileChange,
    /// What is put right, a sentence each.
    pub says: Vec<String>,
}

/// Looks at an installation, and at a folder of models that lies elsewhere. `planned` are the target's files as `apply` would write them, and `python` is the version that
/// reads the sources, `None` the newest that is known.
///
/// # Errors
/// A config file that lies behind a link out of the root, or cannot be read.
pub fn look(
    root: &Root,
    models: Option<&Path>,
    target: Option<&Target>,
    planned: &[Value],
    set: &PolicySet,
    python: Option<(u8, u8)>,
) -> Result<Look, ApplyError> {
    let tree = Tree::read(root.path(), models);
    Ok(Look {
        stack: target.map(|target| target.id.clone()),
        sources: sources::check(&tree, python),
        configs: configs::look(root, target, planned, &set.validation, &tree)?,
        pipelines: pipelines::facts(&tree),
        measured: measured::read(root).ok().flatten().unwrap_or_default(),
        tree,
    })
}

impl Look {
    /// What was seen, as facts that the rules read.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new("`validate` did not look at it");
        facts.fill(self.pipelines.clone());
        let know = |facts: &mut Facts, name: &str, value: Value| {
            facts.know(format!("installation.{name}"), value, Origin::Installation);
        };
        let names = self.tree.entries.iter().map(|entry| Value::from(entry.name.as_str()));
        know(&mut facts, "files", names.collect());
        know(&mut facts, "sources", self.sources.files.into());
        know(&mut facts, "broken_sources", self.sources.broken_files().into());
        know(&mut facts, "unread_sources", self.sources.unread.clone().into());
        if let Some(unwritable) = &self.tree.unwritable {
            know(&mut facts, "unwritable", unwritable.clone().into());
        }
        for (name, reason) in [
            ("start_time", "nobody has started the stack with `validate --start`"),
            ("load_time", "no load of a whole model from the disk is on record"),
            ("sample_time", "no driver answers"),
            ("video_time", "nobody has measured it"),
            ("video_vram", "nobody has measured it"),
        ] {
            facts.unknown(format!("installation.{name}"), reason);
        }
        let mut measured = |name: &str, seconds: f64, time: &str| {
            facts.know(format!("installation.{name}_time"), seconds, Origin::Measured);
            facts.know(format!("installation.{name}_date"), time, Origin::Measured);
        };
        if let Some(load) = self.measured.load.as_ref().filter(|load| load.is_of_a_model) {
            measured("load", load.seconds, &load.time);
        }
        if let Some(start) = &self.measured.start {
            measured("start", start.seconds, &start.time);
        }
        match &self.stack {
            Some(stack) => {
                know(&mut facts, "stack", stack.as_str().into());
                know(&mut facts, "configs", self.configs.present.clone().into());
                know(&mut facts, "broken_configs", self.configs.broken.clone().into());
            }
            None => {
                for name in ["stack", "configs", "broken_configs"] {
                    facts.unknown(format!("installation.{name}"), "no target recognises the files");
                }
            }
        }
        facts
    }

    /// The files that can be put right, of the groups that are asked: sources of `syntax`, config files of `configuration`.
    pub fn repairs(&self, is_asked: impl Fn(&str) -> bool) -> Vec<Repair> {
        let sources = self.sources.repairs.iter().filter(|_| is_asked("syntax")).map(Repair::from);
        let configs = self.configs.repairs.iter().filter(|_| is_asked("configuration")).cloned();
        sources.chain(configs).collect()
    }
}

impl From<&Repaired> for Repair {
    fn from(repaired: &Repaired) -> Self {
        let Repaired { file, before, repair } = repaired;
        let change = FileChange { file: file.clone(), before: Some(before.clone()), after: repair.after.clone() };
        Self { change, says: repair.edits.iter().map(|edit| edit.says.clone()).collect() }
    }
}
