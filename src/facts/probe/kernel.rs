//! What the files of a Linux kernel say: the system's name, the processors, the memory and the limits.
//!
//! The saved files of another machine read the same way.

use serde_json::Value;

use super::cgroup;
use super::files::Files;
use crate::facts::{Facts, Origin};

mod cpus;
mod meminfo;
mod topology;

pub use cpus::allowed_cpus;
pub use topology::topology;

/// Why `host.model` is unknown.
pub const UNNAMED: &str = "the firmware does not name the machine";

/// What makers leave in the firmware when they do not name the machine.
const NO_MODEL: &[&str] =
    &["to be filled by o.e.m.", "system product name", "default string", "not specified", "o.e.m.", "none", "n/a"];

/// Words in the control group of process 1, or in the mount of the root, by which container engines are known.
const ENGINES: &[&str] = &["docker", "kubepods", "containerd", "libpod", "lxc", "garden", "buildkit", "/containers/"];

/// What container engines put into a container.
const TRACES: &[&str] = &[".dockerenv", "run/.containerenv", "run/systemd/container", "run/secrets/kubernetes.io"];

/// `host.*` without the architecture, `cpu.*` without the caches, and `ram.*`.
///
/// `container` stands for the variable of that name. What no file says is unknown; on another system that
/// is all but `host.container`.
pub fn read(files: &Files, container: Option<&str>) -> Facts {
    let mut facts = Facts::new("the kernel does not say");
    facts.know("host.container", in_container(files, container), Origin::Sysinfo);
    facts.know_or("host.model", model(files), Origin::Sysinfo);
    facts.know_or("host.os_version", distribution(files), Origin::Sysinfo);
    let release = lines(files, "proc/sys/kernel/osrelease", &[]).map(|release| release.trim().to_owned());
    facts.know_or("host.wsl", release.as_deref().map(is_wsl), Origin::Sysinfo);
    facts.know_or("host.kernel", release, Origin::Sysinfo);
    cpus::describe(&mut facts, files);
    meminfo::describe(&mut facts, files);
    limits(&mut facts, files);
    facts
}

// What the control group leaves may be less than what the machine has.
fn limits(facts: &mut Facts, files: &Files) {
    let size = |facts: &Facts, name: &str| facts.value(name).and_then(Value::as_u64);
    let limits = cgroup::probe(files, size(facts, "ram.total"));
    let room = size(&limits, "ram.available");
    if room.is_some() && room < size(facts, "ram.available") {
        facts.forget("ram.available");
    }
    facts.fill(limits);
}

/// The lines of a file that begin with one of these words; all of them without words.
///
/// # Errors
/// That it cannot be read, and why.
pub fn lines(files: &Files, path: &str, words: &[&str]) -> Result<String, String> {
    let wanted = |line: &str| words.is_empty() || words.iter().any(|word| line.starts_with(word));
    files.lines(path, wanted).map_err(|error| format!("`/{path}` cannot be read: {error}"))
}

/// Whether a kernel of this release runs inside WSL2.
pub fn is_wsl(release: &str) -> bool {
    release.to_lowercase().contains("microsoft")
}

fn in_container(files: &Files, container: Option<&str>) -> bool {
    let group = files.text("proc/1/cgroup").unwrap_or_default();
    let mounts = cgroup::mountinfo(files);
    // With a namespace of its own the group is `/`; the layers of an overlay still lie in the engine's folder.
    let overlay = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/") && line.contains(" - overlay "));
    let engine = |text: &str| ENGINES.iter().any(|engine| text.contains(engine));
    container.is_some_and(|engine| !engine.is_empty())
        || TRACES.iter().any(|trace| files.exists(trace))
        || engine(&group)
        || overlay.is_some_and(engine)
}

fn model(files: &Files) -> Result<String, &'static str> {
    let paths = ["sys/class/dmi/id/product_name", "proc/device-tree/model"];
    let mut texts = paths.iter().filter_map(|path| files.text(path).ok());
    texts.find_map(|text| model_name(&text)).ok_or(UNNAMED)
}

