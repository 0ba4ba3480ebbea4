//! The shipped table of cards: each card by its exact name and its PCI device id, against real machines, and against
//! what names and totals that are wrong would make of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use common::captures;
use common::program::program;
use serde_json::Value;
use wan22_policy::diag::Source;
use wan22_policy::facts::probe::{self, nvidia_smi};
use wan22_policy::facts::{Facts, Origin, cards};
use wan22_policy::policy::{LoadOptions, What, load, table};

static TABLE: LazyLock<Value> = LazyLock::new(|| {
    let (files, _) = load(&LoadOptions { what: What::Tables, ..LoadOptions::default() }).unwrap();
    table(&files, "gpus").unwrap()
});

fn rows() -> &'static Vec<Value> {
    TABLE.as_array().unwrap()
}

// The facts of one GPU of which these are known, checked and completed from the shipped table.
fn gpu(known: &[(&str, Value)]) -> Facts {
    let mut facts = Facts::new("not said");
    facts.know("gpus", 1, Origin::NvidiaSmi);
    for (name, value) in known {
        facts.know(format!("gpus[0].{name}"), value.clone(), Origin::NvidiaSmi);
    }
    probe::check(&mut facts);
    cards::fill(&mut facts, &TABLE);
    facts
}

fn named(name: &str) -> Facts {
    gpu(&[("name", name.into())])
}

fn capability(facts: &Facts) -> Option<f64> {
    facts.value("gpu.compute_capability").and_then(Value::as_f64)
}

fn mib(mib: u64) -> Value {
    (mib << 20).into()
}

/// Which cards Wan2GP means by a profile, as a range of compute capabilities. Hopper has none.
const PROFILES: [(&str, std::ops::Range<f64>); 5] =
    [("GTX_10", 0.0..7.5), ("RTX_20", 7.5..8.0), ("RTX_30", 8.0..8.9), ("RTX_40", 8.9..9.0), ("RTX_50", 10.0..13.0)];

/// Names as nvidia-smi prints them, the compute capability of the card, and the profile that Wan2GP sorts the name
/// into: `get_profile_key` of its `setup.py` looks for `50`, `40`, `30` and `20` (or `QUADRO`) in the name, in this
/// order, and takes everything else for a GTX 10. The profile decides which PyTorch and which kernels are installed.
///
/// Source: <https://github.com/deepbeepmeep/Wan2GP/blob/0d8840f432a00ea805291ba9394119a8eacef8be/setup.py>.
const SORTED_BY_SUBSTRING: [(&str, f64, &str); 27] = [
    ("NVIDIA GeForce RTX 5090", 12.0, "RTX_50"),
    ("NVIDIA GeForce RTX 5080", 12.0, "RTX_50"),
    ("NVIDIA GeForce RTX 5060 Ti", 12.0, "RTX_50"),
    ("NVIDIA GeForce RTX 4090", 8.9, "RTX_40"),
    ("NVIDIA GeForce RTX 4080", 8.9, "RTX_40"),
    ("NVIDIA GeForce RTX 4070 Laptop GPU", 8.9, "RTX_40"),
    ("NVIDIA GeForce RTX 4060 Ti", 8.9, "RTX_40"),
    ("NVIDIA GeForce RTX 3090", 8.6, "RTX_30"),
    ("NVIDIA GeForce RTX 3080", 8.6, "RTX_30"),
    ("NVIDIA GeForce RTX 3060", 8.6, "RTX_30"),
    ("NVIDIA GeForce RTX 2080 Ti", 7.5, "RTX_20"),
    ("NVIDIA GeForce RTX 2060 SUPER", 7.5, "RTX_20"),
    ("Quadro RTX 6000", 7.5, "RTX_20"),
    ("NVIDIA GeForce GTX 1080 Ti", 6.1, "GTX_10"),
    ("Tesla V100-SXM2-16GB", 7.0, "GTX_10"),
    // From here on the profile is that of other cards.
    ("NVIDIA GeForce RTX 3050", 8.6, "RTX_50"),
    ("NVIDIA GeForce RTX 4050 Laptop GPU", 8.9, "RTX_50"),
    ("NVIDIA GeForce GTX 1650", 7.5, "RTX_50"),
    ("NVIDIA RTX A5000", 8.6, "RTX_50"),
    ("NVIDIA A100-SXM4-40GB", 8.0, "RTX_40"),
    ("NVIDIA H200", 9.0, "RTX_20"),
    ("NVIDIA B200", 10.0, "RTX_20"),
    ("NVIDIA H100 80GB HBM3", 9.0, "GTX_10"),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 12.0, "GTX_10"),
    ("NVIDIA RTX 6000 Ada Generation", 8.9, "GTX_10"),
    ("NVIDIA L4", 8.9, "GTX_10"),
    ("Tesla T4", 7.5, "GTX_10"),
];

