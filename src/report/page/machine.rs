//! A machine as its picture and table show it: nodes of memory with their L3 caches and CPUs, and the GPUs near them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::facts::Facts;
use crate::facts::units::{Unit, show};
use crate::report::human::count;

/// The machine.
#[derive(Debug)]
pub struct View {
    /// What its packages are called: the processor's model.
    pub model: String,
    /// Packages, `None` where nobody counts them.
    pub packages: Option<usize>,
    /// Cores and CPUs, and how many of them may be used, in words.
    pub cores: String,
    /// RAM in words.
    pub ram: String,
    /// The nodes, those of a package together; one that stands for the machine where nobody knows them.
    pub nodes: Vec<Node>,
    /// GPUs that lie at no known node.
    pub strays: Vec<Card>,
    /// Why there is no GPU to show; `None` where there is one.
    pub without_gpus: Option<String>,
    /// CPUs that the process may use; `None` where nobody says.
    pub allowed: Option<BTreeSet<i64>>,
}

/// A NUMA node.
#[derive(Debug)]
pub struct Node {
    /// `NUMA node 0`, or that nobody knows.
    pub name: String,
    /// Whether it is one that the system knows, and does not stand for all that are unknown.
    pub is_known: bool,
    /// Index of its package, where there are several and that of each node with CPUs is known.
    pub package: Option<usize>,
    /// Its memory in words.
    pub memory: String,
    /// Its CPUs.
    pub cpus: Vec<i64>,
    /// What of them shares a cache.
    pub domains: Vec<Domain>,
    /// The GPUs near it.
    pub cards: Vec<Card>,
}

/// CPUs that share an L3 cache, or of which nobody knows one.
#[derive(Debug)]
pub struct Domain {
    /// `L3 32 MiB`.
    pub name: String,
    /// Its CPUs within the node.
    pub cpus: Vec<i64>,
}

/// A GPU.
#[derive(Debug)]
pub struct Card {
    /// Index into `gpus`.
    pub index: usize,
    /// Product name.
    pub name: String,
    /// Its memory in words.
    pub vram: String,
    /// Its link in words.
    pub link: String,
    /// Slices that it is split into, in words.
    pub slices: Option<String>,
    /// Whether the workload runs on it.
    pub is_chosen: bool,
}

impl View {
    /// What the facts say.
    pub fn new(facts: &Facts) -> Self {
        let mut nodes = nodes(facts);
        let mut strays = Vec::new();
        for index in 0..facts.count("gpus").unwrap_or(0) {
            let near = number(facts, &format!("gpus[{index}].numa_node"));
            let listed = (0..nodes.len()).find(|node| {
                numbers(facts, &format!("numa.nodes[{node}].gpus")).is_some_and(|gpus| gpus.contains(&(index as i64)))
            });
            let of_index = |near: i64| {
                (0..nodes.len()).find(|node| number(facts, &format!("numa.nodes[{node}].index")) == Some(near))
            };
            match near.and_then(of_index).or(listed) {
                Some(node) => nodes[node].cards.push(Card::new(facts, index)),
                None => strays.push(Card::new(facts, index)),
            }
        }
        let packages = facts.count("cpu.packages");
        if packages.is_none_or(|packages| packages < 2)
            || nodes.iter().any(|node| node.package.is_none() && !node.cpus.is_empty())
        {
            nodes.iter_mut().for_each(|node| node.package = None);
        }
        nodes.sort_by_key(|node| node.package.unwrap_or(usize::MAX));
        if nodes.is_empty() {
            nodes.push(whole(facts));
        }
        Self {
            model: facts
                .value("cpu.model")
                .and_then(Value::as_str)
                .map_or_else(|| "processor unknown".to_owned(), squeezed),
            packages,
            cores: cores(facts),
            ram: bytes(facts, "ram.total").map_or_else(|| "RAM unknown".to_owned(), |ram| format!("{ram} of RAM")),
            nodes,
            strays,
            without_gpus: match facts.count("gpus") {
                None => Some(format!("GPUs unknown: {}", facts.reason("gpus"))),
                Some(0) => Some("No NVIDIA GPU".to_owned()),
                Some(_) => None,
            },
            allowed: numbers(facts, "cpu.allowed_cpus").map(BTreeSet::from_iter),
        }
    }

