"""TensorFlow's functions that make tensors and change their shapes, over gradstone's. Arguments
may be tensors, arrays or numbers."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone import _functions as functions
from gradstone.keras._tensor import Base, Tensor, Variable, alias, array, dtype_of, from_host, wrap

Axis = int | Sequence[int] | None

__all__ = [
    "argsort", "boolean_mask", "broadcast_to", "cast", "clip_by_global_norm", "clip_by_norm",
    "clip_by_value", "concat", "constant", "convert_to_tensor", "expand_dims", "eye", "fill",
    "function", "gather", "identity", "is_tensor", "linspace", "one_hot", "ones",
    "ones_like", "pad", "print", "range", "rank",
    "reshape", "shape", "size", "sort", "split", "squeeze", "stack", "stop_gradient",
    "tile", "transpose", "unstack", "where", "zeros", "zeros_like",
]  # fmt: skip


def plain(value: Any, dtype: Any = None) -> Base:
    """`value` as a tensor of gradstone's; another object than one of the user's."""
    if type(value) is Base:
        value = alias(value)
    return from_host(value, None if dtype is None else dtype_of(dtype))


def alike(*values: Any) -> list[Base]:
    """The values as tensors; what is no tensor takes the dtype of the first that is one."""
    known = next((v.dtype for v in values if isinstance(v, Base)), None)
    out = []
    for value in values:
        t = plain(value)
        if known is not None and not isinstance(value, Base):
            fraction = t.dtype.is_floating_point and not known.is_floating_point
            t = t if fraction else _C._cast(t, known)
        out.append(t)
    return out


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape given as numbers, as one number or as a tensor."""
    if isinstance(shape, Base):
        shape = array(shape)
    return tuple(int(s) for s in np.atleast_1d(shape))


def named(module: dict[str, Any], names: Iterable[str]) -> None:
    """Functions that were made by other functions get the names they have in their module."""
    for name in names:
        module[name].__name__ = module[name].__qualname__ = name


# ----------------------------------------------------------------------------------- making tensors


def constant(value: Any, dtype: Any = None, shape: Any = None, name: Any = None) -> Tensor:
    """A tensor with a copy of `value`: Python integers give int32, fractions float32, arrays keep
    their dtype. A single number may fill a `shape`."""
    t = plain(value, dtype).detach().clone()
    if shape is not None and t.numel() == 1:
        t = _C.broadcast_to(t.reshape(()), sizes(shape)).clone()
    return wrap(t if shape is None else t.reshape(sizes(shape)))


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: Any = None
) -> Any:
    """`value` as a tensor; itself when it is one. ValueError for one of another dtype."""
    if isinstance(value, Variable):
        value = value.clone()
    t = plain(value, dtype)
    if isinstance(value, Base) and value.dtype != t.dtype:
        raise ValueError(
            f"Tensor conversion requested dtype {dtype} for Tensor with dtype {value.dtype}: use "
            "tf.cast."
        )
    return wrap(t)


def cast(x: Any, dtype: Any, name: Any = None) -> Tensor:
    """`x` in another dtype; fractions lose what is behind the point."""
    t, kind = plain(x), dtype_of(dtype)
    return wrap(t.clone() if t.dtype == kind else _C._cast(t, kind))


def _filled(value: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """(zeros, zeros_like) for 0, (ones, ones_like) for 1."""

    def make(shape: Any, dtype: Any = None, name: Any = None) -> Tensor:
        return wrap(_C._full(sizes(shape), value, dtype_of(dtype)))

    def make_like(input: Any, dtype: Any = None, name: Any = None) -> Tensor:
        t = plain(input)
        kind = t.dtype if dtype is None else dtype_of(dtype)
        return wrap(_C._full(tuple(t.shape), value, kind, t.device))

    make.__doc__ = f"{value} everywhere, float32 without a dtype."
    make_like.__doc__ = f"{value} in the shape and dtype of `input`."
    return make, make_like


zeros, zeros_like = _filled(0)
ones, ones_like = _filled(1)


def fill(dims: Any, value: Any, name: Any = None) -> Tensor:
    """`value` everywhere."""
    return wrap(_C.broadcast_to(plain(value), sizes(dims)).clone())


def eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = None, name: Any = None
) -> Tensor:
    """The identity matrix."""
    return wrap(_creation.eye(num_rows, num_columns, dtype=dtype_of(dtype)))


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: Any = None
) -> Tensor:
    """start, start + delta, ... below limit; range(limit) starts at 0."""
    start, limit = (0, start) if limit is None else (start, limit)
    values = [v.item() if isinstance(v, (Base, np.generic)) else v for v in (start, limit, delta)]
    whole = all(isinstance(v, int) for v in values)
    kind = dtype_of(dtype) if dtype is not None else (_C.int32 if whole else _C.float32)
    return wrap(_creation.arange(*values, dtype=kind))


