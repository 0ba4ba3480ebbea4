"""Counts the live bytes and the work of Wan's components in diffusers' own code, under FakeTensorMode, without a GPU.

README.md says what is counted and what is not; `rows.yaml` holds the results.
"""

import argparse
import sys
import time
import weakref
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import components  # noqa: E402
import rows  # noqa: E402
from rows import Case, Row  # noqa: E402

ROWS = FOLDER / "rows.yaml"
COMMENT = "Written by simulate.py. Live bytes of diffusers' code under FakeTensorMode; README.md says what they do not count."

CASES = """
ti2v-5b denoise 1280x704x17,49,81,121 tile 0 bf16
ti2v-5b denoise 832x480x17,49,121 tile 0 bf16
ti2v-5b denoise 640x352x17,49,121 tile 0 bf16
ti2v-5b denoise 448x256x17,49,121 tile 0 bf16
t2v-a14b denoise 1280x720x17,49,81 tile 0 bf16
t2v-a14b denoise 832x480x17,49,81 tile 0 bf16
t2v-a14b denoise 640x352x17,49,81 tile 0 bf16
t2v-a14b denoise 448x256x17,49,81 tile 0 bf16
i2v-a14b denoise 1280x720x81 tile 0 bf16
i2v-14b denoise 1280x720x81 tile 0 bf16
i2v-a14b denoise 832x480x81 tile 0 bf16
i2v-14b denoise 832x480x81 tile 0 bf16
i2v-a14b denoise 832x480x17 tile 0 bf16
i2v-14b denoise 832x480x17 tile 0 bf16
t2v-1.3b denoise 1280x720x81 tile 0 bf16
t2v-1.3b denoise 832x480x81,17 tile 0 bf16
t2v-1.3b denoise 640x352x49 tile 0 bf16
t2v-1.3b denoise 448x256x49 tile 0 bf16
ti2v-5b denoise 832x480x49 tile 0 fp32
t2v-1.3b denoise 832x480x49 tile 0 fp32
t2v-a14b denoise 832x480x49 tile 0 fp32
vae-2.2 decode 1280x704x17,121 tile 0 fp32
vae-2.2 decode 832x480x49 tile 0 fp32
vae-2.2 decode 640x352x81 tile 0 fp32
vae-2.2 decode 448x256x17 tile 0 fp32
vae-2.1 decode 1280x720x17,81 tile 0 fp32
vae-2.1 decode 832x480x49 tile 0 fp32
vae-2.1 decode 640x352x81 tile 0 fp32
vae-2.1 decode 448x256x17 tile 0 fp32
vae-2.2 decode 1280x704x17 tile 256,384,512,768 fp32
vae-2.2 decode 640x352x17 tile 128 fp32
vae-2.1 decode 1280x720x17 tile 256,384,512,768 fp32
vae-2.1 decode 640x352x17 tile 128 fp32
vae-2.2 decode 1280x704x17,121 tile 0 bf16
vae-2.2 decode 832x480x49 tile 0 bf16
vae-2.2 decode 640x352x81 tile 0 bf16
vae-2.2 decode 448x256x17 tile 0 bf16
vae-2.1 decode 1280x720x17,81 tile 0 bf16
vae-2.1 decode 832x480x49 tile 0 bf16
vae-2.1 decode 640x352x81 tile 0 bf16
vae-2.1 decode 448x256x17 tile 0 bf16
vae-2.2 decode 1280x704x17 tile 256,512 bf16
vae-2.2 decode 640x352x17 tile 128 bf16
vae-2.1 decode 1280x720x17 tile 256,512 bf16
vae-2.1 decode 640x352x17 tile 128 bf16
vae-2.2 decode 832x480x49 tile 256 bf16
vae-2.2 decode 832x480x81 tile 384 bf16
umt5-xxl encode 0x0x0 tile 0 bf16
clip-vit-h encode 0x0x0 tile 0 bf16
vae-2.1 condition 832x480x81 tile 0 bf16
vae-2.1 condition 1280x720x81 tile 0 bf16
vae-2.1 condition 832x480x81 tile 0 fp32
vae-2.2 condition 1280x704x1 tile 0 bf16
vae-2.1 decode 832x480x81 tile 256 bf16
vae-2.1 decode 1280x720x81 tile 256,384 bf16
vae-2.2 decode 1280x704x121 tile 256,384,512 bf16
vae-2.2 decode 1280x704x121 tile 256 fp32
"""
"""What rows.yaml holds, in its order; a line lists frames or tiles where only those differ."""


