"""Reductions, functions and products of TensorFlow over gradstone's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradstone import _C
from gradstone import _functions as functions
from gradstone.keras._tensor import Base, Tensor, wrap
from gradstone.tensorflow._ops import Axis, alike, tensor


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _reduction(native: Callable[..., Any], doc: str) -> Callable[..., Any]:
    def reduce(
        input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: str | None = None
    ) -> Tensor:
        t = tensor(input_tensor)
        out = native(t, _axis(axis), keepdims)
        whole = t.dtype in (_C.int32, _C.int64) and out.dtype != t.dtype and out.dtype != _C.bool
        return wrap(_C._cast(out, t.dtype) if whole else out)

    reduce.__doc__ = doc
    return reduce


def _mean(t: Base, axis: Any, keepdims: bool) -> Base:
    if t.dtype.is_floating_point:
        return _C.mean(t, axis, keepdims)
    return _C.floor(_C.mean(t.double(), axis, keepdims))  # whole numbers keep their dtype


def _product(t: Base, axis: Any, keepdims: bool) -> Base:
    if isinstance(axis, tuple):
        for a in sorted((a % t.dim() for a in axis), reverse=True):
            t = _C.prod(t, a, keepdims)
        return t
    return _C.prod(t, axis, keepdims) if axis is not None else _C.prod(t)


def _spread(t: Base, axis: Any, keepdims: bool) -> Base:
    return _C._var(t, axis, 0.0, keepdims)


reduce_sum = _reduction(_C.sum, "The sum over `axis` (all without one).")


reduce_mean = _reduction(_mean, "The mean over `axis` (all without one).")


reduce_max = _reduction(_C.amax, "The largest over `axis` (all without one).")


reduce_min = _reduction(_C.amin, "The smallest over `axis` (all without one).")


reduce_prod = _reduction(_product, "The product over `axis` (all without one).")


reduce_all = _reduction(lambda t, a, k: _C.all(t, a, k), "Whether all are true.")


reduce_any = _reduction(lambda t, a, k: _C.any(t, a, k), "Whether one is true.")


reduce_variance = _reduction(_spread, "The mean square of the distance from the mean.")


reduce_std = _reduction(lambda t, a, k: _C.sqrt(_spread(t, a, k)), "The root of the variance.")


def reduce_logsumexp(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Tensor:
    """log of the sum of exp, without overflow."""
    t = tensor(input_tensor)
    return wrap(_C.logsumexp(t, tuple(range(t.dim())) if axis is None else _axis(axis), keepdims))


def argmax(
    input: Any, axis: int | None = None, output_type: Any = None, name: str | None = None
) -> Tensor:
    """Where the largest stands along `axis` (0 without one), int64."""
    return wrap(
        _C._cast(_C.argmax(tensor(input), 0 if axis is None else axis), output_type or _C.int64)
    )


def argmin(
    input: Any, axis: int | None = None, output_type: Any = None, name: str | None = None
) -> Tensor:
    """Where the smallest stands along `axis` (0 without one), int64."""
    return wrap(
        _C._cast(_C.argmin(tensor(input), 0 if axis is None else axis), output_type or _C.int64)
    )


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """The order that sorts, int32."""
    return wrap(_C._cast(_C.argsort(tensor(values), axis, direction == "DESCENDING"), _C.int32))


def sort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """The values in order."""
    return wrap(_C.sort(tensor(values), axis, direction == "DESCENDING")[0])


def cumsum(x: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Sums of the first 1, 2, ... along `axis`."""
    t = tensor(x)
    return wrap(_C._cast(_C.cumsum(t, axis), t.dtype))


