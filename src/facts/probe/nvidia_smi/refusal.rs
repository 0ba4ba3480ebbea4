//! What a file holds that is no report of `nvidia-smi -q`: an error, or another of its outputs.

use std::sync::Arc;

use super::tree::{XML_ROOT, malformed, span};
use crate::diag::{Finding, Source};

/// Most characters of a line that a message quotes.
const QUOTED: usize = 160;

const SAVE: &str = "save one with `nvidia-smi -q` or `nvidia-smi -q -x`";

/// What stands in the line of a failure, and what to do about it. The first one that is found is told.
const FAILURES: &[(&str, &str)] = &[
    ("couldn't communicate with the NVIDIA driver", "the driver is not installed or not loaded; `dmesg` says why"),
    ("couldn't find libnvidia-ml", "the driver is not installed, or its libraries are not in the container"),
    ("NVIDIA-SMI has failed", "the driver does not answer; `dmesg` says why"),
    ("nvidia-smi: command not found", "the driver is not installed, or its programs are not on the path"),
    ("'nvidia-smi' is not recognized", "the driver is not installed, or its programs are not on the path"),
    ("Driver/library version mismatch", "the driver was updated while the old one ran; restart the machine"),
    ("Failed to initialize NVML: Unknown Error", "a container may have lost its devices; restart it, or see `dmesg`"),
    ("GPU access blocked by the operating system", "the driver of Windows does not serve WSL; update it"),
    ("Insufficient Permissions", "run it as root or administrator"),
    ("Failed to initialize NVML", "the driver does not answer; `dmesg` says why"),
    (
        "Unable to determine the device handle",
        "a GPU fell off the bus; restart the machine, and see `dmesg` for the `Xid`",
    ),
    ("GPU is lost", "a GPU fell off the bus; restart the machine, and see `dmesg` for the `Xid`"),
    ("Reset required", "reset the GPU with `nvidia-smi --gpu-reset`, or restart the machine"),
    (
        "No devices were found",
        "the driver runs no GPU; `lspci` shows whether one is there, `dmesg` why it does not start",
    ),
    (
        "NVML_ERROR_NOT_SUPPORTED",
        "the driver does not report this for the card, as where it shares the RAM (GB10, Jetson)",
    ),
    ("(nvgpu)", "the GPU of a Jetson shares the RAM, and its driver reports little else"),
];

/// Words that all stand in one line of another output, and what it is.
const OUTPUTS: &[(&[&str], &str)] = &[
    (&["| NVIDIA-SMI "], "the table that `nvidia-smi` prints without options"),
    (&["GPU0", "CPU Affinity"], "the matrix that `nvidia-smi topo -m` prints"),
    (&["GPU ", "(UUID: GPU-"], "the list that `nvidia-smi -L` prints"),
    (&["name", "memory.", ", "], "the table that `nvidia-smi --query-gpu` prints"),
    (&["CUDA Device Query"], "what CUDA's `deviceQuery` prints"),
];

/// The error about a file that is no report, at the line that shows what it is.
pub fn refuse(source: &Arc<Source>) -> Finding {
    let at = |finding: Finding, line: &str| {
        // A part of the text itself, so that it tells its own place.
        let start = (line.as_ptr() as usize).saturating_sub(source.text.as_ptr() as usize);
        finding.at(span(source, start..start + line.len()), "")
    };
    let lines = || source.text.lines().map(str::trim);
    let quote = |line: &str| line.chars().take(QUOTED).collect::<String>();
    let Some(first) = lines().find(|line| !line.is_empty()) else {
        return at(malformed("the dump is empty"), &source.text[..0]).help(SAVE);
    };
    if source.text.contains("<?xml") || source.text.contains("<!DOCTYPE") {
        let message = format!("the dump is XML without `<{XML_ROOT}>`: cut off, or not of nvidia-smi");
        return at(malformed(message), first).help(SAVE);
    }
    for (words, output) in OUTPUTS {
        if let Some(line) = lines().find(|line| words.iter().all(|word| line.contains(word))) {
            return at(malformed(format!("the file is {output}, not the report of `nvidia-smi -q`")), line).help(SAVE);
        }
    }
    for (words, remedy) in FAILURES {
        if let Some(line) = lines().find(|line| line.contains(words)) {
            let message = format!("the file holds an error in place of a report: `{}`", quote(line));
            return at(malformed(message), line).help(format!("{remedy}; then save `nvidia-smi -q`"));
        }
    }
    at(malformed(format!("the file is not a report of `nvidia-smi -q`; it begins with `{}`", quote(first))), first)
        .help(SAVE)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let finding = read(Source::new("dump", text)).unwrap_err();
        assert_eq!(finding.code.as_str(), "malformed-dump");
        let place = finding.labels[0].span.at();
        (format!("{place}: {}", finding.message), finding.help.unwrap())
    }

    #[test]
    fn a_failure_is_quoted_with_what_to_do() {
        let (message, help) =
            refused("\nFailed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n");
        let quoted = "`Failed to initialize NVML: Driver/library version mismatch`";
        assert_eq!(message, format!("dump:2:1: the file holds an error in place of a report: {quoted}"));
        assert_eq!(
            help,
            "the driver was updated while the old one ran; restart the machine; then save `nvidia-smi -q`"
        );
        for (words, remedy) in FAILURES {
            let (message, help) = refused(&format!("$ nvidia-smi -q\n  {words}: x\n"));
            assert_eq!(message, format!("dump:2:3: the file holds an error in place of a report: `{words}: x`"));
            assert!(help.starts_with(remedy), "{words}: {help}");
        }
    }

    #[test]
    fn another_output_is_named() {
        let cases = [
            (
                "+---+\n| NVIDIA-SMI 525.125.06   Driver Version: 525.125.06 |\n",
                "dump:2:1: the file is the table that `nvidia-smi` prints without options",
            ),
            (
                "\tGPU0\tCPU Affinity\nGPU0\t X \t0-15\n",
                "dump:1:2: the file is the matrix that `nvidia-smi topo -m` prints",
            ),
            ("GPU 0: NVIDIA L4 (UUID: GPU-0)\n", "dump:1:1: the file is the list that `nvidia-smi -L` prints"),
            (
                "index, name, memory.total [MiB]\n",
                "dump:1:1: the file is the table that `nvidia-smi --query-gpu` prints",
            ),
            (" CUDA Device Query (Runtime API)\n", "dump:1:2: the file is what CUDA's `deviceQuery` prints"),
        ];
        for (text, message) in cases {
            assert_eq!(refused(text), (format!("{message}, not the report of `nvidia-smi -q`"), SAVE.to_owned()));
        }
        let other = "dump:1:1: the file is not a report of `nvidia-smi -q`; it begins with `GPU 0: X`";
        assert_eq!(refused("GPU 0: X\n").0, other);
        assert!(refused("<?xml version=\"1.0\"?>\n<!DOC").0.contains("cut off"));
        assert_eq!(refused(" \n").0, "dump:1:1: the dump is empty");
    }
}