fn by_substring(name: &str) -> &'static str {
    let upper = name.to_uppercase();
    let arms = [("50", "RTX_50"), ("40", "RTX_40"), ("30", "RTX_30"), ("20", "RTX_20"), ("QUADRO", "RTX_20")];
    arms.into_iter().find(|(part, _)| upper.contains(part)).map_or("GTX_10", |(_, profile)| profile)
}

#[test]
fn a_card_has_the_capability_of_its_exact_name_where_a_substring_has_that_of_another() {
    let mut wrong = Vec::new();
    for (name, expected, profile) in SORTED_BY_SUBSTRING {
        assert_eq!(capability(&named(name)), Some(expected), "{name}");
        let bare = name.trim_start_matches("NVIDIA ");
        for spelling in [bare.to_owned(), format!("NVIDIA {bare}")] {
            assert_eq!(capability(&named(&spelling)), Some(expected), "{spelling}");
        }
        assert_eq!(by_substring(name), profile, "{name}");
        let (_, meant) = PROFILES.iter().find(|(key, _)| *key == profile).unwrap();
        if !meant.contains(&expected) {
            wrong.push(name);
        }
    }
    let marked: Vec<_> = SORTED_BY_SUBSTRING[15..].iter().map(|(name, ..)| *name).collect();
    assert_eq!(wrong, marked);
}

/// More names that hold the number of another generation.
#[test]
fn numbers_in_names_mislead_nobody() {
    for (name, expected) in [
        ("NVIDIA GeForce GTX 1050 Ti", 6.1),
        ("NVIDIA GeForce RTX 2050", 8.6),
        ("NVIDIA GeForce RTX 3050 A Laptop GPU", 8.9),
        ("Quadro P2000", 6.1),
        ("Quadro RTX 4000", 7.5),
        ("Quadro RTX 5000", 7.5),
        ("NVIDIA RTX A4000", 8.6),
        ("NVIDIA RTX 4000 Ada Generation", 8.9),
        ("NVIDIA RTX 5000 Ada Generation", 8.9),
        ("NVIDIA RTX PRO 4000 Blackwell", 12.0),
        ("NVIDIA A100-PCIE-40GB", 8.0),
        ("NVIDIA A40", 8.6),
        ("NVIDIA L40S", 8.9),
        ("NVIDIA GH200 480GB", 9.0),
        ("NVIDIA GB200", 10.0),
        ("NVIDIA GB300", 10.3),
        ("NVIDIA Thor", 11.0),
        ("NVIDIA GB10", 12.1),
        ("Orin (nvgpu)", 8.7),
        ("Xavier", 7.2),
    ] {
        assert_eq!(capability(&named(name)), Some(expected), "{name}");
    }
}

#[test]
fn a_name_that_is_nearly_one_is_unknown() {
    for name in [
        "NVIDIA L4 Laptop",
        "L40 S",
        "RTX 40",
        "RTX 4090",
        "GeForce RTX 40900",
        "NVIDIA A5000",
        "NVIDIA RTX A5000 Ada Generation",
        "NVIDIA H100 SXM",
        "NVIDIA GeForce RTX 4080 Ti",
        "NVIDIA",
    ] {
        let facts = named(name);
        assert_eq!(capability(&facts), None, "{name}");
        assert_eq!(
            facts.reason("gpu.compute_capability"),
            "the card is not in the table of cards (`data.gpus`)",
            "{name}"
        );
    }
}

