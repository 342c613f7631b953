"""Where numbers belong."""

from __future__ import annotations

from typing import Any

from gradstone import _C, _functions
from gradstone._C import Tensor
from gradstone._types import DeviceLike, DTypeLike


def searchsorted(
    sorted_sequence: Tensor,
    values: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Tensor:
    """Where each value would be put in so that the order stays: before equal ones, or behind them
    with `right`. sorted_sequence (n), or (..., n) with values (..., m)."""
    if side is not None:
        if side not in ("left", "right"):
            raise ValueError(f"[searchsorted] expected side 'left' or 'right', got {side!r}.")
        right = side == "right"
    kind = _C.int32 if out_int32 else _C.int64
    number = not isinstance(values, Tensor)
    at = _C._full((), values, sorted_sequence.dtype, sorted_sequence.device) if number else values
    assert isinstance(at, Tensor)
    line = sorted_sequence
    if line.dim() != 1 and line.shape[:-1] != at.shape[:-1]:
        raise ValueError(
            f"[searchsorted] expected values of shape {(*line.shape[:-1], 'm')}, got "
            f"{tuple(at.shape)}."
        )
    if line.dim() == 1 and line.device.type == "cpu" and line.dtype != _C.bfloat16:
        import numpy as np

        found = np.searchsorted(
            line.detach().numpy(), at.detach().numpy(), "right" if right else "left"
        )
        return _C._cast(_C.from_numpy(np.atleast_1d(found)).reshape(tuple(at.shape)), kind)
    line, at = line.unsqueeze(-2), at.unsqueeze(-1)
    before = line <= at if right else line < at
    return _C._cast(before.sum(-1), kind)


def bucketize(
    input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The bucket of each number: i where boundaries[i - 1] < x <= boundaries[i], or <= x < with
    `right`."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many numbers are in each of `bins` equal parts of [min, max], or of their own range
    where both are equal; others are left out."""
    if bins < 1 or max < min:
        raise ValueError(f"[histc] expected bins > 0 and min <= max, got {bins}, {min}, {max}.")
    x = input.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.numel():
        low, high = float(x.amin()), float(x.amax())
    if low == high:
        low, high = low - 1, high + 1
    x = x.masked_select((x >= low) & (x <= high))
    place = _C._cast((x - low) * (bins / (high - low)), _C.int64).clamp(max=bins - 1)
    return _C._cast(_functions.bincount(place, minlength=bins), input.dtype)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = None, device: DeviceLike = None
) -> Tensor:
    """(2, n): rows and columns of the cells on and below a diagonal."""
    return _triangle(_C.tril, row, col, offset, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = None, device: DeviceLike = None
) -> Tensor:
    """(2, n): rows and columns of the cells on and above a diagonal."""
    return _triangle(_C.triu, row, col, offset, dtype, device)


def _triangle(
    part: Any, row: int, col: int, offset: int, dtype: DTypeLike, device: DeviceLike
) -> Tensor:
    cells = part(_C._full((row, col), 1, _C.float32, "cpu" if device is None else device), offset)
    return _C._cast(_functions.nonzero(cells).t().contiguous(), dtype or _C.int64)
