"""The same elements in other shapes and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import dimension, whole
from gradstone._functions import split


def tile(input: Tensor, *dims: Any) -> Tensor:
    """Repeated so many times along each of the last dimensions: tile(x, (2, 3)) or x.tile(2, 3)."""
    times = list(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else list(dims)
    return input.repeat([1] * (input.dim() - len(times)) + times)


def fliplr(input: Tensor) -> Tensor:
    """Columns (dimension 1) in the other order."""
    if input.dim() < 2:
        raise ValueError(f"[fliplr] expected two dimensions or more, got {input.dim()}.")
    return input.flip(1)


def flipud(input: Tensor) -> Tensor:
    """Rows (dimension 0) in the other order."""
    if input.dim() < 1:
        raise ValueError("[flipud] expected one dimension or more, got 0.")
    return input.flip(0)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned k times by 90 degrees, from the first of dims towards the second."""
    first, second = (dimension("rot90", input, d) for d in dims)
    if first == second:
        raise ValueError(f"[rot90] expected two different dimensions, got {tuple(dims)}.")
    k %= 4
    if k == 2:
        return input.flip([first, second])
    if k == 0:
        return input.clone()
    turned = input.transpose(first, second)
    return turned.flip(first if k == 1 else second)


def _at_least(dims: int, tensors: tuple[Any, ...]) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        return tuple(_at_least(dims, (t,)) for t in tensors[0])
    if len(tensors) > 1:
        return tuple(_at_least(dims, (t,)) for t in tensors)
    t = tensors[0]
    if t.dim() == 0:
        return t.reshape([1] * dims)
    if t.dim() == 1 and dims > 1:
        t = t.unsqueeze(0)
    return t.unsqueeze(-1) if t.dim() == 2 and dims > 2 else t


def atleast_1d(*tensors: Tensor | Sequence[Tensor]) -> Any:
    """Each tensor with a dimension at least: one tensor, or a tuple of them."""
    return _at_least(1, tensors)


def atleast_2d(*tensors: Tensor | Sequence[Tensor]) -> Any:
    """Each tensor with two dimensions at least: vectors become rows."""
    return _at_least(2, tensors)


def atleast_3d(*tensors: Tensor | Sequence[Tensor]) -> Any:
    """Each tensor with three dimensions at least: (n) becomes (1, n, 1) and (m, n) (m, n, 1)."""
    return _at_least(3, tensors)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side; vectors become columns."""
    return _C.cat([t if t.dim() > 1 else t.reshape(-1, 1) for t in tensors], 1)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Along the third dimension, as :func:`atleast_3d` makes it."""
    return _C.cat(list(atleast_3d(list(tensors))), 2)


def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of as many nearly equal parts along dim, or cut before each of the given indices."""
    n, given = input.size(dim), indices_or_sections
    if isinstance(given, Tensor):
        given = given.tolist()
    if isinstance(given, int):
        parts = whole("tensor_split", "sections", given, 1)
        return split(input, [n // parts + (i < n % parts) for i in range(parts)], dim)
    cuts = [0, *(max(0, min(n, i + n if i < 0 else i)) for i in given), n]
    return tuple(_C._slice(input, dim, a, max(a, b)) for a, b in zip(cuts, cuts[1:]))


def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along dim, n times; prepend and append are joined on before."""
    parts = [part for part in (prepend, input, append) if part is not None]
    x = _C.cat(parts, dim) if len(parts) > 1 else input
    for _ in range(whole("diff", "n", n)):
        length = max(x.size(dim) - 1, 0)
        start = min(1, x.size(dim))
        later, earlier = x.narrow(dim, start, length), x.narrow(dim, 0, length)
        x = later != earlier if x.dtype == _C.bool else later - earlier
    return x


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices, in dimensions dim1 and dim2 of the result, whose diagonals are the last dimension;
    `offset` above (or below, negative) the main one."""
    length = input.size(-1)
    size = length + abs(offset)
    rows = _C._arange(0, length, 1, _C.int64, input.device) + max(-offset, 0)
    cells = rows * size + (rows + offset)
    flat = _C._full((*input.shape[:-1], size * size), 0, input.dtype, input.device)
    cells = cells.expand(tuple(input.shape))
    made = flat.scatter(-1, cells, input).reshape(*input.shape[:-1], size, size)
    return made.movedim((-2, -1), (dim1, dim2))
