"""TensorFlow's functions of tensors over gradstone's. Arguments may be tensors, arrays or "
"numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone import _functions as functions
from gradstone.keras._tensor import Base, Tensor, Variable, array, from_host, wrap
from gradstone.keras.layer import dtype_of

Axis = int | Sequence[int] | None


def tensor(value: Any, dtype: Any = None) -> Base:
    """`value` as a tensor of gradstone's."""
    return from_host(value, None if dtype is None else dtype_of(dtype))


def alike(*values: Any) -> list[Base]:
    """The values as tensors; what is no tensor takes the dtype of the first that is one."""
    known = next((v.dtype for v in values if isinstance(v, Base)), None)
    out = []
    for value in values:
        t = tensor(value)
        if known is not None and not isinstance(value, Base):
            fraction = t.dtype.is_floating_point and not known.is_floating_point
            t = t if fraction else _C._cast(t, known)
        out.append(t)
    return out


# ----------------------------------------------------------------------------------- making tensors


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor with a copy of `value`: Python integers give int32, fractions float32, arrays keep
    their dtype. A single number may fill a `shape`."""
    t = tensor(value, dtype).detach().clone()
    if shape is not None:
        t = (
            t.reshape(tuple(shape))
            if t.numel() != 1
            else _C.broadcast_to(t.reshape(()), tuple(shape)).clone()
        )
    return wrap(t)


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Any:
    """`value` as a tensor; itself when it is one of that dtype."""
    if isinstance(value, Variable):
        value = value.clone()
    t = tensor(value, dtype)
    if isinstance(value, Base) and dtype is not None and value.dtype != t.dtype:
        raise ValueError(
            f"Tensor conversion requested dtype {dtype} for Tensor with dtype {value.dtype}: use "
            "tf.cast."
        )
    return wrap(t if not isinstance(value, np.ndarray) else t)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """`x` in another dtype; fractions lose what is behind the point."""
    return wrap(
        _C._cast(tensor(x), dtype_of(dtype))
        if tensor(x).dtype != dtype_of(dtype)
        else tensor(x).clone()
    )


def _shape(shape: Any) -> tuple[int, ...]:
    if isinstance(shape, Base):
        return tuple(int(s) for s in array(shape))
    return (
        tuple(int(s) for s in shape)
        if isinstance(shape, (tuple, list, np.ndarray))
        else (int(shape),)
    )


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """0 everywhere."""
    return wrap(_C._full(_shape(shape), 0, dtype_of(dtype)))


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """1 everywhere."""
    return wrap(_C._full(_shape(shape), 1, dtype_of(dtype)))


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """`value` everywhere."""
    return wrap(_C.broadcast_to(tensor(value), _shape(dims)).clone())


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """0 in the shape of `input`."""
    t = tensor(input)
    return wrap(_C._full(tuple(t.shape), 0, t.dtype if dtype is None else dtype_of(dtype)))


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """1 in the shape of `input`."""
    t = tensor(input)
    return wrap(_C._full(tuple(t.shape), 1, t.dtype if dtype is None else dtype_of(dtype)))


def eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = None, name: str | None = None
) -> Tensor:
    """The identity matrix."""
    return wrap(_creation.eye(num_rows, num_columns, dtype=dtype_of(dtype)))


def range_(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None
) -> Tensor:
    """start, start + delta, ... below limit; range(limit) starts at 0."""
    start, limit = (0, start) if limit is None else (start, limit)
    values = [v.item() if isinstance(v, (Base, np.generic)) else v for v in (start, limit, delta)]
    whole = all(isinstance(v, int) for v in values)
    kind = dtype_of(dtype) if dtype is not None else (_C.int32 if whole else _C.float32)
    return wrap(_creation.arange(*values, dtype=kind))


def linspace(start: Any, stop: Any, num: int, name: str | None = None) -> Tensor:
    """`num` equally spaced values, both ends included."""
    return wrap(_creation.linspace(float(start), float(stop), int(num)))


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int = -1,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """Each index as a row of `depth` zeros with a one; an index that is out of range gives "
    "zeros."""
    index = _C._cast(tensor(indices), _C.int64).unsqueeze(-1)
    hot = index == _creation.arange(int(depth), dtype=_C.int64)
    on, off = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    out = _C._cast(hot, dtype_of(dtype))
    if (on, off) != (1, 0):
        out = out * (on - off) + off
    return wrap(out if axis == -1 else out.movedim(-1, axis))


