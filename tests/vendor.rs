//! The memory that policies predict of the vendor's own code, against the vendor's published tables (`vendor/official.yaml`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use common::{CARDS, POLICIES, described, expression, plan, question};
use serde::Deserialize;
use wan22_policy::engine;
use wan22_policy::facts::file::override_fact;
use wan22_policy::facts::{Facts, Origin, cards};
use wan22_policy::fit::{Fits, Time, ask};
use wan22_policy::policy::Stack;
use wan22_policy::settings::SETTINGS;

const GIB: f64 = (1_u64 << 30) as f64;

/// One document.
#[derive(Deserialize)]
struct Table {
    rows: Vec<Row>,
    /// Whether it is reported without being held to a bound.
    #[serde(default)]
    apart: bool,
}

/// One published run; memory in GiB.
#[derive(Deserialize)]
struct Row {
    model: String,
    size: String,
    gpu: String,
    ranks: usize,
    fsdp: bool,
    t5_cpu: bool,
    peak: f64,
    steps: i64,
    /// Seconds for the whole video.
    time: Option<f64>,
}

impl Row {
    fn run(&self) -> String {
        let how = match (self.ranks, self.fsdp) {
            (1, _) => "1 GPU".to_owned(),
            (ranks, true) => format!("{ranks} GPUs, FSDP"),
            (ranks, false) => format!("{ranks} GPUs, Ulysses"),
        };
        format!("{} {}, {how}", self.model, self.size)
    }

    fn name(&self) -> String {
        format!("{} {}", self.gpu, self.run())
    }

    /// What a function of the policies says of it, GiB.
    fn predicted(&self, function: &str) -> f64 {
        let facts = machine(&self.gpu, &format!("{}:{}", self.model, self.size));
        let text = format!("{function}({}, {}, {})", self.ranks, self.fsdp, self.t5_cpu);
        bytes(&facts, &text) / GIB
    }

    /// Its error, as a share.
    fn error(&self) -> f64 {
        self.predicted("official_peak") / self.peak - 1.0
    }
}

/// What the driver reports of a card: name, compute capability and MiB.
fn card(gpu: &str) -> (&'static str, f64, u64) {
    match gpu {
        "RTX 4090" => ("NVIDIA GeForce RTX 4090", 8.9, 24564),
        "RTX 4090 D" => ("NVIDIA GeForce RTX 4090 D", 8.9, 24564),
        "A100" => ("NVIDIA A100-SXM4-80GB", 8.0, 81920),
        "H100" => ("NVIDIA H100 80GB HBM3", 9.0, 81559),
        "H20" => ("NVIDIA H20", 9.0, 97871),
        "H200" => ("NVIDIA H200", 9.0, 143_771),
        "L40S" => ("NVIDIA L40S", 8.9, 46068),
        "RTX 3090" => ("NVIDIA GeForce RTX 3090", 8.6, 24576),
        "RTX 3060" => ("NVIDIA GeForce RTX 3060", 8.6, 12288),
        "A6000" => ("NVIDIA RTX A6000", 8.6, 46068),
        "V100" => ("Tesla V100-SXM2-32GB", 7.0, 32768),
        other => panic!("which card is {other}?"),
    }
}

fn machine(gpu: &str, workload: &str) -> Facts {
    let (name, capability, mib) = card(gpu);
    let known = [
        format!("gpu.name={name}"),
        format!("gpu.compute_capability={capability}"),
        format!("gpu.vram.total={mib}MiB"),
        "ram.total=512GiB".to_owned(),
    ];
    let mut facts = described(Facts::new("not asked"), known.iter().map(String::as_str), workload);
    cards::fill(&mut facts, &CARDS);
    facts
}

/// What an expression over the shipped policies gives.
fn bytes(facts: &Facts, text: &str) -> f64 {
    let plan = plan(&POLICIES, facts);
    engine::evaluation(&POLICIES, facts, &plan).eval(&expression(text), &[]).unwrap().as_f64().unwrap()
}

fn tables() -> Vec<Table> {
    serde_yaml::from_str(include_str!("vendor/official.yaml")).unwrap()
}

fn median(mut errors: Vec<f64>) -> f64 {
    errors.sort_by(f64::total_cmp);
    let middle = errors.len() / 2;
    if errors.len() % 2 == 1 { errors[middle] } else { (errors[middle - 1] + errors[middle]) / 2.0 }
}

