"""Functions that make tensors of given values.

Every function takes ``dtype`` (the default dtype, float32, where values do not decide it),
``device`` and ``requires_grad``. Sizes must be non-negative integers, given one by one or as one
sequence.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor, dtype
from gradstone._checks import real, whole
from gradstone._types import DeviceLike, DTypeLike, Number

float32 = _C.float32
int64 = _C.int64


def shape_of(sizes: tuple[Any, ...], op: str, size: Sequence[int] | None = None) -> tuple[int, ...]:
    """Sizes given as f(2, 3), f((2, 3)), f([2, 3]) or f(size=(2, 3)), checked."""
    if size is not None:
        if sizes:
            raise TypeError(f"[{op}] got the sizes twice: {sizes} and size={size}.")
        sizes = (tuple(size),)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    shape = []
    for one in sizes:
        try:
            value = operator.index(one)
        except TypeError:
            raise TypeError(
                f"[{op}] sizes must be integers, got {type(one).__name__} in {tuple(sizes)}."
            ) from None
        if value < 0:
            raise ValueError(f"[{op}] sizes must not be negative, got {tuple(sizes)}.")
        shape.append(value)
    return tuple(shape)


def device_of(device: DeviceLike) -> Any:
    """The given device, or the CPU."""
    return "cpu" if device is None else device


# Python's own types stand for the widest dtype of their kind.
_PYTHON_TYPES = {float: _C.float64, int: _C.int64, bool: _C.bool}


def dtype_of(kind: Any, op: str) -> dtype:
    """The given dtype, or the default one."""
    if kind is None:
        return _C.get_default_dtype()
    if not isinstance(kind, dtype):
        if isinstance(kind, type) and kind in _PYTHON_TYPES:
            return _PYTHON_TYPES[kind]
        raise TypeError(
            f"[{op}] expected dtype to be a dtype such as gradstone.float32, got {kind!r}."
        )
    return kind


def finish(t: Tensor, requires_grad: bool, pin_memory: bool = False) -> Tensor:
    """The tensor, in pinned memory and made a leaf that requires a gradient when asked."""
    if pin_memory:
        t = _C._pin_memory(t)
    if requires_grad:
        t.requires_grad_(True)
    return t


def tensor(
    data: Any,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested sequences, a NumPy array or a tensor.

    Python floats give the default dtype, ints int64, bools bool; arrays and tensors keep theirs.
    ValueError for ragged sequences, TypeError for what is no number.
    """
    if isinstance(data, Tensor):
        t = data.detach().clone()
        if dtype is not None:
            t = _C._cast(t, dtype)
        if device is not None:
            t = _C._to_device(t, device)
        return finish(t, requires_grad, pin_memory)
    if isinstance(data, (np.ndarray, np.generic)):
        t = _C.from_numpy(np.array(data, order="C"))
        if dtype is not None:
            t = _C._cast(t, dtype)
        if device is not None:
            t = _C._to_device(t, device)
        return finish(t, requires_grad, pin_memory)
    return finish(_C.tensor_from_data(data, dtype, device_of(device)), requires_grad, pin_memory)


