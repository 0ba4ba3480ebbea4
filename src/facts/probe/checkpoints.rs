//! Checkpoints on the disk: `models[]`, read from headers alone, and what is wrong with a file.
//!
//! [`find`] lists the files below the root of the installation, [`mod@safetensors`], [`gguf`] and [`pth`] read what their
//! headers say, [`index`] which shards belong together, and [`recognise`] tells the part of a Wan model. A header is read in
//! bounded memory, no tensor is loaded, and no pickle is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
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

use self::find::{Candidate, Found, Kind, beside};
use self::header::{Fault, Header, Tensor, printable, shown};
use self::index::Index;
use self::recognise::{Part, Place};
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

/// How long search and reading may take together; a thousand headers on a disk that rotates take less. The probe is given
/// up some seconds later.
const PATIENCE: Duration = Duration::from_secs(6);

/// Most parts of models that are listed.
const MAX_PARTS: usize = 512;

/// Most findings.
const MAX_FINDINGS: usize = 64;

/// Most names in one finding.
const MAX_NAMES: usize = 4;

/// `models[]` of the folder of an installation, and what is wrong with the checkpoints in it.
pub fn probe(root: &Path) -> Facts {
    let until = Instant::now() + PATIENCE;
    let mut facts = Facts::new("no probe reports it");
    let found = match find::search(root, until) {
        Ok(found) => found,
        Err(why) => {
            facts.unknown("models", why);
            return facts;
        }
    };
    let mut reading = Reading { found: &found, until, findings: Vec::new() };
    let mut sets = reading.sets();
    for link in &found.dangling {
        let what = "is a link, and its file is not there".to_owned();
        reading.say(link, &Fault::Incomplete(what));
    }
    for (shown, why) in &found.passed {
        let shown = if shown.is_empty() { "the installation" } else { shown };
        reading.say(shown, &Fault::Unread(why.clone()));
    }
    facts.findings = reading.findings;
    if facts.findings.len() > MAX_FINDINGS {
        let more = facts.findings.len() - MAX_FINDINGS;
        facts.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        facts.findings.truncate(MAX_FINDINGS);
        facts
            .findings
            .push(Finding::note("checkpoint-unread", format!("{more} more checkpoints have something to say")));
    }
    sets.sort_by(|a, b| a.shown.cmp(&b.shown));
    let parts = sets.iter().filter_map(|set| Some((set, set.part(&found)?))).take(MAX_PARTS);
    let mut count = 0;
    for (set, part) in parts {
        record(&mut facts, count, set, part);
        count += 1;
    }
    facts.know("models", count, Origin::Checkpoint);
    facts
}

/// The header of one file.
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

/// Bytes by which a file is told to be none of its format.
const PEEK: u64 = 64;

// One file, or the shards that belong together.
#[derive(Default)]
struct Set {
    shown: String,
    folder: String,
    tensors: Vec<Tensor>,
    is_named: bool,
    /// Whether every header is here, so that sums are those of the whole.
    is_whole: bool,
    /// `None` when something could not be read.
    is_complete: Option<bool>,
}

impl Set {
    fn part(&self, found: &Found) -> Option<Part> {
        if !self.is_named {
            return recognise::unnamed(&self.tensors);
        }
        let second = self.folder.strip_suffix("transformer").map(|above| format!("{above}transformer_2"));
        let has_second = second.is_some_and(|second| found.folders.contains(&second));
        recognise::named(&self.tensors, Place { path: &self.shown, has_second })
    }
}

