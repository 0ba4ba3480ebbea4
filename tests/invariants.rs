//! The invariants of `tests/invariants/`: every machine keeps them for every model, and each can be violated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use common::{AS_OF, CORPUS, FILES, REFERENCE, machine, question};
use serde_json::{Value, json};
use wan22_policy::corpus::invariants::Invariants;
use wan22_policy::diag::{Finding, Severity};
use wan22_policy::engine::evaluate;
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::policy::{LoadOptions, PolicySet, What, compile, load};
use wan22_policy::settings::SETTINGS;

static INVARIANTS: LazyLock<Invariants> =
    LazyLock::new(|| Invariants::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invariants")).unwrap());
static SET: LazyLock<PolicySet> = LazyLock::new(|| {
    let files: Vec<_> = FILES.iter().chain(INVARIANTS.files()).cloned().collect();
    compile(&files).unwrap()
});

fn ids() -> BTreeSet<String> {
    let checks = INVARIANTS.files().iter().flat_map(|file| &file.entries.checks);
    checks.map(|check| check.id.clone()).collect()
}

// The codes of the invariants that a machine with these settings violates.
fn violated(facts: &Facts, pins: &[(&str, Value)]) -> Vec<String> {
    let pins = pins.iter().map(|(name, value)| (SETTINGS.index(name).unwrap(), value.clone())).collect();
    let findings = evaluate(&SET, facts, &question(pins)).findings;
    let ours = |finding: &&Finding| INVARIANTS.gave(finding);
    let mut codes: Vec<String> = findings.iter().filter(ours).map(|finding| finding.code.to_string()).collect();
    codes.sort();
    codes
}

const SMALL: &str = "ti2v-5b:640x352x49";
const USUAL: &str = "ti2v-5b:1280x704x121";

/// For each invariant, settings that violate it and no other, on a machine where nothing else hides it.
#[expect(clippy::type_complexity, reason = "a table, read in one place")]
fn cases() -> Vec<(&'static str, &'static str, &'static str, Vec<(&'static str, Value)>)> {
    const TURING: &str = "fake-titan-rtx-24g-64g";
    const AMPERE: &str = "rtx-3090-24g-64g";
    const LARGE: &str = "h100-80g-225g";
    const NO_GPU: &str = "fake-no-gpu-64g";
    const UNIFIED: &str = "gb10-unified-128g";
    vec![
        ("cuda-needs-a-known-gpu", LARGE, SMALL, vec![("compute.device", json!("cpu"))]),
        ("device-is-there", REFERENCE, USUAL, vec![("compute.device_index", json!(1))]),
        ("bf16-needs-ampere", TURING, USUAL, vec![("text_encoder.dtype", json!("bf16"))]),
        ("tf32-needs-ampere", TURING, USUAL, vec![("compute.tf32", json!(true))]),
        (
            "fp8-needs-ada",
            "fake-t4-15g-28g-win-tcc",
            "s2v-14b:1024x704x80",
            vec![("text_encoder.quant_scheme", json!("fp8"))],
        ),
        ("black-frames", "gtx-1660-6g-16g", SMALL, vec![("vae.dtype", json!("fp16"))]),
        ("cpu-computes-whole-weights", NO_GPU, SMALL, vec![("vae.dtype", json!("fp16"))]),
        ("cpu-offloads-nothing", NO_GPU, SMALL, vec![("offload.vae", json!("model"))]),
        ("limit-inside-the-card", REFERENCE, USUAL, vec![("memory.vram_limit", json!(16_i64 << 30))]),
        ("limit-inside-the-ram", UNIFIED, USUAL, vec![("memory.vram_limit", json!(160_i64 << 30))]),
        ("limit-inside-every-slice", "h100-80g-225g-mig", SMALL, vec![("memory.vram_limit", json!(60_i64 << 30))]),
        ("fraction-leaves-something", LARGE, SMALL, vec![("memory.fraction", json!(1.0))]),
        ("ram-pool-leaves-the-half", REFERENCE, USUAL, vec![("memory.ram_pool", json!(100_i64 << 30))]),
        (
            "unified-memory-keeps-weights",
            UNIFIED,
            USUAL,
            vec![
                ("offload.vae", json!("model")),
                ("offload.dit", json!("none")),
                ("offload.text_encoder", json!("none")),
                ("dit.quant_scheme", json!("none")),
                ("text_encoder.quant_scheme", json!("none")),
            ],
        ),
        (
            "quantized-in-order",
            "fake-rtx-4060-8g-32g-win",
            USUAL,
            vec![("dit.quant_scheme", json!("int8")), ("text_encoder.quant_scheme", json!("none"))],
        ),
        ("no-needless-quantization", LARGE, SMALL, vec![("text_encoder.quant_scheme", json!("int8"))]),
        ("no-needless-offload", LARGE, SMALL, vec![("offload.dit", json!("block"))]),
        (
            "nothing-refused-that-fits",
            "rtx-3060-12g-32g",
            SMALL,
            vec![
                ("offload.text_encoder", json!("none")),
                ("offload.dit", json!("none")),
                ("dit.quant_scheme", json!("none")),
                ("text_encoder.quant_scheme", json!("none")),
            ],
        ),
        ("overlap-inside-the-tile", REFERENCE, USUAL, vec![("vae.tile_overlap", json!(0))]),
        ("tiles-cut-the-frame", REFERENCE, USUAL, vec![("vae.tiling", json!(true)), ("vae.tile_size", json!(1280))]),
        ("whole-frames-fit", "fake-t4-15g-28g-win-tcc", USUAL, vec![("vae.tiling", json!(false))]),
        ("threads-on-allowed-cpus", "rtx-3060-12g-32g", USUAL, vec![("threads.workers", json!(64))]),
        (
            "threads-in-the-quota",
            "rtx-3080-10g-64g-busy-container-quota-2.5",
            USUAL,
            vec![("threads.intra_op", json!(4))],
        ),
        ("one-thread-a-core", "rtx-3060-12g-32g", USUAL, vec![("threads.intra_op", json!(8))]),
        ("nodes-with-allowed-cpus", REFERENCE, USUAL, vec![("numa.nodes", json!([9]))]),
        ("flash-attention-is-installed", AMPERE, USUAL, vec![("attention.backend", json!("flash_2"))]),
        ("flash-3-needs-hopper", AMPERE, USUAL, vec![("attention.backend", json!("flash_3"))]),
        ("flash-2-needs-ampere", TURING, USUAL, vec![("attention.backend", json!("flash_2"))]),
        ("sage-is-installed-and-asked-for", AMPERE, USUAL, vec![("attention.backend", json!("sage"))]),
        ("xformers-is-installed", AMPERE, USUAL, vec![("attention.backend", json!("xformers"))]),
        (
            "expandable-segments-need-linux",
            "win-rtx-3080-10g-32g",
            USUAL,
            vec![("allocator.expandable_segments", json!(true))],
        ),
        ("no-training-tricks-while-generating", REFERENCE, USUAL, vec![("attention.slicing", json!(true))]),
        ("warns-before-the-card-slows", REFERENCE, USUAL, vec![("monitor.gpu_temperature", json!(110.0))]),
        ("warns-inside-the-specification", REFERENCE, USUAL, vec![("monitor.gpu_temperature", json!(92.0))]),
        (
            "looks-more-than-once",
            REFERENCE,
            USUAL,
            vec![("monitor.interval", json!(300)), ("monitor.retention", json!(60))],
        ),
    ]
}

