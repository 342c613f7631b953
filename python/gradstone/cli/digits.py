"""Pictures of digits, drawn as seven segments, for a demonstration without files."""

from __future__ import annotations

import numpy as np

import gradstone as gs
from gradstone._C import Tensor

SIZE = 16  # pixels of height and width
_HEIGHT, _WIDTH = 11, 7  # of a digit

# The segments that are on, by digit: a top, b and c right, d bottom, e and f left, g middle.
_SEGMENTS = "abcdef bc abged abgcd fgbc afgcd afgedc abc abcdefg abcdfg".split()
_RECTANGLES = {  # rows, columns
    "a": (slice(0, 2), slice(0, 7)),
    "b": (slice(0, 6), slice(5, 7)),
    "c": (slice(5, 11), slice(5, 7)),
    "d": (slice(9, 11), slice(0, 7)),
    "e": (slice(5, 11), slice(0, 2)),
    "f": (slice(0, 6), slice(0, 2)),
    "g": (slice(5, 7), slice(0, 7)),
}


def _digit(value: int) -> np.ndarray:
    picture = np.zeros((_HEIGHT, _WIDTH), np.float32)
    for segment in _SEGMENTS[value]:
        picture[_RECTANGLES[segment]] = 1
    return picture


def make_digits(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 1, 16, 16) float32, about 0 to 1, and labels (count) int64. Each digit stands
    anywhere, is bright or faint, and lies under noise; the same for the same seed."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = rng.normal(0, 0.2, (count, 1, SIZE, SIZE)).astype(np.float32)
    tops = rng.integers(0, SIZE - _HEIGHT + 1, count)
    lefts = rng.integers(0, SIZE - _WIDTH + 1, count)
    brightness = rng.uniform(0.5, 1, count).astype(np.float32)
    for i in range(count):
        where = (i, 0, slice(tops[i], tops[i] + _HEIGHT), slice(lefts[i], lefts[i] + _WIDTH))
        images[where] += brightness[i] * _digit(labels[i])
    return gs.from_numpy(images), gs.from_numpy(labels)
