//! What the operating system says of this machine: the files of a Linux kernel, Win32, and sysinfo on every system.

use std::env;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Product, RefreshKind, System};

use super::{contradictions, kernel};
use crate::facts::{Facts, Origin};

const NOTHING: &str = "the system does not say";

/// What both report, and the share by which it may differ.
const COMPARED: &[(&str, f64)] = &[("cpu.logical_cpus", 0.0), ("ram.total", 0.01), ("ram.swap_total", 0.01)];

/// `host.*`, `cpu.*` without the caches, and `ram.*`, of what the kernel's files and sysinfo say of one machine.
///
/// The files are believed first; what they do not say, or another system has no files for, sysinfo fills in.
pub fn join(kernel: Facts, sysinfo: Facts) -> Facts {
    let (mut facts, mut other) = (kernel, sysinfo);
    facts.findings.extend(contradictions(("the kernel's files", &facts), ("sysinfo", &other), COMPARED));
    if facts.value("ram.total").is_some() {
        // Kernels before 3.14 do not report it, and sysinfo makes it up then.
        other.forget("ram.available");
    }
    if other.value("cpu.model").is_some() {
        // sysinfo knows Arm's processors by their part number, where the kernel names the chip or the instruction set.
        facts.forget("cpu.model");
    }
    facts.fill(other);
    facts
}

/// What the system says of this machine: sysinfo, and on Windows what [`win32`](super::win32) reads of its processors.
pub fn ask() -> Facts {
    let sysinfo = sysinfo();
    let mut facts = processors(&sysinfo);
    facts.fill(sysinfo);
    facts
}

#[cfg(all(windows, target_pointer_width = "64"))]
fn processors(sysinfo: &Facts) -> Facts {
    let ram = sysinfo.value("ram.total").and_then(serde_json::Value::as_u64);
    super::win32::ask().and_then(|answer| super::win32::facts(&answer, ram)).unwrap_or_else(|why| {
        let mut facts = Facts::new(NOTHING);
        for family in ["cpu", "numa"] {
            facts.unknown(family, why.clone());
        }
        facts
    })
}

// Elsewhere hwloc and the kernel's files describe them.
#[cfg(not(all(windows, target_pointer_width = "64")))]
fn processors(_sysinfo: &Facts) -> Facts {
    Facts::new(NOTHING)
}

fn sysinfo() -> Facts {
    let mut facts = Facts::new(NOTHING);
    let text = |value: Result<String, sysinfo::Error>| value.ok().filter(|text| !text.trim().is_empty()).ok_or(NOTHING);
    facts.know("host.os", env::consts::OS, Origin::Sysinfo);
    facts.know("host.arch", architecture(), Origin::Sysinfo);
    facts.know_or("host.os_version", text(System::long_os_version()), Origin::Sysinfo);
    let kernel = text(System::kernel_version());
    let wsl = cfg!(target_os = "linux") && kernel.as_ref().is_ok_and(|kernel| kernel::is_wsl(kernel));
    facts.know("host.wsl", wsl, Origin::Sysinfo);
    facts.know_or("host.kernel", kernel, Origin::Sysinfo);
    let model = Product::name().ok().and_then(|name| kernel::model_name(&name));
    facts.know_or("host.model", model.ok_or(kernel::UNNAMED), Origin::Sysinfo);

    let wanted =
        RefreshKind::nothing().with_memory(MemoryRefreshKind::everything()).with_cpu(CpuRefreshKind::nothing());
    let system = match System::new_with_specifics(wanted) {
        Ok(system) => system,
        Err(error) => {
            for fact in ["ram.total", "ram.available", "ram.swap_total", "ram.swap_free"] {
                facts.unknown(fact, format!("the system does not say: {error}"));
            }
            return facts;
        }
    };
    if let Some(cpu) = system.cpus().first() {
        facts.know("cpu.logical_cpus", system.cpus().len(), Origin::Sysinfo);
        for (name, value) in [("cpu.model", cpu.brand()), ("cpu.vendor", cpu.vendor_id())] {
            let value = text(Ok(value.split_whitespace().collect::<Vec<_>>().join(" ")));
            facts.know_or(name, value, Origin::Sysinfo);
        }
    }
    let size = |bytes: u64| if bytes > 0 { Ok(bytes) } else { Err(NOTHING) };
    facts.know_or("ram.total", size(system.total_memory()), Origin::Sysinfo);
    facts.know_or("ram.available", size(system.available_memory()), Origin::Sysinfo);
    // No swap is an answer; of a system that does not even name its RAM it is none.
    let swap = |bytes: u64| if system.total_memory() > 0 { Ok(bytes) } else { Err(NOTHING) };
    facts.know_or("ram.swap_total", swap(system.total_swap()), Origin::Sysinfo);
    facts.know_or("ram.swap_free", swap(system.free_swap()), Origin::Sysinfo);
    facts
}

// As Linux distributions and NVIDIA name it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        architecture => architecture,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::files::Files;
    use super::*;

    #[test]
    fn this_machine_has_memory() {
        let facts = join(kernel::read(&Files::here(), None), ask());
        let total = facts.value("ram.total").and_then(Value::as_u64).unwrap();
        assert!(facts.value("ram.available").and_then(Value::as_u64).unwrap() <= total);
        assert!(facts.value("host.os").is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_and_sysinfo_agree_on_this_machine() {
        let kernel = kernel::read(&Files::here(), None);
        let other = ask();
        for name in ["host.kernel", "host.os_version", "host.wsl", "cpu.logical_cpus", "ram.total", "ram.swap_total"] {
            assert_eq!(kernel.value(name), other.value(name), "{name}");
        }
    }
}