// What violates one and cannot help violating the others: what is installed is not the question there.
fn facts_of(id: &str, name: &str, workload: &str) -> Facts {
    let mut facts = machine(name, workload);
    match id {
        "flash-3-needs-hopper" | "flash-2-needs-ampere" => {
            facts.know("software.flash_attn", json!("2.8.3"), Origin::User);
        }
        "xformers-is-installed" => facts.forget("software.xformers"),
        "warns-before-the-card-slows" => facts.forget("gpus[0].temperature.max_operating"),
        _ => {}
    }
    facts
}

#[test]
fn every_machine_keeps_every_invariant() {
    assert_eq!(CORPUS.unreadable, []);
    let answers = CORPUS.answers(&SET, AS_OF.parse().unwrap());
    let mut violations = Vec::new();
    for (machine, answers) in CORPUS.machines.iter().zip(&answers) {
        assert!(answers.len() >= 5, "{}", machine.name);
        for answer in answers {
            let ours = answer.plan.findings.iter().filter(|finding| INVARIANTS.gave(finding));
            violations
                .extend(ours.map(|f| format!("{} ({}): {}: {}", machine.name, answer.workload, f.code, f.message)));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn each_invariant_can_be_violated_alone() {
    let mut tried = BTreeSet::new();
    let mut wrong = Vec::new();
    for (id, name, workload, pins) in cases() {
        let facts = facts_of(id, name, workload);
        let before = violated(&facts, &[]);
        let after = violated(&facts, &pins);
        if !before.is_empty() || after != [id] {
            wrong.push(format!("{id}: without the pins {before:?}, with them {after:?}"));
        }
        tried.insert(id.to_owned());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tried, ids(), "every invariant has a case");
}

#[test]
fn every_invariant_is_an_error() {
    for file in INVARIANTS.files() {
        for check in &file.entries.checks {
            assert_eq!(check.severity, Severity::Error, "{}", check.id);
        }
    }
}

/// What asks again, beside the checks that refuse.
const PROBES: &str = "checks:
  - id: probe-vram
    when: budget_is_known()
    assert: phase_peak_unfragmented() <= vram_budget()
    severity: note
    message: asked again
    why: A test.
  - id: probe-cpu
    when: settings.compute.device == \"cpu\" && known(gpus) && workload_is_known() && known(ram.total)
    assert: cpu_need(settings.dit.dtype) <= ram_budget()
    severity: note
    message: asked again
    why: A test.
";

/// The settings of a plan never claim what does not fit, whatever becomes of the checks that say so.
#[test]
fn what_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("85-probes.yaml"), PROBES).unwrap();
    let options =
        LoadOptions { directories: vec![directory.path().to_path_buf()], what: What::All, ..LoadOptions::default() };
    let set = compile(&load(&options).unwrap().0).unwrap();
    let answers = CORPUS.answers(&set, AS_OF.parse().unwrap());
    for (probe, refusal) in [("probe-vram", "does-not-fit"), ("probe-cpu", "does-not-fit-in-ram")] {
        let mut refused = 0;
        for answer in answers.iter().flatten() {
            let has = |code: &str, severity| {
                answer.plan.findings.iter().any(|f| f.code.as_str() == code && f.severity == severity)
            };
            assert_eq!(has(probe, Severity::Note), has(refusal, Severity::Error), "{refusal}: {}", answer.workload);
            refused += usize::from(has(refusal, Severity::Error));
        }
        assert!((1..answers.iter().flatten().count()).contains(&refused), "{refusal}: {refused}");
    }
}