def linspace(start: Any, stop: Any, num: int, name: Any = None) -> Tensor:
    """`num` equally spaced values, both ends included."""
    return wrap(_creation.linspace(float(start), float(stop), int(num)))


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int = -1,
    dtype: Any = None,
    name: Any = None,
) -> Tensor:
    """Each index as a row of `depth` numbers with `on_value` (1) at its place and `off_value` (0)
    elsewhere; an index that is out of range has no place. Without `dtype` that of the values."""
    index = _C._cast(plain(indices), _C.int64).unsqueeze(-1)
    hot = index == _creation.arange(int(depth), dtype=_C.int64)
    given = on_value if on_value is not None else off_value
    kind = dtype_of(dtype) if dtype is not None or given is None else plain(given).dtype
    on = plain(1 if on_value is None else on_value, kind)
    out = _C._where(hot, on, plain(0 if off_value is None else off_value, kind))
    return wrap(out if axis == -1 else out.movedim(-1, axis))


# ------------------------------------------------------------------------------------------- shapes


def shape(input: Any, out_type: Any = None, name: Any = None) -> Tensor:
    """The sizes as an int32 tensor."""
    return constant(list(plain(input).shape), out_type or _C.int32)


def size(input: Any, out_type: Any = None, name: Any = None) -> Tensor:
    """How many elements there are."""
    return constant(plain(input).numel(), out_type or _C.int32)


def rank(input: Any, name: Any = None) -> Tensor:
    """How many dimensions there are."""
    return constant(plain(input).dim())


def reshape(tensor: Any, shape: Any, name: Any = None) -> Tensor:
    """The same numbers in another shape; one size may be -1."""
    return wrap(plain(tensor).reshape(sizes(shape)))


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: Any = None) -> Tensor:
    """The dimensions in another order, reversed unless `perm` says how."""
    t = plain(a)
    return wrap(
        t.permute(tuple(reversed(builtins.range(t.dim()))) if perm is None else sizes(perm))
    )


def expand_dims(input: Any, axis: int, name: Any = None) -> Tensor:
    """With a dimension of size 1 at `axis`."""
    return wrap(plain(input).unsqueeze(axis))


def squeeze(input: Any, axis: Any = None, name: Any = None) -> Tensor:
    """Without dimensions of size 1: all, or those that `axis` names. ValueError for another."""
    t = plain(input)
    if axis is None or axis == []:
        return wrap(t.squeeze())
    for a in sizes(axis):
        if t.size(a) != 1:
            raise ValueError(
                f"Can not squeeze dim[{a}], expected a dimension of 1, got {t.size(a)}"
            )
    return wrap(t.squeeze(sizes(axis)))


def concat(values: Sequence[Any], axis: int, name: Any = None) -> Tensor:
    """Side by side along `axis`."""
    return wrap(_C.cat(alike(*values), axis))


def stack(values: Sequence[Any], axis: int = 0, name: Any = None) -> Tensor:
    """Side by side along a new dimension."""
    return wrap(_C.stack(alike(*values), axis))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: Any = None) -> list[Tensor]:
    """The slices along `axis`."""
    return [wrap(t) for t in _C.unbind(plain(value), axis)]


