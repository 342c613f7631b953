"""Parameters before they have values."""

from __future__ import annotations

from gradstone import _C
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn.parameter import Parameter


def empty_parameter(
    shape: tuple[int, ...], device: DeviceLike = None, dtype: DTypeLike = None
) -> Parameter:
    """A parameter to be filled."""
    return Parameter(_C._empty(shape, dtype, "cpu" if device is None else device))


def optional_parameter(
    wanted: bool, shape: tuple[int, ...], device: DeviceLike = None, dtype: DTypeLike = None
) -> Parameter | None:
    """A parameter to be filled, or None, which registers the name alone."""
    return empty_parameter(shape, device, dtype) if wanted else None
