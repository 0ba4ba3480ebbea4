//! What Windows says of its processors, caches and NUMA nodes: the records of `GetLogicalProcessorInformationEx`.
//!
//! They are understood on every system; only `ask`, which Windows alone has, calls it.
//!
//! Source of the layout: the documentation of `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX` on a 64-bit Windows.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{self, Cache, Kind, Layout, MOST_INDEX, Node, Set};
use crate::facts::{Facts, Origin};

#[cfg(all(windows, target_pointer_width = "64"))]
mod ask;

#[cfg(all(windows, target_pointer_width = "64"))]
pub use self::ask::ask;

/// CPUs of a processor group. Windows numbers them in each group anew; here they go on, as in hwloc: the first CPU of
/// group 1 is 64.
const GROUP: i64 = 64;

/// Bytes of a record before what its kind alone has.
const HEAD: usize = 8;

/// Bytes of a `GROUP_AFFINITY`.
const AFFINITY: usize = 16;

const SEVERAL: &str = "Windows says of each node only how much of its memory is free";

/// What Windows answers about the processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Records of one call or of several, one after the other.
    pub records: Vec<u8>,
    /// The processor groups that this process may run in; empty where Windows does not say.
    pub groups: Vec<u16>,
    /// The affinity mask of this process in its group; 0 where it has several groups or Windows does not say.
    pub mask: u64,
}

/// `cpu.*` without names and the quota, and `numa.*`. `ram` is the machine's memory, all of which the only node has.
///
/// # Errors
/// The reason, when the records are not what they should be.
pub fn facts(answer: &Answer, ram: Option<u64>) -> Result<Facts, String> {
    let mut layout = read(answer)?;
    if let [node] = &mut layout.nodes[..] {
        node.memory = ram;
    }
    let mut facts = Facts::new("Windows does not say");
    layout::describe(&mut facts, &layout);
    facts.forget("ram.total");
    for node in 0..facts.count("numa.nodes").unwrap_or(0) {
        let memory = format!("numa.nodes[{node}].memory");
        if facts.value(&memory).is_none() && layout.nodes.len() > 1 {
            facts.unknown(memory, SEVERAL);
        }
    }
    Ok(facts)
}

/// The processors, caches and nodes. No node has its memory.
///
/// # Errors
/// The reason, when the records are not what they should be.
pub fn read(answer: &Answer) -> Result<Layout, String> {
    let mut layout = Layout::new(Origin::Sysinfo);
    let mut kinds: BTreeMap<u8, Set> = BTreeMap::new();
    // A node may be described once by its first group alone, and once by all of them.
    let mut nodes: BTreeMap<i64, Set> = BTreeMap::new();
    let mut rest = Bytes(&answer.records);
    while !rest.0.is_empty() {
        let (kind, record) = rest.record().ok_or_else(|| {
            format!("a record of Windows' processors is cut off at byte {}", answer.records.len() - rest.0.len())
        })?;
        let wrong = || format!("a record of Windows' processors (kind {kind}) is not of its form");
        match kind {
            // Processor cores.
            0 => {
                let cpus = record.cpus(32, record.number::<2>(30)).ok_or_else(wrong)?;
                kinds.entry(record.byte(9).ok_or_else(wrong)?).or_default().extend(&cpus);
                layout.cpus.extend(&cpus);
                layout.cores.push(cpus);
            }
            // Nodes, and those with all their groups where the call asks for them. Before Windows 11 the count of groups
            // is 0 and there is one.
            1 | 6 => {
                let number = record.number::<4>(8).filter(|number| *number < MOST_INDEX).ok_or_else(wrong)?;
                let number = i64::try_from(number).map_err(|_| wrong())?;
                let groups = record.number::<2>(30).map(|count| count.max(1));
                nodes.entry(number).or_default().extend(record.cpus(32, groups).ok_or_else(wrong)?);
            }
            2 => {
                let groups = record.number::<2>(38).map(|count| count.max(1));
                let cpus = record.cpus(40, groups).ok_or_else(wrong)?;
                let size = record.number::<4>(12).filter(|size| *size > 0);
                if record.byte(8) == Some(3) {
                    layout.caches.push(Cache { cpus, size });
                }
            }
            3 => {
                layout.packages.push(record.cpus(32, record.number::<2>(30)).ok_or_else(wrong)?);
            }
            // Groups, dies, modules, and what a later Windows adds.
            _ => {}
        }
    }
    if layout.cpus.is_empty() {
        return Err("Windows lists no processors".to_owned());
    }
    layout.nodes = nodes.into_iter().map(|(number, cpus)| Node { number, cpus, memory: None }).collect();
    let ranked = |(class, cpus): (u8, Set)| Kind { cpus, rank: Some(class.into()), infos: Vec::new() };
    layout.kinds = kinds.into_iter().map(ranked).collect();
    match allowed(answer, &layout.cpus) {
        Some(allowed) => layout.allowed = Some(allowed),
        None => {
            let why = "Windows does not say which processor groups this process may use";
            layout.open = ["cpu.allowed_cpus", "cpu.allowed_cores"].map(|name| (name, why.to_owned())).to_vec();
        }
    }
    Ok(layout)
}

