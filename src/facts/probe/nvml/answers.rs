//! What the driver answers, question by question: the form in which it is saved and read again.
//!
//! Values are NVML's own, in NVML's units; what they mean is said where facts are made of them.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// One answer of the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Answer<T> {
    /// What it says.
    Given(T),
    /// The error that it returned instead.
    Refused(Refusal),
    /// Nothing: it was not asked, or did not answer in time.
    #[default]
    Silent,
}

impl<T> Answer<T> {
    /// Whether nothing was heard.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }
}

/// Written as the value itself, as `{ refused: not_supported }`, or as null.
impl<T: Serialize> Serialize for Answer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(value) => value.serialize(serializer),
            Self::Refused(refused) => Refused { refused: *refused }.serialize(serializer),
            Self::Silent => serializer.serialize_none(),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Answer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            Ok(Self::Silent)
        } else if value.get("refused").is_some() {
            serde_json::from_value(value).map(|Refused { refused }| Self::Refused(refused)).map_err(D::Error::custom)
        } else {
            serde_json::from_value(value).map(Self::Given).map_err(D::Error::custom)
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    refused: Refusal,
}

/// An error of NVML, by the name that `nvml.h` has for it after `NVML_ERROR_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are NVML's; `reason` says each in words")]
pub enum Refusal {
    InvalidArgument,
    NotSupported,
    NoPermission,
    NotFound,
    InsufficientPower,
    DriverNotLoaded,
    Timeout,
    IrqIssue,
    LibraryNotFound,
    FunctionNotFound,
    CorruptedInforom,
    GpuIsLost,
    ResetRequired,
    OperatingSystem,
    LibRmVersionMismatch,
    InUse,
    Memory,
    InsufficientResources,
    Deprecated,
    NotReady,
    GpuNotFound,
    Unknown,
}

impl Refusal {
    /// Why a question about a card has no answer: one clause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidArgument => "the driver does not know the question",
            Self::NotSupported => "the driver does not report it for this card",
            Self::NoPermission => "no permission to ask the driver",
            Self::NotFound => "the driver finds no such thing",
            Self::InsufficientPower => "the GPU's power cables are not plugged in",
            Self::DriverNotLoaded => "the driver was unloaded",
            Self::Timeout => "the driver gave up waiting for the GPU",
            Self::IrqIssue => "the kernel has trouble with the GPU's interrupts",
            Self::LibraryNotFound => "the driver lacks a library of its own",
            Self::FunctionNotFound => "the driver is too old to report it",
            Self::CorruptedInforom => "the card's information ROM is corrupt",
            Self::GpuIsLost => "the GPU fell off the bus",
            Self::ResetRequired => "the GPU needs a reset",
            Self::OperatingSystem => "the system or its control group blocks it",
            Self::LibRmVersionMismatch => "the driver's library and its kernel module are of different versions",
            Self::InUse => "the GPU is in use",
            Self::Memory | Self::InsufficientResources => "the driver is out of memory",
            Self::Deprecated => "the driver no longer reports it",
            Self::NotReady => "the driver is not ready yet",
            Self::GpuNotFound => "the GPU is gone",
            Self::Unknown => "an internal error of the driver",
        }
    }

    /// What helps when a card does not answer.
    pub fn help(self) -> &'static str {
        match self {
            Self::NoPermission => "give this user access to `/dev/nvidia*`",
            Self::OperatingSystem => "give the container or job its GPUs",
            _ => "restart the machine",
        }
    }

    /// Whether it is the card that fails, and not the one question.
    pub fn is_of_card(self) -> bool {
        matches!(
            self,
            Self::GpuIsLost | Self::GpuNotFound | Self::ResetRequired | Self::InsufficientPower | Self::IrqIssue
        )
    }
}

/// Everything that the driver was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    /// Why there is no driver to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Version of the driver.
    pub driver_version: Answer<String>,
    /// Newest CUDA that it supports: 1000 × major + 10 × minor.
    pub cuda_driver_version: Answer<i32>,
    /// How many devices it has.
    pub device_count: Answer<u32>,
    /// The devices, in its order.
    pub devices: Vec<Board>,
}

/// What the driver says of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Board {
    /// Why there is no handle to ask about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Product name.
    pub name: Answer<String>,
    /// What tells it from all others; never written.
    #[serde(skip_serializing)]
    pub uuid: Answer<String>,
    /// Place on the bus and device id.
    pub pci: Answer<Pci>,
    /// `NVML_DEVICE_ARCH_*`.
    pub architecture: Answer<u32>,
    /// CUDA compute capability.
    pub compute_capability: Answer<ComputeCapability>,
    /// Memory of the device.
    pub memory: Answer<Memory>,
    /// Current PCIe generation.
    pub pcie_generation: Answer<u32>,
    /// Current PCIe lanes.
    pub pcie_width: Answer<u32>,
    /// Highest PCIe generation of card and slot.
    pub pcie_generation_max: Answer<u32>,
    /// Most PCIe lanes of card and slot.
    pub pcie_width_max: Answer<u32>,
    /// Power limit in force, mW.
    pub power_limit: Answer<u32>,
    /// Power limit that the card comes with, mW.
    pub power_limit_default: Answer<u32>,
    /// Bounds of the power limit.
    pub power_limit_range: Answer<PowerRange>,
    /// Power drawn, mW.
    pub power_draw: Answer<u32>,
    /// Temperature of the GPU, °C.
    pub temperature: Answer<u32>,
    /// Threshold `SLOWDOWN`, °C.
    pub temperature_slowdown: Answer<u32>,
    /// Threshold `SHUTDOWN`, °C.
    pub temperature_shutdown: Answer<u32>,
    /// Threshold `GPU_MAX`, °C.
    pub temperature_gpu_max: Answer<u32>,
    /// Threshold `ACOUSTIC_CURR`, °C.
    pub temperature_acoustic: Answer<u32>,
    /// Share of the last sample in which a kernel ran, %.
    pub utilization: Answer<u32>,
    /// Bits of `nvmlClocksThrottleReasons`.
    pub throttle_reasons: Answer<u64>,
    /// Performance state, 0 to 15; 32 for unknown.
    pub performance_state: Answer<u32>,
    /// Whether error correction is on.
    pub ecc_enabled: Answer<bool>,
    /// Whether a display is plugged in.
    pub display_attached: Answer<bool>,
    /// Whether it drives a desktop.
    pub display_active: Answer<bool>,
    /// `NVML_COMPUTEMODE_*`.
    pub compute_mode: Answer<u32>,
    /// Whether the driver stays loaded without a client; Linux alone.
    pub persistence_mode: Answer<bool>,
    /// `NVML_DRIVER_*`; Windows alone.
    pub driver_model: Answer<u32>,
    /// Whether it is split into instances: 1 when it is.
    pub mig_mode: Answer<u32>,
    /// The memory of the instance at each place for one.
    pub mig_devices: Answer<Vec<Answer<Memory>>>,
}

/// Place on the PCI bus and identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pci {
    /// Domain, bus, device and function: `00000000:01:00.0`.
    pub bus_id: String,
    /// Device in the high half, vendor in the low one.
    pub device_id: u32,
}

/// CUDA compute capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeCapability {
    /// Before the point.
    pub major: i32,
    /// After it.
    pub minor: i32,
}

/// Memory of a device, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What the driver and the firmware keep.
    pub reserved: u64,
    /// What processes have taken.
    pub used: u64,
    /// What nobody has taken.
    pub free: u64,
}

/// Bounds of the power limit, mW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerRange {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}
