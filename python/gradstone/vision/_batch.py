"""Transforms recognised as work on a whole batch of uint8 images.

    [transforms of images]  [RandomCrop and RandomHorizontalFlip, one each at most, in any order]
    ToTensor  [Normalize, ConvertImageDtype]  [transforms of tensors]

The first and the last ones take the batch one after the other. Those in the middle are one native
pass: cropping and mirroring only move bytes, and what follows ToTensor value by value is a function
of a byte and its channel alone: a table of 256 values, made by the transforms themselves. So the
result has the bits that the transforms give one image at a time. Random numbers are those that each
item would draw by itself at its position in the pass (utils/data/draws.py).
"""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

from gradstone import _C
from gradstone._C import Tensor
from gradstone.utils.data.draws import batch_stream
from gradstone.vision import transforms as T
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms.compose import (
    apply_each,
    has_batch,
    streams_of,
    takes_any_form,
    works_on_batches,
)
from gradstone.vision.transforms.geometry import sides_of

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


class _Pass(NamedTuple):
    """One native pass from bytes to floats."""

    table: Tensor  # (C, 256)
    crop: _Crop | None = None
    flip: _Flip | None = None
    steps: tuple[Any, ...] = ()  # the crop and the flip as they were given
    shape: tuple[int, ...] = ()  # (C, H, W) in front of them

    def __call__(self, images: Tensor, index: Tensor, fill: _C._Fill | None) -> Tensor:
        n, crop = index.size(0), self.crop
        size = crop.size if crop else (images.size(2), images.size(3))
        corners: Tensor | None = None
        flip: Tensor | None = None
        if crop or self.flip:
            seed, offset, step = batch_stream()
            if self.flip:
                chance = _C._empty((n,), _C.float32)
                _C._random_each_(chance, 0, 1, seed, offset + self.flip.stream, step)
                flip = _C._cast(chance, _C.float64) < self.flip.p  # as Python compares
            if crop:
                top, left = _C._empty((n,), _C.int64), _C._empty((n,), _C.int64)
                _C._random_each_(top, 0, crop.rows, seed, offset + crop.stream, step)
                _C._random_each_(left, 0, crop.columns, seed, offset + crop.stream + 1, step)
                if flip is not None and self.flip and self.flip.first:
                    # A window of the mirrored image is the mirrored window from the other side.
                    left = _C._where(flip, crop.columns - 1 - left, left)
                corners = _C.stack([top - crop.top, left - crop.left], 1)
        make = _C._image_batch if fill is None else fill.image_batch
        return make(images, index, self.table, size, corners, flip, crop.fill if crop else 0)


class BatchPlan:
    """The transforms of a data set, ready to be called with its images and indices."""

    def __init__(self, early: list[Any], native: _Pass | None, rest: list[Any], place: int) -> None:
        self._early = early  # on bytes
        self._native = native  # None: the bytes stay bytes
        self._rest = rest
        self._place = place  # of the first random number of the rest

    def __call__(
        self, images: Tensor, index: Tensor, fill: _C._Fill | None = None
    ) -> Tensor | None:
        """Images (N, C, H, W) of bytes by index; None when a transform knows single images only.

        With `fill` they may be written later, unless a transform of the whole batch reads them.
        """
        n = index.size(0)
        drawn = self._early or self._rest
        # The native pass has numbers of its own: outside a loader both would draw a seed.
        dice = Dice.for_loader(n) if drawn else None
        start = dice.place if dice else 0
        if dice is not None and (self._early or self._native is None):
            images = apply_each(self._early, _select(images, index), dice)
            index = _C._arange(0, n, 1, _C.int64)
        elif self._native is None:
            images = _select(images, index)
        out: Tensor | None = images
        native = self._native
        if native is not None:
            if dice is not None and self._early and tuple(images.shape[1:]) != native.shape:
                # Chance decides the size: the window's places are not those that were planned.
                images = apply_each(native.steps, images, dice)
                native = _Pass(native.table)
            out = native(images, index, None if self._rest else fill)
        if dice is not None:
            dice.place = start + self._place
        for transform in self._rest:
            if out is None:
                break
            own = dice is not None and works_on_batches(transform)
            out = transform.apply(out, dice) if own else transform.batch(out)
        return out


def _select(images: Tensor, index: Tensor) -> Tensor:
    """Images by index, without a copy of all where the channels come last in memory."""
    if images.is_contiguous():
        return _C.index_select(images, 0, index)
    return _C.index_select(images.permute(0, 2, 3, 1), 0, index).permute(0, 3, 1, 2)


