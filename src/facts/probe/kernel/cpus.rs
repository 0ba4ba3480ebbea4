//! The processors, from sysfs and, where that is not there, from `/proc/cpuinfo`; and those that the process may use.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cgroup;
use super::super::files::Files;
use super::super::layout::{Kind, Layout, Set, describe_cores};
use super::lines;
use crate::facts::file::parse_cpu_list;
use crate::facts::{Facts, Origin};

const CPUINFO: &str = "proc/cpuinfo";
const STATUS: &str = "proc/self/status";
pub const CPUS: &str = "sys/devices/system/cpu";

/// The keys that the model stands under: on most processors, on POWER, and on an Arm board that names its chip. What Arm
/// gives in numbers (`CPU part`) is not looked up.
const MODEL: &[&str] = &["model name", "cpu", "Hardware"];

/// The keys that are read at all: of 384 CPUs the rest would fill a megabyte.
const READ: &[&str] = &["processor", "model name", "cpu", "Hardware", "vendor_id", "physical id", "core id"];

/// The lines of `/proc/self/status` that list the CPUs and the nodes. They are always read together, for what was read of
/// a file last is what is saved of it.
const ALLOWED: [&str; 2] = ["Cpus_allowed_list:", "Mems_allowed_list:"];

/// Where Intel's hybrid processors list the CPUs of each kind, the slowest kind first.
const HYBRID: [&str; 3] = ["cpu_lowpower", "cpu_atom", "cpu_core"];

/// `cpu.*` without the caches and the quota.
pub fn describe(facts: &mut Facts, files: &Files) {
    let cpuinfo = lines(files, CPUINFO, READ);
    for (fact, keys) in [("cpu.model", MODEL), ("cpu.vendor", &["vendor_id"])] {
        let value = cpuinfo.as_ref().map_err(String::clone).and_then(|cpuinfo| field(cpuinfo, keys));
        facts.know_or(fact, value, Origin::Sysinfo);
    }
    let cpuinfo = cpuinfo.unwrap_or_default();
    let mut layout = layout(files, &processors(&cpuinfo));
    let allowed = allowed_cpus(files);
    layout.allowed = allowed.as_ref().ok().cloned();
    describe_cores(facts, &layout);
    if let Err(why) = allowed {
        facts.unknown("cpu.allowed_cores", why.clone());
        facts.unknown("cpu.allowed_cpus", why);
    }
    if layout.kinds.is_empty() && online(files).is_none() {
        for fact in ["cpu.performance_cores", "cpu.efficiency_cores"] {
            facts.unknown(fact, format!("`/{CPUINFO}` does not tell kinds of cores apart"));
        }
    }
}

/// The CPUs that this process may run on, by the system's numbers: those of the affinity mask, which lies inside the
/// cpuset. They may name CPUs that are offline.
///
/// # Errors
/// The reason, when the kernel lists neither the mask nor the cpuset.
pub fn allowed_cpus(files: &Files) -> Result<Set, String> {
    let mask = lines(files, STATUS, &ALLOWED)
        .and_then(|status| listed(&status, ALLOWED[0]).ok_or_else(|| format!("`/{STATUS}` does not list them")));
    mask.or_else(|why| cgroup::cpuset(files).map(Set::from_iter).ok_or(why))
}

/// The NUMA nodes that this process may take memory from; `None` where the kernel does not list them.
pub fn allowed_nodes(files: &Files) -> Option<Set> {
    listed(&lines(files, STATUS, &ALLOWED).ok()?, ALLOWED[1])
}

fn listed(status: &str, key: &str) -> Option<Set> {
    let list = status.lines().find_map(|line| line.strip_prefix(key))?;
    parse_cpu_list(list).map(Set::from_iter)
}

fn layout(files: &Files, processors: &BTreeMap<i64, Processor>) -> Layout {
    let mut layout = Layout::new(Origin::Sysinfo);
    layout.cpus = online(files).unwrap_or_else(|| processors.keys().copied().collect());
    let cpus = &layout.cpus;
    let ids = package_ids(files, cpus).or_else(|| each(cpus, |cpu| processors.get(&cpu)?.package));
    layout.packages = by_id(cpus, ids);
    layout.cores = cores(files, cpus).or_else(|| cores_by_id(cpus, processors)).unwrap_or_default();
    layout.kinds = kinds(files, cpus);
    layout
}

