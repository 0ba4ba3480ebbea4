//! The inputs that fuzzing kept, through the functions that it runs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and speak")]

#[path = "fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

fn replay(target: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|input| input.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    for input in inputs {
        println!("{}", input.display());
        entry(&fs::read(input).unwrap());
    }
}

#[test]
fn policies() {
    replay("policies", entry::policies);
}

#[test]
fn dumps_of_nvidia_smi() {
    replay("nvidia_smi", entry::nvidia_smi);
}

#[test]
fn facts_files() {
    replay("facts", entry::facts);
}

#[test]
fn checkpoints() {
    replay("checkpoint", entry::checkpoint);
}

#[test]
fn python_sources() {
    replay("python", entry::python);
}

#[test]
fn config_files() {
    replay("config", entry::config);
}
