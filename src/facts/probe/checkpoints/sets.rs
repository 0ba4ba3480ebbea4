//! Which files are one checkpoint, what it is, and whether all of it is there.
//!
//! An index names its shards; without one the numbers in their names do. Of each checkpoint only the sums are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::find::{Candidate, Found, Kind, beside};
use super::header::{Fault, MAX_HEADER, MAX_TENSORS, Tensor, printable, shown};
use super::index::Index;
use super::recognise::{self, Part, Place};
use super::shard::Shard;

/// Most names in one fault.
const MAX_NAMES: usize = 4;

/// A file from the root, and what is wrong with it.
pub type Said = (String, Fault);

/// A checkpoint that is a part of a Wan model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The file, or the index or the common name of its shards, from the root.
    pub file: String,
    /// Where its shards lie that are there, in the order of their numbers or of the index.
    pub shards: Vec<PathBuf>,
    /// What it is.
    pub part: Part,
    /// Types of its weights, that of most bytes first; or why they are not known.
    pub dtypes: Result<Vec<&'static str>, &'static str>,
    /// Bytes of its weights, or why they are not known.
    pub bytes: Result<u64, &'static str>,
    /// Whether every file of it is there and whole; `None` when one cannot be read.
    pub is_complete: Option<bool>,
}

/// Reads the headers of the files that were found, until a moment.
pub fn read(found: &Found, until: Instant) -> (Vec<Model>, Vec<Said>) {
    let mut reading = Reading { found, until, models: Vec::new(), said: Vec::new() };
    reading.all();
    (reading.models, reading.said)
}

struct Reading<'a> {
    found: &'a Found,
    until: Instant,
    models: Vec<Model>,
    said: Vec<Said>,
}

// One checkpoint while its files are read.
struct Set<'a> {
    file: String,
    shards: Vec<PathBuf>,
    folder: &'a str,
    tensors: Vec<Tensor>,
    /// Bytes of their names.
    names: u64,
    is_named: bool,
    /// Whether every header was read, so that sums are those of the whole.
    is_whole: bool,
    is_complete: Option<bool>,
}

impl<'a> Set<'a> {
    fn new(file: String, folder: &'a str) -> Self {
        let (is_named, is_whole, is_complete) = (true, true, Some(true));
        Self { file, folder, shards: Vec::new(), tensors: Vec::new(), names: 0, is_named, is_whole, is_complete }
    }

    fn bytes(&self) -> u64 {
        self.tensors.iter().fold(0, |all, tensor| all.saturating_add(tensor.bytes))
    }

    fn part(&self, found: &Found) -> Option<Part> {
        if !self.is_named {
            return recognise::unnamed(&self.tensors);
        }
        let second = self.folder.strip_suffix("transformer").map(|above| format!("{above}transformer_2"));
        let has_second = second.is_some_and(|second| found.folders.contains(&second));
        let path = beside(&found.root, &self.file);
        recognise::named(&self.tensors, Place { path: &path, has_second })
    }

    fn model(self, found: &Found) -> Option<Model> {
        let whole = |number: u64| match (self.is_whole, i64::try_from(number)) {
            (false, _) => Err("a shard is missing or cannot be read"),
            (true, Err(_)) => Err("the header names more than any disk has"),
            (true, Ok(_)) => Ok(number),
        };
        let part = self.part(found)?;
        let part = Part { parameters: part.parameters.and_then(whole), ..part };
        let (dtypes, bytes) = (dtypes(&self.tensors), whole(self.bytes()));
        Some(Model { part, dtypes, bytes, is_complete: self.is_complete, file: self.file, shards: self.shards })
    }

    fn lacks(&mut self) {
        self.is_complete = Some(false);
    }
}

impl<'a> Reading<'a> {
    // Indices first: what they name is no checkpoint of its own.
    fn all(&mut self) {
        let found = self.found;
        let files: BTreeMap<String, &Candidate> = found.files.iter().map(|file| (file.shown(), file)).collect();
        let mut taken: BTreeSet<&Path> = BTreeSet::new();
        for file in found.files.iter().filter(|file| file.kind == Kind::Index) {
            match self.open(file).and_then(|(file, length)| Index::read(file, length)) {
                Ok(index) => {
                    let place = |shard: &String| files.get(&beside(&file.folder, &printable(shard))).copied();
                    let shards: Vec<Option<&Candidate>> = index.shards().iter().map(place).collect();
                    taken.extend(shards.iter().flatten().map(|shard| &*shard.path));
                    self.indexed(file, &index, &shards);
                }
                Err(fault) => self.said.push((file.shown(), fault)),
            }
        }
        let mut groups: BTreeMap<(&str, String), Vec<&Candidate>> = BTreeMap::new();
        for file in found.files.iter().filter(|file| file.kind != Kind::Index && !taken.contains(&*file.path)) {
            let name = Shard::of(&file.name).map_or_else(|| file.name.clone(), |shard| shard.all());
            groups.entry((&file.folder, name)).or_default().push(file);
        }
        let mut seen = BTreeSet::new();
        for ((folder, name), files) in groups {
            // A file that two links lead to is one checkpoint.
            if files.iter().any(|file| seen.insert(&file.path)) {
                self.unindexed(folder, &name, &files);
            }
        }
    }