    /// Every GPU with the place of its node.
    pub fn cards(&self) -> impl Iterator<Item = (&Card, Option<&Node>)> {
        let mut cards: Vec<(&Card, Option<&Node>)> = self.strays.iter().map(|card| (card, None)).collect();
        cards.extend(self.nodes.iter().flat_map(|node| node.cards.iter().map(move |card| (card, Some(node)))));
        cards.sort_by_key(|(card, _)| card.index);
        cards.into_iter()
    }

    /// Whether each node is a package of its own although no fact says of which: as many of one as of the other, and each
    /// with CPUs.
    fn nodes_are_packages(&self) -> bool {
        self.packages.is_some_and(|packages| packages > 1 && packages == self.nodes.len())
            && self.nodes.iter().all(|node| node.package.is_none() && !node.cpus.is_empty())
    }

    /// What the package around a node is called; `None` where none is to be drawn.
    pub fn package_of(&self, node: &Node) -> Option<String> {
        node.package.map(|index| format!("Package {index}")).or(self.nodes_are_packages().then(|| "Package".to_owned()))
    }

    /// The nodes in parts: those of a package that has several, and those in between.
    pub fn parts(&self) -> impl Iterator<Item = &[Node]> {
        let near = |one: &Node, next: &Node| match (self.is_shared(one), self.is_shared(next)) {
            (true, true) => one.package == next.package,
            (one, next) => one == next,
        };
        self.nodes.chunk_by(near)
    }

    /// Whether a node lies in one package with others.
    pub fn is_shared(&self, node: &Node) -> bool {
        node.package.is_some() && self.nodes.iter().filter(|other| other.package == node.package).count() > 1
    }

    /// Whether a CPU may be used.
    pub fn is_allowed(&self, cpu: i64) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&cpu))
    }

    /// Whether there is a CPU that may not be used.
    pub fn has_forbidden(&self) -> bool {
        self.nodes
            .iter()
            .flat_map(|node| &node.domains)
            .flat_map(|domain| &domain.cpus)
            .any(|cpu| !self.is_allowed(*cpu))
    }

    /// Cores, CPUs and RAM in words.
    pub fn size(&self) -> String {
        format!("{}, {}", self.cores, self.ram)
    }

    /// Whether nobody knows which node lies in which package.
    pub fn is_open(&self) -> bool {
        let is_said = self.nodes_are_packages() || self.nodes.iter().any(|node| node.package.is_some());
        self.packages.is_some_and(|packages| packages > 1) && self.nodes.len() > 1 && !is_said
    }

    /// What its packages are, in words.
    pub fn package(&self) -> String {
        match self.packages {
            Some(1) => format!("Package: {}", self.model),
            Some(packages) => format!("{packages} packages: {}", self.model),
            None => format!("Packages unknown: {}", self.model),
        }
    }
}

fn nodes(facts: &Facts) -> Vec<Node> {
    let node = |place: usize| {
        let fact = |name: &str| format!("numa.nodes[{place}].{name}");
        let cpus = numbers(facts, &fact("cpus")).unwrap_or_default();
        Node {
            name: number(facts, &fact("index"))
                .map_or_else(|| "NUMA node of unknown number".to_owned(), |index| format!("NUMA node {index}")),
            is_known: true,
            package: facts.count(&fact("package")),
            memory: bytes(facts, &fact("memory")).unwrap_or_else(|| "memory unknown".to_owned()),
            domains: domains(facts, &cpus),
            cpus,
            cards: Vec::new(),
        }
    };
    (0..facts.count("numa.nodes").unwrap_or(0)).map(node).collect()
}

