//! `load`: a checkpoint set into the page cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{fs, io};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::error::CliError;
use super::inputs::today;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, OutputOptions, PolicyOptions, known_codes};
use super::{Exit, Screen};
use crate::apply::{self as transaction, Root};
use crate::diag::{self, Finding, FindingRecord, nearest};
use crate::engine::Question;
use crate::facts::units::{Unit, parse_quantity, show};
use crate::facts::{Facts, probe};
use crate::load::instead::{Alternative, instead};
use crate::load::set::{self, CheckpointSet};
use crate::load::{self, Loaded, unrecognised};
use crate::log;
use crate::measured::{self, LoadMeasurement};
use crate::report::load::{GOAL, LoadReport, LoadResult};
use crate::report::{findings, human, json};

/// Readers at once, of a disk that does not rotate. benches/load.rs: one is as fast on a virtual disk that the kernel reads
/// 8 MiB ahead of; where it reads less ahead, the kernel's usual 128 KiB, several keep the disk busy.
const READERS: u16 = 4;

/// The same of a disk that rotates: its head would go to and fro between several. Estimate.
const READERS_OF_A_HDD: u16 = 1;

/// Share of what was loaded that may be gone at the end without a word.
const KEPT: f64 = 0.99;

/// Check a checkpoint set and bring it into the page cache, ahead of a run that would wait for it
///
/// The text encoder comes first, then the transformers, then the VAE, as far as the RAM has room. What
/// is in the cache already is not read again, so after Ctrl-C the same command goes on where it ended.
/// The rate of the disk is recorded in the installation, and `fit` reckons with it.
///
/// Ends with 1 when a file is not there or cannot be read, or the load is cancelled; with 2 when
/// there is no part of a Wan model; with 3 when the set is damaged. What else on the disk would do is
/// named then, best first.
///
/// Examples:
///   wan22-policy load --model models/Wan2.2-TI2V-5B
///   wan22-policy load --model unet/high_noise.safetensors --model unet/low_noise.safetensors
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Load {
    /// The folder of the set, or one file of it with its shards; may be given several times
    ///
    /// It is looked for in the current directory, then in that of the installation, then in that of --models.
    #[arg(long, value_name = "PATH", required = true)]
    model: Vec<PathBuf>,

    /// Read with so many readers at once [default: 4, or 1 on a disk that rotates]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    readers: Option<u16>,

    /// Bring no more than this into the cache, such as 12GiB [default: what the RAM has room for]
    ///
    /// What comes after that in the order of a run stays on the disk, and is named.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    at_most: Option<u64>,

    /// Go on in spite of an error: turns the finding of that code into a warning
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,

    #[command(flatten)]
    root: InstallationOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    policies: PolicyOptions,

    #[command(flatten)]
    pub output: OutputOptions,
}