    fn indexed(&mut self, file: &'a Candidate, index: &Index, shards: &[Option<&Candidate>]) {
        let mut set = Set::new(file.shown(), &file.folder);
        let missing = index.shards().iter().zip(shards).filter(|(_, found)| found.is_none());
        self.miss(&mut set, missing.map(|(name, _)| name.clone()).collect());
        // Where the tensors of each shard stand among all; `None` when it is missing or cannot be read.
        let of_shard: Vec<Option<Range<usize>>> = shards.iter().map(|shard| self.header((*shard)?, &mut set)).collect();
        let places = of_shard.iter().enumerate().filter_map(|(place, range)| Some((place, range.clone()?)));
        let holder: HashMap<&str, usize> = places
            .flat_map(|(place, range)| set.tensors[range].iter().map(move |tensor| (&*tensor.name, place)))
            .collect();
        let is_elsewhere = |(name, place): &(&str, usize)| {
            of_shard.get(*place).is_some_and(Option::is_some) && holder.get(name) != Some(place)
        };
        let elsewhere: Vec<(&str, usize)> = index.tensors().filter(is_elsewhere).collect();
        drop(holder);
        let bytes = set.bytes();
        let total = index.total_size().filter(|total| set.is_complete == Some(true) && *total != bytes);
        let what = match (&elsewhere[..], total) {
            ([(name, place), more @ ..], _) => {
                let shard = index.shards().get(*place).map_or("", String::as_str);
                let more =
                    if more.is_empty() { String::new() } else { format!(", nor {} more where it says", more.len()) };
                format!("it says that `{}` is in `{}`, which does not hold it{more}", shown(name), shown(shard))
            }
            ([], Some(total)) => {
                format!("it says that its tensors have {total} bytes, and those of its shards have {bytes}")
            }
            ([], None) => return self.models.extend(set.model(self.found)),
        };
        self.said.push((set.file.clone(), Fault::Invalid { at: None, what }));
        set.lacks();
        self.models.extend(set.model(self.found));
    }

    // One file, or shards by their names alone.
    fn unindexed(&mut self, folder: &'a str, name: &str, files: &[&Candidate]) {
        let mut set = Set::new(beside(folder, name), folder);
        if let Some(shard) = files.first().and_then(|file| Shard::of(&file.name)) {
            let here: BTreeSet<&str> = files.iter().map(|file| &*file.name).collect();
            let wanted = (1..=shard.count).map(|number| shard.name(number));
            self.miss(&mut set, wanted.filter(|name| !here.contains(&**name)).collect());
        }
        for file in files {
            self.header(file, &mut set);
        }
        self.models.extend(set.model(self.found));
    }

    // Adds the tensors of a file to its set, and says where they stand there; `None` when its header cannot be read.
    fn header(&mut self, file: &Candidate, set: &mut Set<'_>) -> Option<Range<usize>> {
        set.shards.push(file.path.clone());
        let read = self.open(file).and_then(|(opened, length)| {
            let header = super::read(opened, file.kind, length)?;
            let names: u64 = header.tensors.iter().map(|tensor| tensor.name.len() as u64).sum();
            if set.tensors.len() + header.tensors.len() > MAX_TENSORS || set.names + names > MAX_HEADER {
                return Err(Fault::Unread(format!("has, with its other shards, more than {MAX_TENSORS} tensors")));
            }
            set.names += names;
            Ok((header.fault_of_length(length), header))
        });
        let (fault, header) = match read {
            Ok((fault, header)) => (fault, Some(header)),
            Err(fault) => (Some(fault), None),
        };
        match &fault {
            None | Some(Fault::Other) => {}
            Some(Fault::Unread(_)) => set.is_complete = set.is_complete.filter(|complete| !complete),
            Some(_) => set.lacks(),
        }
        self.said.extend(fault.map(|fault| (file.shown(), fault)));
        set.is_whole &= header.is_some();
        let header = header?;
        set.is_named &= header.is_named;
        let start = set.tensors.len();
        set.tensors.extend(header.tensors);
        Some(start..set.tensors.len())
    }

    // A regular file and its length.
    fn open(&self, file: &Candidate) -> Result<(File, u64), Fault> {
        if Instant::now() > self.until {
            return Err(Fault::Unread("is not read: the time for it is over".to_owned()));
        }
        let cannot = |error: std::io::Error| Fault::Unread(format!("cannot be opened: {error}"));
        // Opening a pipe would wait for its other end.
        if !file.path.metadata().map_err(cannot)?.is_file() {
            return Err(Fault::Unread("is no regular file".to_owned()));
        }
        let opened = File::open(&file.path).map_err(cannot)?;
        let length = opened.metadata().map_err(cannot)?.len();
        Ok((opened, length))
    }

    fn miss(&mut self, set: &mut Set<'_>, missing: Vec<String>) {
        if missing.is_empty() {
            return;
        }
        let names: Vec<String> = missing.iter().take(MAX_NAMES).map(|name| format!("`{}`", shown(name))).collect();
        let more = missing.len().saturating_sub(MAX_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let what = format!("is not whole: {}{more} {verb} not beside it", names.join(", "));
        self.said.push((set.file.clone(), Fault::Incomplete(what)));
        set.is_whole = false;
        set.lacks();
    }
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