// What stands for the nodes where nobody knows them.
fn whole(facts: &Facts) -> Node {
    let mut cpus: Vec<i64> = (0..facts.count("cpu.l3_domains").unwrap_or(0))
        .flat_map(|domain| numbers(facts, &format!("cpu.l3_domains[{domain}].cpus")).unwrap_or_default())
        .chain(numbers(facts, "cpu.allowed_cpus").unwrap_or_default())
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    Node {
        name: "NUMA nodes unknown".to_owned(),
        is_known: false,
        package: None,
        memory: bytes(facts, "ram.total").unwrap_or_else(|| "memory unknown".to_owned()),
        domains: domains(facts, &cpus),
        cpus,
        cards: Vec::new(),
    }
}

// The L3 caches of these CPUs, and at the end the CPUs of which none is known.
fn domains(facts: &Facts, cpus: &[i64]) -> Vec<Domain> {
    let within: BTreeSet<i64> = cpus.iter().copied().collect();
    let mut rest = within.clone();
    let mut found = Vec::new();
    for index in 0..facts.count("cpu.l3_domains").unwrap_or(0) {
        let all = numbers(facts, &format!("cpu.l3_domains[{index}].cpus")).unwrap_or_default();
        let here: Vec<i64> = all.iter().copied().filter(|cpu| within.contains(cpu)).collect();
        if here.is_empty() {
            continue;
        }
        rest.retain(|cpu| !here.contains(cpu));
        let size =
            bytes(facts, &format!("cpu.l3_domains[{index}].size")).unwrap_or_else(|| "of unknown size".to_owned());
        let shared = if here.len() < all.len() { ", shared" } else { "" };
        found.push(Domain { name: format!("L3 {size}{shared}"), cpus: here });
    }
    if !rest.is_empty() {
        let name = match facts.count("cpu.l3_domains") {
            Some(_) => "no L3",
            None => "L3 unknown",
        };
        found.push(Domain { name: name.to_owned(), cpus: rest.into_iter().collect() });
    }
    found
}

impl Node {
    /// `NUMA node 4, package 1`.
    pub fn place(&self) -> String {
        let package = self.package.map_or_else(String::new, |index| format!(", package {index}"));
        format!("{}{package}", self.name)
    }
}

impl Card {
    fn new(facts: &Facts, index: usize) -> Self {
        let fact = |name: &str| format!("gpus[{index}].{name}");
        let is = |name: &str| facts.value(&fact(name)).and_then(Value::as_bool) == Some(true);
        let vram = match bytes(facts, &fact("vram.total")) {
            Some(vram) => format!("{vram} of VRAM"),
            None if is("vram.unified") => "shares the RAM".to_owned(),
            None => "VRAM unknown".to_owned(),
        };
        let slices = numbers(facts, &fact("mig.instances")).filter(|slices| is("mig.enabled") && !slices.is_empty());
        let slices = slices.map(|mut slices| {
            slices.sort_unstable();
            let size = |same: &[i64]| {
                let size = same.first().map_or_else(String::new, |size| show(&(*size).into(), Some(Unit::Bytes)));
                format!("{} × {size}", same.len())
            };
            let sizes: Vec<String> = slices.chunk_by(|one, next| one == next).map(size).collect();
            format!("MIG {}", sizes.join(", "))
        });
        Self {
            index,
            name: facts
                .value(&fact("name"))
                .and_then(Value::as_str)
                .map_or_else(|| "a GPU without a name".to_owned(), str::to_owned),
            vram,
            link: link(facts, index),
            slices: slices.or_else(|| is("mig.enabled").then(|| "MIG, instances unknown".to_owned())),
            is_chosen: facts.gpu_index() == Some(index),
        }
    }
}