/// The CPUs of each package, as far as sysfs numbers them; none where it leaves one out.
pub fn packages(files: &Files, cpus: &Set) -> Vec<Set> {
    by_id(cpus, package_ids(files, cpus))
}

fn package_ids(files: &Files, cpus: &Set) -> Option<Vec<i64>> {
    let id = |cpu| number(files, &format!("{CPUS}/cpu{cpu}/topology/physical_package_id"));
    // Some Arm kernels say -1.
    each(cpus, |cpu| id(cpu).filter(|id| *id >= 0))
}

fn by_id(cpus: &Set, ids: Option<Vec<i64>>) -> Vec<Set> {
    let mut packages: BTreeMap<i64, Set> = BTreeMap::new();
    for (cpu, id) in cpus.iter().zip(ids.into_iter().flatten()) {
        packages.entry(id).or_default().insert(*cpu);
    }
    packages.into_values().collect()
}

// By the threads that share a core. The numbers of cores repeat in every package, and on some in every die.
fn cores(files: &Files, cpus: &Set) -> Option<Vec<Set>> {
    let siblings = |cpu| list(files, &format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"));
    let cores = each(cpus, |cpu| Some(&siblings(cpu)? & cpus).filter(|core| core.contains(&cpu)))?;
    Some(BTreeSet::from_iter(cores).into_iter().collect())
}

fn cores_by_id(cpus: &Set, processors: &BTreeMap<i64, Processor>) -> Option<Vec<Set>> {
    let mut cores: BTreeMap<(i64, i64), Set> = BTreeMap::new();
    for cpu in cpus {
        let processor = processors.get(cpu)?;
        cores.entry((processor.package?, processor.core?)).or_default().insert(*cpu);
    }
    Some(cores.into_values().collect())
}

// None where the kernel does not tell kinds apart.
fn kinds(files: &Files, cpus: &Set) -> Vec<Kind> {
    let hybrid = (0..).zip(HYBRID).filter_map(|(rank, kind)| {
        let cpus = list(files, &format!("sys/devices/{kind}/cpus"))?;
        Some(Kind { cpus, rank: Some(rank), infos: Vec::new() })
    });
    let hybrid: Vec<Kind> = hybrid.collect();
    if !hybrid.is_empty() {
        return hybrid;
    }
    let capacities = each(cpus, |cpu| Some((cpu, number(files, &format!("{CPUS}/cpu{cpu}/cpu_capacity"))?)));
    let mut kinds: BTreeMap<i64, Set> = BTreeMap::new();
    for (cpu, capacity) in capacities.into_iter().flatten() {
        kinds.entry(capacity).or_default().insert(cpu);
    }
    let kind = |(capacity, cpus): (i64, Set)| {
        let infos = vec![("LinuxCapacity".to_owned(), capacity.to_string())];
        Kind { cpus, rank: None, infos }
    };
    kinds.into_iter().map(kind).collect()
}

pub fn online(files: &Files) -> Option<Set> {
    list(files, &format!("{CPUS}/online"))
}

// What every CPU has; none where one of them lacks it.
fn each<T>(cpus: &Set, read: impl Fn(i64) -> Option<T>) -> Option<Vec<T>> {
    cpus.iter().map(|cpu| read(*cpu)).collect()
}

pub fn number(files: &Files, path: &str) -> Option<i64> {
    files.text(path).ok()?.trim().parse().ok()
}

// A list of CPUs that names some.
pub fn list(files: &Files, path: &str) -> Option<Set> {
    let list = parse_cpu_list(&files.text(path).ok()?)?;
    (!list.is_empty()).then(|| Set::from_iter(list))
}

/// Where `/proc/cpuinfo` places a CPU. Virtual machines and Arm kernels leave it out.
#[derive(Default)]
struct Processor {
    package: Option<i64>,
    core: Option<i64>,
}

fn processors(cpuinfo: &str) -> BTreeMap<i64, Processor> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for (key, value) in pairs(cpuinfo) {
        let number = value.parse::<i64>().ok();
        if key == "processor" {
            current = number;
            found.extend(number.map(|number| (number, Processor::default())));
        } else if let Some(processor) = current.and_then(|number| found.get_mut(&number)) {
            match key {
                "physical id" => processor.package = number,
                "core id" => processor.core = number,
                _ => {}
            }
        }
    }
    found
}

