//! Which card the environment chooses, as CUDA would.

use std::env;

use super::answers::{Answer, Board};
use crate::diag::Finding;

/// The variables by which the environment chooses cards.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// `CUDA_VISIBLE_DEVICES`.
    pub devices: Option<String>,
    /// `CUDA_DEVICE_ORDER`.
    pub order: Option<String>,
}

impl Visible {
    /// Those of this process.
    pub fn here() -> Self {
        Self { devices: env::var("CUDA_VISIBLE_DEVICES").ok(), order: env::var("CUDA_DEVICE_ORDER").ok() }
    }
}

/// The card that CUDA would call device 0, as an index in the driver's order; `None` when the environment does not say.
///
/// # Errors
/// A finding when the variable names no card, or one that cannot be told.
pub fn choose(visible: &Visible, cards: &[Board]) -> Result<Option<usize>, Finding> {
    let Some(first) = visible.devices.as_deref().and_then(|list| list.split(',').next()).map(str::trim) else {
        return Ok(None);
    };
    if cards.is_empty() {
        return Ok(None);
    }
    // What a finding says may be saved and shared, so it holds no UUID.
    let shown = if first.starts_with("GPU-") { "a UUID".to_owned() } else { format!("`{first}`") };
    let absent = || {
        let message = format!("`CUDA_VISIBLE_DEVICES` begins with {shown}, which is none of the {} GPUs", cards.len());
        Finding::warning("no-such-gpu", message).help("unset it, or name a card by its UUID from `nvidia-smi -L`")
    };
    let unclear = |why: &str| {
        let message = format!("`CUDA_VISIBLE_DEVICES` begins with {why}");
        Finding::note("gpu-order", message).help("set `CUDA_DEVICE_ORDER=PCI_BUS_ID`, or ask with `--gpu-index`")
    };
    if first.starts_with("MIG-") {
        return Err(unclear("a MIG instance, and the card that it is of cannot be told"));
    }
    if first.starts_with("GPU-") {
        let fits = |card: &Board| matches!(&card.uuid, Answer::Given(uuid) if uuid.starts_with(first));
        let mut fitting = cards.iter().enumerate().filter(|(_, card)| fits(card)).map(|(index, _)| index);
        // CUDA takes a beginning that fits one card only.
        return fitting.next().filter(|_| fitting.next().is_none()).map(Some).ok_or_else(absent);
    }
    let number = first.parse::<usize>().ok().filter(|&number| number < cards.len()).ok_or_else(absent)?;
    // Cards of one kind are counted in bus order by CUDA too.
    let alike = cards.len() == 1 || cards.iter().all(|card| kind(card).is_some() && kind(card) == kind(&cards[0]));
    if visible.order.as_deref() == Some("PCI_BUS_ID") || alike {
        Ok(Some(number))
    } else {
        Err(unclear(&format!("{shown}, and CUDA counts the fastest card first while the driver counts by bus")))
    }
}

fn kind(card: &Board) -> Option<(u32, u64)> {
    match (&card.pci, &card.memory) {
        (Answer::Given(pci), Answer::Given(memory)) => Some((pci.device_id, memory.total)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::{Memory, Pci};
    use super::*;

    #[test]
    fn the_environment_names_a_card_by_uuid_or_by_a_number_that_is_clear() {
        let card = |uuid: &str, device_id| Board {
            uuid: Answer::Given(uuid.to_owned()),
            pci: Answer::Given(Pci { device_id, ..Pci::default() }),
            memory: Answer::Given(Memory::default()),
            ..Board::default()
        };
        let mixed = [card("GPU-aa11", 1), card("GPU-aa22", 2)];
        let alike = [card("GPU-aa11", 1), card("GPU-aa22", 1)];
        let code = |devices: &str, order: Option<&str>, cards: &[Board]| {
            let visible = Visible { devices: Some(devices.to_owned()), order: order.map(str::to_owned) };
            match choose(&visible, cards) {
                Ok(index) => format!("{index:?}"),
                Err(finding) => {
                    assert!(!finding.message.contains("GPU-"), "{}", finding.message);
                    finding.code.to_string()
                }
            }
        };
        assert_eq!(code("GPU-aa2,GPU-aa1", None, &mixed), "Some(1)");
        assert_eq!(code("GPU-aa", None, &mixed), "no-such-gpu");
        assert_eq!(code("1", None, &alike), "Some(1)");
        assert_eq!(code("1", Some("PCI_BUS_ID"), &mixed), "Some(1)");
        assert_eq!(code("1", Some("FASTEST_FIRST"), &mixed), "gpu-order");
        assert_eq!(code("0", None, &mixed), "gpu-order");
        assert_eq!(code("0", None, &mixed[..1]), "Some(0)");
        assert_eq!(code("2", None, &alike), "no-such-gpu");
        assert_eq!(code("", None, &alike), "no-such-gpu");
        assert_eq!(code("-1", None, &alike), "no-such-gpu");
        assert_eq!(code("MIG-1234", None, &alike), "gpu-order");
        assert_eq!(code("0", None, &[]), "None");
        assert_eq!(choose(&Visible::default(), &alike), Ok(None));
        assert_eq!(code("0", None, &[Board::default(), Board::default()]), "gpu-order");
    }
}
