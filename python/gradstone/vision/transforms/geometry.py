"""Cropping, padding and mirroring."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._sampling import check_probability
from gradstone.nn import functional as F
from gradstone.vision.transforms._base import (
    ImageTransform,
    size_of,
    tensor_like,
    values,
)
from gradstone.vision.transforms._dice import Dice

_MODES = {
    "constant": "constant",
    "edge": "replicate",
    "reflect": "reflect",
}


def sides_of(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from a number, (left/right, top/bottom) or four numbers."""
    if isinstance(padding, numbers.Integral):
        p = int(padding)
        return p, p, p, p
    given = tuple(int(p) for p in padding)
    if len(given) == 1:
        return given * 4
    if len(given) == 2:
        return given[0], given[1], given[0], given[1]
    if len(given) == 4:
        return given
    raise ValueError(
        f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(given)} element tuple"
    )


class Pad(ImageTransform):
    """Pads by (left, top, right, bottom), (left/right, top/bottom) or one number.

    With `fill`, a number or one for each channel, or by the mode "edge", "reflect" (without the
    edge) or "symmetric" (with it). Negative numbers cut off.
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        modes = [*_MODES, "symmetric"]
        if padding_mode not in modes:
            raise ValueError(f"Padding mode should be one of {modes}, got {padding_mode!r}")
        sides_of(padding)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def batch(self, images: Tensor) -> Tensor:
        """The same for tensors (..., H, W)."""
        left, top, right, bottom = sides_of(self.padding)
        if self.padding_mode == "symmetric":
            pixels = values(images)
            around = [(0, 0)] * (pixels.ndim - 2) + [(top, bottom), (left, right)]
            return tensor_like(np.pad(pixels, around, mode="symmetric"), images)
        several = not isinstance(self.fill, numbers.Number)
        if several and len(self.fill) > 1:
            return self._by_channel(images, (left, right, top, bottom))
        fill: float = self.fill[0] if several else self.fill
        return F.pad(images, (left, right, top, bottom), _MODES[self.padding_mode], fill)

    def _by_channel(self, images: Tensor, around: Sequence[int]) -> Tensor:
        if images.dim() < 3 or images.size(-3) != len(self.fill):
            raise ValueError(
                f"fill has one number for each channel, got {self.fill} for images "
                f"{tuple(images.shape)}."
            )
        planes = [
            F.pad(images[..., c : c + 1, :, :], around, "constant", fill)
            for c, fill in enumerate(self.fill)
        ]
        return _C.cat(planes, -3)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self.batch(images)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class CenterCrop(ImageTransform):
    """The middle (height, width); images that are smaller are padded with 0 first."""

    def __init__(self, size: Any) -> None:
        self.size = size_of(size)

    def batch(self, images: Tensor) -> Tensor:
        """The same for tensors (..., H, W)."""
        height, width = self.size
        h, w = images.shape[-2:]
        if h < height or w < width:
            left, top = max(width - w, 0) // 2, max(height - h, 0) // 2
            right, bottom = max(width - w + 1, 0) // 2, max(height - h + 1, 0) // 2
            images = F.pad(images, (left, right, top, bottom))
            h, w = images.shape[-2:]
        top, left = int(round((h - height) / 2.0)), int(round((w - width) / 2.0))
        return images[..., top : top + height, left : left + width]

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self.batch(images)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class _RandomFlip(ImageTransform):
    streams = 1
    _axis = -1

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p, type(self).__name__)
        self.p = p

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        chosen = dice.chance(self.p)
        if not chosen.any():
            return images
        mirrored = _C.flip(images, (self._axis,))
        if chosen.all():
            return mirrored
        mask = tensor_like(chosen.reshape(-1, 1, 1, 1), images)
        return _C._where(mask, mirrored, images)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Left and right exchanged with probability p."""


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom exchanged with probability p."""

    _axis = -2


class RandomCrop(ImageTransform):
    """A (height, width) window at a random place, after padding when given."""

    streams = 2

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = size_of(size)
        if padding is not None:
            Pad(padding, fill, padding_mode)  # which knows what is wrong with them
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        if self.padding is not None:
            images = Pad(self.padding, self.fill, self.padding_mode).batch(images)
        height, width = self.size
        if self.pad_if_needed:
            h, w = images.shape[-2:]
            extra = (max(width - w, 0), max(height - h, 0))
            if any(extra):
                images = Pad(extra, self.fill, self.padding_mode).batch(images)
        h, w = images.shape[-2:]
        if h < height or w < width:
            raise ValueError(
                f"Required crop size {(height, width)} is larger than input image size {(h, w)}"
            )
        tops, lefts = dice.integers(h - height + 1), dice.integers(w - width + 1)
        return _windows(images, tops, lefts, height, width)

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


def _windows(
    images: Tensor, tops: np.ndarray, lefts: np.ndarray, height: int, width: int
) -> Tensor:
    """From image i the (height, width) window whose corner is at tops[i], lefts[i]."""
    corners = list(zip(tops.tolist(), lefts.tolist()))
    if len(corners) == 1:
        top, left = corners[0]
        return images[..., top : top + height, left : left + width]
    pixels = values(images)
    out = np.empty((*pixels.shape[:2], height, width), pixels.dtype)
    for i, (top, left) in enumerate(corners):
        out[i] = pixels[i, :, top : top + height, left : left + width]
    return tensor_like(out, images)
