//! The table of all fact names, with type, unit, stability, origins, meaning and absence.
//!
//! The JSON Schema of a facts file, the names that expressions may read and the reference page all follow from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::FactType::{Bool, Float, Int, Ints, Records, Text, Texts};
use self::Stability::{Stable, Volatile};
use super::Origin;
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
    /// A list of texts.
    Texts,
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
    /// Whose word it may be; a facts file and the user may give any fact.
    pub origins: &'static [Origin],
    /// What it means, in one or two sentences.
    pub doc: &'static str,
    /// When it is unknown, as a clause after "when"; besides where all its sources are missing.
    pub absent: &'static str,
}

impl FactSpec {
    /// The name of its family, `gpu` for what stands below `gpus[]`.
    pub fn family(&self) -> &'static str {
        let end = self.name.find(['.', '[']).unwrap_or(self.name.len());
        match &self.name[..end] {
            "gpus" => "gpu",
            family => family,
        }
    }

    /// What it means, in which unit, and when it is unknown.
    pub fn description(&self) -> String {
        let unit = self.unit.map_or_else(String::new, |unit| format!(" In {unit}."));
        format!("{}{unit} Unknown when {}.", self.doc, self.absent)
    }
}

/// The families of facts, in the table's order, with what each is about.
pub const FAMILIES: &[(&str, &str)] = &[
    ("host", "The system and the machine it runs on"),
    ("cpu", "The processor, and what of it this process may use"),
    ("numa", "Nodes of memory and CPUs"),
    ("ram", "Memory and swap"),
    ("gpu", "NVIDIA GPUs"),
    ("driver", "The NVIDIA driver"),
    ("disk", "Where the models lie"),
    ("software", "Installed packages"),
    ("models", "Checkpoints"),
    ("installation", "The installation, which only `validate` looks at"),
    ("workload", "The question asked"),
];

const fn fact(
    name: &'static str,
    ty: FactType,
    unit: Option<Unit>,
    stability: Stability,
    origins: &'static [Origin],
    doc: &'static str,
    absent: &'static str,
) -> FactSpec {
    FactSpec { name, ty, unit, stability, origins, doc, absent }
}

const BYTES: Option<Unit> = Some(Unit::Bytes);
const BYTES_PER_SECOND: Option<Unit> = Some(Unit::BytesPerSecond);
const FLOP_PER_SECOND: Option<Unit> = Some(Unit::FlopPerSecond);
const CELSIUS: Option<Unit> = Some(Unit::Celsius);
const COUNT: Option<Unit> = Some(Unit::Count);
const PIXELS: Option<Unit> = Some(Unit::Pixels);
const SECONDS: Option<Unit> = Some(Unit::Seconds);
const RATIO: Option<Unit> = Some(Unit::Ratio);
const WATTS: Option<Unit> = Some(Unit::Watts);

const SYSTEM: &[Origin] = &[Origin::Sysinfo];
/// What the topology and the system both tell; the topology's word counts.
const CPU: &[Origin] = &[Origin::Hwloc, Origin::Lscpu, Origin::Sysinfo];
/// What hwloc's files say besides the system.
const HOST: &[Origin] = &[Origin::Sysinfo, Origin::Hwloc];
const DRIVER: &[Origin] = &[Origin::Nvml, Origin::NvidiaSmi];
/// The bus tells that there is none.
const BUS: &[Origin] = &[Origin::Nvml, Origin::NvidiaSmi, Origin::Sysinfo];
const CARD: &[Origin] = &[Origin::Nvml, Origin::NvidiaSmi, Origin::Table];
/// A saved dump does not say it.
const NVML_OR_TABLE: &[Origin] = &[Origin::Nvml, Origin::Table];
const TABLE: &[Origin] = &[Origin::Table];
const INSTALLED: &[Origin] = &[Origin::Installed];
const CHECKPOINT: &[Origin] = &[Origin::Checkpoint];
const INSTALLATION: &[Origin] = &[Origin::Installation];
const MEASURED: &[Origin] = &[Origin::Measured];
const ASKED: &[Origin] = &[Origin::User];
const OF_THE_MODEL: &[Origin] = &[Origin::User, Origin::Table];
const NOBODY: &[Origin] = &[];

