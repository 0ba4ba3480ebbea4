//! How fast a checkpoint set comes into the page cache: `wan22-policy load`, `cat` and `vmtouch`, in turns on the same cold
//! files.
//!
//! `cargo bench --bench load [-- GIB ROUNDS [READERS…]]`; 3 GiB and 7 rounds unless said. The files lie below the target
//! folder, whose disk it is that is measured, and are removed afterwards. No other file is dropped from the cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a benchmark may panic and speak")]

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("SKIPPED: only Linux can be told to drop a file from the cache");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::io::{BufWriter, IoSliceMut, Write};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use proptest::test_runner::{RngAlgorithm, TestRng};
    use rand_core::Rng;
    use rustix::fs::{Advice, fadvise};
    use rustix::io::{ReadWriteFlags, preadv2};

    /// Files of the set, as many as the transformer of TI2V-5B has shards.
    const FILES: u64 = 3;

    pub fn main() {
        let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
        let (gib, rounds) = (numbers.first().copied().unwrap_or(3), numbers.get(1).copied().unwrap_or(7));
        let readers = if numbers.len() > 2 { numbers[2..].to_vec() } else { vec![4] };
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let set = root.path().join("set");
        fs::create_dir(&set).unwrap();
        let bytes = (gib << 30) / FILES;
        let files: Vec<PathBuf> = (0..FILES).map(|number| part(&set, number, bytes)).collect();
        let total: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        println!("{:.1} GB in {FILES} files, {rounds} rounds in turns, cold", total as f64 / 1e9);

        let mut contenders: Vec<(String, Command)> = Vec::new();
        for readers in &readers {
            let mut load = Command::new(env!("CARGO_BIN_EXE_wan22-policy"));
            load.args(["load", "--format", "json", "--no-site", "--readers", &readers.to_string(), "--model"]);
            load.arg(&set).arg("--root").arg(root.path());
            contenders.push((format!("load, {readers} readers"), load));
        }
        let mut cat = Command::new("cat");
        cat.args(&files);
        contenders.push(("cat".to_owned(), cat));
        if Command::new("vmtouch").arg("-h").output().is_ok() {
            let mut vmtouch = Command::new("vmtouch");
            vmtouch.arg("-t").args(&files);
            contenders.push(("vmtouch -t".to_owned(), vmtouch));
        } else {
            println!("SKIPPED: there is no vmtouch (Debian package vmtouch)");
        }
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
        for round in 0..rounds as usize {
            for turn in 0..contenders.len() {
                let which = (turn + round) % contenders.len();
                rates[which].push(total as f64 / seconds(&mut contenders[which].1, &files) / 1e9);
            }
        }
        let median = |rates: &[f64]| {
            let mut sorted = rates.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        };
        let medians: Vec<f64> = rates.iter().map(|rates| median(rates)).collect();
        let others = contenders.iter().zip(&medians).filter(|((name, _), _)| !name.starts_with("load"));
        let best = others.map(|(_, median)| *median).fold(0.0, f64::max);
        for (((name, _), rates), median) in contenders.iter().zip(&rates).zip(&medians) {
            let low = rates.iter().copied().fold(f64::MAX, f64::min);
            let high = rates.iter().copied().fold(0.0, f64::max);
            println!(
                "{name:<16} {median:5.2} GB/s ({low:.2} to {high:.2}), {:.2} of the best of the others",
                median / best
            );
        }
    }

    // A VAE by its first and last layer, with the rest in one tensor.
    fn part(set: &Path, number: u64, bytes: u64) -> PathBuf {
        let path = set.join(format!("vae-{number}.safetensors"));
        let (encoder, decoder) = (96 * 3 * 27 * 2, 384 * 16 * 27 * 2);
        let rest = bytes / 2 * 2;
        let header = serde_json::json!({
            "encoder.conv1.weight": { "dtype": "BF16", "shape": [96, 3, 3, 3, 3], "data_offsets": [0, encoder] },
            "decoder.conv1.weight": { "dtype": "BF16", "shape": [384, 16, 3, 3, 3], "data_offsets": [encoder, encoder + decoder] },
            "rest": { "dtype": "BF16", "shape": [rest / 2], "data_offsets": [encoder + decoder, encoder + decoder + rest] },
        })
        .to_string();
        let mut file = BufWriter::new(File::create(&path).unwrap());
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        // Bytes that no disk compresses, and that no two blocks share.
        let mut random = TestRng::from_seed(RngAlgorithm::XorShift, &[u8::try_from(number).unwrap() + 1; 16]);
        let mut block = vec![0; 1 << 20];
        let mut left = encoder + decoder + rest;
        while left > 0 {
            random.fill_bytes(&mut block);
            let part = left.min(block.len() as u64);
            file.write_all(&block[..part as usize]).unwrap();
            left -= part;
        }
        file.into_inner().unwrap().sync_all().unwrap();
        path
    }

    // How long it takes on cold files.
    fn seconds(command: &mut Command, files: &[PathBuf]) -> f64 {
        for path in files {
            let file = File::open(path).unwrap();
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            assert!(is_cold(&file), "`{}` cannot be dropped from the cache", path.display());
            // What was asked of it is in the cache now.
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
        let start = Instant::now();
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        start.elapsed().as_secs_f64()
    }

    // By samples, each of which brings its page back. A quick disk may have done so by the time that the answer is given.
    fn is_cold(file: &File) -> bool {
        const SAMPLES: usize = 64;
        fadvise(file, 0, None, Advice::Random).unwrap();
        let step = usize::try_from(file.metadata().unwrap().len()).unwrap() / SAMPLES;
        let is_there = |at: &u64| preadv2(file, &mut [IoSliceMut::new(&mut [0])], *at, ReadWriteFlags::NOWAIT).is_ok();
        (0..SAMPLES).map(|sample| (sample * step) as u64).filter(is_there).count() <= SAMPLES / 8
    }
}
