"""Where numbers belong."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C, _functions
from gradstone._C import Tensor
from gradstone._types import DeviceLike, DTypeLike, TensorOrNumber


def searchsorted(
    sorted_sequence: Tensor,
    values: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Tensor:
    """Where each value would be put in so that the order stays: before equal ones, or behind them
    with `right`; NaN at the end. sorted_sequence (n), or (..., n) with values (..., m)."""
    if side is not None:
        if side not in ("left", "right"):
            raise ValueError(f"[searchsorted] expected side 'left' or 'right', got {side!r}.")
        right = side == "right"
    kind = _C.int32 if out_int32 else _C.int64
    line = sorted_sequence
    at = values if isinstance(values, Tensor) else _number(values, line)
    if line.dim() == 0 or line.dim() != 1 and line.shape[:-1] != at.shape[:-1]:
        raise ValueError(
            f"[searchsorted] expected (n), or (..., n) with values of shape (..., m), got "
            f"{tuple(line.shape)} with {tuple(at.shape)}."
        )
    if line.dim() == 1 and line.device.type == "cpu":
        import numpy as np

        held = [t.float() if t.dtype == _C.bfloat16 else t for t in (line, at)]
        places, points = (t.detach().numpy() for t in held)
        found = np.searchsorted(places, points, "right" if right else "left")
        return _C.tensor_from_data(found, kind)
    line, at = line.unsqueeze(-2), at.unsqueeze(-1)
    behind = line > at if right else line >= at
    return _C._cast((~behind).sum(-1), kind)


def _number(value: float, line: Tensor) -> Tensor:
    """A number to look for, in a dtype that does not change it."""
    whole = isinstance(value, int) and not line.is_floating_point()
    return _C._full((), value, _C.int64 if whole else _C.float64, line.device)


def bucketize(
    input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The bucket of each number: i where boundaries[i - 1] < x <= boundaries[i], or <= x < with
    `right`."""
    if boundaries.dim() != 1:
        shape = tuple(boundaries.shape)
        raise ValueError(f"[bucketize] expected a vector of boundaries, got shape {shape}.")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(
    elements: TensorOrNumber,
    test_elements: TensorOrNumber,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """True where an element is among `test_elements`. assume_unique is PyTorch's and changes
    nothing."""
    x = elements if isinstance(elements, Tensor) else _C.tensor_from_data(elements)
    y = test_elements if isinstance(test_elements, Tensor) else _C.tensor_from_data(test_elements)
    found = (x.unsqueeze(-1) == y.reshape(-1)).any(-1)
    return _C.logical_not(found) if invert else found


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along dim (from 1) and its position."""
    n = input.size(dim) if input.dim() else 1
    if not 1 <= k <= n:
        raise ValueError(f"[kthvalue] expected k from 1 to {n}, got {k}.")
    ordered = _C.sort(input, dim)
    if input.dim() == 0:
        return ordered
    parts = [_C.narrow(part, dim, k - 1, 1) for part in ordered]
    return type(ordered)(parts if keepdim else [p.squeeze(dim) for p in parts])  # type: ignore[call-arg, arg-type]


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at these positions of the flattened tensor, in the shape of index."""
    if index.dtype == _C.bool or index.is_floating_point():
        raise TypeError(f"[take] expected an integer tensor as index, got {index.dtype}.")
    return input.reshape(-1)[index]


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many numbers are in each of `bins` equal parts of [min, max], or of their own range
    where both are equal; others are left out."""
    if bins < 1 or max < min:
        raise ValueError(f"[histc] expected bins > 0 and min <= max, got {bins}, {min}, {max}.")
    x = input.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.numel():
        low, high = float(x.amin()), float(x.amax())
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"[histc] expected a finite range, got {low} to {high}.")
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
