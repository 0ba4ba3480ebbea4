//! GPU facts from the NVIDIA driver, through NVML, and what to say where no driver answers.
//!
//! Each getter stands alone: what one card or one driver does not report is one unknown fact.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use nvml_wrapper::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{ComputeMode, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;
use serde_json::Value;

use super::nvidia_smi::UNIFIED;
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

/// Where the library lies when the loader does not find it by name: the driver that WSL2 brings.
#[cfg(target_os = "linux")]
const ELSEWHERE: &[&str] = &["/usr/lib/wsl/lib/libnvidia-ml.so.1"];
#[cfg(not(target_os = "linux"))]
const ELSEWHERE: &[&str] = &[r"C:\Program Files\NVIDIA Corporation\NVSMI\nvml.dll"];

/// `gpus`, `gpus[].*`, `driver.*`, and `gpu.index` when the environment chooses a card.
///
/// `library` replaces the driver's own NVML library. Where no driver answers the bus is asked: `gpus` is empty when it
/// shows no NVIDIA card, and unknown when it shows one or nothing can be told. May hang as long as the driver does.
pub fn probe(library: Option<&Path>) -> Facts {
    match load(library) {
        Ok(nvml) => driver(&nvml),
        Err(error) => without_driver(Path::new("/"), &silence(&error)),
    }
}

fn load(library: Option<&Path>) -> Result<Nvml, NvmlError> {
    if let Some(library) = library {
        return Nvml::builder().lib_path(library.as_os_str()).init();
    }
    let found = Nvml::init();
    if !matches!(found, Err(NvmlError::LibloadingError(_))) {
        return found;
    }
    let elsewhere = ELSEWHERE.iter().filter(|path| Path::new(path).exists());
    elsewhere.fold(found, |found, path| found.or_else(|_| Nvml::builder().lib_path(OsStr::new(path)).init()))
}

/// Why no driver answers, and what helps.
struct Silence {
    cause: &'static str,
    help: &'static str,
    // Whether the driver is there for certain, so that an empty bus would prove nothing.
    installed: bool,
}

fn silence(error: &NvmlError) -> Silence {
    const INSTALL: &str = "install the NVIDIA driver, or give the container its GPUs";
    let (cause, help, installed) = match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => ("its library is not there", INSTALL, false),
        NvmlError::DriverNotLoaded => ("its kernel module is not loaded", "load it with `modprobe nvidia`", false),
        NvmlError::LibRmVersionMismatch => (
            "its library and its kernel module are of different versions",
            "restart the machine, or reload the kernel module after the update",
            true,
        ),
        NvmlError::NoPermission => ("no permission to talk to it", "give this user access to `/dev/nvidia*`", true),
        NvmlError::OperatingSystem => {
            ("the system or its control group blocks it", "give the container or job its GPUs", true)
        }
        NvmlError::GpuLost => ("a GPU fell off the bus", "restart the machine", true),
        NvmlError::ResetRequired => ("a GPU needs a reset", "restart the machine", true),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            ("its library is not NVML, or too old", INSTALL, true)
        }
        _ => ("an internal error of the driver", "see `dmesg` for what the driver says", true),
    };
    Silence { cause, help, installed }
}

// What can be said of the GPUs from the bus alone. `root` stands for `/`.
fn without_driver(root: &Path, silence: &Silence) -> Facts {
    let Silence { cause, help, installed } = silence;
    let mut facts = Facts::new("no NVIDIA driver answers");
    let unanswered = format!("no NVIDIA driver answers ({cause})");
    facts.unknown("driver", &unanswered);
    let bus = Bus::read(root);
    let seen = bus.nvidia.clone().or_else(|| {
        let hidden = [("dev/dxg", "WSL shows a GPU"), ("dev/nvidiactl", "the driver's device files are there")];
        hidden.iter().find(|(path, _)| root.join(path).exists()).map(|(_, what)| (*what).to_owned()).or_else(|| {
            let board = fs::read(root.join("proc/device-tree/compatible")).unwrap_or_default();
            String::from_utf8_lossy(&board).contains("nvidia").then(|| "the board is NVIDIA's (Tegra)".to_owned())
        })
    });
    if let Some(seen) = seen {
        let reason = format!("no NVIDIA driver answers, though {seen}");
        facts.findings.push(Finding::warning("gpu-without-driver", format!("{reason}: {cause}")).help(*help));
        facts.unknown("gpus", reason);
    } else {
        facts.findings.push(Finding::note("driver-missing", unanswered.clone()));
        if bus.devices > 0 && !installed {
            facts.know("gpus", 0, Origin::Sysinfo);
        } else {
            facts.unknown("gpus", unanswered);
        }
    }
    facts
}

