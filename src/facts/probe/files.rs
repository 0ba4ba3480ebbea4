//! The files by which a kernel tells of itself, below a folder that stands for `/`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files below a folder. What was read is remembered, so that it can be saved and read again elsewhere.
///
/// Paths are those below `/`, without the slash: `proc/meminfo`.
#[derive(Debug)]
pub struct Files {
    // None where nothing of the kind is there.
    root: Option<PathBuf>,
    // A folder has no text.
    read: Mutex<BTreeMap<String, Option<String>>>,
}

impl Files {
    /// Those of this machine. On Windows there are none: what lies at `\proc` or `\sys` of a drive is anyone's.
    pub fn here() -> Self {
        Self { root: cfg!(not(windows)).then(|| PathBuf::from("/")), read: Mutex::default() }
    }

    /// Those below this folder.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), read: Mutex::default() }
    }

    /// The text of a file; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn text(&self, path: &str) -> io::Result<String> {
        let text = String::from_utf8_lossy(&fs::read(self.path(path)?)?).into_owned();
        self.read().insert(path.to_owned(), Some(text.clone()));
        Ok(text)
    }

    /// The lines of a file that are wanted, each with its end; of the others nothing is remembered.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&self, path: &str, wanted: impl Fn(&str) -> bool) -> io::Result<String> {
        let text = String::from_utf8_lossy(&fs::read(self.path(path)?)?).into_owned();
        let text: String = text.split_inclusive('\n').filter(|line| wanted(line.trim_end())).collect();
        self.read().insert(path.to_owned(), Some(text.clone()));
        Ok(text)
    }

    /// Whether a file or folder is there.
    pub fn exists(&self, path: &str) -> bool {
        let found = self.path(path).and_then(fs::metadata);
        if let Ok(found) = &found {
            self.read().entry(path.to_owned()).or_insert_with(|| (!found.is_dir()).then(String::new));
        }
        found.is_ok()
    }

    /// Whether a folder is there.
    pub fn is_folder(&self, path: &str) -> bool {
        self.path(path).is_ok_and(|path| path.is_dir()) && self.exists(path)
    }

    /// The names in a folder, in order; none when it cannot be read.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.path(folder).and_then(fs::read_dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Writes what was read below another folder, changed on the way: paths and texts alike. The folder is there
    /// afterwards even if nothing was read.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, folder: &Path, change: impl Fn(&str) -> String) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (path, text) in self.read().iter() {
            let path = folder.join(change(path));
            match text {
                None => fs::create_dir_all(path)?,
                Some(text) => {
                    fs::create_dir_all(path.parent().unwrap_or(folder))?;
                    fs::write(path, change(text))?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, path: &str) -> io::Result<PathBuf> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "this system has no such files");
        Ok(self.root.as_ref().ok_or_else(missing)?.join(path))
    }

    fn read(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::root;
    use super::*;

    #[test]
    fn what_was_read_is_saved_and_nothing_else() {
        let machine = root(&[
            ("proc/status", "Name:\tsecret\nCpus_allowed_list:\t0-3\n"),
            ("proc/meminfo", "MemTotal: 1 kB\n"),
            ("sys/devices/b/id", "2"),
            ("sys/devices/a/id", "1"),
            (".dockerenv", ""),
        ]);
        let files = Files::below(machine.path());
        assert_eq!(files.lines("proc/status", |line| line.starts_with("Cpus")).unwrap(), "Cpus_allowed_list:\t0-3\n");
        assert_eq!(files.names("sys/devices"), ["a", "b"]);
        assert_eq!(files.text("sys/devices/b/id").unwrap(), "2");
        assert!(files.exists(".dockerenv") && !files.exists("run/.containerenv"));
        assert!(files.is_folder("proc") && !files.is_folder("proc/status") && !files.is_folder("run"));
        assert!(files.text("proc/nothing").is_err());

        let saved = tempfile::tempdir().unwrap();
        files.save(saved.path(), |text| text.replace('b', "x")).unwrap();
        let again = Files::below(saved.path());
        assert_eq!(again.text("proc/status").unwrap(), "Cpus_allowed_list:\t0-3\n");
        assert_eq!(again.text("sys/devices/x/id").unwrap(), "2");
        assert_eq!(again.names("sys/devices"), ["x"]);
        assert!(again.exists(".dockerenv"));
        assert!(!again.exists("proc/meminfo"));
    }

    #[test]
    fn a_system_without_such_files_is_saved_as_an_empty_folder() {
        let files = Files { root: None, read: Mutex::default() };
        assert!(files.text("proc/meminfo").is_err() && files.lines("proc/meminfo", |_| true).is_err());
        assert!(!files.exists("proc") && !files.is_folder("proc") && files.names("sys").is_empty());
        let above = tempfile::tempdir().unwrap();
        files.save(&above.path().join("root"), str::to_owned).unwrap();
        assert_eq!(Files::below(above.path()).names(""), ["root"]);
    }
}
