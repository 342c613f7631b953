"""``tf.linalg``: products and norms."""

from __future__ import annotations

from math import prod
from typing import Any

from gradstone import _C, _functions
from gradstone.keras._tensor import Tensor, wrap
from gradstone.tensorflow._math import dims
from gradstone.tensorflow._ops import alike, plain
from gradstone.tensorflow._ops import eye as eye
from gradstone.tensorflow._ops import global_norm as global_norm


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: Any = None
) -> Tensor:
    """The product of matrices, or of batches of them. ValueError below two dimensions."""
    x, y = alike(a, b)
    if x.dim() < 2 or y.dim() < 2:
        raise ValueError(
            f"matmul needs two dimensions or more, got shapes {tuple(x.shape)} and "
            f"{tuple(y.shape)}."
        )
    x = x.transpose(-1, -2) if transpose_a else x
    return wrap(_C.matmul(x, y.transpose(-1, -2) if transpose_b else y))


def tensordot(a: Any, b: Any, axes: Any, name: Any = None) -> Tensor:
    """The sum over the last `axes` dimensions of a and the first of b, or over given ones."""
    x, y = alike(a, b)
    if isinstance(axes, int):
        first, second = list(range(x.dim() - axes, x.dim())), list(range(axes))
    else:
        first, second = ([v] if isinstance(v, int) else list(v) for v in axes)
    x = x.movedim(first, list(range(x.dim() - len(first), x.dim())))
    y = y.movedim(second, list(range(len(second))))
    left, right = x.shape[: x.dim() - len(first)], y.shape[len(second) :]
    count = prod(y.shape[: len(second)])
    return wrap((x.reshape(-1, count) @ y.reshape(count, -1)).reshape(*left, *right))


def einsum(equation: str, *inputs: Any, name: Any = None) -> Tensor:
    """Einstein's sum."""
    return wrap(_functions.einsum(equation, *alike(*inputs)))


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: Any = None
) -> Tensor:
    """The root of the sum of squares, or another norm."""
    p = 2.0 if ord in ("euclidean", "fro") else float(ord)
    return wrap(plain(tensor).norm(p, dims(axis), keepdims))


def diag(diagonal: Any, name: Any = None) -> Tensor:
    """A matrix with this diagonal."""
    return wrap(_functions.diag(plain(diagonal)))


def diag_part(input: Any, name: Any = None) -> Tensor:
    """The diagonal of a matrix."""
    return wrap(plain(input).diagonal())


def trace(x: Any, name: Any = None) -> Tensor:
    """The sum of the diagonal."""
    return wrap(plain(x).diagonal().sum())


def matvec(a: Any, b: Any, name: Any = None) -> Tensor:
    """A matrix times a vector."""
    x, y = alike(a, b)
    return wrap((x @ y.unsqueeze(-1)).squeeze(-1))