// A process of several groups has no mask.
fn allowed(answer: &Answer, cpus: &Set) -> Option<Set> {
    let open: Set = match answer.groups[..] {
        // Before Windows 7, and on Wine, there are no groups to ask for.
        [] if answer.mask != 0 && cpus.iter().all(|cpu| *cpu < GROUP) => of_group(0, answer.mask).collect(),
        [] => return None,
        [group] if answer.mask != 0 => of_group(group, answer.mask).collect(),
        _ => {
            let groups: BTreeSet<i64> = answer.groups.iter().copied().map(i64::from).collect();
            cpus.iter().copied().filter(|cpu| groups.contains(&(cpu / GROUP))).collect()
        }
    };
    Some(&open & cpus)
}

fn of_group(group: u16, mask: u64) -> impl Iterator<Item = i64> {
    let first = i64::from(group) * GROUP;
    (0..GROUP).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| first + bit)
}

/// Bytes of which none is taken for granted.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    // The first record, which is then behind, and its kind.
    fn record(&mut self) -> Option<(u64, Self)> {
        let (kind, size) = (self.number::<4>(0)?, usize::try_from(self.number::<4>(4)?).ok()?);
        let record = self.0.get(..size).filter(|record| record.len() >= HEAD)?;
        self.0 = &self.0[size..];
        Some((kind, Bytes(record)))
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    // A number of that many bytes, the lowest first.
    fn number<const SIZE: usize>(self, at: usize) -> Option<u64> {
        let bytes = self.0.get(at..at.checked_add(SIZE)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    // What that many masks of groups name, from a place on.
    fn cpus(self, at: usize, groups: Option<u64>) -> Option<Set> {
        let mut cpus = Set::new();
        for place in 0..usize::try_from(groups?).ok()? {
            let at = at.checked_add(place.checked_mul(AFFINITY)?)?;
            let affinity = Bytes(self.0.get(at..at.checked_add(AFFINITY)?)?);
            let (mask, group) = (affinity.number::<8>(0)?, u16::try_from(affinity.number::<2>(8)?).ok()?);
            if u64::from(group) * GROUP.unsigned_abs() >= MOST_INDEX {
                return None;
            }
            cpus.extend(of_group(group, mask));
        }
        Some(cpus)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    // A record with these bytes after its head.
    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(HEAD + body.len()).unwrap();
        [&kind.to_le_bytes(), &size.to_le_bytes(), body].concat()
    }

    fn masks(groups: &[(u16, u64)]) -> Vec<u8> {
        groups
            .iter()
            .flat_map(|(group, mask)| [&mask.to_le_bytes()[..], &group.to_le_bytes(), &[0; 6]].concat())
            .collect()
    }

    fn count(groups: &[(u16, u64)]) -> [u8; 2] {
        u16::try_from(groups.len()).unwrap().to_le_bytes()
    }

    fn core(class: u8, groups: &[(u16, u64)]) -> Vec<u8> {
        record(0, &[&[0, class][..], &[0; 20], &count(groups), &masks(groups)].concat())
    }

    fn package(groups: &[(u16, u64)]) -> Vec<u8> {
        record(3, &[&[0; 22][..], &count(groups), &masks(groups)].concat())
    }

    fn node(number: u32, count: u16, groups: &[(u16, u64)]) -> Vec<u8> {
        record(1, &[&number.to_le_bytes()[..], &[0; 18], &count.to_le_bytes(), &masks(groups)].concat())
    }

    fn cache(level: u8, size: u32, count: u16, groups: &[(u16, u64)]) -> Vec<u8> {
        let head = [&[level, 16, 64, 0][..], &size.to_le_bytes(), &[0; 4]].concat();
        record(2, &[&head[..], &[0; 18], &count.to_le_bytes(), &masks(groups)].concat())
    }

    // `RelationGroup`, of which nothing is read.
    fn group() -> Vec<u8> {
        record(4, &[0; 72])
    }

    fn tree(answer: &Answer) -> Value {
        Value::Object(facts(answer, Some(32 << 30)).unwrap().to_tree())
    }

    #[test]
    fn cores_of_two_kinds_in_one_group() {
        // Two fast cores of two threads, two slow ones; each pair with an L3 cache of its own, as if the slow ones lay on a
        // chiplet; the count of groups is 0, as before Windows 11.
        let records = [
            core(1, &[(0, 0b11)]),
            cache(1, 32768, 0, &[(0, 0b11)]),
            core(1, &[(0, 0b1100)]),
            core(0, &[(0, 0b01_0000)]),
            core(0, &[(0, 0b10_0000)]),
            cache(3, 32 << 20, 0, &[(0, 0b1111)]),
            cache(3, 0, 1, &[(0, 0b11_0000)]),
            node(0, 0, &[(0, 0b11_1111)]),
            package(&[(0, 0b11_1111)]),
            group(),
        ];
        let answer = Answer { records: records.concat(), groups: vec![0], mask: 0b1011 };
        let want = json!({
            "cpu": {
                "packages": 1, "physical_cores": 4, "logical_cpus": 6, "performance_cores": 2, "efficiency_cores": 2,
                "allowed_cpus": [0, 1, 3], "allowed_cores": 2,
                "l3_domains": [{ "size": 32 << 20, "cpus": [0, 1, 2, 3] }, { "cpus": [4, 5] }],
            },
            "numa": { "nodes": [{ "index": 0, "cpus": [0, 1, 2, 3, 4, 5], "memory": 32_u64 << 30, "package": 0 }] },
        });
        assert_eq!(tree(&answer), want);
        assert_eq!(tree(&Answer { groups: Vec::new(), ..answer }), want);
    }

    // 2 packages of 64 cores with two threads each: 4 groups of 64 CPUs, a node of two groups for each package.
    fn large() -> Vec<u8> {
        let pairs = (0..4).flat_map(|group| (0..32).map(move |core| (group, 0b11 << (2 * core))));
        let mut records: Vec<u8> = pairs.flat_map(|pair| core(0, &[pair])).collect();
        for package_of in 0..2_u16 {
            let groups = [(2 * package_of, u64::MAX), (2 * package_of + 1, u64::MAX)];
            records.extend(package(&groups));
            records.extend(node(package_of.into(), 1, &groups[..1]));
            records.extend(node(package_of.into(), 2, &groups));
            records.extend(cache(3, 256 << 20, 2, &groups));
        }
        records
    }

    #[test]
    fn groups_count_on_from_one_another() {
        let answer = |groups: &[u16], mask| Answer { records: large(), groups: groups.to_vec(), mask };
        let whole = facts(&answer(&[0, 1, 2, 3], 0), Some(1 << 40)).unwrap();
        let number = |facts: &Facts, name: &str| facts.value(name).and_then(Value::as_u64);
        assert_eq!(number(&whole, "cpu.packages"), Some(2));
        assert_eq!(number(&whole, "cpu.physical_cores"), Some(128));
        assert_eq!(number(&whole, "cpu.logical_cpus"), Some(256));
        assert_eq!(number(&whole, "cpu.performance_cores"), Some(128));
        assert_eq!(number(&whole, "cpu.allowed_cores"), Some(128));
        assert_eq!(whole.value("cpu.l3_domains[1].cpus"), Some(&(128..256).collect::<Vec<_>>().into()));
        assert_eq!(whole.value("numa.nodes[1].cpus"), Some(&(128..256).collect::<Vec<_>>().into()));
        assert_eq!(whole.count("numa.nodes"), Some(2));
        assert_eq!([0, 1].map(|node| number(&whole, &format!("numa.nodes[{node}].package"))), [Some(0), Some(1)]);
        assert_eq!((whole.value("numa.nodes[0].memory"), whole.reason("numa.nodes[0].memory")), (None, SEVERAL));
        assert_eq!((whole.value("ram.total"), whole.reason("ram.total")), (None, "Windows does not say"));

        let two = facts(&answer(&[1, 3], u64::MAX), None).unwrap();
        assert_eq!(number(&two, "cpu.allowed_cores"), Some(64));
        let one = facts(&answer(&[2], 0b111), None).unwrap();
        assert_eq!(one.value("cpu.allowed_cpus"), Some(&json!([128, 129, 130])));
        assert_eq!(number(&one, "cpu.allowed_cores"), Some(2));
        // The whole group, as for a process whose mask cannot be read.
        assert_eq!(number(&facts(&answer(&[2], 0), None).unwrap(), "cpu.allowed_cores"), Some(32));
        // Of which group the mask is cannot be told.
        let silent = facts(&answer(&[], 1), None).unwrap();
        let why = "Windows does not say which processor groups this process may use";
        assert_eq!((silent.value("cpu.allowed_cpus"), silent.reason("cpu.allowed_cores")), (None, why));
    }

    #[test]
    fn records_that_are_wrong_are_refused() {
        let read = |records: &[Vec<u8>]| read(&Answer { records: records.concat(), ..Answer::default() });
        let good = core(0, &[(0, 1)]);
        let error = |record: Vec<u8>| read(&[good.clone(), record]).unwrap_err();
        let form = |kind: u32| format!("a record of Windows' processors (kind {kind}) is not of its form");
        let mut short = core(0, &[(0, 1)]);
        short.pop();
        assert_eq!(error(short), "a record of Windows' processors is cut off at byte 48");
        // A size of 0 would be read for ever.
        assert_eq!(error(vec![0; 16]), "a record of Windows' processors is cut off at byte 48");
        assert_eq!(error(record(0, &[0; 21])), form(0));
        assert_eq!(error(record(1, &[0; 39])), form(1));
        assert_eq!(error(record(2, &[0; 47])), form(2));
        // More groups than there are masks for.
        assert_eq!(error(record(3, &[&[0; 22][..], &[2, 0], &masks(&[(0, 1)])].concat())), form(3));
        assert_eq!(error(node(u32::MAX, 1, &[(0, 1)])), form(1));
        assert_eq!(error(package(&[(u16::MAX, 1)])), form(3));
        assert_eq!(read(&[group()]).unwrap_err(), "Windows lists no processors");
        assert_eq!(read(&[good, record(7, &[1; 4])]).unwrap().cores.len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            groups in prop::collection::vec(any::<u16>(), 0..4),
            mask: u64,
        ) {
            let _ = facts(&Answer { records: bytes, groups, mask }, None);
        }

        #[test]
        fn no_byte_of_a_real_answer_makes_it_panic(at in 0_usize..6000, byte: u8, end in 0_usize..7000) {
            let mut records = large();
            if let Some(place) = records.get_mut(at) {
                *place = byte;
            }
            records.truncate(end);
            let _ = facts(&Answer { records, groups: vec![0], mask: 1 }, None);
        }

        #[test]
        fn every_cpu_of_a_core_is_found(cores in prop::collection::vec((0_u16..8, 1_u64.., 0_u8..3), 1..20)) {
            let records: Vec<u8> = cores.iter().flat_map(|(group, mask, class)| core(*class, &[(*group, *mask)])).collect();
            let layout = read(&Answer { records, ..Answer::default() }).unwrap();
            prop_assert_eq!(layout.cores.len(), cores.len());
            for (found, (group, mask, _)) in layout.cores.iter().zip(&cores) {
                let bits = (0..64).filter(|bit| mask & (1 << bit) != 0);
                let want: Set = bits.map(|bit| 64 * i64::from(*group) + bit).collect();
                prop_assert_eq!(found, &want);
                prop_assert!(found.is_subset(&layout.cpus));
            }
        }
    }
}
