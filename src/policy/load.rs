//! Finds policy files, layer over layer, and reads them.
//!
//! Directories, lowest first: built in, `/etc/wan22-policy/policies.d`, the user's configuration directory, then those
//! given with `--policies`. A file replaces the one of the same name in an earlier directory; an empty file or a link
//! to `/dev/null` removes it. In a directory, `NN-name.yaml` belongs to layer NN; files in sub-folders (`targets/`, …)
//! belong to layer 0. Files in `data/` hold tables that facts are completed from (the cards); no expression reads
//! them, and they are read when a fact needs them. Files in `validate/` hold the rules of a validation, which nothing else
//! asks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use super::source::{PolicyFile, ValidationSection};
use crate::diag::{Finding, Source};
use crate::yaml::{self, Document};

/// Largest policy file, in bytes.
const MAX_FILE: u64 = 4 << 20;

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// Where policies come from.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Directories given by the user, lowest first; each must exist.
    pub directories: Vec<PathBuf>,
    /// Whether the system's and the user's configuration directories are read.
    pub site: bool,
    /// Whether policy directories other than the built-in one may bring targets, that is, name files to write.
    pub allow_targets: bool,
    /// Which files are read.
    pub what: What,
    /// Texts over all directories, by their name below one: files as they were at another time.
    pub texts: Vec<(String, Arc<Source>)>,
}

/// Which files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// The policies: all files but those in `data/` and `validate/`.
    #[default]
    Policies,
    /// The policies, and the rules of a validation in `validate/`.
    Validation,
    /// The files in `data/`.
    Tables,
    /// Every file.
    All,
}

impl What {
    fn includes(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Tables => name.starts_with(TABLES),
            Self::Validation => !name.starts_with(TABLES),
            Self::Policies => !name.starts_with(TABLES) && !name.starts_with(RULES),
        }
    }
}

const TABLES: &str = "data/";
const RULES: &str = "validate/";

/// A policy file that was read.
#[derive(Clone, Debug)]
pub struct LoadedFile {
    /// Name below its directory: `20-cpu-threads.yaml`, `data/gpus.yaml`.
    pub name: String,
    /// Layer, 0 to 99.
    pub layer: u8,
    /// Where each part stands.
    pub document: Document,
    /// What it says.
    pub entries: PolicyFile,
}

/// Why the policies cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A directory or file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not a policy file.
    #[error("{} policy files cannot be used", .0.len())]
    Invalid(Vec<Finding>),
}

// A file that is read, whether built in or on disk.
struct Found {
    shown: String,
    text: Arc<Source>,
    built_in: bool,
}

/// Reads every policy file, in order of layer and name, with what is odd about the directories.
///
/// # Errors
/// A directory that cannot be read, or all files that are not policy files.
pub fn load(options: &LoadOptions) -> Result<(Vec<LoadedFile>, Vec<Finding>), LoadError> {
    let mut found = BTreeMap::new();
    let mut findings = Vec::new();
    built_in(&BUILT_IN, &mut found);
    let site = options.site.then(site_directories).unwrap_or_default();
    // What the system's owner and the user link to from their own folders is their matter.
    let site = site.iter().filter(|folder| folder.is_dir()).map(|folder| (folder, true));
    for (folder, may_link) in site.chain(options.directories.iter().map(|folder| (folder, false))) {
        read_directory(folder, may_link, &mut found, &mut findings)?;
    }
    for (name, text) in options.texts.iter().filter(|(name, _)| layer_of(name).is_some()) {
        found.insert(name.clone(), Found { shown: text.name.clone(), text: text.clone(), built_in: false });
    }
    let mut files = Vec::new();
    let mut invalid = Vec::new();
    for (name, file) in found {
        if !options.what.includes(&name) || file.text.text.trim().is_empty() {
            continue;
        }
        match read_file(&name, &file, options.allow_targets) {
            Ok(mut file) => {
                // Rules of a site count where those of `validate/` do, and where their groups are known.
                if options.what == What::Policies {
                    file.entries.validation = ValidationSection::default();
                }
                files.push(file);
            }
            Err(finding) => invalid.push(finding),
        }
    }
    if !invalid.is_empty() {
        return Err(LoadError::Invalid(invalid));
    }
    files.sort_by(|a, b| (a.layer, &a.name).cmp(&(b.layer, &b.name)));
    Ok((files, findings))
}

