//! What holds for every machine and every text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;

use common::{FILES, POLICIES, plan, question};
use proptest::prelude::*;
use serde_json::Value;
use wan22_policy::diag::Source;
use wan22_policy::engine::evaluate;
use wan22_policy::facts::{Facts, Origin, file};
use wan22_policy::plan::{self, Plan};
use wan22_policy::policy::source::PolicyFile;
use wan22_policy::policy::{LoadedFile, compile};
use wan22_policy::settings::SETTINGS;
use wan22_policy::yaml;

fn reference() -> Facts {
    common::machine(common::REFERENCE, "ti2v-5b:1280x704x121")
}

// Everything of a plan that people act on.
type Essence = (BTreeMap<String, (Value, Option<String>)>, Vec<(String, String)>);

fn essence(plan: &Plan) -> Essence {
    let settings = plan.settings.iter().map(|(name, setting)| {
        (name.clone(), (setting.value.clone(), setting.policy.as_ref().map(|policy| policy.id.clone())))
    });
    let mut findings: Vec<_> = plan.findings.iter().map(|f| (f.code.to_string(), f.message.clone())).collect();
    findings.sort();
    (settings.collect(), findings)
}

prop_compose! {
    // A machine like the reference, with another card, another processor and other memory.
    fn machine()(
        vram in 2_i64 << 30..200 << 30,
        capability in prop::sample::select(vec![5.2, 6.1, 7.0, 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0, 12.1]),
        cores in 1_i64..=192,
        ram in 2_i64 << 30..2048 << 30,
        quota in prop::option::of(0.5_f64..64.0),
        frames in 1_i64..=40,
    ) -> Facts {
        let mut facts = reference();
        facts.know("gpus[0].vram.total", vram, Origin::User);
        facts.know("gpus[0].compute_capability", capability, Origin::User);
        facts.know("cpu.physical_cores", cores, Origin::User);
        facts.know("cpu.allowed_cpus", (0..2 * cores).collect::<Vec<_>>(), Origin::User);
        facts.know("ram.total", ram, Origin::User);
        facts.know("workload.frames", 4 * frames + 1, Origin::User);
        if let Some(quota) = quota {
            facts.know("cpu.quota", quota, Origin::User);
        }
        facts
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_machine_has_a_whole_plan_without_an_error_of_the_policies(facts in machine()) {
        let plan = plan(&POLICIES, &facts);
        prop_assert_eq!(plan.settings.len(), SETTINGS.len());
        let broken = ["expression-failed", "ambiguous-setting", "contradicting-limits", "limit-unmet", "setting-out-of-range", "no-candidate", "undecided"];
        for finding in &plan.findings {
            prop_assert!(!broken.contains(&finding.code.as_str()), "{}: {}", finding.code, finding.message);
        }
        let threads = plan.settings["threads.intra_op"].value.as_u64().unwrap();
        let allowed = facts.value("cpu.allowed_cpus").and_then(Value::as_array).unwrap().len() as u64;
        prop_assert!(threads <= allowed);
    }

    #[test]
    fn the_order_of_files_and_entries_in_a_layer_changes_nothing(facts in machine(), seed in any::<u64>()) {
        let mut files = FILES.clone();
        // Stable by layer, shuffled inside it.
        let key = |file: &LoadedFile| file.name.bytes().fold(seed, |hash, byte| hash.rotate_left(7) ^ u64::from(byte).wrapping_mul(0x9E37_79B9));
        files.sort_by_key(|file| (file.layer, key(file)));
        let shuffled = compile(&files).unwrap();
        prop_assert_eq!(essence(&plan(&shuffled, &facts)), essence(&plan(&POLICIES, &facts)));
    }

    #[test]
    fn a_plan_repeats(facts in machine()) {
        prop_assert_eq!(essence(&plan(&POLICIES, &facts)), essence(&plan(&POLICIES, &facts)));
    }

    #[test]
    fn what_is_asked_for_wins(facts in machine(), tile in 2_i64..=128, batch in 1_i64..=16) {
        let pins: BTreeMap<usize, Value> = [("vae.tile_size", tile * 32), ("batch.size", batch)]
            .into_iter().map(|(name, value)| (SETTINGS.index(name).unwrap(), value.into())).collect();
        let plan = evaluate(&POLICIES, &facts, &question(pins));
        for (name, value) in [("vae.tile_size", tile * 32), ("batch.size", batch)] {
            prop_assert_eq!(&plan.settings[name].value, &Value::from(value));
            prop_assert_eq!(plan.settings[name].origin, plan::Origin::Pin);
        }
    }

    #[test]
    fn more_memory_never_makes_the_layout_slower(facts in machine(), more in 0_i64..64 << 30) {
        let rank = |facts: &Facts| {
            let plan = plan(&POLICIES, facts);
            let value = |name: &str| plan.settings[name].value.as_str().unwrap().to_owned();
            let row = (value("offload.dit"), value("offload.text_encoder"), value("offload.vae"), value("dit.quant_scheme"));
            let rows = POLICIES.table("strategies").unwrap().as_array().unwrap();
            let cell = |cells: &Value, name: &str| cells[name].as_str().unwrap().to_owned();
            let same = |cells: &&Value| row == (cell(cells, "dit"), cell(cells, "text_encoder"), cell(cells, "vae"), cell(cells, "quant"));
            (rows.iter().position(|cells| same(&cells)).unwrap(), plan.findings.iter().any(|f| f.code.as_str() == "does-not-fit"))
        };
        let mut larger = facts.clone();
        let total = facts.value("gpus[0].vram.total").and_then(Value::as_i64).unwrap();
        larger.know("gpus[0].vram.total", total + more, Origin::User);
        let ((before, refused), (after, refused_larger)) = (rank(&facts), rank(&larger));
        prop_assert!(refused || after <= before, "row {before} became row {after}");
        prop_assert!(refused || !refused_larger);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[a-z0-9:\\-\\[\\]{}#&*!|>'\"%@`,? \n.]{0,200}", start in 0_usize..4000, length in 0_usize..80) {
        let read = |text: &str| {
            if let Ok(document) = yaml::parse(Source::new("t.yaml", text)) {
                let _ = document.read::<PolicyFile>("policy-file");
                let _ = file::read(&document);
            }
        };
        read(&text);
        // And a shipped file with a piece of it replaced.
        let shipped = &FILES.iter().find(|file| file.name == "50-memory.yaml").unwrap().document.source.text;
        let start = shipped.floor_char_boundary(start.min(shipped.len()));
        let end = shipped.ceil_char_boundary((start + length).min(shipped.len()));
        let mutated = format!("{}{text}{}", &shipped[..start], &shipped[end..]);
        if let Ok(document) = yaml::parse(Source::new("50-memory.yaml", mutated))
            && let Ok(entries) = document.read::<PolicyFile>("policy-file")
        {
            let mut files: Vec<LoadedFile> = FILES.iter().filter(|file| file.name != "50-memory.yaml").cloned().collect();
            files.push(LoadedFile { name: "50-memory.yaml".to_owned(), layer: 50, document, entries });
            if let Ok(set) = compile(&files) {
                let _ = plan(&set, &reference());
            }
        }
    }
}