class LiveBytes(TorchDispatchMode):
    """Follows the storages that operators give, from their first tensor to their last.

    Views share their storage, which counts once. `peak` is the most that was alive at a time, in bytes.
    """

    def __init__(self, weights: dict[int, int], held: list[torch.Tensor]) -> None:
        """Weights are storages that do not count; held tensors count from the start."""
        super().__init__()
        self.weights, self.now, self.peak = weights, 0, 0
        self.alive: dict[int, weakref.ref] = {}
        for tensor in held:
            self.follow(tensor)

    def follow(self, tensor: torch.Tensor) -> None:
        """Counts a tensor's storage, unless it is known, until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive or key in self.weights:
            return
        self.alive[key] = weakref.ref(storage, partial(self.freed, key, storage.nbytes()))
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def freed(self, key: int, size: int, _: weakref.ref) -> None:
        """Counts a storage no more."""
        del self.alive[key]
        self.now -= size

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        """Runs an operator and follows what it gives."""
        out = operator(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.follow(leaf)
        return out


def weights(module: torch.nn.Module) -> dict[int, int]:
    """Bytes of each storage of parameters and buffers, by the storage's key."""
    storages = [tensor.untyped_storage() for tensor in [*module.parameters(), *module.buffers()]]
    return {storage._cdata: storage.nbytes() for storage in storages}


def without_gradients(case: Case) -> AbstractContextManager:
    """The mode in which a case is counted.

    In inference mode an operator that torch would compose of others, as rms_norm, counts by what it gives, which is what a
    GPU's fused kernel takes. A VAE has none of that kind and the same numbers in both modes, and no_grad is faster.
    """
    return torch.no_grad() if case.model in components.VAES else torch.inference_mode()


def simulate(case: Case) -> Row:
    """The row of a case: bytes of its weights, most live bytes of one pass beside them, its floating-point operations.

    Inputs and what the pipeline holds count in the peak.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), without_gradients(case):
        module = components.build(case)
        given, held = components.inputs(case), components.held(case)
        known = weights(module)
        live = LiveBytes(known, [*given.values(), *held])
        flops = FlopCounterMode(display=False)
        with flops, live:
            components.one_pass(module, case)(**given)
    counted = {"activation_peak_bytes": live.peak, "flops": flops.get_total_flops()}
    return rows.row(case, {"weights_bytes": sum(known.values())} | counted)


def timed(case: Case) -> Row:
    """The row of a case, with a line about its time on the error stream."""
    start = time.monotonic()
    row = simulate(case)
    print(f"{case}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return row


def show(pattern: str) -> int:
    """Prints the rows of the cases that match and leaves the file as it is."""
    for case in rows.matching(rows.cases(CASES), pattern):
        print(f"  - {rows.line(timed(case))}", flush=True)
    return 0


def check(pattern: str) -> int:
    """Compares the rows of the file that match with what is counted now; 1 when a number differs."""
    written = {Case.of(row): row for row in rows.read(ROWS)}
    chosen = rows.matching(list(written), pattern)
    differing = sum(differs(written[case], timed(case)) for case in chosen)
    print(f"{len(chosen)} rows compared, {differing} differ")
    return int(differing > 0)


def differs(written: Row, counted: Row) -> bool:
    """Whether a number of a row is another one now; prints each that is."""
    numbers = [name for name in ("weights_bytes", "activation_peak_bytes", "flops") if written[name] != counted[name]]
    for name in numbers:
        print(f"{Case.of(written)}: {name} is {counted[name]}, and {written[name]} in {ROWS.name}", flush=True)
    return bool(numbers)


def fill(missing: bool) -> int:
    """Counts all cases, or those that the file lacks, and writes the file after each, in the order of CASES."""
    listed, header = rows.cases(CASES), {"stack": "diffusers", "versions": rows.versions()}
    known = {Case.of(row): row for row in rows.read(ROWS)}
    for case in [case for case in listed if not (missing and case in known)]:
        known[case] = timed(case)
        rows.write(ROWS, COMMENT, header, [known[case] for case in listed if case in known])
    return 0


def main() -> int:
    """Reads the command line; gives the exit code."""
    parser = argparse.ArgumentParser(description="Counts live bytes of diffusers' code and writes rows.yaml.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--only", metavar="PATTERN", help="print the rows of cases that match, and write nothing")
    choice.add_argument("--check", metavar="PATTERN", nargs="?", const="", help="compare the file's rows that match, and write nothing")
    choice.add_argument("--missing", action="store_true", help="count only the cases that the file lacks, and add them")
    asked = parser.parse_args()
    if asked.only is not None:
        return show(asked.only)
    if asked.check is not None:
        return check(asked.check)
    return fill(asked.missing)


if __name__ == "__main__":
    sys.exit(rows.spoken("simulate.py", main))