def split(value: Any, num_or_size_splits: Any, axis: int = 0, name: Any = None) -> list[Tensor]:
    """So many equal parts, or parts of these sizes, of which one may be -1: the rest. ValueError
    when equal parts are not possible."""
    t = plain(value)
    whole = t.size(axis)
    if isinstance(num_or_size_splits, int):
        if whole % num_or_size_splits:
            raise ValueError(
                f"Dimension {axis} of size {whole} cannot be split into {num_or_size_splits} equal "
                "parts."
            )
        return [wrap(p) for p in functions.split(t, whole // num_or_size_splits, axis)]
    parts = list(sizes(num_or_size_splits))
    if -1 in parts:
        parts[parts.index(-1)] = whole - (sum(parts) + 1)
    return [wrap(p) for p in functions.split(t, parts, axis)]


def tile(input: Any, multiples: Any, name: Any = None) -> Tensor:
    """The tensor repeated along each dimension."""
    t = plain(input)
    for axis, count in enumerate(sizes(multiples)):
        t = _C.cat([t] * count, axis) if count != 1 else t
    return wrap(t)


def gather(params: Any, indices: Any, axis: int = 0, name: Any = None) -> Tensor:
    """Slices of `params` along `axis` at these indices, of any shape."""
    t, index = plain(params), _C._cast(plain(indices), _C.int64)
    picked = _C.index_select(t, axis, index.reshape(-1))
    axis %= t.dim()
    return wrap(picked.reshape(*t.shape[:axis], *index.shape, *t.shape[axis + 1 :]))


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0, name: Any = None
) -> Tensor:
    """With (before, after) numbers of elements added to each dimension."""
    pairs = np.asarray(array(paddings)).tolist()
    flat = tuple(v for pair in reversed(pairs) for v in pair)
    return wrap(_C._pad(plain(tensor), flat, mode.lower(), float(constant_values)))


def where(condition: Any, x: Any = None, y: Any = None, name: Any = None) -> Tensor:
    """x where true, elsewhere y; with the condition alone the places where it is true."""
    if x is None and y is None:
        return wrap(functions.nonzero(plain(condition)))
    return wrap(_C._where(plain(condition), *alike(x, y)))


def broadcast_to(input: Any, shape: Any, name: Any = None) -> Tensor:
    """Repeated to this shape."""
    return wrap(_C.broadcast_to(plain(input), sizes(shape)))


def boolean_mask(tensor: Any, mask: Any, axis: Any = None, name: Any = None) -> Tensor:
    """The elements where the mask is true; the mask's dimensions are those from `axis` (0) on."""
    before = (slice(None),) * (axis or 0)
    return wrap(plain(tensor)[(*before, plain(mask).bool())])


def _descending(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"`direction` must be 'ASCENDING' or 'DESCENDING', got {direction!r}.")
    return direction == "DESCENDING"


def argsort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: Any = None) -> Tensor:
    """The order that sorts, int32."""
    return wrap(_C._cast(_C.argsort(plain(values), axis, _descending(direction)), _C.int32))


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: Any = None) -> Tensor:
    """The values in order."""
    return wrap(_C.sort(plain(values), axis, _descending(direction))[0])


# ------------------------------------------------------------------------------------------- values


def clip_by_value(t: Any, clip_value_min: float, clip_value_max: float, name: Any = None) -> Tensor:
    """Within these limits."""
    return wrap(_C.clamp(plain(t), clip_value_min, clip_value_max))


def clip_by_norm(t: Any, clip_norm: float, axes: Any = None, name: Any = None) -> Tensor:
    """Scaled down where the norm is larger."""
    values = plain(t)
    norm = values.norm(2.0, None if axes is None else sizes(axes), axes is not None)
    return wrap(values * (clip_norm / norm.clamp(min=clip_norm)))


def global_norm(t_list: Sequence[Any], name: Any = None) -> Tensor:
    """The norm of all tensors together; None among them counts nothing."""
    return wrap(_C.stack([plain(t).norm() for t in t_list if t is not None]).norm())


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: float, use_norm: Any = None, name: Any = None
) -> tuple[list[Any], Tensor]:
    """(all scaled down where their common norm is larger, the norm)."""
    norm = global_norm(t_list) if use_norm is None else plain(use_norm)
    factor = clip_norm / norm.clamp(min=clip_norm)
    return [None if t is None else wrap(plain(t) * factor) for t in t_list], wrap(norm)


def identity(input: Any, name: Any = None) -> Tensor:
    """A copy."""
    return wrap(plain(input).clone())


def stop_gradient(input: Any, name: Any = None) -> Tensor:
    """The values, through which no gradient flows."""
    return wrap(plain(input).detach().clone())


def function(func: Any = None, **ignored: Any) -> Any:
    """The function itself: nothing is compiled, and every call runs its Python code. Arguments such
    as `jit_compile` are accepted."""
    return func if func is not None else (lambda f: f)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor or a variable."""
    return isinstance(x, Base)


def print(*inputs: Any, **options: Any) -> None:
    """Prints values alone, without shape and dtype."""
    builtins.print(*[array(v) if isinstance(v, Base) else v for v in inputs], **options)


named(globals(), __all__)
