"""Cropping, padding and mirroring."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._sampling import check_probability
from gradstone.nn import functional as F
from gradstone.vision.transforms._base import (
    ImageTransform,
    check_fill,
    same_form,
    size_of,
    tensor_like,
    values,
    whole_numbers,
)
from gradstone.vision.transforms._dice import Dice

_MODES = {
    "constant": "constant",
    "edge": "replicate",
    "reflect": "reflect",
}


def sides_of(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from a number, (left/right, top/bottom) or four numbers."""
    given = whole_numbers("padding", padding)
    if len(given) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, not a "
            f"{len(given)} element tuple"
        )
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """An image padded by (left, top, right, bottom), (left/right, top/bottom) or one number.

    With `fill`, a number or one for each channel, or by the mode "edge", "reflect" (without the
    edge) or "symmetric" (with it). Negative numbers cut off.
    """
    check_padding(padding, padding_mode)
    left, top, right, bottom = sides_of(padding)

    def change(images: Tensor) -> Tensor:
        if padding_mode == "symmetric":
            around = [(0, 0), (0, 0), (top, bottom), (left, right)]
            return tensor_like(np.pad(values(images), around, mode="symmetric"), images)
        check_fill(fill, images.dtype)
        several = not isinstance(fill, numbers.Number)
        if several and len(fill) > 1:
            return _padded_by_channel(images, (left, right, top, bottom), fill)
        value: float = fill[0] if several else fill
        return F.pad(images, (left, right, top, bottom), _MODES[padding_mode], value)

    return same_form(img, change)


def check_padding(padding: Any, padding_mode: str) -> None:
    """ValueError unless `pad` knows them."""
    modes = [*_MODES, "symmetric"]
    if padding_mode not in modes:
        raise ValueError(f"Padding mode should be one of {modes}, got {padding_mode!r}")
    sides_of(padding)


def _padded_by_channel(images: Tensor, around: Sequence[int], fills: Sequence[float]) -> Tensor:
    if images.size(1) != len(fills):
        raise ValueError(
            f"fill has one number for each channel, got {fills} for images {tuple(images.shape)}."
        )
    planes = [F.pad(images[:, c : c + 1], around, "constant", fill) for c, fill in enumerate(fills)]
    return _C.cat(planes, 1)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The (height, width) window whose corner is at row `top` and column `left`; what lies outside
    the image is 0."""
    check_window(height, width)

    def change(images: Tensor) -> Tensor:
        rows, above, below = _span(top, height, images.size(-2))
        columns, before, behind = _span(left, width, images.size(-1))
        inside = images[..., rows, columns]
        if not any((above, below, before, behind)):
            return inside
        return F.pad(inside, (before, behind, above, below))

    return same_form(img, change)


def check_window(height: int, width: int) -> None:
    """TypeError or ValueError unless both are whole numbers of 0 or more."""
    whole("crop", "height", height)
    whole("crop", "width", width)


def _span(begin: int, length: int, size: int) -> tuple[slice, int, int]:
    """`length` places from `begin` on: those in [0, size), and how many lie before and behind."""
    first, last = (min(max(at, 0), size) for at in (begin, begin + length))
    before = min(max(-begin, 0), length)
    return slice(first, last), before, length - before - (last - first)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle (height, width); round images that are smaller there is 0."""
    height, width = size_of(output_size)

    def change(images: Tensor) -> Tensor:
        h, w = images.shape[-2:]
        return crop(images, _middle(h, height), _middle(w, width), height, width)

    return same_form(img, change)


def _middle(whole: int, part: int) -> int:
    """Where the middle `part` of `whole` begins; below 0 when it is larger."""
    return int(round((whole - part) / 2.0)) if part <= whole else -((part - whole) // 2)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return same_form(img, lambda images: _C.flip(images, (-1,)))


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return same_form(img, lambda images: _C.flip(images, (-2,)))


class Pad(ImageTransform):
    """Pads by (left, top, right, bottom), (left/right, top/bottom) or one number.

    With `fill`, a number or one for each channel, or by the mode "edge", "reflect" (without the
    edge) or "symmetric" (with it). Negative numbers cut off.
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        check_padding(padding, padding_mode)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return pad(images, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class CenterCrop(ImageTransform):
    """The middle (height, width); images that are smaller are padded with 0 first."""

    def __init__(self, size: Any) -> None:
        self.size = size_of(size)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return center_crop(images, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class _RandomFlip(ImageTransform):
    streams = 1
    _flip: Callable[[Any], Any]

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p, type(self).__name__)
        self.p = p

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        chosen = dice.chance(self.p)
        if not chosen.any():
            return images
        mirrored = self._flip(images)
        if chosen.all():
            return mirrored
        mask = tensor_like(chosen.reshape(-1, 1, 1, 1), images)
        return _C._where(mask, mirrored, images)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Left and right exchanged with probability p."""

    _flip = staticmethod(hflip)


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom exchanged with probability p."""

    _flip = staticmethod(vflip)


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
            check_padding(padding, padding_mode)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        if self.padding is not None:
            images = pad(images, self.padding, self.fill, self.padding_mode)
        height, width = self.size
        if self.pad_if_needed:
            h, w = images.shape[-2:]
            extra = (max(width - w, 0), max(height - h, 0))
            if any(extra):
                images = pad(images, extra, self.fill, self.padding_mode)
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
        return crop(images, *corners[0], height, width)
    pixels = values(images)
    out = np.empty((*pixels.shape[:2], height, width), pixels.dtype)
    for i, (top, left) in enumerate(corners):
        out[i] = pixels[i, :, top : top + height, left : left + width]
    return tensor_like(out, images)
