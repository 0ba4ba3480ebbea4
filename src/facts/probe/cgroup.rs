//! Limits of the control groups that the process runs in, versions 1 and 2: memory and CPU time.
//!
//! A limit binds every group below it, so the smallest on the way from the process's group to the root of the mount is
//! the one in force. In a container the path that the kernel names may lie outside the mount; then the mount is the group.

use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::Mount;
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

/// Values from here on are ways to write "no limit".
const NO_LIMIT: u64 = 1 << 62;

/// The memory limit and the CPU quota of this process, and what the limit leaves: `ram.limit`, `cpu.quota` and
/// `ram.available`.
///
/// `root` stands for `/`. A limit that is no smaller than the RAM, when its size in bytes is given, is none. Without a
/// limit the fact is unknown. A file that does not hold a number is passed over with a `cgroup-malformed` note.
pub fn probe(root: &Path, ram: Option<u64>) -> Facts {
    let mut facts = Facts::new("no limit is set");
    let (mut limits, mut quotas, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
    let binding = |limit: &u64| *limit < NO_LIMIT && ram.is_none_or(|ram| *limit < ram);
    for group in groups(root) {
        for folder in &group.folders {
            let memory = match group.version {
                Version::One => number(&folder.join("memory.limit_in_bytes")),
                Version::Two => number(&folder.join("memory.max")),
            };
            let quota = match group.version {
                Version::One => quota_v1(folder),
                Version::Two => quota_v2(&folder.join("cpu.max")),
            };
            if let Ok(Some(limit)) = &memory
                && binding(limit)
            {
                rooms.extend(used(folder, group.version).map(|used| limit.saturating_sub(used)));
            }
            note(&mut facts, root, memory, &mut limits);
            note(&mut facts, root, quota, &mut quotas);
        }
    }
    match limits.into_iter().filter(binding).min() {
        Some(limit) => facts.know("ram.limit", limit, Origin::Sysinfo),
        None => facts.unknown("ram.limit", "no limit is set"),
    }
    if let Some(room) = rooms.into_iter().min() {
        facts.know("ram.available", room, Origin::Sysinfo);
    }
    match quotas.into_iter().min_by(f64::total_cmp) {
        Some(quota) => facts.know("cpu.quota", quota, Origin::Sysinfo),
        None => facts.unknown("cpu.quota", "no limit is set"),
    }
    facts
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    One,
    Two,
}

// A group of the process and those it lies in, innermost first.
struct Group {
    version: Version,
    folders: Vec<PathBuf>,
}

fn groups(root: &Path) -> Vec<Group> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut found = Vec::new();
    for line in groups.lines() {
        // `4:memory:/some/path`, or `0::/some/path` in version 2. The path may hold colons.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let version = if controllers.is_empty() { Version::Two } else { Version::One };
        let wanted = |controller: &&str| matches!(*controller, "memory" | "cpu");
        let Some(controller) = controllers.split(',').find(wanted).or((version == Version::Two).then_some("")) else {
            continue;
        };
        if let Some(mount) = mounts.lines().filter_map(Mount::parse).find(|mount| mount.carries(version, controller)) {
            found.push(Group { version, folders: mount.folders(root, path) });
        }
    }
    found
}

impl Mount<'_> {
    fn carries(&self, version: Version, controller: &str) -> bool {
        match version {
            Version::Two => self.kind == "cgroup2",
            Version::One => self.kind == "cgroup" && self.options.split(',').any(|option| option == controller),
        }
    }

    // The group's folder and those above it up to the mount. Only the mount when the group is not visible in it.
    fn folders(&self, root: &Path, path: &str) -> Vec<PathBuf> {
        let mount = root.join(self.at.trim_start_matches('/'));
        let below = if self.inside == "/" { Some(path) } else { path.strip_prefix(self.inside) };
        let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
        let below = Path::new(below.unwrap_or_default().trim_matches('/'));
        let hidden = below.components().any(|part| part == std::path::Component::ParentDir);
        let mut folder = mount.join(below);
        if hidden || !folder.is_dir() {
            return vec![mount];
        }
        let mut folders = Vec::new();
        loop {
            folders.push(folder.clone());
            if folder == mount || !folder.pop() {
                return folders;
            }
        }
    }
}

/// What a file of limits holds that is none.
struct Malformed {
    path: PathBuf,
    text: String,
}

fn note<T>(facts: &mut Facts, root: &Path, limit: Result<Option<T>, Malformed>, limits: &mut Vec<T>) {
    match limit {
        Ok(limit) => limits.extend(limit),
        Err(Malformed { path, text }) => {
            let path = Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
            let message = format!("`{}` holds `{text}`, which is no limit; it is ignored", path.display());
            facts.findings.push(Finding::note("cgroup-malformed", message));
        }
    }
}

// The file's text; `None` when the group has no such file, as the root group has none.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn malformed(path: &Path, text: String) -> Malformed {
    Malformed { path: path.to_owned(), text }
}

// A number of bytes above zero; a group without any memory could not run us.
fn number(path: &Path) -> Result<Option<u64>, Malformed> {
    match text(path) {
        None => Ok(None),
        Some(text) if text == "max" || text == "-1" => Ok(None),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(malformed(path, text)),
            Ok(limit) => Ok(Some(limit)),
        },
    }
}