def flat(transform: Any) -> list[Any]:
    """The single transforms, with those of Compose in its place."""
    if type(transform) is not T.Compose:
        return [transform]
    return [single for part in transform.transforms for single in flat(part)]


def plan(steps: list[Any], channels: int, height: int, width: int) -> BatchPlan | None:
    """The plan of these transforms for uint8 images; None when they go image by image."""
    kinds = [type(step) for step in steps]
    at = next((i for i, kind in enumerate(kinds) if kind in (T.ToTensor, T.PILToTensor)), None)
    if at is None or not all(works_on_batches(s) and takes_any_form(s) for s in steps[:at]):
        return None
    rest, place = steps[at + 1 :], sum(map(streams_of, steps[:at]))
    native: _Pass | None = None
    early = steps[:at]
    if kinds[at] is T.ToTensor:
        if _C.get_default_dtype() != _C.float32:
            return None
        fused = _fused(early, channels, height, width)
        if fused is None:
            return None
        early, moves = fused
        channels = moves.shape[0]
        # Every byte in every channel, as one image (C, 16, 16), through the same transforms.
        bytes_ = _C._cast(_C._arange(0, 256, 1, _C.int64), _C.uint8).reshape(1, 16, 16)
        values = steps[at].batch(_C.cat([bytes_] * channels))
        while rest and type(rest[0]) in _BY_VALUE:
            values = rest[0](values)
            rest = rest[1:]
        if values.dtype != _C.float32 or values.shape != (channels, 16, 16):
            return None
        native = moves._replace(table=values.reshape(channels, 256))
    if not all(map(has_batch, rest)):
        return None
    return BatchPlan(early, native, rest, place)


def _fused(
    before: list[Any], channels: int, height: int, width: int
) -> tuple[list[Any], _Pass] | None:
    """The transforms that go first, and the crop and the flip in front of ToTensor that the native
    pass does, without its table. None when one of them fails on such images."""
    count = 0
    for step in reversed(before):
        kinds = [type(other) for other in before[len(before) - count :]]
        if type(step) not in (T.RandomCrop, T.RandomHorizontalFlip) or type(step) in kinds:
            break
        count += 1
    early, steps = before[: len(before) - count], before[len(before) - count :]
    probe = _C._empty((1, channels, height, width), _C.uint8).zero_()
    dice = Dice(_C.Generator().manual_seed(0), 1)
    try:
        probe = apply_each(early, probe, dice)
        last = apply_each(steps, probe, dice)
    except Exception:  # item by item shows what is wrong
        return None
    crop: _Crop | None = None
    flip: _Flip | None = None
    streams = sum(map(streams_of, early))
    for step in steps:
        if isinstance(step, T.RandomCrop):
            crop = _crop(step, probe.size(2), probe.size(3), streams)
            if crop is None:
                return before, _Pass(probe, shape=tuple(last.shape[1:]))
        else:
            flip = _Flip(step.p, crop is None, streams)
        streams += streams_of(step)
    return early, _Pass(probe, crop, flip, tuple(steps), tuple(probe.shape[1:]))


def _crop(step: T.RandomCrop, height: int, width: int, stream: int) -> _Crop | None:
    """None for what the native pass does not do."""
    padded = step.padding is not None
    left, top, right, bottom = sides_of(step.padding) if padded else (0, 0, 0, 0)
    fill = step.fill if padded else 0
    plain = step.padding_mode == "constant" and not step.pad_if_needed
    if not plain or not isinstance(fill, numbers.Number):
        return None
    if fill != int(fill) or not 0 <= fill <= 255 or min(left, top, right, bottom) < 0:  # type: ignore
        return None
    rows = height + top + bottom - step.size[0] + 1
    columns = width + left + right - step.size[1] + 1
    return _Crop(step.size, left, top, rows, columns, int(fill), stream)  # type: ignore


class Planner:
    """Keeps a data set's plan for as long as its transforms stay what they are."""

    def __init__(self) -> None:
        self._state: list[Any] = []
        self._plan: BatchPlan | None = None

    def __call__(self, transform: Any, channels: int, height: int, width: int) -> BatchPlan | None:
        """The plan, or None."""
        steps = flat(transform)
        state: list[Any] = [_C.get_default_dtype(), channels, height, width]
        for step in steps:
            state += [step, *getattr(step, "__dict__", {}).values()]
        same = len(state) == len(self._state) and all(map(_identical, state, self._state))
        if not same:
            self._state, self._plan = state, plan(steps, channels, height, width)
        return self._plan


def _identical(a: Any, b: Any) -> bool:
    return a is b or (type(a) is int and type(b) is int and a == b)
