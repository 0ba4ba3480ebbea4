//! What can be said of the GPUs where no driver answers.

use super::super::files::Files;
use super::answers::Refusal;
use crate::diag::Finding;
use crate::facts::{Facts, Origin};

/// Why no driver answers, and what helps.
struct Silence {
    cause: &'static str,
    help: &'static str,
    // Whether the driver is there for certain, so that an empty bus would prove nothing.
    installed: bool,
}

fn silence(refusal: Refusal) -> Silence {
    const INSTALL: &str = "install the NVIDIA driver, or give the container its GPUs";
    let (cause, help, installed) = match refusal {
        Refusal::LibraryNotFound => ("its library is not there", INSTALL, false),
        Refusal::DriverNotLoaded => (
            "its kernel module is not loaded",
            "load it with `modprobe nvidia`; on Windows install the driver again",
            false,
        ),
        Refusal::LibRmVersionMismatch => (
            "its library and its kernel module are of different versions",
            "restart the machine, or reload the kernel module after the update",
            true,
        ),
        Refusal::NoPermission => ("no permission to talk to it", refusal.help(), true),
        Refusal::OperatingSystem => (refusal.reason(), refusal.help(), true),
        Refusal::FunctionNotFound => ("its library is not NVML, or too old", INSTALL, true),
        refusal if refusal.is_of_card() => (refusal.reason(), refusal.help(), true),
        _ => {
            ("an internal error of the driver", "see what the driver says (`dmesg`, on Windows the Event Viewer)", true)
        }
    };
    Silence { cause, help, installed }
}

/// What can be said of the GPUs from the bus alone.
pub fn without_driver(files: &Files, refusal: Refusal) -> Facts {
    let Silence { cause, help, installed } = silence(refusal);
    let mut facts = Facts::new("no NVIDIA driver answers");
    let unanswered = format!("no NVIDIA driver answers ({cause})");
    facts.unknown("driver", &unanswered);
    let bus = Bus::read(files);
    let seen = bus.nvidia.clone().or_else(|| {
        let hidden = [("dev/dxg", "WSL shows a GPU"), ("dev/nvidiactl", "the driver's device files are there")];
        hidden.iter().find(|(path, _)| files.exists(path)).map(|(_, what)| (*what).to_owned()).or_else(|| {
            let board = files.text("proc/device-tree/compatible").unwrap_or_default();
            board.contains("nvidia").then(|| "the board is NVIDIA's (Tegra)".to_owned())
        })
    });
    if let Some(seen) = seen {
        let reason = format!("no NVIDIA driver answers, though {seen}");
        facts.findings.push(Finding::warning("gpu-without-driver", format!("{reason}: {cause}")).help(help));
        facts.unknown("gpus", reason);
    } else {
        facts.findings.push(Finding::note("driver-missing", unanswered.clone()));
        if bus.devices > 0 && !installed {
            facts.know("gpus", 0, Origin::Sysinfo);
        } else {
            facts.unknown("gpus", unanswered);
        }
    }
    facts
}

const DEVICES: &str = "sys/bus/pci/devices";

/// The PCI bus as the kernel lists it.
#[derive(Default)]
struct Bus {
    // How many devices it shows; none where it cannot be read.
    devices: usize,
    // The first NVIDIA display controller: `the PCI bus shows 10de:2704 at 0000:01:00.0`.
    nvidia: Option<String>,
}

impl Bus {
    fn read(files: &Files) -> Self {
        let mut bus = Self::default();
        for device in files.names(DEVICES) {
            let id = |file: &str| {
                let text = files.text(&format!("{DEVICES}/{device}/{file}")).ok()?;
                Some(text.trim().trim_start_matches("0x").to_lowercase())
            };
            let Some(vendor) = id("vendor") else { continue };
            bus.devices += 1;
            // Classes 0x03xxxx are display controllers.
            if vendor == "10de" && id("class").is_some_and(|class| class.len() == 6 && class.starts_with("03")) {
                let device_id = id("device").unwrap_or_default();
                bus.nvidia.get_or_insert_with(|| format!("the PCI bus shows {vendor}:{device_id} at {device}"));
            }
        }
        bus
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::root;
    use super::*;

    const BRIDGE: [(&str, &str); 2] = [
        ("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n"),
        ("sys/bus/pci/devices/0000:00:00.0/class", "0x060000\n"),
    ];
    const CARD: [(&str, &str); 3] = [
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n"),
        ("sys/bus/pci/devices/0000:01:00.0/device", "0x2704\n"),
    ];

    fn silent(files: &[(&str, &str)], refusal: Refusal) -> (Option<usize>, String, Vec<String>) {
        let facts = without_driver(&root(files), refusal);
        assert_eq!(facts.value("driver.version"), None);
        let findings = facts.findings.iter().map(|finding| finding.code.to_string()).collect();
        (facts.count("gpus"), facts.reason("gpus").to_owned(), findings)
    }

    #[test]
    fn without_a_driver_the_bus_decides() {
        let absent = Refusal::LibraryNotFound;
        let (count, _, findings) = silent(&BRIDGE, absent);
        assert_eq!((count, findings), (Some(0), vec!["driver-missing".to_owned()]));

        let (count, reason, findings) = silent(&[], absent);
        assert_eq!((count, findings), (None, vec!["driver-missing".to_owned()]));
        assert_eq!(reason, "no NVIDIA driver answers (its library is not there)");

        let (count, reason, findings) = silent(&[&BRIDGE[..], &CARD].concat(), absent);
        assert_eq!((count, findings), (None, vec!["gpu-without-driver".to_owned()]));
        assert_eq!(reason, "no NVIDIA driver answers, though the PCI bus shows 10de:2704 at 0000:01:00.0");

        // The sound device of a card is no card.
        let sound = [CARD[0], ("sys/bus/pci/devices/0000:01:00.0/class", "0x040300\n")];
        assert_eq!(silent(&sound, absent).0, Some(0));
        for hidden in [("dev/dxg", ""), ("proc/device-tree/compatible", "nvidia,p3768\0nvidia,tegra234\0")] {
            let (count, reason, findings) = silent(&[BRIDGE[0], hidden], absent);
            assert_eq!((count, findings), (None, vec!["gpu-without-driver".to_owned()]));
            assert!(reason.starts_with("no NVIDIA driver answers, though"), "{reason}");
        }
    }

    #[test]
    fn a_driver_that_is_there_but_fails_leaves_the_gpus_unknown() {
        let (count, reason, _) = silent(&BRIDGE, Refusal::LibRmVersionMismatch);
        assert_eq!(count, None);
        assert_eq!(reason, "no NVIDIA driver answers (its library and its kernel module are of different versions)");
        assert_eq!(silent(&BRIDGE, Refusal::NoPermission).1, "no NVIDIA driver answers (no permission to talk to it)");
        assert_eq!(silent(&BRIDGE, Refusal::GpuIsLost).0, None);
        assert_eq!(silent(&BRIDGE, Refusal::DriverNotLoaded).0, Some(0));
    }
}