/// The PCI bus as the kernel lists it.
#[derive(Default)]
struct Bus {
    // How many devices it shows; none where it cannot be read.
    devices: usize,
    // The first NVIDIA display controller: `the PCI bus shows 10de:2704 at 0000:01:00.0`.
    nvidia: Option<String>,
}

impl Bus {
    fn read(root: &Path) -> Self {
        let mut bus = Self::default();
        let Ok(folder) = fs::read_dir(root.join("sys/bus/pci/devices")) else { return bus };
        for device in folder.flatten() {
            let id = |file: &str| {
                let text = fs::read_to_string(device.path().join(file)).ok()?;
                Some(text.trim().trim_start_matches("0x").to_lowercase())
            };
            let Some(vendor) = id("vendor") else { continue };
            bus.devices += 1;
            // Classes 0x03xxxx are display controllers.
            if vendor == "10de" && id("class").is_some_and(|class| class.len() == 6 && class.starts_with("03")) {
                let device_id = id("device").unwrap_or_default();
                let at = device.file_name();
                let seen = format!("the PCI bus shows {vendor}:{device_id} at {}", at.to_string_lossy());
                bus.nvidia = Some(bus.nvidia.map_or(seen.clone(), |first| first.min(seen)));
            }
        }
        bus
    }
}

fn driver(nvml: &Nvml) -> Facts {
    let mut facts = Facts::new("the NVIDIA driver does not say");
    facts.know_or("driver.version", nvml.sys_driver_version().map_err(reason), Origin::Nvml);
    let cuda = nvml.sys_cuda_driver_version();
    let cuda = cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)).map_err(reason);
    facts.know_or("driver.cuda", cuda, Origin::Nvml);
    let count = match nvml.device_count() {
        Ok(count) => count,
        Err(error) => {
            let reason = reason(error);
            facts.findings.push(Finding::warning("gpu-lost", format!("the GPUs cannot be counted: {reason}")));
            facts.unknown("gpus", reason);
            return facts;
        }
    };
    facts.know("gpus", count, Origin::Nvml);
    let mut cards = Vec::new();
    for index in 0..count {
        let device = nvml.device_by_index(index);
        cards.push(Card::of(device.as_ref().ok()));
        match device {
            Ok(device) => describe(&mut facts, index, &device),
            Err(error) => {
                let reason = reason(error);
                let message = format!("`gpus[{index}]` does not answer: {reason}");
                facts.findings.push(Finding::warning("gpu-lost", message).help("restart the machine"));
                facts.unknown(format!("gpus[{index}]"), reason);
            }
        }
    }
    let variable = |name| env::var(name).ok();
    match choose(variable("CUDA_VISIBLE_DEVICES").as_deref(), variable("CUDA_DEVICE_ORDER").as_deref(), &cards) {
        Ok(Some(index)) => facts.know("gpu.index", index, Origin::User),
        Ok(None) => {}
        Err(finding) => facts.findings.push(finding),
    }
    facts
}

// Why a getter gave nothing.
fn reason(error: NvmlError) -> String {
    match error {
        NvmlError::NotSupported => "the driver does not report it for this card".to_owned(),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            "the driver is too old to report it".to_owned()
        }
        NvmlError::UnexpectedVariant(value) => format!("the driver says {value}, which this program does not know"),
        NvmlError::NoPermission => "no permission to ask the driver".to_owned(),
        NvmlError::GpuLost => "the GPU fell off the bus".to_owned(),
        NvmlError::ResetRequired => "the GPU needs a reset".to_owned(),
        error => format!("the driver could not read it: {error}"),
    }
}

