//! The table of all fact names, with type, unit, stability and meaning.
//!
//! The JSON Schema of a facts file, the names that expressions may read and the reference page all follow from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::units::Unit;

/// The type of a fact's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactType {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    Text,
    /// A list of whole numbers.
    Ints,
    /// A list of records (`gpus`, `numa.nodes`), or for `gpu` one record; the names below it are facts of their own.
    Records,
}

/// Whether a fact stays the same while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    /// Hardware, driver, installed versions, the question asked. Settings may read it.
    Stable,
    /// Free memory, temperature, load. Only checks and monitoring may read it.
    Volatile,
}

/// What the table says of one fact.
#[derive(Clone, Copy, Debug)]
pub struct FactSpec {
    /// Dotted name; a list's records are written `gpus[]`.
    pub name: &'static str,
    /// Type of the value.
    pub ty: FactType,
    /// Canonical unit of a number, `None` for plain numbers (versions, indices) and other types.
    pub unit: Option<Unit>,
    /// Whether settings may rest on it.
    pub stability: Stability,
    /// What it means, in one or two sentences.
    pub doc: &'static str,
}

const fn fact(
    name: &'static str,
    ty: FactType,
    unit: Option<Unit>,
    stability: Stability,
    doc: &'static str,
) -> FactSpec {
    FactSpec { name, ty, unit, stability, doc }
}

