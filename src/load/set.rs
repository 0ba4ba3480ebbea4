//! The files of a checkpoint set: found, checked by their headers, and in the order in which a run needs them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Wanted;
use crate::diag::{Finding, Severity};
use crate::facts::probe::checkpoints::find::{self, Candidate, Found, Links};
use crate::facts::probe::checkpoints::sets::{self, Model};
use crate::facts::probe::checkpoints::{self, header::Fault};

/// How long search and reading of headers may take; on a network a thousand headers take some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Faults that no stack can load a model with.
const REFUSED: [&str; 3] = ["checkpoint-incomplete", "checkpoint-invalid", "checkpoint-truncated"];

/// A checkpoint set.
#[derive(Debug)]
pub struct CheckpointSet {
    /// Its parts, in the order in which a run needs them.
    pub parts: Vec<SetPart>,
    /// What is wrong with its files; what no stack could load is an error.
    pub findings: Vec<Finding>,
}

/// A part of a set.
#[derive(Debug)]
pub struct SetPart {
    /// What it is; `None` of a file that was named and is no part of a Wan model.
    pub model: Option<Model>,
    /// The file, or the index or the common name of its shards, from the folder of the set.
    pub name: String,
    /// Its files.
    pub files: Vec<Wanted>,
}

impl SetPart {
    /// What it is, for people: `text encoder`, `transformer, high noise`.
    pub fn what(&self) -> &'static str {
        let Some(model) = &self.model else { return "file" };
        match (model.part.component, model.part.expert) {
            ("text_encoder", _) => "text encoder",
            ("image_encoder", _) => "image encoder",
            ("dit", Ok("high_noise")) => "transformer, high noise",
            ("dit", Ok("low_noise")) => "transformer, low noise",
            ("dit", _) => "transformer",
            ("vae", _) => "VAE",
            _ => "file",
        }
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl CheckpointSet {
    /// Adds another set to this one.
    pub fn join(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.findings.extend(other.findings);
        arrange(&mut self.parts);
    }

    /// Says that a file of it could not be read after all.
    pub fn lose(&mut self, file: &Path) {
        let parts = self.parts.iter_mut().filter(|part| part.files.iter().any(|wanted| wanted.path == file));
        parts.filter_map(|part| part.model.as_mut()).for_each(|model| model.is_complete = Some(false));
    }

    /// The files of its damaged parts.
    pub fn damaged_files(&self) -> impl Iterator<Item = &Path> {
        let is_damaged = |model: &Model| model.is_complete == Some(false);
        let parts = self.parts.iter().filter(move |part| part.model.as_ref().is_some_and(is_damaged));
        parts.flat_map(|part| part.files.iter().map(|file| &*file.path))
    }

    /// Whether it has a transformer.
    pub fn is_a_model(&self) -> bool {
        self.parts.iter().filter_map(|part| part.model.as_ref()).any(|model| model.part.component == "dit")
    }

    /// Every file, in the order in which a run needs them.
    pub fn files(&self) -> Vec<Wanted> {
        self.parts.iter().flat_map(|part| part.files.iter().cloned()).collect()
    }
}

/// Finds the set in a folder, or the one that a file belongs to, and reads the headers of its files. It has no parts where
/// nothing is recognised.
///
/// # Errors
/// The folder or the file is not there, or cannot be read at all.
pub fn read(path: &Path) -> io::Result<CheckpointSet> {
    let until = Instant::now() + PATIENCE;
    let is_folder = fs::metadata(path)?.is_dir();
    let found = if is_folder { search(path, until)? } else { one(path, until)? };
    let (models, mut said) = sets::read(&found, until);
    said.extend(found.passed.iter().cloned());
    let mut findings = findings(&said);
    let mut parts: Vec<SetPart> = models.into_iter().filter_map(|model| part(model, &mut findings)).collect();
    if parts.is_empty() && !is_folder && !crate::diag::refuses(&findings) {
        // Whoever names a file means it, such as a LoRA.
        let files = found.files.iter().filter_map(|file| wanted(&file.path)).collect();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        parts.push(SetPart { model: None, name, files });
    }
    arrange(&mut parts);
    Ok(CheckpointSet { parts, findings })
}

// Two links, or a folder and a file in it, may lead to one file.
fn arrange(parts: &mut Vec<SetPart>) {
    parts.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    let mut seen = BTreeSet::new();
    parts.iter_mut().for_each(|part| part.files.retain(|file| seen.insert(file.path.clone())));
    parts.retain(|part| !part.files.is_empty());
}

/// The parts of models in a folder, as a stack finds them: all links are followed.
///
/// # Errors
/// The folder cannot be searched.
pub fn models(folder: &Path, until: Instant) -> io::Result<Vec<Model>> {
    Ok(sets::read(&search(folder, until)?, until).0)
}

pub(super) fn search(folder: &Path, until: Instant) -> io::Result<Found> {
    find::search(folder, Links::Anywhere, until).map_err(io::Error::other)
}

// A file, with the shards and the index that belong to it.
fn one(path: &Path, until: Instant) -> io::Result<Found> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = search(folder, until)?;
    let stem = stem(&name).to_owned();
    found.files.retain(|file: &Candidate| file.folder.is_empty() && self::stem(&file.name) == stem);
    found.passed.retain(|(file, _)| self::stem(file) == stem);
    Ok(found)
}

