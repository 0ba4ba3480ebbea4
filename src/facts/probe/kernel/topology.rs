//! Caches and NUMA nodes from sysfs, for a machine whose topology hwloc does not give.

use std::collections::BTreeMap;

use super::super::files::Files;
use super::super::layout::{Cache, Layout, Node, Set, describe_caches, describe_nodes};
use super::cpus::{self, CPUS, list, number};
use crate::facts::{Facts, Origin};

const NODES: &str = "sys/devices/system/node";

/// `cpu.l3_domains` and `numa.*` as far as sysfs shows them; what it does not show is left out.
///
/// Nodes without CPUs are not listed: sysfs does not tell the memory of a GPU from other memory.
pub fn topology(files: &Files) -> Facts {
    let mut facts = Facts::new("the kernel does not say");
    let mut layout = Layout::new(Origin::Sysinfo);
    layout.cpus = cpus::online(files).unwrap_or_default();
    layout.allowed = cpus::allowed_cpus(files).ok();
    layout.allowed_nodes = cpus::allowed_nodes(files);
    if let Some(caches) = caches(files, &layout.cpus) {
        layout.caches = caches;
        describe_caches(&mut facts, &layout);
    }
    layout.nodes = nodes(files, &layout.cpus);
    if !layout.nodes.is_empty() {
        layout.packages = cpus::packages(files, &layout.cpus);
        describe_nodes(&mut facts, &layout);
    }
    facts
}

// The L3 caches, each once; none where sysfs shows no cache at all, as in many virtual machines.
fn caches(files: &Files, cpus: &Set) -> Option<Vec<Cache>> {
    let mut seen = false;
    let mut caches: BTreeMap<Set, Option<u64>> = BTreeMap::new();
    for cpu in cpus {
        let folder = format!("{CPUS}/cpu{cpu}/cache");
        for index in files.names(&folder).iter().filter(|name| name.starts_with("index")) {
            let Some(level) = number(files, &format!("{folder}/{index}/level")) else { continue };
            seen = true;
            if level != 3 {
                continue;
            }
            let shared = list(files, &format!("{folder}/{index}/shared_cpu_list")).unwrap_or_default();
            let shared = Some(&shared & cpus).filter(|shared| shared.contains(cpu))?;
            caches.entry(shared).or_insert_with(|| size(&files.text(&format!("{folder}/{index}/size")).ok()?));
        }
    }
    seen.then(|| caches.into_iter().map(|(cpus, size)| Cache { cpus, size }).collect())
}

// `32768K` in bytes.
fn size(text: &str) -> Option<u64> {
    let kibibytes = text.trim().strip_suffix('K')?.parse::<u64>().ok()?;
    kibibytes.checked_mul(1024).filter(|size| *size > 0)
}

fn nodes(files: &Files, online: &Set) -> Vec<Node> {
    let node = |name: String| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        let cpus = &list(files, &format!("{NODES}/{name}/cpulist"))? & online;
        let memory = memory(files, &format!("{NODES}/{name}/meminfo"));
        Some(Node { number, cpus, memory }).filter(|node| !node.cpus.is_empty())
    };
    files.names(NODES).into_iter().filter_map(node).collect()
}

