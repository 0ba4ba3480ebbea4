//! The memory, from `/proc/meminfo`.

use super::super::files::Files;
use super::lines;
use crate::facts::{Facts, Origin};

const PATH: &str = "proc/meminfo";

const ROWS: [(&str, &str); 4] = [
    ("ram.total", "MemTotal"),
    // Since Linux 3.14. What older kernels leave to be computed is no measurement.
    ("ram.available", "MemAvailable"),
    ("ram.swap_total", "SwapTotal"),
    ("ram.swap_free", "SwapFree"),
];

/// `ram.*` without the limit.
pub fn describe(facts: &mut Facts, files: &Files) {
    let meminfo = lines(files, PATH, &ROWS.map(|(_, key)| key));
    for (fact, key) in ROWS {
        let size = meminfo.as_ref().map_err(String::clone).and_then(|meminfo| size(meminfo, key));
        facts.know_or(fact, size, Origin::Sysinfo);
    }
}

// `MemTotal:  32542668 kB` in bytes; what the kernel calls kB is 1024 of them.
fn size(meminfo: &str, key: &str) -> Result<u64, String> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = value.ok_or_else(|| format!("`/{PATH}` of this kernel has no `{key}`"))?.trim();
    let size = value.strip_suffix("kB").and_then(|number| number.trim().parse::<u64>().ok()?.checked_mul(1024));
    size.ok_or_else(|| format!("`/{PATH}` says `{value}` for `{key}`, which is no number of kB"))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::root;
    use super::*;

    fn facts(meminfo: &str) -> Facts {
        let mut facts = Facts::new("");
        describe(&mut facts, &root(&[(PATH, meminfo)]));
        facts
    }

    #[test]
    fn sizes_are_bytes() {
        let facts = facts("MemTotal:       259257084 kB\nMemAvailable: 1 kB\nSwapTotal:  0 kB\nSwapFree:  0 kB\n");
        assert_eq!(facts.value("ram.total"), Some(&(259_257_084_u64 * 1024).into()));
        assert_eq!(facts.value("ram.available"), Some(&1024.into()));
        assert_eq!(facts.value("ram.swap_total"), Some(&0.into()));
    }

    #[test]
    fn what_is_not_there_or_no_size_is_unknown() {
        let facts = facts("MemTotal: lots kB\nSwapTotal: 12\nSwapFree: 18446744073709551615 kB\n");
        let no_number =
            |value: &str, key: &str| format!("`/proc/meminfo` says `{value}` for `{key}`, which is no number of kB");
        assert_eq!(facts.reason("ram.total"), no_number("lots kB", "MemTotal"));
        assert_eq!(facts.reason("ram.available"), "`/proc/meminfo` of this kernel has no `MemAvailable`");
        assert_eq!(facts.reason("ram.swap_total"), no_number("12", "SwapTotal"));
        assert_eq!(facts.reason("ram.swap_free"), no_number("18446744073709551615 kB", "SwapFree"));
    }
}
