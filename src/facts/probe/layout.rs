//! A machine's processors, caches and nodes, as far as facts follow from them, whichever source shows them.

use std::collections::BTreeSet;

use crate::facts::{Facts, Origin};

/// Kinds of cores whose speeds differ by less than this share are alike: single cores of a kind are often rated a little
/// higher (preferred cores), which makes them no other kind of core.
const ALIKE: f64 = 0.85;

/// More CPUs or nodes than any machine numbers.
pub const MOST_INDEX: u64 = 1 << 16;

pub const NO_MEMORY: &str = "the topology holds no memory sizes";
pub const UNPLACED: &str = "the topology does not show which package has the CPUs of the node";

/// Numbers of CPUs or nodes.
pub type Set = BTreeSet<i64>;

/// The processors, caches and nodes of one machine.
#[derive(Debug)]
pub struct Layout {
    /// Who shows them.
    pub origin: Origin,
    /// The CPUs of each package; none where it has none, or nobody says which.
    pub packages: Vec<Set>,
    /// The CPUs of each core.
    pub cores: Vec<Set>,
    /// Those that are online.
    pub cpus: Set,
    /// Those that the process may use, and the nodes; none where nothing is closed to it.
    pub allowed: Option<Set>,
    pub allowed_nodes: Option<Set>,
    /// The L3 caches.
    pub caches: Vec<Cache>,
    /// Without those that are a GPU's memory.
    pub nodes: Vec<Node>,
    /// Memory that no node is named for.
    pub memory: Option<u64>,
    pub kinds: Vec<Kind>,
    /// PCI devices of any maker, and NVIDIA's display controllers among them.
    pub devices: usize,
    pub gpus: Vec<Gpu>,
    /// Of the machine, then of its packages.
    pub infos: Vec<(String, String)>,
    /// Facts and families that the source leaves open, and why; they are unknown whatever the rest says.
    pub open: Vec<(&'static str, String)>,
}

impl Layout {
    /// Nothing yet.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            packages: Vec::new(),
            cores: Vec::new(),
            cpus: Set::new(),
            allowed: None,
            allowed_nodes: None,
            caches: Vec::new(),
            nodes: Vec::new(),
            memory: None,
            kinds: Vec::new(),
            devices: 0,
            gpus: Vec::new(),
            infos: Vec::new(),
            open: Vec::new(),
        }
    }

    // Those that are online and that the process may use.
    fn allowed_cpus(&self) -> Set {
        let open = |cpu: &&i64| self.allowed.as_ref().is_none_or(|allowed| allowed.contains(cpu));
        self.cpus.iter().filter(open).copied().collect()
    }
}

#[derive(Debug)]
pub struct Cache {
    pub cpus: Set,
    pub size: Option<u64>,
}

#[derive(Debug)]
pub struct Node {
    pub number: i64,
    pub cpus: Set,
    pub memory: Option<u64>,
}

/// CPUs that are held to be alike, the faster the higher the rank.
#[derive(Debug)]
pub struct Kind {
    pub cpus: Set,
    pub rank: Option<i64>,
    /// `LinuxCapacity`, `FrequencyMaxMHz` and `CoreType`, as hwloc names them.
    pub infos: Vec<(String, String)>,
}