/// Every fact, by family.
#[rustfmt::skip]
pub const FACTS: &[FactSpec] = &[
    fact("host.os", FactType::Text, None, Stability::Stable, "Operating system: `linux`, `windows`, `macos`."),
    fact("host.os_version", FactType::Text, None, Stability::Stable, "Name and version of the distribution or of Windows, as the system gives it."),
    fact("host.kernel", FactType::Text, None, Stability::Stable, "Kernel release; on Windows the build."),
    fact("host.arch", FactType::Text, None, Stability::Stable, "Processor architecture: `x86_64`, `aarch64`, `ppc64le`."),
    fact("host.wsl", FactType::Bool, None, Stability::Stable, "Whether this is Linux inside WSL2, where the GPU's driver is Windows'."),
    fact("host.container", FactType::Bool, None, Stability::Stable, "Whether the process runs in a container (Docker, Podman, LXC, Kubernetes)."),
    fact("host.model", FactType::Text, None, Stability::Stable, "The machine's product name as its firmware gives it."),
    fact("cpu.model", FactType::Text, None, Stability::Stable, "Model name of the first processor."),
    fact("cpu.vendor", FactType::Text, None, Stability::Stable, "Vendor id: `AuthenticAMD`, `GenuineIntel`, or the implementer on Arm."),
    fact("cpu.packages", FactType::Int, Some(Unit::Count), Stability::Stable, "Processor packages (sockets)."),
    fact("cpu.physical_cores", FactType::Int, Some(Unit::Count), Stability::Stable, "Physical cores of the machine that are online, all packages together."),
    fact("cpu.logical_cpus", FactType::Int, Some(Unit::Count), Stability::Stable, "Logical CPUs of the machine that are online (hardware threads)."),
    fact("cpu.performance_cores", FactType::Int, Some(Unit::Count), Stability::Stable, "Physical cores of the fastest kind; all of them when the cores are alike."),
    fact("cpu.efficiency_cores", FactType::Int, Some(Unit::Count), Stability::Stable, "Physical cores of slower kinds; 0 when the cores are alike."),
    fact("cpu.allowed_cpus", FactType::Ints, None, Stability::Stable, "Logical CPUs that this process may use, by the system's number: online, in the cpuset and in the affinity mask."),
    fact("cpu.allowed_cores", FactType::Int, Some(Unit::Count), Stability::Stable, "Physical cores with at least one allowed CPU."),
    fact("cpu.quota", FactType::Float, Some(Unit::Count), Stability::Stable, "CPUs' worth of time per period that the cgroup grants; unknown when there is no quota."),
    fact("cpu.l3_domains", FactType::Records, None, Stability::Stable, "The L3 caches, in the order of their first CPU."),
    fact("cpu.l3_domains[].size", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Size of the L3 cache."),
    fact("cpu.l3_domains[].cpus", FactType::Ints, None, Stability::Stable, "Logical CPUs that share the L3 cache."),
    fact("numa.nodes", FactType::Records, None, Stability::Stable, "NUMA nodes with memory or CPUs that the process may use, by index. GPU memory exposed as a node is left out."),
    fact("numa.nodes[].index", FactType::Int, None, Stability::Stable, "The system's number of the node; not always from 0."),
    fact("numa.nodes[].cpus", FactType::Ints, None, Stability::Stable, "Logical CPUs of the node; may be empty."),
    fact("numa.nodes[].memory", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Memory of the node."),
    fact("numa.nodes[].gpus", FactType::Ints, None, Stability::Stable, "Indices into `gpus` of the GPUs near the node."),
    fact("ram.total", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Memory of the machine that the system manages; somewhat less than what is installed."),
    fact("ram.limit", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Memory limit of the cgroup; unknown when there is none."),
    fact("ram.available", FactType::Int, Some(Unit::Bytes), Stability::Volatile, "Memory that could be taken now without swapping."),
    fact("ram.swap_total", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Swap space."),
    fact("ram.swap_free", FactType::Int, Some(Unit::Bytes), Stability::Volatile, "Unused swap space."),
    fact("gpus", FactType::Records, None, Stability::Stable, "NVIDIA GPUs in the driver's order (PCI bus order). Other makers' GPUs are not listed."),
    fact("gpus[].name", FactType::Text, None, Stability::Stable, "Product name as the driver gives it."),
    fact("gpus[].architecture", FactType::Text, None, Stability::Stable, "Architecture as NVIDIA names it: `Ada Lovelace`, `Hopper`."),
    fact("gpus[].compute_capability", FactType::Float, None, Stability::Stable, "CUDA compute capability, `8.9` for Ada. A saved dump has none: it comes from a table by PCI device id or exact name."),
    fact("gpus[].pci_device_id", FactType::Text, None, Stability::Stable, "PCI device and vendor id as eight hexadecimal digits, device first: `270410DE`."),
    fact("gpus[].vram.total", FactType::Int, Some(Unit::Bytes), Stability::Stable, "VRAM that the driver reports in all; less than the nominal size. Unknown on unified memory."),
    fact("gpus[].vram.reserved", FactType::Int, Some(Unit::Bytes), Stability::Stable, "VRAM that the driver and firmware keep; part of the total, never allocatable."),
    fact("gpus[].vram.used", FactType::Int, Some(Unit::Bytes), Stability::Volatile, "VRAM in use by all processes, without the reserved part."),
    fact("gpus[].vram.free", FactType::Int, Some(Unit::Bytes), Stability::Volatile, "VRAM that nobody uses now."),
    fact("gpus[].vram.unified", FactType::Bool, None, Stability::Stable, "Whether the GPU has no memory of its own and shares the RAM (GB10, Jetson)."),
    fact("gpus[].memory_bandwidth", FactType::Int, Some(Unit::BytesPerSecond), Stability::Stable, "Peak bandwidth of the VRAM, from the table of cards."),
    fact("gpus[].pcie.generation", FactType::Int, None, Stability::Volatile, "Current PCIe generation of the link; falls when the card idles."),
    fact("gpus[].pcie.width", FactType::Int, Some(Unit::Count), Stability::Volatile, "Current PCIe lanes of the link."),
    fact("gpus[].pcie.generation_max", FactType::Int, None, Stability::Stable, "Highest PCIe generation that card and slot agree on."),
    fact("gpus[].pcie.width_max", FactType::Int, Some(Unit::Count), Stability::Stable, "Most PCIe lanes that card and slot agree on."),
    fact("gpus[].power.limit", FactType::Float, Some(Unit::Watts), Stability::Stable, "Power limit in force."),
    fact("gpus[].power.limit_default", FactType::Float, Some(Unit::Watts), Stability::Stable, "Power limit the card comes with."),
    fact("gpus[].power.limit_min", FactType::Float, Some(Unit::Watts), Stability::Stable, "Lowest power limit that can be set."),
    fact("gpus[].power.limit_max", FactType::Float, Some(Unit::Watts), Stability::Stable, "Highest power limit that can be set."),
    fact("gpus[].power.draw", FactType::Float, Some(Unit::Watts), Stability::Volatile, "Power drawn now."),
    fact("gpus[].temperature.current", FactType::Float, Some(Unit::Celsius), Stability::Volatile, "Temperature of the GPU now."),
    fact("gpus[].temperature.slowdown", FactType::Float, Some(Unit::Celsius), Stability::Stable, "Temperature at which the card slows itself down."),
    fact("gpus[].temperature.shutdown", FactType::Float, Some(Unit::Celsius), Stability::Stable, "Temperature at which the card shuts itself down."),
    fact("gpus[].temperature.max_operating", FactType::Float, Some(Unit::Celsius), Stability::Stable, "Highest temperature the card is specified for."),
    fact("gpus[].temperature.target", FactType::Float, Some(Unit::Celsius), Stability::Stable, "Temperature the card's own fan and clock control aims at."),
    fact("gpus[].utilization", FactType::Float, Some(Unit::Ratio), Stability::Volatile, "Share of the last sample in which a kernel ran."),
    fact("gpus[].throttle_reasons", FactType::Text, None, Stability::Volatile, "Why the clocks are held down now, comma-separated; empty when they are not."),
    fact("gpus[].performance_state", FactType::Int, None, Stability::Volatile, "Performance state now, 0 (fastest) to 15."),
    fact("gpus[].mig.enabled", FactType::Bool, None, Stability::Stable, "Whether the card is split into MIG instances."),
    fact("gpus[].mig.instances", FactType::Ints, None, Stability::Stable, "VRAM of each MIG instance, in bytes, in the driver's order."),
    fact("gpus[].ecc.enabled", FactType::Bool, None, Stability::Stable, "Whether error correction is on; where it takes VRAM the total is smaller."),
    fact("gpus[].numa_node", FactType::Int, None, Stability::Stable, "Index of the NUMA node nearest to the card."),
    fact("gpus[].display.attached", FactType::Bool, None, Stability::Stable, "Whether a display is plugged into the card."),
    fact("gpus[].display.active", FactType::Bool, None, Stability::Stable, "Whether the card drives a desktop, headless ones included."),
    fact("gpus[].driver_model", FactType::Text, None, Stability::Stable, "Windows' driver model of the card: `WDDM`, `TCC` or `MCDM`."),
    fact("gpus[].compute_mode", FactType::Text, None, Stability::Stable, "Who may use the card: `Default`, `Exclusive_Process`, `Prohibited`."),
    fact("gpus[].persistence_mode", FactType::Bool, None, Stability::Stable, "Whether the driver stays loaded without a client."),
    fact("gpu", FactType::Records, None, Stability::Stable, "The GPU that the workload runs on: every name below `gpus[]` also stands below `gpu`."),
    fact("gpu.index", FactType::Int, None, Stability::Stable, "Index into `gpus` of the GPU that the workload runs on: asked for, else the one with the most VRAM."),
    fact("driver.version", FactType::Text, None, Stability::Stable, "Version of the NVIDIA driver."),
    fact("driver.cuda", FactType::Text, None, Stability::Stable, "Newest CUDA version that the driver supports."),
    fact("disk.free", FactType::Int, Some(Unit::Bytes), Stability::Volatile, "Free space where the models lie."),
    fact("disk.total", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Size of the file system where the models lie."),
    fact("disk.kind", FactType::Text, None, Stability::Stable, "Kind of that disk: `nvme`, `ssd`, `hdd`, or `network` for one behind a protocol, such as Windows' disks in WSL."),
    fact("software.environment", FactType::Text, None, Stability::Stable, "Where the stack's Python has its packages: a `venv`, a `conda` environment, an `embedded` Python, or a `system` one of its own."),
    fact("software.python", FactType::Text, None, Stability::Stable, "Version of Python (`3.12` where no file says more), read from installed metadata; nothing is executed."),
    fact("software.torch", FactType::Text, None, Stability::Stable, "Version of PyTorch, read from installed metadata; nothing is executed."),
    fact("software.torch_cuda", FactType::Text, None, Stability::Stable, "Version of the CUDA toolkit PyTorch was built with, read from installed metadata; nothing is executed."),
    fact("software.cudnn", FactType::Text, None, Stability::Stable, "Version of cuDNN, read from installed metadata; nothing is executed."),
    fact("software.diffusers", FactType::Text, None, Stability::Stable, "Version of diffusers, read from installed metadata; nothing is executed."),
    fact("software.transformers", FactType::Text, None, Stability::Stable, "Version of transformers, read from installed metadata; nothing is executed."),
    fact("software.accelerate", FactType::Text, None, Stability::Stable, "Version of accelerate, read from installed metadata; nothing is executed."),
    fact("software.xformers", FactType::Text, None, Stability::Stable, "Version of xformers, read from installed metadata; nothing is executed."),
    fact("software.flash_attn", FactType::Text, None, Stability::Stable, "Version of FlashAttention, read from installed metadata; nothing is executed."),
    fact("software.sageattention", FactType::Text, None, Stability::Stable, "Version of SageAttention, read from installed metadata; nothing is executed."),
    fact("software.triton", FactType::Text, None, Stability::Stable, "Version of Triton, read from installed metadata; nothing is executed."),
    fact("software.bitsandbytes", FactType::Text, None, Stability::Stable, "Version of bitsandbytes, read from installed metadata; nothing is executed."),
    fact("software.torchao", FactType::Text, None, Stability::Stable, "Version of torchao, read from installed metadata; nothing is executed."),
    fact("software.comfyui", FactType::Text, None, Stability::Stable, "Version of ComfyUI, read from installed metadata; nothing is executed."),
    fact("models", FactType::Records, None, Stability::Stable, "Checkpoints found on disk, read from their headers."),
    fact("models[].name", FactType::Text, None, Stability::Stable, "Which model: `ti2v-5b`, `t2v-a14b`, …"),
    fact("models[].component", FactType::Text, None, Stability::Stable, "Which part of it: `dit`, `text_encoder`, `vae`."),
    fact("models[].dtype", FactType::Text, None, Stability::Stable, "Data type of most weights: `bf16`, `fp8_e4m3fn`, `q4_k`."),
    fact("models[].bytes", FactType::Int, Some(Unit::Bytes), Stability::Stable, "Bytes of all weights."),
    fact("models[].complete", FactType::Bool, None, Stability::Stable, "Whether every shard that the index names is there and whole."),
    fact("workload.model", FactType::Text, None, Stability::Stable, "Model to run; a row of `data.models`."),
    fact("workload.width", FactType::Int, Some(Unit::Pixels), Stability::Stable, "Width of the video."),
    fact("workload.height", FactType::Int, Some(Unit::Pixels), Stability::Stable, "Height of the video."),
    fact("workload.frames", FactType::Int, Some(Unit::Count), Stability::Stable, "Frames of the video; 4n + 1 for most models."),
    fact("workload.steps", FactType::Int, Some(Unit::Count), Stability::Stable, "Denoising steps."),
    fact("workload.batch", FactType::Int, Some(Unit::Count), Stability::Stable, "Videos generated at once."),
    fact("workload.goal", FactType::Text, None, Stability::Stable, "What to favour: `speed`, `balanced` or `memory`."),
];

/// The row of a name, abstract (`gpus[].name`) or concrete (`gpus[0].name`, `gpu.name`).
pub fn find(name: &str) -> Option<&'static FactSpec> {
    let generic = generic(name);
    FACTS.iter().find(|spec| spec.name == generic)
}

/// The table's form of a concrete name: `gpus[0].name` and `gpu.name` → `gpus[].name`.
pub fn generic(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("gpu.").filter(|rest| *rest != "index") {
        return format!("gpus[].{rest}");
    }
    let mut out = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        match c {
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

impl FactType {
    /// Whether a value has the type. A whole number is a number.
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Int => value.is_i64(),
            Self::Float => value.is_number(),
            Self::Text => value.is_string(),
            Self::Ints => value.as_array().is_some_and(|items| items.iter().all(Value::is_i64)),
            Self::Records => value.is_array(),
        }
    }

    /// The type in words: "a whole number".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Ints => "a list of whole numbers",
            Self::Records => "a list",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sentences_end() {
        let mut names: Vec<_> = FACTS.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FACTS.len());
        for spec in FACTS {
            assert!(spec.doc.ends_with(['.', '…']), "{}", spec.name);
        }
    }

    #[test]
    fn the_selected_gpu_has_the_facts_of_every_gpu() {
        assert_eq!(find("gpu.vram.total").map(|s| s.name), Some("gpus[].vram.total"));
        assert_eq!(find("gpus[12].vram.total").map(|s| s.name), Some("gpus[].vram.total"));
        assert_eq!(find("gpu.index").map(|s| s.name), Some("gpu.index"));
        assert!(find("gpu.vrm.total").is_none());
    }
}
