"""Functions of each element."""

from __future__ import annotations

import math

from gradstone import _C
from gradstone._C import Tensor


def _floating(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else _C._cast(x, _C.get_default_dtype())


def asin(input: Tensor) -> Tensor:
    """The angle from -pi/2 to pi/2 whose sine is input; NaN outside [-1, 1]."""
    x = _floating(input)
    return _C.atan2(x, ((1 - x) * (1 + x)).sqrt())


def acos(input: Tensor) -> Tensor:
    """The angle from 0 to pi whose cosine is input; NaN outside [-1, 1]."""
    x = _floating(input)
    return _C.atan2(((1 - x) * (1 + x)).sqrt(), x)


def atanh(input: Tensor) -> Tensor:
    """(log(1 + x) - log(1 - x)) / 2, the inverse of tanh."""
    x = _floating(input)
    return (x.log1p() - (-x).log1p()) * 0.5


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return _floating(input).log() * (1 / math.log(10))


def frac(input: Tensor) -> Tensor:
    """What is behind the point: x - trunc(x), with x's sign."""
    return input - input.trunc()


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x kept in [eps, 1 - eps] where eps is given."""
    x = _floating(input)
    if eps is not None:
        x = x.clamp(eps, 1 - eps)
    return x.log() - (-x).log1p()


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return _floating(input) * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return _floating(input) * (180 / math.pi)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where negative, 1 where positive, values where 0."""
    step = _C._cast(input > 0, input.dtype)
    return _C._where(input == 0, values, step)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(x^2 + y^2), without overflow on the way."""
    x, y = input.abs(), other.abs()
    large, small = _C.maximum(x, y), _C.minimum(x, y)
    safe = large.masked_fill((large == 0) | large.isinf(), 1.0)
    ratio = (small / safe).masked_fill(large.isinf(), 0.0)
    return large * (1 + ratio.square()).sqrt()


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(x) + exp(y))."""
    return _C.stack(list(_broadcast(input, other))).logsumexp(0)


def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """x log(y), 0 where x is 0 and y is no NaN."""
    zero = (input == 0) & ~other.isnan()
    return (input * _floating(other).masked_fill(zero, 1.0).log()).masked_fill(zero, 0.0)


def _broadcast(*tensors: Tensor) -> tuple[Tensor, ...]:
    from gradstone._functions import broadcast_tensors

    return broadcast_tensors(*tensors)
