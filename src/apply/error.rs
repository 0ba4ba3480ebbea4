//! What stops an apply or a rollback.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Changed;

/// Why nothing was applied or rolled back. The files are as they were, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The system refused to read or write.
    #[error("cannot {action} `{}`: {error}", path.display())]
    Io {
        /// What was tried: "read", "write", ….
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The root is not a directory.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// The root as it was given.
        path: PathBuf,
    },
    /// A target is not named relative to the root, has `..` in its name, or lies in the state directory.
    #[error("`{file}` is not the name of a file below `{}`", root.display())]
    BadName {
        /// The name as it was given.
        file: String,
        /// The root.
        root: PathBuf,
    },
    /// A link leads out of the root.
    #[error("`{}` leads out of the root `{}`, to `{}`", path.display(), root.display(), real.display())]
    OutsideRoot {
        /// The link, or a path through it.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// A link leads to nothing.
    #[error("the link `{}` leads to nothing", path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// A link stands where a folder of ours, or a folder on the way to a target, was or should be.
    #[error("`{}` should be a folder, and is a link or a file", path.display())]
    LinkInstead {
        /// Where it stands.
        path: PathBuf,
    },
    /// A target has other names, which would keep the old bytes.
    #[error("`{}` is one of {links} names of the same file (hard links), and only this one would get the new bytes", path.display())]
    HardLinks {
        /// The target.
        path: PathBuf,
        /// How many names the file has.
        links: u64,
    },
    /// The new file cannot get what the old one has.
    #[error("the {what} of `{}` cannot be kept: {error}", path.display())]
    NotKept {
        /// What cannot be kept.
        what: String,
        /// The new file, beside its target.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A target is a directory, a pipe or a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// A new file was to be written into a directory that does not exist.
    #[error("the directory of `{}` does not exist", path.display())]
    NoDirectory {
        /// The target.
        path: PathBuf,
    },
    /// Two names of one commit lead to the same file.
    #[error("`{first}` and `{second}` are the same file `{}`", path.display())]
    SameFile {
        /// One name.
        first: String,
        /// The other name.
        second: String,
        /// The file.
        path: PathBuf,
    },
    /// Another process is applying or rolling back in this root.
    #[error("another process holds the lock `{}`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Files differ from what the change was derived from.
    #[error("{} changed while the change was prepared (in `{}`)", Names(files.iter().map(|changed| &changed.file)), root.display())]
    Changed {
        /// The root.
        root: PathBuf,
        /// The files.
        files: Vec<Changed>,
    },
    /// Files were changed after they were applied, so a rollback would lose the edits.
    #[error("{} changed since the apply (in `{}`)", Names(files.iter()), root.display())]
    EditedSince {
        /// The root.
        root: PathBuf,
        /// Names of the files.
        files: Vec<String>,
    },
    /// A file did not hold what was written into it when it was read back.
    #[error("`{}` does not hold what was written into it", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
    },
    /// There is no apply to take back.
    #[error("nothing was applied in `{}`", root.display())]
    NothingToRollBack {
        /// The root.
        root: PathBuf,
    },
    /// The history does not reach back to an apply, or the apply is the newest one.
    #[error("no apply after number {to} can be taken back; the history has {}", Numbers(known))]
    NoSuchApply {
        /// The number that was asked for.
        to: u32,
        /// Those of the history.
        known: Vec<u32>,
    },
    /// A file of the state directory is not what this program wrote.
    #[error("`{}` is damaged: {message}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

struct Names<I>(I);

impl<'a, I: Iterator<Item = &'a String> + Clone> fmt::Display for Names<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.clone().enumerate() {
            write!(f, "{}`{name}`", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

struct Numbers<'a>(&'a [u32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("none"),
            [one] => write!(f, "{one}"),
            [first, .., last] => write!(f, "{first} to {last}"),
        }
    }
}
