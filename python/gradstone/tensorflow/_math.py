"""Functions of numbers that stand both in ``tf`` and in ``tf.math``: element by element, and
reductions. Arguments may be tensors, arrays or numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradstone import _C
from gradstone.keras._tensor import Base, Tensor, wrap
from gradstone.tensorflow._ops import Axis, alike, named, plain

__all__ = [
    "abs", "add", "add_n", "argmax", "argmin", "cos", "cosh", "cumsum", "divide", "equal", "exp",
    "floor", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "maximum", "minimum", "multiply", "negative", "not_equal", "pow", "reduce_all",
    "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod",
    "reduce_sum", "round", "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "subtract", "tan",
    "tanh",
]  # fmt: skip


def unary(compute: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    """A function of one tensor."""

    def function(x: Any, name: Any = None) -> Tensor:
        return wrap(compute(plain(x)))

    function.__doc__ = doc
    return function


def binary(compute: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    """A function of two tensors, whose shapes are broadcast."""

    def function(x: Any, y: Any, name: Any = None) -> Tensor:
        return wrap(compute(*alike(x, y)))

    function.__doc__ = doc
    return function


def reduction(compute: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    """A function over one, several or (None) all dimensions; whole numbers keep their dtype."""

    def function(
        input_tensor: Any, axis: Axis = None, keepdims: bool = False, name: Any = None
    ) -> Tensor:
        t = plain(input_tensor)
        out = compute(t, dims(axis), keepdims)
        fixed = not t.dtype.is_floating_point and _C.bool not in (t.dtype, out.dtype)
        return wrap(_C._cast(out, t.dtype) if fixed else out)

    function.__doc__ = doc
    return function


def dims(axis: Any) -> Any:
    """Dimensions as gradstone takes them."""
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


abs = unary(_C.abs, "|x|.")
exp = unary(_C.exp, "exp(x).")
sqrt = unary(_C.sqrt, "The root.")
square = unary(_C.square, "x^2.")
sign = unary(_C.sign, "-1, 0 or 1.")
sin = unary(_C.sin, "Of an angle in radians.")
cos = unary(_C.cos, "Of an angle in radians.")
tan = unary(_C.tan, "Of an angle in radians.")
sinh = unary(_C.sinh, "(exp(x) - exp(-x)) / 2.")
cosh = unary(_C.cosh, "(exp(x) + exp(-x)) / 2.")
tanh = unary(_C.tanh, "tanh(x).")
sigmoid = unary(_C.sigmoid, "1 / (1 + exp(-x)).")
floor = unary(_C.floor, "Down to a whole number.")
round = unary(_C.round, "To the nearest whole number, halves to the even one.")
negative = unary(_C.neg, "-x.")
logical_not = unary(_C.logical_not, "Not.")

add = binary(_C.add, "x + y.")
subtract = binary(_C.sub, "x - y.")
multiply = binary(_C.mul, "x * y.")
divide = binary(lambda x, y: wrap(x) / y, "x / y; of whole numbers in float64.")
pow = binary(_C.pow, "x to the power y.")
maximum = binary(_C.maximum, "The larger.")
minimum = binary(_C.minimum, "The smaller.")
equal = binary(_C.eq, "x == y.")
not_equal = binary(_C.ne, "x != y.")
less = binary(_C.lt, "x < y.")
less_equal = binary(_C.le, "x <= y.")
greater = binary(_C.gt, "x > y.")
greater_equal = binary(_C.ge, "x >= y.")
logical_and = binary(_C.logical_and, "And.")
logical_or = binary(_C.logical_or, "Or.")


def _mean(t: Base, axis: Any, keepdims: bool) -> Base:
    return _C.mean(t if t.dtype.is_floating_point else t.double(), axis, keepdims)


def _product(t: Base, axis: Any, keepdims: bool) -> Base:
    """gradstone's product takes one dimension."""
    axes = range(t.dim()) if axis is None else (axis,) if isinstance(axis, int) else axis
    for a in sorted((a % t.dim() for a in axes), reverse=True):
        t = _C.prod(t, a, keepdims)
    return t


def _logsumexp(t: Base, axis: Any, keepdims: bool) -> Base:
    if not t.dtype.is_floating_point:
        raise TypeError(f"reduce_logsumexp needs fractions, got {t.dtype}: use tf.cast.")
    return _C.logsumexp(t, tuple(range(t.dim())) if axis is None else axis, keepdims)


reduce_sum = reduction(_C.sum, "The sum over `axis` (all without one).")
reduce_mean = reduction(_mean, "The mean over `axis` (all); of whole numbers without fraction.")
reduce_max = reduction(_C.amax, "The largest over `axis` (all without one).")
reduce_min = reduction(_C.amin, "The smallest over `axis` (all without one).")
reduce_prod = reduction(_product, "The product over `axis` (all without one).")
reduce_all = reduction(_C.all, "Whether all are true.")
reduce_any = reduction(_C.any, "Whether one is true.")
reduce_logsumexp = reduction(_logsumexp, "log of the sum of exp, without overflow.")


def argmax(
    input: Any, axis: int | None = None, output_type: Any = None, name: Any = None
) -> Tensor:
    """Where the largest stands along `axis` (0 without one), int64."""
    return wrap(_C._cast(_C.argmax(plain(input), axis or 0), output_type or _C.int64))


def argmin(
    input: Any, axis: int | None = None, output_type: Any = None, name: Any = None
) -> Tensor:
    """Where the smallest stands along `axis` (0 without one), int64."""
    return wrap(_C._cast(_C.argmin(plain(input), axis or 0), output_type or _C.int64))


def cumsum(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Tensor:
    """Sums of the first 1, 2, ... along `axis`; `exclusive` leaves each number itself out,
    `reverse` sums from the end."""
    t = plain(x).flip(axis) if reverse else plain(x)
    sums = _C._cast(_C.cumsum(t, axis), t.dtype)
    sums = sums - t if exclusive else sums
    return wrap(sums.flip(axis) if reverse else sums)


def add_n(inputs: Sequence[Any], name: Any = None) -> Tensor:
    """The sum of all."""
    total = plain(inputs[0])
    for value in inputs[1:]:
        total = total + plain(value)
    return wrap(total)


named(globals(), __all__)
