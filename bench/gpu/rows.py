"""What a row of the table is, and the classes of rows with their goals."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from libraries import Library

# Prepares inputs and returns the call to time, or several that differ in their inputs alone: they
# are called in turn, so that no call finds its inputs in a cache.
Make = Callable[[Library], Any]

FAMILIES = ("products", "convolutions", "attention", "rows_of_numbers", "elements", "recurrent",
            "optimizers", "steps")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A case: `ours` and `theirs` are ways to do it by name, `pairs` which are compared.

    A pair is (way of ours, way of theirs, goal); PyTorch's time over gradstone's should be the goal
    or more. `flops` and `bytes` are of one call; `device`: the events hold the device's work alone,
    for kernels; otherwise what a loop of such calls takes, the host included.
    """

    name: str
    ours: dict[str, Make]
    theirs: dict[str, Make]
    pairs: list[tuple[str, str, float | None]]
    flops: float = 0.0
    bytes: float = 0.0
    device: bool = True
    peak: str = ""  # which ceiling `flops` is a share of
    quick: bool = False  # part of --quick
    # How wrong the result is, and how many times PyTorch's error gradstone's may be.
    error: Callable[[Library], float] | None = None
    error_goal: float = 0.0


@dataclass
class Class:
    """Rows with one goal. `goals`: of the geometric mean over the rows, by (ours, theirs)."""

    name: str
    title: str
    reaches: str  # what PyTorch is known to reach, or the limit
    rows: list[Row] = field(default_factory=list)
    extra: str = ""  # a goal that is no mean


def same(make: Make, goal: float | None = None) -> dict[str, Any]:
    """One way, the same for both."""
    return {"ours": {"": make}, "theirs": {"": make}, "pairs": [("", "", goal)]}


def turns(lib: Library, bytes_of_one: float, make: Callable[[], Any]) -> list[Any]:
    """As many calls as it takes for their inputs to be more than a cache holds."""
    if lib.tiny:
        return [make() for _ in range(2)]
    return [make() for _ in range(max(2, min(64, int(256e6 / max(bytes_of_one, 1.0)) + 1)))]


def classes(tiny: bool) -> list[Class]:
    out: list[Class] = []
    for family in FAMILIES:
        out += importlib.import_module(f"cases_{family}").classes(tiny)
    return out
