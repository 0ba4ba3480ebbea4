//! What the table of cards, `data.gpus` of the policies, knows of a GPU: it fills what no probe reports, and shows what
//! cannot be that card.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::units::{Unit, show};
use super::vocabulary::{self, FactType};
use super::{Fact, Facts, Origin};
use crate::diag::Finding;

/// The facts that the table supplies; also the names of its columns.
const COLUMNS: [&str; 4] = ["compute_capability", "architecture", "memory_bandwidth", "tensor_rate"];

/// Those that two products of one PCI device id have in common, and that drivers report too.
const OF_THE_CHIP: [&str; 2] = ["compute_capability", "architecture"];

/// The share of its nominal size that a card reports as its total.
///
/// Firmware keeps a little, and ECC a part: a sixteenth of GDDR6, an eighth of GDDR5. The dumps that `tests/cards.rs`
/// reads have 93.7 % (A10G, A6000 and T4, with ECC) to 100 %; the rest is for ECC on older cards and for sizes that are
/// rounded.
const SHARE: RangeInclusive<f64> = 0.85..=1.01;

/// How many times its nominal size a refitted card has at most: an RTX 4090 with chips of twice the density reports
/// 49140 MiB. Source: <https://github.com/tinygrad/open-gpu-kernel-modules/issues/36>.
const REFITTED: f64 = 2.0;

/// Whether a GPU lacks something that the table may know. One that does not was completed and checked when it was saved.
pub fn has_gaps(facts: &Facts) -> bool {
    let lacks = |gpu: usize| COLUMNS.iter().any(|column| facts.value(&format!("gpus[{gpu}].{column}")).is_none());
    (0..facts.count("gpus").unwrap_or(0)).any(lacks)
}

/// Completes and checks what is known of each GPU by the rows of a table.
///
/// A row is found by PCI device id, else by exact name, written with or without `NVIDIA ` before it. Where an id has a
/// row without the cell (it was sold as several products), the rows of that name that have no id are asked. A cell on
/// which the rows do not agree stays unknown; nothing is ever guessed.
///
/// What the table says otherwise than a probe is a `fact-contradiction` finding. The probe is believed, except for a
/// `vram.total` that no card of that name has: it becomes unknown. Up to twice what the card was sold with is doubtful,
/// a `fact-suspect` finding. What the user says is not doubted.
pub fn fill(facts: &mut Facts, table: &Value) {
    let rows: Vec<&Row> = table.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    for gpu in 0..facts.count("gpus").unwrap_or(0) {
        let gpu = format!("gpus[{gpu}]");
        // A card that does not answer at all has its reason.
        if matches!(facts.get(&gpu), Some(Fact::Unknown { .. })) {
            continue;
        }
        let card = Card::find(&rows, facts, &gpu);
        card.describe(facts, &gpu);
        card.weigh(facts, &gpu);
    }
}

type Row = Map<String, Value>;

/// The rows of one GPU.
struct Card<'a> {
    by_id: Vec<&'a Row>,
    by_name: Vec<&'a Row>,
    is_named: bool,
    is_told: bool,
}

