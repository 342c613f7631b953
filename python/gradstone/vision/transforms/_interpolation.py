"""Names of the ways to compute values between pixels."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """Ways to compute values between pixels."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers.
_NUMBERS = {
    0: InterpolationMode.NEAREST,
    1: InterpolationMode.LANCZOS,
    2: InterpolationMode.BILINEAR,
    3: InterpolationMode.BICUBIC,
    4: InterpolationMode.BOX,
    5: InterpolationMode.HAMMING,
}


def mode_of(given: Any, known: tuple[InterpolationMode, ...] | None = None) -> InterpolationMode:
    """A mode, its name, or Pillow's number for it. ValueError for others."""
    wanted = known or tuple(InterpolationMode)
    found = given
    if isinstance(given, int):  # Pillow's own enumeration is one of whole numbers
        found = _NUMBERS.get(int(given))
    elif isinstance(given, str):
        found = next((mode for mode in InterpolationMode if mode.value == given.lower()), None)
    if found not in wanted:
        names = ", ".join(mode.value for mode in wanted)
        raise ValueError(f"interpolation is one of {names}; got {given!r}.")
    return found


def number_of(mode: InterpolationMode) -> int:
    """Pillow's number of a mode."""
    return next(number for number, value in _NUMBERS.items() if value is mode)
