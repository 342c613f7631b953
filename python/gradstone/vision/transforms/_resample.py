"""Images in another size, by separable filters that widen when an image shrinks.

The weights are those of Pillow: a filter f of radius r, stretched by s = max(in/out, 1), at the
centre c = (x + 1/2) in/out of output pixel x; for bytes they are rounded to 22 binary places and
each of the two passes, first along the rows and then along the columns, rounds to a byte. So bytes
come out as Pillow's, where it takes the passes in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from gradstone.vision.transforms._interpolation import InterpolationMode

_PLACES = 22


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.clip(1 - np.abs(x), 0, None)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys's cubic with a = -1/2 (IEEE Trans. ASSP 29, 1981)."""
    a, x = -0.5, np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0)


def _box(x: np.ndarray) -> np.ndarray:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _hamming(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0)


_FILTERS: dict[InterpolationMode, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    InterpolationMode.BILINEAR: (_triangle, 1),
    InterpolationMode.BICUBIC: (_cubic, 2),
    InterpolationMode.LANCZOS: (_lanczos, 3),
    InterpolationMode.BOX: (_box, 0.5),
    InterpolationMode.HAMMING: (_hamming, 1),
}


@lru_cache(256)
def weights(size: int, new: int, mode: InterpolationMode, antialias: bool = True) -> np.ndarray:
    """float64 (new, size): row x holds the weights of the old pixels in new pixel x."""
    scale = size / new
    if mode is InterpolationMode.NEAREST:
        at = np.minimum(((np.arange(new) + 0.5) * scale).astype(np.int64), size - 1)
        return np.eye(size)[at]
    function, radius = _FILTERS[mode]
    stretch = max(scale, 1.0) if antialias else 1.0
    centre = ((np.arange(new) + 0.5) * scale)[:, None]
    reach = radius * stretch
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), size)
    pixel = np.arange(size)
    out = function((pixel - centre + 0.5) / stretch)
    out = np.where((pixel >= first) & (pixel < last), out, 0)
    return out / out.sum(1, keepdims=True)


def whole_weights(exact: np.ndarray) -> np.ndarray:
    """Weights in whole multiples of 2**-22."""
    return np.trunc(exact * (1 << _PLACES) + np.where(exact < 0, -0.5, 0.5))


def resize(
    images: np.ndarray, size: tuple[int, int], mode: InterpolationMode, antialias: bool = True
) -> np.ndarray:
    """Images (..., H, W), bytes or floats, in the size (height, width)."""
    if min(images.shape[-2:]) == 0:
        raise ValueError(f"an image without pixels has no other size: its shape is {images.shape}.")
    height, width = images.shape[-2:]
    rows = weights(height, size[0], mode, antialias) if size[0] != height else None
    columns = weights(width, size[1], mode, antialias) if size[1] != width else None
    return apply_weights(images, rows, columns)


def apply_weights(
    images: np.ndarray, rows: np.ndarray | None, columns: np.ndarray | None
) -> np.ndarray:
    """First W @ columns^T, then rows @ H; None leaves a side alone. Weights may have leading
    dimensions as the images have."""
    whole = images.dtype == np.uint8
    if not whole and images.dtype.kind != "f":
        raise TypeError(f"images are of bytes or floats, got dtype {images.dtype}.")
    out = images
    for matrix, along_rows in ((columns, True), (rows, False)):
        if matrix is None:
            continue
        factor = whole_weights(matrix) if whole else matrix
        values = out.astype(np.float64)
        values = values @ factor.swapaxes(-1, -2) if along_rows else factor @ values
        if whole:
            shifted = np.floor((values + (1 << (_PLACES - 1))) / (1 << _PLACES))
            out = np.clip(shifted, 0, 255).astype(np.uint8)
        else:
            out = values.astype(images.dtype)
    return out
