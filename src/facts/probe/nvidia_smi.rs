//! GPU facts from a saved report of `nvidia-smi -q` or `nvidia-smi -q -x`, drivers 352 to 610.
//!
//! Takes the text, gives the facts and what is wrong with it. A report holds no compute capability: a table in the
//! policies supplies that.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::sanity;
use crate::diag::{Finding, Source};
use crate::facts::units::{Unit, parse_quantity};
use crate::facts::{Facts, Origin};

mod refusal;
mod tree;
use tree::{Node, malformed, span};

/// How a value is written and what it becomes.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// `0x270410DE` or `270410DE`.
    DeviceId,
    /// A quantity of the unit; `16x` is a count.
    Quantity(Unit),
    Int,
    /// `P8`.
    PerformanceState,
    /// `Enabled`, `Yes` and their opposites.
    Switch,
}

/// A fact of a GPU, how it is written, and where: sections with the key in them, first found first taken.
///
/// An empty section means directly below the GPU. XML's name of a key stands beside the text's where they differ.
type Row = (&'static str, Kind, &'static [(&'static str, &'static str)]);

const BYTES: Kind = Kind::Quantity(Unit::Bytes);
const COUNT: Kind = Kind::Quantity(Unit::Count);
const WATTS: Kind = Kind::Quantity(Unit::Watts);
const CELSIUS: Kind = Kind::Quantity(Unit::Celsius);
const RATIO: Kind = Kind::Quantity(Unit::Ratio);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("name", Kind::Text, &[("", "product_name")]),
    ("architecture", Kind::Text, &[("", "product_architecture")]),
    ("pci_device_id", Kind::DeviceId, &[("pci", "pci_device_id"), ("pci", "device_id")]),
    ("vram.total", BYTES, &[("fb_memory_usage", "total")]),
    ("vram.reserved", BYTES, &[("fb_memory_usage", "reserved")]),
    ("vram.used", BYTES, &[("fb_memory_usage", "used")]),
    ("vram.free", BYTES, &[("fb_memory_usage", "free")]),
    ("pcie.generation", Kind::Int, &[("pcie_gen", "current_link_gen"), ("pcie_generation", "current")]),
    ("pcie.generation_max", Kind::Int, &[("pcie_gen", "max_link_gen"), ("pcie_generation", "max")]),
    ("pcie.width", COUNT, &[("link_widths", "current_link_width"), ("link_width", "current")]),
    ("pcie.width_max", COUNT, &[("link_widths", "max_link_width"), ("link_width", "max")]),
    ("power.limit", WATTS, &[("gpu_power_readings", "current_power_limit"), ("power_readings", "enforced_power_limit"), ("power_readings", "power_limit")]),
    ("power.limit_default", WATTS, &[("gpu_power_readings", "default_power_limit"), ("power_readings", "default_power_limit")]),
    ("power.limit_min", WATTS, &[("gpu_power_readings", "min_power_limit"), ("power_readings", "min_power_limit")]),
    ("power.limit_max", WATTS, &[("gpu_power_readings", "max_power_limit"), ("power_readings", "max_power_limit")]),
    ("power.draw", WATTS, &[("gpu_power_readings", "average_power_draw"), ("gpu_power_readings", "power_draw"), ("gpu_power_readings", "instant_power_draw"), ("gpu_power_readings", "instantaneous_power_draw"), ("power_readings", "power_draw")]),
    ("temperature.current", CELSIUS, &[("temperature", "gpu_temp"), ("temperature", "gpu_current_temp")]),
    ("temperature.slowdown", CELSIUS, &[("temperature", "gpu_temp_slow_threshold"), ("temperature", "gpu_slowdown_temp")]),
    ("temperature.shutdown", CELSIUS, &[("temperature", "gpu_temp_max_threshold"), ("temperature", "gpu_shutdown_temp")]),
    ("temperature.max_operating", CELSIUS, &[("temperature", "gpu_temp_max_gpu_threshold"), ("temperature", "gpu_max_operating_temp")]),
    ("temperature.target", CELSIUS, &[("temperature", "gpu_target_temperature")]),
    ("utilization", RATIO, &[("utilization", "gpu_util"), ("utilization", "gpu")]),
    ("performance_state", Kind::PerformanceState, &[("", "performance_state")]),
    ("ecc.enabled", Kind::Switch, &[("ecc_mode", "current_ecc"), ("ecc_mode", "current")]),
    // Until driver 580 the key for a plugged-in display was "display mode".
    ("display.attached", Kind::Switch, &[("", "display_attached"), ("", "display_mode")]),
    ("display.active", Kind::Switch, &[("", "display_active")]),
    ("driver_model", Kind::Text, &[("driver_model", "current_dm"), ("driver_model", "current")]),
    ("compute_mode", Kind::Text, &[("", "compute_mode")]),
    ("persistence_mode", Kind::Switch, &[("", "persistence_mode")]),
];

