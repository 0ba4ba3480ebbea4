//! `fit`: its sums are those that the settings follow from, its verdict is that of the plan, and what it proposes fits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic and speak"
)]

mod common;

use common::project::{Project, Ran};
use common::{CORPUS, POLICIES, expression, question};
use rayon::prelude::*;
use serde_json::Value;
use wan22_policy::engine::evaluation;
use wan22_policy::facts::Origin;
use wan22_policy::fit::{Fits, ask};
use wan22_policy::policy::Stack;

fn stack(id: &str) -> &'static Stack {
    POLICIES.stacks.iter().find(|stack| stack.id == id).unwrap()
}

/// Of every machine of the tests with every model, where its memory is known: the parts are those that the settings follow
/// from, and the verdict is that of the plan.
#[test]
fn it_says_what_the_plan_says() {
    let phases =
        ["encode_peak(layout())", "denoise_peak(layout())", "decode_peak(layout(), chosen_tile())"].map(expression);
    let official = expression("official_device_peak(1, false, official_t5_cpu())");
    let as_of = common::AS_OF.parse().unwrap();
    let counts = CORPUS.machines.par_iter().map(|machine| {
        let mut counts = [0; 3];
        for answer in machine.answers(&POLICIES, as_of) {
            let name = format!("{} with {}", machine.name, answer.workload);
            let question = question(Default::default());
            let Ok(fit) = ask(&POLICIES, stack("diffusers"), &answer.facts, &question) else { continue };
            let evaluation = evaluation(&POLICIES, &answer.facts, &answer.plan);
            for (phase, expr) in phases.iter().enumerate() {
                let sum = fit.reported(phase) + if phase == 2 { fit.fragmentation } else { 0 };
                assert_eq!(evaluation.eval(expr, &[]).unwrap(), Value::from(sum), "{name}: phase {phase}");
            }
            let of_vendor = ask(&POLICIES, stack("official"), &answer.facts, &question).unwrap();
            assert_eq!(evaluation.eval(&official, &[]).unwrap(), Value::from(of_vendor.peak()), "{name}: official");
            let found = |code: &str| answer.plan.findings.iter().any(|finding| finding.code.as_str() == code);
            let short_of_vram = fit.peak() > fit.budget;
            assert_eq!(short_of_vram, found("does-not-fit"), "{name}: {}", fit.peak() - fit.budget);
            if fit.is_refused() {
                assert_eq!(fit.fits(), Fits::No, "{name}");
                continue;
            }
            assert_eq!(fit.fits() == Fits::Yes, fit.shortfall() == 0, "{name}");
            let is_told = short_of_vram || found("fits-marginally") || found("offloaded-weights-swap");
            assert!(fit.fits() != Fits::Marginal || is_told, "{name}");
            assert!(
                fit.fits() != Fits::No || ["does-not-fit", "offloaded-weights-fit-in-ram"].into_iter().any(found),
                "{name}"
            );
            counts[fit.fits() as usize] += 1;
        }
        counts
    });
    let [yes, marginal, no] = counts.reduce(|| [0; 3], |one, other| [0, 1, 2].map(|i| one[i] + other[i]));
    assert!(yes + marginal + no > 600);
    eprintln!("{yes} fit, {marginal} fit marginally, {no} do not");
    // A model that says marginal to everything is useless.
    assert!(marginal * 20 < yes + no, "{yes} fit, {marginal} marginally, {no} do not");
}

