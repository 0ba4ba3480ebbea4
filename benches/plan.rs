//! How long it takes to load the policies, to plan one machine or ten thousand different ones, and to run the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, Stdio};

use common::{REFERENCE, machine, question};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use wan22_policy::engine::evaluate;
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::policy::{LoadOptions, compile, load};

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn policies(c: &mut Criterion) {
    let options = LoadOptions::default();
    c.bench_function("load all policies", |b| b.iter(|| load(black_box(&options)).expect("they load")));
    let (files, _) = load(&options).expect("they load");
    c.bench_function("compile all policies", |b| b.iter(|| compile(black_box(&files)).expect("they compile")));
}

fn machines(c: &mut Criterion) {
    let (files, _) = load(&LoadOptions::default()).expect("they load");
    let set = compile(&files).expect("they compile");
    let (facts, question) = (machine(REFERENCE, "ti2v-5b:1280x704x49"), question(BTreeMap::new()));
    c.bench_function("plan one machine", |b| b.iter(|| evaluate(&set, black_box(&facts), &question)));

    // Memory, cores and RAM all differ, so that no two machines are alike.
    let fleet: Vec<Facts> = (0..10_000_i64)
        .map(|i| {
            let mut facts = facts.clone();
            facts.know("gpus[0].vram.total", Value::from((4_i64 << 30) + i * (188 << 30) / 10_000), Origin::User);
            facts.know("cpu.physical_cores", Value::from(1 + i % 192), Origin::User);
            facts.know("ram.total", Value::from((8_i64 << 30) + i * (1 << 24)), Origin::User);
            facts
        })
        .collect();
    let mut group = c.benchmark_group("fleet");
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    group.bench_function("plan 10,000 machines on one core", |b| {
        b.iter(|| fleet.iter().map(|facts| evaluate(&set, facts, &question).settings.len()).sum::<usize>());
    });
}

// Whole processes, as a user starts them. `lstopo` and `nvidia-smi`, where they are, are what `facts` is measured against.
fn processes(c: &mut Criterion) {
    let program = env!("CARGO_BIN_EXE_wan22-policy");
    let machine = format!("{}/tests/machines/{REFERENCE}.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut group = c.benchmark_group("cold process");
    group.sample_size(50);
    let mut run = |name: &str, program: &str, arguments: &[&str]| {
        let start = || {
            Command::new(program)
                .args(arguments)
                .env("WAN22_POLICY_LOG", "off")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
        };
        match start() {
            Ok(_) => {
                group.bench_function(name, |b| b.iter(|| start().expect("it starts")));
            }
            Err(error) => eprintln!("SKIPPED: {name}: {error}"),
        }
    };
    run("plan --facts FILE --format json", program, &["plan", "--facts", &machine, "--format", "json"]);
    run("facts --format json", program, &["facts", "--format", "json"]);
    run("lstopo --of xml", "lstopo", &["--of", "xml"]);
    run("nvidia-smi -q", "nvidia-smi", &["-q"]);
}

criterion_group!(benches, policies, machines, processes);
criterion_main!(benches);