// `Node 0 MemTotal:  32542668 kB` in bytes.
fn memory(files: &Files, path: &str) -> Option<u64> {
    let total = files.lines(path, |line| line.contains(" MemTotal:")).ok()?;
    let kibibytes = total.split_once(':')?.1.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kibibytes.checked_mul(1024).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::layout::UNPLACED;
    use super::super::super::testing::root;
    use super::*;

    const STATUS: &str = "Cpus_allowed_list:\t0-1\nMems_allowed_list:\t0\n";

    fn machine(change: impl Fn(&mut Vec<(String, String)>)) -> Facts {
        let mut files: Vec<(String, String)> =
            vec![(format!("{CPUS}/online"), "0-2\n".to_owned()), ("proc/self/status".to_owned(), STATUS.to_owned())];
        for (cpu, package, shared) in [(0, 36, "0-1"), (1, 36, "0-1"), (2, 0, "2-3")] {
            files.push((format!("{CPUS}/cpu{cpu}/topology/physical_package_id"), format!("{package}\n")));
            let mut cache = |index: u32, level: u32, shared: &str, size: &str| {
                let place = format!("{CPUS}/cpu{cpu}/cache/index{index}");
                files.push((format!("{place}/level"), format!("{level}\n")));
                files.push((format!("{place}/shared_cpu_list"), format!("{shared}\n")));
                files.push((format!("{place}/size"), format!("{size}\n")));
            };
            cache(0, 1, &cpu.to_string(), "32K");
            cache(3, 3, shared, "32768K");
        }
        for (node, cpus) in [(0, "0-1"), (8, "2-3"), (9, "")] {
            files.push((format!("{NODES}/node{node}/cpulist"), format!("{cpus}\n")));
            let text = format!("Node {node} MemTotal:  8388608 kB\nNode {node} MemFree: 1 kB\n");
            files.push((format!("{NODES}/node{node}/meminfo"), text));
        }
        change(&mut files);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        topology(&root(&files))
    }

    #[test]
    fn caches_and_nodes_are_those_of_cpus_that_are_online() {
        let facts = machine(|_| {});
        let want = json!({
            "cpu": { "l3_domains": [{ "cpus": [0, 1], "size": 32 << 20 }, { "cpus": [2], "size": 32 << 20 }] },
            "numa": { "nodes": [{ "index": 0, "cpus": [0, 1], "memory": 8_u64 << 30, "package": 0 }] },
            "ram": { "total": 16_u64 << 30 },
        });
        assert_eq!(Value::Object(facts.to_tree()), want);
        let bound_to_both = machine(|files| files[1].1 = STATUS.replace("0\n", "0,8\n"));
        assert_eq!(bound_to_both.value("numa.nodes[1].index"), Some(&json!(8)));
        assert_eq!(bound_to_both.value("numa.nodes[1].cpus"), Some(&json!([2])));
        // The kernel's numbers of packages are in no order.
        assert_eq!(bound_to_both.value("numa.nodes[1].package"), Some(&json!(1)));
    }

    #[test]
    fn what_sysfs_does_not_show_is_left_out() {
        let without = |part: &str| machine(|files| files.retain(|(path, _)| !path.contains(part)));
        assert_eq!(without("/cache/").value("cpu.l3_domains"), None);
        assert_eq!(without("/index3/").value("cpu.l3_domains"), Some(&json!(0)));
        // A cache that does not say whose it is could be any.
        assert_eq!(without("shared_cpu_list").value("cpu.l3_domains"), None);
        assert_eq!(without("/size").value("cpu.l3_domains[0].size"), None);
        assert_eq!(without("/size").value("cpu.l3_domains[0].cpus"), Some(&json!([0, 1])));
        assert_eq!(without(NODES).value("numa.nodes"), None);
        assert_eq!(without("node/node0/meminfo").value("numa.nodes[0].memory"), None);
        assert_eq!(without("cpu2/topology").reason("numa.nodes[0].package"), UNPLACED);
        assert_eq!(without("/").iter().count(), 0);
    }

    #[cfg(all(target_os = "linux", feature = "hwloc"))]
    #[test]
    fn sysfs_and_hwloc_agree_on_this_machine() {
        use super::super::super::topology::{look, of_machine};

        let files = Files::here();
        let hwloc = of_machine(look().unwrap().layout(), &super::super::read(&files, None));
        let sysfs = topology(&files);
        for (name, _) in sysfs.iter().filter(|(name, _)| name.starts_with("numa.") || name.starts_with("cpu.")) {
            assert_eq!(sysfs.value(name), hwloc.value(name), "{name}");
        }
    }
}