// The memory in use without the part of the file cache that would be given up first.
fn used(folder: &Path, version: Version) -> Option<u64> {
    let (usage, cache) = match version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file "),
        Version::Two => ("memory.current", "inactive_file "),
    };
    let usage = text(&folder.join(usage))?.parse::<u64>().ok()?;
    let stat = text(&folder.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.parse::<u64>().ok());
    Some(usage.saturating_sub(cache.unwrap_or(0)))
}

fn quota_v2(path: &Path) -> Result<Option<f64>, Malformed> {
    let Some(text) = text(path) else { return Ok(None) };
    let (quota, period) = text.split_once(' ').unwrap_or((&text, "100000"));
    if quota == "max" {
        return Ok(None);
    }
    ratio(quota, period).map(Some).ok_or_else(|| malformed(path, text.clone()))
}

fn quota_v1(folder: &Path) -> Result<Option<f64>, Malformed> {
    let path = folder.join("cpu.cfs_quota_us");
    let (Some(quota), Some(period)) = (text(&path), text(&folder.join("cpu.cfs_period_us"))) else { return Ok(None) };
    if quota == "-1" {
        return Ok(None);
    }
    ratio(&quota, &period).map(Some).ok_or_else(|| malformed(&path, format!("{quota} of {period}")))
}

// CPUs' worth of time: microseconds granted by microseconds in the period.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.parse::<u32>().ok()?, period.trim().parse::<u32>().ok()?);
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    fn probe_with(cgroup: &str, mounts: &str, files: &[(&str, &str)], ram: Option<u64>) -> Facts {
        let root = tempfile::tempdir().unwrap();
        let own = [("proc/self/cgroup", cgroup), ("proc/self/mountinfo", mounts)];
        for (path, text) in own.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        probe(root.path(), ram)
    }

    fn limits(facts: &Facts) -> (Option<u64>, Option<f64>) {
        let value = |name| facts.value(name);
        (value("ram.limit").and_then(Value::as_u64), value("cpu.quota").and_then(Value::as_f64))
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_is_in_force() {
        let files = [
            ("sys/fs/cgroup/a.slice/memory.max", "1000\n"),
            ("sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a.slice/b:c/memory.max", "2000\n"),
            ("sys/fs/cgroup/a.slice/b:c/cpu.max", "max 100000\n"),
        ];
        let facts = probe_with("0::/a.slice/b:c\n", V2, &files, None);
        assert_eq!(limits(&facts), (Some(1000), Some(1.5)));
        assert!(facts.findings.is_empty());
    }

    #[test]
    fn version_one_has_its_own_files() {
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "4096\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
        ];
        let facts = probe_with("4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n", V1, &files, None);
        assert_eq!(limits(&facts), (Some(4096), Some(2.5)));
    }

    #[test]
    fn a_group_outside_the_mount_is_the_mount() {
        let files = [("sys/fs/cgroup/memory.max", "4096"), ("sys/fs/cgroup/cpu.max", "50000")];
        let container = "31 23 0:28 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for (cgroup, mounts) in [
            ("0::/docker/x\n", container),
            ("0::/../../kubepods/pod\n", V2),
            ("0::/not/here\n", V2),
            ("0::/docker/xy\n", container),
        ] {
            assert_eq!(limits(&probe_with(cgroup, mounts, &files, None)), (Some(4096), Some(0.5)), "{cgroup}");
        }
    }

    #[test]
    fn what_a_limit_leaves_counts_the_cache_as_free() {
        let files = [
            ("sys/fs/cgroup/a/memory.max", "10000"),
            ("sys/fs/cgroup/a/memory.current", "7000"),
            ("sys/fs/cgroup/a/memory.stat", "anon 3000\ninactive_file 4000\n"),
            ("sys/fs/cgroup/memory.max", "9000"),
            ("sys/fs/cgroup/memory.current", "2500"),
        ];
        let facts = probe_with("0::/a\n", V2, &files, None);
        assert_eq!(facts.value("ram.available"), Some(&6500.into()));
        assert_eq!(facts.value("ram.limit"), Some(&9000.into()));
        assert_eq!(probe_with("0::/a\n", V2, &files, Some(1000)).value("ram.available"), None);
    }

    #[test]
    fn ways_to_write_no_limit() {
        for (limit, ram) in [("max", None), ("4611686018427387904", None), ("4096", Some(4096)), ("8192", Some(4096))] {
            let facts = probe_with("0::/\n", V2, &[("sys/fs/cgroup/memory.max", limit)], ram);
            assert_eq!(limits(&facts), (None, None), "{limit}");
            assert_eq!(facts.reason("ram.limit"), "no limit is set");
            assert_eq!(facts.reason("cpu.quota"), "no limit is set");
        }
        assert_eq!(limits(&probe(Path::new("/nowhere"), None)), (None, None));
    }

    #[test]
    fn what_is_no_number_is_passed_over_with_a_note() {
        let files = [
            ("sys/fs/cgroup/a/cpu.max", "600000 0"),
            ("sys/fs/cgroup/a/memory.max", "lots"),
            ("sys/fs/cgroup/memory.max", "4096"),
        ];
        let facts = probe_with("0::/a\n", V2, &files, None);
        assert_eq!(limits(&facts), (Some(4096), None));
        let messages: Vec<_> = facts.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`/sys/fs/cgroup/a/memory.max` holds `lots`, which is no limit; it is ignored",
                "`/sys/fs/cgroup/a/cpu.max` holds `600000 0`, which is no limit; it is ignored",
            ]
        );
    }
}
