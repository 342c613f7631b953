"""Products, and distances, which are made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone import _C, _functions
from gradstone._C import Tensor
from gradstone._checks import dimension


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimension of both: (..., n) and (*, n) to (..., *)."""
    if not input.dim() or not other.dim():
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Any] = 2) -> Tensor:
    """Sums of products over the dimensions dims[0] of a and dims[1] of b, or over the last `dims`
    of a and the first of b."""
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.dim(), b.dim()):
            raise ValueError(
                f"[tensordot] expected dims from 0 to {min(a.dim(), b.dim())}, got {dims}."
            )
        of_a, of_b = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        of_a, of_b = ([d] if isinstance(d, int) else list(d) for d in dims)
        of_a, of_b = (
            [dimension("tensordot", a, d) for d in of_a],
            [dimension("tensordot", b, d) for d in of_b],
        )
    if [a.size(d) for d in of_a] != [b.size(d) for d in of_b]:
        raise ValueError(
            f"[tensordot] expected sizes that agree, got {tuple(a.shape)} over {of_a} and "
            f"{tuple(b.shape)} over {of_b}."
        )
    left = [d for d in range(a.dim()) if d not in of_a]
    right = [d for d in range(b.dim()) if d not in of_b]
    count = math.prod(a.size(d) for d in of_a)
    rows = math.prod(a.size(d) for d in left)
    columns = math.prod(b.size(d) for d in right)
    x = a.permute(*left, *of_a).reshape(rows, count) if a.dim() else a.reshape(1, 1)
    y = b.permute(*of_b, *right).reshape(count, columns) if b.dim() else b.reshape(1, 1)
    shape = [a.size(d) for d in left] + [b.size(d) for d in right]
    return _C.mm(x, y).reshape(shape)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    product = _C.mv(mat, vec) * alpha
    return input * beta + product if beta else product


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of input times the whole of other, in its place."""
    dims = max(input.dim(), other.dim())
    a = input.reshape([1] * (dims - input.dim()) + list(input.shape))
    b = other.reshape([1] * (dims - other.dim()) + list(other.shape))
    spread = [n for size in a.shape for n in (size, 1)]
    inside = [n for size in b.shape for n in (1, size)]
    shape = [m * n for m, n in zip(a.shape, b.shape)]
    return (a.reshape(spread) * b.reshape(inside)).reshape(shape)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.dim() != 2:
        raise ValueError(f"[trace] expected a matrix, got shape {tuple(input.shape)}.")
    return input.diagonal().sum()


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices (or vectors as rows, or numbers) along the diagonal, zeros elsewhere."""
    for t in tensors:
        if t.dim() > 2:
            raise ValueError(f"[block_diag] expected matrices, got shape {tuple(t.shape)}.")
    blocks = [t.reshape(1, -1) if t.dim() < 2 else t for t in tensors]
    width, before, rows = sum(b.size(1) for b in blocks), 0, []
    for block in blocks:
        sides = (before, width - before - block.size(1))
        rows.append(_C._pad(block, sides, "constant", 0.0))
        before += block.size(1)
    return _C.cat(rows)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element from each vector, as rows."""
    for t in tensors:
        if t.dim() != 1:
            raise ValueError(f"[cartesian_prod] expected vectors, got shape {tuple(t.shape)}.")
    if len(tensors) == 1:
        return tensors[0]
    grid = _functions.meshgrid(*tensors, indexing="ij")
    return _C.stack([g.reshape(-1) for g in grid], 1)


def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of the difference."""
    return (input - other).norm(p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """p-norms of the differences of all rows: (..., P, M) and (..., R, M) to (..., P, R). They are
    computed from the differences, P R M numbers at a time; compute_mode is PyTorch's and changes
    nothing."""
    if x1.dim() < 2 or x2.dim() < 2 or x1.size(-1) != x2.size(-1):
        raise ValueError(
            f"[cdist] expected (..., P, M) and (..., R, M), got {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}."
        )
    if p < 0:
        raise ValueError(f"[cdist] expected p of 0 or more, got {p}.")
    return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).norm(p, -1)