/// The bounds are those that a person would call right: a card is chosen by whole gibibytes.
#[test]
fn published_peaks_are_predicted() {
    let tables = tables();
    let rows: Vec<&Row> = tables.iter().filter(|table| !table.apart).flat_map(|table| &table.rows).collect();
    assert_eq!(rows.len(), 70);
    for (on_one, most, half) in [(true, 0.05, 0.01), (false, 0.06, 0.02)] {
        let some: Vec<&&Row> = rows.iter().filter(|row| (row.ranks == 1) == on_one).collect();
        for row in &some {
            assert!(row.error().abs() <= most, "{}: {:+.1} %", row.name(), row.error() * 100.0);
        }
        let median = median(some.iter().map(|row| row.error().abs()).collect());
        assert!(median <= half, "{:.2} % in the middle of {} rows", median * 100.0, some.len());
    }
}

fn stack(id: &str) -> &'static Stack {
    POLICIES.stacks.iter().find(|stack| stack.id == id).unwrap()
}

/// How long a stack is said to take for a video, and whether that rests on published runs.
fn time(stack: &str, gpu: &str, workload: &str, steps: i64) -> Time {
    let mut facts = machine(gpu, workload);
    facts.know("workload.steps", steps, Origin::User);
    ask(&POLICIES, self::stack(stack), &facts, &question(BTreeMap::new())).unwrap().time.unwrap()
}

/// Of each published run on one GPU, in the range that is said for the card; the ends rest on these very rows, so their width
/// is held too.
#[test]
fn published_times_lie_in_the_range() {
    let tables = tables();
    let mut errors = Vec::new();
    for row in tables.iter().flat_map(|table| &table.rows).filter(|row| row.ranks == 1) {
        let Some(published) = row.time else { continue };
        let time = time("official", &row.gpu, &format!("{}:{}", row.model, row.size), row.steps);
        assert!(time.is_published, "{}", row.name());
        let (low, high) = (time.run.low * 0.99, time.run.high * 1.01);
        assert!((low..=high).contains(&published), "{}: {published} s, not {low:.0} to {high:.0} s", row.name());
        assert!(time.run.high < time.run.low * 1.6, "{}: {:?}", row.name(), time.run);
        errors.push((time.run.expected / published - 1.0).abs());
    }
    assert_eq!(errors.len(), 23);
    let median = median(errors);
    assert!(median < 0.1, "{:.1} % in the middle", median * 100.0);
}

