"""WAV files: RIFF chunks as Microsoft's and IBM's Multimedia Programming Interface (1991) and
mmreg.h define them.

The standard library's ``wave`` module reads the plain PCM forms only, so the chunks are walked
here; it writes them.
"""

from __future__ import annotations

import io
import os
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._replace import write_file

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_NAMES = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x55: "MP3"}


def read_wav(source: str | os.PathLike[str] | bytes) -> tuple[Tensor, int]:
    """(samples, sample rate in Hz) of a WAV file, or of its bytes: float32 (channels, frames),
    integers divided by their full scale, so that values lie in [-1, 1).

    PCM of 8 (unsigned), 16, 24 and 32 bits and floats of 32 and 64 bits are read, WAVE_FORMAT_
    EXTENSIBLE included. RuntimeError, with the file's name, for a damaged file or another coding.
    """
    if isinstance(source, bytes):
        return parse_wav("WAV data", source)
    return parse_wav(str(source), Path(source).read_bytes())


def parse_wav(name: str, data: bytes) -> tuple[Tensor, int]:
    """``read_wav`` of `data`; errors call it `name`."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise RuntimeError(f"{name} is not a WAV file: it does not begin with RIFF and WAVE.")
    form = None
    for kind, body, complete in _chunks(data):
        if kind == b"fmt ":
            form = _format(name, body)
        elif kind == b"data":
            if form is None:
                raise RuntimeError(f"{name} is damaged: its samples come before their format.")
            if not complete:
                raise RuntimeError(f"{name} is truncated: its samples end before their size.")
            coding, channels, rate, bits = form
            return _samples(name, body, coding, channels, bits), rate
    raise RuntimeError(f"{name} is damaged: it has no {'samples' if form else 'format'}.")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """(name, content, whether it is complete) of every chunk; each begins at an even place."""
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + size]
        yield kind, body, len(body) == size
        place += 8 + size + size % 2


def _format(name: str, body: bytes) -> tuple[int, int, int, int]:
    """Coding, channels, sample rate, bits of a sample."""
    if len(body) < 16:
        raise RuntimeError(f"{name} is damaged: its format has {len(body)} bytes, expected 16.")
    coding, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
    if coding == _EXTENSIBLE and len(body) >= 26:
        coding = struct.unpack_from("<H", body, 24)[0]  # the first two bytes of its GUID
    if bits not in _BITS.get(coding, ()):
        what = {_PCM: "PCM", _FLOAT: "float", **_NAMES}.get(coding, f"coding {coding}")
        raise RuntimeError(
            f"{name} holds {what} of {bits} bits; PCM of 8, 16, 24 or 32 bits and floats of 32 or "
            "64 are read."
        )
    if channels == 0 or rate == 0 or frame != channels * bits // 8:
        raise RuntimeError(
            f"{name} is damaged: {channels} channels of {bits} bits at {rate} Hz in frames of "
            f"{frame} bytes."
        )
    return coding, channels, rate, bits


def _samples(name: str, body: bytes, coding: int, channels: int, bits: int) -> Tensor:
    """float32 (channels, frames) of interleaved samples."""
    if len(body) % (channels * bits // 8):
        raise RuntimeError(f"{name} is truncated: its last frame is not complete.")
    if coding == _FLOAT:
        values = np.frombuffer(body, f"<f{bits // 8}")
    elif bits == 8:  # unsigned, 128 is silence
        values = (np.frombuffer(body, np.uint8) - 128.0) / 128
    elif bits == 24:  # no such dtype: the three bytes become the upper ones of an int32
        wide = np.zeros((len(body) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        values = wide.view("<i4")[:, 0] / 2.0**31
    else:
        values = np.frombuffer(body, f"<i{bits // 8}") / 2.0 ** (bits - 1)
    return _C.from_numpy(np.ascontiguousarray(values.reshape(-1, channels).T, np.float32))


def write_wav(path: str | os.PathLike[str], samples: Tensor, sample_rate: int) -> None:
    """Writes floats (channels, frames) or (frames,) in [-1, 1] as 16-bit PCM; louder values are cut
    off.

    TypeError for other dtypes; ValueError for another shape, values that are not finite, or a rate
    or a size that the format has no room for; nothing is then written.
    """
    if not samples.dtype.is_floating_point:
        raise TypeError(f"[write_wav] expected floats in [-1, 1], got {samples.dtype}.")
    values = samples.detach().cpu().to(_C.float64).numpy()
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or not 0 < values.shape[0] < 1 << 15:
        raise ValueError(
            f"[write_wav] expected samples (channels, frames), got {tuple(samples.shape)}."
        )
    if not np.isfinite(values).all():
        raise ValueError("[write_wav] the samples hold values that are not finite.")
    # The header has 32 bits for the bytes of a second.
    most = ((1 << 32) - 1) // (2 * values.shape[0])
    if not isinstance(sample_rate, int) or not 0 < sample_rate <= most:
        raise ValueError(
            f"[write_wav] expected a rate of at least 1 Hz and at most {most}, got {sample_rate!r}."
        )
    coded = np.clip(np.rint(values * 32768.0), -32768, 32767).astype("<i2")
    if coded.nbytes > (1 << 32) - 64:
        raise ValueError(f"[write_wav] {coded.nbytes} bytes are more than a WAV file holds.")
    whole_file = io.BytesIO()
    with wave.open(whole_file, "wb") as file:
        file.setnchannels(values.shape[0])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(coded.T.tobytes())
    write_file(path, whole_file.getvalue())