/// The layer of files that only hold checks: above all policies, so that none can disable them.
const CHECKS_LAYER: u8 = 99;

/// Reads every `*.yaml` of a folder, each of which may hold checks and functions and nothing else.
///
/// # Errors
/// A file that cannot be read, or all files that are not such files.
pub fn load_checks(folder: &Path) -> Result<Vec<LoadedFile>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: folder.to_path_buf(), error };
    let entries: Vec<_> = fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut files = Vec::new();
    let mut invalid = Vec::new();
    for path in paths {
        let shown = path.display().to_string();
        let text = Source::new(shown.clone(), read_trusted(&path, &mut invalid)?);
        match read_file(&shown, &Found { shown: shown.clone(), text, built_in: false }, false) {
            Ok(file) => match beside_checks(&file) {
                Some(finding) => invalid.push(finding),
                None => files.push(LoadedFile { layer: CHECKS_LAYER, ..file }),
            },
            Err(finding) => invalid.push(finding),
        }
    }
    if invalid.is_empty() { Ok(files) } else { Err(LoadError::Invalid(invalid)) }
}

// What a file of checks holds that is none.
fn beside_checks(file: &LoadedFile) -> Option<Finding> {
    let entries = &file.entries;
    let others = [
        ("policies", entries.policies.is_empty()),
        ("data", entries.data.is_empty()),
        ("disable", entries.disable.is_empty()),
        ("targets", entries.targets.is_empty()),
        ("stacks", entries.stacks.is_empty()),
        ("validation", entries.validation.rules.is_empty()),
    ];
    let (key, _) = others.into_iter().find(|(_, is_empty)| !is_empty)?;
    let finding = Finding::error("policy-file", format!("a file of invariants holds `checks`, not `{key}`"));
    Some(finding.at(file.document.key_span(&format!("/{key}")), ""))
}

fn built_in(directory: &Dir<'_>, found: &mut BTreeMap<String, Found>) {
    for entry in directory.entries() {
        if let Some(directory) = entry.as_dir() {
            built_in(directory, found);
        } else if let Some(file) = entry.as_file()
            && let Some(name) = file.path().to_str()
            && name.ends_with(".yaml")
        {
            let shown = format!("<built-in>/{name}");
            let text = Source::new(shown.clone(), file.contents_utf8().unwrap_or_default());
            found.insert(name.to_owned(), Found { shown, text, built_in: true });
        }
    }
}

/// The system's and the user's directories of policies, lowest first; they need not exist.
pub fn site_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if cfg!(unix) {
        directories.push(PathBuf::from("/etc/wan22-policy/policies.d"));
    }
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = match cfg!(windows) {
        true => home("APPDATA"),
        false => home("XDG_CONFIG_HOME").or_else(|| Some(home("HOME")?.join(".config"))),
    };
    directories.extend(config.map(|config| config.join("wan22-policy").join("policies.d")));
    directories
}

fn read_directory(
    root: &Path,
    may_link: bool,
    found: &mut BTreeMap<String, Found>,
    findings: &mut Vec<Finding>,
) -> Result<(), LoadError> {
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let unreadable = |error| LoadError::Unreadable { path: directory.clone(), error };
        let mut entries = Vec::new();
        for entry in fs::read_dir(&directory).map_err(unreadable)? {
            entries.push(entry.map_err(unreadable)?.path());
        }
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                if directory == root {
                    pending.push(path);
                }
                continue;
            }
            if layer_of(&name).is_none() {
                if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                    let message = format!("`{}` is not read", path.display());
                    let help = "name it NN-name.yaml, NN being its layer: 80 for a site, 90 for a user";
                    findings.push(Finding::warning("unread-policy-file", message).help(help));
                }
                continue;
            }
            if !may_link && leads_out(&path, root) {
                let message = format!("`{}` is a link that leads out of its folder", path.display());
                let help = "put the file itself there, or name the folder that it lies in with --policies too";
                findings.push(Finding::error("untrusted-policy", message).help(help));
                continue;
            }
            let text = read_trusted(&path, findings)?;
            let shown = path.display().to_string();
            let text = Source::new(shown.clone(), text);
            found.insert(name, Found { shown, text, built_in: false });
        }
    }
    Ok(())
}

