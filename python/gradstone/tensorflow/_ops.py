"""TensorFlow's functions of tensors over gradstone's. Arguments may be tensors, arrays or "
"numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone import _functions as functions
from gradstone.keras._names import dtype_of
from gradstone.keras._tensor import Base, Tensor, Variable, alias, array, from_host, wrap

Axis = int | Sequence[int] | None


def tensor(value: Any, dtype: Any = None) -> Base:
    """`value` as a tensor of gradstone's; another object than one of the user's."""
    if type(value) is Base:
        value = alias(value)
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
    return wrap(t)


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
