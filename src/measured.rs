//! What was measured in an installation: `.wan22-policy/measured.json`, written whole or not at all.
//!
//! The last measurement of each kind is kept. A file that cannot be read is never written over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apply::{self, ApplyError, Root};
use crate::diag::Finding;

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/measured/v1";

/// Its name in the state directory.
pub const FILE: &str = "measured.json";

/// Fewest bytes from the disk that tell its rate: 512 MiB.
///
/// Twice the largest cache that a disk has of its own, 256 MiB (data sheets of disks that rotate; others keep no data in
/// theirs). At 7 GB/s they take 75 ms, beside which it does not count how long the readers take to start.
pub const LEAST_READ: u64 = 512 << 20;

/// What `measured.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Name and version of this format: `wan22-policy/measured/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The last time that a checkpoint set was read from the disk; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadMeasurement>,
    /// The last time that a stack was started; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartMeasurement>,
}

impl Default for Measured {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), load: None, start: None }
    }
}

/// How long it took to bring a checkpoint set into the page cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadMeasurement {
    /// The set's folder or file, relative to the installation with `/`, or absolute where it lies elsewhere.
    pub model: String,
    /// Bytes of the set that were in the page cache afterwards.
    pub bytes: u64,
    /// Bytes of them that came from the disk; the others were in the page cache before.
    pub bytes_read: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Whether that is the time of a model: one with a transformer, of which nothing was left out and nearly all came from the disk.
    #[serde(default)]
    pub is_of_a_model: bool,
    /// Rate at which the disk gave them, bytes/s.
    pub bytes_per_second: u64,
    /// How many readers there were at once.
    pub readers: u16,
    /// When it ended, RFC 3339 in UTC, to the second.
    pub time: String,
}

impl LoadMeasurement {
    /// Whether enough came from the disk to tell its rate: [`LEAST_READ`], and at least half of all.
    ///
    /// Where most was cached before, the time is not the disk's.
    pub fn tells_the_rate(&self) -> bool {
        tells_the_rate(self.bytes, self.bytes_read) && self.bytes_per_second > 0
    }
}

/// Whether so many bytes from the disk, among so many in all, tell its rate.
pub fn tells_the_rate(bytes: u64, bytes_read: u64) -> bool {
    bytes_read >= LEAST_READ && bytes_read >= bytes / 2
}

/// How long a stack took from its start until it answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartMeasurement {
    /// The command that started it, as it was given.
    pub command: String,
    /// Until it answered, seconds.
    pub seconds: f64,
    /// When it answered, RFC 3339 in UTC, to the second.
    pub time: String,
}

/// What is on record in an installation; `None` when nothing is.
///
/// # Errors
/// When the file cannot be read, or is not of the form of [`Measured`].
pub fn read(root: &Root) -> Result<Option<Measured>, ApplyError> {
    apply::record(root, FILE)?.map(|record| known(root, record)).transpose()
}

/// Changes what is on record, and leaves what the change does not touch.
///
/// # Errors
/// As [`read`], and when the file cannot be written.
pub fn record(root: &Root, change: impl FnOnce(&mut Measured)) -> Result<(), ApplyError> {
    apply::change_record(root, FILE, |record: Option<Measured>| {
        let mut record = record.map_or_else(|| Ok(Measured::default()), |record| known(root, record))?;
        change(&mut record);
        Ok(record)
    })
}

// A later version of the format may mean something else by the same names.
fn known(root: &Root, record: Measured) -> Result<Measured, ApplyError> {
    if record.schema == SCHEMA {
        return Ok(record);
    }
    let path = root.path().join(apply::STATE_DIR).join(FILE);
    Err(ApplyError::State { path, message: format!("unknown schema `{}`", record.schema) })
}

/// What is said about a file that could not be read; `None` where it is not the file that is to blame.
pub fn damage(error: &ApplyError) -> Option<Finding> {
    let is_its_own = matches!(error, ApplyError::State { .. } | ApplyError::NotAFile { .. });
    let help = "look at it, remove it, and measure again";
    is_its_own.then(|| Finding::warning("measured-damaged", error.to_string()).help(help))
}

/// What is said where a measurement could not be put on record.
pub fn unwritten(error: &ApplyError) -> Finding {
    damage(error).unwrap_or_else(|| {
        let message = format!("what was measured is not on record: {error}");
        Finding::warning("measured-unwritten", message).help("name an installation that you may write to with --root")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(bytes: u64, bytes_read: u64) -> LoadMeasurement {
        LoadMeasurement {
            model: "models".to_owned(),
            bytes,
            bytes_read,
            seconds: 2.0,
            is_of_a_model: true,
            bytes_per_second: bytes_read / 2,
            readers: 4,
            time: "2026-08-01T12:00:00Z".to_owned(),
        }
    }

    #[test]
    fn each_kind_is_kept_when_another_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert_eq!(read(&root).unwrap(), None);
        let started = StartMeasurement { command: "python app.py".to_owned(), seconds: 9.5, time: String::new() };
        record(&root, |measured| measured.load = Some(load(4 << 30, 4 << 30))).unwrap();
        record(&root, |measured| measured.start = Some(started.clone())).unwrap();
        let measured = read(&root).unwrap().unwrap();
        assert_eq!((measured.load, measured.start), (Some(load(4 << 30, 4 << 30)), Some(started)));
        let names = fs::read_dir(folder.path().join(apply::STATE_DIR)).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["lock", FILE]);
    }

    #[test]
    fn what_is_damaged_is_said_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        fs::create_dir(folder.path().join(apply::STATE_DIR)).unwrap();
        let path = folder.path().join(apply::STATE_DIR).join(FILE);
        let later = r#"{"schema": "wan22-policy/measured/v2"}"#;
        for text in ["{", "[]", r#"{"schema": "wan22-policy/measured/v1", "lod": null}"#, later, "{\"schema\": 1}", ""]
        {
            fs::write(&path, text).unwrap();
            let error = read(&root).unwrap_err();
            assert_eq!(damage(&error).unwrap().code.as_str(), "measured-damaged", "{text}");
            assert!(record(&root, |measured| measured.start = None).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_rate_is_told_by_enough_from_the_disk() {
        assert!(load(LEAST_READ, LEAST_READ).tells_the_rate());
        assert!(!load(LEAST_READ, LEAST_READ - 1).tells_the_rate());
        assert!(load(2 * LEAST_READ, LEAST_READ).tells_the_rate());
        assert!(!load(2 * LEAST_READ + 2, LEAST_READ).tells_the_rate());
    }
}