impl<'a> Card<'a> {
    fn find(rows: &[&'a Row], facts: &Facts, gpu: &str) -> Self {
        let text = |fact: &str| facts.value(&format!("{gpu}.{fact}")).and_then(Value::as_str);
        let (id, name) = (text("pci_device_id"), text("name"));
        let keep = |wanted: &dyn Fn(&Row) -> bool| rows.iter().copied().filter(|row| wanted(row)).collect();
        Self {
            by_id: keep(&|row| same_id(row, id)),
            by_name: keep(&|row| same_name(row, name)),
            is_named: name.is_some(),
            is_told: name.or(id).is_some(),
        }
    }

    // Fills the facts that are unknown and compares those that are known.
    fn describe(&self, facts: &mut Facts, gpu: &str) {
        let has_two_chips = self.has_two_chips();
        if has_two_chips {
            let (name, other) = (product(&self.by_name), product(&self.by_id));
            let message = format!("`{gpu}.name` is {name}, and `{gpu}.pci_device_id` that of {other}");
            let finding = Finding::warning("fact-contradiction", message);
            facts.findings.push(finding.help("what the table of cards (`data.gpus`) says of either is not used"));
        }
        for column in COLUMNS {
            let fact = format!("{gpu}.{column}");
            let cell = self.cell(column).filter(|_| !has_two_chips).map(|cell| as_fact(&fact, cell));
            match (facts.origin(&fact), cell) {
                (Some(origin), Some(cell)) if OF_THE_CHIP.contains(&column) => compare(facts, &fact, origin, &cell),
                (Some(_), _) => {}
                (None, Some(cell)) => facts.know(fact, cell, Origin::Table),
                (None, None) if has_two_chips => {
                    facts.unknown(fact, "its name and its PCI device id are of different cards");
                }
                (None, None) if !self.is_told => {
                    // A probe's own reason says more.
                    if facts.get(&fact).is_none() {
                        facts.unknown(fact, "neither the name nor the PCI device id of the card is known");
                    }
                }
                (None, None) if self.by_id.is_empty() && self.by_name.is_empty() => {
                    facts.unknown(fact, "the card is not in the table of cards (`data.gpus`)");
                }
                (None, None) => facts.unknown(fact, "the table of cards (`data.gpus`) does not say it of this card"),
            }
        }
    }

    // Whether the name is of a card with another chip than that of the id.
    fn has_two_chips(&self) -> bool {
        OF_THE_CHIP.into_iter().any(|column| {
            let (id, name) = (agreed(&self.by_id, column), agreed(&self.by_name, column));
            id.is_some() && name.is_some() && id != name
        })
    }

    fn cell(&self, column: &str) -> Option<&'a Value> {
        let without_id = |row: &&Row| self.by_id.is_empty() || !row.contains_key("pci_device_id");
        agreed(&self.by_id, column).or_else(|| {
            let by_name: Vec<&Row> = self.by_name.iter().copied().filter(without_id).collect();
            agreed(&by_name, column)
        })
    }

    // Compares the total with the sizes that the product was sold in.
    fn weigh(&self, facts: &mut Facts, gpu: &str) {
        let name = |fact: &str| format!("{gpu}.{fact}");
        let fact = name("vram.total");
        let (Some(total), Some(origin)) = (facts.value(&fact).and_then(Value::as_u64), facts.origin(&fact)) else {
            return;
        };
        // A slice of a card has less, and memory that is shared is the machine's.
        let exempt =
            ["mig.enabled", "vram.unified"].map(name).iter().any(|flag| facts.value(flag) == Some(&true.into()));
        let Some(sizes) = self.sizes().filter(|_| !exempt && origin != Origin::User) else { return };
        // The table settles what the total alone made doubtful.
        let doubt = format!("`{fact}` ");
        facts
            .findings
            .retain(|finding| finding.code.as_str() != "fact-suspect" || !finding.message.starts_with(&doubt));
        let shown = |bytes: u64| show(&bytes.into(), Some(Unit::Bytes));
        let sold = sizes.iter().copied().map(shown).collect::<Vec<_>>().join(" or ");
        let message = format!("`{fact}` is {} ({origin}), and {} has {sold}", shown(total), product(self.rows()));
        match Fit::of(total, &sizes) {
            Fit::Whole => {}
            Fit::More => {
                let help =
                    format!("true of a refitted card only; if this one was not, correct it with --fact {fact}=…");
                facts.findings.push(Finding::warning("fact-suspect", message).help(help));
            }
            Fit::Not => {
                let help = format!("its memory counts as unknown; say what it has with --fact {fact}=…");
                facts.findings.push(Finding::warning("fact-contradiction", message).help(help));
                for part in ["total", "reserved", "used", "free"] {
                    let part = name(&format!("vram.{part}"));
                    if facts.origin(&part).is_some_and(|origin| origin != Origin::User) {
                        let reason = format!("the total is reported as {}, and the card has {sold}", shown(total));
                        facts.unknown(part, reason);
                    }
                }
            }
        }
    }

    // A profile of a virtual GPU, and a product told apart by its subsystem, has the id of another card: a known name
    // alone counts.
    fn rows(&self) -> &[&'a Row] {
        if self.is_named { &self.by_name } else { &self.by_id }
    }

    // The nominal sizes, ascending; `None` unless every row has one.
    fn sizes(&self) -> Option<Vec<u64>> {
        let mut sizes: Vec<u64> = self.rows().iter().map(|row| row.get("vram")?.as_u64()).collect::<Option<_>>()?;
        sizes.sort_unstable();
        sizes.dedup();
        (!sizes.is_empty()).then_some(sizes)
    }
}

/// How a reported total goes with the sizes that a product was sold in.
enum Fit {
    /// It is that of a card as it was sold.
    Whole,
    /// It is more, as a refitted card has.
    More,
    /// No such card has it.
    Not,
}

