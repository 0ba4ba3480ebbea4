//! How long it takes to load the policies, to plan one machine, and to plan ten thousand different ones.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use wan22_policy::diag::Source;
use wan22_policy::engine::{Question, evaluate};
use wan22_policy::facts::workload::Workload;
use wan22_policy::facts::{Facts, Origin, file};
use wan22_policy::policy::{LoadOptions, compile, load};
use wan22_policy::yaml;

fn reference_machine() -> Facts {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml");
    let text = std::fs::read_to_string(path).expect("the machine file is there");
    let document = yaml::parse(Source::new(path, text)).expect("it is YAML");
    let mut facts = file::read(&document).expect("it is a facts file");
    "ti2v-5b:1280x704x49".parse::<Workload>().expect("a workload").record(&mut facts);
    facts.know("workload.goal", "balanced", Origin::User);
    facts
}

fn question() -> Question {
    Question { pins: BTreeMap::new(), as_of: "2026-11-23".parse().expect("a date") }
}

fn policies(c: &mut Criterion) {
    let options = LoadOptions::default();
    c.bench_function("load all policies", |b| b.iter(|| load(black_box(&options)).expect("they load")));
    let (files, _) = load(&options).expect("they load");
    c.bench_function("compile all policies", |b| b.iter(|| compile(black_box(&files)).expect("they compile")));
}

fn machines(c: &mut Criterion) {
    let (files, _) = load(&LoadOptions::default()).expect("they load");
    let set = compile(&files).expect("they compile");
    let (facts, question) = (reference_machine(), question());
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