/// Every fact, by family.
#[rustfmt::skip]
pub const FACTS: &[FactSpec] = &[
    fact("host.os", Text, None, Stable, HOST, "Operating system: `linux`, `windows`, `macos`.", "the machine is known from a dump alone"),
    fact("host.os_version", Text, None, Stable, SYSTEM, "Name and version of the distribution or of Windows, as the system gives it.", "the system does not say"),
    fact("host.kernel", Text, None, Stable, HOST, "Kernel release; on Windows the build.", "the system does not say"),
    fact("host.arch", Text, None, Stable, HOST, "Processor architecture: `x86_64`, `aarch64`, `ppc64le`.", "the machine is known from a dump alone"),
    fact("host.wsl", Bool, None, Stable, SYSTEM, "Whether this is Linux inside WSL2, where the GPU's driver is Windows'.", "the machine is known from a dump alone"),
    fact("host.container", Bool, None, Stable, SYSTEM, "Whether the process runs in a container (Docker, Podman, LXC, Kubernetes).", "the machine is known from a dump alone"),
    fact("host.model", Text, None, Stable, HOST, "The machine's product name as its firmware gives it.", "the firmware does not name the machine"),
    fact("cpu.model", Text, None, Stable, HOST, "Model name of the first processor.", "the system does not name it"),
    fact("cpu.vendor", Text, None, Stable, HOST, "Vendor id: `AuthenticAMD`, `GenuineIntel`, or the implementer on Arm.", "the system does not name it"),
    fact("cpu.packages", Int, COUNT, Stable, CPU, "Processor packages (sockets).", "the kernel does not count them, as on some Arm boards"),
    fact("cpu.physical_cores", Int, COUNT, Stable, CPU, "Physical cores of the machine that are online, all packages together.", "neither hwloc nor the kernel tells cores from threads"),
    fact("cpu.logical_cpus", Int, COUNT, Stable, CPU, "Logical CPUs of the machine that are online (hardware threads).", "the machine is known from a dump of its GPUs alone"),
    fact("cpu.performance_cores", Int, COUNT, Stable, CPU, "Physical cores of the fastest kind; all of them when the cores are alike.", "nothing tells kinds of cores apart"),
    fact("cpu.efficiency_cores", Int, COUNT, Stable, CPU, "Physical cores of slower kinds; 0 when the cores are alike.", "nothing tells kinds of cores apart"),
    fact("cpu.allowed_cpus", Ints, None, Stable, CPU, "Logical CPUs that this process may use, by the system's number: online, in the cpuset and in the affinity mask.", "the system has no affinity mask to read, as on macOS"),
    fact("cpu.allowed_cores", Int, COUNT, Stable, CPU, "Physical cores with at least one allowed CPU.", "the allowed CPUs or the cores are unknown"),
    fact("cpu.quota", Float, COUNT, Stable, SYSTEM, "CPUs' worth of time per period that the cgroup grants.", "there is no quota, or no cgroup can be read"),
    fact("cpu.l3_domains", Records, None, Stable, CPU, "The L3 caches, in the order of their first CPU; none where the topology shows none.", "there is no topology"),
    fact("cpu.l3_domains[].size", Int, BYTES, Stable, CPU, "Size of the L3 cache.", "the topology has the cache without its size"),
    fact("cpu.l3_domains[].cpus", Ints, None, Stable, CPU, "Logical CPUs that share the L3 cache.", "the list is"),
    fact("numa.nodes", Records, None, Stable, CPU, "NUMA nodes with memory or CPUs that the process may use, by index. GPU memory exposed as a node is left out.", "the topology is unknown"),
    fact("numa.nodes[].index", Int, None, Stable, CPU, "The system's number of the node; not always from 0.", "the list is"),
    fact("numa.nodes[].cpus", Ints, None, Stable, CPU, "Logical CPUs of the node; may be empty.", "the list is"),
    fact("numa.nodes[].memory", Int, BYTES, Stable, CPU, "Memory of the node.", "the topology holds no sizes, or the size cannot be true"),
    fact("numa.nodes[].package", Int, None, Stable, CPU, "Index of the processor package that the node lies in, the packages in the order of their first CPU.", "the node has no CPUs, or has some of several packages, or the topology does not show whose they are"),
    fact("numa.nodes[].gpus", Ints, None, Stable, CPU, "Indices into `gpus` of the GPUs near the node.", "a GPU is placed at no node"),
    fact("ram.total", Int, BYTES, Stable, HOST, "Memory of the machine that the system manages; somewhat less than what is installed.", "the system does not say, or the size cannot be true"),
    fact("ram.limit", Int, BYTES, Stable, SYSTEM, "Memory limit of the cgroup.", "there is no limit, or no cgroup can be read"),
    fact("ram.available", Int, BYTES, Volatile, SYSTEM, "Memory that could be taken now without swapping.", "the kernel is older than 3.14"),
    fact("ram.swap_total", Int, BYTES, Stable, SYSTEM, "Swap space.", "the system does not say, or the machine is known from a dump alone"),
    fact("ram.swap_free", Int, BYTES, Volatile, SYSTEM, "Unused swap space.", "the system does not say, or the machine is known from a dump alone"),
    fact("gpus", Records, None, Stable, BUS, "NVIDIA GPUs in the driver's order (PCI bus order). Other makers' GPUs are not listed.", "no driver answers, though there may be a GPU"),
    fact("gpus[].name", Text, None, Stable, DRIVER, "Product name as the driver gives it.", "the driver does not know the card, or reports what is no name"),
    fact("gpus[].architecture", Text, None, Stable, CARD, "Architecture as NVIDIA names it: `Ada Lovelace`, `Hopper`.", "neither the driver nor the table knows the card"),
    fact("gpus[].compute_capability", Float, None, Stable, NVML_OR_TABLE, "CUDA compute capability, `8.9` for Ada. A saved dump has none: it comes from a table by PCI device id or exact name.", "neither the driver nor the table knows the card"),
    fact("gpus[].pci_device_id", Text, None, Stable, DRIVER, "PCI device and vendor id as eight hexadecimal digits, device first: `270410DE`.", "the driver does not report it for the card"),
    fact("gpus[].vram.total", Int, BYTES, Stable, DRIVER, "VRAM that the driver reports in all; less than the nominal size.", "the memory is unified, the driver older than 510, or the size one that cannot be true"),
    fact("gpus[].vram.reserved", Int, BYTES, Stable, DRIVER, "VRAM that the driver and firmware keep; part of the total, never allocatable.", "the memory is unified, or the driver older than 510"),
    fact("gpus[].vram.used", Int, BYTES, Volatile, DRIVER, "VRAM in use by all processes, without the reserved part.", "the memory is unified, or the driver older than 510"),
    fact("gpus[].vram.free", Int, BYTES, Volatile, DRIVER, "VRAM that nobody uses now.", "the memory is unified, or the driver older than 510"),
    fact("gpus[].vram.unified", Bool, None, Stable, DRIVER, "Whether the GPU has no memory of its own and shares the RAM (GB10, Jetson).", "the driver does not answer for the memory"),
    fact("gpus[].memory_bandwidth", Int, BYTES_PER_SECOND, Stable, TABLE, "Peak bandwidth of the VRAM, from the table of cards.", "the table does not know the card"),
    fact("gpus[].tensor_rate", Int, FLOP_PER_SECOND, Stable, TABLE, "Published rate of dense matrix products in 16 bits that are summed in 32, from the table of cards; reached by no program.", "the table does not know the card"),
    fact("gpus[].pcie.generation", Int, None, Volatile, DRIVER, "Current PCIe generation of the link; falls when the card idles.", "the driver does not report it for the card"),
    fact("gpus[].pcie.width", Int, COUNT, Volatile, DRIVER, "Current PCIe lanes of the link.", "the driver does not report it for the card"),
    fact("gpus[].pcie.generation_max", Int, None, Stable, DRIVER, "Highest PCIe generation that card and slot agree on.", "the driver does not report it for the card"),
    fact("gpus[].pcie.width_max", Int, COUNT, Stable, DRIVER, "Most PCIe lanes that card and slot agree on.", "the driver does not report it for the card"),
    fact("gpus[].power.limit", Float, WATTS, Stable, DRIVER, "Power limit in force.", "the driver does not report it for the card"),
    fact("gpus[].power.limit_default", Float, WATTS, Stable, DRIVER, "Power limit the card comes with.", "the driver does not report it for the card"),
    fact("gpus[].power.limit_min", Float, WATTS, Stable, DRIVER, "Lowest power limit that can be set.", "the driver does not report it for the card"),
    fact("gpus[].power.limit_max", Float, WATTS, Stable, DRIVER, "Highest power limit that can be set.", "the driver does not report it for the card"),
    fact("gpus[].power.draw", Float, WATTS, Volatile, DRIVER, "Power drawn now.", "the driver does not report it for the card"),
    fact("gpus[].temperature.current", Float, CELSIUS, Volatile, DRIVER, "Temperature of the GPU now.", "the driver does not report it for the card"),
    fact("gpus[].temperature.slowdown", Float, CELSIUS, Stable, DRIVER, "Temperature at which the card slows itself down.", "the driver does not report it for the card"),
    fact("gpus[].temperature.shutdown", Float, CELSIUS, Stable, DRIVER, "Temperature at which the card shuts itself down.", "the driver does not report it for the card"),
    fact("gpus[].temperature.max_operating", Float, CELSIUS, Stable, DRIVER, "Highest temperature the card is specified for.", "the driver does not report it for the card"),
    fact("gpus[].temperature.target", Float, CELSIUS, Stable, DRIVER, "Temperature the card's own fan and clock control aims at.", "the driver does not report it for the card"),
    fact("gpus[].utilization", Float, RATIO, Volatile, DRIVER, "Share of the last sample in which a kernel ran.", "the driver does not report it for the card"),
    fact("gpus[].throttle_reasons", Text, None, Volatile, DRIVER, "Why the clocks are held down now, comma-separated; empty when they are not.", "the driver does not report it for the card"),
    fact("gpus[].performance_state", Int, None, Volatile, DRIVER, "Performance state now, 0 (fastest) to 15.", "the driver does not report it for the card"),
    fact("gpus[].mig.enabled", Bool, None, Stable, DRIVER, "Whether the card is split into MIG instances.", "the driver does not report it for the card"),
    fact("gpus[].mig.instances", Ints, BYTES, Stable, DRIVER, "VRAM of each MIG instance, in the driver's order.", "the driver does not report it for the card"),
    fact("gpus[].ecc.enabled", Bool, None, Stable, DRIVER, "Whether error correction is on; where it takes VRAM the total is smaller.", "the driver does not report it for the card"),
    fact("gpus[].numa_node", Int, None, Stable, HOST, "Index of the NUMA node nearest to the card.", "the kernel places the card at none"),
    fact("gpus[].display.attached", Bool, None, Stable, DRIVER, "Whether a display is plugged into the card.", "the driver does not report it for the card"),
    fact("gpus[].display.active", Bool, None, Stable, DRIVER, "Whether the card drives a desktop, headless ones included.", "the driver does not report it for the card"),
    fact("gpus[].driver_model", Text, None, Stable, DRIVER, "Windows' driver model of the card: `WDDM`, `TCC` or `MCDM`.", "the system is not Windows"),
    fact("gpus[].compute_mode", Text, None, Stable, DRIVER, "Who may use the card: `Default`, `Exclusive_Process`, `Prohibited`.", "the driver does not report it for the card"),
    fact("gpus[].persistence_mode", Bool, None, Stable, DRIVER, "Whether the driver stays loaded without a client.", "the driver does not report it for the card"),
    fact("gpu", Records, None, Stable, NOBODY, "The GPU that the workload runs on: every name below `gpus[]` also stands below `gpu`.", "the machine has no GPU, or nobody knows"),
    fact("gpu.index", Int, None, Stable, ASKED, "Index into `gpus` of the GPU that the workload runs on: asked for, else the one with the most VRAM.", "nobody asked: the GPU with the most VRAM is taken"),
    fact("driver.version", Text, None, Stable, DRIVER, "Version of the NVIDIA driver.", "no driver answers"),
    fact("driver.cuda", Text, None, Stable, DRIVER, "Newest CUDA version that the driver supports.", "no driver answers, or one older than 418"),
    fact("disk.free", Int, BYTES, Volatile, SYSTEM, "Free space where the models lie.", "no installation is named, or its file system does not answer"),
    fact("disk.total", Int, BYTES, Stable, SYSTEM, "Size of the file system where the models lie.", "no installation is named, or its file system does not answer"),
    fact("disk.kind", Text, None, Stable, SYSTEM, "Kind of that disk: `nvme`, `ssd`, `hdd`, or `network` for one behind a protocol, such as Windows' disks in WSL.", "the disk is virtual, or made of disks of several kinds"),
    fact("disk.read_rate", Int, BYTES_PER_SECOND, Stable, MEASURED, "Rate at which `wan22-policy load` last read a checkpoint set of this installation from the disk, with several readers.", "nothing was loaded, or too little of it came from the disk to tell"),
    fact("software.environment", Text, None, Stable, INSTALLED, "Where the stack's Python has its packages: a `venv`, a `conda` environment, an `embedded` Python, or a `system` one of its own.", "no environment is found, or several are alike"),
    fact("software.python", Text, None, Stable, INSTALLED, "Version of Python; `3.12` where no file says more.", "no environment is found, or it does not name its Python"),
    fact("software.torch", Text, None, Stable, INSTALLED, "Version of PyTorch.", "it is not installed, or two versions are"),
    fact("software.torch_cuda", Text, None, Stable, INSTALLED, "Version of the CUDA toolkit PyTorch was built with.", "PyTorch is not installed, or built for the CPU or for ROCm"),
    fact("software.cudnn", Text, None, Stable, INSTALLED, "Version of cuDNN.", "it is not installed, or two versions are"),
    fact("software.diffusers", Text, None, Stable, INSTALLED, "Version of diffusers.", "it is not installed, or two versions are"),
    fact("software.transformers", Text, None, Stable, INSTALLED, "Version of transformers.", "it is not installed, or two versions are"),
    fact("software.accelerate", Text, None, Stable, INSTALLED, "Version of accelerate.", "it is not installed, or two versions are"),
    fact("software.xformers", Text, None, Stable, INSTALLED, "Version of xformers.", "it is not installed, or two versions are"),
    fact("software.flash_attn", Text, None, Stable, INSTALLED, "Version of FlashAttention.", "it is not installed, or two versions are"),
    fact("software.sageattention", Text, None, Stable, INSTALLED, "Version of SageAttention.", "it is not installed, or two versions are"),
    fact("software.triton", Text, None, Stable, INSTALLED, "Version of Triton.", "it is not installed, or two versions are"),
    fact("software.bitsandbytes", Text, None, Stable, INSTALLED, "Version of bitsandbytes.", "it is not installed, or two versions are"),
    fact("software.torchao", Text, None, Stable, INSTALLED, "Version of torchao.", "it is not installed, or two versions are"),
    fact("software.ftfy", Text, None, Stable, INSTALLED, "Version of ftfy.", "it is not installed, or two versions are"),
    fact("software.comfyui", Text, None, Stable, INSTALLED, "Version of ComfyUI.", "the installation is not ComfyUI"),
    fact("models", Records, None, Stable, CHECKPOINT, "Parts of Wan models found on disk, below the root of the installation or in the folder that `--models` names, by file: read from their headers, nothing is loaded or unpickled.", "the folder cannot be searched, or nobody looked"),
    fact("models[].file", Text, None, Stable, CHECKPOINT, "The file, or the index of its shards, from the root, or its whole path elsewhere; what cannot be printed is escaped.", "the list is"),
    fact("models[].name", Text, None, Stable, CHECKPOINT, "Which model, by tensors and shapes: a row of `data.models`; a part that several models share is `umt5-xxl`, `clip-vit-h`, `vae-2.1` or `vae-2.2`.", "several models have the same tensors and no name tells them apart, or no row of the table has them"),
    fact("models[].component", Text, None, Stable, CHECKPOINT, "Which part of it: `dit`, `text_encoder`, `image_encoder`, `vae`.", "the list is"),
    fact("models[].expert", Text, None, Stable, CHECKPOINT, "Which of the two transformers of an A14B model: `high_noise` or `low_noise`. Their tensors are alike, so it is the folder or file that says it.", "the model has one transformer, or no name says which"),
    fact("models[].dtype", Text, None, Stable, CHECKPOINT, "Data type of most weights, by bytes: `bf16`, `fp8_e4m3fn`, `q4_k`.", "the header does not say, or names a type that is not known"),
    fact("models[].dtypes", Text, None, Stable, CHECKPOINT, "Every data type in it, comma-separated, the one of most bytes first.", "the header does not say, or names a type that is not known"),
    fact("models[].parameters", Int, COUNT, Stable, CHECKPOINT, "Numbers in all weights, without the scales of a quantization.", "several are packed into one number, or a shard is missing"),
    fact("models[].bytes", Int, BYTES, Stable, CHECKPOINT, "Bytes of all weights, exactly.", "a shard is missing or cannot be read"),
    fact("models[].complete", Bool, None, Stable, CHECKPOINT, "Whether every shard that the index names is there and whole.", "a file cannot be read"),
    fact("installation.stack", Text, None, Volatile, INSTALLATION, "The stack, by its target: `wan22-ui`.", "no target recognises the files"),
    fact("installation.files", Texts, None, Volatile, INSTALLATION, "Files below the root, with `/` between the parts; folders end with `/`. Environments, caches and hidden folders are left out.", "nobody looked"),
    fact("installation.unwritable", Texts, None, Volatile, INSTALLATION, "Those of them that this user may not write, and `./` where it may add none to the root.", "nobody looked, or the system does not tell"),
    fact("installation.sources", Int, COUNT, Volatile, INSTALLATION, "Python sources that were read.", "nobody looked"),
    fact("installation.broken_sources", Texts, None, Volatile, INSTALLATION, "Those of them that Python cannot read.", "nobody looked"),
    fact("installation.unread_sources", Texts, None, Volatile, INSTALLATION, "Python sources that could not be looked into.", "nobody looked"),
    fact("installation.refusals", Texts, None, Volatile, INSTALLATION, "Codes of the findings at error about the machine and its plan, which refuse an apply.", "nobody looked"),
    fact("installation.configs", Texts, None, Volatile, INSTALLATION, "Config files of the stack that are there.", "no target recognises the files"),
    fact("installation.broken_configs", Texts, None, Volatile, INSTALLATION, "Config files of the stack that it cannot use as they are: broken, with a value that their schema does not allow, or missing though it needs them.", "no target recognises the files"),
    fact("installation.pipelines", Records, None, Volatile, INSTALLATION, "Wan models in the layout of diffusers, by their `model_index.json`.", "nobody looked"),
    fact("installation.pipelines[].folder", Text, None, Volatile, INSTALLATION, "Where the index lies, from the root; `.` at the root itself.", "the list is"),
    fact("installation.pipelines[].class", Text, None, Volatile, INSTALLATION, "Class of the pipeline.", "the index does not say"),
    fact("installation.pipelines[].parts", Texts, None, Volatile, INSTALLATION, "Parts that the index names.", "the list is"),
    fact("installation.pipelines[].missing", Texts, None, Volatile, INSTALLATION, "Parts that the index names and that have no folder.", "the list is"),
    fact("installation.pipelines[].unconfigured", Texts, None, Volatile, INSTALLATION, "Parts with a folder and without a config that can be read, though they are built from one.", "the list is"),
    fact("installation.pipelines[].mistaken", Texts, None, Volatile, INSTALLATION, "Parts whose own config names another class than the index.", "the list is"),
    fact("installation.pipelines[].expands_timesteps", Bool, None, Volatile, INSTALLATION, "Whether every token has its own timestep, as in TI2V-5B.", "the list is"),
    fact("installation.pipelines[].latent_channels", Int, COUNT, Volatile, INSTALLATION, "Channels of the VAE's latent video.", "the config of the VAE does not say"),
    fact("installation.pipelines[].in_channels", Int, COUNT, Volatile, INSTALLATION, "Channels that the transformer takes.", "its config does not say"),
    fact("installation.pipelines[].out_channels", Int, COUNT, Volatile, INSTALLATION, "Channels that the transformer gives.", "its config does not say"),
    fact("installation.pipelines[].text_width", Int, COUNT, Volatile, INSTALLATION, "Width of what the text encoder gives.", "its config does not say"),
    fact("installation.pipelines[].transformer_text_width", Int, COUNT, Volatile, INSTALLATION, "Width of the text that the transformer takes.", "its config does not say"),
    fact("installation.pipelines[].image_width", Int, COUNT, Volatile, INSTALLATION, "Width of what the image encoder gives.", "there is none, or its config does not say"),
    fact("installation.pipelines[].transformer_image_width", Int, COUNT, Volatile, INSTALLATION, "Width of the image that the transformer takes.", "it takes none, or its config does not say"),
    fact("installation.starts", Bool, None, Volatile, INSTALLATION, "Whether the stack answered when it was started.", "nobody has started it with `validate --start`"),
    fact("installation.start_time", Float, SECONDS, Volatile, MEASURED, "How long the stack takes from its start until it answers.", "nobody has started it with `validate --start`"),
    fact("installation.start_date", Text, None, Volatile, MEASURED, "When that was measured, RFC 3339 in UTC.", "nobody has started it with `validate --start`"),
    fact("installation.load_time", Float, SECONDS, Volatile, MEASURED, "How long the model takes from the disk into the page cache.", "nobody has loaded it with `load`"),
    fact("installation.load_date", Text, None, Volatile, MEASURED, "When that was measured, RFC 3339 in UTC.", "nobody has loaded it with `load`"),
    fact("installation.sample_time", Float, SECONDS, Volatile, INSTALLATION, "How long one look at what the monitor watches takes: memory and temperature of the GPU, RAM, CPUs.", "no driver answers"),
    fact("installation.video_time", Float, SECONDS, Volatile, NOBODY, "How long the video of the question takes, once the model is loaded.", "nobody has measured it; `--fact` says it"),
    fact("installation.video_vram", Int, BYTES, Volatile, NOBODY, "The most VRAM that the device reported while it was made.", "nobody has measured it; `--fact` says it"),
    fact("workload.model", Text, None, Stable, ASKED, "Model to run; a row of `data.models`.", "nothing is planned"),
    fact("workload.width", Int, PIXELS, Stable, OF_THE_MODEL, "Width of the video.", "nothing is planned"),
    fact("workload.height", Int, PIXELS, Stable, OF_THE_MODEL, "Height of the video.", "nothing is planned"),
    fact("workload.frames", Int, COUNT, Stable, OF_THE_MODEL, "Frames of the video; 4n + 1 for most models.", "nothing is planned"),
    fact("workload.steps", Int, COUNT, Stable, OF_THE_MODEL, "Denoising steps.", "nothing is planned"),
    fact("workload.passes", Int, COUNT, Stable, OF_THE_MODEL, "Passes of the transformer in each step: 2 with guidance, 1 without.", "nothing is planned, or the model's row does not say"),
    fact("workload.batch", Int, COUNT, Stable, ASKED, "Videos generated at once.", "nothing is planned"),
    fact("workload.goal", Text, None, Stable, ASKED, "What to favour: `speed`, `balanced` or `memory`.", "nothing is planned"),
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
            Self::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
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
            Self::Texts => "a list of texts",
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
    fn every_fact_is_of_a_family_in_the_order_of_families() {
        let place = |spec: &FactSpec| FAMILIES.iter().position(|(family, _)| *family == spec.family()).unwrap();
        assert!(FACTS.is_sorted_by_key(place));
    }

    #[test]
    fn the_selected_gpu_has_the_facts_of_every_gpu() {
        assert_eq!(find("gpu.vram.total").map(|s| s.name), Some("gpus[].vram.total"));
        assert_eq!(find("gpus[12].vram.total").map(|s| s.name), Some("gpus[].vram.total"));
        assert_eq!(find("gpu.index").map(|s| s.name), Some("gpu.index"));
        assert!(find("gpu.vrm.total").is_none());
    }
}