// `PCIe 4.0 ×16`, and what of it is missing now.
fn link(facts: &Facts, index: usize) -> String {
    let fact = |name: &str| number(facts, &format!("gpus[{index}].pcie.{name}"));
    let link = |generation: Option<i64>, width: Option<i64>| {
        let parts = [generation.map(|generation| format!("{generation}.0")), width.map(|width| format!("×{width}"))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let (most, now) = (link(fact("generation_max"), fact("width_max")), link(fact("generation"), fact("width")));
    match (most.as_str(), now.as_str()) {
        ("", "") => "PCIe unknown".to_owned(),
        ("", now) => format!("PCIe {now} now"),
        (most, now) if now.is_empty() || now == most => format!("PCIe {most}"),
        (most, now) => format!("PCIe {most}, now {now}"),
    }
}

fn cores(facts: &Facts) -> String {
    let fact = |name: &str| facts.count(&format!("cpu.{name}"));
    let mut parts = Vec::new();
    match (fact("performance_cores"), fact("efficiency_cores"), fact("physical_cores")) {
        (Some(fast), Some(slow), _) if slow > 0 => {
            parts.push(format!("{fast} performance and {}", count(slow, "efficiency core")));
        }
        (.., Some(cores)) => parts.push(count(cores, "core")),
        _ => parts.push("cores unknown".to_owned()),
    }
    parts.extend(fact("logical_cpus").map(|cpus| count(cpus, "CPU")));
    if let (Some(allowed), Some(all)) = (numbers(facts, "cpu.allowed_cpus"), fact("logical_cpus"))
        && allowed.len() < all
    {
        parts.push(format!("{} may be used", allowed.len()));
    }
    if let Some(quota) = facts.value("cpu.quota") {
        parts.push(format!("time of {} granted", show(quota, Some(Unit::Count))));
    }
    parts.join(", ")
}

/// CPUs as ranges: `0–7, 64–71`, or `0–76 in steps of 4`.
pub fn ranges(cpus: &[i64]) -> String {
    if let [first, second, .., last] = cpus {
        let step = second - first;
        if step > 1 && cpus.len() > 2 && cpus.windows(2).all(|pair| pair[1] - pair[0] == step) {
            return format!("{first}–{last} in steps of {step}");
        }
    }
    let runs: Vec<String> = runs(cpus)
        .iter()
        .map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}–{last}"),
            [] => String::new(),
        })
        .collect();
    if runs.is_empty() { "none".to_owned() } else { runs.join(", ") }
}

/// CPUs that follow on each other.
pub fn runs(cpus: &[i64]) -> Vec<&[i64]> {
    cpus.chunk_by(|one, next| one + 1 == *next).collect()
}

fn number(facts: &Facts, name: &str) -> Option<i64> {
    facts.value(name)?.as_i64()
}

fn numbers(facts: &Facts, name: &str) -> Option<Vec<i64>> {
    Some(facts.value(name)?.as_array()?.iter().filter_map(Value::as_i64).collect())
}

