"""Functions that make tensors.

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
from gradstone._C import Generator, Tensor, dtype
from gradstone._types import DeviceLike, DTypeLike, Number
from gradstone.random import stream

float32 = _C.float32
int64 = _C.int64


def shape_of(sizes: tuple[Any, ...], op: str) -> tuple[int, ...]:
    """Sizes given as f(2, 3), f((2, 3)) or f([2, 3]), checked."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    shape = []
    for size in sizes:
        try:
            value = operator.index(size)
        except TypeError:
            raise TypeError(
                f"[{op}] sizes must be integers, got {type(size).__name__} in {tuple(sizes)}."
            ) from None
        if value < 0:
            raise RuntimeError(f"[{op}] sizes must not be negative, got {tuple(sizes)}.")
        shape.append(value)
    return tuple(shape)


def _device(device: DeviceLike) -> Any:
    return "cpu" if device is None else device


def _finish(t: Tensor, requires_grad: bool) -> Tensor:
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
        return _finish(t, requires_grad)
    if isinstance(data, (np.ndarray, np.generic)):
        t = _C.from_numpy(np.array(data, order="C"))
        if dtype is not None:
            t = _C._cast(t, dtype)
        if device is not None:
            t = _C._to_device(t, device)
        return _finish(t, requires_grad)
    return _finish(_C.tensor_from_data(data, dtype, _device(device)), requires_grad)


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
    return _C._full((), value, dtype or get_default_dtype(), _device(device))


# ------------------------------------------------------------------------------------- constants


