//! The table that `lscpu -e` or `lscpu -p` prints, for machines without hwloc.
//!
//! It shows CPUs, cores, sockets, NUMA nodes with CPUs and which CPUs share a cache, but neither sizes nor what a process
//! may use. Kinds of cores are not told apart: two of one kind may differ in `MAXMHZ`, and two of different kinds agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::layout::{Cache, Layout, MOST_INDEX, Node, Set};
use super::{malformed, span};
use crate::diag::{Finding, Source};
use crate::facts::Origin;

/// A column of the table; those that say nothing here are passed over.
#[derive(Debug, PartialEq)]
enum Column {
    Cpu,
    Node,
    Socket,
    Core,
    Online,
    Model,
    /// The names of the caches: `L1d:L1i:L2:L3` in one column, or of `lscpu -p` a column for each.
    Caches(Vec<String>),
    Other,
}

/// The names over the table, and how the rows below are written.
struct Heading {
    columns: Vec<Column>,
    // As `lscpu -p` writes: between commas.
    commas: bool,
}

/// A CPU as its row places it.
#[derive(Default)]
struct Row {
    online: Option<bool>,
    node: Option<i64>,
    socket: Option<i64>,
    core: Option<i64>,
    model: String,
    // By the names in the heading. None where the row has fewer: lscpu leaves out those that a CPU does not have.
    caches: Option<Vec<Option<i64>>>,
}

/// Whether a line of the text is the heading of such a table.
pub fn is_table(text: &str) -> bool {
    text.lines().any(|line| Heading::parse(line).is_some())
}

/// Reads the first table.
///
/// # Errors
/// A `malformed-dump` finding at its place, when a row does not fit the heading or no CPU is online.
pub fn read(source: &Arc<Source>) -> Result<Layout, Finding> {
    let mut heading: Option<(Heading, usize)> = None;
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        match &heading {
            None => heading = Heading::parse(line).map(|heading| (heading, at)),
            Some(_) if line.trim().is_empty() || line.starts_with('#') => {}
            Some((heading, _)) => {
                let wrong = |message: String, part: &str| {
                    // A part of the text itself, so that it tells its own place.
                    let begin = at + (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
                    malformed(message).at(span(source, begin, begin + part.len()), "")
                };
                let (cpu, row) = heading.row(line.trim(), wrong)?;
                if rows.insert(cpu, row).is_some() {
                    return Err(wrong(format!("CPU {cpu} is listed twice"), line.trim()));
                }
            }
        }
    }
    let Some((heading, at)) = heading else {
        return Err(malformed("the file is not a table of `lscpu -e`").at(span(source, 0, 0), ""));
    };
    let online: BTreeMap<i64, Row> = rows.into_iter().filter(|(_, row)| heading.is_online(row)).collect();
    if online.is_empty() {
        return Err(malformed("the table lists no CPU that is online").at(span(source, at, at), ""));
    }
    Ok(layout(&heading, &online))
}

