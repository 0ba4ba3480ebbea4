//! Real machines' dumps and topologies against what other tools read from them.
//!
//! The captures lie beside the repository, in `../shared/hardware`, or where `WAN22_CAPTURES` says. Without them this
//! test says so and passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::captures;
use serde_json::Value;
use wan22_policy::diag::{Finding, Source};
use wan22_policy::facts::Facts;
use wan22_policy::facts::probe::files::Files;
use wan22_policy::facts::probe::{kernel, nvidia_smi, topology};

/// Values that are unlike the ones expected on purpose, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "gpu/gtx1660ti-unnamed-418.xml",
        "gpus[0].name",
        "`Graphics Device` is the driver's word for a card that it does not know, not a name",
    ),
    (
        "topology/hugepages-insane-total.xml",
        "ram.total",
        "373 TiB is more than any machine has, so the total is unknown",
    ),
    (
        "topology/hugepages-insane-total.xml",
        "numa.nodes[0].memory",
        "373 TiB is more than any machine has, so the node's memory is unknown",
    ),
];

/// Captures that are refused on purpose, with the message.
const REFUSED: &[(&str, &str)] = &[
    // Upstream cut it off after the clocks; what it still holds is a part of one GPU of eight.
    ("gpu/h100-invalid-keys.q.txt", "the dump is cut off: `GPU 00000000:53:00.0` is not whole"),
    (
        "topology/bad/cxlmem-hwloc3-format.xml",
        "the topology has the format of hwloc 3.0; this program reads that of hwloc 2",
    ),
    ("topology/bad/truncated.xml", "the topology is cut off: its XML does not end"),
];

/// One capture being compared.
struct Comparison<'a> {
    file: &'a str,
    facts: &'a Facts,
    values: usize,
    wrong: Vec<String>,
}

impl Comparison<'_> {
    // A null is expected to be unknown.
    fn same(&mut self, name: &str, want: &Value) {
        self.values += 1;
        let got = self.facts.value(name);
        let equal = match (got, want) {
            (None, Value::Null) => true,
            (Some(got), want) if got.is_number() && want.is_number() => got.as_f64() == want.as_f64(),
            (got, want) => got == Some(want),
        };
        let different = DIFFERENT.iter().any(|(file, fact, _)| *file == self.file && *fact == name);
        let (file, reason) = (self.file, self.facts.reason(name));
        if different && (equal || got.is_some()) {
            self.wrong.push(format!("{file}: `{name}` is {got:?}, and ought to be unknown"));
        } else if !different && !equal {
            self.wrong.push(format!("{file}: `{name}` is {got:?} ({reason}), expected {want}"));
        }
    }
}

