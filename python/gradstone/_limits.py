"""The limits of dtypes: ``gs.finfo(gs.float32).eps``, ``gs.iinfo(gs.int64).max``."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import dtype

# Bits of the fraction, and the exponents of the largest and the smallest normal number.
_FLOATS = {
    _C.float16: (10, 15, -14),
    _C.bfloat16: (7, 127, -126),
    _C.float32: (23, 127, -126),
    _C.float64: (52, 1023, -1022),
}
# Decimal digits that survive.
_DIGITS = {_C.float16: 3, _C.bfloat16: 2, _C.float32: 6, _C.float64: 15}


class finfo:
    """Limits of a floating dtype (the default one): bits, eps, max, min, tiny, smallest_normal,
    resolution, dtype. TypeError for other dtypes."""

    def __init__(self, type: dtype | None = None):
        kind = _C.get_default_dtype() if type is None else type
        if not isinstance(kind, dtype) or kind not in _FLOATS:
            raise TypeError(f"[finfo] expected a floating dtype, got {kind}; use iinfo for ints.")
        fraction, top, bottom = _FLOATS[kind]
        self.bits = 8 * kind.itemsize
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**top
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**bottom
        self.resolution = 10.0 ** -_DIGITS[kind]
        self.dtype = kind.name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: bits, min, max, dtype. TypeError for other dtypes."""

    def __init__(self, type: dtype):
        if not isinstance(type, dtype) or type.is_floating_point or type == _C.bool:
            raise TypeError(f"[iinfo] expected an integer dtype, got {type}; use finfo for floats.")
        self.bits = 8 * type.itemsize
        self.min = -(2 ** (self.bits - 1)) if type.is_signed else 0
        self.max = 2 ** (self.bits - type.is_signed) - 1
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