impl Fit {
    // The sizes are ascending.
    fn of(total: u64, sizes: &[u64]) -> Self {
        let share = |size: u64| total as f64 / size as f64;
        let most = *SHARE.end();
        if sizes.iter().any(|&size| SHARE.contains(&share(size))) {
            Self::Whole
        } else if sizes.last().is_some_and(|&size| (most..=most * REFITTED).contains(&share(size))) {
            Self::More
        } else {
            Self::Not
        }
    }
}

// Says where the table differs from what was reported; what the user said, or an older table, is not compared.
fn compare(facts: &mut Facts, fact: &str, origin: Origin, cell: &Value) {
    let Some(value) = facts.value(fact).filter(|value| as_fact(fact, value) != *cell) else { return };
    if matches!(origin, Origin::Table | Origin::User) {
        return;
    }
    let (value, cell) = (show(value, None), show(cell, None));
    let message = format!("`{fact}` is {value} ({origin}), and {cell} in the table of cards");
    facts.findings.push(Finding::warning("fact-contradiction", message).help("the reported value is used"));
}

fn same_id(row: &Row, id: Option<&str>) -> bool {
    let cell = row.get("pci_device_id").and_then(Value::as_str);
    cell.zip(id).is_some_and(|(cell, id)| cell.eq_ignore_ascii_case(id))
}

fn same_name(row: &Row, name: Option<&str>) -> bool {
    let bare = |name: &str| name.trim().trim_start_matches("NVIDIA ").to_owned();
    let cell = row.get("name").and_then(Value::as_str);
    cell.zip(name).is_some_and(|(cell, name)| bare(cell) == bare(name))
}

// What people call the card.
fn product(rows: &[&Row]) -> String {
    let name = rows.iter().find_map(|row| row.get("name")?.as_str());
    name.map_or_else(|| "the card of its PCI device id".to_owned(), |name| format!("`{name}`"))
}

// The cell, when every row has it and all are equal.
fn agreed<'a>(rows: &[&'a Row], column: &str) -> Option<&'a Value> {
    let first = rows.first()?.get(column)?;
    rows.iter().all(|row| row.get(column) == Some(first)).then_some(first)
}

