//! How long one look at what a monitor watches takes: memory, temperature, load and power of a card, RAM and CPUs.
//!
//! In a process of its own, as everything that is asked of the driver: the program is started for it by its first argument.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use sysinfo::System;

use super::ask::load;

/// The argument by which the program is started for this; no command of its users.
const ARGUMENT: &str = "sample-driver";

/// Looks of which the middle one counts; the first ones wake the card up.
const LOOKS: usize = 25;

/// How long all of them may take, the start of the driver's library included.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long one look at the card of that index takes, the middle of several.
///
/// # Errors
/// Why nobody can tell: no driver answers, or not in time.
pub fn sample(program: &Path, library: Option<&Path>, index: usize) -> Result<Duration, String> {
    let asking = Command::new(program)
        .arg(ARGUMENT)
        .arg(index.to_string())
        .args(library)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut asking = asking.map_err(|error| format!("the program cannot be started again: {error}"))?;
    let printed = asking.stdout.take();
    let (tell, hear) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = printed.map(|mut printed| printed.read_to_string(&mut text));
        // Nobody listens any more when the time is over.
        let _ = tell.send(read.is_some_and(|read| read.is_ok()).then_some(text));
    });
    let heard = hear.recv_timeout(PATIENCE);
    let _ = asking.kill();
    thread::spawn(move || asking.wait());
    let text = heard.ok().flatten().ok_or("the NVIDIA driver did not answer in time")?;
    match text.trim().parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(took) => Ok(took),
        None if text.trim().is_empty() => Err("the NVIDIA driver has ended the process that asked it".to_owned()),
        None => Err(text.trim().to_owned()),
    }
}

/// Does what [`sample`] starts the program for, when that is what its arguments say.
pub fn answer(arguments: &[OsString], out: &mut dyn Write) -> Option<io::Result<()>> {
    let (index, library) = match arguments {
        [_, argument, index, library @ ..] if argument == ARGUMENT => (index.to_str()?.parse().ok()?, library.first()),
        _ => return None,
    };
    let line = match look(library.map(Path::new), index) {
        Ok(took) => took.as_secs_f64().to_string(),
        Err(error) => format!("the NVIDIA driver does not answer: {error}"),
    };
    Some(writeln!(out, "{line}").and_then(|()| out.flush()))
}

fn look(library: Option<&Path>, index: u32) -> Result<Duration, NvmlError> {
    // Never shut down: that could meet the end of the program.
    let nvml: &'static Nvml = Box::leak(Box::new(load(library)?));
    let device = nvml.device_by_index(index)?;
    let mut system = System::new().ok();
    let mut took = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let began = Instant::now();
        device.memory_info()?;
        // A card that does not tell one of these takes its time to say so.
        let _ = device.temperature(TemperatureSensor::Gpu);
        let _ = device.utilization_rates();
        let _ = device.power_usage();
        if let Some(system) = &mut system {
            system.refresh_memory();
            system.refresh_cpu_usage();
        }
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[LOOKS / 2])
}