impl Kind {
    fn info(&self, name: &str) -> Option<&str> {
        self.infos.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
pub struct Gpu {
    /// The number in the name of the device's `nvml0` and `cuda0`.
    pub nvml: Option<usize>,
    pub cuda: Option<usize>,
    pub bus: String,
    /// The nodes it is near.
    pub near: Set,
}

/// Everything that the source shows: `cpu.*`, `numa.*` and the nodes' memory together as `ram.total`.
pub fn describe(facts: &mut Facts, layout: &Layout) {
    describe_cores(facts, layout);
    describe_caches(facts, layout);
    describe_nodes(facts, layout);
    for (name, why) in &layout.open {
        facts.forget(name);
        facts.unknown(*name, why);
    }
}

/// `cpu.*` without the caches.
pub fn describe_cores(facts: &mut Facts, layout: &Layout) {
    let Layout { origin, cores, cpus, .. } = layout;
    let allowed = layout.allowed_cpus();
    let usable = cores.iter().filter(|core| !core.is_disjoint(&allowed)).count();
    let mut count = |name: &str, number: usize, what: &str| {
        let number = if number > 0 { Ok(number) } else { Err(format!("the topology does not show {what}")) };
        facts.know_or(name, number, *origin);
    };
    count("cpu.packages", layout.packages.len(), "packages");
    count("cpu.physical_cores", cores.len(), "cores");
    count("cpu.logical_cpus", cpus.len(), "CPUs");
    count("cpu.allowed_cores", usable, "cores");
    let allowed = if cpus.is_empty() { Err("the topology does not show CPUs") } else { Ok(list(&allowed)) };
    facts.know_or("cpu.allowed_cpus", allowed, *origin);
    let fast = fastest(layout);
    facts.know_or("cpu.performance_cores", fast, *origin);
    facts.know_or("cpu.efficiency_cores", fast.map(|fast| cores.len() - fast), *origin);
}

fn list(set: &Set) -> Vec<i64> {
    set.iter().copied().collect()
}

// How many cores are of the fastest kind, or of one about as fast.
fn fastest(layout: &Layout) -> Result<usize, &'static str> {
    let Layout { cores, kinds, .. } = layout;
    if cores.is_empty() {
        return Err("the topology does not show cores");
    }
    if kinds.is_empty() {
        // A topology without kinds may be of a hybrid processor all the same: its slower cores have one thread each.
        let alike = cores.windows(2).all(|pair| pair[0].len() == pair[1].len());
        return if alike { Ok(cores.len()) } else { Err("the topology does not say which cores are the faster ones") };
    }
    if kinds.len() == 1 {
        return Ok(cores.len());
    }
    let different = |speeds: &Vec<f64>| speeds.windows(2).any(|pair| pair[0] != pair[1]);
    let speeds = |name: &str| -> Option<Vec<f64>> {
        let speeds: Option<Vec<f64>> = kinds.iter().map(|kind| kind.info(name)?.parse().ok()).collect();
        speeds.filter(different)
    };
    let ranks = || kinds.iter().map(|kind| kind.rank).collect::<Option<Vec<i64>>>();
    let (best, near): (usize, Vec<bool>) =
        if let Some(speeds) = speeds("LinuxCapacity").or_else(|| speeds("FrequencyMaxMHz")) {
            let best = (0..kinds.len()).max_by(|&a, &b| speeds[a].total_cmp(&speeds[b])).unwrap_or(0);
            (best, speeds.iter().map(|speed| *speed >= speeds[best] * ALIKE).collect())
        } else if let Some(ranks) = ranks() {
            let best = (0..kinds.len()).max_by_key(|&kind| ranks[kind]).unwrap_or(0);
            (best, ranks.iter().map(|rank| *rank == ranks[best]).collect())
        } else {
            return Err("the topology does not rank its kinds of cores");
        };
    let same = |kind: &Kind| kind.info("CoreType") == kinds[best].info("CoreType");
    let fast: Vec<&Kind> =
        kinds.iter().zip(near).filter(|(kind, near)| *near && same(kind)).map(|(kind, _)| kind).collect();
    Ok(cores.iter().filter(|core| fast.iter().any(|kind| !kind.cpus.is_disjoint(core))).count())
}

/// `cpu.l3_domains`.
pub fn describe_caches(facts: &mut Facts, layout: &Layout) {
    let mut caches: Vec<&Cache> = layout.caches.iter().collect();
    caches.sort_by(|a, b| a.cpus.cmp(&b.cpus));
    facts.know("cpu.l3_domains", caches.len(), layout.origin);
    for (index, cache) in caches.into_iter().enumerate() {
        let size = cache.size.ok_or("the topology holds no size of this cache");
        facts.know_or(format!("cpu.l3_domains[{index}].size"), size, layout.origin);
        facts.know(format!("cpu.l3_domains[{index}].cpus"), list(&cache.cpus), layout.origin);
    }
}

// The nodes that the process may use, by number.
fn usable<'a>(layout: &'a Layout, allowed: &Set) -> Vec<&'a Node> {
    let open = |node: &&Node| {
        let listed = layout.allowed_nodes.as_ref().is_none_or(|open| open.contains(&node.number));
        listed || !node.cpus.is_disjoint(allowed)
    };
    let mut nodes: Vec<&Node> = layout.nodes.iter().filter(open).collect();
    nodes.sort_by_key(|node| node.number);
    nodes
}

