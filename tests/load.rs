//! `load`: what is in the page cache afterwards, what is read again, what is refused and what would do instead, and what
//! Ctrl-C leaves.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;
#[path = "checkpoints/files.rs"]
#[expect(dead_code, reason = "another test reads the other formats")]
mod files;
#[path = "checkpoints/wan.rs"]
#[expect(dead_code, reason = "another test reads the other models")]
mod wan;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::program::program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand_core::Rng;
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};
use tempfile::TempDir;
use wan22_policy::apply::Root;
use wan22_policy::load::instead::instead;
use wan22_policy::load::set::{self, CheckpointSet};
use wan22_policy::measured::{self, LEAST_READ};

use files::{safetensors, safetensors_header};
use wan::{A14B, I2V_A14B, Shape, TI2V_5B, umt5, vae, with};

/// A card on which much fits, and RAM for it.
const LARGE: [&str; 4] = ["gpus=1", "gpu.vram.total=46068MiB", "gpu.compute_capability=8.9", "ram.total=256GiB"];

/// An installation on a real disk; what lies in memory is always cached.
struct Installation(TempDir);

impl Installation {
    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A VAE with so many bytes beside its layers, all of them on the disk and none in the cache.
    fn vae(&self, name: &str, bytes: u64) -> PathBuf {
        let rest: [u64; 1] = [bytes / 2];
        let tensors = with(vae([96, 3], [384, 16]), &[("rest.weight", &rest)]);
        let path = self.path(name);
        let (header, data) = safetensors_header(&tensors, |_| ("BF16", 2));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(&header).unwrap();
        let mut random = TestRng::deterministic_rng(RngAlgorithm::XorShift);
        let mut block = vec![0; 1 << 20];
        random.fill_bytes(&mut block);
        let mut left = data;
        while left > 0 {
            let part = left.min(block.len() as u64);
            file.write_all(&block[..part as usize]).unwrap();
            left -= part;
        }
        file.sync_all().unwrap();
        drop_from_cache(&path);
        path
    }

    /// A part at its real size, with holes for its weights: to be found, not to be read.
    fn holes(&self, name: &str, tensors: &[Shape], dtype: &'static str, width: u64) -> PathBuf {
        let path = self.path(name);
        safetensors(&path, tensors, dtype, width);
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(["load", "--no-site", "--root"]).arg(self.0.path()).args(arguments).current_dir(self.0.path());
        command
    }

    fn load(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.command(arguments).args(["--format", "json"]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
        common::printed("load", &out)
    }

    fn record(&self) -> Option<measured::Measured> {
        measured::read(&Root::open(self.0.path()).unwrap()).unwrap()
    }

    /// All names below it.
    fn names(&self) -> Vec<String> {
        fn collect(folder: &Path, root: &Path, names: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                names.push(path.strip_prefix(root).unwrap().display().to_string());
                if path.is_dir() {
                    collect(&path, root, names);
                }
            }
        }
        let mut names = Vec::new();
        collect(self.0.path(), self.0.path(), &mut names);
        names.sort();
        names
    }
}

fn drop_from_cache(path: &Path) {
    fadvise(File::open(path).unwrap(), 0, None, Advice::DontNeed).unwrap();
}

/// Whether all of a file is cached, but for pages that the kernel took back meanwhile: on a busy machine some 20 of 16,000 were
/// seen, and on one that takes back by itself what rests (DAMON) 514 of 133,205.
fn is_all(cached: u64, length: u64) -> bool {
    cached >= length - length / 100
}

/// Bytes of a file in the page cache, as `fincore` of util-linux asks the kernel; `None`, with a word, where it is missing.
fn cached(path: &Path) -> Option<u64> {
    match Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
        }
        Err(error) => {
            eprintln!("SKIPPED: there is no fincore ({error})");
            None
        }
    }
}

/// Whether a disk lies below the target folder that the kernel counts for.
fn is_on_a_disk(report: &Value) -> bool {
    let counts = report.get("read_bytes").is_some();
    if !counts {
        eprintln!("SKIPPED: the file system of the target folder does not count what it reads");
    }
    counts
}