impl Load {
    pub fn run(&self, screen: &mut Screen<'_>) -> Result<Exit, CliError> {
        let installation = self.root.installation()?;
        if !self.allow.is_empty() {
            known_codes(&self.allow, &self.policies.compile()?)?;
        }
        // Before anything is read: whoever waits for a slow disk may have had enough of it.
        let cancel = cancelled()?;
        let places = self.places();
        let readers = self.readers.unwrap_or_else(|| readers_for(&places));
        let mut report = LoadReport::new(places.iter().map(|path| path.display().to_string()).collect(), readers);
        let mut found = Vec::new();
        let mut set = match self.set(&places) {
            Ok(set) => set,
            Err((found, result)) => return self.fail((report, found), None, result, screen),
        };
        found.extend(set.findings.iter().cloned());
        diag::allow(&mut found, &self.allow);
        report.set(&set);
        if diag::refuses(&found) {
            return self.fail((report, found), Some(&set), LoadResult::Refused, screen);
        }
        if set.parts.is_empty() {
            // What was damaged is allowed, and there was nothing else.
            found.extend(places.iter().map(|path| unrecognised::finding(path)));
            return self.fail((report, found), Some(&set), LoadResult::Unrecognised, screen);
        }
        let room = load::room(&probe::memory());
        let room = room.into_iter().chain(self.at_most).min();
        report.room_bytes = room;
        let bar = bar(report.bytes.min(room.unwrap_or(u64::MAX)));
        let loaded = load::load(&set.files(), room, readers, &cancel, |progress| bar.set_position(progress.done));
        bar.finish_and_clear();
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                found.push(Finding::error("checkpoint-unread", error.to_string()));
                set.lose(&error.path);
                return self.fail((report, found), Some(&set), LoadResult::Failed, screen);
            }
        };
        report.loaded(&set, &loaded);
        found.extend(uncached(&loaded, self.at_most.is_some()));
        if !loaded.is_cancelled && loaded.read.is_some_and(|read| measured::tells_the_rate(loaded.done(), read)) {
            let is_of_a_model = set.is_a_model() && loaded.is_all_from_the_disk();
            report.meets_goal = is_of_a_model.then_some(report.seconds < GOAL);
            match self.record(&places, &loaded, readers, is_of_a_model) {
                Ok(()) => report.recorded_in = installation.folder.map(|folder| folder.display().to_string()),
                Err(error) => found.push(measured::unwritten(&error)),
            }
        }
        log::found(&found);
        report.findings = found.iter().map(FindingRecord::from).collect();
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            let mut text = findings::render(&found, screen.paint);
            text += &human::load::loaded(&report, screen.paint);
            screen.print(&text)?;
        }
        Ok(if loaded.is_cancelled { Exit::Failed } else { Exit::Fine })
    }

    // Where each lies: as it was typed, or else in the installation, or in its folder of models elsewhere.
    fn places(&self) -> Vec<PathBuf> {
        let place = |path: &PathBuf| {
            let folders = [Some(Path::new("")), Some(self.root.path()), self.root.models.as_deref()];
            let below = |folder: &Path| Some(folder.join(path)).filter(|place| place.exists());
            folders.into_iter().flatten().find_map(below).unwrap_or_else(|| path.clone())
        };
        self.model.iter().map(place).collect()
    }

    // All that was asked for as one set; or what there is to say, and how it ends.
    fn set(&self, places: &[PathBuf]) -> Result<CheckpointSet, (Vec<Finding>, LoadResult)> {
        let mut all = CheckpointSet { parts: Vec::new(), findings: Vec::new() };
        for path in places {
            let set = set::read(path).map_err(|error| (vec![self.unread(path, &error)], LoadResult::Failed))?;
            if set.parts.is_empty() && !diag::refuses(&set.findings) {
                let found = set.findings.into_iter().chain([unrecognised::finding(path)]).collect();
                return Err((found, LoadResult::Unrecognised));
            }
            all.join(set);
        }
        Ok(all)
    }

    fn unread(&self, path: &Path, error: &io::Error) -> Finding {
        let (shown, root) = (path.display(), self.root.path());
        if error.kind() != io::ErrorKind::NotFound {
            return Finding::error("checkpoint-unread", format!("cannot read `{shown}`: {error}"));
        }
        let nor = if path.is_absolute() || root == Path::new(".") {
            String::new()
        } else {
            format!(", neither here nor in `{}`", root.display())
        };
        let close = [path.to_owned(), root.join(path)].iter().find_map(|path| close_to(path));
        let help = close.map(|close| format!("did you mean `{}`?", close.display()));
        Finding::error("checkpoint-unread", format!("there is no `{shown}`{nor}")).maybe_help(help)
    }

    // Says what is wrong and what would do instead.
    fn fail(
        &self,
        (mut report, found): (LoadReport, Vec<Finding>),
        set: Option<&CheckpointSet>,
        result: LoadResult,
        screen: &mut Screen<'_>,
    ) -> Result<Exit, CliError> {
        let policies = self.policies.compile()?;
        let places = self.places();
        let beside = places.iter().filter_map(|path| {
            let real = dunce::canonicalize(path).or_else(|_| std::path::absolute(path)).ok()?;
            real.parent().map(Path::to_owned)
        });
        let own = [Some(self.root.path().to_owned()), self.root.models.clone()];
        let folders: Vec<PathBuf> = own.into_iter().flatten().chain(beside).collect();
        let folders: Vec<&Path> = folders.iter().map(|folder| &**folder).collect();
        let question = Question { pins: Default::default(), as_of: today() };
        let other = instead(set, &folders, || self.facts().ok(), &policies, &question);
        log::found(&found);
        report.result = result;
        report.findings = found.iter().map(FindingRecord::from).collect();
        report.instead(&other, |one| self.command(one));
        if self.output.is_json() {
            screen.print(&json::text(&report))?;
        } else {
            let text =
                format!("{}\n{}", findings::render(&found, screen.paint), human::load::instead(&report, screen.paint));
            screen.print(&text)?;
        }
        Ok(match result {
            LoadResult::Refused => Exit::Refused,
            LoadResult::Unrecognised => Exit::Usage,
            _ => Exit::Failed,
        })
    }

    fn facts(&self) -> Result<Facts, CliError> {
        let (mut facts, cards) = self.machine.gather_with_cards(&self.root, &self.policies)?;
        complete(&mut facts, self.machine.gpu_index, &self.machine.overrides, &cards)?;
        Ok(facts)
    }

    fn record(
        &self,
        places: &[PathBuf],
        loaded: &Loaded,
        readers: u16,
        is_of_a_model: bool,
    ) -> Result<(), transaction::ApplyError> {
        let root = Root::open(self.root.path())?;
        let shown: Vec<String> = places.iter().map(|path| below(&root, path)).collect();
        let measurement = LoadMeasurement {
            model: shown.join(", "),
            bytes: loaded.done(),
            bytes_read: loaded.read.unwrap_or(0),
            seconds: loaded.elapsed.as_secs_f64(),
            is_of_a_model,
            bytes_per_second: loaded.rate().unwrap_or(0),
            readers,
            time: transaction::now(),
        };
        measured::record(&root, |record| record.load = Some(measurement))
    }

    // As a shell reads it.
    fn command(&self, one: &Alternative) -> String {
        let mut command = "wan22-policy load".to_owned();
        for path in &one.paths {
            command += &format!(" --model {}", quoted(&path.display().to_string()));
        }
        if self.root.path() != Path::new(".") {
            command += &format!(" --root {}", quoted(&self.root.path().display().to_string()));
        }
        command
    }
}