fn bytes(facts: &Facts, name: &str) -> Option<String> {
    facts.value(name).map(|value| show(value, Some(Unit::Bytes)))
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;

    #[test]
    fn cpus_are_shown_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 7, 64, 65]), "0–2, 7, 64–65");
        assert_eq!(ranges(&[1, 3, 5, 7]), "1–7 in steps of 2");
        assert_eq!((ranges(&[]).as_str(), ranges(&[4, 9]).as_str()), ("none", "4, 9"));
    }

    #[test]
    fn a_cache_that_spans_nodes_is_shared_and_cpus_without_one_stay() {
        let mut facts = Facts::new("nobody looked");
        facts.know("numa.nodes", 2, Origin::Hwloc);
        facts.know("numa.nodes[0].index", 0, Origin::Hwloc);
        facts.know("numa.nodes[0].cpus", vec![0, 1, 2], Origin::Hwloc);
        facts.know("numa.nodes[1].index", 8, Origin::Hwloc);
        facts.know("numa.nodes[1].cpus", vec![3], Origin::Hwloc);
        facts.know("cpu.l3_domains", 1, Origin::Hwloc);
        facts.know("cpu.l3_domains[0].size", 8 << 20, Origin::Hwloc);
        facts.know("cpu.l3_domains[0].cpus", vec![1, 2, 3], Origin::Hwloc);
        facts.know("gpus", 2, Origin::Nvml);
        facts.know("gpus[1].numa_node", 8, Origin::Nvml);
        let view = View::new(&facts);
        let said: Vec<Vec<String>> = view
            .nodes
            .iter()
            .map(|node| {
                node.domains.iter().map(|domain| format!("{}: {}", domain.name, ranges(&domain.cpus))).collect()
            })
            .collect();
        assert_eq!(said, [vec!["L3 8 MiB, shared: 1–2", "no L3: 0"], vec!["L3 8 MiB, shared: 3"]]);
        assert_eq!(view.nodes[1].name, "NUMA node 8");
        assert_eq!(view.nodes[1].cards[0].index, 1);
        assert_eq!(view.strays[0].index, 0);
    }

    // A machine of that many packages, with a node for each list of CPUs, in that package.
    fn nodes(packages: usize, nodes: &[(&[i64], Option<usize>)]) -> View {
        let mut facts = Facts::new("nobody looked");
        facts.know("cpu.packages", packages, Origin::Hwloc);
        facts.know("numa.nodes", nodes.len(), Origin::Hwloc);
        for (index, (cpus, package)) in nodes.iter().enumerate() {
            facts.know(format!("numa.nodes[{index}].index"), index, Origin::Hwloc);
            facts.know(format!("numa.nodes[{index}].cpus"), cpus.to_vec(), Origin::Hwloc);
            facts.know_or(format!("numa.nodes[{index}].package"), package.ok_or("nobody looked"), Origin::Hwloc);
        }
        View::new(&facts)
    }

    fn places(view: &View) -> Vec<Vec<String>> {
        view.parts().map(|nodes| nodes.iter().map(Node::place).collect()).collect()
    }

    #[test]
    fn nodes_stand_in_their_packages() {
        let view = nodes(3, &[(&[0], Some(0)), (&[1], Some(1)), (&[2], Some(0)), (&[], None), (&[3], Some(2))]);
        let want = [
            vec!["NUMA node 0, package 0", "NUMA node 2, package 0"],
            vec!["NUMA node 1, package 1", "NUMA node 4, package 2", "NUMA node 3"],
        ];
        assert_eq!(places(&view), want);
        let titles: Vec<Option<String>> = view.nodes.iter().map(|node| view.package_of(node)).collect();
        assert_eq!(titles.iter().flatten().collect::<Vec<_>>(), ["Package 0", "Package 0", "Package 1", "Package 2"]);
        assert!(!view.is_open());
        // Two packages that follow on each other.
        let view = nodes(2, &[(&[0], Some(0)), (&[1], Some(0)), (&[2], Some(1)), (&[3], Some(1))]);
        assert_eq!(places(&view).len(), 2);
    }

    #[test]
    fn packages_are_shown_where_there_are_several_and_all_are_known() {
        let view = nodes(1, &[(&[0], Some(0)), (&[1], Some(0))]);
        assert_eq!(
            (places(&view), view.is_open()),
            (vec![vec!["NUMA node 0".to_owned(), "NUMA node 1".to_owned()]], false)
        );
        let view = nodes(2, &[(&[0], Some(0)), (&[1], Some(1)), (&[2], None)]);
        assert!(view.is_open() && view.nodes.iter().all(|node| view.package_of(node).is_none()));
        // As many nodes as packages.
        let view = nodes(2, &[(&[0], None), (&[1], None)]);
        assert_eq!(view.package_of(&view.nodes[1]).as_deref(), Some("Package"));
        assert_eq!((view.nodes[1].place().as_str(), view.is_open()), ("NUMA node 1", false));
        // The process may use those of one package alone.
        let view = nodes(2, &[(&[4], Some(1))]);
        assert_eq!((places(&view)[0][0].as_str(), view.is_open()), ("NUMA node 0, package 1", false));
    }

    #[test]
    fn what_nobody_knows_is_said() {
        let view = View::new(&Facts::new("nobody looked"));
        assert_eq!(view.package(), "Packages unknown: processor unknown");
        assert_eq!((view.cores.as_str(), view.ram.as_str()), ("cores unknown", "RAM unknown"));
        assert_eq!(view.nodes[0].name, "NUMA nodes unknown");
        assert_eq!(view.without_gpus.as_deref(), Some("GPUs unknown: nobody looked"));
    }
}