# ------------------------------------------------------------------------------------------- shapes


def shape(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """The sizes as an int32 tensor."""
    return constant(list(tensor(input).shape), out_type or _C.int32)


def size(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """How many elements there are."""
    return constant(tensor(input).numel(), out_type or _C.int32)


def rank(input: Any, name: str | None = None) -> Tensor:
    """How many dimensions there are."""
    return constant(tensor(input).dim())


def reshape(tensor_: Any, shape: Any, name: str | None = None) -> Tensor:
    """The same numbers in another shape; one size may be -1."""
    return wrap(tensor(tensor_).reshape(_shape(shape)))


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Tensor:
    """The dimensions in another order, reversed unless `perm` says how."""
    t = tensor(a)
    return wrap(t.permute(tuple(reversed(range(t.dim()))) if perm is None else _shape(perm)))


def expand_dims(input: Any, axis: int, name: str | None = None) -> Tensor:
    """With a dimension of size 1 at `axis`."""
    return wrap(tensor(input).unsqueeze(axis))


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Without dimensions of size 1."""
    t = tensor(input)
    return wrap(t.squeeze() if axis is None or axis == [] else t.squeeze(axis))


def concat(values: Sequence[Any], axis: int, name: str | None = None) -> Tensor:
    """Side by side along `axis`."""
    return wrap(_C.cat(alike(*values), axis))


def stack(values: Sequence[Any], axis: int = 0, name: str | None = None) -> Tensor:
    """Side by side along a new dimension."""
    return wrap(_C.stack(alike(*values), axis))


def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """The slices along `axis`."""
    return [wrap(t) for t in _C.unbind(tensor(value), axis)]


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """Parts of equal size, or of these sizes. ValueError when equal parts are not possible."""
    t = tensor(value)
    if isinstance(num_or_size_splits, int):
        if t.size(axis) % num_or_size_splits:
            raise ValueError(
                f"Dimension {axis} of size {t.size(axis)} cannot be split into "
                f"{num_or_size_splits} equal parts."
            )
        parts: Any = t.size(axis) // num_or_size_splits
    else:
        parts = list(_shape(num_or_size_splits))
    return [wrap(p) for p in functions.split(t, parts, axis)]


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """The tensor repeated along each dimension."""
    t = tensor(input)
    for axis, count in enumerate(_shape(multiples)):
        t = _C.cat([t] * count, axis) if count != 1 else t
    return wrap(t)


def gather(params: Any, indices: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Slices of `params` along `axis` at these indices, of any shape."""
    t, index = tensor(params), _C._cast(tensor(indices), _C.int64)
    picked = _C.index_select(t, axis, index.reshape(-1))
    axis %= t.dim()
    return wrap(picked.reshape(*t.shape[:axis], *index.shape, *t.shape[axis + 1 :]))


def pad(
    tensor_: Any,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: float = 0,
    name: Any = None,
) -> Tensor:
    """With (before, after) numbers of elements added to each dimension."""
    pairs = np.asarray(array(paddings)).tolist()
    flat = tuple(v for pair in reversed(pairs) for v in pair)
    return wrap(_C._pad(tensor(tensor_), flat, mode.lower(), float(constant_values)))


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where true, elsewhere y; with the condition alone the places where it is true."""
    if x is None and y is None:
        return wrap(functions.nonzero(tensor(condition)))
    return wrap(_C._where(tensor(condition), *alike(x, y)))


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Repeated to this shape."""
    return wrap(_C.broadcast_to(tensor(input), _shape(shape)))


def boolean_mask(tensor_: Any, mask: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """The elements where the mask is true."""
    return wrap(tensor(tensor_)[tensor(mask).bool()])


def identity(input: Any, name: str | None = None) -> Tensor:
    """A copy."""
    return wrap(tensor(input).clone())


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """The values, through which no gradient flows."""
    return wrap(tensor(input).detach().clone())


# --------------------------------------------------------------------------------------- reductions


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


# --------------------------------------------------------------------------------------- arithmetic


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


def function(func: Any = None, **ignored: Any) -> Any:
    """The function itself: nothing is compiled, and every call runs its Python code. Arguments such
    as `jit_compile` are accepted."""
    return func if func is not None else (lambda f: f)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor or a variable."""
    return isinstance(x, Base)


def print_(*inputs: Any, **options: Any) -> None:
    """Prints values alone, without shape and dtype."""
    print(*[array(v) if isinstance(v, Base) else v for v in inputs], **options)