struct Reading<'a> {
    found: &'a Found,
    until: Instant,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    // Indices first: what they name is no checkpoint of its own.
    fn sets(&mut self) -> Vec<Set> {
        let files: BTreeMap<String, &Candidate> = self.found.files.iter().map(|file| (file.shown(), file)).collect();
        let mut taken: BTreeSet<&Path> = BTreeSet::new();
        let mut sets = Vec::new();
        for file in self.found.files.iter().filter(|file| file.kind == Kind::Index) {
            let index = open(file).and_then(|(file, length)| Index::read(file, length));
            match index {
                Ok(index) => {
                    let shards = index.shards().iter();
                    let shards: Vec<Option<&Candidate>> =
                        shards.map(|shard| files.get(&beside(&file.folder, &printable(shard))).copied()).collect();
                    taken.extend(shards.iter().flatten().map(|shard| &*shard.path));
                    sets.push(self.indexed(file, &index, &shards));
                }
                Err(fault) => self.say(&file.shown(), &fault),
            }
        }
        let mut groups: BTreeMap<(&str, String), Vec<&Candidate>> = BTreeMap::new();
        for file in self.found.files.iter().filter(|file| file.kind != Kind::Index && !taken.contains(&*file.path)) {
            let name = Shard::of(&file.name).map_or_else(|| file.name.clone(), |shard| shard.all());
            groups.entry((&file.folder, name)).or_default().push(file);
        }
        let mut seen = BTreeSet::new();
        for group in groups.into_values() {
            // A file that two links lead to is one checkpoint.
            if group.iter().any(|file| seen.insert(&file.path)) {
                sets.extend(self.unindexed(&group));
            }
        }
        sets
    }

    fn indexed(&mut self, file: &Candidate, index: &Index, shards: &[Option<&Candidate>]) -> Set {
        let shown_index = file.shown();
        let mut set = Set {
            shown: shown_index.clone(),
            folder: file.folder.clone(),
            is_named: true,
            is_whole: true,
            is_complete: Some(true),
            ..Set::default()
        };
        let missing = index.shards().iter().zip(shards).filter(|(_, found)| found.is_none()).map(|(name, _)| &**name);
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            self.miss(&shown_index, &missing);
            (set.is_whole, set.is_complete) = (false, Some(false));
        }
        // Which shard holds a tensor, by its header.
        let mut held: BTreeMap<Box<str>, usize> = BTreeMap::new();
        let mut unread = BTreeSet::new();
        for (place, shard) in shards.iter().enumerate() {
            let Some(shard) = shard else { continue };
            match self.header(shard, &mut set) {
                Some(header) => held.extend(header.into_iter().map(|name| (name, place))),
                None => {
                    unread.insert(place);
                }
            }
        }
        let is_elsewhere = |(name, place): &(&str, usize)| {
            shards.get(*place).is_some_and(Option::is_some) && !unread.contains(place) && held.get(*name) != Some(place)
        };
        let elsewhere: Vec<(&str, usize)> = index.tensors().filter(is_elsewhere).collect();
        if let [(name, place), more @ ..] = &elsewhere[..] {
            let shard = index.shards().get(*place).map_or("", String::as_str);
            let more = if more.is_empty() { String::new() } else { format!(", nor {} more where it says", more.len()) };
            let what = format!("it says that `{}` is in `{}`, which does not hold it{more}", shown(name), shown(shard));
            self.say(&shown_index, &Fault::Invalid { at: None, what });
            set.is_complete = Some(false);
        } else if let Some(said) = index.total_size().filter(|_| set.is_whole && set.is_complete == Some(true)) {
            let bytes = set.tensors.iter().fold(0, |all: u64, tensor| all.saturating_add(tensor.bytes));
            if said != bytes {
                let what = format!("it says that its tensors have {said} bytes, and those of its shards have {bytes}");
                self.say(&shown_index, &Fault::Invalid { at: None, what });
                set.is_complete = Some(false);
            }
        }
        set
    }

    // One file, or shards by their names alone.
    fn unindexed(&mut self, group: &[&Candidate]) -> Option<Set> {
        let first = group.first()?;
        let shard = Shard::of(&first.name);
        let name = shard.as_ref().map_or_else(|| first.name.clone(), Shard::all);
        let mut set = Set {
            shown: beside(&first.folder, &name),
            folder: first.folder.clone(),
            is_named: true,
            is_whole: true,
            is_complete: Some(true),
            ..Set::default()
        };
        if let Some(shard) = shard {
            let here: BTreeSet<&str> = group.iter().map(|file| &*file.name).collect();
            let wanted = (1..=shard.count).map(|number| shard.name(number));
            let missing: Vec<String> = wanted.filter(|name| !here.contains(&**name)).collect();
            if !missing.is_empty() {
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                self.miss(&set.shown, &missing);
                (set.is_whole, set.is_complete) = (false, Some(false));
            }
        }
        for file in group {
            self.header(file, &mut set);
        }
        Some(set)
    }

    // Adds the tensors of a file to its set, and gives their names; `None` when its header cannot be read.
    fn header(&mut self, file: &Candidate, set: &mut Set) -> Option<Vec<Box<str>>> {
        let read = match Instant::now() > self.until {
            true => Err(Fault::Unread("is not read, as the disk is too slow".to_owned())),
            false => open(file).and_then(|(opened, length)| {
                let header = read(opened, file.kind, length)?;
                Ok((header.fault_of_length(length), header))
            }),
        };
        let fault = match &read {
            Ok((fault, _)) => fault.as_ref(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault.filter(|fault| **fault != Fault::Other) {
            self.say(&file.shown(), fault);
            set.is_complete = match (fault, set.is_complete) {
                (Fault::Unread(_), Some(true)) => None,
                (Fault::Unread(_), before) => before,
                _ => Some(false),
            };
        }
        let Ok((_, header)) = read else {
            set.is_whole = false;
            return None;
        };
        set.is_named &= header.is_named;
        let names = header.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        set.tensors.extend(header.tensors);
        Some(names)
    }

    fn miss(&mut self, shown_set: &str, missing: &[&str]) {
        let names: Vec<String> = missing.iter().take(MAX_NAMES).map(|name| format!("`{}`", shown(name))).collect();
        let more = missing.len().saturating_sub(MAX_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let what = format!("is not whole: {}{more} {verb} not beside it", names.join(", "));
        self.say(shown_set, &Fault::Incomplete(what));
    }

    fn say(&mut self, shown: &str, fault: &Fault) {
        let message = format!("`{shown}` {fault}").replacen("`the installation`", "the installation", 1);
        let finding = match fault {
            Fault::Incomplete(_) => Finding::warning("checkpoint-incomplete", message)
                .help("download what is missing; the model cannot be loaded without it"),
            Fault::Truncated(_) => Finding::warning("checkpoint-truncated", message)
                .help("download that file again, and see that the disk has room for it"),
            Fault::Invalid { .. } => Finding::warning("checkpoint-invalid", message)
                .help("download that file again, from a source that you trust"),
            Fault::Unread(_) => Finding::note("checkpoint-unread", message),
            Fault::Other => return,
        };
        self.findings.push(finding);
    }
}

// A regular file and its length.
fn open(file: &Candidate) -> Result<(File, u64), Fault> {
    let cannot = |error: std::io::Error| Fault::Unread(format!("cannot be opened: {error}"));
    // Opening a pipe would wait for its other end.
    if !file.path.metadata().map_err(cannot)?.is_file() {
        return Err(Fault::Unread("is no regular file".to_owned()));
    }
    let opened = File::open(&file.path).map_err(cannot)?;
    let length = opened.metadata().map_err(cannot)?.len();
    Ok((opened, length))
}

/// `model-00001-of-00003.safetensors`: what stands before the numbers and behind them, and how many files there are.
struct Shard<'a> {
    before: &'a str,
    digits: usize,
    count: usize,
    behind: &'a str,
}

impl<'a> Shard<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (front, behind) = name.rsplit_once('.')?;
        let (front, count) = front.rsplit_once("-of-")?;
        let (before, number) = front.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(number) || !is_number(count) {
            return None;
        }
        let (digits, count) = (count.len(), count.parse().ok()?);
        let number: usize = number.parse().ok()?;
        (1..=count).contains(&number).then_some(Self { before, digits, count, behind })
    }

    fn name(&self, number: usize) -> String {
        let Self { before, digits, count, behind } = self;
        format!("{before}-{number:0digits$}-of-{count:0digits$}.{behind}")
    }

    // The name of the whole.
    fn all(&self) -> String {
        let Self { before, digits, count, behind } = self;
        format!("{before}-*-of-{count:0digits$}.{behind}")
    }
}