// A table has whole numbers in a column of fractions, or the other way round, as its other rows are.
fn as_fact(name: &str, value: &Value) -> Value {
    match (vocabulary::find(name).map(|spec| spec.ty), value.as_f64()) {
        (Some(FactType::Int), Some(number)) => Value::from(number as i64),
        (Some(FactType::Float), Some(number)) => Value::from(number),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Value {
        json!([
            { "name": "NVIDIA L4", "pci_device_id": "27B810DE", "compute_capability": 8.9, "architecture": "Ada Lovelace", "memory_bandwidth": 300e9, "vram": 24_u64 << 30 },
            { "name": "NVIDIA GT 730", "pci_device_id": "128710DE", "compute_capability": 3.5, "memory_bandwidth": 40e9 },
            { "name": "NVIDIA GT 730", "pci_device_id": "0F0210DE", "compute_capability": 2.1, "memory_bandwidth": 40e9 },
            { "name": "NVIDIA A100 or A800", "pci_device_id": "20B010DE", "compute_capability": 8 },
            { "name": "NVIDIA A100-SXM4-40GB", "memory_bandwidth": 1555e9 },
            { "name": "NVIDIA L40", "pci_device_id": "26B510DE", "memory_bandwidth": 864e9 },
            { "name": "NVIDIA L40", "pci_device_id": "26B910DE" },
        ])
    }

    fn filled(known: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::new("");
        facts.know("gpus", 1, Origin::Nvml);
        for (name, value) in known {
            facts.know(format!("gpus[0].{name}"), *value, Origin::Nvml);
        }
        fill(&mut facts, &table());
        facts
    }

    fn messages(facts: &Facts) -> Vec<String> {
        let said = |finding: &Finding| format!("{}; {}", finding.message, finding.help.clone().unwrap_or_default());
        facts.findings.iter().map(said).collect()
    }

    #[test]
    fn the_id_is_asked_first_and_in_any_case() {
        let facts = filled(&[("pci_device_id", "27b810de"), ("name", "NVIDIA GT 730")]);
        assert_eq!(facts.value("gpu.compute_capability"), Some(&json!(8.9)));
        assert_eq!(facts.value("gpu.memory_bandwidth"), Some(&json!(300_000_000_000_i64)));
        assert_eq!(facts.origin("gpu.architecture"), Some(Origin::Table));
    }

    #[test]
    fn the_name_counts_with_and_without_its_maker_but_only_whole() {
        for name in ["L4", "NVIDIA L4"] {
            assert_eq!(filled(&[("name", name)]).value("gpu.compute_capability"), Some(&json!(8.9)), "{name}");
        }
        let other = filled(&[("name", "NVIDIA L4 Laptop")]);
        assert_eq!(other.value("gpu.compute_capability"), None);
        assert_eq!(other.reason("gpu.compute_capability"), "the card is not in the table of cards (`data.gpus`)");
    }

    #[test]
    fn a_card_that_nobody_names_is_not_said_to_be_missing() {
        assert_eq!(
            filled(&[]).reason("gpu.compute_capability"),
            "neither the name nor the PCI device id of the card is known"
        );
    }

    #[test]
    fn what_the_rows_of_a_name_disagree_on_stays_unknown() {
        let facts = filled(&[("name", "GT 730")]);
        assert_eq!(facts.value("gpu.compute_capability"), None);
        assert_eq!(
            facts.reason("gpu.compute_capability"),
            "the table of cards (`data.gpus`) does not say it of this card"
        );
        assert_eq!(facts.value("gpu.memory_bandwidth"), Some(&json!(40_000_000_000_i64)));
        assert_eq!(filled(&[("name", "NVIDIA L40")]).value("gpu.memory_bandwidth"), None);
    }

    #[test]
    fn an_id_of_several_products_leaves_the_rest_to_the_name() {
        let facts = filled(&[("pci_device_id", "20B010DE"), ("name", "NVIDIA A100-SXM4-40GB")]);
        assert_eq!(facts.value("gpu.compute_capability"), Some(&json!(8.0)));
        assert_eq!(facts.value("gpu.memory_bandwidth"), Some(&json!(1_555_000_000_000_i64)));
        // A row with an id is another card, even of the same name.
        let facts = filled(&[("pci_device_id", "26B910DE"), ("name", "NVIDIA L40")]);
        assert_eq!(facts.value("gpu.memory_bandwidth"), None);
    }

    #[test]
    fn what_is_known_stays_and_what_differs_is_said() {
        let facts = filled(&[("name", "NVIDIA L4"), ("architecture", "Hopper")]);
        assert_eq!(facts.value("gpu.architecture"), Some(&json!("Hopper")));
        assert_eq!(facts.origin("gpu.architecture"), Some(Origin::Nvml));
        assert_eq!(
            messages(&facts),
            [
                "`gpus[0].architecture` is Hopper (nvml), and Ada Lovelace in the table of cards; the reported value is used"
            ]
        );
        assert_eq!(messages(&filled(&[("name", "NVIDIA L4"), ("architecture", "Ada Lovelace")])), [""; 0]);
    }

    #[test]
    fn a_name_and_an_id_of_two_chips_are_of_no_card() {
        let facts = filled(&[("name", "NVIDIA L4"), ("pci_device_id", "20B010DE")]);
        for fact in COLUMNS.map(|column| format!("gpu.{column}")) {
            assert_eq!(facts.value(&fact), None);
            assert_eq!(facts.reason(&fact), "its name and its PCI device id are of different cards");
        }
        assert_eq!(
            messages(&facts),
            ["`gpus[0].name` is `NVIDIA L4`, and `gpus[0].pci_device_id` that of `NVIDIA A100 or A800`; \
              what the table of cards (`data.gpus`) says of either is not used"]
        );
    }

    #[test]
    fn a_total_that_the_card_cannot_have_is_unknown_with_its_parts_unless_the_user_says_it() {
        let weighed = |origin| {
            let mut facts = Facts::new("");
            facts.know("gpus", 1, Origin::Nvml);
            facts.know("gpus[0].name", "L4", Origin::Nvml);
            facts.know("gpus[0].vram.total", 2_u64 << 30, origin);
            facts.know("gpus[0].vram.free", 1_u64 << 30, Origin::Nvml);
            fill(&mut facts, &table());
            facts
        };
        let facts = weighed(Origin::Nvml);
        for part in ["total", "free"] {
            let fact = format!("gpu.vram.{part}");
            assert_eq!(facts.value(&fact), None);
            assert_eq!(facts.reason(&fact), "the total is reported as 2 GiB, and the card has 24 GiB");
        }
        assert_eq!(
            messages(&facts),
            ["`gpus[0].vram.total` is 2 GiB (nvml), and `NVIDIA L4` has 24 GiB; \
              its memory counts as unknown; say what it has with --fact gpus[0].vram.total=…"]
        );
        let facts = weighed(Origin::User);
        assert_eq!(facts.value("gpu.vram.total"), Some(&json!(2_u64 << 30)));
        assert_eq!(messages(&facts), [""; 0]);
    }
}