fn describe(facts: &mut Facts, index: u32, device: &Device<'_>) {
    let name = |fact: &str| format!("gpus[{index}].{fact}");
    let mut put = |fact: &str, value: Result<Value, NvmlError>| {
        facts.know_or(name(fact), value.map_err(reason), Origin::Nvml);
    };
    let watts = |milliwatts: u32| Value::from(f64::from(milliwatts) / 1000.0);
    put("name", device.name().map(Value::from));
    put("architecture", device.architecture().and_then(architecture));
    put("compute_capability", device.cuda_compute_capability().and_then(|cc| capability(cc.major, cc.minor)));
    put("pcie.generation", device.current_pcie_link_gen().map(Value::from));
    put("pcie.width", device.current_pcie_link_width().map(Value::from));
    put("pcie.generation_max", device.max_pcie_link_gen().map(Value::from));
    put("pcie.width_max", device.max_pcie_link_width().map(Value::from));
    put("power.limit", device.enforced_power_limit().map(watts));
    put("power.limit_default", device.power_management_limit_default().map(watts));
    put("power.draw", device.power_usage().map(watts));
    put("temperature.current", device.temperature(TemperatureSensor::Gpu).map(Value::from));
    for (fact, threshold) in [
        ("temperature.slowdown", TemperatureThreshold::Slowdown),
        ("temperature.shutdown", TemperatureThreshold::Shutdown),
        ("temperature.max_operating", TemperatureThreshold::GpuMax),
        ("temperature.target", TemperatureThreshold::AcousticCurr),
    ] {
        put(fact, device.temperature_threshold(threshold).map(Value::from));
    }
    put("utilization", device.utilization_rates().map(|rates| (f64::from(rates.gpu) / 100.0).into()));
    put("throttle_reasons", device.current_throttle_reasons().map(|reasons| throttle_reasons(reasons).into()));
    put("performance_state", device.performance_state().map(|state| state.as_c().into()));
    put("ecc.enabled", device.is_ecc_enabled().map(|ecc| ecc.currently_enabled.into()));
    put("display.attached", device.is_display_connected().map(Value::from));
    put("display.active", device.is_display_active().map(Value::from));
    put("compute_mode", device.compute_mode().map(|mode| compute_mode(mode).into()));
    #[cfg(target_os = "linux")]
    put("persistence_mode", device.is_in_persistent_mode().map(Value::from));
    #[cfg(target_os = "windows")]
    put("driver_model", device.driver_model().map(|model| format!("{:?}", model.current).to_uppercase().into()));

    let limits = device.power_management_limit_constraints().map_err(reason);
    let (min, max) = match limits {
        Ok(limits) => (Ok(watts(limits.min_limit)), Ok(watts(limits.max_limit))),
        Err(reason) => (Err(reason.clone()), Err(reason)),
    };
    facts.know_or(name("power.limit_min"), min, Origin::Nvml);
    facts.know_or(name("power.limit_max"), max, Origin::Nvml);
    let (id, node) = match device.pci_info().map_err(reason) {
        Ok(pci) => (Ok(format!("{:08X}", pci.pci_device_id)), numa_node(Path::new("/"), &pci.bus_id)),
        Err(reason) => (Err(reason.clone()), Err(reason)),
    };
    facts.know_or(name("pci_device_id"), id, Origin::Nvml);
    facts.know_or(name("numa_node"), node, Origin::Nvml);
    memory(facts, &name("vram"), device);
    mig(facts, &name("mig"), device);
}

fn memory(facts: &mut Facts, vram: &str, device: &Device<'_>) {
    let name = |part: &str| format!("{vram}.{part}");
    match device.memory_info() {
        Ok(memory) => {
            facts.know(name("total"), memory.total, Origin::Nvml);
            facts.know(name("reserved"), memory.reserved, Origin::Nvml);
            facts.know(name("used"), memory.used, Origin::Nvml);
            facts.know(name("free"), memory.free, Origin::Nvml);
            facts.know(name("unified"), false, Origin::Nvml);
        }
        Err(NvmlError::NotSupported) => {
            facts.know(name("unified"), true, Origin::Nvml);
            for part in ["total", "reserved", "used", "free"] {
                facts.unknown(name(part), UNIFIED);
            }
        }
        Err(error) => facts.unknown(vram, reason(error)),
    }
}

