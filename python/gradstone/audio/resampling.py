"""Another sample rate, by a windowed sinc."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.audio.spectrum import samples_of


def resample(x: Any, from_rate: int, to_rate: int, zeros: int = 16) -> Tensor:
    """Samples (..., time) at `from_rate` Hz as (..., ceil(time * to / from)) at `to_rate` Hz.

    Band-limited interpolation (Smith, Digital Audio Resampling): each new sample is the sum of its
    neighbours weighted by a sinc that reaches over `zeros` of its zeros to each side under a Hann
    window; it passes what is below 0.945 of half the lower rate.
    """
    whole("resample", "from_rate", from_rate, 1)
    whole("resample", "to_rate", to_rate, 1)
    whole("resample", "zeros", zeros, 1)
    values = samples_of("resample", x)
    common = math.gcd(from_rate, to_rate)
    down, up = from_rate // common, to_rate // common
    length = -(-values.shape[-1] * up // down)
    if down == up:
        return _C.from_numpy(values.copy())
    cutoff = 0.945 * min(1.0, up / down)  # of half the old rate
    reach = math.ceil(zeros / cutoff)
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(reach, reach + down)])
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1)
    out = np.zeros((*values.shape[:-1], length), values.dtype)
    offsets = np.arange(-reach, reach + 1)
    for phase in range(min(up, length)):
        # New samples phase, phase + up, ... lie at the same fraction between two old ones.
        before, fraction = divmod(phase * down, up)
        t = (offsets - fraction / up) * cutoff
        kernel = np.sinc(t) * np.where(np.abs(t) < zeros, np.cos(math.pi * t / zeros / 2) ** 2, 0)
        count = -(-(length - phase) // up)
        rows = views[..., before : before + (count - 1) * down + 1 : down, :]
        out[..., phase::up] = rows @ (kernel * cutoff).astype(values.dtype)
    return _C.from_numpy(out)