fn bytes(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {report:#}"))
}

#[test]
fn a_set_is_cached_once_and_its_rate_is_a_fact() {
    let installation = Installation::new();
    let path = installation.vae("models/vae.safetensors", LEAST_READ + (8 << 20));
    let length = fs::metadata(&path).unwrap().len();
    let before = cached(&path);
    assert!(before.is_none_or(|before| before < length / 100), "{before:?}");
    let first = installation.load(&["--model", "models"], 0);
    assert_eq!((&first["result"], bytes(&first, "loaded_bytes")), (&json!("loaded"), length));
    assert!(cached(&path).is_none_or(|cached| is_all(cached, length)), "{:?} of {length}", cached(&path));
    if !is_on_a_disk(&first) {
        return;
    }
    assert!(bytes(&first, "read_bytes") >= LEAST_READ, "{first:#}");
    // A VAE is no model, and tells nothing of the goal.
    assert_eq!(first.get("meets_goal"), None);
    assert!(first["kept"].as_f64().is_some_and(|kept| kept >= 0.99), "{first:#}");
    let record = installation.record().unwrap().load.unwrap();
    assert_eq!((record.model.as_str(), record.bytes, record.is_of_a_model), ("models", length, false));
    assert_eq!(record.bytes_per_second, bytes(&first, "bytes_per_second"));
    let seconds = record.bytes_read as f64 / record.bytes_per_second as f64;
    assert!((seconds - record.seconds).abs() < 0.01 * record.seconds, "{record:?}");

    // What is there is not read again, and says nothing of the disk.
    let second = installation.load(&["--model", "models"], 0);
    assert!(is_all(bytes(&second, "cached_before_bytes"), length), "{second:#}");
    assert_eq!(bytes(&second, "loaded_bytes"), length);
    assert_eq!((second.get("recorded_in"), second.get("meets_goal")), (None, None));
    assert_eq!(installation.record().unwrap().load.unwrap(), record);

    let mut facts = program();
    let facts = facts.args(["facts", "--no-site", "--format", "json", "--root"]).arg(installation.0.path());
    let facts = common::printed("facts", &String::from_utf8(facts.output().unwrap().stdout).unwrap());
    assert_eq!(facts["facts"]["disk"]["read_rate"], json!(record.bytes_per_second));
    assert_eq!(facts["origins"]["disk.read_rate"], "measured", "{facts:#}");

    // A record that cannot be read is said, kept, and no fact.
    let file = installation.path(".wan22-policy/measured.json");
    fs::write(&file, "{\"schema\": \"wan22-policy/measured/v1\", \"load\": 3}").unwrap();
    drop_from_cache(&path);
    let third = installation.load(&["--model", "models"], 0);
    assert_eq!((&third["findings"][0]["code"], third.get("recorded_in")), (&json!("measured-damaged"), None));
    assert!(fs::read_to_string(&file).unwrap().ends_with("\"load\": 3}"));
}

#[test]
fn a_load_that_was_cancelled_goes_on_where_it_ended() {
    let installation = Installation::new();
    let paths: Vec<PathBuf> =
        ["a", "b", "c"].map(|name| installation.vae(&format!("models/{name}.safetensors"), 512 << 20)).to_vec();
    let length: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let before = installation.names();
    // One reader, so that a fast disk leaves the time for it.
    let arguments = ["--model", "models", "--readers", "1", "--format", "json"];
    let mut command = installation.command(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_reading(&child, 48 << 20);
    let sent = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let took = sent.elapsed();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{out}");
    // 50 ms until it is seen, 40 ms for the readers, and what a busy machine adds.
    assert!(took < Duration::from_millis(1000), "{took:?}");
    let first = common::printed("load", &out);
    assert_eq!(first["result"], "cancelled", "it was over before it was cancelled: {first:#}");
    let done = bytes(&first, "loaded_bytes");
    assert!(done > 0 && done < length, "{done} of {length}");
    assert_eq!(installation.names(), before, "something is left behind");

    let second = installation.load(&["--model", "models"], 0);
    assert_eq!(bytes(&second, "loaded_bytes"), length);
    if is_on_a_disk(&second) {
        let again = bytes(&second, "read_bytes");
        assert!(again <= length - done, "{again} were read again, and {done} of {length} were there");
    }
    // What such a kernel has taken back of the first files by now, the next load brings again.
    let is_there = |path: &PathBuf| cached(path).is_none_or(|cached| is_all(cached, fs::metadata(path).unwrap().len()));
    let mut loads = 1;
    while !paths.iter().all(is_there) {
        assert!(loads < 4, "after {loads} loads it is not in the cache");
        installation.load(&["--model", "models"], 0);
        loads += 1;
    }
}

// Until the kernel has counted so many bytes from the disk for it.
fn wait_until_reading(child: &Child, bytes: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let text = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap_or_default();
        let read = text.lines().find_map(|line| line.strip_prefix("read_bytes:")?.trim().parse::<u64>().ok());
        if read.is_some_and(|read| read >= bytes) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_cache_holds_no_more_than_there_is_room_for() {
    let installation = Installation::new();
    let paths = ["a", "b"].map(|name| installation.vae(&format!("models/{name}.safetensors"), 64 << 20));
    let report = installation.load(&["--model", "models", "--at-most", "80MiB"], 0);
    assert_eq!((&report["result"], bytes(&report, "loaded_bytes")), (&json!("partly"), 80 << 20));
    assert_eq!(report["findings"][0]["code"], "checkpoint-uncached");
    let length = fs::metadata(&paths[0]).unwrap().len();
    let said = report["findings"][0]["message"].as_str().unwrap();
    assert!(said.contains("`b.safetensors`") && !said.contains("`a.safetensors`"), "{said}");
    if let (Some(first), Some(second)) = (cached(&paths[0]), cached(&paths[1])) {
        assert!(is_all(first, length), "{first} of {length}");
        // The kernel reads ahead of the last reader, 16 MiB at most here.
        assert!(second < 48 << 20, "{second}");
    }
}

#[test]
fn the_parts_come_in_the_order_of_a_run() {
    let installation = Installation::new();
    installation.holes("set/a_low_noise.safetensors", &A14B.official(), "F8_E4M3", 1);
    installation.holes("set/b_high_noise.safetensors", &A14B.official(), "F8_E4M3", 1);
    installation.holes("set/z_umt5.safetensors", &umt5(), "BF16", 2);
    installation.holes("set/0_vae.safetensors", &vae([96, 3], [384, 16]), "BF16", 2);
    let report = installation.load(&["--model", "set", "--at-most", "0"], 0);
    let parts = report["parts"].as_array().unwrap();
    let order: Vec<&str> = parts.iter().map(|part| part["what"].as_str().unwrap()).collect();
    assert_eq!(order, ["text encoder", "transformer, high noise", "transformer, low noise", "VAE"]);
    assert_eq!((bytes(&report, "loaded_bytes"), &report["result"]), (0, &json!("partly")));
    // A file that is named comes with nothing but its own shards.
    let one = installation.load(&["--model", "set/a_low_noise.safetensors", "--at-most", "0"], 0);
    assert_eq!(one["parts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_damaged_set_is_refused_and_what_would_do_is_named_best_first() {
    let installation = Installation::new();
    let [high, _] = experts(&installation, "broken", &A14B, "BF16", 2);
    let file = File::options().write(true).open(&high).unwrap();
    file.set_len(fs::metadata(&high).unwrap().len() - 4096).unwrap();
    // Another quantization of it, a smaller model that makes videos of a text too, and one that does not.
    experts(&installation, "fp8", &A14B, "F8_E4M3", 1);
    installation.holes("Wan2.2-TI2V-5B/model.safetensors", &TI2V_5B.official(), "BF16", 2);
    experts(&installation, "image", &I2V_A14B, "F8_E4M3", 1);
    let facts: Vec<&str> = LARGE.iter().flat_map(|fact| ["--fact", fact]).collect();
    let refused = installation.load(&[&["--model", "broken"], &facts[..]].concat(), 3);
    assert_eq!(
        (&refused["result"], &refused["findings"][0]["code"]),
        (&json!("refused"), &json!("checkpoint-truncated"))
    );
    let instead = refused["instead"].as_array().unwrap();
    let named: Vec<String> = instead
        .iter()
        .map(|one| format!("{} {} {}", one["name"], one["dtype"], one["fits"]).replace('"', ""))
        .collect();
    assert_eq!(named, ["t2v-a14b fp8_e4m3fn yes", "ti2v-5b bf16 yes", "i2v-a14b fp8_e4m3fn yes"], "{refused:#}");
    // The command loads it: the folder where nothing else lies in it.
    let command = instead[0]["command"].as_str().unwrap();
    let want =
        format!("wan22-policy load --model {}/fp8 --root ", fs::canonicalize(installation.path("")).unwrap().display());
    assert!(command.starts_with(&want), "{command}");

    // What fits nowhere is counted, and not named.
    let small = ["gpus=1", "gpu.vram.total=1536MiB", "gpu.compute_capability=8.6", "ram.total=4GiB"];
    let small: Vec<&str> = small.iter().flat_map(|fact| ["--fact", fact]).collect();
    let refused = installation.load(&[&["--model", "broken"], &small[..]].concat(), 3);
    let named = refused["instead"].as_array().unwrap().len();
    assert!(refused["too_large"] == 3 && named == 0, "{refused:#}");

    // Nobody knows the card: they are ordered by quality, and that is said.
    let refused = installation.load(&["--model", "broken", "--fact", "gpus=unknown"], 3);
    assert!(refused["fit_unknown"].as_str().is_some(), "{refused:#}");
    let first = &refused["instead"][0];
    assert_eq!((&first["name"], first.get("fits")), (&json!("t2v-a14b"), None));
    assert!(installation.record().is_none() && !installation.path(".wan22-policy").exists());
}

fn experts(at: &Installation, folder: &str, model: &wan::Transformer, dtype: &'static str, width: u64) -> [PathBuf; 2] {
    ["high", "low"].map(|noise| {
        at.holes(&format!("{folder}/{noise}_noise_model/model.safetensors"), &model.official(), dtype, width)
    })
}

#[test]
fn a_file_that_could_not_be_read_after_all_is_not_proposed_again() {
    let installation = Installation::new();
    let [high, _] = experts(&installation, "lost", &A14B, "BF16", 2);
    experts(&installation, "fp8", &A14B, "F8_E4M3", 1);
    let mut lost = set::read(&installation.path("lost")).unwrap();
    let question = common::question(Default::default());
    let named = |asked: &CheckpointSet| {
        let found = instead(Some(asked), &[installation.0.path()], || None, &common::POLICIES, &question);
        let dtypes = found.alternatives.iter().map(|one| one.dtype.unwrap());
        dtypes.collect::<Vec<_>>()
    };
    assert_eq!(named(&lost), ["bf16", "fp8_e4m3fn"]);
    let part =
        lost.files().into_iter().find(|file| fs::canonicalize(&file.path).unwrap() == fs::canonicalize(&high).unwrap());
    lost.lose(&part.unwrap().path);
    assert_eq!(named(&lost), ["fp8_e4m3fn"]);
}

#[test]
fn another_text_encoder_would_do_in_place_of_a_damaged_one() {
    let installation = Installation::new();
    let path = installation.holes("set/umt5.safetensors", &umt5(), "BF16", 2);
    installation.holes("set/vae.safetensors", &vae([96, 3], [384, 16]), "BF16", 2);
    File::options().write(true).open(path).unwrap().set_len(10 << 20).unwrap();
    installation.holes("other/umt5 fp8.safetensors", &umt5(), "F8_E4M3", 1);
    let refused = installation.load(&["--model", "set"], 3);
    let instead = refused["instead"].as_array().unwrap();
    assert_eq!(instead.len(), 1, "{refused:#}");
    assert_eq!((&instead[0]["name"], &instead[0]["dtype"]), (&json!("umt5-xxl"), &json!("fp8_e4m3fn")));
    let command = instead[0]["command"].as_str().unwrap();
    assert!(command.contains("/other/umt5 fp8.safetensors'"), "a shell would take it apart: {command}");
}

#[test]
fn what_is_no_set_ends_with_what_there_is() {
    let installation = Installation::new();
    fs::create_dir_all(installation.path("folders/below")).unwrap();
    fs::create_dir(installation.path("empty")).unwrap();
    fs::write(installation.path("notes.txt"), "").unwrap();
    installation.holes("loras/a.safetensors", &[("a.weight".to_owned(), vec![4])], "BF16", 2);
    installation.holes("loras/b.safetensors", &[("b.weight".to_owned(), vec![4])], "BF16", 2);
    fs::write(installation.path("loras/readme.md"), "").unwrap();
    for (model, code, exit, said) in [
        ("nowhere", "checkpoint-unread", 1, "there is no `nowhere`, neither here nor in `"),
        ("empty", "no-checkpoint", 2, "there is no part of a Wan model in `empty`, which is empty"),
        (
            "folders",
            "no-checkpoint",
            2,
            "there is no part of a Wan model in `folders`, which holds only folders, and no checkpoint in them",
        ),
        ("loras", "no-checkpoint", 2, "there is no part of a Wan model in `loras`, which holds 2 .safetensors files"),
        (
            "notes.txt",
            "no-checkpoint",
            2,
            "`notes.txt` is no checkpoint: its name ends in none of .safetensors, .gguf, .pth and .pt",
        ),
    ] {
        let failed = installation.load(&["--model", model], exit);
        let finding = &failed["findings"][0];
        assert!(finding["message"].as_str().unwrap().starts_with(said), "{finding}");
        assert_eq!(finding["code"], code);
        let result = if exit == 1 { "failed" } else { "unrecognised" };
        assert_eq!((&failed["result"], failed["findings"].as_array().unwrap().len()), (&json!(result), 1));
    }
    // What is like it is named, at whichever folder the path goes wrong.
    for (model, close) in
        [("lora", "loras"), ("lorsa/a.safetensors", "loras/a.safetensors"), ("folders/belwo", "folders/below")]
    {
        let failed = installation.load(&["--model", model], 1);
        assert_eq!(failed["findings"][0]["help"], format!("did you mean `{close}`?"));
    }
    // What is damaged and allowed leaves nothing to load.
    fs::write(installation.path("empty/vae.safetensors"), "no header").unwrap();
    installation.load(&["--model", "empty"], 3);
    let failed = installation.load(&["--model", "empty", "--allow", "checkpoint-invalid"], 2);
    assert_eq!(failed["findings"][1]["code"], "no-checkpoint");
}

#[test]
fn a_model_is_looked_for_here_and_then_in_the_root() {
    let installation = Installation::new();
    installation.holes("wan/models/vae.safetensors", &vae([96, 3], [384, 16]), "BF16", 2);
    installation.holes("loras/vae.safetensors", &vae([96, 3], [384, 16]), "F32", 4);
    let load = |model: &str| {
        let mut command = program();
        command.args(["load", "--no-site", "--root", "wan", "--at-most", "0", "--model", model]);
        let output = command.current_dir(installation.path("")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for model in ["models", "models/vae.safetensors"] {
        let text = load(model);
        assert!(text.lines().any(|line| line == format!("wan/{model}")), "{text}");
    }
    assert!(load("loras").lines().any(|line| line == "loras"));
    // Here comes first.
    installation.holes("models/vae.safetensors", &vae([96, 3], [384, 16]), "F32", 4);
    assert!(load("models").lines().any(|line| line == "models"));
}

#[test]
fn links_are_followed_as_a_stack_does() {
    let installation = Installation::new();
    let blob = installation.vae("hub/blobs/0123", 4 << 20);
    let snapshot = installation.path("hub/snapshots/main");
    fs::create_dir_all(&snapshot).unwrap();
    std::os::unix::fs::symlink("../../blobs/0123", snapshot.join("vae.safetensors")).unwrap();
    let report = installation.load(&["--model", "hub/snapshots/main"], 0);
    assert_eq!(bytes(&report, "loaded_bytes"), fs::metadata(&blob).unwrap().len());
    assert!(cached(&blob).is_none_or(|cached| cached >= 4 << 20));
}

#[test]
fn the_time_to_load_follows_the_rate_that_was_measured() {
    let load = |fact: &str| {
        let mut fit = program();
        fit.args(["fit", "--no-site", "--format", "json", "--model", "ti2v-5b", "--size", "832x480", "--fact", fact]);
        fit.args(["--facts", &format!("{}/tests/machines/{}.yaml", env!("CARGO_MANIFEST_DIR"), common::REFERENCE)]);
        let output = fit.output().unwrap();
        let report = common::printed("fit", &String::from_utf8(output.stdout).unwrap());
        ["low", "expected", "high"].map(|pace| report["fit"][0]["load_s"][pace].as_f64().unwrap())
    };
    let (one, two) = (load("disk.read_rate=1GB/s"), load("disk.read_rate=2GB/s"));
    for (one, two) in one.into_iter().zip(two) {
        assert!((one / two - 2.0).abs() < 0.01, "{one} and {two} s");
    }
    // 10 GB of transformer in bf16, 11.4 of text encoder and 2.8 of VAE at the whole rate; four times that with one reader.
    assert!((22.0..27.0).contains(&one[0]), "{one:?}");
    assert!((one[2] / one[0] - 4.0).abs() < 0.01, "{one:?}");
    assert_ne!(load("disk.read_rate=unknown"), one);
}