/// Of several GPUs too, where the range says that they wait for each other by nobody knows how much.
#[test]
fn published_times_of_several_lie_in_the_range() {
    let tables = tables();
    let mut rows = 0;
    for row in tables.iter().flat_map(|table| &table.rows).filter(|row| row.ranks > 1) {
        let Some(published) = row.time else { continue };
        let stack = stack(if row.fsdp { "official-fsdp" } else { "official-ulysses" });
        let mut facts = machine(&row.gpu, &format!("{}:{}", row.model, row.size));
        (1..row.ranks).for_each(|gpu| facts.repeat("gpus[0]", &format!("gpus[{gpu}]")));
        facts.know("gpus", row.ranks, Origin::User);
        facts.know("workload.steps", row.steps, Origin::User);
        let answer = ask(&POLICIES, stack, &facts, &question(BTreeMap::new())).unwrap();
        assert!(!answer.is_refused(), "{}: {:?}", row.name(), answer.refused);
        let time = answer.time.unwrap();
        let range = time.run.low..=time.run.high;
        assert!(range.contains(&published) && !time.is_published, "{}: {published} s, not {:?}", row.name(), time.run);
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
}

/// Steps that others published, most of them on cards of which the vendor's tables say nothing.
#[test]
fn published_steps_lie_in_the_range() {
    let shared = "github.com/ModelTC/LightX2V README.md@0328dc8, Cross-Framework Performance Comparison: 40 steps";
    let report = "github.com/zysno1/Wan2.2-Enhanced benchmark_report_L40S.md: 50 steps, FlashAttention 2.8.3";
    // With SageAttention or without, seconds a step.
    for (stack, gpu, workload, sage, published, source) in [
        ("diffusers", "H100", "i2v-14b:832x480x81", false, 9.77, shared),
        ("diffusers", "RTX 4090 D", "i2v-14b:832x480x81", false, 30.50, shared),
        ("official", "L40S", "ti2v-5b:1280x704x161", false, 12.6, report),
        ("wan2gp", "RTX 3090", "i2v-14b:832x480x81", false, 68.0, "https://github.com/deepbeepmeep/Wan2GP/issues/28"),
        ("wan2gp", "RTX 3090", "i2v-14b:1280x720x81", false, 267.0, "https://github.com/deepbeepmeep/Wan2GP/issues/28"),
        ("wan2gp", "RTX 3060", "i2v-14b:832x480x81", true, 108.33, "https://github.com/deepbeepmeep/Wan2GP/issues/6"),
        ("diffusers", "A6000", "i2v-14b:832x480x81", false, 38.05, "kohya-ss/musubi-tuner#217: 12:41 min for 20 steps"),
        ("diffusers", "A6000", "i2v-14b:832x480x81", true, 37.7, "kohya-ss/musubi-tuner#217: 12:34 min for 20 steps"),
        ("diffusers", "V100", "i2v-14b:1280x720x81", false, 504.0, "kohya-ss/musubi-tuner#205: about 7 h for 50 steps"),
    ] {
        let run = |steps: i64| {
            let mut facts = machine(gpu, workload);
            facts.know("workload.steps", steps, Origin::User);
            let backend = sage.then(|| (SETTINGS.index("attention.backend").unwrap(), "sage".into()));
            let question = question(backend.into_iter().collect());
            ask(&POLICIES, self::stack(stack), &facts, &question).unwrap().time.unwrap()
        };
        let (whole, less) = (run(40), run(20));
        assert!(!whole.is_published, "{gpu}");
        let step = |whole: f64, less: f64| (whole - less) / 20.0;
        let (low, high) = (step(whole.run.low, less.run.low), step(whole.run.high, less.run.high));
        let name = format!("{stack} {gpu} {workload} ({source})");
        assert!((low..=high).contains(&published), "{name}: {published} s a step, not {low:.1} to {high:.1} s");
        assert!(high < low * 4.0, "{name}: {low:.1} to {high:.1} s say nothing");
    }
}

/// Whole videos of Wan2.1 I2V-14B in 40 steps that ModelTC/LightX2V published of itself and of Wan2GP: docs/EN/source/
/// getting_started/benchmark_source.md, and README.md@0328dc8 for its steps, here times 40.
#[test]
fn published_runs_of_lightx2v_lie_in_the_range() {
    for (stack, gpu, size, published) in [
        ("wan2gp", "RTX 4090", "832x480x81", 779.0),
        ("lightx2v", "RTX 4090", "832x480x81", 738.0),
        ("lightx2v", "RTX 4090", "832x480x81", 630.0),
        ("lightx2v", "RTX 4090", "1280x720x81", 2473.0),
        ("lightx2v", "RTX 4090", "1280x720x81", 2169.0),
        ("lightx2v", "RTX 4090 D", "832x480x81", 20.26 * 40.0),
        ("lightx2v", "H100", "832x480x81", 5.18 * 40.0),
        ("lightx2v", "H200", "832x480x81", 250.0),
        ("lightx2v", "H200", "832x480x81", 191.0),
        ("lightx2v", "H200", "1280x720x81", 807.0),
        ("lightx2v", "H200", "1280x720x81", 671.0),
    ] {
        let run = time(stack, gpu, &format!("i2v-14b:{size}"), 40).run;
        assert!((run.low..=run.high).contains(&published), "{stack} {gpu} {size}: {published} s, not {run:?}");
        assert!(run.high < run.low * 4.5, "{stack} {gpu} {size}: {run:?} says nothing");
    }
}

/// What others published of stacks that estimates stand for.
#[test]
fn published_runs_of_other_stacks_are_told() {
    let fit = |stack: &str, vram: &str, ram: &str, workload: &str| {
        let mut facts = machine("RTX 4090", workload);
        for fact in [format!("gpu.vram.total={vram}"), format!("ram.total={ram}")] {
            override_fact(&mut facts, &fact).unwrap();
        }
        ask(&POLICIES, self::stack(stack), &facts, &question(BTreeMap::new())).unwrap()
    };
    // ModelTC/LightX2V docs/EN/source/getting_started/benchmark_source.md: RTX 4090, Wan2.1 I2V-14B; GB as nvidia-smi has them.
    for (stack, size, gb, within) in [
        ("wan2gp", "832x480x81", 20.0, 0.08),
        ("lightx2v", "832x480x81", 12.0, 0.05),
        ("lightx2v", "1280x720x81", 18.0, 0.05),
    ] {
        let told = fit(stack, "24564MiB", "64GiB", &format!("i2v-14b:{size}")).peak() as f64 / 1e9;
        assert!((told / gb - 1.0).abs() < within, "{stack} {size}: {told:.1} GB, and {gb} were published");
    }
    let fits = |stack: &str, vram: &str, ram: &str, workload: &str| fit(stack, vram, ram, workload).fits();
    assert_ne!(fits("wan2gp", "8188MiB", "64GiB", "t2v-14b:832x480x81"), Fits::No, "Wan-Video/Wan2.1#142");
    assert_eq!(fits("wan2gp", "12282MiB", "64GiB", "t2v-14b:832x480x129"), Fits::Yes, "Wan-Video/Wan2.1#142");
    assert_ne!(
        fits("lightx2v", "8188MiB", "16GiB", "i2v-14b:1280x720x81"),
        Fits::No,
        "its README: 8 GB and 16 GB of RAM"
    );
    assert_eq!(
        fits("comfyui", "8188MiB", "32GiB", "ti2v-5b:1280x704x121"),
        Fits::Yes,
        "docs.comfy.org, Wan2.2: fits on 8 GB"
    );
}

/// Everything in the tables ran.
#[test]
fn what_ran_is_said_to_fit() {
    for row in tables().iter().flat_map(|table| &table.rows) {
        let (.., mib) = card(&row.gpu);
        let needed = row.predicted("official_device_peak");
        assert!(needed <= mib as f64 / 1024.0, "{} needs {needed:.1} GiB", row.name());
    }
}

#[test]
fn what_did_not_run_is_said_not_to_fit() {
    let row = |gpu: &str, model: &str, size: &str, ranks, fsdp| Row {
        model: model.to_owned(),
        size: size.to_owned(),
        gpu: gpu.to_owned(),
        ranks,
        fsdp,
        t5_cpu: false,
        peak: 0.0,
        steps: 40,
        time: None,
    };
    for (row, source) in [
        (row("H100", "t2v-a14b", "1280x720x81", 2, true), "https://github.com/Wan-Video/Wan2.2/issues/196"),
        (row("RTX 4090", "t2v-a14b", "832x480x81", 1, false), "the README: at least 80 GB; its table: 41.3 GB"),
    ] {
        let (.., mib) = card(&row.gpu);
        let needed = row.predicted("official_device_peak");
        assert!(needed > mib as f64 / 1024.0, "{} needs {needed:.1} GiB, and did not run: {source}", row.name());
    }
}

/// The table in the README, a line for each configuration; GPUs of which the same is predicted share one.
#[test]
fn the_readme_shows_them() {
    let tables = tables();
    let mut lines: BTreeMap<(bool, String, String), Line> = BTreeMap::new();
    for table in &tables {
        for row in &table.rows {
            let predicted = format!("{:.1}", row.predicted("official_peak"));
            let line = lines.entry((table.apart, row.run(), predicted)).or_default();
            line.gpus.insert(&row.gpu);
            line.published.push(row.peak);
            line.errors.push(row.error());
        }
    }
    let mut text = String::from("| run | GPU | predicted, GiB | published, GB | off by |\n|---|---|---|---|---|\n");
    for ((apart, run, predicted), line) in &lines {
        let gpus = line.gpus.iter().copied().collect::<Vec<_>>().join(", ");
        let mark = if *apart { " (another document)" } else { "" };
        text += &format!("| {run}{mark} | {gpus} | {predicted} | {} | {} |\n", line.range(), line.worst());
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&page).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a place for the table");
    let (_, after) = rest.split_once(END).expect("and its end");
    let wanted = format!("{before}{BEGIN}{text}{END}{after}");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &wanted).unwrap();
    }
    assert!(readme == wanted || env::var_os("UPDATE_DOCS").is_some(), "write it anew with UPDATE_DOCS=1:\n{text}");
}

const BEGIN: &str = "<!-- written by tests/vendor.rs -->\n";
const END: &str = "<!-- end -->";

/// What is published of one configuration.
#[derive(Default)]
struct Line<'a> {
    gpus: BTreeSet<&'a str>,
    published: Vec<f64>,
    errors: Vec<f64>,
}

impl Line<'_> {
    fn range(&self) -> String {
        let (low, high) =
            self.published.iter().fold((f64::MAX, f64::MIN), |(low, high), &it| (low.min(it), high.max(it)));
        if low == high { format!("{low}") } else { format!("{low} to {high}") }
    }

    fn worst(&self) -> String {
        let worst = self.errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
        format!("{:+.1} %", worst * 100.0)
    }
}
