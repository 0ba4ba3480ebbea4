//! Checkpoints on the disk: `models[]`, read from headers alone, and what is wrong with a file.
//!
//! [`find`] lists the files below the root of the installation, [`mod@safetensors`], [`gguf`] and [`pth`] read what their
//! headers say, [`sets`] joins the shards of one checkpoint, and [`recognise`] tells the part of a Wan model. A header is read in
//! bounded memory, no tensor is loaded, and no pickle is run.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

pub mod find;
pub mod gguf;
pub mod header;
pub mod index;
pub mod pth;
pub mod recognise;
pub mod safetensors;
pub mod sets;
mod shard;

use self::find::{Kind, Links, beside};
use self::header::{Fault, Header};
use self::sets::Model;
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

/// How long search and reading may take together; a thousand headers on a disk that rotates take less. The probe is given
/// up some seconds later.
const PATIENCE: Duration = Duration::from_secs(6);

/// Most parts of models that are listed.
const MAX_PARTS: usize = 512;

/// Most findings.
const MAX_FINDINGS: usize = 64;

/// Bytes by which a file is told to be none of its format.
const PEEK: u64 = 64;

/// `models[]` of the folder of an installation, and of one that lies elsewhere, and what is wrong with the checkpoints there.
///
/// What lies elsewhere has its whole path, with `/`, for a name.
pub fn probe(root: &Path, elsewhere: Option<&Path>) -> Facts {
    let until = Instant::now() + PATIENCE;
    let mut facts = Facts::new("no probe reports it");
    let elsewhere = elsewhere.and_then(|folder| find::elsewhere(root, folder));
    let more = elsewhere.as_ref().map(|(folder, place)| (&**folder, &**place, Links::Anywhere));
    let (mut models, mut said) = (Vec::new(), Vec::new());
    for (folder, place, links) in std::iter::once((root, "", Links::Inside)).chain(more) {
        let found = match find::search(folder, links, until) {
            Ok(found) => found,
            Err(why) => {
                facts.unknown("models", why);
                return facts;
            }
        };
        let (parts, faults) = sets::read(&found, until);
        models.extend(parts.into_iter().map(|model| Model { file: beside(place, &model.file), ..model }));
        said.extend(faults.into_iter().chain(found.passed).map(|(file, fault)| (beside(place, &file), fault)));
    }
    if let Some((folder, _)) = &elsewhere {
        // A link that leads there was followed in this way.
        said.retain(|(file, _)| dunce::canonicalize(root.join(file)).map_or(true, |real| real != *folder));
    }
    let mut once = BTreeSet::new();
    facts.findings = said.iter().filter_map(|(file, fault)| finding(file, fault)).collect();
    facts.findings.retain(|finding| once.insert(finding.message.clone()));
    if facts.findings.len() > MAX_FINDINGS {
        let more = facts.findings.len() - MAX_FINDINGS;
        facts.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        facts.findings.truncate(MAX_FINDINGS);
        let message = format!("of {more} more checkpoints there is something to say");
        facts
            .findings
            .push(Finding::note("checkpoint-unread", message).help("look into one folder at a time with --root"));
    }
    models.sort_by(|a, b| a.file.cmp(&b.file));
    models.truncate(MAX_PARTS);
    facts.know("models", models.len(), Origin::Checkpoint);
    for (place, model) in models.into_iter().enumerate() {
        record(&mut facts, place, model);
    }
    facts
}

/// The header of a file of that length in bytes.
///
/// # Errors
/// What is wrong with it.
pub fn read(mut file: impl Read + Seek, kind: Kind, length: u64) -> Result<Header, Fault> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&mut file).take(PEEK).read_to_end(&mut start)?;
    if start.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(Fault::Incomplete("is a pointer of Git LFS, and the file itself is not here".to_owned()));
    }
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        return Err(Fault::at(0, "it is a web page, as a server answers in place of a file"));
    }
    match kind {
        Kind::Safetensors => safetensors::read(file, length),
        Kind::Gguf => gguf::read(file, length),
        Kind::Pth => pth::read(file, length),
        Kind::Index => Err(Fault::Other),
    }
}

/// What is said about a file with a fault; `None` where it is none of a model.
pub fn finding(file: &str, fault: &Fault) -> Option<Finding> {
    let message = format!("`{file}` {fault}");
    Some(match fault {
        Fault::Incomplete(_) => Finding::warning("checkpoint-incomplete", message)
            .help("download what is missing; the model cannot be loaded without it"),
        Fault::Truncated(_) => Finding::warning("checkpoint-truncated", message)
            .help("download that file again, and see that the disk has room for it"),
        Fault::Invalid { .. } => Finding::warning("checkpoint-invalid", message)
            .help("download that file again, from a source that you trust"),
        Fault::Unread(why) if why == find::LEADS_OUT => {
            Finding::note("checkpoint-unread", message).help("name the folder that it leads to with --models")
        }
        Fault::Unread(_) => Finding::note("checkpoint-unread", message),
        Fault::Other => return None,
    })
}

/// Records a checkpoint as `models[place]`.
pub fn record(facts: &mut Facts, place: usize, model: Model) {
    let name = |fact: &str| format!("models[{place}].{fact}");
    let origin = Origin::Checkpoint;
    facts.know(name("file"), model.file, origin);
    facts.know_or(name("name"), model.part.name, origin);
    facts.know(name("component"), model.part.component, origin);
    facts.know_or(name("expert"), model.part.expert, origin);
    facts.know_or(name("dtype"), model.dtypes.as_ref().map(|all| all.first().copied().unwrap_or_default()), origin);
    facts.know_or(name("dtypes"), model.dtypes.map(|all| all.join(", ")), origin);
    facts.know_or(name("parameters"), model.part.parameters, origin);
    facts.know_or(name("bytes"), model.bytes, origin);
    facts.know_or(name("complete"), model.is_complete.ok_or("a file of it cannot be read"), origin);
}
