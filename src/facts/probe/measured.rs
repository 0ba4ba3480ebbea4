//! What this program measured in an installation before: `disk.read_rate`.

use std::path::Path;

use crate::apply::Root;
use crate::facts::{Facts, Origin};
use crate::measured;

/// What is on record of the folder of an installation.
pub fn probe(root: &Path) -> Facts {
    let mut facts = Facts::new("no probe reports it");
    let read = Root::open(root).and_then(|root| measured::read(&root));
    match read {
        Ok(record) => match record.and_then(|record| record.load) {
            Some(load) if load.tells_the_rate() => {
                facts.know("disk.read_rate", load.bytes_per_second, Origin::Measured);
            }
            _ => facts.unknown("disk.read_rate", "it was not measured; `wan22-policy load` does that"),
        },
        Err(error) => {
            facts.unknown("disk.read_rate", error.to_string());
            facts.findings.extend(measured::damage(&error));
        }
    }
    facts
}