/// Thresholds that newer drivers give as a distance to the limit, and the key of that distance in XML and in text.
const DISTANCES: &[(&str, [&str; 2])] = &[
    ("temperature.slowdown", ["gpu_temp_slow_tlimit_threshold", "gpu_slowdown_t_limit_temp"]),
    ("temperature.shutdown", ["gpu_temp_max_tlimit_threshold", "gpu_shutdown_t_limit_temp"]),
    ("temperature.max_operating", ["gpu_temp_max_gpu_tlimit_threshold", "gpu_max_operating_t_limit_temp"]),
];

/// What an unknown total means where the driver answers but there is no memory to report.
pub(super) const UNIFIED: &str = "unified memory: the card shares the RAM";

/// Reads a saved report, text or XML.
///
/// What the driver does not report is unknown with the words of the report as the reason. The facts carry the findings:
/// values that cannot be true, and a number of GPUs other than the report announces.
///
/// # Errors
/// A `malformed-dump` finding at its place, when the text is no such report, is cut off or is not well-formed.
pub fn read(source: Arc<Source>) -> Result<Facts, Finding> {
    let root = tree::read(&source)?;
    let gpus: Vec<&Node> = root.children.iter().filter(|node| node.is_gpu()).collect();
    let mut dump = Dump { facts: Facts::new("the saved dump does not say"), places: BTreeMap::new() };
    dump.record("driver.version", Kind::Text, &root, &[("", "driver_version"), ("", "kmd_version")]);
    dump.record("driver.cuda", Kind::Text, &root, &[("", "cuda_version"), ("", "cuda_umd_version")]);

    let attached = root.child("attached_gpus");
    let announced = attached.and_then(|node| node.text()?.parse::<usize>().ok());
    match (announced, attached) {
        (None | Some(1..), _) if gpus.is_empty() => {
            let at = attached.unwrap_or(&root).range.clone();
            return Err(malformed("the dump lists no GPU").at(span(&source, at), "").help("save it again, to its end"));
        }
        (Some(announced), Some(attached)) if announced != gpus.len() => {
            let message = format!("the dump announces {announced} GPUs and lists {}", gpus.len());
            let finding = Finding::warning("fact-contradiction", message)
                .at(span(&source, attached.range.clone()), "announced here")
                .help("the listed ones are used; a dump of one GPU (`-i`) or a cut file looks like this");
            dump.facts.findings.push(finding);
        }
        _ => {}
    }
    for node in root.children.iter().filter(|node| node.label.contains("Unable to determine the device handle")) {
        let finding = Finding::warning("gpu-lost", "the driver could not talk to one of the GPUs, which is left out")
            .at(span(&source, node.range.clone()), "");
        dump.facts.findings.push(finding);
    }
    dump.facts.know("gpus", gpus.len(), Origin::NvidiaSmi);
    for (index, node) in gpus.into_iter().enumerate() {
        dump.gpu(index, node);
    }
    let Dump { mut facts, places } = dump;
    sanity::check(&mut facts, |name| places.get(name).map(|range| span(&source, range.clone())));
    Ok(facts)
}

struct Dump {
    facts: Facts,
    places: BTreeMap<String, Range<usize>>,
}

impl Dump {
    fn gpu(&mut self, index: usize, gpu: &Node) {
        let name = |fact: &str| format!("gpus[{index}].{fact}");
        for (fact, kind, places) in ROWS {
            self.record(&name(fact), *kind, gpu, places);
        }
        for (fact, keys) in DISTANCES {
            let Some(temperature) = gpu.section("temperature") else { break };
            let distance = keys.iter().find_map(|key| temperature.child(key)?.text());
            let known = self.facts.value(&name(fact)).is_some();
            if let Some(distance) = distance.filter(|distance| !known && absence(distance).is_none()) {
                self.facts
                    .unknown(name(fact), format!("the driver gives only the distance to its limit, `{distance}`"));
            }
        }
        self.unified(&name("vram"), gpu);
        self.mig(&name("mig"), gpu);
        self.throttle(name("throttle_reasons"), gpu);
    }

