"""Measures on an NVIDIA GPU what Wan's components take in diffusers' own code: memory by phase, tile, dtype and cap, and time.

Each row has a process of its own (trial.py), since the allocator reads how it works from the environment. README.md says
what is measured; `rows.yaml` holds the results.
"""

import argparse
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import rows  # noqa: E402
from rows import Case, Row, Unusable  # noqa: E402

ROWS = FOLDER / "rows.yaml"
COMMENT = "Written by measure.py. Memory and time of diffusers' code on one GPU; README.md says how they are measured."

CAPS_GIB = (8, 12, 16, 24, None)
"""What the allocator may reserve, GiB, as cards have it; None is all of the GPU."""

CASES = """
umt5-xxl encode 0x0x0 tile 0 bf16
clip-vit-h encode 0x0x0 tile 0 bf16
vae-2.1 condition 832x480x81 tile 0 bf16
vae-2.1 condition 832x480x81 tile 0 fp32
vae-2.2 condition 1280x704x1 tile 0 bf16
t2v-1.3b denoise 832x480x17,81 tile 0 bf16
ti2v-5b denoise 832x480x121 tile 0 bf16
ti2v-5b denoise 1280x704x17,121 tile 0 bf16
t2v-a14b denoise 832x480x17,81 tile 0 bf16
t2v-a14b denoise 1280x720x81 tile 0 bf16
i2v-a14b denoise 832x480x81 tile 0 bf16
i2v-14b denoise 832x480x81 tile 0 bf16
vae-2.1 decode 832x480x17,81 tile 0,256 bf16
vae-2.1 decode 1280x720x81 tile 0,256,384,512 bf16
vae-2.1 decode 832x480x81 tile 0,256 fp32
vae-2.2 decode 832x480x121 tile 0,256 bf16
vae-2.2 decode 1280x704x17 tile 0,256,512 bf16
vae-2.2 decode 1280x704x121 tile 0,256,384,512 bf16
vae-2.2 decode 1280x704x121 tile 0,256 fp32
"""
"""What is measured, under each cap, with and without expandable segments."""


@dataclass(frozen=True)
class Trial:
    """A case under one cap of the allocator, with one way of growing its memory."""

    case: Case
    cap_gib: int | None
    """What the allocator may reserve, GiB; None is all of the GPU."""
    expandable_segments: bool
    """Whether the allocator grows a segment in place of reserving another."""

    def __str__(self) -> str:
        cap = "uncapped" if self.cap_gib is None else f"cap {self.cap_gib} GiB"
        segments = "expandable" if self.expandable_segments else "fixed"
        return f"{self.case}, {cap}, {segments} segments"

    def fields(self) -> Row:
        """What its row says beside the case and what was measured."""
        return {"cap_gib": self.cap_gib, "expandable_segments": self.expandable_segments}

    def within(self, memory_mib: int) -> bool:
        """Whether a GPU has as much as the cap."""
        return self.cap_gib is None or self.cap_gib * 1024 <= memory_mib

    @classmethod
    def of(cls, row: Row) -> "Trial":
        """The trial of a row."""
        return cls(Case.of(row), row["cap_gib"], row["expandable_segments"])


def trials(pattern: str) -> list[Trial]:
    """Those whose case matches the regular expression, in the order of rows.yaml."""
    chosen = rows.matching(rows.cases(CASES), pattern)
    return [Trial(*each) for each in itertools.product(chosen, CAPS_GIB, (False, True))]


def measured(trial: Trial) -> Row:
    """The row of a trial, measured in a process of its own.

    Raises RuntimeError with the end of its messages when the process fails by anything but memory.
    """
    used_before = int(smi("memory.used")) * 2**20
    ended = subprocess.run(
        [sys.executable, str(FOLDER / "trial.py"), json.dumps(asdict(trial.case) | trial.fields())],
        env=os.environ | {"PYTORCH_ALLOC_CONF": f"expandable_segments:{trial.expandable_segments}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{trial}: exit code {ended.returncode}\n{ended.stderr[-2000:]}")
    counted = json.loads(ended.stdout.splitlines()[-1])
    return rows.row(trial.case, trial.fields() | counted | {"device_used_before_bytes": used_before})


def smi(fact: str) -> str:
    """A fact of the first GPU that is visible, as nvidia-smi's query names it, without its unit.

    Raises Unusable when there is no nvidia-smi or it fails.
    """
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", f"--id={gpu}", f"--query-gpu={fact}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unusable(f"`{' '.join(command)}` failed: {error}; it comes with NVIDIA's driver") from error


def header() -> Row:
    """What is measured on: the GPU, its memory in MiB, its driver, and the versions."""
    import torch

    machine = {"gpu": smi("name"), "memory_mib": int(smi("memory.total")), "driver": smi("driver_version")}
    libraries = {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return {"stack": "diffusers", "machine": machine, "versions": rows.versions() | libraries}


def why_not() -> str | None:
    """Why this machine cannot measure; None when it can."""
    missing = [name for name in ("torch", "diffusers", "transformers") if not importlib.util.find_spec(name)]
    if missing:
        return f"{', '.join(missing)} is not installed; install what requirements.txt lists"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device; run this on a machine with an NVIDIA GPU, or list the rows with --dry-run"
    return None


def fill(chosen: list[Trial]) -> int:
    """Measures the trials that the file lacks and writes it after each; 1 when one failed.

    Raises Unusable when the file is of another machine or of other versions, for its head says them once for all rows.
    """
    facts, failed, written = header(), 0, rows.contents(ROWS)
    if written and any(written[name] != facts[name] for name in facts):
        raise Unusable(f"{ROWS} is of another machine or other versions; move it away to measure this one")
    known = {Trial.of(row): row for row in rows.read(ROWS)}
    for trial in [trial for trial in chosen if trial not in known]:
        if not trial.within(facts["machine"]["memory_mib"]):
            print(f"{trial}: left out, the GPU has less than the cap", flush=True)
            continue
        try:
            known[trial] = measured(trial)
        except RuntimeError as error:
            print(f"measure.py: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"{trial}: {'fits' if known[trial]['fits'] else 'out of memory'}", flush=True)
        rows.write(ROWS, COMMENT, facts, [known[each] for each in trials("") if each in known])
    return int(failed > 0)


def main() -> int:
    """Reads the command line; gives the exit code."""
    parser = argparse.ArgumentParser(description="Measures diffusers' code on an NVIDIA GPU and writes rows.yaml.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="only the rows of cases that match")
    parser.add_argument("--dry-run", action="store_true", help="list the rows and measure nothing; needs no GPU")
    asked = parser.parse_args()
    chosen = trials(asked.only)
    if asked.dry_run:
        print(*chosen, sep="\n")
        return 0
    if refusal := why_not():
        print(f"measure.py: {refusal}", file=sys.stderr)
        return 1
    return fill(chosen)


if __name__ == "__main__":
    sys.exit(rows.spoken("measure.py", main))
