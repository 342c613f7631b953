"""Summaries of many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gradstone import _C, _creation
from gradstone._C import Tensor
from gradstone._checks import dimension
from gradstone._types import DeviceLike, DTypeLike

Dims = int | Sequence[int] | None


class MinMax(NamedTuple):
    """The smallest and the largest."""

    min: Tensor
    max: Tensor


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest, of all or along dim."""
    return MinMax(_C.amin(input, dim, keepdim), _C.amax(input, dim, keepdim))


def nansum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None
) -> Tensor:
    """Sum that counts NaN as 0."""
    return _C.sum(_C.masked_fill(input, _C.isnan(input), 0), dim, keepdim, dtype)


def nanmean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None
) -> Tensor:
    """Mean of what is not NaN."""
    there = _C.logical_not(_C.isnan(input))
    total = nansum(input, dim, keepdim, dtype=dtype)
    return total / _C.sum(there, dim, keepdim)


def quantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The value below which the share q lies, of all or along dim; several q (a vector) give a
    leading dimension. Between two values: "linear", "lower", "higher", "midpoint", "nearest". NaN
    where one is in."""
    if not input.is_floating_point():
        raise TypeError(f"[quantile] expected a floating tensor, got {input.dtype}.")
    shares = q if isinstance(q, Tensor) else _C._full((), float(q), _C.float64, input.device)
    if shares.dim() > 1 or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("[quantile] expected q from 0 to 1, one or a vector of them.")
    if dim is not None:
        dim = dimension("quantile", input if input.dim() else input.reshape(1), dim)
    x = input.reshape(-1) if dim is None or not input.dim() else input.movedim(dim, -1)
    length = x.size(-1)
    if not length:
        raise ValueError("[quantile] expected something to take the quantile of.")
    values = x.sort(-1)[0]
    place = _C._cast(shares.reshape(-1), _C.float64) * (length - 1)
    low, high = place.floor(), place.ceil()
    if interpolation == "nearest":
        low = high = place.round()
    elif interpolation in ("lower", "higher"):
        low = high = low if interpolation == "lower" else high
    elif interpolation not in ("linear", "midpoint"):
        raise ValueError(
            "[quantile] expected interpolation 'linear', 'lower', 'higher', 'midpoint' or "
            f"'nearest', got {interpolation!r}."
        )
    below = values.index_select(-1, _C._cast(low, _C.int64))
    above = values.index_select(-1, _C._cast(high, _C.int64))
    share = place - low if interpolation == "linear" else (high - low) / 2
    got = _C.lerp(below, above, _C._cast(share, x.dtype).expand(below.shape))
    got = got.masked_fill(x.isnan().any(-1, True), float("nan")).movedim(-1, 0)
    if keepdim:
        if dim is None or not input.dim():
            got = got.reshape(-1, *([1] * input.dim()))
        else:
            got = got.unsqueeze(dim + 1)
    return got if shares.dim() else got.squeeze(0)


def cov(input: Tensor, *, correction: int = 1) -> Tensor:
    """Covariances of the rows (variables) over the columns (observations); a vector's variance."""
    x = input.reshape(1, -1) if input.dim() < 2 else input
    if x.dim() != 2:
        raise ValueError(f"[cov] expected two dimensions at most, got shape {tuple(input.shape)}.")
    x = x if x.is_floating_point() else _C._cast(x, _C.get_default_dtype())
    x = x - x.mean(1, True)
    made = _C.mm(x, x.t()) / max(x.size(1) - correction, 0)
    return made if input.dim() == 2 else made.reshape(())


def corrcoef(input: Tensor) -> Tensor:
    """Correlations of the rows over the columns, from -1 to 1."""
    made = cov(input)
    if not made.dim():
        return made / made
    spread = made.diagonal().sqrt()
    return (made / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    **options: Any,
) -> Tensor:
    """base to the powers from start to end, in equal steps."""
    kind = dtype or _creation.get_default_dtype()
    powers = _creation.linspace(start, end, steps, dtype=_C.float64, device=device)
    values = _C._cast(_C.pow(float(base), powers), kind)
    return values.requires_grad_() if options.pop("requires_grad", False) else values