/// The machine's name as its firmware gives it; `None` where the maker left it out.
pub fn model_name(text: &str) -> Option<String> {
    let name = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!name.is_empty() && !NO_MODEL.contains(&name.to_lowercase().as_str())).then(|| name.to_owned())
}

// As sysinfo writes it: `Linux (Debian GNU/Linux 12)`.
fn distribution(files: &Files) -> Result<String, &'static str> {
    let name = assigned(files, [("etc/os-release", "NAME"), ("etc/lsb-release", "DISTRIB_ID")]);
    let version = assigned(files, [("etc/os-release", "VERSION_ID"), ("etc/lsb-release", "DISTRIB_RELEASE")]);
    match (name, version) {
        (Some(name), Some(version)) => Ok(format!("Linux ({name} {version})")),
        (Some(name), None) => Ok(format!("Linux ({name})")),
        (None, _) => Err("no file names the distribution"),
    }
}

// The first of these shell variables that its file assigns.
fn assigned<const N: usize>(files: &Files, places: [(&str, &str); N]) -> Option<String> {
    places.into_iter().find_map(|(path, variable)| {
        let text = files.text(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))?;
        Some(value.replace('"', ""))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::root;
    use super::*;

    fn known(files: &[(&str, &str)], name: &str) -> Option<Value> {
        read(&root(files), None).value(name).cloned()
    }

    #[test]
    fn containers_leave_traces() {
        let said = |files: &[(&str, &str)], variable| read(&root(files), variable).value("host.container").cloned();
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
    fn the_kernel_of_wsl_names_its_maker() {
        let release = |text: &'static str| [("proc/sys/kernel/osrelease", text)];
        let wsl = release("5.15.167.4-microsoft-standard-WSL2\n");
        assert_eq!(known(&wsl, "host.wsl"), Some(true.into()));
        assert_eq!(known(&wsl, "host.kernel"), Some("5.15.167.4-microsoft-standard-WSL2".into()));
        assert_eq!(known(&release("6.8.0-51-generic\n"), "host.wsl"), Some(false.into()));
        assert_eq!(known(&[], "host.wsl"), None);
    }

    #[test]
    fn a_distribution_is_named_with_its_version_where_it_has_one() {
        let os = |text: &'static str| ("etc/os-release", text);
        let debian =
            os("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n");
        assert_eq!(known(&[debian], "host.os_version"), Some("Linux (Debian GNU/Linux 12)".into()));
        let arch = os("NAME=\"Arch Linux\"\nID=arch\n");
        assert_eq!(known(&[arch], "host.os_version"), Some("Linux (Arch Linux)".into()));
        let rolling = ("etc/lsb-release", "DISTRIB_ID=\"Arch\"\nDISTRIB_RELEASE=\"rolling\"\n");
        assert_eq!(known(&[arch, rolling], "host.os_version"), Some("Linux (Arch Linux rolling)".into()));
        assert_eq!(known(&[], "host.os_version"), None);
    }

    #[test]
    fn a_limit_leaves_less_than_the_machine_has() {
        let files = [
            ("proc/meminfo", "MemTotal: 4096 kB\nMemAvailable: 2048 kB\n"),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/memory.max", "3145728\n"),
            ("sys/fs/cgroup/memory.current", "2097152\n"),
        ];
        assert_eq!(known(&files, "ram.available"), Some(json!(1 << 20)));
        assert_eq!(known(&files, "ram.limit"), Some(json!(3 << 20)));
        let roomy = [files[0], files[1], files[2], files[3], ("sys/fs/cgroup/memory.current", "4096")];
        assert_eq!(known(&roomy, "ram.available"), Some(json!(2 << 20)));
    }

    #[test]
    fn bytes_that_are_no_text_cost_only_themselves() {
        let root = root(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "150000 100000\n")]);
        let mut mounts = b"30 23 8:1 / /media/caf\xe9 rw - ext4 /dev/sdb1 rw\n".to_vec();
        mounts.extend(b"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        std::fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        assert_eq!(read(&root, None).value("cpu.quota"), Some(&json!(1.5)));
    }
}
