"""Norms under the names of ``torch.linalg``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import dimension
from gradstone._types import DTypeLike

Dim = int | Sequence[int] | None


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over dim, or over all elements; ord may be inf, -inf or 0."""
    return _C.norm(x, ord, dim, keepdim, dtype)


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DTypeLike = None,
) -> Tensor:
    """Norms of the matrices over two dimensions: "fro"; 1 and -1 (the largest and smallest sum of
    a column), inf and -inf (of a row). Those that need singular values are refused."""
    row, column = (dimension("matrix_norm", A, d) for d in dim)
    if row == column:
        raise ValueError(f"[matrix_norm] expected two different dimensions, got {tuple(dim)}.")
    if ord == "fro":
        return _C.norm(A, 2, (row, column), keepdim, dtype)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"[matrix_norm] expected ord 'fro', 1, -1, inf or -inf, got {ord!r}.")
    over, rest = (row, column) if abs(float(ord)) == 1 else (column, row)
    x = A if dtype is None else _C._cast(A, dtype)
    sums = _C.sum(_C.abs(x), over, True)
    out = (_C.amax if float(ord) > 0 else _C.amin)(sums, rest, True)
    return out if keepdim else _C.squeeze(out, (row, column))


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike = None,
) -> Tensor:
    """Without `ord` the 2-norm of the elements. With it a matrix norm where two dimensions are
    given, or the tensor has two and none is; otherwise a vector norm."""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.dim() not in (1, 2):
            raise ValueError(
                f"[norm] with ord and without dim, expected a vector or a matrix, got shape "
                f"{tuple(A.shape)}."
            )
        dim = tuple(range(A.dim()))
    if isinstance(dim, int) or len(dim) == 1:
        return vector_norm(A, ord, dim, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
