"""What networks hear: mel spectrograms, their logarithm, and cepstral coefficients.

All take samples (..., time) and give (..., features, frames), float32 (float64 for float64), and
pass on to ``stft`` what it knows (win_length, window, center, pad_mode).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.audio.mel import dct, filter_bank
from gradstone.audio.spectrum import complex_stft, magnitudes


def _mel(
    op: str,
    x: Any,
    sample_rate: float,
    n_fft: int,
    hop_length: int | None,
    n_mels: int,
    f_min: float,
    f_max: float | None,
    power: float,
    scale: str,
    norm: str | None,
    stft: dict[str, Any],
) -> np.ndarray:
    options: dict[str, Any] = {
        "win_length": None,
        "window": None,
        "center": True,
        "pad_mode": "reflect",
    }
    for name in stft:
        if name not in options:
            raise TypeError(f"{op}() got an unexpected keyword argument {name!r}")
    values = complex_stft(op, x, n_fft, hop_length, **{**options, **stft})
    bank = filter_bank(n_mels, n_fft // 2 + 1, sample_rate, f_min, f_max, scale, norm)
    return bank.astype(values.real.dtype) @ magnitudes(values, power)


def mel_spectrogram(
    x: Any,
    sample_rate: float,
    n_fft: int = 400,
    hop_length: int | None = None,
    n_mels: int = 80,
    f_min: float = 0.0,
    f_max: float | None = None,
    power: float = 2.0,
    scale: str = "htk",
    norm: str | None = None,
    **stft: Any,
) -> Tensor:
    """(..., n_mels, frames): the power spectrogram summed over the triangles of
    ``mel_filter_bank``."""
    return _C.from_numpy(
        _mel(
            "mel_spectrogram", x, sample_rate, n_fft, hop_length, n_mels, f_min, f_max, power,
            scale, norm, stft,
        )
    )  # fmt: skip


def log_mel_spectrogram(
    x: Any,
    sample_rate: float,
    n_fft: int = 400,
    hop_length: int | None = None,
    n_mels: int = 80,
    f_min: float = 0.0,
    f_max: float | None = None,
    floor: float = 1e-10,
    scale: str = "htk",
    norm: str | None = None,
    **stft: Any,
) -> Tensor:
    """(..., n_mels, frames): the natural logarithm of the power mel spectrogram, of at least
    `floor`."""
    if floor <= 0:
        raise ValueError(f"[log_mel_spectrogram] expected a positive floor, got {floor}.")
    values = _mel(
        "log_mel_spectrogram", x, sample_rate, n_fft, hop_length, n_mels, f_min, f_max, 2.0,
        scale, norm, stft,
    )  # fmt: skip
    least = max(floor, float(np.finfo(values.dtype).tiny))  # a number of this dtype, above 0
    return _C.from_numpy(np.log(np.maximum(values, values.dtype.type(least))))


def mfcc(
    x: Any,
    sample_rate: float,
    n_mfcc: int = 13,
    n_fft: int = 400,
    hop_length: int | None = None,
    n_mels: int = 40,
    f_min: float = 0.0,
    f_max: float | None = None,
    floor: float = 1e-10,
    scale: str = "htk",
    norm: str | None = None,
    **stft: Any,
) -> Tensor:
    """(..., n_mfcc, frames): mel-frequency cepstral coefficients, the first of the orthonormal
    DCT-II of ``log_mel_spectrogram`` (Davis and Mermelstein, 1980)."""
    logs = log_mel_spectrogram(
        x, sample_rate, n_fft, hop_length, n_mels, f_min, f_max, floor, scale, norm, **stft
    ).numpy()
    return _C.from_numpy(dct(n_mfcc, n_mels).astype(logs.dtype) @ logs)
