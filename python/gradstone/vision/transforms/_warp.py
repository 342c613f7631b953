"""Images moved by affine maps, each image of a batch by its own.

Maps go from the output to the input: (x, y) of an output pixel's centre is looked up at
m (x, y, 1). Pixel i covers [i, i+1), so its centre is at i + 1/2. What falls outside is filled. For
bytes the result is that of Pillow's affine transform.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone.vision.transforms._base import check_fill, few
from gradstone.vision.transforms._interpolation import InterpolationMode

_ONE = 1 << 16  # Pillow finds the nearest pixel in 16.16 fixed point


def rotation(angle: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """(n, 2, 3): the picture turned counter-clockwise by `angle` degrees about `centre` (x, y)."""
    turn = np.deg2rad(np.asarray(angle, np.float64))
    # Rounded, so that a right angle has whole numbers.
    cos, sin = np.round(np.cos(turn), 15), np.round(np.sin(turn), 15)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return around(linear, centre)


def around(linear: np.ndarray, centre: Any, shift: Any = (0.0, 0.0)) -> np.ndarray:
    """(n, 2, 3) from (n, 2, 2): the map that has `centre` fixed, after moving back by `shift`."""
    middle = np.asarray(centre, np.float64)
    moved = linear @ (middle + np.asarray(shift, np.float64))[..., None]
    return np.concatenate([linear, middle[..., None] - moved], -1)


def affine_inverse(
    angle: np.ndarray, scale: np.ndarray, shear_x: np.ndarray, shear_y: np.ndarray
) -> np.ndarray:
    """(n, 2, 2): the inverse of rotation (clockwise) x shear along y x shear along x x scale,
    angles in degrees."""
    turn, along_x, along_y = (np.deg2rad(a) for a in (angle, shear_x, shear_y))
    cos, sin, tx, ty = np.cos(turn), np.sin(turn), np.tan(along_x), np.tan(along_y)
    one, zero = np.ones_like(cos), np.zeros_like(cos)

    def matrix(a: Any, b: Any, c: Any, d: Any) -> np.ndarray:
        return np.stack([np.stack([a, b], -1), np.stack([c, d], -1)], -2)

    back = matrix(cos, sin, -sin, cos)
    unshear_y, unshear_x = matrix(one, zero, ty, one), matrix(one, tx, zero, one)
    return unshear_x @ unshear_y @ back / np.asarray(scale)[..., None, None]


def warp(
    images: np.ndarray,
    maps: np.ndarray,
    size: tuple[int, int],
    mode: InterpolationMode,
    fill: Any = 0,
) -> np.ndarray:
    """Images (N, C, H, W) looked up through maps (N, 2, 3): (N, C, *size). `fill` is a number or
    one for each channel."""
    out = np.empty((*images.shape[:2], *size), images.dtype)
    for part in few(len(images), max(out[:1].size, images[:1].size)):
        out[part] = _warp(images[part], maps[part], size, mode, fill)
    return out


def _warp(
    images: np.ndarray, maps: np.ndarray, size: tuple[int, int], mode: InterpolationMode, fill: Any
) -> np.ndarray:
    n, channels, height, width = images.shape
    nearest = mode is InterpolationMode.NEAREST
    x, y = _places(maps, size, nearest)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = images.reshape(n, channels, height * width)
    if nearest:
        column, row = x.clip(0, width - 1), y.clip(0, height - 1)
        out = _take(pixels, row * width + column)
    else:
        out = _between(pixels, x - 0.5, y - 0.5, height, width)
        # Pillow cuts off what is behind the point.
        out = out.astype(images.dtype)
    outside = _fill(fill, channels, images.dtype)
    return np.where(inside[:, None], out, outside).reshape(n, channels, *size)


def _places(
    maps: np.ndarray, size: tuple[int, int], nearest: bool
) -> tuple[np.ndarray, np.ndarray]:
    """x and y (N, height * width) in the input: whole pixels when `nearest`."""
    row, column = np.divmod(np.arange(size[0] * size[1]), size[1])
    found = []
    for k in range(2):
        a, b, c = (maps[:, k, j, None] for j in range(3))
        if nearest:
            first = np.floor((c + a * 0.5 + b * 0.5) * _ONE + 0.5).astype(np.int64)
            across = np.floor(a * _ONE + 0.5).astype(np.int64)
            down = np.floor(b * _ONE + 0.5).astype(np.int64)
            found.append((first + across * column + down * row) >> 16)
        else:
            found.append(a * (column + 0.5) + b * (row + 0.5) + c)
    return found[0], found[1]


def _take(pixels: np.ndarray, at: np.ndarray) -> np.ndarray:
    """pixels (N, C, P) at (N, Q): (N, C, Q)."""
    out = np.empty((*pixels.shape[:2], at.shape[1]), pixels.dtype)
    for i in range(len(pixels)):
        np.take(pixels[i], at[i], axis=1, out=out[i], mode="clip")
    return out


def _between(
    pixels: np.ndarray, x: np.ndarray, y: np.ndarray, height: int, width: int
) -> np.ndarray:
    left, top = np.floor(x), np.floor(y)
    right_share, low_share = (x - left)[:, None], (y - top)[:, None]
    columns = [(left + d).clip(0, width - 1).astype(np.int64) for d in (0, 1)]
    lines = []
    for d in (0, 1):
        row = (top + d).clip(0, height - 1).astype(np.int64) * width
        a, b = (_take(pixels, row + column).astype(np.float64) for column in columns)
        lines.append(a + (b - a) * right_share)
    return lines[0] + (lines[1] - lines[0]) * low_share


def _fill(fill: Any, channels: int, dtype: np.dtype) -> np.ndarray:
    check_fill(fill, dtype)
    given = np.atleast_1d(np.asarray(fill)).astype(dtype)
    if given.shape not in ((1,), (channels,)):
        raise ValueError(
            f"fill is a number or one for each of the {channels} channels, got {fill!r}."
        )
    return np.broadcast_to(given, (channels,))[:, None]