// The first value under the first of the keys that has one, as one line of single spaces.
fn field(cpuinfo: &str, keys: &[&str]) -> Result<String, String> {
    let value = |key: &&str| pairs(cpuinfo).find(|(found, value)| found == key && !value.is_empty());
    let (_, value) = keys.iter().find_map(value).ok_or_else(|| format!("`/{CPUINFO}` does not name it"))?;
    Ok(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn pairs(cpuinfo: &str) -> impl Iterator<Item = (&str, &str)> {
    cpuinfo.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::testing::root;
    use super::*;

    fn facts(files: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::new("");
        describe(&mut facts, &root(files));
        facts
    }

    // The files of sysfs for CPUs with these packages and siblings.
    fn sysfs(online: &str, place: impl Fn(i64) -> (i64, String)) -> Vec<(String, String)> {
        let mut files = vec![(format!("{CPUS}/online"), format!("{online}\n"))];
        for cpu in parse_cpu_list(online).unwrap() {
            let (package, siblings) = place(cpu);
            files.push((format!("{CPUS}/cpu{cpu}/topology/physical_package_id"), format!("{package}\n")));
            files.push((format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"), format!("{siblings}\n")));
        }
        files
    }

    fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
    }

    fn counts(facts: &Facts) -> [Option<u64>; 4] {
        ["packages", "physical_cores", "logical_cpus", "allowed_cores"]
            .map(|name| facts.value(&format!("cpu.{name}")).and_then(Value::as_u64))
    }

    #[test]
    fn allowed_cpus_are_in_the_mask_and_online() {
        let allowed = |files: &[(&str, &str)]| {
            let facts = facts(files);
            facts.value("cpu.allowed_cpus").cloned().ok_or(facts.reason("cpu.allowed_cpus").to_owned())
        };
        let status = (STATUS, "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,6-7\n");
        let online = ("sys/devices/system/cpu/online", "1-6\n");
        assert_eq!(allowed(&[status, online]), Ok(json!([1, 2, 3, 6])));
        assert_eq!(allowed(&[status, (CPUINFO, "processor: 0\n\nprocessor: 4\n")]), Ok(json!([0])));
        assert_eq!(allowed(&[status]), Err("the topology does not show CPUs".to_owned()));
        assert_eq!(allowed(&[online, (STATUS, "Name: x\n")]), Err("`/proc/self/status` does not list them".to_owned()));
        assert!(allowed(&[online]).unwrap_err().starts_with("`/proc/self/status` cannot be read: "));
        let cpuset = [
            online,
            ("proc/self/cgroup", "0::/a\n"),
            ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/a/cpuset.cpus.effective", "0-1,5\n"),
        ];
        assert_eq!(allowed(&cpuset), Ok(json!([1, 5])));
    }

    #[test]
    fn one_cpu_is_a_machine() {
        let one = facts(&[(CPUINFO, "processor\t: 0\nmodel name\t: X\nphysical id\t: 0\ncore id\t: 0\n")]);
        assert_eq!(counts(&one), [Some(1), Some(1), Some(1), None]);
        let one = facts(&borrowed(&sysfs("0", |_| (0, "0".to_owned()))));
        assert_eq!(counts(&one)[..3], [Some(1); 3]);
    }

    #[test]
    fn a_machine_of_384_cpus_counts_each_core_once() {
        let mut files = sysfs("0-383", |cpu| ((cpu % 192) / 96, format!("{},{}", cpu % 192, cpu % 192 + 192)));
        files.push((STATUS.to_owned(), "Cpus_allowed_list:\t0-7,192\n".to_owned()));
        let facts = facts(&borrowed(&files));
        assert_eq!(counts(&facts), [Some(2), Some(192), Some(384), Some(8)]);
        assert_eq!(facts.value("cpu.performance_cores"), Some(&192.into()));
        assert_eq!(facts.value("cpu.efficiency_cores"), Some(&0.into()));
    }

    #[test]
    fn cores_that_lost_a_thread_are_still_cores() {
        // SMT off: the kernel may go on listing the siblings that are offline.
        let off = facts(&borrowed(&sysfs("0-3", |cpu| (0, format!("{cpu},{}", cpu + 4)))));
        assert_eq!(counts(&off)[..3], [Some(1), Some(4), Some(4)]);
        let hole = facts(&borrowed(&sysfs("1-2,5-7", |cpu| (cpu / 4, format!("{}-{}", cpu / 2 * 2, cpu / 2 * 2 + 1)))));
        assert_eq!(counts(&hole)[..3], [Some(2), Some(4), Some(5)]);
        assert_eq!(hole.value("cpu.performance_cores"), None);
    }

    #[test]
    fn what_sysfs_does_not_number_is_in_cpuinfo_or_unknown() {
        let mut files = sysfs("0-1", |cpu| (-1, cpu.to_string()));
        assert_eq!(counts(&facts(&borrowed(&files)))[..3], [None, Some(2), Some(2)]);
        let cpuinfo = "processor: 0\nphysical id: 0\n\nprocessor: 1\nphysical id: 6\n\nprocessor: 2\nphysical id: 7\n";
        files.push((CPUINFO.to_owned(), cpuinfo.to_owned()));
        assert_eq!(counts(&facts(&borrowed(&files)))[..3], [Some(2), Some(2), Some(2)]);
    }

    #[test]
    fn the_kernel_tells_fast_cores_from_slow_ones() {
        let speed = |facts: &Facts| {
            ["performance", "efficiency"].map(|kind| facts.value(&format!("cpu.{kind}_cores")).cloned())
        };
        let hybrid =
            |cpu: i64| (0, if cpu < 4 { format!("{}-{}", cpu / 2 * 2, cpu / 2 * 2 + 1) } else { cpu.to_string() });
        let mut files = sysfs("0-7", hybrid);
        assert_eq!(speed(&facts(&borrowed(&files))), [None, None]);
        files.push(("sys/devices/cpu_core/cpus".to_owned(), "0-3\n".to_owned()));
        files.push(("sys/devices/cpu_atom/cpus".to_owned(), "4-7\n".to_owned()));
        assert_eq!(speed(&facts(&borrowed(&files))), [Some(json!(2)), Some(json!(4))]);

        let mut files = sysfs("0-3", |cpu| (0, cpu.to_string()));
        for (cpu, capacity) in [(0, 462), (1, 462), (2, 1024), (3, 1010)] {
            files.push((format!("{CPUS}/cpu{cpu}/cpu_capacity"), format!("{capacity}\n")));
        }
        assert_eq!(speed(&facts(&borrowed(&files))), [Some(json!(2)), Some(json!(2))]);
    }

    #[test]
    fn every_architecture_names_its_model_elsewhere() {
        let model = |cpuinfo| facts(&[(CPUINFO, cpuinfo)]).value("cpu.model").cloned();
        let board = "processor: 0\nCPU part: 0xd08\n\nHardware\t: BCM2835\nModel\t: Raspberry Pi 4\n";
        assert_eq!(model(board), Some("BCM2835".into()));
        let arm = "processor\t: 0\nBogoMIPS\t: 62.50\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n";
        assert_eq!(model("processor: 0\nmodel\t: 8\nmodel name\t: A  CPU:  X\n"), Some("A CPU: X".into()));
        assert_eq!(
            model("processor: 0\ncpu: POWER9, altivec supported\n\nmodel: 8335\n"),
            Some("POWER9, altivec supported".into())
        );
        assert_eq!(model(arm), None);
        assert_eq!(model("hart : 1\nisa : rv64\n"), None);
    }

    #[test]
    fn files_of_anything_break_nothing() {
        for junk in ["", "\n\n", ":", "processor: x\nphysical id: 9\n", "processor\nprocessor:", "0-", "9999999999999"]
        {
            let files = [(CPUINFO, junk), (STATUS, junk), ("sys/devices/system/cpu/online", junk)];
            let facts = facts(&files);
            assert_eq!(counts(&facts)[1], None, "{junk}");
        }
        let nothing = facts(&[]);
        assert_eq!(nothing.reason("cpu.packages"), "the topology does not show packages");
        assert!(nothing.reason("cpu.model").starts_with("`/proc/cpuinfo` cannot be read: "));
    }
}