// The index of the only package that has CPUs of the node.
fn package(node: &Node, packages: &[&Set]) -> Result<usize, &'static str> {
    if node.cpus.is_empty() {
        return Err("the node has no CPUs");
    }
    let mut having = (0..).zip(packages).filter(|(_, package)| !package.is_disjoint(&node.cpus));
    match (having.next(), having.next()) {
        (Some(_), Some(_)) => Err("the node has CPUs of several packages"),
        (Some((index, package)), None) if package.is_superset(&node.cpus) => Ok(index),
        _ => Err(UNPLACED),
    }
}

/// `numa.*`, and the nodes' memory together as `ram.total`.
pub fn describe_nodes(facts: &mut Facts, layout: &Layout) {
    let mut packages: Vec<&Set> = layout.packages.iter().filter(|cpus| !cpus.is_empty()).collect();
    packages.sort();
    let nodes = usable(layout, &layout.allowed_cpus());
    facts.know("numa.nodes", nodes.len(), layout.origin);
    for (index, node) in nodes.into_iter().enumerate() {
        let name = |fact: &str| format!("numa.nodes[{index}].{fact}");
        facts.know(name("index"), node.number, layout.origin);
        facts.know(name("cpus"), list(&node.cpus), layout.origin);
        facts.know_or(name("memory"), node.memory.ok_or(NO_MEMORY), layout.origin);
        facts.know_or(name("package"), package(node, &packages), layout.origin);
    }
    let total = layout.nodes.iter().filter_map(|node| node.memory).fold(0, u64::saturating_add);
    facts.know_or("ram.total", if total > 0 { Ok(total) } else { Err(NO_MEMORY) }, layout.origin);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_lies_in_the_package_that_has_its_cpus() {
        let nodes = [vec![4, 5], vec![0], vec![1, 2], vec![2, 4], vec![], vec![5, 6], vec![9]];
        let node =
            |(number, cpus): (i64, &Vec<i64>)| Node { number, cpus: cpus.iter().copied().collect(), memory: None };
        let layout = Layout {
            // One has no CPU that is online.
            packages: vec![Set::from([4, 5]), Set::new(), Set::from([0, 1, 2])],
            nodes: (0..).zip(&nodes).map(node).collect(),
            ..Layout::new(Origin::Hwloc)
        };
        let mut facts = Facts::new("nobody looked");
        describe(&mut facts, &layout);
        let packages = (0..nodes.len()).map(|node| {
            let name = format!("numa.nodes[{node}].package");
            facts.value(&name).and_then(serde_json::Value::as_i64).ok_or(facts.reason(&name))
        });
        let several = "the node has CPUs of several packages";
        let want = [Ok(1), Ok(0), Ok(0), Err(several), Err("the node has no CPUs"), Err(UNPLACED), Err(UNPLACED)];
        assert_eq!(packages.collect::<Vec<_>>(), want);
        assert_eq!(facts.value("cpu.packages"), Some(&3.into()));
    }
}