fn record(facts: &mut Facts, place: usize, set: &Set, part: Part) {
    let name = |fact: &str| format!("models[{place}].{fact}");
    let origin = Origin::Checkpoint;
    let whole = |value: u64| match (set.is_whole, i64::try_from(value)) {
        (false, _) => Err("a shard is missing or cannot be read"),
        (true, value) => value.map_err(|_| "the header names more than any disk has"),
    };
    facts.know(name("file"), set.shown.clone(), origin);
    facts.know_or(name("name"), part.name, origin);
    facts.know(name("component"), part.component, origin);
    facts.know_or(name("expert"), part.expert, origin);
    let dtypes = dtypes(&set.tensors);
    facts.know_or(name("dtype"), dtypes.as_ref().map(|all| all.first().copied().unwrap_or_default()), origin);
    facts.know_or(name("dtypes"), dtypes.map(|all| all.join(", ")), origin);
    facts.know_or(name("parameters"), part.parameters.and_then(whole), origin);
    let bytes = set.tensors.iter().fold(0, |all: u64, tensor| all.saturating_add(tensor.bytes));
    facts.know_or(name("bytes"), whole(bytes), origin);
    facts.know_or(name("complete"), set.is_complete.ok_or("a file of it cannot be read"), origin);
}

// The types, that of most bytes first.
fn dtypes(tensors: &[Tensor]) -> Result<Vec<&'static str>, &'static str> {
    let mut bytes: BTreeMap<&'static str, u64> = BTreeMap::new();
    for tensor in tensors {
        let dtype = tensor.dtype.ok_or("the header does not say, or names a type that is not known")?;
        let sum = bytes.entry(dtype).or_default();
        *sum = sum.saturating_add(tensor.bytes);
    }
    let mut dtypes: Vec<(&'static str, u64)> = bytes.into_iter().collect();
    dtypes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(dtypes.into_iter().map(|(dtype, _)| dtype).collect())
}
