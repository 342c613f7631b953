"""``tf.linalg``: products and norms."""

from __future__ import annotations

from typing import Any

from gradstone import _functions
from gradstone.keras._tensor import Tensor, wrap
from gradstone.tensorflow._arithmetic import einsum, matmul, norm, tensordot
from gradstone.tensorflow._ops import alike, eye, tensor

__all__ = [
    "diag",
    "diag_part",
    "einsum",
    "eye",
    "matmul",
    "matvec",
    "norm",
    "tensordot",
    "trace",
]


def diag(diagonal: Any, name: Any = None) -> Tensor:
    """A matrix with this diagonal."""
    return wrap(_functions.diag(tensor(diagonal)))


def diag_part(input: Any, name: Any = None) -> Tensor:
    """The diagonal of a matrix."""
    return wrap(tensor(input).diagonal())


def trace(x: Any, name: Any = None) -> Tensor:
    """The sum of the diagonal."""
    return wrap(tensor(x).diagonal().sum())


def matvec(a: Any, b: Any, name: Any = None) -> Tensor:
    """A matrix times a vector."""
    x, y = alike(a, b)
    return wrap((x @ y.unsqueeze(-1)).squeeze(-1))