def zeros(
    *size: int | Sequence[int],
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of shape `size`."""
    shape = shape_of(size, "zeros")
    return _finish(_C._full(shape, 0, dtype or get_default_dtype(), _device(device)), requires_grad)


def ones(
    *size: int | Sequence[int],
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of shape `size`."""
    shape = shape_of(size, "ones")
    return _finish(_C._full(shape, 1, dtype or get_default_dtype(), _device(device)), requires_grad)


def empty(
    *size: int | Sequence[int],
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory of shape `size`."""
    shape = shape_of(size, "empty")
    return _finish(_C._empty(shape, dtype or get_default_dtype(), _device(device)), requires_grad)


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
    return _finish(_C._full(shape, fill_value, dtype, _device(device)), requires_grad)


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


def _like(input: Tensor, dtype: DTypeLike, device: DeviceLike) -> tuple[Any, Any, Any]:
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
    shape, dtype, device = _like(input, dtype, device)
    return _finish(_C._full(shape, 0, dtype, device), requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """Ones with the shape, dtype and device of `input`."""
    shape, dtype, device = _like(input, dtype, device)
    return _finish(_C._full(shape, 1, dtype, device), requires_grad)


def full_like(
    input: Tensor,
    fill_value: Number,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` with the shape, dtype and device of `input`."""
    shape, dtype, device = _like(input, dtype, device)
    return _finish(_C._full(shape, fill_value, dtype, device), requires_grad)


def empty_like(
    input: Tensor,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """Uninitialised memory with the shape, dtype and device of `input`."""
    shape, dtype, device = _like(input, dtype, device)
    return _finish(_C._empty(shape, dtype, device), requires_grad)


# ---------------------------------------------------------------------------------------- ranges


def _number(value: Any) -> Number:
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


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

    int64 when every argument is an integer, otherwise the default dtype. ValueError (RuntimeError
    in PyTorch) when step is 0 or points away from end.
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
    first = 0 if start is None else _number(start)
    last, stride = _number(end), 1 if step is None else _number(step)
    if dtype is None:
        whole = all(isinstance(v, (int, bool)) for v in (first, last, stride))
        dtype = int64 if whole else get_default_dtype()
    if stride == 0 or math.isnan(stride):
        raise RuntimeError("[arange] step must be nonzero.")
    if (last - first) * stride < 0:
        raise RuntimeError(
            f"[arange] the step {stride} leads away from the end: start {first}, end {last}."
        )
    return _finish(_C._arange(first, last, stride, dtype, _device(device)), requires_grad)


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
    if steps < 0:
        raise RuntimeError(f"[linspace] steps must not be negative, got {steps}.")
    dtype = dtype or get_default_dtype()
    t = _C._linspace(float(_number(start)), float(_number(end)), steps, dtype, _device(device))
    return _finish(t, requires_grad)


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
    t = _C._eye(shape[0], None if m is None else m, dtype or get_default_dtype(), _device(device))
    return _finish(t, requires_grad)


# ---------------------------------------------------------------------------------------- random


def rand(
    *size: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [0, 1)."""
    t = _C._empty(shape_of(size, "rand"), dtype or get_default_dtype(), _device(device))
    _C._uniform_(t, 0.0, 1.0, *stream(generator))
    return _finish(t, requires_grad)


def randn(
    *size: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and standard deviation 1."""
    t = _C._empty(shape_of(size, "randn"), dtype or get_default_dtype(), _device(device))
    _C._normal_(t, 0.0, 1.0, *stream(generator))
    return _finish(t, requires_grad)


def randint(
    *args: Any,
    low: int | None = None,
    high: int | None = None,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """randint(high, size) or randint(low, high, size): int64 numbers in [low, high)."""
    numbers = list(args)
    if numbers and isinstance(numbers[-1], (tuple, list)):
        size = numbers.pop()
    if len(numbers) == 2:
        low, high = numbers
    elif len(numbers) == 1 and high is None:
        high = numbers[0]
    elif len(numbers) == 1:
        low = numbers[0]
    elif numbers:
        raise TypeError("[randint] expected (high, size) or (low, high, size).")
    if high is None or size is None:
        raise TypeError("[randint] expected (high, size) or (low, high, size).")
    first = 0 if low is None else int(low)
    if first >= high:
        raise RuntimeError(f"[randint] expected low < high, got low {first} and high {high}.")
    t = _C._empty(shape_of(tuple(size), "randint"), dtype or int64, _device(device))
    _C._random_integers_(t, first, int(high), *stream(generator))
    return _finish(t, requires_grad)


def rand_like(input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """Uniform in [0, 1) with the shape, dtype and device of `input`."""
    shape, dtype, device = _like(input, dtype, device)
    return rand(shape, dtype=dtype, device=device)


def randn_like(input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """Standard normal with the shape, dtype and device of `input`."""
    shape, dtype, device = _like(input, dtype, device)
    return randn(shape, dtype=dtype, device=device)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
) -> Tensor:
    """Integers in [low, high), or [0, low) without high, with the shape and dtype of `input`."""
    first, last = (0, low) if high is None else (low, high)
    shape, dtype, device = _like(input, dtype, device)
    return randint(first, last, shape, dtype=dtype, device=device)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A random permutation of 0 .. n-1, int64 unless `dtype` is given."""
    if n < 0:
        raise RuntimeError(f"[randperm] n must not be negative, got {n}.")
    t = _C._randperm(n, *stream(generator))
    if dtype is not None:
        t = _C._cast(t, dtype)
    if device is not None:
        t = _C._to_device(t, device)
    return _finish(t, requires_grad)


def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers; tensors as `mean` and `std` give each element its own."""
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if size is not None:
            raise TypeError("[normal] size goes with two numbers, not with tensors.")
        if isinstance(mean, Tensor) and isinstance(std, Tensor):
            shape = (mean.detach() + std.detach()).shape
            like = mean
        else:
            like = mean if isinstance(mean, Tensor) else std  # type: ignore[assignment]
            shape = like.shape
        noise = randn(tuple(shape), generator=generator, dtype=like.dtype, device=like.device)
        return noise * std + mean
    if size is None:
        raise TypeError("[normal] expected a size with two numbers.")
    if std < 0:
        raise RuntimeError(f"[normal] expected std >= 0, got {std}.")
    t = _C._empty(shape_of(tuple(size), "normal"), dtype or get_default_dtype(), _device(device))
    _C._normal_(t, float(mean), float(std), *stream(generator))
    return _finish(t, requires_grad)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with probability input[i] (or `p` everywhere), otherwise 0; same shape and dtype."""
    if p is not None:
        out = empty_like(input)
        _C._bernoulli_(out, check_probability(p, "bernoulli"), *stream(generator))
        return out
    if not input.dtype.is_floating_point:
        raise TypeError(f"[bernoulli] expected floating probabilities, got {input.dtype}.")
    values = input.detach()
    if values.numel() and not bool(((values >= 0) & (values <= 1)).all()):
        raise RuntimeError("[bernoulli] expected probabilities in [0, 1].")
    drawn = rand(tuple(input.shape), generator=generator, device=input.device)
    return _C._cast(drawn < values, input.dtype)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Positions drawn in proportion to the weights of each row of (C) or (N, C); int64."""
    return _C._multinomial(input, num_samples, replacement, *stream(generator))


def check_probability(p: float, op: str) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[{op}] expected a probability between 0 and 1, got {p}.")
    return float(p)
