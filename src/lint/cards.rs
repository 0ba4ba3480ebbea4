//! Rows of the table of cards that cannot be right.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Linter;
use crate::diag::Finding;

impl Linter<'_> {
    pub(super) fn cards(&self, findings: &mut Vec<Finding>) {
        let Some(table) = self.set.tables.get("gpus") else { return };
        let rows: Vec<&Value> = table.value.as_array().into_iter().flatten().collect();
        // How many rows of a compute capability name each architecture.
        let mut architectures: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
        for row in &rows {
            if let (Some(capability), Some(name)) = (capability(row), row["architecture"].as_str()) {
                *architectures.entry(capability).or_default().entry(name).or_default() += 1;
            }
        }
        let mut odd = |index: usize, message: String, help: String| {
            findings.push(Finding::warning("odd-card", message).at(table.rows[index].clone(), "").help(help));
        };
        for (index, row) in rows.iter().enumerate() {
            if let Some(id) = row["pci_device_id"].as_str().filter(|id| !is_id(id)) {
                let message = format!("`{id}` is no PCI device id of an NVIDIA card");
                let help =
                    "eight digits, device before vendor, as in 2D0410DE: `nvidia-smi -q` has it, without the `0x`";
                odd(index, message, help.to_owned());
            }
            let (Some(capability), Some(name)) = (capability(row), row["architecture"].as_str()) else { continue };
            let named = &architectures[&capability];
            if let Some((usual, _)) =
                named.iter().max_by_key(|(_, rows)| **rows).filter(|(_, rows)| **rows > named[name])
            {
                let message = format!("`{name}` is no architecture of compute capability {capability}");
                odd(index, message, format!("the other cards of that capability are `{usual}`"));
            }
        }
    }
}

fn capability(row: &Value) -> Option<String> {
    row["compute_capability"].as_f64().map(|capability| format!("{capability:.1}"))
}

fn is_id(id: &str) -> bool {
    id.len() == 8 && id.ends_with("10DE") && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}
