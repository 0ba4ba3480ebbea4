//! How long it takes to read the Python sources of an installation: 1250 files of the library of the Python of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a benchmark may panic and speak")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wan22_policy::validate::{Tree, sources};

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FILES: usize = 1250;

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "py") && found.len() < FILES {
            found.push(path);
        }
    }
}

fn syntax(c: &mut Criterion) {
    let code = "import os; print(os.path.dirname(os.__file__))";
    let Ok(ran) = Command::new("python3").args(["-I", "-c", code]).output() else {
        eprintln!("SKIPPED: there is no python3");
        return;
    };
    let mut files = Vec::new();
    collect(Path::new(String::from_utf8_lossy(&ran.stdout).trim()), &mut files);
    let folder = tempfile::tempdir().unwrap();
    for (index, file) in files.iter().enumerate() {
        fs::copy(file, folder.path().join(format!("{index}.py"))).unwrap();
    }
    let read = sources::check(&Tree::read(folder.path(), None), None);
    eprintln!("{} sources, {} broken", read.files, read.broken_files().len());
    let mut group = c.benchmark_group("validate");
    group.sample_size(10).throughput(Throughput::Elements(read.files as u64));
    group.bench_function("Python sources", |b| {
        b.iter(|| sources::check(&Tree::read(black_box(folder.path()), None), None))
    });
    group.finish();
}

criterion_group!(benches, syntax);
criterion_main!(benches);
