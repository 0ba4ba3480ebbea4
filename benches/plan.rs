//! How long it takes to load the policies, to plan one machine, and to plan ten thousand different ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::hint::black_box;

use common::{REFERENCE, machine, question};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use wan22_policy::engine::evaluate;
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::policy::{LoadOptions, compile, load};

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

criterion_group!(benches, policies, machines);
criterion_main!(benches);
