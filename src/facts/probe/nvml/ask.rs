//! Asks the driver. The only place that calls NVML.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::enum_wrappers::device::{TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, PciInfo};
use nvml_wrapper::structs::device::CudaComputeCapability;
use nvml_wrapper::{Device, Nvml};

use super::answers::{Answer, Answers, Board, ComputeCapability, Memory, Pci, PowerRange, Refusal};

/// Where the library lies when the loader does not find it by name: the driver that WSL2 brings.
#[cfg(target_os = "linux")]
const ELSEWHERE: &[&str] = &["/usr/lib/wsl/lib/libnvidia-ml.so.1"];
#[cfg(not(target_os = "linux"))]
const ELSEWHERE: &[&str] = &[r"C:\Program Files\NVIDIA Corporation\NVSMI\nvml.dll"];

/// More devices than a driver runs; NVIDIA's largest single machine has 16.
const MOST_DEVICES: u32 = 1024;

/// What an answer changes in the record.
type Heard = Box<dyn FnOnce(&mut Answers) + Send>;

/// Asks the driver everything, each device on a thread of its own, until all is answered or the time is over.
///
/// `library` replaces the driver's own NVML library. A call that hangs leaves its own answer and those after it on the
/// same thread silent; the thread is left behind.
pub fn ask(library: Option<PathBuf>, patience: Duration) -> Answers {
    let deadline = Instant::now() + patience;
    let (tell, hear) = mpsc::channel::<Heard>();
    thread::spawn(move || ask_driver(library.as_deref(), &tell));
    let mut answers = Answers::default();
    while let Ok(heard) = hear.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        heard(&mut answers);
    }
    answers
}

fn ask_driver(library: Option<&Path>, tell: &Sender<Heard>) {
    // Nobody listens any more when the time is over.
    let say = |heard: Heard| drop(tell.send(heard));
    let nvml: &'static Nvml = match load(library) {
        // Never shut down: that could meet the end of the program, and the driver cleans up after it in any case.
        Ok(nvml) => Box::leak(Box::new(nvml)),
        Err(error) => return say(Box::new(move |answers| answers.refused = Some(error.into()))),
    };
    let count = match nvml.device_count() {
        Ok(count) if count > MOST_DEVICES => Answer::Refused(Refusal::Unknown),
        count => count.into(),
    };
    say(Box::new(move |answers| answers.device_count = count));
    if let Answer::Given(count) = count {
        say(Box::new(move |answers| answers.devices.resize_with(count as usize, Board::default)));
        for index in 0..count {
            let tell = tell.clone();
            thread::spawn(move || ask_device(nvml, index, &tell));
        }
    }
    let version = Answer::from(nvml.sys_driver_version());
    say(Box::new(move |answers| answers.driver_version = version));
    let cuda = Answer::from(nvml.sys_cuda_driver_version());
    say(Box::new(move |answers| answers.cuda_driver_version = cuda));
}