/// On several GPUs the parts of the first one are what the vendor's tables were held against.
#[test]
fn shards_are_shown_as_they_are_proved() {
    let whole = expression("official_device_peak(ranks(), true, false)");
    let as_of = common::AS_OF.parse().unwrap();
    let mut asked = 0;
    for machine in CORPUS.machines.iter().filter(|machine| machine.facts.count("gpus").unwrap_or(0) > 1) {
        for answer in machine.answers(&POLICIES, as_of) {
            let name = format!("{} with {}", machine.name, answer.workload);
            let question = question(Default::default());
            let Ok(fit) = ask(&POLICIES, stack("official-fsdp"), &answer.facts, &question) else { continue };
            let evaluation = evaluation(&POLICIES, &answer.facts, &answer.plan);
            assert_eq!(evaluation.eval(&whole, &[]).unwrap(), Value::from(fit.peak()), "{name}");
            let smallest = (0..machine.facts.count("gpus").unwrap())
                .filter_map(|gpu| answer.facts.value(&format!("gpus[{gpu}].vram.total"))?.as_i64())
                .min()
                .unwrap();
            assert!(fit.budget < smallest && fit.card <= smallest, "{name}: the smallest GPU binds");
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
}

/// What is said to make it fit makes it fit.
#[test]
fn what_it_proposes_fits() {
    let project = Project::empty();
    let fits = |arguments: &[&str]| {
        let report =
            project.run(&[&["fit", "--no-site", "--format", "json"], arguments].concat()).expect(0).json("fit");
        report["fit"][0].clone()
    };
    let machine = ["--gpu", "RTX 4070", "--ram", "32GiB", "--model", "t2v-14b"];
    let refused = fits(&[&machine[..], &["--size", "1280x720x161"]].concat());
    assert_eq!((&refused["fits"], &refused["binding"]), (&"no".into(), &"denoise".into()));
    let proposed: Vec<&str> =
        refused["would_fit_with"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
    let frames = proposed.iter().find_map(|change| change.strip_suffix(" frames")).unwrap();
    let size = proposed.iter().find(|change| change.contains('x')).unwrap();
    assert_eq!(fits(&[&machine[..], &["--size", &format!("1280x720x{frames}")]].concat())["fits"], "yes");
    let more = frames.parse::<i64>().unwrap() + 4;
    assert_ne!(fits(&[&machine[..], &["--size", &format!("1280x720x{more}")]].concat())["fits"], "yes");
    assert_eq!(fits(&[&machine[..], &["--size", &format!("{size}x161")]].concat())["fits"], "yes");
}

/// Answers of the program about one model, by stack.
fn answers(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let report = project.run(&[&["fit", "--no-site", "--format", "json"], arguments].concat()).expect(0).json("fit");
    report["fit"].as_array().unwrap().clone()
}

/// What a stack refuses is no matter of memory, and what it takes is proposed.
#[test]
fn what_a_stack_cannot_run_is_refused_with_the_reason() {
    let project = Project::empty();
    let card = ["--gpu", "NVIDIA A100-SXM4-80GB", "--ram", "256GiB"];
    let asked = |more: &[&str]| answers(&project, &[&card[..], more].concat());
    let speech = &asked(&["--model", "s2v-14b"])[0];
    assert_eq!((&speech["fits"], &speech["binding"]), (&"no".into(), &"stack".into()), "{speech}");
    assert_eq!(speech["refused"], "it has no pipeline that takes speech");
    assert_eq!(speech["would_fit_with"], serde_json::json!(["stack comfyui"]));
    assert_eq!((&speech["shortfall_bytes"], speech.get("time_s")), (&0.into(), None));
    // The rows that nobody asked for are of sizes that the vendor's code takes.
    let sizes = |model: &str| -> Vec<String> {
        let rows = asked(&["--stack", "official", "--model", model]);
        rows.iter().map(|row| format!("{}x{}", row["width"], row["height"])).collect()
    };
    assert_eq!(sizes("ti2v-5b"), ["1280x704"]);
    assert_eq!(sizes("t2v-1.3b"), ["832x480"]);
    assert_eq!(sizes("t2v-a14b"), ["1280x720", "832x480"]);
    let size = &asked(&["--stack", "official", "--model", "ti2v-5b", "--size", "480x832"])[0];
    assert_eq!((&size["fits"], &size["binding"]), (&"no".into(), &"size".into()));
    assert_eq!(size["would_fit_with"], serde_json::json!(["704x1280"]));
    // No size of this model has other edges, and no card of that age FlashAttention.
    let odd = &asked(&["--model", "t2v-a14b", "--size", "1920x1080"])[0];
    assert_eq!((&odd["fits"], &odd["would_fit_with"]), (&"no".into(), &serde_json::json!(["1280x720"])), "{odd}");
    let old = ["--gpu", "Tesla V100-SXM2-32GB", "--ram", "64GiB", "--model", "t2v-1.3b", "--stack", "official"];
    assert_eq!(answers(&project, &old)[0]["binding"], "stack");
    let told = project.run(
        &[&["fit", "--no-site"], &card[..], &["--stack", "official", "--model", "ti2v-5b"], &["--size", "832x480"]]
            .concat(),
    );
    told.expect(0).says("official takes only 1280x704, 704x1280; fits with 1280x704");
}

/// The same program run otherwise; its README runs TI2V-5B on several GPUs without shards.
#[test]
fn another_way_to_run_the_same_program_is_proposed() {
    let project = Project::empty();
    let asked = |gpus: &str, stack: &str| {
        let of = ["--gpu", "RTX 4090", "--gpus", gpus, "--ram", "512GiB", "--model", "ti2v-5b"];
        answers(&project, &[&of[..], &["--set", "memory.reserve=0", "--stack", stack]].concat()).remove(0)
    };
    let (shards, whole) = (asked("8", "official-fsdp"), asked("8", "official-ulysses"));
    assert_eq!((&shards["fits"], &whole["fits"]), (&"no".into(), &"marginal".into()), "{shards} {whole}");
    assert_eq!(shards["would_fit_with"], serde_json::json!(["stack official-ulysses (marginally)"]));
    let uneven = asked("5", "official-ulysses");
    assert_eq!(uneven["refused"], "--ulysses_size must divide the heads of the transformer");
}

/// Weights that the RAM does not hold are read again: slower, and so no `yes`.
#[test]
fn what_is_mapped_from_the_disk_runs_slower() {
    let project = Project::empty();
    let asked = |ram: &str, stack: &str| {
        let of = ["--gpu", "RTX 4080", "--fact", "disk.kind=hdd", "--model", "t2v-a14b", "--size", "832x480x81"];
        answers(&project, &[&of[..], &["--ram", ram, "--stack", stack]].concat()).remove(0)
    };
    for stack in ["comfyui", "wan2gp", "lightx2v"] {
        let (short, enough) = (asked("32GiB", stack), asked("48GiB", stack));
        assert_eq!((&short["fits"], &short["binding"]), (&"marginal".into(), &"ram".into()), "{short}");
        let proposed = short["would_fit_with"].as_array().unwrap();
        assert_eq!(proposed.last().unwrap(), "48 GiB of RAM", "{short}");
        assert_eq!(enough["fits"], "yes", "{enough}");
        let again = short["time_s"]["expected"].as_f64().unwrap() - enough["time_s"]["expected"].as_f64().unwrap();
        assert!(again > 60.0, "{stack}: two experts and a text encoder from an hdd in {again} s");
    }
}

#[test]
fn fewer_steps_take_less_time() {
    let project = Project::empty();
    let asked = |more: &[&str]| {
        let of = ["--gpu", "RTX 4090", "--ram", "64GiB", "--model", "t2v-a14b", "--size", "832x480x81"];
        answers(&project, &[&of[..], more].concat()).remove(0)
    };
    let (own, few) = (asked(&[]), asked(&["--steps", "4", "--passes", "1"]));
    assert_eq!((&own["steps"], &own["passes"]), (&40.into(), &2.into()));
    assert_eq!((&few["steps"], &few["passes"]), (&4.into(), &1.into()));
    let seconds = |answer: &Value| answer["time_s"]["expected"].as_f64().unwrap();
    assert!((10.0..20.0).contains(&(seconds(&own) / seconds(&few))), "{own} {few}");
}

#[test]
fn a_layout_of_ones_own_is_asked_about() {
    let project = Project::empty();
    let fit = |more: &[&str]| {
        let asked =
            ["fit", "--no-site", "--gpu", "RTX 4080", "--ram", "64GiB", "--model", "ti2v-5b", "--size", "1280x704x121"];
        project.run(&[&asked[..], more].concat()).expect(0)
    };
    let pinned = ["--set", "offload.dit=none", "--set", "offload.text_encoder=none"];
    let report = fit(&[&pinned[..], &["--format", "json"]].concat()).json("fit")["fit"][0].clone();
    assert_eq!(report["fits"], "no");
    assert_eq!(report["settings"]["offload.text_encoder"], "none");
    assert!(report["parts"]["denoise"]["text encoder"].as_i64().unwrap() > 6 << 30);
    fit(&pinned).says("short in");
    fit(&[]).says(" yes ");
    let all: Ran = fit(&["--why"]);
    insta::assert_snapshot!("fit-why", all.out);
}

/// Under `goal: speed` 8 bits keep a transformer on the card that would otherwise wait for its blocks, and only there.
#[test]
fn what_is_favoured_moves_the_trade() {
    let project = Project::empty();
    let fit = |goal: &str, size: &str| {
        let asked =
            ["fit", "--no-site", "--gpu", "RTX 4090", "--ram", "64GiB", "--model", "t2v-14b", "--format", "json"];
        project.run(&[&asked[..], &["--goal", goal, "--size", size]].concat()).expect(0).json("fit")["fit"][0].clone()
    };
    let [fast, whole] = ["speed", "balanced"].map(|goal| fit(goal, "448x256x17"));
    assert_eq!(
        (&fast["settings"]["offload.dit"], &fast["settings"]["dit.quant_scheme"]),
        (&"none".into(), &"fp8".into())
    );
    assert_eq!(
        (&whole["settings"]["offload.dit"], &whole["settings"]["dit.quant_scheme"]),
        (&"block".into(), &"none".into())
    );
    assert!(fast["time_s"]["expected"].as_f64() < whole["time_s"]["expected"].as_f64(), "{fast} {whole}");
    assert_eq!(fit("speed", "1280x720x81")["settings"]["dit.quant_scheme"], "none", "computing is the slower part");
    let least = fit("memory", "832x480x81");
    assert!(least["peak_bytes"].as_i64() < fit("balanced", "832x480x81")["peak_bytes"].as_i64(), "{least}");
}

/// Each way to offload the transformer takes less of the card than the one before, and more time.
#[test]
fn offloading_trades_memory_for_time() {
    let project = Project::empty();
    let fit = |way: &str| {
        let asked =
            ["fit", "--no-site", "--gpu", "RTX 4090", "--ram", "128GiB", "--model", "t2v-a14b", "--format", "json"];
        let pin = format!("offload.dit={way}");
        let ran = project.run(&[&asked[..], &["--size", "448x256x17", "--vram", "80GiB", "--set", &pin]].concat());
        let answer = ran.expect(0).json("fit")["fit"][0].clone();
        (answer["parts"]["denoise"]["transformer"].as_i64().unwrap(), answer["time_s"]["expected"].as_f64().unwrap())
    };
    let ways = ["none", "model", "block", "sequential"].map(fit);
    assert!(ways.is_sorted_by(|one, next| one.0 > next.0 && one.1 < next.1), "{ways:?}");
}

/// A type of GGUF files is never chosen; asked about, it takes what such files have for each weight.
#[test]
fn a_gguf_file_is_asked_about() {
    let project = Project::empty();
    let fit = |more: &[&str]| {
        let asked = ["fit", "--no-site", "--gpu", "RTX 4080", "--model", "t2v-14b", "--format", "json"];
        project.run(&[&asked[..], &["--size", "832x480x81"], more].concat()).expect(0).json("fit")["fit"][0].clone()
    };
    let transformer = |answer: &Value| answer["parts"]["denoise"]["transformer"].as_f64().unwrap();
    let kept = ["--ram", "64GiB", "--set", "offload.dit=none", "--set"];
    let [whole, small] =
        ["none", "Q4_K_M"].map(|quant| fit(&[&kept[..], &[&format!("dit.quant_scheme={quant}")]].concat()));
    assert!((transformer(&small) / transformer(&whole) - 5.5 / 16.0).abs() < 0.001, "5.5 of 16 bits a weight");
    assert_eq!((&whole["fits"], &small["fits"]), (&"no".into(), &"yes".into()));
    let [plain, gguf] = [&["--ram", "20GiB"][..], &["--ram", "20GiB", "--set", "dit.quant_scheme=Q4_K_M"]]
        .map(|more| fit(&[more, &["--stack", "wan2gp"]].concat()));
    assert_eq!((&plain["binding"], &gguf["fits"]), (&"ram".into(), &"yes".into()), "{plain} {gguf}");
}

#[test]
fn the_budget_is_drawn() {
    let project = Project::empty();
    let asked =
        ["fit", "--no-site", "--gpu", "RTX 4090", "--ram", "64GiB", "--model", "ti2v-5b", "--stack", "official"];
    let drawn = project.run(&[&asked[..], &["--svg", "budget.svg", "--format", "json"]].concat()).expect(0);
    let answers = drawn.json("fit")["fit"].clone();
    let picture = project.read("budget.svg");
    // Well-formed, with every part in its phase and a frame around what is too much.
    let mut reader = quick_xml::Reader::from_str(&picture);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    for answer in answers.as_array().unwrap() {
        for part in answer["parts"].as_object().unwrap().values().flat_map(|parts| parts.as_object().unwrap()) {
            let gib = part.1.as_f64().unwrap() / f64::from(1 << 30);
            let titled = picture.matches(&format!("{}: {gib:.1} GiB", part.0)).count();
            assert_eq!(titled > 0, gib > 0.0, "{part:?}\n{picture}");
        }
    }
    assert_eq!(picture.matches("class=\"beyond\"").count(), 1, "{picture}");
    project
        .run(&[&asked[..], &["--svg", "nowhere/budget.svg"]].concat())
        .expect(1)
        .says("cannot write nowhere/budget.svg");
}

/// What is free now, where Windows hides that it is too little, and from which disk the model comes.
#[test]
fn it_tells_what_is_true_now() {
    let project = Project::empty();
    let card =
        ["--fact", "gpu.name=NVIDIA GeForce RTX 3080", "--fact", "gpu.vram.total=10GiB", "--fact", "ram.total=32GiB"];
    project.run(
        &[&["new", "machine", "box", "--elsewhere"], &card[..], &["--fact", "gpu.compute_capability=8.6"]].concat(),
    );
    let fit = |more: &[&str]| {
        let asked =
            ["fit", "--no-site", "--facts", "tests/machines/box.yaml", "--model", "ti2v-5b", "--size", "832x480"];
        project.run(&[&asked[..], more].concat()).expect(0)
    };
    let json = |more: &[&str]| fit(&[more, &["--format", "json"]].concat()).json("fit")["fit"][0].clone();
    let quiet = json(&[]);
    assert_eq!(
        (&quiet["fits"], &quiet["taken_by_others_bytes"], &quiet["spills"]),
        (&"yes".into(), &0.into(), &false.into())
    );
    assert!(quiet["free_bytes"].is_null() && quiet["load_s"].is_null(), "{quiet}");
    let busy = json(&["--fact", "gpu.vram.free=2GiB"]);
    let lacks = busy["device_peak_bytes"].as_i64().unwrap() - (2 << 30);
    assert_eq!(
        (&busy["fits"], &busy["taken_by_others_bytes"]),
        (&"yes".into(), &lacks.into()),
        "settings rest on the whole card"
    );
    fit(&["--fact", "gpu.vram.free=2GiB"]).says("not now: others use the card");
    let pinned = ["--set", "offload.dit=none", "--set", "offload.text_encoder=none"];
    fit(&pinned).expect(0).says("short in");
    assert!(!fit(&pinned).out.contains("Windows"));
    fit(&[&pinned[..], &["--fact", "host.os=windows"]].concat()).says("Windows moves what is too much into the RAM");
    let [slow, fast] = ["hdd", "nvme"].map(|kind| json(&["--fact", &format!("disk.kind={kind}")])["load_s"].clone());
    assert!(slow["low"].as_f64() > fast["high"].as_f64(), "{slow} {fast}");
    assert!(json(&pinned)["time_s"].is_null(), "what does not run takes no time");
}

#[test]
fn a_card_that_cannot_be_told_is_asked_for() {
    let project = Project::empty();
    let fit = |more: &[&str]| project.run(&[&["fit", "--no-site"], more].concat());
    fit(&["--gpu", "RTX 5060 Ti"]).expect(2).says("was sold with 8 GiB and 16 GiB").says("say which with --vram");
    fit(&["--gpu", "RTX 5060 Ti", "--vram", "15845MiB"]).expect(0).says("RTX 5060 Ti (15.47 GiB)");
    fit(&["--gpu", "RTX 6000 Ada"]).expect(0).says("NVIDIA RTX 6000 Ada Generation (");
    fit(&["--gpu", "RTX PRO 6000"]).expect(2).says("may be several cards").says("Workstation Edition");
    fit(&["--gpu", "RTX 4O90"]).expect(2).says("did you mean `RTX 4090`?");
    fit(&["--gpu", "L4", "--facts", "x.yaml"]).expect(2).says("a saved one was named too");
    fit(&["--fact", "gpus=0"]).expect(2).says("nobody can tell what fits");
    fit(&["--gpu", "L4", "--stack", "comfy"])
        .expect(2)
        .says("there are comfyui, diffusers, lightx2v, official, official-fsdp, official-ulysses, wan2gp");
    fit(&["--gpu", "L4", "--model", "t2v-1b"]).expect(2).says("did you mean `t2v-14b`?");
    fit(&["--gpus", "2"]).expect(2).says("of the card that --gpu or --vram names");
    fit(&["--gpu", "L4", "--gpus", "4", "--ram", "64GiB"]).expect(0).says("4 x NVIDIA L4 (");
    fit(&["--gpu", "L4", "--size", "1280"]).expect(2).says("is not WIDTHxHEIGHT");
    fit(&["--gpu", "rtx4090", "--size", "832X480"]).expect(0).says("NVIDIA GeForce RTX 4090 (");
    fit(&["--gpu", "A100"]).expect(2).says("may be several cards").says("A100-PCIE-40GB");
    fit(&["--gpu", "RTX PRO 6000 Server", "--model", "t2v-1.3b"])
        .expect(0)
        .says("Blackwell Server Edition (95.59 GiB)");
    // What most people call it is a card of its own in the table, of no size.
    fit(&["--gpu", "H100"]).expect(2).says("has no size of `NVIDIA H100`").says("say which: NVIDIA H100 80GB HBM3");
    fit(&["--gpu", "H100 SXM"]).expect(2).says("there are NVIDIA H100 80GB HBM3");
    fit(&["--gpu", " "]).expect(2).says("--gpu names no card");
    fit(&["--vram", "0"]).expect(2).says("it must be more than nothing");
    // The only size of a card is what it reports when somebody says so.
    fit(&["--gpu", "A100 80GB PCIe", "--vram", "80GiB"]).expect(0).says("(80 GiB)");
    fit(&["--gpu", "A100X", "--vram", "80GiB"]).expect(0).says("(80 GiB)");
    fit(&["--vram", "16GiB", "--model", "ti2v-5b"]).expect(0).says("--gpu names the card");
}

/// What is proposed is asked for, and fits.
#[test]
fn what_is_proposed_fits() {
    let project = Project::empty();
    let mut tried = 0;
    for (card, ram) in [("RTX 4060", "32GiB"), ("RTX 3060", "32GiB"), ("RTX 4080", "16GiB"), ("RTX 3090", "64GiB")] {
        let of = ["--gpu", card, "--vram", if card == "RTX 3060" { "12GiB" } else { "" }, "--ram", ram];
        let of: Vec<&str> = of.chunks(2).filter(|pair| !pair[1].is_empty()).flatten().copied().collect();
        let stacks = ["--stack", "diffusers", "--stack", "comfyui", "--stack", "wan2gp", "--stack", "lightx2v"];
        let models = ["--model", "t2v-a14b", "--model", "ti2v-5b"];
        for answer in answers(&project, &[&of[..], &stacks[..], &models[..]].concat()) {
            for change in answer["would_fit_with"].as_array().unwrap() {
                let size = format!("{}x{}x{}", answer["width"], answer["height"], answer["frames"]);
                let mut again: Vec<String> = of.iter().map(|word| (*word).to_owned()).collect();
                let set = |list: &mut Vec<String>, name: &str, value: &str| {
                    list.retain(|word| word != name);
                    list.extend([name.to_owned(), value.to_owned()]);
                };
                let (mut size, mut stack) = (size, answer["stack"].as_str().unwrap().to_owned());
                for one in change.as_str().unwrap().split(" and ") {
                    let words: Vec<&str> = one.split(' ').collect();
                    match words[..] {
                        ["expandable", "segments"] => set(&mut again, "--set", "allocator.expandable_segments=true"),
                        ["nothing", "else", ..] => set(&mut again, "--reserve-vram", "0"),
                        [gib, "GiB", "of", "RAM"] => {
                            let at = again.iter().position(|word| word == "--ram").unwrap();
                            again[at + 1] = format!("{gib}GiB");
                        }
                        [frames, "frames"] => {
                            size = format!("{}x{frames}", size.rsplit_once('x').unwrap().0);
                        }
                        ["stack", id] => stack = id.to_owned(),
                        ["stack", _, "(marginally)"] => {}
                        [name, value] => set(&mut again, "--set", &format!("{name}={value}")),
                        [smaller] => size = format!("{smaller}x{}", size.rsplit_once('x').unwrap().1),
                        ref other => panic!("{other:?}"),
                    }
                }
                let again: Vec<&str> = again.iter().map(String::as_str).collect();
                let model = answer["model"].as_str().unwrap();
                let asked = ["--model", model, "--size", &size, "--stack", &stack];
                let then = answers(&project, &[&again[..], &asked[..]].concat()).remove(0);
                // What else may be in the RAM cannot be said, and not every stack is asked to fit for sure.
                let at_least =
                    change.as_str().unwrap().contains("in the RAM") || change.as_str().unwrap().contains("(");
                assert!(at_least || then["fits"] == "yes", "{change} for {answer}\nthen {then}");
                tried += 1;
            }
        }
    }
    assert!(tried > 30, "{tried}");
    eprintln!("{tried} proposals on four cards fit when they are followed");
}

/// A longer video never fits better than a shorter one.
#[test]
fn fewer_frames_never_fit_worse() {
    let as_of = common::AS_OF.parse().unwrap();
    let question = question(Default::default());
    let machines: Vec<_> = CORPUS.machines.iter().step_by(3).collect();
    let asked = machines.par_iter().map(|machine| {
        let mut asked = 0;
        for answer in machine.answers(&POLICIES, as_of).into_iter().filter(|a| a.workload.starts_with("t2v-a14b")) {
            for id in ["comfyui", "lightx2v", "wan2gp", "diffusers"] {
                let fits = (17..=181).step_by(12).filter_map(|frames| {
                    let mut facts = answer.facts.clone();
                    facts.know("workload.frames", frames, Origin::User);
                    ask(&POLICIES, stack(id), &facts, &question).ok().map(|fit| fit.fits())
                });
                let fits: Vec<Fits> = fits.collect();
                assert!(fits.is_sorted(), "{id} on {}: {fits:?}", machine.name);
                asked += fits.len();
            }
        }
        asked
    });
    let asked: usize = asked.sum();
    assert!(asked > 500, "{asked}");
}

/// A stack that decides something by itself says so, instead of answering another question.
#[test]
fn a_setting_that_a_stack_does_not_take_is_named() {
    let project = Project::empty();
    let of = ["--gpu", "RTX 4090", "--ram", "64GiB", "--model", "t2v-a14b", "--size", "832x480x81"];
    let asked =
        |stack: &str, pin: &str| answers(&project, &[&of[..], &["--stack", stack, "--set", pin]].concat()).remove(0);
    let taken = asked("comfyui", "dit.quant_scheme=Q8_0");
    assert_eq!((&taken["settings"]["dit.quant_scheme"], &taken["ignored"]), (&"Q8_0".into(), &Value::Null));
    let own = asked("comfyui", "dit.quant_scheme=none");
    assert_eq!(
        (&own["settings"]["dit.quant_scheme"], &own["ignored"]),
        (&"fp8".into(), &serde_json::json!(["dit.quant_scheme"]))
    );
    assert_eq!(asked("lightx2v", "offload.vae=none")["ignored"], serde_json::json!(["offload.vae"]));
    // What no stack decides is none of its business.
    assert_eq!(asked("comfyui", "threads.intra_op=4")["ignored"], Value::Null);
    let said = project
        .run(&[&["fit", "--no-site"], &of[..], &["--stack", "comfyui", "--set", "dit.quant_scheme=none"]].concat());
    said.expect(0).says("comfyui takes dit.quant_scheme fp8, whatever --set says");
}

/// The cards that people ask about.
#[test]
fn what_fits_on_the_usual_cards() {
    let project = Project::empty();
    let mut text = String::new();
    for (card, ram) in [
        ("RTX 4060", "16GiB"),
        ("RTX 4070", "32GiB"),
        ("RTX 4080", "64GiB"),
        ("RTX 4090", "64GiB"),
        ("RTX 5090", "96GiB"),
        ("NVIDIA A100-SXM4-80GB", "256GiB"),
    ] {
        let asked = [
            "--model",
            "ti2v-5b",
            "--model",
            "t2v-a14b",
            "--model",
            "i2v-14b",
            "--stack",
            "diffusers",
            "--stack",
            "official",
        ];
        text += &project.run(&[&["fit", "--no-site", "--gpu", card, "--ram", ram], &asked[..]].concat()).expect(0).out;
        text.push('\n');
    }
    insta::assert_snapshot!("usual-cards", text);
}

/// What was dropped for the layout that was taken is listed, each with what it lacks.
#[test]
fn a_layout_that_was_dropped_says_what_it_lacks() {
    let project = Project::empty();
    for (machine, workload, least) in [
        ("rtx-4080-16g-128g-5995wx-nps4", "ti2v-5b:1280x704x121", 6),
        ("fake-rtx-5060-ti-16g-32g-torch-cu124", "i2v-a14b:1280x720x81", 20),
    ] {
        let facts = format!("{}/tests/machines/{machine}.yaml", env!("CARGO_MANIFEST_DIR"));
        let asked =
            ["explain", "offload.dit", "--no-site", "--facts", &facts, "--workload", workload, "--format", "json"];
        let explained = project.run(&asked).expect(0).json("explain");
        let candidates = explained["explanation"]["candidates"].as_array().unwrap();
        let dropped: Vec<&Value> = candidates.iter().filter(|candidate| candidate["taken"] != true).collect();
        assert!(dropped.len() >= least, "{explained}");
        for candidate in dropped {
            let because = candidate["because"].as_array().unwrap();
            assert!(because.iter().any(|why| why.as_str().unwrap().contains("iB too much")), "{candidate}");
        }
    }
}