def unary(native: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    """A function of one tensor."""

    def function(x: Any, name: str | None = None) -> Tensor:
        return wrap(native(tensor(x)))

    function.__doc__ = doc
    return function


def binary(native: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    """A function of two tensors."""

    def function(x: Any, y: Any, name: str | None = None) -> Tensor:
        return wrap(native(*alike(x, y)))

    function.__doc__ = doc
    return function


abs_ = unary(_C.abs, "|x|.")


exp = unary(_C.exp, "exp(x).")


log = unary(_C.log, "The natural logarithm.")


log1p = unary(_C.log1p, "log(1 + x).")


sqrt = unary(_C.sqrt, "The root.")


rsqrt = unary(_C.rsqrt, "One over the root.")


square = unary(_C.square, "x^2.")


sign = unary(_C.sign, "-1, 0 or 1.")


sin, cos, tan = (unary(f, "Of an angle in radians.") for f in (_C.sin, _C.cos, _C.tan))


sinh, cosh = unary(_C.sinh, "(exp(x) - exp(-x)) / 2."), unary(_C.cosh, "(exp(x) + exp(-x)) / 2.")


tanh = unary(_C.tanh, "tanh(x).")


sigmoid = unary(_C.sigmoid, "1 / (1 + exp(-x)).")


floor, ceil = unary(_C.floor, "Down to a whole number."), unary(_C.ceil, "Up to a whole number.")


round_ = unary(_C.round, "To the nearest whole number, halves to the even one.")


negative = unary(_C.neg, "-x.")


reciprocal = unary(_C.reciprocal, "1 / x.")


erf = unary(_C.erf, "The error function.")


is_nan = unary(_C.isnan, "Whether it is no number.")


is_finite = unary(_C.isfinite, "Whether it is a number and finite.")


logical_not = unary(_C.logical_not, "Not.")


add = binary(_C.add, "x + y.")


subtract = binary(_C.sub, "x - y.")


multiply = binary(_C.mul, "x * y.")


floordiv = binary(_C.floor_divide, "x / y, down to a whole number.")


mod = binary(_C.remainder, "The rest of x / y, with the sign of y.")


pow_ = binary(_C.pow, "x to the power y.")


maximum = binary(_C.maximum, "The larger.")


minimum = binary(_C.minimum, "The smaller.")


atan2 = binary(_C.atan2, "The angle of (y, x).")


squared_difference = binary(lambda x, y: _C.square(x - y), "(x - y)^2.")


equal = binary(_C.eq, "x == y.")


not_equal = binary(_C.ne, "x != y.")


less = binary(_C.lt, "x < y.")


less_equal = binary(_C.le, "x <= y.")


greater = binary(_C.gt, "x > y.")


greater_equal = binary(_C.ge, "x >= y.")


logical_and = binary(_C.logical_and, "And.")


logical_or = binary(_C.logical_or, "Or.")


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y; of whole numbers in float64."""
    first, second = alike(x, y)
    return wrap(first) / second


def add_n(inputs: Sequence[Any], name: str | None = None) -> Tensor:
    """The sum of all."""
    total = tensor(inputs[0])
    for value in inputs[1:]:
        total = total + tensor(value)
    return wrap(total)


def clip_by_value(
    t: Any, clip_value_min: float, clip_value_max: float, name: str | None = None
) -> Tensor:
    """Within these limits."""
    return wrap(_C.clamp(tensor(t), clip_value_min, clip_value_max))


def clip_by_norm(t: Any, clip_norm: float, axes: Any = None, name: str | None = None) -> Tensor:
    """Scaled down where the norm is larger."""
    values = tensor(t)
    norm = values.norm(2.0, _axis(axes), axes is not None)
    return wrap(values * (clip_norm / norm.clamp(min=clip_norm)))


def global_norm(t_list: Sequence[Any], name: str | None = None) -> Tensor:
    """The norm of all together."""
    return wrap(_C.stack([tensor(t).norm() for t in t_list if t is not None]).norm())


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: float, use_norm: Any = None, name: Any = None
) -> Any:
    """(all scaled down where their common norm is larger, the norm)."""
    norm = global_norm(t_list) if use_norm is None else tensor(use_norm)
    factor = clip_norm / norm.clamp(min=clip_norm)
    return [None if t is None else wrap(tensor(t) * factor) for t in t_list], norm


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
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


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """The sum over the last `axes` dimensions of a and the first of b, or over given ones."""
    x, y = alike(a, b)
    if isinstance(axes, int):
        first, second = list(range(x.dim() - axes, x.dim())), list(range(axes))
    else:
        first, second = ([v] if isinstance(v, int) else list(v) for v in axes)
    x = x.movedim(first, list(range(x.dim() - len(first), x.dim())))
    y = y.movedim(second, list(range(len(second))))
    left, right = x.shape[: x.dim() - len(first)], y.shape[len(second) :]
    count = 1
    for s in y.shape[: len(second)]:
        count *= s
    return wrap((x.reshape(-1, count) @ y.reshape(count, -1)).reshape(*left, *right))


def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """Einstein's sum."""
    return wrap(functions.einsum(equation, *alike(*inputs)))


def norm(
    tensor_: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: Any = None
) -> Tensor:
    """The root of the sum of squares, or another norm."""
    p = 2.0 if ord in ("euclidean", "fro") else float(ord)
    return wrap(tensor(tensor_).norm(p, _axis(axis), keepdims))