// What a stranger's folder links to is none of its files, and an error would show a line of it. `/dev/null` masks.
fn leads_out(path: &Path, root: &Path) -> bool {
    let is_within = |real: &Path| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
    fs::canonicalize(path).is_ok_and(|real| real != Path::new("/dev/null") && !is_within(&real))
}

// A link to `/dev/null` reads as an empty text, which masks.
fn read_trusted(path: &Path, findings: &mut Vec<Finding>) -> Result<String, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_path_buf(), error };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return match fs::canonicalize(path) {
            Ok(real) if real == Path::new("/dev/null") => Ok(String::new()),
            _ => Err(unreadable(std::io::Error::other("not a regular file"))),
        };
    }
    if metadata.len() > MAX_FILE {
        return Err(unreadable(std::io::Error::other(format!("larger than {} MiB", MAX_FILE >> 20))));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        if root && metadata.is_file() && (metadata.uid() != 0 || metadata.mode() & 0o022 != 0) {
            let message = format!("`{}` can be written by others, and this program runs as root", path.display());
            let help = "make root its owner and remove the write permission of group and others";
            findings.push(Finding::error("untrusted-policy", message).help(help));
        }
    }
    #[cfg(not(unix))]
    let _ = findings;
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| unreadable(std::io::Error::other("not UTF-8")))
}

// `20-cpu.yaml` → 20; a file in a sub-folder without digits → 0; `None` when it is no policy file.
fn layer_of(name: &str) -> Option<u8> {
    let (folder, file) = name.rsplit_once('/').map_or((false, name), |(_, file)| (true, file));
    file.strip_suffix(".yaml")?;
    match file.split_once('-').filter(|(digits, _)| digits.len() == 2) {
        Some((digits, _)) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => folder.then_some(0),
    }
}

fn read_file(name: &str, found: &Found, allow_targets: bool) -> Result<LoadedFile, Finding> {
    let document = yaml::parse(found.text.clone())?;
    // Comments alone say nothing, which is no mistake.
    let entries: PolicyFile =
        if document.value.is_null() { PolicyFile::default() } else { document.read("policy-file")? };
    if !entries.targets.is_empty() && !found.built_in && !allow_targets {
        let message = format!("`{}` brings a target, which names files to write", found.shown);
        return Err(Finding::error("untrusted-target", message)
            .at(document.key_span("/targets"), "")
            .help("add --allow-targets when you trust it"));
    }
    let layer = layer_of(name).unwrap_or(0);
    Ok(LoadedFile { name: name.to_owned(), layer, document, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_shows_the_layer() {
        assert_eq!(layer_of("20-cpu.yaml"), Some(20));
        assert_eq!(layer_of("data/gpus.yaml"), Some(0));
        assert_eq!(layer_of("data/95-gpus.yaml"), Some(95));
        assert_eq!(layer_of("cpu.yaml"), None);
        assert_eq!(layer_of("20-cpu.yml"), None);
        assert_eq!(layer_of("README.md"), None);
    }

    #[test]
    fn a_later_directory_replaces_and_masks_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("10-monitor.yaml"), "").unwrap();
        fs::write(directory.path().join("90-me.yaml"), "policies: []\n").unwrap();
        fs::write(directory.path().join("notes.yaml"), "").unwrap();
        let options = LoadOptions { directories: vec![directory.path().to_path_buf()], ..LoadOptions::default() };
        let (files, findings) = load(&options).unwrap();
        assert!(files.iter().all(|f| f.name != "10-monitor.yaml"));
        assert_eq!(files.last().map(|f| f.layer), Some(90));
        assert!(findings.iter().any(|f| f.code.as_str() == "unread-policy-file"));
    }
}
