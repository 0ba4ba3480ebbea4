//! GPU facts from the NVIDIA driver, through NVML, and what to say where no driver answers.
//!
//! First the driver is asked ([`ask`]), then its [`Answers`] are made into facts. Each answer stands alone: what one card
//! or one driver does not report is one unknown fact.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use self::answers::{Answer, Board, ComputeCapability, Memory, Refusal};
use super::files::Files;
use super::nvidia_smi::UNIFIED;
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

mod absent;
pub mod answers;
pub mod apart;
mod ask;
mod choose;
pub mod sample;

pub use self::answers::Answers;
pub use self::choose::Visible;

/// How long the driver may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why an answer is missing that was asked for.
const SILENT: &str = "the NVIDIA driver did not answer in 2 s";

/// Why something stopped to answer, and what helps.
struct Trouble {
    why: &'static str,
    help: &'static str,
}

const SILENCE: Trouble = Trouble {
    why: SILENT,
    help: "see what the driver says (`dmesg`, on Windows the Event Viewer), or restart the machine",
};

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self { why: refusal.reason(), help: refusal.help() }
    }
}

/// `NVML_DEVICE_ARCH_*`, as `nvidia-smi -q` names them.
const ARCHITECTURES: &[(u32, &str)] = &[
    (2, "Kepler"),
    (3, "Maxwell"),
    (4, "Pascal"),
    (5, "Volta"),
    (6, "Turing"),
    (7, "Ampere"),
    (8, "Ada Lovelace"),
    (9, "Hopper"),
    (10, "Blackwell"),
];

/// `NVML_COMPUTEMODE_*`, as `nvidia-smi` names them.
const COMPUTE_MODES: &[(u32, &str)] =
    &[(0, "Default"), (1, "Exclusive_Thread"), (2, "Prohibited"), (3, "Exclusive_Process")];

/// `NVML_DRIVER_*`, as `nvidia-smi` names them.
const DRIVER_MODELS: &[(u32, &str)] = &[(0, "WDDM"), (1, "TCC"), (2, "MCDM")];

