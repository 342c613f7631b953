"""THE table: one row per operation of the catalogue.

A row says how an operation is called, what NumPy says it gives (in float64), with which arguments
it is tried, which of them are differentiated, how exact it is, which calls it refuses, and what it
costs. The tests of values, derivatives, errors, instruction sets and layouts are driven by it.
"""

from __future__ import annotations

from op_specs import create, elementwise, image, index, linalg, nn, optim, random, reduce, shape
from op_specs.spec import Sample, Spec

ALL: list[Spec] = [
    *create.ROWS,
    *elementwise.ROWS,
    *reduce.ROWS,
    *shape.ROWS,
    *index.ROWS,
    *image.ROWS,
    *linalg.ROWS,
    *nn.ROWS,
    *random.ROWS,
    *optim.ROWS,
]
BY_NAME: dict[str, Spec] = {row.name: row for row in ALL}
assert len(BY_NAME) == len(ALL), "an operation has two rows"

__all__ = ["ALL", "BY_NAME", "Sample", "Spec"]