// `model` of `model-00001-of-00003.safetensors` and of `model.safetensors.index.json`; else the whole name.
fn stem(name: &str) -> &str {
    if let Some(stem) = name.strip_suffix(".safetensors.index.json") {
        return stem;
    }
    let shard = name.strip_suffix(".safetensors").or_else(|| name.strip_suffix(".gguf"));
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    shard
        .and_then(|shard| shard.rsplit_once("-of-").filter(|(_, count)| is_number(count)))
        .and_then(|(shard, _)| shard.rsplit_once('-').filter(|(_, number)| is_number(number)))
        .map_or(name, |(stem, _)| stem)
}

fn findings(said: &[(String, Fault)]) -> Vec<Finding> {
    let mut once = BTreeSet::new();
    let mut findings: Vec<Finding> =
        said.iter().filter_map(|(file, fault)| checkpoints::finding(file, fault)).collect();
    findings.retain(|finding| once.insert(finding.message.clone()));
    for finding in findings.iter_mut().filter(|finding| REFUSED.contains(&finding.code.as_str())) {
        finding.severity = Severity::Error;
    }
    findings
}

fn part(model: Model, findings: &mut Vec<Finding>) -> Option<SetPart> {
    let files: Vec<Wanted> = model.shards.iter().filter_map(wanted).collect();
    if files.len() < model.shards.len() {
        let message = format!("a file of `{}` is gone", model.file);
        findings.push(Finding::error("checkpoint-incomplete", message));
    }
    Some(SetPart { name: model.file.clone(), model: Some(model), files })
}

fn wanted(path: &PathBuf) -> Option<Wanted> {
    Some(Wanted { bytes: fs::metadata(path).ok()?.len(), path: path.clone() })
}

// The prompt is encoded first, then the image; of two experts the one for high noise begins.
fn rank(part: &SetPart) -> u8 {
    let Some(model) = &part.model else { return 5 };
    match (model.part.component, model.part.expert) {
        ("text_encoder", _) => 0,
        ("image_encoder", _) => 1,
        ("dit", Ok("low_noise")) => 3,
        ("dit", _) => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_their_index_have_one_stem() {
        for name in ["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors", "m.safetensors.index.json"] {
            assert_eq!(stem(name), "m");
        }
        for name in ["m.safetensors", "m-of-00003.safetensors", "m-1-of-3.gguf", "vae.pth", "m-00001-of-x.safetensors"]
        {
            assert_eq!(stem(name), name);
        }
    }
}
