"""Functions of each element. Those that could lose digits on the way are computed in float64, so
that float32 and 16-bit results are rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable

from gradstone import _C
from gradstone._C import Tensor
from gradstone._composed.results import result_type
from gradstone._types import TensorOrNumber


def _wide(f: Callable[..., Tensor], *inputs: TensorOrNumber) -> Tensor:
    """f in float64, as the dtype that a floating function of one or two inputs has."""
    dtype = result_type(inputs[0], inputs[-1])
    if not dtype.is_floating_point:
        dtype = _C.get_default_dtype()
    wide = [
        _C._cast(x, _C.float64) if isinstance(x, Tensor) else _C.tensor_from_data(x, _C.float64)
        for x in inputs
    ]
    return _C._cast(f(*wide), dtype)


def asin(input: Tensor) -> Tensor:
    """The angle from -pi/2 to pi/2 whose sine is input; NaN outside [-1, 1]."""
    return _wide(lambda x: _C.atan2(x, _C.sqrt((1 - x) * (1 + x))), input)


def acos(input: Tensor) -> Tensor:
    """The angle from 0 to pi whose cosine is input; NaN outside [-1, 1]."""
    return _wide(lambda x: _C.atan2(_C.sqrt((1 - x) * (1 + x)), x), input)


def atanh(input: Tensor) -> Tensor:
    """(log(1 + x) - log(1 - x)) / 2, the inverse of tanh; NaN outside [-1, 1]."""
    return _wide(lambda x: 0.5 * (_C.log1p(x) - _C.log1p(-x)), input)


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10; in float64 within two units in the last place."""
    return _wide(lambda x: _C.log(x) / math.log(10), input)


def exp2(input: Tensor) -> Tensor:
    """2 to the power input."""
    return 2.0**input


def frac(input: Tensor) -> Tensor:
    """What is behind the point: x - trunc(x), with x's sign."""
    return input - _C.trunc(input)


def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    return +input


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x kept in [eps, 1 - eps] where eps is given; NaN outside [0, 1]."""

    def f(x: Tensor) -> Tensor:
        x = x if eps is None else _C.clamp(x, eps, 1 - eps)
        return _C.log(x) - _C.log1p(-x)

    return _wide(f, input)


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return input * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return input * (180 / math.pi)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where negative, 1 where positive, values where 0."""
    step = _C._cast(input > 0, input.dtype)
    return _C._where(input == 0, values, step)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(x^2 + y^2), without overflow on the way."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        x, y = x.abs(), y.abs()
        large, small = _C.maximum(x, y), _C.minimum(x, y)
        endless = x.isinf() | y.isinf()  # whatever the other is, NaN too
        ratio = small / large.masked_fill((large == 0) | endless, 1.0)
        made = large * (1 + ratio.square()).sqrt()
        return made.masked_fill(endless, math.inf)

    return _wide(f, input, other)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(x) + exp(y)) without overflow."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        gap = _C._where(x == y, 0.0, x - y)  # infinities too, whose difference is NaN
        return _C.maximum(x, y) + _C.log1p(_C.exp(-_C.abs(gap)))

    return _wide(f, input, other)


def xlogy(input: TensorOrNumber, other: TensorOrNumber) -> Tensor:
    """x log(y), 0 where x is 0, unless y is NaN."""

    def f(x: Tensor, y: Tensor) -> Tensor:
        zero = _C.logical_and(x == 0, _C.logical_or(y <= 0, _C.isinf(y)))
        return _C._where(zero, 0.0, x * _C.log(_C._where(zero, 1.0, y)))

    return _wide(f, input, other)


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two; a number wins over NaN."""
    return _number_wins(_C.maximum, input, other)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two; a number wins over NaN."""
    return _number_wins(_C.minimum, input, other)


def _number_wins(choose: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    return _C._where(_C.isnan(a), b, _C._where(_C.isnan(b), a, choose(a, b)))


arccos, arcsin, arctanh = acos, asin, atanh