    // The first place that can be read gives the fact; if none can, the first that is there gives the reason.
    fn record(&mut self, fact: &str, kind: Kind, node: &Node, places: &[(&str, &str)]) {
        let mut reason = None;
        for &(section, key) in places {
            let section = if section.is_empty() { Some(node) } else { node.section(section) };
            let Some(section) = section else { continue };
            let Some(found) = section.child(key) else {
                // `Clocks Throttle Reasons : N/A`: the section itself may say why it is empty.
                reason = reason.or_else(|| section.text().and_then(absence));
                continue;
            };
            let text = found.text().unwrap_or_default();
            match absence(text).map_or_else(|| read_value(text, kind), Err) {
                Ok(value) => {
                    self.facts.know(fact, value, Origin::NvidiaSmi);
                    self.places.insert(fact.to_owned(), found.range.clone());
                    return;
                }
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        if let Some(reason) = reason {
            self.facts.unknown(fact, reason);
        }
    }

    // A card that reports each part of its memory as not applicable has none of its own (GB10, Jetson).
    fn unified(&mut self, vram: &str, gpu: &Node) {
        let Some(memory) = gpu.section("fb_memory_usage") else { return };
        let says = |key: &str| memory.child(key).unwrap_or(memory).text();
        if says("total").is_some_and(not_applicable) && says("used").is_none_or(not_applicable) {
            self.facts.know(format!("{vram}.unified"), true, Origin::NvidiaSmi);
            self.facts.unknown(format!("{vram}.total"), UNIFIED);
        } else if self.facts.value(&format!("{vram}.total")).is_some() {
            self.facts.know(format!("{vram}.unified"), false, Origin::NvidiaSmi);
        }
    }

    fn mig(&mut self, mig: &str, gpu: &Node) {
        let (enabled, instances) = (format!("{mig}.enabled"), format!("{mig}.instances"));
        let places = [("mig_mode", "current_mig"), ("mig_mode", "current")];
        self.record(&enabled, Kind::Switch, gpu, &places);
        let mode = places.iter().find_map(|(section, key)| gpu.section(section)?.child(key)?.text());
        if mode.is_some_and(not_applicable) {
            // A card that knows no MIG is not split.
            self.facts.know(&enabled, false, Origin::NvidiaSmi);
        }
        let mut devices = Vec::new();
        gpu.all("mig_device", &mut devices);
        let totals: Result<Vec<Value>, String> = devices
            .iter()
            .map(|device| {
                let memory = device.section("fb_memory_usage").or_else(|| device.section("shared_fb_memory_usage"));
                let text = memory.and_then(|memory| memory.child("total")?.text());
                let text = text.ok_or("the dump lists an instance without its memory")?;
                absence(text).map_or_else(|| read_value(text, BYTES), Err)
            })
            .collect();
        match totals {
            Err(why) => self.facts.unknown(instances, why),
            Ok(totals) if !totals.is_empty() || self.facts.value(&enabled).is_some() => {
                self.facts.know(instances, totals, Origin::NvidiaSmi);
            }
            Ok(_) => {}
        }
    }

    fn throttle(&mut self, fact: String, gpu: &Node) {
        let names = ["clocks_event_reasons", "clocks_throttle_reasons"];
        let Some(section) = names.iter().find_map(|name| gpu.section(name)) else { return };
        let (mut active, mut readable) = (Vec::new(), false);
        walk(section, &mut |node| {
            let state = node.text().unwrap_or_default();
            readable |= matches!(state, "Active" | "Not Active");
            if state == "Active" {
                active.push(throttle_reason(&node.name));
            }
        });
        if readable {
            self.facts.know(fact, active.join(", "), Origin::NvidiaSmi);
        } else {
            let why = section.text().and_then(absence);
            self.facts.unknown(fact, why.unwrap_or_else(|| "the dump leaves it empty".to_owned()));
        }
    }
}

fn walk<'a>(node: &'a Node, visit: &mut impl FnMut(&'a Node)) {
    for child in &node.children {
        visit(child);
        walk(child, visit);
    }
}

// XML's long names and text's are brought to one: `hw_thermal_slowdown`, `idle`.
fn throttle_reason(name: &str) -> &str {
    let name = name.strip_prefix("clocks_event_reason_").unwrap_or(name);
    match name.strip_prefix("clocks_throttle_reason_").unwrap_or(name) {
        "gpu_idle" => "idle",
        "display_clocks_setting" => "display_clock_setting",
        name => name,
    }
}

// Whether the driver says that the card has no such thing.
fn not_applicable(text: &str) -> bool {
    matches!(bare(text).as_str(), "n/a" | "not supported")
}

fn bare(text: &str) -> String {
    text.trim().trim_start_matches('[').trim_end_matches(']').trim().to_lowercase()
}

/// Why a text stands for no value, when it does not.
fn absence(text: &str) -> Option<String> {
    let bare = bare(text);
    let shown = text.trim();
    if bare.is_empty() {
        Some("the dump leaves it empty".to_owned())
    } else if not_applicable(text) || matches!(bare.as_str(), "not available" | "not found") {
        Some(format!("the driver does not report it for this card (`{shown}`)"))
    } else if bare.contains("deprecated") {
        Some(format!("the driver reports it no more (`{shown}`)"))
    } else if bare.contains("insufficient permission") || bare.contains("no permission") {
        Some(format!("the driver did not allow to read it (`{shown}`)"))
    } else if bare.starts_with("err!")
        || bare.starts_with("unknown")
        || bare.contains("gpu is lost")
        || bare.contains("requires reset")
        || bare.contains("function not found")
        || (shown.starts_with('[') && shown.ends_with(']'))
    {
        Some(format!("the driver could not read it (`{shown}`)"))
    } else {
        None
    }
}

fn read_value(text: &str, kind: Kind) -> Result<Value, String> {
    let wrong = |what: &str| format!("the dump says `{text}`, which is not {what}");
    match kind {
        Kind::Text => Ok(text.into()),
        Kind::DeviceId => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
            let valid = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            valid.then(|| digits.to_ascii_uppercase().into()).ok_or_else(|| wrong("a PCI id of eight digits"))
        }
        Kind::Quantity(unit) => {
            let digits = if unit == Unit::Count { text.trim_end_matches(['x', 'X']) } else { text };
            let number = parse_quantity(digits, unit).map_err(|_| wrong(&format!("a number of {unit}")))?;
            Ok(Value::Number(number)).and_then(|value: Value| {
                let negative = unit != Unit::Celsius && value.as_f64().is_some_and(|number| number < 0.0);
                if negative { Err(wrong(&format!("a number of {unit}"))) } else { Ok(value) }
            })
        }
        Kind::Int => text.parse::<u32>().map(Value::from).map_err(|_| wrong("a whole number")),
        Kind::PerformanceState => {
            let state = text.strip_prefix('P').and_then(|number| number.parse::<u32>().ok()).filter(|&p| p <= 15);
            state.map(Value::from).ok_or_else(|| wrong("a performance state"))
        }
        Kind::Switch => match text {
            "Enabled" | "Yes" | "On" => Ok(true.into()),
            "Disabled" | "No" | "Off" => Ok(false.into()),
            _ => Err(wrong("`Enabled` or `Disabled`")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(gpu: &str) -> String {
        format!(
            "==NVSMI LOG==\n\nDriver Version : 580.65\nCUDA Version : 13.0\n\nAttached GPUs : 1\n\
             GPU 00000000:01:00.0\n    Product Name : NVIDIA L4\n{gpu}\n    Processes : None\n"
        )
    }

    fn facts(dump: &str) -> Facts {
        read(Source::new("dump", dump)).unwrap()
    }

    fn codes(facts: &Facts) -> Vec<&str> {
        facts.findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn every_word_for_nothing_is_unknown_with_that_word() {
        let cases = [
            ("N/A", "the driver does not report it for this card (`N/A`)"),
            ("[N/A]", "the driver does not report it for this card (`[N/A]`)"),
            ("ERR!", "the driver could not read it (`ERR!`)"),
            ("Unknown Error", "the driver could not read it (`Unknown Error`)"),
            ("[GPU requires reset]", "the driver could not read it (`[GPU requires reset]`)"),
            ("Insufficient Permissions", "the driver did not allow to read it (`Insufficient Permissions`)"),
            ("[Deprecated; use X]", "the driver reports it no more (`[Deprecated; use X]`)"),
            (
                "Requested functionality has been deprecated",
                "the driver reports it no more (`Requested functionality has been deprecated`)",
            ),
            ("", "the dump leaves it empty"),
            ("lots", "the dump says `lots`, which is not a number of W"),
            ("-3 W", "the dump says `-3 W`, which is not a number of W"),
        ];
        for (word, reason) in cases {
            let facts = facts(&text(&format!("    Power Readings\n        Max Power Limit : {word}")));
            assert_eq!(facts.reason("gpu.power.limit_max"), reason, "{word}");
            assert_eq!(facts.reason("gpu.power.limit_min"), "the saved dump does not say");
        }
    }

    #[test]
    fn the_words_of_drivers_from_610_on_are_known() {
        let dump = text(
            "    Temperature\n        GPU Target Temperature Specification : 84 C\n        GPU Shutdown T.Limit Temp Specification : -7 C",
        );
        let renamed = dump
            .replace("580.65", "610.57 [Deprecated; will be removed in CUDA 14.0. Use KMD Version instead]")
            .replace("13.0", "13.3 [Deprecated; will be removed in CUDA 14.0. Use CUDA UMD Version instead]");
        let gone = dump.replace("Driver Version", "KMD Version").replace("CUDA Version", "CUDA UMD Version");
        for (dump, driver, cuda) in [(renamed, "610.57", "13.3"), (gone, "580.65", "13.0")] {
            let facts = facts(&dump);
            assert_eq!(facts.value("driver.version"), Some(&driver.into()));
            assert_eq!(facts.value("driver.cuda"), Some(&cuda.into()));
            assert_eq!(facts.value("gpu.temperature.target"), Some(&84.into()));
            assert!(facts.reason("gpu.temperature.shutdown").contains("distance"));
        }
    }

    #[test]
    fn the_words_of_old_drivers_are_known() {
        let old = "==NVSMI LOG==\r\nDriver Version : 352.39\r\nAttached GPUs : 1\r\nGPU 0000:02:00.0\r\n    \
                   Product Name : Tesla K40m\r\n    Ecc Mode\r\n        Current : Enabled\r\n    Power Readings\r\n        \
                   Power Limit : 200.00 W\r\n        Enforced Power Limit : 190.00 W\r\n    Utilization\r\n        \
                   Gpu : 5 %\r\n    Compute Mode : Exclusive_Process\r\n    Processes : None\r\n";
        let facts = facts(old);
        assert_eq!(facts.value("gpu.name"), Some(&"Tesla K40m".into()));
        assert_eq!(facts.value("gpu.ecc.enabled"), Some(&true.into()));
        assert_eq!(facts.value("gpu.power.limit"), Some(&190.into()));
        assert_eq!(facts.value("gpu.utilization"), Some(&0.05.into()));
        assert_eq!(facts.value("gpu.compute_mode"), Some(&"Exclusive_Process".into()));
        assert_eq!(facts.reason("driver.cuda"), "the saved dump does not say");
    }

    #[test]
    fn sections_are_found_wherever_they_stand() {
        let moved = "    Memory\n        FB Memory Usage\n            Total : 23034 MiB\n            Free : 1 GiB\n    \
                     Link Width\n        Max : 16x\n    Performance State : P8\n    PCI\n        Device Id : 0x27b810de\n    \
                     GPU Power Readings\n        Average Power Draw : N/A\n        Instantaneous Power Draw : 11.50 W";
        let facts = facts(&text(moved));
        assert_eq!(facts.value("gpu.vram.total"), Some(&Value::from(23034_u64 << 20)));
        assert_eq!(facts.value("gpu.vram.unified"), Some(&false.into()));
        assert_eq!(facts.value("gpu.pcie.width_max"), Some(&16.into()));
        assert_eq!(facts.value("gpu.performance_state"), Some(&8.into()));
        assert_eq!(facts.value("gpu.pci_device_id"), Some(&"27B810DE".into()));
        assert_eq!(facts.value("gpu.power.draw"), Some(&11.5.into()));
        assert_eq!(facts.value("driver.cuda"), Some(&"13.0".into()));
        assert_eq!(codes(&facts), [""; 0]);
    }

    #[test]
    fn memory_that_is_not_there_is_unified_and_memory_of_zero_is_impossible() {
        let unified = facts(&text("    FB Memory Usage\n        Total : Not Supported\n        Used : N/A"));
        assert_eq!(unified.value("gpu.vram.unified"), Some(&true.into()));
        assert_eq!(unified.reason("gpu.vram.total"), UNIFIED);
        let lost = facts(&text("    FB Memory Usage\n        Total : Unknown Error"));
        assert_eq!(lost.value("gpu.vram.unified"), None);
        let zero = facts(&text("    FB Memory Usage\n        Total : 0 MiB"));
        assert_eq!(zero.value("gpu.vram.total"), None);
        assert_eq!(codes(&zero), ["fact-impossible"]);
        assert_eq!(zero.findings[0].labels[0].span.at().line, 10);
    }

    #[test]
    fn instances_and_reasons_are_lists() {
        let facts = facts(&text(
            "    MIG Mode\n        Current : Enabled\n    MIG Device\n        Index : 0\n        Shared FB Memory Usage\n            \
             Total : 9984 MiB\n    MIG Device\n        FB Memory Usage\n            Total : 20096 MiB\n    FB Memory Usage\n        \
             Total : 81559 MiB\n    Clocks Throttle Reasons\n        Idle : Not Active\n        HW Slowdown : Active\n            \
             HW Thermal Slowdown : Active\n    Temperature\n        GPU Slowdown T.Limit Temp : -2 C",
        ));
        assert_eq!(facts.value("gpu.mig.instances"), Some(&serde_json::json!([9984_i64 << 20, 20096_i64 << 20])));
        assert_eq!(facts.value("gpu.vram.total"), Some(&Value::from(81559_u64 << 20)));
        assert_eq!(facts.value("gpu.throttle_reasons"), Some(&"hw_slowdown, hw_thermal_slowdown".into()));
        assert_eq!(facts.reason("gpu.temperature.slowdown"), "the driver gives only the distance to its limit, `-2 C`");
    }

    #[test]
    fn a_card_without_mig_is_not_split() {
        let facts = facts(&text("    MIG Mode\n        Current : N/A"));
        assert_eq!(facts.value("gpu.mig.enabled"), Some(&false.into()));
        assert_eq!(facts.value("gpu.mig.instances"), Some(&Value::Array(Vec::new())));
    }

    #[test]
    fn the_number_of_gpus_is_compared_with_what_is_announced() {
        let other = facts(&text("").replace("GPUs : 1", "GPUs : 4"));
        assert_eq!(other.count("gpus"), Some(1));
        assert_eq!(codes(&other), ["fact-contradiction"]);
        assert_eq!(other.findings[0].message, "the dump announces 4 GPUs and lists 1");
        let none = "<nvidia_smi_log><attached_gpus>N</attached_gpus></nvidia_smi_log>";
        assert_eq!(facts(&none.replace('N', "0")).count("gpus"), Some(0));
        for many in ["2", "N/A"] {
            let error = read(Source::new("dump", none.replace('N', many))).unwrap_err();
            assert_eq!((error.code.as_str(), error.message.as_str()), ("malformed-dump", "the dump lists no GPU"));
        }
        let lost =
            text("").replace("Attached", "Unable to determine the device handle for GPU 000:BA:80.0: Lost\nAttached");
        assert_eq!(codes(&facts(&lost)), ["gpu-lost"]);
    }

    #[test]
    fn a_report_that_lost_its_indents_is_refused_and_marks_between_elements_are_no_values() {
        let report = text("    Utilization\n        Gpu : 5 %\n    Driver Model\n        Current : N/A");
        let flat: String = report.lines().map(|line| format!("{}\n", line.trim_start())).collect();
        let quoted: String = report.lines().map(|line| format!("> {line}\n")).collect();
        for text in [flat, quoted] {
            assert_eq!(read(Source::new("dump", text)).unwrap_err().code.as_str(), "malformed-dump");
        }
        let xml = "<nvidia_smi_log><gpu id=\"a\">\n> <product_name>NVIDIA L4</product_name>\n> \
                   <driver_model>\n> <current_dm>N/A</current_dm>\n> </driver_model></gpu></nvidia_smi_log>";
        let facts = facts(xml);
        assert_eq!(facts.value("gpu.name"), Some(&"NVIDIA L4".into()));
        assert_eq!(facts.reason("gpu.driver_model"), "the driver does not report it for this card (`N/A`)");
        assert_eq!(facts.value("gpu.compute_mode"), None);
    }

    #[test]
    fn a_name_that_is_none_is_unknown() {
        for name in ["Graphics Device", "535.104.05"] {
            let facts = facts(&text("").replace("NVIDIA L4", name));
            assert_eq!(facts.value("gpu.name"), None, "{name}");
            assert_eq!(codes(&facts), ["fact-impossible"]);
        }
    }
}
