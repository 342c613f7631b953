"""The short-time Fourier transform and the spectrogram.

The transform of each frame is NumPy's real FFT (pocketfft), in the precision of the input; framing,
windows and scales are written here. No gradients flow through: these prepare data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole


def hann_window(length: int, periodic: bool = True) -> Tensor:
    """(length,) float32: sin^2(pi k / N), with N = length for frames that follow one another
    (periodic) and N = length - 1 for a symmetric window (Blackman and Tukey, 1958)."""
    whole("hann_window", "length", length, 1)
    return _C.from_numpy(_hann(length, periodic).astype(np.float32))


def _hann(length: int, periodic: bool = True) -> np.ndarray:
    if length == 1:
        return np.ones(1)
    turns = np.arange(length) / (length if periodic else length - 1)
    return np.sin(math.pi * turns) ** 2


def samples_of(op: str, x: Any) -> np.ndarray:
    """Samples (..., time) as float32 or float64."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = (x.float() if x.dtype == _C.bfloat16 else x).numpy()
    values = np.asarray(x)
    if values.ndim == 0:
        raise ValueError(f"[{op}] expected samples of shape (..., time), got a single number.")
    if values.dtype.kind not in "fiu":
        raise TypeError(f"[{op}] expected real samples, got {values.dtype}.")
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def complex_stft(
    op: str,
    x: Any,
    n_fft: int,
    hop_length: int | None,
    win_length: int | None,
    window: Tensor | None,
    center: bool,
    pad_mode: str,
) -> np.ndarray:
    """The work of ``stft``: complex (..., n_fft // 2 + 1, frames)."""
    values = samples_of(op, x)
    whole(op, "n_fft", n_fft, 1)
    size = n_fft if win_length is None else whole(op, "win_length", win_length, 1)
    hop = n_fft // 4 or 1 if hop_length is None else whole(op, "hop_length", hop_length, 1)
    if size > n_fft:
        raise ValueError(f"[{op}] expected win_length of at most n_fft {n_fft}, got {size}.")
    weights = _hann(size) if window is None else window.detach().numpy()
    if weights.shape != (size,):
        raise ValueError(f"[{op}] expected a window of shape ({size},), got {weights.shape}.")
    left = (n_fft - size) // 2
    weights = np.pad(weights, (left, n_fft - size - left)).astype(values.dtype)
    if center:
        if pad_mode not in ("reflect", "constant"):
            raise ValueError(f"[{op}] pad_mode should be 'reflect' or 'constant', got {pad_mode!r}")
        if pad_mode == "reflect" and values.shape[-1] <= n_fft // 2:
            raise ValueError(
                f"[{op}] {values.shape[-1]} samples are too few to reflect {n_fft // 2} of them; "
                "pad_mode='constant' pads with zeros."
            )
        around = [(0, 0)] * (values.ndim - 1) + [(n_fft // 2, n_fft // 2)]
        values = np.pad(values, around, mode=pad_mode)  # type: ignore[call-overload]
    if values.shape[-1] < n_fft:
        raise ValueError(f"[{op}] {values.shape[-1]} samples are fewer than a frame of {n_fft}.")
    frames = np.lib.stride_tricks.sliding_window_view(values, n_fft, axis=-1)[..., ::hop, :]
    return np.swapaxes(np.fft.rfft(frames * weights, axis=-1), -1, -2)


def stft(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
) -> Tensor:
    """The short-time Fourier transform of real samples (..., time), a tensor or an array.

    Frame m at frequency k is sum_t w[t] x[m hop + t] exp(-2 pi i k t / n_fft) (Allen and Rabiner,
    1977). Gives (..., n_fft // 2 + 1, frames, 2), real and imaginary parts last, as PyTorch's
    ``view_as_real(stft(...))``; float32, or float64 for float64. Bin k lies at k * rate / n_fft Hz.

    `hop_length` is n_fft // 4 when not given; the window is a periodic Hann window of `win_length`
    (n_fft), put in the middle of the frame. With `center` frame m is centred on sample m * hop,
    the ends padded by reflection or zeros ("constant").
    """
    values = complex_stft("stft", x, n_fft, hop_length, win_length, window, center, pad_mode)
    return _C.from_numpy(np.stack([values.real, values.imag], -1))


def spectrogram(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    power: float = 2.0,
    center: bool = True,
    pad_mode: str = "reflect",
) -> Tensor:
    """|stft| ** power, (..., n_fft // 2 + 1, frames): 1 gives magnitudes, 2 power."""
    if power <= 0:
        raise ValueError(f"[spectrogram] expected a positive power, got {power}.")
    args = (n_fft, hop_length, win_length, window, center, pad_mode)
    return _C.from_numpy(magnitudes(complex_stft("spectrogram", x, *args), power))


def magnitudes(values: np.ndarray, power: float) -> np.ndarray:
    if power == 2:
        return np.ascontiguousarray(values.real**2 + values.imag**2)
    return np.ascontiguousarray(np.abs(values) ** power)
