"""Functions that make tensors of random numbers.

Arguments are those of ``_creation``; ``generator`` takes the place of the default generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone._checks import real, whole
from gradstone._creation import device_of, dtype_of, empty_like, finish, int64, like_of, shape_of
from gradstone._types import DeviceLike, DTypeLike
from gradstone.random import stream


def rand(
    *sizes: int | Sequence[int],
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [0, 1)."""
    t = _C._empty(shape_of(sizes, "rand", size), dtype_of(dtype, "rand"), device_of(device))
    _C._uniform_(t, 0.0, 1.0, *stream(generator))
    return finish(t, requires_grad)


def randn(
    *sizes: int | Sequence[int],
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: DTypeLike = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and standard deviation 1."""
    t = _C._empty(shape_of(sizes, "randn", size), dtype_of(dtype, "randn"), device_of(device))
    _C._normal_(t, 0.0, 1.0, *stream(generator))
    return finish(t, requires_grad)


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
        raise TypeError(f"[randint] expected (high, size) or (low, high, size), got {args}.")
    if high is None or size is None:
        raise TypeError(f"[randint] expected (high, size) or (low, high, size), got {args}.")
    first = 0 if low is None else int(low)
    if first >= high:
        raise ValueError(f"[randint] expected low < high, got low {first} and high {high}.")
    t = _C._empty(
        shape_of(tuple(size), "randint"),
        int64 if dtype is None else dtype_of(dtype, "randint"),
        device_of(device),
    )
    _C._random_integers_(t, first, int(high), *stream(generator))
    return finish(t, requires_grad)


def rand_like(input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """Uniform in [0, 1) with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
    return rand(shape, dtype=dtype, device=device)


def randn_like(input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """Standard normal with the shape, dtype and device of `input`."""
    shape, dtype, device = like_of(input, dtype, device)
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
    shape, dtype, device = like_of(input, dtype, device)
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
    t = _C._randperm(whole("randperm", "n", n), *stream(generator))
    if dtype is not None:
        t = _C._cast(t, dtype)
    if device is not None:
        t = _C._to_device(t, device)
    return finish(t, requires_grad, pin_memory)


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
        raise ValueError(f"[normal] expected std >= 0, got {std}.")
    t = _C._empty(shape_of(tuple(size), "normal"), dtype_of(dtype, "normal"), device_of(device))
    _C._normal_(t, float(mean), float(std), *stream(generator))
    return finish(t, requires_grad)


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
        raise ValueError("[bernoulli] expected probabilities in [0, 1].")
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
    """`p` as a float. ValueError outside [0, 1], TypeError for what is no number."""
    real(op, "the probability", p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[{op}] expected a probability between 0 and 1, got {p}.")
    return float(p)