impl Heading {
    // A line of names, one of which is `CPU`: in capitals between spaces, or after `#` between commas.
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let names: Vec<&str> = match line.strip_prefix('#') {
            Some(names) => names.split(',').map(str::trim).collect(),
            None => line.split_whitespace().collect(),
        };
        let commas = line.starts_with('#');
        let is_cache = |name: &str| {
            name.split(':')
                .all(|part| part.strip_prefix('L').is_some_and(|level| level.starts_with(|c: char| c.is_ascii_digit())))
        };
        let is_name = |name: &&str| commas || is_cache(name) || !name.contains(|c: char| c.is_lowercase());
        if !names.contains(&"CPU") || !names.iter().all(is_name) {
            return None;
        }
        let mut columns: Vec<Column> = Vec::new();
        for name in names {
            if is_cache(name) {
                let parts = name.split(':').map(str::to_owned);
                match columns.last_mut() {
                    Some(Column::Caches(names)) => names.extend(parts),
                    _ => columns.push(Column::Caches(parts.collect())),
                }
                continue;
            }
            columns.push(match name.to_uppercase().as_str() {
                "CPU" => Column::Cpu,
                "NODE" => Column::Node,
                "SOCKET" => Column::Socket,
                "CORE" => Column::Core,
                "ONLINE" => Column::Online,
                "MODELNAME" => Column::Model,
                _ => Column::Other,
            });
        }
        Some(Self { columns, commas })
    }

    fn has(&self, column: &Column) -> bool {
        self.columns.contains(column)
    }

    fn row(&self, line: &str, wrong: impl Fn(String, &str) -> Finding) -> Result<(i64, Row), Finding> {
        let cells: Vec<&str> = match self.commas {
            true => line.split(',').map(str::trim).collect(),
            false => line.split_whitespace().collect(),
        };
        let number = |cell: &str| match cell {
            "" | "-" => Ok(None),
            _ => match cell.parse::<u64>() {
                Ok(number) if number <= MOST_INDEX => Ok(i64::try_from(number).ok()),
                _ => Err(wrong(format!("`{cell}` is not the number of a CPU or of what it is in"), cell)),
            },
        };
        // One column may take another number of cells than one: a model's name has spaces, and lscpu leaves out caches.
        let most: Vec<usize> = self.columns.iter().filter_map(|column| self.most_cells(column)).collect();
        let room = cells.len().checked_sub(self.columns.len() - most.len());
        let Some(room) = room.filter(|room| match most[..] {
            [] => *room == 0,
            [most] => (1..=most).contains(room),
            _ => false,
        }) else {
            let finding = wrong("the row does not have the columns of the heading".to_owned(), line);
            return Err(finding.help("save the table again, to its end"));
        };
        let (mut cpu, mut row) = (None, Row::default());
        let mut rest = cells.as_slice();
        for column in &self.columns {
            let (cells, behind) = rest.split_at(if self.most_cells(column).is_some() { room } else { 1 });
            let cell = cells.first().copied().unwrap_or_default();
            rest = behind;
            match column {
                Column::Cpu => cpu = number(cell)?,
                Column::Node => row.node = number(cell)?,
                Column::Socket => row.socket = number(cell)?,
                Column::Core => row.core = number(cell)?,
                Column::Online => row.online = truth(cell),
                Column::Model => row.model = cells.join(" "),
                Column::Caches(names) => {
                    let ids = cells.iter().flat_map(|cell| cell.split(':')).map(number);
                    let ids: Vec<Option<i64>> = ids.collect::<Result<_, _>>()?;
                    let none = ids.len() == 1 && ids[0].is_none();
                    let ids = if none { vec![None; names.len()] } else { ids };
                    row.caches = (ids.len() == names.len()).then_some(ids);
                }
                Column::Other => {}
            }
        }
        let cpu = cpu.ok_or_else(|| wrong("the row names no CPU".to_owned(), line))?;
        Ok((cpu, row))
    }

    // How many cells a column may take, where that is not always one.
    fn most_cells(&self, column: &Column) -> Option<usize> {
        match column {
            Column::Caches(names) if self.commas => Some(names.len()),
            Column::Model if !self.commas => Some(usize::MAX),
            _ => None,
        }
    }

    // The kernel places no CPU that is offline, which tells where the word is of another language (`oui`) or not there.
    fn is_online(&self, row: &Row) -> bool {
        let placed = row.core.is_some() || row.socket.is_some();
        row.online.unwrap_or(placed || !(self.has(&Column::Core) || self.has(&Column::Socket)))
    }

    // Where that cache stands among the names.
    fn cache(&self, name: &str) -> Option<usize> {
        self.columns.iter().find_map(|column| match column {
            Column::Caches(names) => names.iter().position(|found| found == name),
            _ => None,
        })
    }
}

fn truth(word: &str) -> Option<bool> {
    match word {
        "yes" | "Y" => Some(true),
        "no" | "N" => Some(false),
        _ => None,
    }
}

fn layout(heading: &Heading, rows: &BTreeMap<i64, Row>) -> Layout {
    let mut layout = Layout::new(Origin::Lscpu);
    let mut leave_open = |facts: &[&'static str], why: &str| {
        layout.open.extend(facts.iter().map(|fact| (*fact, why.to_owned())));
    };
    leave_open(&["cpu.performance_cores", "cpu.efficiency_cores"], "the table does not tell kinds of cores apart");
    leave_open(&["cpu.allowed_cpus", "cpu.allowed_cores"], "the table does not tell which CPUs a process may use");
    let is_numbered = rows.values().all(|row| row.socket.is_some());
    if !is_numbered {
        leave_open(&["cpu.packages"], "the table does not number the sockets");
    }
    let cores = cores(heading, rows);
    if cores.is_none() {
        leave_open(&["cpu.physical_cores"], "the table does not number the cores");
    }
    let nodes = groups(rows, |row| row.node);
    if nodes.is_empty() {
        leave_open(&["numa.nodes"], "the table does not number the NUMA nodes");
    }
    let caches = caches(heading, rows);
    if let Err(why) = &caches {
        leave_open(&["cpu.l3_domains"], why);
    }
    layout.cpus = rows.keys().copied().collect();
    if is_numbered {
        layout.packages = groups(rows, |row| row.socket).into_values().collect();
    }
    layout.cores = cores.unwrap_or_default();
    layout.nodes = nodes.into_iter().map(|(number, cpus)| Node { number, cpus, memory: None }).collect();
    layout.caches = caches.unwrap_or_default();
    let model = rows.values().map(|row| &row.model).find(|model| !matches!(model.as_str(), "" | "-"));
    layout.infos.extend(model.map(|model| ("CPUModel".to_owned(), model.clone())));
    layout
}

