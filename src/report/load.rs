//! The JSON that `load` prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diag::FindingRecord;
use crate::fit::Fits;
use crate::load::Loaded;
use crate::load::instead::{Alternative, Instead};
use crate::load::set::{CheckpointSet, SetPart};

/// Name and version of the format of [`LoadReport`].
pub const SCHEMA: &str = "wan22-policy/load/v1";

/// In what time a model is to be loaded, seconds: five minutes, which the program promises.
pub const GOAL: f64 = 300.0;

/// What `load --format json` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadReport {
    /// Name and version of this format: `wan22-policy/load/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The folders and files that were asked for, where they were found: as they were typed, or in the root.
    pub models: Vec<String>,
    /// How it ended.
    pub result: LoadResult,
    /// Bytes of the set.
    pub bytes: u64,
    /// Bytes of it that are in the page cache.
    pub loaded_bytes: u64,
    /// Bytes of those that were there before; absent where the system does not count what comes from the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_before_bytes: Option<u64>,
    /// Bytes of those that came from the disk; absent where the system does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes that were left on the disk, because the RAM has no room for them.
    pub left_out_bytes: u64,
    /// Bytes that the RAM has room for; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_bytes: Option<u64>,
    /// Share of what was loaded that was in the page cache at the end, 0 to 1, by samples; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// Rate at which the disk gave what came from it, bytes/s; absent where nothing did, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How many readers there were at once.
    pub readers: u16,
    /// In what time a model is to be loaded, seconds.
    pub goal_seconds: f64,
    /// Whether it was loaded in that time; absent where it is no whole model, or not nearly all of it came from the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meets_goal: Option<bool>,
    /// The installation whose `measured.json` now holds this; absent where it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_in: Option<String>,
    /// The parts of the set, in the order in which they were read.
    pub parts: Vec<PartRecord>,
    /// Everything there is to say; one at error refuses the load.
    pub findings: Vec<FindingRecord>,
    /// What else on the disk would do, best first; empty where the load did not fail.
    pub instead: Vec<AlternativeRecord>,
    /// How many whole models on the disk are no such alternative, because they do not fit this machine.
    pub too_large: usize,
    /// Why nobody knows what fits this machine; absent where that is known, or was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit_unknown: Option<String>,
}

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadResult {
    /// All of the set is in the page cache.
    Loaded,
    /// All of it that the RAM has room for.
    Partly,
    /// It was cancelled; the same command goes on.
    Cancelled,
    /// The set is damaged, and nothing was read.
    Refused,
    /// There is no part of a Wan model in it.
    Unrecognised,
    /// A file is not there, or cannot be read.
    Failed,
}

/// A part of a set.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// What it is: `text encoder`, `transformer, high noise`.
    pub what: String,
    /// The model, or the part that several models share; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Data type of most weights; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// The file, or the index or the common name of its shards.
    pub file: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of them that are in the page cache.
    pub loaded_bytes: u64,
}

/// What else would do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlternativeRecord {
    /// The model, or the part that several models share.
    pub name: String,
    /// `dit` for a model, else which part it is.
    pub component: String,
    /// Data type of most weights; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Whether it fits this machine; absent where nobody knows, and of a part that several models share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fits: Option<Fits>,
    /// On which stack; absent as `fits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// At which size, `[width, height, frames]`; absent as `fits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[i64; 3]>,
    /// The command that loads it.
    pub command: String,
}

impl LoadReport {
    /// The report of what was asked, before anything was read.
    pub fn new(models: Vec<String>, readers: u16) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            models,
            result: LoadResult::Refused,
            bytes: 0,
            loaded_bytes: 0,
            cached_before_bytes: None,
            read_bytes: None,
            left_out_bytes: 0,
            room_bytes: None,
            kept: None,
            seconds: 0.0,
            bytes_per_second: None,
            readers,
            goal_seconds: GOAL,
            meets_goal: None,
            recorded_in: None,
            parts: Vec::new(),
            findings: Vec::new(),
            instead: Vec::new(),
            too_large: 0,
            fit_unknown: None,
        }
    }

    /// Adds the set.
    pub fn set(&mut self, set: &CheckpointSet) {
        self.parts = set.parts.iter().map(PartRecord::from).collect();
        self.bytes = self.parts.iter().map(|part| part.bytes).sum();
    }

    /// Adds what became of its files.
    pub fn loaded(&mut self, set: &CheckpointSet, loaded: &Loaded) {
        self.result = match () {
            () if loaded.is_cancelled => LoadResult::Cancelled,
            () if loaded.left_out() > 0 => LoadResult::Partly,
            () => LoadResult::Loaded,
        };
        self.loaded_bytes = loaded.done();
        self.cached_before_bytes = loaded.cached_before();
        self.read_bytes = loaded.read;
        self.left_out_bytes = loaded.left_out();
        self.kept = loaded.kept;
        self.seconds = loaded.elapsed.as_secs_f64();
        self.bytes_per_second = loaded.rate();
        let mut files = loaded.files.iter();
        for (record, part) in self.parts.iter_mut().zip(&set.parts) {
            record.loaded_bytes = files.by_ref().take(part.files.len()).map(|file| file.done).sum();
        }
    }

    /// Adds what else would do.
    pub fn instead(&mut self, instead: &Instead, command: impl Fn(&Alternative) -> String) {
        let record = |one: &Alternative| AlternativeRecord {
            name: one.name.clone(),
            component: one.component.to_owned(),
            dtype: one.dtype.map(str::to_owned),
            bytes: one.bytes,
            fits: one.fit.as_ref().map(|fit| fit.fits),
            stack: one.fit.as_ref().map(|fit| fit.stack.clone()),
            size: one.fit.as_ref().map(|fit| fit.size),
            command: command(one),
        };
        self.instead = instead.alternatives.iter().map(record).collect();
        self.too_large = instead.too_large;
        self.fit_unknown.clone_from(&instead.unknown);
    }
}

impl From<&SetPart> for PartRecord {
    fn from(part: &SetPart) -> Self {
        let model = part.model.as_ref();
        let dtypes = model.and_then(|model| model.dtypes.as_ref().ok());
        Self {
            what: part.what().to_owned(),
            name: model.and_then(|model| model.part.name.as_ref().ok()).map(|name| (*name).to_owned()),
            dtype: dtypes.and_then(|all| all.first()).map(|dtype| (*dtype).to_owned()),
            file: part.name.clone(),
            bytes: part.bytes(),
            loaded_bytes: 0,
        }
    }
}