pub(super) fn load(library: Option<&Path>) -> Result<Nvml, NvmlError> {
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

fn ask_device(nvml: &Nvml, index: u32, tell: &Sender<Heard>) {
    let say = |heard: Box<dyn FnOnce(&mut Board) + Send>| {
        drop(tell.send(Box::new(move |answers| heard(&mut answers.devices[index as usize]))));
    };
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => return say(Box::new(move |board| board.refused = Some(error.into()))),
    };
    macro_rules! ask {
        ($($field:ident: $answer:expr,)*) => {$(
            let answer = Answer::from($answer);
            say(Box::new(move |board| board.$field = answer));
        )*};
    }
    let threshold = |threshold| device.temperature_threshold(threshold);
    // In the order of what plans need most, for a call that hangs silences those after it.
    ask! {
        name: device.name(),
        pci: device.pci_info().map(Pci::from),
        uuid: device.uuid(),
        memory: device.memory_info().map(Memory::from),
        compute_capability: device.cuda_compute_capability().map(ComputeCapability::from),
        architecture: number(device.architecture(), |architecture| architecture.as_c()),
        mig_mode: device.mig_mode().map(|mode| mode.current),
        mig_devices: device
            .mig_device_count()
            .map(|count| (0..count).map(|place| mig_device(&device, place).into()).collect()),
        ecc_enabled: device.is_ecc_enabled().map(|ecc| ecc.currently_enabled),
        display_attached: device.is_display_connected(),
        display_active: device.is_display_active(),
        compute_mode: number(device.compute_mode(), |mode| mode.as_c()),
        power_limit: device.enforced_power_limit(),
        power_limit_default: device.power_management_limit_default(),
        power_limit_range: device
            .power_management_limit_constraints()
            .map(|range| PowerRange { min: range.min_limit, max: range.max_limit }),
        temperature_slowdown: threshold(TemperatureThreshold::Slowdown),
        temperature_shutdown: threshold(TemperatureThreshold::Shutdown),
        temperature_gpu_max: threshold(TemperatureThreshold::GpuMax),
        temperature_acoustic: threshold(TemperatureThreshold::AcousticCurr),
        pcie_generation_max: device.max_pcie_link_gen(),
        pcie_width_max: device.max_pcie_link_width(),
        pcie_generation: device.current_pcie_link_gen(),
        pcie_width: device.current_pcie_link_width(),
        power_draw: device.power_usage(),
        temperature: device.temperature(TemperatureSensor::Gpu),
        utilization: device.utilization_rates().map(|rates| rates.gpu),
        throttle_reasons: device.current_throttle_reasons().map(|reasons| reasons.bits()),
        performance_state: number(device.performance_state(), |state| state.as_c()),
    }
    #[cfg(target_os = "linux")]
    ask! { persistence_mode: device.is_in_persistent_mode(), }
    #[cfg(target_os = "windows")]
    ask! { driver_model: number(device.driver_model().map(|model| model.current), |model| model.as_c()), }
}

fn mig_device(device: &Device<'_>, place: u32) -> Result<Memory, NvmlError> {
    device.mig_device_by_index(place)?.memory_info().map(Memory::from)
}

// The number that NVML has for a variant, also where the binding does not know it.
fn number<E>(answer: Result<E, NvmlError>, as_c: impl FnOnce(E) -> u32) -> Result<u32, NvmlError> {
    match answer {
        Err(NvmlError::UnexpectedVariant(number)) => Ok(number),
        answer => answer.map(as_c),
    }
}

impl<T> From<Result<T, NvmlError>> for Answer<T> {
    fn from(result: Result<T, NvmlError>) -> Self {
        match result {
            Ok(value) => Self::Given(value),
            Err(error) => Self::Refused(error.into()),
        }
    }
}

impl From<NvmlError> for Refusal {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::InvalidArg => Self::InvalidArgument,
            NvmlError::NotSupported => Self::NotSupported,
            NvmlError::NoPermission => Self::NoPermission,
            NvmlError::NotFound => Self::NotFound,
            NvmlError::InsufficientPower => Self::InsufficientPower,
            NvmlError::DriverNotLoaded => Self::DriverNotLoaded,
            NvmlError::Timeout => Self::Timeout,
            NvmlError::IrqIssue => Self::IrqIssue,
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Self::LibraryNotFound,
            NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => Self::FunctionNotFound,
            NvmlError::CorruptedInfoROM => Self::CorruptedInforom,
            NvmlError::GpuLost => Self::GpuIsLost,
            NvmlError::ResetRequired => Self::ResetRequired,
            NvmlError::OperatingSystem => Self::OperatingSystem,
            NvmlError::LibRmVersionMismatch => Self::LibRmVersionMismatch,
            NvmlError::InUse => Self::InUse,
            NvmlError::InsufficientMemory => Self::Memory,
            // Codes that the binding does not know come as these.
            NvmlError::UnexpectedVariant(23) => Self::InsufficientResources,
            NvmlError::UnexpectedVariant(26) => Self::Deprecated,
            NvmlError::UnexpectedVariant(27) => Self::NotReady,
            NvmlError::UnexpectedVariant(28) => Self::GpuNotFound,
            _ => Self::Unknown,
        }
    }
}

impl From<PciInfo> for Pci {
    fn from(pci: PciInfo) -> Self {
        Self { bus_id: pci.bus_id, device_id: pci.pci_device_id }
    }
}

impl From<CudaComputeCapability> for ComputeCapability {
    fn from(capability: CudaComputeCapability) -> Self {
        Self { major: capability.major, minor: capability.minor }
    }
}

impl From<MemoryInfo> for Memory {
    fn from(memory: MemoryInfo) -> Self {
        Self { total: memory.total, reserved: memory.reserved, used: memory.used, free: memory.free }
    }
}