def as_tensor(data: Any, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """`data` as a tensor without a copy where that is possible (tensors and NumPy arrays)."""
    if isinstance(data, Tensor):
        t = data
    elif isinstance(data, np.ndarray) and data.flags.writeable:
        t = _C.from_numpy(data)
    else:
        return tensor(data, dtype=dtype, device=device)
    if dtype is not None:
        t = _C._cast(t, dtype)
    if device is not None:
        t = _C._to_device(t, device)
    return t


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the array's own memory. TypeError for dtypes that tensors do not have."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] expected a NumPy array, got {type(array).__name__}.")
    return _C.from_numpy(array)


def scalar_tensor(value: Number, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """A 0-dimensional tensor."""
    return _C._full((), value, dtype_of(dtype, "scalar_tensor"), device_of(device))


# ------------------------------------------------------------------------------------- constants


def zeros(
    *sizes: int | Sequence[int],
    size: Sequence[int] | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of shape `sizes`, or `size`."""
    shape = shape_of(sizes, "zeros", size)
    return finish(_C._full(shape, 0, dtype_of(dtype, "zeros"), device_of(device)), requires_grad)


def ones(
    *sizes: int | Sequence[int],
    size: Sequence[int] | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of shape `sizes`, or `size`."""
    shape = shape_of(sizes, "ones", size)
    return finish(_C._full(shape, 1, dtype_of(dtype, "ones"), device_of(device)), requires_grad)


def empty(
    *sizes: int | Sequence[int],
    size: Sequence[int] | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory of shape `sizes`, or `size`."""
    shape = shape_of(sizes, "empty", size)
    out = _C._empty(shape, dtype_of(dtype, "empty"), device_of(device))
    return finish(out, requires_grad, pin_memory)


def full(
    size: Sequence[int] | int,
    fill_value: Number | Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere; without `dtype` its kind decides (bool, int64 or the default
    dtype)."""
    if isinstance(fill_value, Tensor):
        dtype = dtype or fill_value.dtype
        fill_value = fill_value.item()
    shape = shape_of(tuple(size) if isinstance(size, (tuple, list)) else (size,), "full")
    if dtype is None:
        dtype = _dtype_of_number(fill_value)
    return finish(_C._full(shape, fill_value, dtype, device_of(device)), requires_grad)


def _dtype_of_number(value: Any) -> dtype:
    if isinstance(value, (bool, np.bool_)):
        return _C.bool
    if isinstance(value, (int, np.integer)):
        return int64
    return get_default_dtype()


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats: float32 unless set otherwise."""
    return _C.get_default_dtype()


def set_default_dtype(d: dtype) -> None:
    """Sets it. TypeError unless it is a floating dtype."""
    _C.set_default_dtype(d)


# ------------------------------------------------------------------------------------------ _like


def like_of(input: Tensor, dtype: DTypeLike, device: DeviceLike) -> tuple[Any, Any, Any]:
    """Shape, dtype and device: the input's, unless given."""
    if not isinstance(input, Tensor):
        raise TypeError(f"expected input to be a Tensor, got {type(input).__name__}.")
    return tuple(input.shape), dtype or input.dtype, input.device if device is None else device


def zeros_like(
    input: Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """Zeros with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
    return finish(_C._full(shape, 0, dtype, device), requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """Ones with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
    return finish(_C._full(shape, 1, dtype, device), requires_grad)


def full_like(
    input: Tensor,
    fill_value: Number,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
    return finish(_C._full(shape, fill_value, dtype, device), requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """Uninitialised memory with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
    return finish(_C._empty(shape, dtype, device), requires_grad)


# ---------------------------------------------------------------------------------------- ranges


def _number(op: str, name: str, value: Any) -> Number:
    return value.item() if isinstance(value, (Tensor, np.generic)) else real(op, name, value)


def arange(
    *args: Number,
    start: Number | None = None,
    end: Number | None = None,
    step: Number | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """arange(end), arange(start, end) or arange(start, end, step): start, start + step, ... below
    end.

    int64 when every argument is an integer, otherwise the default dtype. ValueError when
    step is 0 or points away from end.
    """
    if len(args) > 3:
        raise TypeError(f"[arange] expected 1 to 3 numbers, got {len(args)}.")
    if len(args) == 1 and end is None:
        end = args[0]
    else:
        names = ("start", "end", "step")
        given = {"start": start, "end": end, "step": step}
        for name, value in zip(names, args):
            if given[name] is not None:
                raise TypeError(f"[arange] got two values for {name}.")
            given[name] = value
        start, end, step = given["start"], given["end"], given["step"]
    if end is None:
        raise TypeError("[arange] expected at least the end of the range.")
    first = 0 if start is None else _number("arange", "start", start)
    last = _number("arange", "end", end)
    stride = 1 if step is None else _number("arange", "step", step)
    if dtype is None:
        whole = all(isinstance(v, (int, bool)) for v in (first, last, stride))
        dtype = int64 if whole else get_default_dtype()
    if stride == 0 or math.isnan(stride):
        raise ValueError("[arange] step must be nonzero.")
    if (last - first) * stride < 0:
        raise ValueError(
            f"[arange] the step {stride} leads away from the end: start {first}, end {last}."
        )
    return finish(_C._arange(first, last, stride, dtype, device_of(device)), requires_grad)


def linspace(
    start: Number,
    end: Number,
    steps: int,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` equally spaced values from start to end, both included."""
    steps = whole("linspace", "steps", steps)
    low = float(_number("linspace", "start", start))
    high = float(_number("linspace", "end", end))
    dtype = dtype_of(dtype, "linspace")
    t = _C._linspace(low, high, steps, dtype, device_of(device))
    return finish(t, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """(n, m) with ones on the diagonal; m is n unless given."""
    shape = shape_of((n,) if m is None else (n, m), "eye")
    t = _C._eye(shape[0], None if m is None else m, dtype_of(dtype, "eye"), device_of(device))
    return finish(t, requires_grad)
