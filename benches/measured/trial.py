"""One trial of measure.py in a process of its own: reads it as JSON from the command line, prints what it took as JSON."""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import components  # noqa: E402
from rows import Case, Row  # noqa: E402

GIB = 2**30

PASSES = 3
"""Passes that are timed, after one that is not; their median counts."""


def trial(case: Case, cap_gib: int | None) -> Row:
    """What a case takes of this process's GPU under a cap, GiB; of one that runs out of memory, what it had by then."""
    if cap_gib is not None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(cap_gib * GIB / total)
    try:
        return {"fits": True} | passes(case)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return {"fits": False} | memory()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch's allocator or one of NVIDIA's libraries found no memory."""
    words = ("out of memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def passes(case: Case) -> Row:
    """Memory and time of passes of a component with random weights that are made on the GPU."""
    with torch.device("cuda"):
        module, given = components.build(case), components.inputs(case)
        held = components.held(case)
    weights = sum(tensor.untyped_storage().nbytes() for tensor in [*module.parameters(), *module.buffers()])
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run = components.one_pass(module, case)
    with torch.inference_mode():
        seconds = [seconds_of(run, given) for _ in range(PASSES + 1)][1:]
    del held
    return {"weights_bytes": weights} | memory() | {"seconds": round(statistics.median(seconds), 4)}


def seconds_of(run: Callable[..., object], given: dict[str, torch.Tensor]) -> float:
    """Seconds that one pass takes, from an idle GPU to an idle GPU."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run(**given)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def memory() -> Row:
    """Bytes that tensors had and that the allocator reserved at most, weights included, and what the whole GPU has in use now.

    The last counts the CUDA context, what libraries take by themselves and other processes. `alloc_retries` says how often the
    allocator gave back what it had cached and tried again.
    """
    free, total = torch.cuda.mem_get_info()
    return {
        "max_allocated_bytes": torch.cuda.max_memory_allocated(),
        "max_reserved_bytes": torch.cuda.max_memory_reserved(),
        "device_used_bytes": total - free,
        "alloc_retries": torch.cuda.memory_stats().get("num_alloc_retries", 0),
    }


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(trial(Case.of(asked), asked["cap_gib"])))