fn mig(facts: &mut Facts, mig: &str, device: &Device<'_>) {
    let (enabled, instances) = (format!("{mig}.enabled"), format!("{mig}.instances"));
    match device.mig_mode() {
        Ok(mode) if mode.current == 1 => {
            facts.know(enabled, true, Origin::Nvml);
            facts.know_or(instances, mig_instances(device).map_err(reason), Origin::Nvml);
        }
        // A card that knows no MIG is not split.
        Ok(_) | Err(NvmlError::NotSupported) => {
            facts.know(enabled, false, Origin::Nvml);
            facts.know(instances, Value::Array(Vec::new()), Origin::Nvml);
        }
        Err(error) => facts.unknown(mig, reason(error)),
    }
}

// The count is of the places for instances; those not in use are not found.
fn mig_instances(device: &Device<'_>) -> Result<Vec<Value>, NvmlError> {
    let mut totals = Vec::new();
    for place in 0..device.mig_device_count()? {
        match device.mig_device_by_index(place) {
            Ok(instance) => totals.push(instance.memory_info()?.total.into()),
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(totals)
}

// 8 and 9 → 8.9, the number that is meant and not the nearest sum.
fn capability(major: i32, minor: i32) -> Result<Value, NvmlError> {
    format!("{major}.{minor}").parse::<f64>().map(Value::from).map_err(|_| NvmlError::Unknown)
}

// As `nvidia-smi -q` names it.
fn architecture(architecture: DeviceArchitecture) -> Result<Value, NvmlError> {
    match architecture {
        DeviceArchitecture::Ada => Ok("Ada Lovelace".into()),
        DeviceArchitecture::Unknown => Err(NvmlError::NotSupported),
        named => Ok(named.to_string().into()),
    }
}

// As `nvidia-smi` names it.
fn compute_mode(mode: ComputeMode) -> &'static str {
    match mode {
        ComputeMode::Default => "Default",
        ComputeMode::ExclusiveThread => "Exclusive_Thread",
        ComputeMode::Prohibited => "Prohibited",
        ComputeMode::ExclusiveProcess => "Exclusive_Process",
    }
}

fn throttle_reasons(reasons: ThrottleReasons) -> String {
    let names = [
        (ThrottleReasons::GPU_IDLE, "idle"),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications_clocks_setting"),
        (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync_boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clock_setting"),
    ];
    let active: Vec<_> = names.iter().filter(|(reason, _)| reasons.contains(*reason)).map(|(_, name)| *name).collect();
    active.join(", ")
}

// The node that the kernel places the PCI device at. The driver writes the domain with eight digits, the kernel with four.
fn numa_node(root: &Path, bus_id: &str) -> Result<i64, String> {
    let device = bus_id.to_lowercase();
    let device = device.strip_prefix("0000").filter(|rest| rest.find(':') == Some(4)).unwrap_or(&device);
    let path = root.join("sys/bus/pci/devices").join(device).join("numa_node");
    let node = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i64>().ok());
    node.filter(|&node| node >= 0).ok_or_else(|| "the kernel does not place the card at a NUMA node".to_owned())
}

/// What tells two cards apart, or shows that nothing does.
#[derive(Clone, Debug, Default)]
struct Card {
    uuid: Option<String>,
    // Cards of one kind are counted in bus order by CUDA too.
    kind: Option<(u32, u64)>,
}

impl Card {
    fn of(device: Option<&Device<'_>>) -> Self {
        let kind =
            device.and_then(|device| Some((device.pci_info().ok()?.pci_device_id, device.memory_info().ok()?.total)));
        Self { uuid: device.and_then(|device| device.uuid().ok()), kind }
    }
}

// The card that CUDA would call device 0, as an index in the driver's order; `None` when the environment does not say.
fn choose(visible: Option<&str>, order: Option<&str>, cards: &[Card]) -> Result<Option<usize>, Finding> {
    let Some(first) = visible.and_then(|list| list.split(',').next()).map(str::trim) else { return Ok(None) };
    if cards.is_empty() {
        return Ok(None);
    }
    let absent = || {
        let message =
            format!("`CUDA_VISIBLE_DEVICES` begins with `{first}`, which is none of the {} GPUs", cards.len());
        Finding::warning("no-such-gpu", message).help("unset it, or name a card by its UUID from `nvidia-smi -L`")
    };
    let unclear = |why: &str| {
        let message = format!("`CUDA_VISIBLE_DEVICES` begins with `{first}`, {why}");
        Finding::note("gpu-order", message).help("set `CUDA_DEVICE_ORDER=PCI_BUS_ID`, or ask with `--gpu-index`")
    };
    if first.starts_with("MIG-") {
        return Err(unclear("a MIG instance, and the card that it is of cannot be told"));
    }
    if first.starts_with("GPU-") {
        let fits = |card: &Card| card.uuid.as_ref().is_some_and(|uuid| uuid.starts_with(first));
        let mut fitting = cards.iter().enumerate().filter(|(_, card)| fits(card)).map(|(index, _)| index);
        // CUDA takes a beginning that fits one card only.
        return fitting.next().filter(|_| fitting.next().is_none()).map(Some).ok_or_else(absent);
    }
    let number = first.parse::<usize>().ok().filter(|&number| number < cards.len()).ok_or_else(absent)?;
    let alike = cards.len() == 1 || cards.iter().all(|card| card.kind.is_some() && card.kind == cards[0].kind);
    if order == Some("PCI_BUS_ID") || alike {
        Ok(Some(number))
    } else {
        Err(unclear("and CUDA counts the fastest card first while the driver counts by bus"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::root;
    use super::*;

    const BRIDGE: [(&str, &str); 2] = [
        ("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n"),
        ("sys/bus/pci/devices/0000:00:00.0/class", "0x060000\n"),
    ];
    const CARD: [(&str, &str); 3] = [
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n"),
        ("sys/bus/pci/devices/0000:01:00.0/device", "0x2704\n"),
    ];

    fn silent(files: &[(&str, &str)], error: &NvmlError) -> (Option<usize>, String, Vec<String>) {
        let facts = without_driver(root(files).path(), &silence(error));
        assert_eq!(facts.value("driver.version"), None);
        let findings = facts.findings.iter().map(|finding| finding.code.to_string()).collect();
        (facts.count("gpus"), facts.reason("gpus").to_owned(), findings)
    }

    #[test]
    fn without_a_driver_the_bus_decides() {
        let absent = NvmlError::LibraryNotFound;
        let (count, _, findings) = silent(&BRIDGE, &absent);
        assert_eq!((count, findings), (Some(0), vec!["driver-missing".to_owned()]));

        let (count, reason, findings) = silent(&[], &absent);
        assert_eq!((count, findings), (None, vec!["driver-missing".to_owned()]));
        assert_eq!(reason, "no NVIDIA driver answers (its library is not there)");

        let (count, reason, findings) = silent(&[&BRIDGE[..], &CARD].concat(), &absent);
        assert_eq!((count, findings), (None, vec!["gpu-without-driver".to_owned()]));
        assert_eq!(reason, "no NVIDIA driver answers, though the PCI bus shows 10de:2704 at 0000:01:00.0");

        // The sound device of a card is no card.
        let sound = [CARD[0], ("sys/bus/pci/devices/0000:01:00.0/class", "0x040300\n")];
        assert_eq!(silent(&sound, &absent).0, Some(0));
        for hidden in [("dev/dxg", ""), ("proc/device-tree/compatible", "nvidia,p3768\0nvidia,tegra234\0")] {
            let (count, reason, findings) = silent(&[BRIDGE[0], hidden], &absent);
            assert_eq!((count, findings), (None, vec!["gpu-without-driver".to_owned()]));
            assert!(reason.starts_with("no NVIDIA driver answers, though"), "{reason}");
        }
    }

    #[test]
    fn a_driver_that_is_there_but_fails_leaves_the_gpus_unknown() {
        let (count, reason, _) = silent(&BRIDGE, &NvmlError::LibRmVersionMismatch);
        assert_eq!(count, None);
        assert_eq!(reason, "no NVIDIA driver answers (its library and its kernel module are of different versions)");
        assert_eq!(
            silent(&BRIDGE, &NvmlError::NoPermission).1,
            "no NVIDIA driver answers (no permission to talk to it)"
        );
        assert_eq!(silent(&BRIDGE, &NvmlError::GpuLost).0, None);
        assert_eq!(silent(&BRIDGE, &NvmlError::DriverNotLoaded).0, Some(0));
    }

    #[test]
    fn a_library_that_is_none_is_no_driver() {
        let facts = probe(Some(Path::new("/nowhere/libnvidia-ml.so.1")));
        assert!(facts.reason("driver.version").contains("its library is not there"));
    }

    #[test]
    fn the_environment_names_a_card_by_uuid_or_by_a_number_that_is_clear() {
        let card = |uuid: &str, kind| Card { uuid: Some(uuid.to_owned()), kind: Some((kind, 8)) };
        let mixed = [card("GPU-aa11", 1), card("GPU-aa22", 2)];
        let alike = [card("GPU-aa11", 1), card("GPU-aa22", 1)];
        let code = |visible, order, cards: &[Card]| match choose(Some(visible), order, cards) {
            Ok(index) => format!("{index:?}"),
            Err(finding) => finding.code.to_string(),
        };
        assert_eq!(code("GPU-aa2,GPU-aa1", None, &mixed), "Some(1)");
        assert_eq!(code("GPU-aa", None, &mixed), "no-such-gpu");
        assert_eq!(code("1", None, &alike), "Some(1)");
        assert_eq!(code("1", Some("PCI_BUS_ID"), &mixed), "Some(1)");
        assert_eq!(code("1", Some("FASTEST_FIRST"), &mixed), "gpu-order");
        assert_eq!(code("0", None, &mixed), "gpu-order");
        assert_eq!(code("0", None, &mixed[..1]), "Some(0)");
        assert_eq!(code("2", None, &alike), "no-such-gpu");
        assert_eq!(code("", None, &alike), "no-such-gpu");
        assert_eq!(code("-1", None, &alike), "no-such-gpu");
        assert_eq!(code("MIG-1234", None, &alike), "gpu-order");
        assert_eq!(code("0", None, &[]), "None");
        assert_eq!(choose(None, None, &alike), Ok(None));
        assert_eq!(code("0", None, &[Card::default(), Card::default()]), "gpu-order");
    }

    #[test]
    fn numbers_are_the_ones_that_people_write() {
        assert_eq!(capability(8, 9).unwrap(), Value::from(8.9));
        assert_eq!(capability(12, 1).unwrap(), Value::from(12.1));
        assert_eq!(architecture(DeviceArchitecture::Ada).unwrap(), Value::from("Ada Lovelace"));
        assert_eq!(architecture(DeviceArchitecture::Hopper).unwrap(), Value::from("Hopper"));
        let reasons = ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(throttle_reasons(reasons), "hw_slowdown, hw_thermal_slowdown");
        assert_eq!(throttle_reasons(ThrottleReasons::empty()), "");
    }

    #[test]
    fn the_kernel_places_cards_by_their_short_bus_id() {
        let root = root(&[
            ("sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n"),
            ("sys/bus/pci/devices/0000:5e:00.0/numa_node", "-1\n"),
            ("sys/bus/pci/devices/10000:01:00.0/numa_node", "0\n"),
        ]);
        assert_eq!(numa_node(root.path(), "00000000:3B:00.0"), Ok(1));
        assert_eq!(numa_node(root.path(), "0000:3b:00.0"), Ok(1));
        assert_eq!(numa_node(root.path(), "10000:01:00.0"), Ok(0));
        assert!(numa_node(root.path(), "00000000:5E:00.0").is_err());
        assert!(numa_node(root.path(), "00000000:99:00.0").is_err());
    }
}
