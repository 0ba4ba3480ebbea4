//! What no probe reports of a GPU: looked up in the table of cards, `data.gpus` of the policies.

use serde_json::{Map, Value};

use super::vocabulary::{self, FactType};
use super::{Facts, Origin};

/// The facts that the table supplies; also the names of its columns.
const COLUMNS: [&str; 3] = ["compute_capability", "architecture", "memory_bandwidth"];

/// Whether a GPU lacks something that the table may know.
pub fn has_gaps(facts: &Facts) -> bool {
    let lacks = |gpu: usize| COLUMNS.iter().any(|column| facts.value(&format!("gpus[{gpu}].{column}")).is_none());
    (0..facts.count("gpus").unwrap_or(0)).any(lacks)
}

/// Fills what is unknown of each GPU from the rows of a table: by PCI device id, else by exact name.
///
/// The name may be written with or without `NVIDIA ` before it. Where an id has a row without the cell (it was sold as
/// several products), the rows of that name that have no id are asked. A cell on which the rows do not agree stays
/// unknown; nothing is ever guessed.
pub fn fill(facts: &mut Facts, table: &Value) {
    let rows: Vec<&Map<String, Value>> = table.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    for gpu in 0..facts.count("gpus").unwrap_or(0) {
        let text = |fact: &str| facts.value(&format!("gpus[{gpu}].{fact}")).and_then(Value::as_str);
        let (id, name) = (text("pci_device_id"), text("name"));
        let by_id = keep(&rows, |row| same_id(row, id));
        let by_name =
            keep(&rows, |row| same_name(row, name) && (by_id.is_empty() || !row.contains_key("pci_device_id")));
        let found: Vec<_> = COLUMNS
            .into_iter()
            .filter(|column| facts.value(&format!("gpus[{gpu}].{column}")).is_none())
            .map(|column| (column, agreed(&by_id, column).or_else(|| agreed(&by_name, column))))
            .collect();
        let known = !(by_id.is_empty() && by_name.is_empty());
        for (column, value) in found {
            let fact = format!("gpus[{gpu}].{column}");
            match value {
                Some(value) => facts.know(fact.clone(), as_fact(&fact, value), Origin::Table),
                None if known => facts.unknown(fact, "the table of cards (`data.gpus`) does not say it of this card"),
                None => facts.unknown(fact, "the card is not in the table of cards (`data.gpus`)"),
            }
        }
    }
}

fn keep<'a>(
    rows: &[&'a Map<String, Value>],
    wanted: impl Fn(&Map<String, Value>) -> bool,
) -> Vec<&'a Map<String, Value>> {
    rows.iter().copied().filter(|row| wanted(row)).collect()
}

fn same_id(row: &Map<String, Value>, id: Option<&str>) -> bool {
    let cell = row.get("pci_device_id").and_then(Value::as_str);
    cell.zip(id).is_some_and(|(cell, id)| cell.eq_ignore_ascii_case(id))
}

fn same_name(row: &Map<String, Value>, name: Option<&str>) -> bool {
    let bare = |name: &str| name.trim().trim_start_matches("NVIDIA ").to_owned();
    let cell = row.get("name").and_then(Value::as_str);
    cell.zip(name).is_some_and(|(cell, name)| bare(cell) == bare(name))
}

// The cell, when every row has it and all are equal.
fn agreed(rows: &[&Map<String, Value>], column: &str) -> Option<Value> {
    let first = rows.first()?.get(column)?;
    rows.iter().all(|row| row.get(column) == Some(first)).then(|| first.clone())
}

// A table has whole numbers in a column of fractions, or the other way round, as its other rows are.
fn as_fact(name: &str, value: Value) -> Value {
    match (vocabulary::find(name).map(|spec| spec.ty), value.as_f64()) {
        (Some(FactType::Int), Some(number)) => Value::from(number as i64),
        (Some(FactType::Float), Some(number)) => Value::from(number),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(known: &[(&str, &str)]) -> Facts {
        let table = json!([
            { "name": "NVIDIA L4", "pci_device_id": "27B810DE", "compute_capability": 8.9, "architecture": "Ada Lovelace", "memory_bandwidth": 300e9 },
            { "name": "NVIDIA GT 730", "pci_device_id": "128710DE", "compute_capability": 3.5, "memory_bandwidth": 40e9 },
            { "name": "NVIDIA GT 730", "pci_device_id": "0F0210DE", "compute_capability": 2.1, "memory_bandwidth": 40e9 },
            { "name": "NVIDIA A100 or A800", "pci_device_id": "20B010DE", "compute_capability": 8 },
            { "name": "NVIDIA A100-SXM4-40GB", "memory_bandwidth": 1555e9 },
            { "name": "NVIDIA L40", "pci_device_id": "26B510DE", "memory_bandwidth": 864e9 },
            { "name": "NVIDIA L40", "pci_device_id": "26B910DE" },
        ]);
        let mut facts = Facts::new("");
        facts.know("gpus", 1, Origin::Nvml);
        for (name, value) in known {
            facts.know(format!("gpus[0].{name}"), *value, Origin::Nvml);
        }
        fill(&mut facts, &table);
        facts
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
    fn what_is_known_stays() {
        let facts = filled(&[("name", "NVIDIA L4"), ("architecture", "Ada")]);
        assert_eq!(facts.value("gpu.architecture"), Some(&json!("Ada")));
        assert_eq!(facts.origin("gpu.architecture"), Some(Origin::Nvml));
    }
}