// Reads every capture of a kind, compares those that are read, and returns how many files and values were compared.
fn compare(
    kind: &str,
    read: impl Fn(&str, String) -> Result<Facts, Finding>,
    values: impl Fn(&mut Comparison<'_>, &Value),
) -> Option<(usize, usize)> {
    let (folder, expected) = captures()?;
    let (mut files, mut compared, mut refused, mut wrong) = (0, 0, 0, Vec::new());
    for (file, want) in expected[kind].as_object().expect("a map of files") {
        let text = fs::read_to_string(folder.join(file)).expect("the capture can be read");
        let refusal = REFUSED.iter().find(|(name, _)| name == file);
        match (read(file, text), refusal) {
            (Ok(facts), None) => {
                common::assert_origins_are_declared(file, &facts);
                let mut comparison = Comparison { file, facts: &facts, values: 0, wrong: Vec::new() };
                values(&mut comparison, want);
                files += 1;
                compared += comparison.values;
                wrong.extend(comparison.wrong);
            }
            (Err(finding), Some((_, message))) => {
                refused += 1;
                assert_eq!(finding.code.as_str(), "malformed-dump", "{file}");
                assert!(finding.message.starts_with(message), "{file}: {}", finding.message);
                assert!(!finding.labels.is_empty(), "{file}: the finding has a place");
            }
            (Ok(_), Some(_)) => wrong.push(format!("{file}: is read, and ought to be refused")),
            (Err(finding), None) => wrong.push(format!("{file}: {}", finding.message)),
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(files > 0, "no capture of kind {kind}");
    eprintln!("{kind}: {files} captures and {compared} values are as expected, {refused} refused");
    Some((files, compared))
}

#[test]
fn every_gpu_dump_reads_as_expected() {
    let read = |file: &str, text| nvidia_smi::read(Source::new(file, text));
    compare("gpu", read, |comparison, want| {
        comparison.same("driver.version", &want["driver_version"]);
        comparison.same("driver.cuda", &want["cuda_version"]);
        comparison.same("gpus", &want["gpus_listed"]);
        let announced = want["attached_gpus_declared"].as_u64();
        let warned = comparison.facts.findings.iter().any(|finding| finding.code.as_str() == "fact-contradiction");
        assert_eq!(warned, announced.is_some_and(|count| Some(count) != want["gpus_listed"].as_u64()));
        for (index, gpu) in want["gpus"].as_array().into_iter().flatten().enumerate() {
            gpu_values(comparison, index, gpu);
        }
    });
}

fn gpu_values(comparison: &mut Comparison<'_>, index: usize, gpu: &Value) {
    let mut same = |fact: &str, want: Value| comparison.same(&format!("gpus[{index}].{fact}"), &want);
    let mib = |value: &Value| value.as_u64().map_or(Value::Null, |mib| (mib << 20).into());
    let absent = |text: &str| matches!(text, "N/A" | "Requested functionality has been deprecated");
    let text = |key: &str| gpu[key].as_str().filter(|text| !absent(text)).map_or(Value::Null, Value::from);
    let switch = |key: &str| match gpu[key].as_str() {
        Some("Enabled") => Value::from(true),
        Some("Disabled") => Value::from(false),
        _ => Value::Null,
    };
    same("name", text("name"));
    same("architecture", text("architecture"));
    for part in ["total", "reserved", "used", "free"] {
        same(&format!("vram.{part}"), mib(&gpu[format!("memory_{part}_mib")]));
    }
    for (fact, key) in [
        ("power.limit", "power_limit_w"),
        ("power.limit_default", "power_default_limit_w"),
        ("power.limit_min", "power_min_limit_w"),
        ("power.limit_max", "power_max_limit_w"),
        ("power.draw", "power_draw_w"),
        ("pcie.generation", "pcie_gen_current"),
        ("pcie.generation_max", "pcie_gen_max"),
        ("temperature.current", "temperature_c"),
        ("temperature.slowdown", "temp_slowdown_c"),
        ("temperature.shutdown", "temp_shutdown_c"),
    ] {
        same(fact, gpu[key].clone());
    }
    for (fact, key) in [("pcie.width", "pcie_width_current"), ("pcie.width_max", "pcie_width_max")] {
        let lanes = gpu[key].as_str().and_then(|lanes| lanes.strip_suffix('x')?.parse::<u64>().ok());
        same(fact, lanes.map_or(Value::Null, Value::from));
    }
    same("utilization", gpu["gpu_util_pct"].as_f64().map_or(Value::Null, |percent| (percent / 100.0).into()));
    let state = gpu["performance_state"].as_str().and_then(|state| state.strip_prefix('P')?.parse::<u64>().ok());
    same("performance_state", state.map_or(Value::Null, Value::from));
    same("persistence_mode", switch("persistence_mode"));
    same("ecc.enabled", switch("ecc_mode"));
    same("compute_mode", text("compute_mode"));
    same("driver_model", text("driver_model"));
    // A card without MIG is not split; a dump from before MIG does not say.
    same("mig.enabled", if gpu["mig_mode"] == "N/A" { false.into() } else { switch("mig_mode") });
    let instances = gpu["mig_devices"].as_array().expect("a list");
    let totals: Vec<_> = instances.iter().map(|instance| mib(&instance["memory_total_mib"])).collect();
    same("mig.instances", if gpu["mig_mode"].is_null() { Value::Null } else { totals.into() });
    let reasons: Vec<_> = gpu["slowdown_reasons_active"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .map(|reason| reason.to_lowercase().replace(' ', "_").replace("gpu_idle", "idle"))
        .collect();
    let name = format!("gpus[{index}].throttle_reasons");
    // An empty list is also expected where the dump does not say.
    if !reasons.is_empty() || comparison.facts.value(&name).is_some() {
        comparison.same(&name, &reasons.join(", ").into());
    }
}

#[test]
fn every_topology_reads_as_expected() {
    let read = |file: &str, text| topology::from_file(Source::new(file, text));
    compare("topology", read, |comparison, want| {
        let positive = |value: &Value| if value.as_u64() == Some(0) { Value::Null } else { value.clone() };
        comparison.same("cpu.packages", &want["packages"]);
        comparison.same("cpu.physical_cores", &want["cores"]);
        comparison.same("cpu.logical_cpus", &want["pus"]);
        comparison.same("cpu.allowed_cpus", &cpus(&want["pu_os_indexes"]));
        comparison.same("cpu.l3_domains", &want["l3_caches"]);
        for (index, size) in want["l3_sizes_bytes"].as_array().into_iter().flatten().enumerate() {
            // They are listed in the order of hwloc, which is that of the first CPU in all but one.
            let sizes = want["l3_sizes_bytes"].as_array().expect("a list");
            if sizes.iter().all(|other| other == size) {
                comparison.same(&format!("cpu.l3_domains[{index}].size"), &positive(size));
            }
        }
        comparison.same("numa.nodes", &want["numa_nodes"]);
        let mut nodes = want["numa"].as_array().expect("a list").clone();
        nodes.sort_by_key(|node| node["os_index"].as_u64());
        for (index, node) in nodes.iter().enumerate() {
            comparison.same(&format!("numa.nodes[{index}].index"), &node["os_index"]);
            comparison.same(&format!("numa.nodes[{index}].cpus"), &cpus(&node["cpus"]));
            comparison.same(&format!("numa.nodes[{index}].memory"), &positive(&node["local_memory_bytes"]));
        }
        comparison.same("ram.total", &positive(&want["system_memory_bytes"]));
        comparison.same("host.arch", &want["Architecture"]);
        comparison.same("host.kernel", &want["OSRelease"]);
        let model = want["cpu_model"].as_str().map(|model| model.split_whitespace().collect::<Vec<_>>().join(" "));
        comparison.same("cpu.model", &model.filter(|model| !model.is_empty()).map_or(Value::Null, Value::from));
        topology_gpus(comparison, want, &nodes);
    });
}

// NVIDIA's display controllers, one for each PCI device however many devices of the system it carries.
fn topology_gpus(comparison: &mut Comparison<'_>, want: &Value, nodes: &[Value]) {
    let mut near: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let nvidia = |gpu: &&Value| gpu["vendor_id"] == "10de";
    let run = |gpu: &Value| {
        let names = gpu["osdevs"].as_array().into_iter().flatten().filter_map(|device| device["name"].as_str());
        names.into_iter().any(|name| name.starts_with("cuda") || name.starts_with("nvml"))
    };
    let all: Vec<&Value> = want["gpus_pci"].as_array().expect("a list").iter().filter(nvidia).collect();
    let some_run = all.iter().any(|gpu| run(gpu));
    let gpus: Vec<&Value> = all.into_iter().filter(|gpu| !some_run || run(gpu)).collect();
    for (index, gpu) in gpus.iter().enumerate() {
        let local = gpu["local_numa_os_indexes"].as_str().expect("a list of nodes");
        comparison.same(&format!("gpus[{index}].numa_node"), &local.parse::<u64>().map_or(Value::Null, Value::from));
        near.entry(local.to_owned()).or_default().push(index.into());
    }
    comparison.same(&format!("gpus[{}].numa_node", gpus.len()), &Value::Null);
    comparison.same("gpus", &Value::Null);
    if !gpus.is_empty() {
        for (index, node) in nodes.iter().enumerate() {
            let here = near.get(&node["os_index"].to_string()).cloned().unwrap_or_default();
            comparison.same(&format!("numa.nodes[{index}].gpus"), &here.into());
        }
    }
}

/// Of a process in the group `/group`, with every controller that limits it mounted where distributions mount it.
const IN_A_GROUP: [(&str, &str); 2] = [
    ("proc/self/cgroup", "4:cpu,cpuacct:/group\n0::/group\n"),
    (
        "proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    ),
];

/// What a sample of a host is, by its name.
enum Sample<'a> {
    Cpuinfo,
    Meminfo,
    Lscpu,
    /// A file of limits: the group's folder among the samples, and where the kernel shows that group.
    Cgroup(&'a str, &'static str),
}

fn sample(file: &str) -> Sample<'_> {
    let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
    match file {
        _ if file.ends_with(".cpuinfo") => Sample::Cpuinfo,
        _ if file.ends_with(".meminfo") => Sample::Meminfo,
        _ if file.ends_with(".lscpu-e.txt") => Sample::Lscpu,
        _ if file.starts_with("host/cgroup-v1/") => Sample::Cgroup(folder, "sys/fs/cgroup/cpu,cpuacct/group"),
        _ if file.starts_with("host/cgroup-v2/") => Sample::Cgroup(folder, "sys/fs/cgroup/group"),
        _ => panic!("{file}: no rule says what this sample is"),
    }
}

#[test]
fn every_sample_of_a_host_reads_as_expected() {
    let Some((folder, expected)) = captures() else { return };
    let read = |file: &str, text| read_sample(&folder, file, text);
    compare("host", read, |comparison, want| match sample(comparison.file) {
        Sample::Cpuinfo => {
            let model = want["model_name"].as_str().map(|model| model.split_whitespace().collect::<Vec<_>>().join(" "));
            comparison.same("cpu.model", &model.map_or(Value::Null, Value::from));
            comparison.same("cpu.logical_cpus", &want["logical_cpus"]);
            comparison.same("cpu.packages", &want["packages"]);
            comparison.same("cpu.physical_cores", &want["cores"]);
        }
        Sample::Meminfo => {
            for (fact, key) in
                [("total", "mem_total_kb"), ("available", "mem_available_kb"), ("swap_total", "swap_total_kb")]
            {
                let bytes = want[key].as_u64().map_or(Value::Null, |kib| (kib * 1024).into());
                comparison.same(&format!("ram.{fact}"), &bytes);
            }
        }
        Sample::Lscpu => {
            comparison.same("cpu.logical_cpus", &want["cpus_online"]);
            comparison.same("numa.nodes", &want["numa_nodes"]);
            comparison.same("cpu.packages", &want["packages"]);
            comparison.same("cpu.physical_cores", &want["cores"]);
            comparison.same("cpu.l3_domains", &want["l3_caches"]);
        }
        Sample::Cgroup(group, _) => {
            let content = |name: &str| expected["host"][format!("{group}/{name}")]["content"].as_str();
            let v1 = content("cpu.cfs_quota_us").zip(content("cpu.cfs_period_us"));
            let v2 = content("cpu.max").and_then(|limit| limit.split_once(' '));
            let (quota, period) = v1.or(v2).expect("a quota and a period");
            let (quota, period) = (quota.parse::<f64>(), period.parse::<f64>().expect("a number"));
            let granted = quota.ok().filter(|&quota| quota > 0.0 && period > 0.0).map(|quota| quota / period);
            comparison.same("cpu.quota", &granted.map_or(Value::Null, Value::from));
            let noted = comparison.facts.findings.iter().any(|finding| finding.code.as_str() == "cgroup-malformed");
            assert_eq!(noted, period == 0.0, "{group}");
        }
    });
}

fn read_sample(folder: &Path, file: &str, text: String) -> Result<Facts, Finding> {
    match sample(file) {
        Sample::Cpuinfo => Ok(kernel_of(&[("proc/cpuinfo", text)])),
        Sample::Meminfo => Ok(kernel_of(&[("proc/meminfo", text)])),
        Sample::Lscpu => topology::from_file(Source::new(file, text)),
        Sample::Cgroup(group, place) => {
            let mut files: Vec<_> = IN_A_GROUP.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
            for entry in fs::read_dir(folder.join(group)).expect("the group's folder can be read") {
                let path = entry.expect("a file of it").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
                files.push((format!("{place}/{name}"), fs::read_to_string(&path).expect("the file can be read")));
            }
            Ok(kernel_of(&files))
        }
    }
}

// What the kernel's files say, with only these below a folder that stands for `/`.
fn kernel_of<P: AsRef<Path>>(files: &[(P, String)]) -> Facts {
    let root = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    kernel::read(&Files::below(root.path()), None)
}

#[test]
fn every_failure_of_nvidia_smi_is_quoted_with_what_to_do() {
    let Some((folder, _)) = captures() else { return };
    let table = fs::read_to_string(folder.join("gpu/error-messages.tsv")).expect("the messages can be read");
    let mut failures = 0;
    for row in table.lines().skip(1) {
        let text = row.split('\t').nth(2).expect("a text").replace("\\n", "\n");
        let finding = nvidia_smi::read(Source::new("q.txt", text.as_str())).expect_err("a failure is no report");
        assert_eq!(finding.code.as_str(), "malformed-dump", "{text}");
        let quoted = format!("the file holds an error in place of a report: `{}`", text.lines().next().unwrap());
        assert_eq!(finding.message, quoted);
        assert!(finding.help.is_some_and(|help| help.ends_with("; then save `nvidia-smi -q`")), "{text}");
        failures += 1;
    }
    assert!(failures > 0);
    eprintln!("nvidia-smi: {failures} failures are quoted");
}

#[test]
fn every_other_output_about_gpus_is_named() {
    let Some((folder, _)) = captures() else { return };
    let outputs = [
        ("table", "the table that `nvidia-smi` prints without options"),
        ("topo-m", "the matrix that `nvidia-smi topo -m` prints"),
        (".L.txt", "the list that `nvidia-smi -L` prints"),
        (".query-gpu.csv", "the table that `nvidia-smi --query-gpu` prints"),
        (".deviceQuery.txt", "what CUDA's `deviceQuery` prints"),
    ];
    let mut named = 0;
    for entry in fs::read_dir(folder.join("gpu")).expect("the folder can be read") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let Some((_, output)) = outputs.iter().find(|(part, _)| name.contains(part)) else { continue };
        let text = fs::read_to_string(&path).expect("the file can be read");
        let finding = nvidia_smi::read(Source::new(name, text)).expect_err("it is no report");
        assert_eq!(finding.message, format!("the file is {output}, not the report of `nvidia-smi -q`"), "{name}");
        named += 1;
    }
    assert!(named > 0);
    eprintln!("nvidia-smi: {named} other outputs are named");
}

// `0-3,8` as a list.
fn cpus(list: &Value) -> Value {
    let list = list.as_str().expect("a list of CPUs");
    wan22_policy::facts::file::parse_cpu_list(list).expect("a list of CPUs").into()
}

#[test]
fn a_capture_cut_anywhere_is_refused_or_read_but_never_breaks() {
    let Some((folder, expected)) = captures() else { return };
    for kind in ["gpu", "topology", "host"] {
        for file in expected[kind].as_object().expect("a map of files").keys() {
            let text = fs::read_to_string(folder.join(file)).expect("the capture can be read");
            let cuts = (1..40).map(|part| text.floor_char_boundary(text.len() * part / 40));
            for cut in cuts.filter(|&cut| cut > 0) {
                let source = || Source::new(file.as_str(), &text[..cut]);
                let read = match kind {
                    "gpu" => nvidia_smi::read(source()),
                    "topology" => topology::from_file(source()),
                    _ => read_sample(&folder, file, text[..cut].to_owned()),
                };
                if file.ends_with(".xml") {
                    let finding = read.expect_err("an XML without its end is refused");
                    assert_eq!(finding.code.as_str(), "malformed-dump", "{file} cut at {cut}");
                }
            }
        }
    }
}
