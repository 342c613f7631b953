"""``tf.random``."""

from __future__ import annotations

from typing import Any

from gradstone import _C, _sampling
from gradstone.keras._tensor import Tensor, dtype_of, wrap
from gradstone.keras.initializers import TruncatedNormal, generator
from gradstone.random import manual_seed
from gradstone.tensorflow._ops import plain, sizes


def set_seed(seed: int) -> None:
    """Seeds all random numbers."""
    manual_seed(seed)


def normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: Any = None,
    name: Any = None,
) -> Tensor:
    """Normal numbers."""
    t = _C._empty(sizes(shape), dtype_of(dtype)).normal_(0.0, 1.0, generator=generator(seed))
    return wrap(t * stddev + mean)


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = None,
    seed: Any = None,
    name: Any = None,
) -> Tensor:
    """Uniform numbers in [minval, maxval); whole ones when the dtype is."""
    kind = dtype_of(dtype)
    if not kind.is_floating_point:
        if maxval is None:
            raise ValueError("Must specify maxval for integer dtype")
        t = _sampling.randint(int(minval), int(maxval), sizes(shape), generator=generator(seed))
        return wrap(_C._cast(t, kind))
    high = 1.0 if maxval is None else float(maxval)
    t = _C._empty(sizes(shape), kind).uniform_(float(minval), high, generator=generator(seed))
    return wrap(t)


def truncated_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: Any = None,
    name: Any = None,
) -> Tensor:
    """Normal numbers within two deviations."""
    return wrap(TruncatedNormal(mean, stddev, seed)(sizes(shape), dtype_of(dtype)))


def shuffle(value: Any, seed: Any = None, name: Any = None) -> Tensor:
    """The rows in another order."""
    t = plain(value)
    return wrap(_C.index_select(t, 0, _sampling.randperm(t.size(0), generator=generator(seed))))


def categorical(
    logits: Any, num_samples: int, dtype: Any = None, seed: Any = None, name: Any = None
) -> Tensor:
    """Classes drawn by the softmax of each row of logits (N, C): (N, num_samples)."""
    chances = _C.softmax(plain(logits), -1)
    drawn = _sampling.multinomial(chances, num_samples, True, generator=generator(seed))
    return wrap(_C._cast(drawn, _C.int64 if dtype is None else dtype_of(dtype)))