/// The bits of `nvmlClocksThrottleReasons`.
const THROTTLE_REASONS: &[(u64, &str)] = &[
    (0x1, "idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x100, "display_clock_setting"),
];

/// What the driver answers in the 2 s that it has. `library` replaces the driver's own NVML library.
///
/// What hangs is left behind in this process, and may hold up its other threads and its end.
pub fn ask(library: Option<&Path>) -> Answers {
    ask::ask(library.map(Path::to_owned), PATIENCE)
}

/// The same, from a process of its own of this program, so that nothing which hangs is left in this one. Where it cannot be
/// started, this process asks.
pub fn ask_apart(program: &Path, library: Option<&Path>) -> Answers {
    apart::ask(program, library).unwrap_or_else(|_| ask(library))
}

/// `gpus`, `gpus[].*`, `driver.*`, and `gpu.index` when the environment chooses a card.
///
/// Where no driver answers the kernel is asked for the bus: `gpus` is empty when it shows no NVIDIA card, and unknown when it shows one or nothing can be told.
pub fn facts(answers: &Answers, files: &Files, visible: &Visible) -> Facts {
    if let Some(refusal) = answers.refused {
        return absent::without_driver(files, refusal);
    }
    let mut facts = Facts::new("the NVIDIA driver does not say");
    put(&mut facts, "driver.version", &answers.driver_version, |version| text(version));
    put(&mut facts, "driver.cuda", &answers.cuda_driver_version, cuda);
    let listed = answers.devices.len();
    put(&mut facts, "gpus", &answers.device_count, |&count| match count as usize == listed {
        true => Ok(count.into()),
        false => Err(format!("the driver counts {count} GPUs and {listed} are listed")),
    });
    match answers.device_count {
        Answer::Given(_) => {}
        Answer::Refused(refusal) => {
            let message = format!("the GPUs cannot be counted: {}", refusal.reason());
            facts.findings.push(Finding::warning("gpu-lost", message).help(refusal.help()));
        }
        Answer::Silent => {
            facts.findings.push(Finding::warning("gpu-without-driver", SILENCE.why).help(SILENCE.help));
        }
    }
    let boards = answers.devices.iter().take(facts.count("gpus").unwrap_or(0));
    for (index, board) in boards.enumerate() {
        if let Some(trouble) = describe(&mut facts, index, board, files) {
            let message = format!("`gpus[{index}]` does not answer: {}", trouble.why);
            facts.findings.push(Finding::warning("gpu-lost", message).help(trouble.help));
        }
    }
    match choose::choose(visible, &answers.devices) {
        Ok(Some(index)) => facts.know("gpu.index", index, Origin::User),
        Ok(None) => {}
        Err(finding) => facts.findings.push(finding),
    }
    facts
}

// Records what an answer means, or why it is missing; gives back the trouble when it is not with this one question.
fn put<T>(
    facts: &mut Facts,
    name: &str,
    answer: &Answer<T>,
    meaning: impl FnOnce(&T) -> Result<Value, String>,
) -> Option<Trouble> {
    let value = match answer {
        Answer::Given(value) => meaning(value),
        Answer::Refused(refusal) => Err(refusal.reason().to_owned()),
        Answer::Silent => Err(SILENT.to_owned()),
    };
    facts.know_or(name, value, Origin::Nvml);
    match answer {
        Answer::Refused(refusal) if refusal.is_of_card() => Some((*refusal).into()),
        Answer::Silent => Some(SILENCE),
        _ => None,
    }
}

// The facts of one card; gives back the trouble with it.
fn describe(facts: &mut Facts, index: usize, board: &Board, files: &Files) -> Option<Trouble> {
    let name = |fact: &str| format!("gpus[{index}].{fact}");
    if let Some(refusal) = board.refused {
        facts.unknown(format!("gpus[{index}]"), refusal.reason());
        return Some(refusal.into());
    }
    if *board == Board::default() {
        facts.unknown(format!("gpus[{index}]"), SILENT);
        return Some(SILENCE);
    }
    let mut trouble = None;
    macro_rules! put {
        ($fact:expr, $answer:expr, $meaning:expr) => {
            trouble = put(facts, &name($fact), &$answer, $meaning).or(trouble)
        };
    }
    put!("name", board.name, |name: &String| text(name));
    put!("pci_device_id", board.pci, |pci| Ok(format!("{:08X}", pci.device_id).into()));
    put!("architecture", board.architecture, |&number| named(ARCHITECTURES, number));
    put!("compute_capability", board.compute_capability, capability);
    for (fact, answer) in [
        ("pcie.generation", &board.pcie_generation),
        ("pcie.width", &board.pcie_width),
        ("pcie.generation_max", &board.pcie_generation_max),
        ("pcie.width_max", &board.pcie_width_max),
        ("temperature.current", &board.temperature),
        ("temperature.slowdown", &board.temperature_slowdown),
        ("temperature.shutdown", &board.temperature_shutdown),
        ("temperature.max_operating", &board.temperature_gpu_max),
        ("temperature.target", &board.temperature_acoustic),
    ] {
        put!(fact, *answer, |&number| Ok(number.into()));
    }
    for (fact, answer) in [
        ("power.limit", &board.power_limit),
        ("power.limit_default", &board.power_limit_default),
        ("power.draw", &board.power_draw),
    ] {
        put!(fact, *answer, |&milliwatts| watts(milliwatts));
    }
    put!("power.limit_min", board.power_limit_range, |range| watts(range.min));
    put!("power.limit_max", board.power_limit_range, |range| watts(range.max));
    put!("utilization", board.utilization, |&percent| Ok((f64::from(percent) / 100.0).into()));
    put!("throttle_reasons", board.throttle_reasons, |&bits| Ok(throttle_reasons(bits).into()));
    put!("performance_state", board.performance_state, |&state| {
        if state <= 15 { Ok(state.into()) } else { Err("the driver does not know it".to_owned()) }
    });
    put!("compute_mode", board.compute_mode, |&number| named(COMPUTE_MODES, number));
    for (fact, answer) in [
        ("ecc.enabled", &board.ecc_enabled),
        ("display.attached", &board.display_attached),
        ("display.active", &board.display_active),
    ] {
        put!(fact, *answer, |&yes| Ok(yes.into()));
    }
    // Each of one system alone.
    if !board.persistence_mode.is_silent() {
        put!("persistence_mode", board.persistence_mode, |&yes| Ok(yes.into()));
    }
    if !board.driver_model.is_silent() {
        put!("driver_model", board.driver_model, |&number| named(DRIVER_MODELS, number));
    }
    if let Answer::Given(pci) = &board.pci {
        facts.know_or(name("numa_node"), numa_node(files, &pci.bus_id), Origin::Sysinfo);
    }
    memory(facts, &name("vram"), board);
    mig(facts, &name("mig"), board);
    trouble
}

fn memory(facts: &mut Facts, vram: &str, board: &Board) {
    let name = |part: &str| format!("{vram}.{part}");
    match board.memory {
        Answer::Given(memory) => {
            facts.know(name("total"), memory.total, Origin::Nvml);
            facts.know(name("reserved"), memory.reserved, Origin::Nvml);
            facts.know(name("used"), memory.used, Origin::Nvml);
            facts.know(name("free"), memory.free, Origin::Nvml);
            facts.know(name("unified"), false, Origin::Nvml);
        }
        Answer::Refused(Refusal::NotSupported) => {
            facts.know(name("unified"), true, Origin::Nvml);
            for part in ["total", "reserved", "used", "free"] {
                facts.unknown(name(part), UNIFIED);
            }
        }
        Answer::Refused(refusal) => facts.unknown(vram, refusal.reason()),
        Answer::Silent => facts.unknown(vram, SILENT),
    }
}

fn mig(facts: &mut Facts, mig: &str, board: &Board) {
    let (enabled, instances) = (format!("{mig}.enabled"), format!("{mig}.instances"));
    match board.mig_mode {
        Answer::Given(1) => {
            facts.know(enabled, true, Origin::Nvml);
            facts.know_or(instances, mig_instances(&board.mig_devices), Origin::Nvml);
        }
        // A card that knows no MIG is not split; an old driver knows none either.
        Answer::Given(0) | Answer::Refused(Refusal::NotSupported | Refusal::FunctionNotFound) => {
            facts.know(enabled, false, Origin::Nvml);
            facts.know(instances, Value::Array(Vec::new()), Origin::Nvml);
        }
        Answer::Given(mode) => facts.unknown(mig, format!("the driver says {mode}, which this program does not know")),
        Answer::Refused(refusal) => facts.unknown(mig, refusal.reason()),
        Answer::Silent => facts.unknown(mig, SILENT),
    }
}

// The places for instances that are not in use are not found.
fn mig_instances(places: &Answer<Vec<Answer<Memory>>>) -> Result<Vec<Value>, &'static str> {
    let places = match places {
        Answer::Given(places) => places,
        Answer::Refused(refusal) => return Err(refusal.reason()),
        Answer::Silent => return Err(SILENT),
    };
    let totals = places.iter().filter_map(|place| match place {
        Answer::Given(memory) => Some(Ok(memory.total.into())),
        Answer::Refused(Refusal::NotFound | Refusal::InvalidArgument) => None,
        Answer::Refused(refusal) => Some(Err(refusal.reason())),
        Answer::Silent => Some(Err(SILENT)),
    });
    totals.collect()
}