// The CPUs by what they are in; those that are in none are left out.
fn groups<K: Ord>(rows: &BTreeMap<i64, Row>, key: impl Fn(&Row) -> Option<K>) -> BTreeMap<K, Set> {
    let mut groups: BTreeMap<K, Set> = BTreeMap::new();
    for (cpu, row) in rows {
        if let Some(key) = key(row) {
            groups.entry(key).or_default().insert(*cpu);
        }
    }
    groups
}

fn cores(heading: &Heading, rows: &BTreeMap<i64, Row>) -> Option<Vec<Set>> {
    let sockets = heading.has(&Column::Socket);
    // Physical numbers (`-y`) repeat in every socket, and mean nothing where that has none.
    if rows.values().any(|row| row.core.is_none() || (sockets && row.socket.is_none())) {
        return None;
    }
    // lscpu numbers the cores of each kind from 0, so on big.LITTLE numbers repeat. Threads of one core share the L1.
    let place = heading.cache("L1d");
    let l1 = |row: &Row| *row.caches.as_ref()?.get(place?)?;
    let all = rows.values().all(|row| l1(row).is_some());
    let cores = groups(rows, |row| Some((row.socket, row.core, if all { l1(row) } else { None })));
    Some(cores.into_values().collect())
}

fn caches(heading: &Heading, rows: &BTreeMap<i64, Row>) -> Result<Vec<Cache>, String> {
    if !heading.columns.iter().any(|column| matches!(column, Column::Caches(_))) {
        return Err("the table does not list caches".to_owned());
    }
    let Some(place) = heading.cache("L3") else { return Ok(Vec::new()) };
    if let Some((cpu, _)) = rows.iter().find(|(_, row)| row.caches.is_none()) {
        return Err(format!("the table does not list as many caches for CPU {cpu} as its heading names"));
    }
    let caches = groups(rows, |row| *row.caches.as_ref()?.get(place)?);
    Ok(caches.into_values().map(|cpus| Cache { cpus, size: None }).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::layout::UNPLACED;
    use super::super::from_lscpu;
    use super::*;
    use crate::facts::Facts;

    fn facts(table: &str) -> Result<Facts, String> {
        from_lscpu(Source::new("t.txt", table)).map_err(|finding| {
            assert_eq!(finding.code.as_str(), "malformed-dump");
            format!("{}: {}", finding.labels[0].span.at(), finding.message)
        })
    }

    fn counts(facts: &Facts) -> [Option<u64>; 5] {
        ["cpu.packages", "cpu.physical_cores", "cpu.logical_cpus", "cpu.l3_domains", "numa.nodes"]
            .map(|name| facts.value(name).and_then(Value::as_u64))
    }

    const TABLE: &str = "\
CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE    MAXMHZ   MINMHZ
  0    0      0    0 0:0:0:0          yes 5200,0000 400,0000
  1    0      0    0 0:0:0:0          yes 5200,0000 400,0000
  2    -      -    - -                 no         -        -
  3    2      1    1 3:3:2:1          yes 4100,0000 400,0000
";

    #[test]
    fn the_online_cpus_of_a_table_are_a_topology() {
        let facts = facts(TABLE).unwrap();
        let want = json!({
            "cpu": {
                "packages": 2, "physical_cores": 2, "logical_cpus": 3,
                "l3_domains": [{ "cpus": [0, 1] }, { "cpus": [3] }],
            },
            "numa": { "nodes": [
                { "index": 0, "cpus": [0, 1], "package": 0 },
                { "index": 2, "cpus": [3], "package": 1 },
            ] },
        });
        assert_eq!(Value::Object(facts.to_tree()), want);
        assert_eq!(facts.origin("cpu.packages"), Some(Origin::Lscpu));
        for (name, reason) in [
            ("cpu.performance_cores", "the table does not tell kinds of cores apart"),
            ("cpu.allowed_cpus", "the table does not tell which CPUs a process may use"),
            ("cpu.l3_domains[0].size", "the topology holds no size of this cache"),
            ("ram.total", "the topology holds no memory sizes"),
        ] {
            assert_eq!(facts.reason(name), reason);
        }
    }

    #[test]
    fn both_formats_and_all_columns_give_the_same() {
        let parsable = "# The following is the parsable format, which can be fed to other\n# programs.\n\
                        # CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,0,,0,0,0,0\n1,0,0,0,,0,0,0,0\n3,1,1,2,,3,3,2,1\n";
        let online = "# CPU,Core,Socket,Node,L1d:L1i:L2:L3,Online\n0,0,0,0,0:0:0:0,Y\n1,0,0,0,0:0:0:0,Y\n2,,,,,N\n3,1,1,2,3:3:2:1,Y\n";
        let french = TABLE.replace("yes", "oui").replace(" no", "non");
        let prompt = format!("$ lscpu -e\n{TABLE}\n");
        for table in [parsable, online, &french, &prompt, &TABLE.replace('\n', "\r\n")] {
            assert_eq!(facts(table).unwrap().to_tree(), facts(TABLE).unwrap().to_tree(), "{table}");
        }
        let model = "CPU MODELNAME CORE\n0 Some CPU @ 2.0GHz 0\n1 Some CPU @ 2.0GHz 0\n";
        assert_eq!(facts(model).unwrap().value("cpu.model"), Some(&"Some CPU @ 2.0GHz".into()));
        assert_eq!(counts(&facts(model).unwrap()), [None, Some(1), Some(2), None, None]);
    }

    #[test]
    fn numbers_that_repeat_are_told_apart_or_unknown() {
        // big.LITTLE: the cores of each kind from 0.
        let kinds = "# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,,,0,0,0,0\n1,1,0,,,1,1,1,0\n2,0,0,,,2,2,2,0\n";
        assert_eq!(counts(&facts(kinds).unwrap()), [Some(1), Some(3), Some(3), Some(1), None]);
        // `lscpu -p -y` where the kernel gives the sockets no number.
        let physical = "# CPU,Core,Socket,Node,,L1d,L1i\n0,1,-,0,,0,0\n1,1,-,0,,1,1\n";
        let physical = facts(physical).unwrap();
        assert_eq!(counts(&physical), [None, None, Some(2), Some(0), Some(1)]);
        assert_eq!(physical.reason("numa.nodes[0].package"), UNPLACED);
    }

    #[test]
    fn caches_that_a_row_leaves_out_make_them_unknown() {
        let facts = facts("# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,0,,0,0,0,0\n1,1,0,0,,64,64,8\n").unwrap();
        assert_eq!(counts(&facts), [Some(1), Some(2), Some(2), None, Some(1)]);
        let reason = "the table does not list as many caches for CPU 1 as its heading names";
        assert_eq!(facts.reason("cpu.l3_domains"), reason);
    }

    #[test]
    fn bad_rows_are_refused_where_they_are_bad() {
        let cut = &TABLE[..TABLE.len() - 12];
        let cases = [
            (cut, "t.txt:5:3: the row does not have the columns of the heading"),
            (
                &TABLE.replace("    2      1    1", "    2      x    1"),
                "t.txt:5:15: `x` is not the number of a CPU or of what it is in",
            ),
            (&TABLE.replace("  3    2", "  1    2"), "t.txt:5:3: CPU 1 is listed twice"),
            (&TABLE.replace("  3    2", "  -    2"), "t.txt:5:3: the row names no CPU"),
            (
                &TABLE.replace("  3    2", "65537  2"),
                "t.txt:5:1: `65537` is not the number of a CPU or of what it is in",
            ),
            (&TABLE.replace("yes", " no"), "t.txt:1:1: the table lists no CPU that is online"),
            ("# CPU,L1d,Core,L2\n0,0,0,0\n", "t.txt:2:1: the row does not have the columns of the heading"),
            ("", "t.txt:1:1: the file is not a table of `lscpu -e`"),
        ];
        for (table, message) in cases {
            assert_eq!(facts(table).unwrap_err(), message);
        }
    }
}
