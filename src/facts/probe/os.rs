//! What the operating system says of the machine: its own name, the processor, the memory.
//!
//! Sizes and names come through sysinfo, on every system alike; the rest from the files of a Linux kernel, below a folder
//! that stands for `/`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::facts::file::parse_cpu_list;
use crate::facts::{Facts, Origin};

/// What makers leave in the firmware when they do not name the machine.
const NO_MODEL: &[&str] =
    &["to be filled by o.e.m.", "system product name", "default string", "not specified", "o.e.m.", "none", "n/a"];

/// Words in the control group of process 1, or in the mount of the root, by which container engines are known.
const ENGINES: &[&str] = &["docker", "kubepods", "containerd", "libpod", "lxc", "garden", "buildkit", "/containers/"];

/// What container engines put into a container.
const TRACES: &[&str] = &[".dockerenv", "run/.containerenv", "run/systemd/container", "run/secrets/kubernetes.io"];

/// `host.*`, `cpu.*` as far as the system knows it, and `ram.*` without the limit, of this machine.
pub fn live() -> Facts {
    let mut facts = kernel(Path::new("/"), env::var("container").ok().as_deref());
    let text = |value: Result<String, sysinfo::Error>| {
        value.ok().filter(|text| !text.trim().is_empty()).ok_or("the system does not say")
    };
    facts.know("host.os", env::consts::OS, Origin::Sysinfo);
    facts.know("host.arch", architecture(), Origin::Sysinfo);
    facts.know_or("host.os_version", text(System::long_os_version()), Origin::Sysinfo);
    let kernel = text(System::kernel_version());
    let wsl = cfg!(target_os = "linux") && kernel.as_ref().is_ok_and(|kernel| is_wsl(kernel));
    facts.know("host.wsl", wsl, Origin::Sysinfo);
    facts.know_or("host.kernel", kernel, Origin::Sysinfo);

    let wanted =
        RefreshKind::nothing().with_memory(MemoryRefreshKind::everything()).with_cpu(CpuRefreshKind::nothing());
    let system = match System::new_with_specifics(wanted) {
        Ok(system) => system,
        Err(error) => {
            facts.unknown("ram", format!("the system does not say: {error}"));
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
    let size = |bytes: u64| if bytes > 0 { Ok(bytes) } else { Err("the system does not say") };
    facts.know_or("ram.total", size(system.total_memory()), Origin::Sysinfo);
    facts.know_or("ram.available", size(system.available_memory()), Origin::Sysinfo);
    facts.know("ram.swap_total", system.total_swap(), Origin::Sysinfo);
    facts.know("ram.swap_free", system.free_swap(), Origin::Sysinfo);
    facts
}

/// `host.container`, `host.model`, `cpu.packages` and `cpu.allowed_cpus` from the files of a Linux kernel.
///
/// `root` stands for `/`, `container` for the variable of that name. What another system does not have is unknown.
pub fn kernel(root: &Path, container: Option<&str>) -> Facts {
    let mut facts = Facts::new("the system does not say");
    facts.know("host.container", in_container(root, container), Origin::Sysinfo);
    facts.know_or("host.model", model(root), Origin::Sysinfo);
    facts.know_or("cpu.packages", packages(root), Origin::Sysinfo);
    facts.know_or("cpu.allowed_cpus", allowed_cpus(root), Origin::Sysinfo);
    facts
}

/// The CPUs that this process may run on, by the system's numbers: those of the affinity mask, which lies inside the
/// cpuset, that are online.
///
/// # Errors
/// The reason, when the kernel does not list them.
pub fn allowed_cpus(root: &Path) -> Result<Vec<i64>, String> {
    let path = "proc/self/status";
    let status = fs::read_to_string(root.join(path)).map_err(|error| format!("`/{path}` cannot be read: {error}"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed = list.and_then(parse_cpu_list).ok_or_else(|| format!("`/{path}` does not list them"))?;
    // The mask keeps CPUs that went offline.
    let online = fs::read_to_string(root.join("sys/devices/system/cpu/online")).ok();
    let online: Option<BTreeSet<i64>> = online.and_then(|list| parse_cpu_list(&list)).map(BTreeSet::from_iter);
    Ok(allowed.into_iter().filter(|cpu| online.as_ref().is_none_or(|online| online.contains(cpu))).collect())
}

/// Whether a kernel of this release runs inside WSL2.
fn is_wsl(release: &str) -> bool {
    release.to_lowercase().contains("microsoft")
}

// As Linux distributions and NVIDIA name it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        architecture => architecture,
    }
}

fn in_container(root: &Path, container: Option<&str>) -> bool {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (group, mounts) = (read("proc/1/cgroup"), read("proc/self/mountinfo"));
    // With a namespace of its own the group is `/`; the layers of an overlay still lie in the engine's folder.
    let overlay = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/") && line.contains(" - overlay "));
    let engine = |text: &str| ENGINES.iter().any(|engine| text.contains(engine));
    container.is_some_and(|engine| !engine.is_empty())
        || TRACES.iter().any(|trace| root.join(trace).exists())
        || engine(&group)
        || overlay.is_some_and(engine)
}

fn model(root: &Path) -> Result<String, &'static str> {
    let paths = ["sys/class/dmi/id/product_name", "proc/device-tree/model"];
    let texts = paths.iter().filter_map(|path| fs::read_to_string(root.join(path)).ok());
    texts
        .map(|text| text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
        .find(|text| !text.is_empty() && !NO_MODEL.contains(&text.to_lowercase().as_str()))
        .ok_or("the firmware does not name the machine")
}

// The different packages that online CPUs are in.
fn packages(root: &Path) -> Result<usize, &'static str> {
    let folder = root.join("sys/devices/system/cpu");
    let online = fs::read_to_string(folder.join("online")).ok().and_then(|list| parse_cpu_list(&list));
    let packages: Option<BTreeSet<String>> = online
        .unwrap_or_default()
        .iter()
        .map(|cpu| {
            let id = fs::read_to_string(folder.join(format!("cpu{cpu}/topology/physical_package_id"))).ok()?;
            // Some Arm kernels say -1.
            (!id.starts_with('-')).then_some(id)
        })
        .collect();
    packages.map(|packages| packages.len()).filter(|&count| count > 0).ok_or("the kernel does not say")
}

#[cfg(test)]
mod tests {
    use super::super::testing::root;
    use super::*;
    use serde_json::{Value, json};

    fn known(files: &[(&str, &str)], name: &str) -> Option<Value> {
        kernel(root(files).path(), None).value(name).cloned()
    }

    #[test]
    fn allowed_cpus_are_in_the_mask_and_online() {
        let status = ("proc/self/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,6-7\n");
        assert_eq!(known(&[status], "cpu.allowed_cpus"), Some(json!([0, 1, 2, 3, 6, 7])));
        let online = ("sys/devices/system/cpu/online", "1-6\n");
        assert_eq!(known(&[status, online], "cpu.allowed_cpus"), Some(json!([1, 2, 3, 6])));
        assert_eq!(
            allowed_cpus(root(&[("proc/self/status", "Name: x\n")]).path()).unwrap_err(),
            "`/proc/self/status` does not list them"
        );
        assert!(allowed_cpus(Path::new("/nowhere")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn containers_leave_traces() {
        let said =
            |files: &[(&str, &str)], variable| kernel(root(files).path(), variable).value("host.container").cloned();
        assert_eq!(said(&[("proc/1/cgroup", "0::/init.scope\n")], None), Some(false.into()));
        assert_eq!(said(&[], Some("")), Some(false.into()));
        assert_eq!(said(&[], Some("podman")), Some(true.into()));
        let disk =
            "25 1 8:2 / / rw - ext4 /dev/sda2 rw\n30 25 0:9 / /var/lib/docker/overlay2/x rw - overlay overlay rw\n";
        assert_eq!(said(&[("proc/self/mountinfo", disk)], None), Some(false.into()));
        let layers = "612 511 0:9 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/io/1/fs,upperdir=/u\n";
        for trace in [
            (".dockerenv", ""),
            ("run/.containerenv", ""),
            ("run/secrets/kubernetes.io/token", ""),
            ("proc/1/cgroup", "4:memory:/kubepods/pod1\n"),
            ("proc/self/mountinfo", layers),
        ] {
            assert_eq!(said(&[trace], None), Some(true.into()), "{}", trace.0);
        }
    }

    #[test]
    fn a_model_that_the_maker_left_out_is_unknown() {
        let dmi = "sys/class/dmi/id/product_name";
        assert_eq!(known(&[(dmi, "ThinkStation P620\n")], "host.model"), Some("ThinkStation P620".into()));
        assert_eq!(known(&[(dmi, "To Be Filled By O.E.M.\n")], "host.model"), None);
        let jetson = ("proc/device-tree/model", "NVIDIA Jetson Orin\0");
        assert_eq!(known(&[jetson], "host.model"), Some("NVIDIA Jetson Orin".into()));
    }

    #[test]
    fn packages_are_counted_once() {
        let id = |cpu| format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
        let (a, b, c) = (id(0), id(1), id(3));
        let files = [("sys/devices/system/cpu/online", "0-1,3\n"), (&*a, "0\n"), (&*b, "36\n"), (&*c, "36\n")];
        assert_eq!(known(&files, "cpu.packages"), Some(2.into()));
        assert_eq!(known(&files[..3], "cpu.packages"), None);
        assert_eq!(known(&[files[0], (&a, "-1\n"), (&b, "-1\n"), (&c, "-1\n")], "cpu.packages"), None);
    }

    #[test]
    fn the_kernel_of_wsl_names_its_maker() {
        assert!(is_wsl("5.15.167.4-microsoft-standard-WSL2"));
        assert!(!is_wsl("6.8.0-51-generic"));
    }

    #[test]
    fn this_machine_has_memory() {
        let facts = live();
        let total = facts.value("ram.total").and_then(Value::as_u64).unwrap();
        assert!(facts.value("ram.available").and_then(Value::as_u64).unwrap() <= total);
        assert!(facts.value("host.os").is_some());
    }
}
