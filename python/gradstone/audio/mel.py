"""The mel scale, its filter bank, and the discrete cosine transform: matrices for spectrograms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole

# Slaney's scale: linear up to 1000 Hz, 200 / 3 Hz a mel, then 27 mels to a factor of 6.4.
_LINEAR, _CORNER, _STEP = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0


def hz_to_mel(hz: Any, scale: str = "htk") -> Any:
    """Frequency (a number or an array, Hz) in mel.

    "htk": 2595 log10(1 + f / 700) (O'Shaughnessy, 1987; Young et al., The HTK Book, 2006).
    "slaney": linear below 1000 Hz, logarithmic above (Slaney, Auditory Toolbox, Technical Report
    1998-010).
    """
    f = np.asarray(hz, np.float64)
    if _checked(scale) == "htk":
        mel = 2595.0 * np.log10(1.0 + f / 700.0)
    else:
        above = _CORNER / _LINEAR + np.log(np.maximum(f, _CORNER) / _CORNER) / _STEP
        mel = np.where(f < _CORNER, f / _LINEAR, above)
    return mel if mel.ndim else float(mel)


def mel_to_hz(mel: Any, scale: str = "htk") -> Any:
    """The inverse of ``hz_to_mel``."""
    m = np.asarray(mel, np.float64)
    if _checked(scale) == "htk":
        hz = 700.0 * (10.0 ** (m / 2595.0) - 1.0)
    else:
        corner = _CORNER / _LINEAR
        above = _CORNER * np.exp(_STEP * (np.maximum(m, corner) - corner))
        hz = np.where(m < corner, m * _LINEAR, above)
    return hz if hz.ndim else float(hz)


def _checked(scale: str) -> str:
    if scale not in ("htk", "slaney"):
        raise ValueError(f"mel scale should be 'htk' or 'slaney', got {scale!r}")
    return scale


def mel_filter_bank(
    n_mels: int,
    n_freqs: int,
    sample_rate: float,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "htk",
    norm: str | None = None,
) -> Tensor:
    """(n_mels, n_freqs) float32: triangles whose corners are evenly spaced in mel between `f_min`
    and `f_max` (half the sample rate when not given), over frequencies evenly spaced from 0 to half
    the sample rate (Davis and Mermelstein, 1980).

    norm None: every triangle rises to 1. "slaney": every triangle has area 1 in Hz. Warns of
    triangles between two frequencies, which hold none.
    """
    return _C.from_numpy(
        filter_bank(n_mels, n_freqs, sample_rate, f_min, f_max, scale, norm).astype(np.float32)
    )


def filter_bank(
    n_mels: int,
    n_freqs: int,
    sample_rate: float,
    f_min: float,
    f_max: float | None,
    scale: str,
    norm: str | None,
) -> np.ndarray:
    """The float64 array that ``mel_filter_bank`` gives as a tensor."""
    whole("mel_filter_bank", "n_mels", n_mels, 1)
    whole("mel_filter_bank", "n_freqs", n_freqs, 2)
    top = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < top <= sample_rate / 2:
        raise ValueError(
            f"[mel_filter_bank] expected 0 <= f_min < f_max <= {sample_rate / 2:g} (half the "
            f"sample rate), got {f_min} and {top}."
        )
    if norm not in (None, "slaney"):
        raise ValueError(f"[mel_filter_bank] norm should be None or 'slaney', got {norm!r}")
    frequencies = np.linspace(0.0, sample_rate / 2, n_freqs)
    ends = hz_to_mel(f_min, scale), hz_to_mel(top, scale)
    corners = mel_to_hz(np.linspace(*ends, n_mels + 2), scale)
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - left) / (peak - left), (right - frequencies) / (right - peak)
    bank = np.maximum(0.0, np.minimum(rising, falling))
    empty = int((bank.max(1) == 0).sum())
    if empty:
        warnings.warn(
            f"[mel_filter_bank] {empty} of {n_mels} filters are empty, narrower than the "
            f"frequencies are apart: take fewer mels, or a longer n_fft than {2 * (n_freqs - 1)}.",
            stacklevel=2,
        )
    return bank * (2.0 / (right - left)) if norm == "slaney" else bank


def dct_matrix(n_out: int, n_in: int, orthonormal: bool = True) -> Tensor:
    """(n_out, n_in) float32: row k is cos(pi k (j + 1/2) / n_in), the discrete cosine transform
    DCT-II (Ahmed, Natarajan and Rao, 1974).

    orthonormal: rows of length 1 (factors sqrt(1 / n_in) for k = 0, sqrt(2 / n_in) elsewhere);
    otherwise the factor is 2.
    """
    return _C.from_numpy(dct(n_out, n_in, orthonormal).astype(np.float32))


def dct(n_out: int, n_in: int, orthonormal: bool = True) -> np.ndarray:
    """The float64 array that ``dct_matrix`` gives as a tensor."""
    whole("dct_matrix", "n_in", n_in, 1)
    if whole("dct_matrix", "n_out", n_out, 1) > n_in:
        raise ValueError(f"[dct_matrix] expected at most {n_in} rows, got {n_out}.")
    k, j = np.arange(n_out)[:, None], np.arange(n_in)
    matrix = np.cos(math.pi * k * (j + 0.5) / n_in)
    if not orthonormal:
        return 2.0 * matrix
    matrix *= math.sqrt(2.0 / n_in)
    matrix[0] *= math.sqrt(0.5)
    return matrix
