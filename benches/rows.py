"""Rows of what phases take: how a case is named, how a table lists cases, and the form of rows.yaml.

Leaves to others what is counted. Needs no torch, so that tables can be listed without it.
"""

import datetime
import importlib.metadata
import itertools
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

Row = dict[str, object]
"""A case, by its fields, and what was counted of it, by name."""


class Unusable(ValueError):
    """What a script was given, or what it needs of the machine, and why it cannot be used."""


@dataclass(frozen=True)
class Case:
    """One phase of one component at one size."""

    model: str
    """The component: a transformer, `vae-2.1`, `vae-2.2`, `umt5-xxl` or `clip-vit-h`."""
    phase: str
    """`denoise` (one pass of the transformer), `decode`, `condition` (VAE encode of a video) or `encode` (prompt or image)."""
    width: int
    """px of the video; 0 where the phase has none."""
    height: int
    """px of the video; 0 where the phase has none."""
    frames: int
    """Of the video, 4n + 1; 0 where the phase has none."""
    tile: int
    """Edge of a tile, px; 0 is the whole frame."""
    dtype: str
    """Of weights and inputs: `bf16`, `fp16` or `fp32`."""

    def __str__(self) -> str:
        """As a line of a table writes it: `vae-2.2 decode 1280x704x17 tile 512 bf16`."""
        return f"{self.model} {self.phase} {self.width}x{self.height}x{self.frames} tile {self.tile} {self.dtype}"

    @classmethod
    def of(cls, row: Row) -> "Case":
        """The case of a row."""
        return cls(**{field: row[field] for field in cls.__dataclass_fields__})


LINE = re.compile(r"(?P<model>\S+) (?P<phase>\S+) (?P<edges>\d+x\d+)x(?P<frames>[\d,]+) tile (?P<tiles>[\d,]+) (?P<dtype>\S+)")
"""A line of a table; frames and tiles may be lists."""


def cases(table: str) -> list[Case]:
    """The cases of a table, a line for those that differ in frames or tiles only.

    Raises Unusable that names a line that is none.
    """
    return [case for line in table.strip().splitlines() for case in _of_line(line.strip())]


def _of_line(line: str) -> list[Case]:
    """The cases of one line."""
    found = LINE.fullmatch(line)
    if not found:
        raise Unusable(f"`{line}` is no line of cases; write one as `vae-2.2 decode 1280x704x17,49 tile 256,512 bf16`")
    width, height = map(int, found["edges"].split("x"))
    frames, tiles = ([int(number) for number in found[name].split(",")] for name in ("frames", "tiles"))
    return [
        Case(found["model"], found["phase"], width, height, frame, tile, found["dtype"])
        for frame, tile in itertools.product(frames, tiles)
    ]


def matching(listed: list[Case], pattern: str) -> list[Case]:
    """Those whose name has a match of the regular expression.

    Raises Unusable when none has, or when it is none.
    """
    try:
        found = [case for case in listed if re.search(pattern, str(case))]
    except re.error as error:
        raise Unusable(f"`{pattern}` is no regular expression: {error}") from error
    if not found:
        raise Unusable(f"no case matches `{pattern}`; the first is `{listed[0]}`" if listed else "there are no rows yet")
    return found


def spoken(script: str, main: Callable[[], int]) -> int:
    """The exit code of a script's main; 1, with why on the error stream, when something is Unusable."""
    try:
        return main()
    except Unusable as error:
        print(f"{script}: {error}", file=sys.stderr)
        return 1


def row(case: Case, counted: Row) -> Row:
    """The row of a case: its fields, the versions that can change its numbers, what was counted."""
    versions = {package: _version(package) for package in ("diffusers", "torch")}
    return asdict(case) | versions | counted


def versions() -> dict[str, str]:
    """Of Python and of each package whose code is run."""
    return {"python": platform.python_version()} | {name: _version(name) for name in ("torch", "diffusers", "transformers")}


def _version(package: str) -> str:
    """Of an installed package; torch says with it what it is built for, which its metadata leaves out."""
    if package == "torch":
        import torch

        return str(torch.__version__)
    return importlib.metadata.version(package)


def read(path: Path) -> list[Row]:
    """The rows of a file; none when there is no file."""
    return contents(path).get("rows", [])


def contents(path: Path) -> dict:
    """All that a file says, its rows under `rows`; empty when there is no file."""
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def write(path: Path, comment: str, header: Row, table: list[Row]) -> None:
    """Writes a file of rows, a line each, below a comment, today's date and the header's facts."""
    facts = {"date": datetime.date.today().isoformat()} | header
    lines = [f"# {comment}", yaml.safe_dump(facts, sort_keys=False).rstrip(), "rows:"]
    lines += [f"  - {line(row)}" for row in table]
    path.write_text("\n".join(lines) + "\n")


def line(row: Row) -> str:
    """A row as a mapping on one line."""
    return yaml.safe_dump(row, default_flow_style=True, sort_keys=False, width=float("inf")).strip()
