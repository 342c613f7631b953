"""Transforms recognised as one native pass over a batch of uint8 images.

    [RandomCrop and RandomHorizontalFlip, one each at most, in any order]  ToTensor  [the rest]

Cropping and mirroring only move bytes, and what follows ToTensor value by value (Normalize) is a
function of a byte and its channel alone: a table of 256 values, made by the transforms themselves.
So the result has the bits that the transforms give one image at a time. Random numbers are those
that each item would draw by itself at its position in the pass (utils/data/draws.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gradstone import _C
from gradstone._C import Tensor
from gradstone.utils.data.draws import batch_stream
from gradstone.vision import transforms as T

_BY_VALUE = (T.Normalize, T.ConvertImageDtype)


class _Crop(NamedTuple):
    size: tuple[int, int]
    left: int  # padding
    top: int
    rows: int  # places for the window
    columns: int
    fill: int
    stream: int  # which of an item's random streams is its first


class _Flip(NamedTuple):
    p: float
    first: bool  # before the crop
    stream: int


class BatchPlan:
    """The transforms of a data set, ready to be called with its images and indices."""

    def __init__(
        self,
        table: Tensor,
        crop: _Crop | None,
        flip: _Flip | None,
        rest: list[Callable[[Tensor], Tensor | None]],
    ) -> None:
        self._table = table
        self._crop = crop
        self._flip = flip
        self._rest = rest

    def __call__(
        self, images: Tensor, index: Tensor, fill: _C._Fill | None = None
    ) -> Tensor | None:
        """Images (N, C, H, W) of bytes by index; None when a transform knows single images only.

        With `fill` they may be written later, unless a transform of the whole batch reads them.
        """
        n, crop = index.size(0), self._crop
        size = crop.size if crop else (images.size(2), images.size(3))
        corners: Tensor | None = None
        flip: Tensor | None = None
        if crop or self._flip:
            seed, offset, step = batch_stream()
            if self._flip:
                chance = _C._empty((n,), _C.float32)
                _C._random_each_(chance, 0, 1, seed, offset + self._flip.stream, step)
                flip = _C._cast(chance, _C.float64) < self._flip.p  # as Python compares
            if crop:
                top, left = _C._empty((n,), _C.int64), _C._empty((n,), _C.int64)
                _C._random_each_(top, 0, crop.rows, seed, offset + crop.stream, step)
                _C._random_each_(left, 0, crop.columns, seed, offset + crop.stream + 1, step)
                if flip is not None and self._flip and self._flip.first:
                    # A window of the mirrored image is the mirrored window from the other side.
                    left = _C._where(flip, crop.columns - 1 - left, left)
                corners = _C.stack([top - crop.top, left - crop.left], 1)
        make = _C._image_batch if fill is None or self._rest else fill.image_batch
        outside = crop.fill if crop else 0
        out: Tensor | None = make(images, index, self._table, size, corners, flip, outside)
        for transform in self._rest:
            if out is not None:
                out = transform(out)
        return out


def flat(transform: Any) -> list[Any]:
    """The single transforms, with those of Compose in its place."""
    if type(transform) is not T.Compose:
        return [transform]
    return [single for part in transform.transforms for single in flat(part)]


def plan(steps: list[Any], channels: int, height: int, width: int) -> BatchPlan | None:
    """The plan of these transforms for uint8 images; None when they go image by image."""
    kinds = [type(step) for step in steps]
    if T.ToTensor not in kinds or _C.get_default_dtype() != _C.float32:
        return None
    at = kinds.index(T.ToTensor)
    before, after = kinds[:at], at + 1
    if len(set(before)) != at or not set(before) <= {T.RandomCrop, T.RandomHorizontalFlip}:
        return None
    crop: _Crop | None = None
    flip: _Flip | None = None
    streams = 0
    for step in steps[:at]:
        if isinstance(step, T.RandomCrop):
            crop = _crop(step, height, width, streams)
            if crop is None:
                return None
            streams += 2
        else:
            flip = _Flip(step.p, crop is None, streams)
            streams += 1
    # Every byte in every channel, as one image (C, 16, 16), through the same transforms.
    bytes_ = _C._cast(_C._arange(0, 256, 1, _C.int64), _C.uint8).reshape(1, 16, 16)
    values = steps[at].batch(_C.cat([bytes_] * channels))
    while after < len(steps) and kinds[after] in _BY_VALUE:
        values = steps[after](values)
        after += 1
    rest: list[Any] = [getattr(step, "batch", None) for step in steps[after:]]
    if values.dtype != _C.float32 or values.shape != (channels, 16, 16) or None in rest:
        return None
    return BatchPlan(values.reshape(channels, 256), crop, flip, rest)


def _crop(step: T.RandomCrop, height: int, width: int, stream: int) -> _Crop | None:
    """None for what the native pass does not do, and for windows that do not fit."""
    padded = step.padding is not None
    left, top, right, bottom = T._sides(step.padding) if padded else (0, 0, 0, 0)
    fill = step.fill if padded else 0
    plain = step.padding_mode == "constant" and not step.pad_if_needed
    if not plain or fill != int(fill) or not 0 <= fill <= 255 or min(left, top, right, bottom) < 0:
        return None
    rows = height + top + bottom - step.size[0] + 1
    columns = width + left + right - step.size[1] + 1
    if rows < 1 or columns < 1:
        return None
    return _Crop(step.size, left, top, rows, columns, int(fill), stream)


class Planner:
    """Keeps a data set's plan for as long as its transforms stay what they are."""

    def __init__(self) -> None:
        self._state: list[Any] = []
        self._plan: BatchPlan | None = None

    def __call__(self, transform: Any, channels: int, height: int, width: int) -> BatchPlan | None:
        """The plan, or None."""
        steps = flat(transform)
        state: list[Any] = [_C.get_default_dtype()]
        for step in steps:
            state += [step, *getattr(step, "__dict__", {}).values()]
        same = len(state) == len(self._state) and all(map(_identical, state, self._state))
        if not same:
            self._state, self._plan = state, plan(steps, channels, height, width)
        return self._plan


def _identical(a: Any, b: Any) -> bool:
    return a is b