/// What a row says of the chip is the same in every row of its id, and an architecture has its own capabilities.
#[test]
fn rows_of_one_id_are_of_one_chip() {
    let mut chips: BTreeMap<&str, (&Value, &Value)> = BTreeMap::new();
    for row in rows() {
        let (capability, architecture) = (&row["compute_capability"], &row["architecture"]);
        let capabilities: &[f64] = match architecture.as_str().unwrap() {
            "Fermi" => &[2.1],
            "Kepler" => &[3.0, 3.5, 3.7],
            "Maxwell" => &[5.0, 5.2],
            "Pascal" => &[6.0, 6.1],
            "Volta" => &[7.0, 7.2],
            "Turing" => &[7.5],
            "Ampere" => &[8.0, 8.6, 8.7],
            "Ada Lovelace" => &[8.9],
            "Hopper" => &[9.0],
            "Blackwell" => &[10.0, 10.3, 11.0, 12.0, 12.1],
            other => panic!("{other}: {row}"),
        };
        assert!(capabilities.contains(&capability.as_f64().unwrap()), "{row}");
        assert!(row.get("name").or(row.get("pci_device_id")).is_some(), "{row}");
        if let Some(id) = row.get("pci_device_id") {
            let id = id.as_str().unwrap();
            assert!(id.len() == 8 && id.ends_with("10DE") && u32::from_str_radix(id, 16).is_ok(), "{row}");
            let chip = *chips.entry(id).or_insert((capability, architecture));
            assert_eq!(chip, (capability, architecture), "{row}");
        }
    }
}

/// Captures of cards that the table cannot tell, and why.
const UNTOLD: &[(&str, &str)] = &[
    ("gpu/h100-invalid-keys.q.txt", "the dump is refused: it is cut off"),
    ("gpu/gt730-too-old.xml", "its id is blanked, and a GT 730 is of Kepler or of Fermi"),
];

/// The dumps among the captures, completed from the table.
fn dumps() -> Option<Vec<(String, Facts)>> {
    let (folder, expected) = captures()?;
    let files = expected["gpu"].as_object().unwrap().keys();
    let read = |file: &String| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let mut facts = nvidia_smi::read(Source::new(file.as_str(), text)).ok()?;
        cards::fill(&mut facts, &TABLE);
        Some((file.clone(), facts))
    };
    Some(files.filter_map(read).collect())
}

