//! The Python sources of an installation, and what is wrong with them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use rayon::prelude::*;

use super::python::repair::{Repair, repair};
use super::python::{self, SyntaxError};
use super::tree::{Entry, Tree};
use crate::diag::{Finding, Severity, Source, Span};

/// Larger files are not read: nobody wrote them by hand.
const MAX_FILE: u64 = 4 << 20;

/// Larger files are read one after the other: the tree of one takes some sixty times its size.
const LARGE: u64 = 256 << 10;

/// Most threads that read.
const MAX_THREADS: usize = 8;

// The first error of a file, if any, and its repair, or what to do in its place; or why it was not read.
type Checked = Result<Option<(Finding, Result<Repaired, Left>)>, String>;

/// What became of the sources.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// How many files were read.
    pub files: usize,
    /// The first error of each broken file, and the files that could not be read, by name.
    pub findings: Vec<Finding>,
    /// Names of the files that could not be read, and of folders that could not be listed.
    pub unread: Vec<String>,
    /// The broken files that can be repaired, by name.
    pub repairs: Vec<Repaired>,
    /// The other broken files, by name.
    pub left: Vec<Left>,
}

/// A broken file that is not repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Name relative to the root, with `/`; as in the finding.
    pub file: String,
    /// What a person does about its first error, in order.
    pub steps: Vec<String>,
}

/// A broken file and its repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Name relative to the root, with `/`; as in the finding.
    pub file: String,
    /// The bytes that the repair was derived from.
    pub before: Vec<u8>,
    /// The new bytes, and what was changed.
    pub repair: Repair,
}

/// Reads every `.py` file of an installation, as the Python of a version would; `None` is the newest that is known.
pub fn check(tree: &Tree, version: Option<(u8, u8)>) -> Sources {
    let mut sources = Sources::default();
    tree.unread.iter().for_each(|(name, why)| sources.leave(name, why));
    let files: Vec<&Entry> = tree.files().filter(|file| is_python(&file.path)).collect();
    let check = |Entry { name, path }: &Entry| -> Checked {
        let bytes = read(path).map_err(|error| error.to_string())?;
        let checked = python::check(&bytes, version).map_err(|why| why.to_string())?;
        Ok(checked.error.map(|error| {
            // A name that is not Unicode is shown with other characters, so nobody could find the file by it.
            let repair = path.to_str().and_then(|_| repair(&bytes, version));
            let steps = if repair.is_none() { python::steps(&error, &checked.text) } else { Vec::new() };
            let finding = broken(name, checked.text, error, repair.as_ref());
            let became = match repair {
                Some(repair) => Ok(Repaired { file: name.clone(), before: bytes, repair }),
                None => Err(Left { file: name.clone(), steps }),
            };
            (finding, became)
        }))
    };
    let is_large = |file: &Entry| file.path.metadata().is_ok_and(|found| found.len() > LARGE);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(python::STACK).build();
    let checked: Vec<Checked> = match pool {
        Ok(pool) => pool.install(|| {
            let small: Vec<Option<Checked>> =
                files.par_iter().map(|file| (!is_large(file)).then(|| check(file))).collect();
            files.iter().zip(small).map(|(file, checked)| checked.unwrap_or_else(|| check(file))).collect()
        }),
        Err(error) => vec![Err(error.to_string()); files.len()],
    };
    sources.files = checked.iter().filter(|checked| checked.is_ok()).count();
    for (file, checked) in files.iter().zip(checked) {
        match checked {
            Ok(None) => {}
            Ok(Some((finding, became))) => {
                sources.findings.push(finding);
                match became {
                    Ok(repaired) => sources.repairs.push(repaired),
                    Err(left) => sources.left.push(left),
                }
            }
            Err(why) => sources.leave(&file.name, &why),
        }
    }
    sources
}

impl Sources {
    fn leave(&mut self, name: &str, why: &str) {
        self.unread.push(name.to_owned());
        self.findings.push(Finding::warning("python-unread", format!("`{name}` cannot be read: {why}")));
    }

    /// The files that Python cannot read.
    pub fn broken_files(&self) -> Vec<String> {
        let broken = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        broken.filter_map(|finding| Some(finding.labels.first()?.span.source.name.clone())).collect()
    }
}

fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("py"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

fn broken(name: &str, text: String, error: SyntaxError, repair: Option<&Repair>) -> Finding {
    let span = Span { source: Source::new(name, text), range: error.range };
    let finding = Finding::error("python-syntax", "Python cannot read this file").at(span, error.message);
    finding.maybe_help(repair.map(Repair::help).or(error.help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_comes_with_its_repair_or_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("nodes")).unwrap();
        for (name, text) in
            [("fine.py", "x = 1\n"), ("nodes/a.py", "if x\r\n    y = (1\r\n"), ("nodes/b.py", "x = f(a.b\n")]
        {
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let sources = check(&Tree::read(root.path(), None), Some((3, 11)));
        assert_eq!((sources.files, sources.broken_files().len()), (3, 2));
        let helps: Vec<_> = sources.findings.iter().map(|finding| finding.help.as_deref().unwrap()).collect();
        assert_eq!(
            helps,
            ["add `:` at the end of line 1, and add `)` at the end of line 2", "close it where what it holds ends"]
        );
        let [repaired] = &sources.repairs[..] else { panic!("{:?}", sources.repairs) };
        assert_eq!((repaired.file.as_str(), &repaired.before[..]), ("nodes/a.py", &b"if x\r\n    y = (1\r\n"[..]));
        assert_eq!(repaired.repair.after, b"if x:\r\n    y = (1)\r\n");
        let [left] = &sources.left[..] else { panic!("{:?}", sources.left) };
        assert_eq!((left.file.as_str(), left.steps.len()), ("nodes/b.py", 3));
    }
}
