"""Limits of dtypes."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._creation import get_default_dtype


class finfo:
    """Limits of a floating dtype (the default one unless given): `bits`, `max`, `min` (-max),
    `eps` (from 1 to the next number), `tiny` and `smallest_normal`, `resolution` (10 to the
    number of decimal digits that are kept), `dtype` (its name)."""

    def __init__(self, type: _C.dtype | None = None) -> None:
        from ml_dtypes import finfo as numbers

        kind = _kind("finfo", get_default_dtype() if type is None else type)
        if not kind.is_floating_point:
            raise TypeError(
                f"[finfo] expected a floating dtype, got {kind}; iinfo is for integers."
            )
        self.dtype = str(kind).removeprefix("gradstone.")
        info = numbers(self.dtype)
        self.bits = int(info.bits)
        self.max, self.min, self.eps = float(info.max), float(info.min), float(info.eps)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(f"1e-{info.precision}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: `bits`, `max`, `min`, `dtype` (its name)."""

    def __init__(self, type: _C.dtype) -> None:
        import numpy as np

        kind = _kind("iinfo", type)
        if kind.is_floating_point or kind == _C.bool:
            raise TypeError(f"[iinfo] expected an integer dtype, got {kind}.")
        self.dtype = str(kind).removeprefix("gradstone.")
        info = np.iinfo(self.dtype)
        self.bits, self.max, self.min = int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def _kind(name: str, given: Any) -> _C.dtype:
    if not isinstance(given, _C.dtype):
        raise TypeError(f"[{name}] expected a dtype, as gradstone.float32, got {given!r}.")
    return given