// Set by Ctrl-C and by who ends the program; a second Ctrl-C ends it at once.
fn cancelled() -> Result<Arc<AtomicBool>, CliError> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, Exit::Failed as i32, Arc::clone(&cancel))
            .and_then(|_| flag::register(signal, Arc::clone(&cancel)))
            .map_err(|error| CliError::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    }
    Ok(cancel)
}

// On standard error, and only on a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{bar:32} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn readers_for(models: &[PathBuf]) -> u16 {
    let folder = models.iter().find_map(|path| {
        let real = dunce::canonicalize(path).ok()?;
        if fs::metadata(&real).ok()?.is_dir() { Some(real) } else { real.parent().map(Path::to_owned) }
    });
    let kind = folder.map(|folder| probe::disk::probe(&folder));
    let rotates = kind.is_some_and(|facts| facts.value("disk.kind").is_some_and(|kind| kind == "hdd"));
    if rotates { READERS_OF_A_HDD } else { READERS }
}

// What is not in the cache at the end, and why.
fn uncached(loaded: &Loaded, is_asked: bool) -> Option<Finding> {
    let bytes = |bytes: u64| show(&bytes.into(), Some(Unit::Bytes));
    if loaded.is_cancelled {
        return None;
    }
    if loaded.left_out() > 0 {
        let names = loaded
            .files
            .iter()
            .filter(|file| file.fits < file.file.bytes)
            .map(|file| format!("`{}`", file.file.path.file_name().unwrap_or_default().to_string_lossy()));
        let why = if is_asked {
            "which is more than was asked for, or than the RAM has room for"
        } else {
            "which the RAM has no room for"
        };
        let message =
            format!("{} stay on the disk, {why}: {}", bytes(loaded.left_out()), names.collect::<Vec<_>>().join(", "));
        let help = "close other programs, or take a quantization with fewer bytes; a run reads the rest from the disk";
        return Some(Finding::warning("checkpoint-uncached", message).help(help));
    }
    let gone = 1.0 - loaded.kept.filter(|kept| *kept < KEPT)?;
    let message = format!("of what was read {:.0} % is no longer in the page cache", (gone * 100.0).max(1.0));
    let help = "other programs have taken the RAM meanwhile; close them, and load again";
    Some(Finding::warning("checkpoint-uncached", message).help(help))
}

// What is there instead, where the first name of a path that is not there is like one that is.
fn close_to(path: &Path) -> Option<PathBuf> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).last()?;
    let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    let close = missing.with_file_name(nearest(missing.file_name()?.to_str()?, names.iter().map(String::as_str))?);
    let rest = path.strip_prefix(missing).ok().filter(|rest| !rest.as_os_str().is_empty());
    rest.map(|rest| close.join(rest)).filter(|whole| whole.exists()).or(Some(close))
}

// Relative to the installation where it lies there.
fn below(root: &Root, path: &Path) -> String {
    let real = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match real.strip_prefix(root.path()) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"),
        Err(_) => real.display().to_string(),
    }
}

// Quotes only where a shell needs them.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@' | '%');
    let is_windows = cfg!(windows);
    match text.chars().all(|c| is_plain(c) || is_windows && c == '\\') && !text.starts_with('-') {
        true => text.to_owned(),
        false if is_windows => format!("\"{text}\""),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let number = parse_quantity(text, Unit::Bytes).map_err(|error| error.to_string())?;
    number.as_u64().ok_or_else(|| "it is no whole number of bytes".to_owned())
}