#[test]
fn every_captured_card_has_a_capability() {
    let (Some((_, expected)), Some(dumps)) = (captures(), dumps()) else { return };
    let (mut told, mut untold) = (0, Vec::new());
    let dumps: BTreeMap<String, Facts> = dumps.into_iter().collect();
    for (file, want) in expected["gpu"].as_object().unwrap() {
        for index in 0..want["gpus"].as_array().map_or(0, Vec::len) {
            let fact = format!("gpus[{index}].compute_capability");
            match dumps.get(file).and_then(|facts| facts.value(&fact)) {
                Some(_) => told += 1,
                None => untold.push(file.as_str()),
            }
        }
    }
    assert_eq!(untold, UNTOLD.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    assert!(told > 50, "{told}");
    eprintln!("{told} captured cards have a capability");
}

/// `deviceQuery` of the CUDA samples asks the card itself. Peak bandwidth is two transfers a clock over the bus: the
/// driver gives the clock for which that holds, however many bits a clock GDDR5, GDDR6, GDDR6X or GDDR7 really moves, so
/// those agree to a thousandth. What NVIDIA publishes of HBM is rounded, and lower than the clock allows on an H200
/// (4.8 of 4.92 TB/s), hence the 3 %.
#[test]
fn the_table_agrees_with_device_query() {
    let (Some((folder, _)), Some(dumps)) = (captures(), dumps()) else { return };
    let mut pairs = 0;
    for (file, facts) in dumps {
        let path = folder.join(file.replace(".q.txt", ".deviceQuery.txt"));
        if !file.ends_with(".q.txt") || !path.exists() {
            continue;
        }
        pairs += 1;
        let text = fs::read_to_string(path).unwrap();
        let numbers = |label: &str| -> Vec<f64> {
            let values = text.lines().filter_map(|line| line.trim().strip_prefix(label)?.strip_prefix(':'));
            let number = |value: &str| {
                let digits = value.trim().trim_end_matches("-bit").trim_end_matches(" Mhz");
                digits.parse().unwrap_or_else(|_| panic!("{label} of {file}: {value}"))
            };
            values.map(number).collect()
        };
        let capabilities = numbers("CUDA Capability Major/Minor version number");
        let (clocks, widths) = (numbers("Memory Clock rate"), numbers("Memory Bus Width"));
        let gpus = facts.count("gpus").unwrap();
        assert_eq!([capabilities.len(), clocks.len(), widths.len()], [gpus; 3], "{file}");
        for gpu in 0..gpus {
            let of_table = |fact: &str| facts.value(&format!("gpus[{gpu}].{fact}")).and_then(Value::as_f64).unwrap();
            assert_eq!(of_table("compute_capability"), capabilities[gpu], "{file}");
            let measured = clocks[gpu] * 1e6 * 2.0 * widths[gpu] / 8.0;
            let is_hbm = widths[gpu] > 1024.0;
            let tolerance = if is_hbm { 0.03 } else { 0.001 };
            let off = (of_table("memory_bandwidth") / measured - 1.0).abs();
            assert!(off <= tolerance, "{file}: {} in the table, {measured} measured", of_table("memory_bandwidth"));
        }
    }
    assert_eq!(pairs, 8);
}

fn said(facts: &Facts) -> Vec<String> {
    facts.findings.iter().map(|finding| format!("{}: {}", finding.code.as_str(), finding.message)).collect()
}

/// The share of the nominal size that `vram.total` of the captures has; the band of `facts::cards` comes from here.
#[test]
fn captured_totals_are_the_cards_own_but_for_the_one_that_was_edited() {
    let Some(dumps) = dumps() else { return };
    let mut shares = Vec::new();
    for (file, facts) in dumps {
        let wrong: Vec<_> = said(&facts).into_iter().filter(|finding| finding.contains("vram.total` is")).collect();
        if file == "gpu/gtx1070ti-minimal.xml" {
            let message = "fact-contradiction: `gpus[0].vram.total` is 4 GiB (nvidia-smi), and `NVIDIA GeForce GTX 1070 Ti` \
                           has 8 GiB";
            assert_eq!(wrong, [message]);
            assert_eq!(facts.value("gpu.vram.free"), None);
            assert_eq!(facts.reason("gpu.vram.total"), "the total is reported as 4 GiB, and the card has 8 GiB");
            continue;
        }
        assert_eq!(wrong, [""; 0], "{file}");
        for gpu in 0..facts.count("gpus").unwrap() {
            let fact = |name: &str| facts.value(&format!("gpus[{gpu}].{name}"));
            let (Some(total), Some(name)) = (fact("vram.total").and_then(Value::as_f64), fact("name")) else {
                continue;
            };
            let bare = |name: &Value| name.as_str().unwrap_or_default().trim_start_matches("NVIDIA ").to_owned();
            let sizes = rows().iter().filter(|row| bare(&row["name"]) == bare(name));
            let of_each = sizes.filter_map(|row| Some(total / row.get("vram")?.as_f64()?));
            shares.extend(of_each.min_by(|a, b| (a - 1.0).abs().total_cmp(&(b - 1.0).abs())));
        }
    }
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let most = shares.iter().copied().fold(0.0, f64::max);
    assert!(shares.len() > 50 && 0.93 < least && most <= 1.0, "{least} to {most}");
    eprintln!("{} cards report {:.1} to {:.1} % of their nominal size", shares.len(), least * 100.0, most * 100.0);
}

/// The installer of the WAN22 UI took the version of the display driver for the GPU's name (`32.0.15.7680`), planned for
/// 2 GB of VRAM and for no CUDA on an RTX 4080 with 16 GB, in 7 of 11 configurations that it saved on one machine.
/// Source: the configurations of <https://github.com/ramcana/wan>, August 2025.
#[test]
fn a_driver_version_is_no_gpu_and_two_gigabytes_are_no_rtx_4080() {
    let dump = "==NVSMI LOG==\nDriver Version : 535.104.05\nCUDA Version : N/A\nAttached GPUs : 1\n\
                GPU 00000000:01:00.0\n    Product Name : NAME\n    FB Memory Usage\n        Total : TOTAL MiB\n        \
                Used : 0 MiB\n        Free : TOTAL MiB\n    PCI\n        Device Id : 0x270410DE\n    Processes : None\n";
    let saved = "schema: wan22-policy/facts/v1\nfacts:\n  gpus:\n    - name: NAME\n      pci_device_id: 270410DE\n      \
                 vram: { total: TOTAL MiB, free: TOTAL MiB, unified: false }\n      mig: { enabled: false }\n";
    let directory = tempfile::tempdir().unwrap();
    let plan = |option: &str, text: &str| {
        let path = directory.path().join("machine");
        fs::write(&path, text).unwrap();
        let mut program = program();
        program.args(["plan", "--no-site", "--format", "json", "--fact", "ram.total=128GiB", option]).arg(&path);
        let output = program.output().unwrap();
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), plan)
    };
    for (option, text) in [("--nvidia-smi", dump), ("--facts", saved)] {
        for version in ["32.0.15.7680", "535.104.05"] {
            let (code, plan) = plan(option, &text.replace("NAME", version).replace("TOTAL", "2048"));
            assert_eq!(code, 3, "the plan is refused");
            let findings = plan["findings"].as_array().unwrap();
            let message =
                |code: &str| findings.iter().find(|finding| finding["code"] == code).unwrap()["message"].as_str();
            let impossible = message("fact-impossible").unwrap();
            assert!(impossible.contains(&format!("`{version}`, which looks like a version")), "{impossible}");
            let contradiction = message("fact-contradiction").unwrap();
            assert!(contradiction.ends_with("and `NVIDIA GeForce RTX 4080` has 16 GiB"), "{contradiction}");
            assert_eq!(
                message("memory-unknown"),
                Some("the memory of GPU 0 is unknown, so nothing can be said about what fits")
            );
            // Nothing is derived from the 2 GiB; the GPU and its data types stay those of the card.
            assert_eq!(plan["settings"]["memory.vram_limit"], Value::Null);
            assert_eq!(plan["settings"]["dit.dtype"]["value"], "bf16");
            assert_eq!(plan["settings"]["compute.device"]["value"], "cuda");
        }
        let right = text.replace("NAME", "NVIDIA GeForce RTX 4080").replace("TOTAL", "16376");
        let (_, plan) = plan(option, &right);
        assert!(plan["settings"]["memory.vram_limit"]["value"].as_u64().unwrap() > 14 << 30);
    }
}

