//! Limits of the control groups that the process runs in, versions 1 and 2: memory, CPU time and the CPUs themselves.
//!
//! A limit binds every group below it, so the smallest on the way from the process's group to the root of the mount is
//! the one in force. In a container the path that the kernel names may lie outside the mount; then the mount is the group.

use super::files::Files;
use super::mounts::Mount;
use crate::diag::Finding;
use crate::facts::file::parse_cpu_list;
use crate::facts::{Facts, Origin};

/// Values from here on are ways to write "no limit".
const NO_LIMIT: u64 = 1 << 62;

/// The memory limit and the CPU quota of this process, and what the limit leaves: `ram.limit`, `cpu.quota` and
/// `ram.available`.
///
/// A limit that is no smaller than the RAM, when its size in bytes is given, is none. Without a
/// limit the fact is unknown. A file that does not hold a number is passed over with a `cgroup-malformed` note.
pub fn probe(files: &Files, ram: Option<u64>) -> Facts {
    let groups = groups(files);
    // Where nothing can be read of the group, nobody can tell.
    let none = if groups.is_empty() { "no control group can be read" } else { "no limit is set" };
    let mut facts = Facts::new(none);
    let (mut limits, mut quotas, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
    let (mut limit_is_clear, mut quota_is_clear) = (true, true);
    let binding = |limit: &u64| *limit < NO_LIMIT && ram.is_none_or(|ram| *limit < ram);
    for group in groups {
        for folder in &group.folders {
            let memory = match group.version {
                Version::One => number(files, format!("{folder}/memory.limit_in_bytes")),
                Version::Two => number(files, format!("{folder}/memory.max")),
            };
            let quota = match group.version {
                Version::One => quota_v1(files, folder),
                Version::Two => quota_v2(files, format!("{folder}/cpu.max")),
            };
            if let Ok(Some(limit)) = &memory
                && binding(limit)
            {
                rooms.extend(used(files, folder, group.version).map(|used| limit.saturating_sub(used)));
            }
            limit_is_clear &= note(&mut facts, memory, &mut limits);
            quota_is_clear &= note(&mut facts, quota, &mut quotas);
        }
    }
    let absence = |is_clear: bool| if is_clear { none } else { "a file of the control group holds no limit" };
    match limits.into_iter().filter(binding).min() {
        Some(limit) => facts.know("ram.limit", limit, Origin::Sysinfo),
        None => facts.unknown("ram.limit", absence(limit_is_clear)),
    }
    if let Some(room) = rooms.into_iter().min() {
        facts.know("ram.available", room, Origin::Sysinfo);
    }
    match quotas.into_iter().min_by(f64::total_cmp) {
        Some(quota) => facts.know("cpu.quota", quota, Origin::Sysinfo),
        None => facts.unknown("cpu.quota", absence(quota_is_clear)),
    }
    facts
}

/// The CPUs that the group leaves to its processes, by the system's numbers. `None` when no group on the way up names any.
pub fn cpuset(files: &Files) -> Option<Vec<i64>> {
    groups(files).iter().find_map(|group| {
        let names = match group.version {
            Version::One => ["cpuset.effective_cpus", "cpuset.cpus"].as_slice(),
            Version::Two => &["cpuset.cpus.effective"],
        };
        let mut paths =
            group.folders.iter().flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}")));
        paths.find_map(|path| parse_cpu_list(&text(files, &path)?).filter(|cpus| !cpus.is_empty()))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    One,
    Two,
}

/// The mounts of control groups and of the root; of the others nothing is read, for their names may be anyone's.
pub fn mountinfo(files: &Files) -> String {
    let wanted = |line: &str| line.contains(" - cgroup") || line.split(' ').nth(4) == Some("/");
    files.lines("proc/self/mountinfo", wanted).unwrap_or_default()
}

// A group of the process and those it lies in, innermost first.
struct Group {
    version: Version,
    folders: Vec<String>,
}

fn groups(files: &Files) -> Vec<Group> {
    let (groups, mounts) = (files.text("proc/self/cgroup").unwrap_or_default(), mountinfo(files));
    let mut found = Vec::new();
    for line in groups.lines() {
        // `4:memory:/some/path`, or `0::/some/path` in version 2. The path may hold colons.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let version = if controllers.is_empty() { Version::Two } else { Version::One };
        let wanted = |controller: &&str| matches!(*controller, "memory" | "cpu" | "cpuset");
        let Some(controller) = controllers.split(',').find(wanted).or((version == Version::Two).then_some("")) else {
            continue;
        };
        if let Some(mount) = mounts.lines().filter_map(Mount::parse).find(|mount| mount.carries(version, controller)) {
            found.push(Group { version, folders: mount.folders(files, path) });
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
    fn folders(&self, files: &Files, path: &str) -> Vec<String> {
        let mount = self.at.trim_matches('/');
        let below = if self.inside == "/" { Some(path) } else { path.strip_prefix(self.inside) };
        let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
        let below = below.unwrap_or_default().trim_matches('/');
        let innermost = format!("{mount}/{below}");
        if below.is_empty() || below.split('/').any(|part| part == "..") || !files.is_folder(&innermost) {
            return vec![mount.to_owned()];
        }
        let ends = innermost.char_indices().filter(|(at, c)| *c == '/' && *at >= mount.len()).map(|(at, _)| at);
        ends.chain([innermost.len()]).rev().map(|end| innermost[..end].to_owned()).collect()
    }
}

/// What a file of limits holds that is none.
struct Malformed {
    path: String,
    text: String,
}

// Takes a limit over, or notes that it is none; says whether it is clear.
fn note<T>(facts: &mut Facts, limit: Result<Option<T>, Malformed>, limits: &mut Vec<T>) -> bool {
    match limit {
        Ok(limit) => {
            limits.extend(limit);
            true
        }
        Err(Malformed { path, text }) => {
            let message = format!("`/{path}` holds `{text}`, which is no limit; it is ignored");
            facts.findings.push(Finding::note("cgroup-malformed", message));
            false
        }
    }
}

// The file's text; `None` when the group has no such file, as the root group has none.
fn text(files: &Files, path: &str) -> Option<String> {
    Some(files.text(path).ok()?.trim().to_owned())
}

// A number of bytes above zero; a group without any memory could not run us.
fn number(files: &Files, path: String) -> Result<Option<u64>, Malformed> {
    match text(files, &path) {
        None => Ok(None),
        Some(text) if text == "max" || text == "-1" => Ok(None),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(Malformed { path, text }),
            Ok(limit) => Ok(Some(limit)),
        },
    }
}

// The memory in use without the part of the file cache that would be given up first.
fn used(files: &Files, folder: &str, version: Version) -> Option<u64> {
    let (usage, cache) = match version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file "),
        Version::Two => ("memory.current", "inactive_file "),
    };
    let usage = text(files, &format!("{folder}/{usage}"))?.parse::<u64>().ok()?;
    let stat = text(files, &format!("{folder}/memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.parse::<u64>().ok());
    Some(usage.saturating_sub(cache.unwrap_or(0)))
}

fn quota_v2(files: &Files, path: String) -> Result<Option<f64>, Malformed> {
    let Some(text) = text(files, &path) else { return Ok(None) };
    let (quota, period) = text.split_once(' ').unwrap_or((&text, "100000"));
    if quota == "max" {
        return Ok(None);
    }
    ratio(quota, period).map(Some).ok_or_else(|| Malformed { path, text: text.clone() })
}

fn quota_v1(files: &Files, folder: &str) -> Result<Option<f64>, Malformed> {
    let path = format!("{folder}/cpu.cfs_quota_us");
    let period = text(files, &format!("{folder}/cpu.cfs_period_us"));
    let (Some(quota), Some(period)) = (text(files, &path), period) else { return Ok(None) };
    if quota == "-1" {
        return Ok(None);
    }
    ratio(&quota, &period).map(Some).ok_or_else(|| Malformed { path, text: format!("{quota} of {period}") })
}

// CPUs' worth of time: microseconds granted by microseconds in the period.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.parse::<u32>().ok()?, period.trim().parse::<u32>().ok()?);
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{Machine, root};
    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    fn root_with(cgroup: &str, mounts: &str, files: &[(&str, &str)]) -> Machine {
        let own = [("proc/self/cgroup", cgroup), ("proc/self/mountinfo", mounts)];
        root(&own.iter().chain(files).copied().collect::<Vec<_>>())
    }

    fn probe_with(cgroup: &str, mounts: &str, files: &[(&str, &str)], ram: Option<u64>) -> Facts {
        probe(&root_with(cgroup, mounts, files), ram)
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
    fn the_innermost_group_that_names_cpus_is_asked() {
        let cpus = |cgroup, mounts, files: &[(&str, &str)]| cpuset(&root_with(cgroup, mounts, files));
        let v2 = [("sys/fs/cgroup/a/cpuset.cpus.effective", "0-1,8\n"), ("sys/fs/cgroup/a/b/x", "")];
        assert_eq!(cpus("0::/a/b\n", V2, &v2), Some(vec![0, 1, 8]));
        let mount = "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
        let v1 = [("sys/fs/cgroup/cpuset/x/cpuset.cpus", "2-3\n"), ("sys/fs/cgroup/cpuset/cpuset.cpus", "0-7\n")];
        assert_eq!(cpus("5:cpuset:/x\n", mount, &v1), Some(vec![2, 3]));
        let empty = [("sys/fs/cgroup/cpuset/x/cpuset.cpus", "\n"), v1[1]];
        assert_eq!(cpus("5:cpuset:/x\n", mount, &empty), Some((0..8).collect()));
        assert_eq!(cpus("0::/\n", V2, &[]), None);
    }

    #[test]
    fn ways_to_write_no_limit() {
        for (limit, ram) in [("max", None), ("4611686018427387904", None), ("4096", Some(4096)), ("8192", Some(4096))] {
            let facts = probe_with("0::/\n", V2, &[("sys/fs/cgroup/memory.max", limit)], ram);
            assert_eq!(limits(&facts), (None, None), "{limit}");
            assert_eq!(facts.reason("ram.limit"), "no limit is set");
            assert_eq!(facts.reason("cpu.quota"), "no limit is set");
        }
        assert_eq!(limits(&probe(&Files::below("/nowhere"), None)), (None, None));
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
        assert_eq!(facts.reason("cpu.quota"), "a file of the control group holds no limit");
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