fn text(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() { Err("the driver leaves it empty".to_owned()) } else { Ok(text.into()) }
}

// 12040 → 12.4.
fn cuda(version: &i32) -> Result<Value, String> {
    match version {
        1000.. => Ok(format!("{}.{}", version / 1000, version % 1000 / 10).into()),
        _ => Err(format!("the driver says {version}, which is no version of CUDA")),
    }
}

fn watts(milliwatts: u32) -> Result<Value, String> {
    Ok((f64::from(milliwatts) / 1000.0).into())
}

// 8 and 9 → 8.9, the number that is meant and not the nearest sum.
fn capability(capability: &ComputeCapability) -> Result<Value, String> {
    let text = format!("{}.{}", capability.major, capability.minor);
    text.parse::<f64>().map(Value::from).map_err(|_| format!("the driver says {text}, which is no capability"))
}

fn named(names: &[(u32, &str)], number: u32) -> Result<Value, String> {
    let name = names.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).into());
    name.ok_or_else(|| format!("the driver says {number}, which this program does not know"))
}

fn throttle_reasons(bits: u64) -> String {
    let active: Vec<_> =
        THROTTLE_REASONS.iter().filter(|(reason, _)| bits & reason != 0).map(|(_, name)| *name).collect();
    active.join(", ")
}

// The node that the kernel places the PCI device at. The driver writes the domain with eight digits, the kernel with four.
fn numa_node(files: &Files, bus_id: &str) -> Result<i64, String> {
    let device = bus_id.to_lowercase();
    let device = device.strip_prefix("0000").filter(|rest| rest.find(':') == Some(4)).unwrap_or(&device);
    let node = files
        .text(&format!("sys/bus/pci/devices/{device}/numa_node"))
        .ok()
        .and_then(|text| text.trim().parse::<i64>().ok());
    node.filter(|&node| node >= 0).ok_or_else(|| "the kernel does not place the card at a NUMA node".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::root;
    use super::*;

    #[test]
    fn numbers_are_the_ones_that_people_write() {
        let written = |major, minor| capability(&ComputeCapability { major, minor });
        assert_eq!(written(8, 9), Ok(Value::from(8.9)));
        assert_eq!(written(12, 1), Ok(Value::from(12.1)));
        assert_eq!(cuda(&12_040), Ok("12.4".into()));
        assert!(cuda(&0).is_err() && cuda(&-12_040).is_err());
        assert!(text(" ").is_err());
        assert_eq!(named(ARCHITECTURES, 8), Ok("Ada Lovelace".into()));
        assert_eq!(throttle_reasons(0x48), "hw_slowdown, hw_thermal_slowdown");
        assert_eq!(throttle_reasons(0), "");
    }

    #[test]
    fn the_kernel_places_cards_by_their_short_bus_id() {
        let root = root(&[
            ("sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n"),
            ("sys/bus/pci/devices/0000:5e:00.0/numa_node", "-1\n"),
            ("sys/bus/pci/devices/10000:01:00.0/numa_node", "0\n"),
        ]);
        assert_eq!(numa_node(&root, "00000000:3B:00.0"), Ok(1));
        assert_eq!(numa_node(&root, "0000:3b:00.0"), Ok(1));
        assert_eq!(numa_node(&root, "10000:01:00.0"), Ok(0));
        assert!(numa_node(&root, "00000000:5E:00.0").is_err());
        assert!(numa_node(&root, "00000000:99:00.0").is_err());
    }
}