#[test]
fn a_total_is_held_against_every_size_that_its_name_was_sold_in() {
    let card = |known: &[(&str, Value)]| {
        let facts = gpu(known);
        let codes: Vec<_> = facts.findings.iter().map(|finding| finding.code.as_str().to_owned()).collect();
        (facts.value("gpu.vram.total").is_some(), codes.join(" "))
    };
    let total = |name: &str, total: u64| card(&[("name", name.into()), ("vram.total", mib(total))]);
    for (name, reported) in [
        ("NVIDIA GeForce RTX 3080", 10240),
        ("NVIDIA GeForce RTX 3080", 12288),
        ("NVIDIA GeForce RTX 4060 Ti", 8188),
        ("NVIDIA GeForce RTX 4060 Ti", 16380),
        ("NVIDIA GeForce RTX 4090", 23028),
        ("GeForce GTX 1060 3GB", 3011),
        // Four GiB to the byte are suspect of any card but one of that size.
        ("NVIDIA GeForce RTX 3050 Laptop GPU", 4096),
        // ECC of GDDR5 keeps an eighth.
        ("Tesla K10", 3583),
        // Not every size of it is in the table.
        ("NVIDIA GeForce MX150", 4042),
    ] {
        assert_eq!(total(name, reported), (true, String::new()), "{name} {reported}");
    }
    for (name, reported) in [
        ("NVIDIA GeForce RTX 3080", 4096),
        ("NVIDIA GeForce RTX 4060 Ti", 2048),
        ("NVIDIA GeForce RTX 4080", 2048),
        ("NVIDIA GeForce RTX 4080", 4096),
        ("NVIDIA GeForce RTX 4080", 65536),
        ("NVIDIA GeForce RTX 4090", 16376),
    ] {
        assert_eq!(total(name, reported), (false, "fact-contradiction".to_owned()), "{name} {reported}");
    }
    // Refitted with chips of twice the density.
    for (name, reported) in [("NVIDIA GeForce RTX 4090", 49140), ("NVIDIA GeForce RTX 2080 Ti", 22528)] {
        assert_eq!(total(name, reported), (true, "fact-suspect".to_owned()), "{name} {reported}");
    }
    // A profile of a virtual GPU has the id of the whole card.
    let l40s = Value::from("26B910DE");
    let profile =
        card(&[("name", "NVIDIA L40S-8Q".into()), ("pci_device_id", l40s.clone()), ("vram.total", mib(8192))]);
    assert_eq!(profile, (true, String::new()));
    assert_eq!(card(&[("pci_device_id", l40s), ("vram.total", mib(8192))]), (false, "fact-contradiction".to_owned()));
    let slices = ("mig.enabled", true.into());
    let split = card(&[("name", "NVIDIA H100 80GB HBM3".into()), ("vram.total", mib(20096)), slices]);
    assert_eq!(split, (true, String::new()));
}
