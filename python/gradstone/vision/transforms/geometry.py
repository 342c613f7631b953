"""Cropping, padding, mirroring and resizing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._sampling import check_probability
from gradstone.nn import functional as F
from gradstone.vision.transforms import _resample
from gradstone.vision.transforms._base import (
    ImageTransform,
    is_pil,
    size_of,
    tensor_like,
    values,
)
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._interpolation import InterpolationMode, mode_of, number_of

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


class Resize(ImageTransform):
    """Images in another size: (height, width), or one number for the shorter side, which then
    keeps the longer one to `max_size`.

    PIL images are resized by Pillow; tensors and arrays by the same filters, first along the rows
    and then along the columns (Pillow's newer versions sometimes begin with the columns, and then
    roundings differ). `antialias` False, for tensors and arrays, keeps the filter narrow when an
    image shrinks.
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        if not isinstance(size, numbers.Integral):
            if not isinstance(size, Sequence):
                raise TypeError(f"Size should be int or sequence. Got {type(size)}")
            if len(size) not in (1, 2):
                raise ValueError("If size is a sequence, it should have 1 or 2 values")
        one = isinstance(size, numbers.Integral) or len(size) == 1
        if max_size is not None and (not one or max_size <= size_of(size)[0]):
            raise ValueError(
                f"max_size = {max_size} goes with one number as size, which is smaller; got {size}."
            )
        if min(size_of(size)) < 1:
            raise ValueError(f"an image has at least one pixel each way, got size {size}.")
        self.size = size
        self.interpolation = mode_of(
            InterpolationMode.BILINEAR if interpolation is None else interpolation
        )
        self.max_size = max_size
        self.antialias = antialias

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image after resizing."""
        if not isinstance(self.size, numbers.Integral) and len(self.size) == 2:
            return int(self.size[0]), int(self.size[1])
        short, long = min(height, width), max(height, width)
        new_short = size_of(self.size)[0]
        new_long = int(new_short * long / short)
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = int(self.max_size * new_short / new_long), self.max_size
        new_short, new_long = max(new_short, 1), max(new_long, 1)
        return (new_long, new_short) if width <= height else (new_short, new_long)

    def __call__(self, img: Any) -> Any:
        if not is_pil(img) or img.mode in ("1", "P"):
            return super().__call__(img)
        height, width = self.new_size(img.height, img.width)
        return img.resize((width, height), number_of(self.interpolation))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        size = self.new_size(images.size(-2), images.size(-1))
        pixels = values(images)
        out = _resample.resize(pixels, size, self.interpolation, self.antialias is not False)
        return tensor_like(out, images)

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


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


class RandomResizedCrop(ImageTransform):
    """A window of a random share `scale` of the area and a random ratio of width to height, in
    another size (Szegedy and others, 2015).

    Ten windows are tried; when none fits, it is the largest one in the middle whose ratio is
    within bounds.
    """

    _TRIES = 10
    streams = 2 * _TRIES + 2

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size = size_of(size)
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if not 0 < low <= high:
                raise ValueError(f"{name} is two numbers above 0, the lower one first; got "
                                 f"{(low, high)}.")  # fmt: skip
        self.scale = scale
        self.ratio = ratio
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    def windows(self, height: int, width: int, dice: Dice) -> np.ndarray:
        """int64 (n, 4): top, left, height and width of each image's window."""
        found = np.tile(self._middle(height, width), (dice.n, 1))
        settled = np.zeros(dice.n, bool)
        end = dice.place + 2 * self._TRIES
        logs = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(self._TRIES):
            area = height * width * dice.uniform(*self.scale)
            ratio = np.exp(dice.uniform(*logs))
            w = np.rint(np.sqrt(area * ratio)).astype(np.int64)
            h = np.rint(np.sqrt(area / ratio)).astype(np.int64)
            fits = (w > 0) & (w <= width) & (h > 0) & (h <= height) & ~settled
            found[fits, 2], found[fits, 3] = h[fits], w[fits]
            settled |= fits
            if settled.all():
                break
        dice.place = end
        for corner, extent, whole in ((0, 2, height), (1, 3, width)):
            places = whole - found[:, extent] + 1
            at = (dice.uniform() * places).astype(np.int64).clip(0, places - 1)
            found[settled, corner] = at[settled]
        return found

    def _middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        ratio = width / height
        h, w = height, width
        if ratio < self.ratio[0]:
            h = max(int(round(w / self.ratio[0])), 1)
        elif ratio > self.ratio[1]:
            w = max(int(round(h * self.ratio[1])), 1)
        return (height - h) // 2, (width - w) // 2, h, w

    def __call__(self, img: Any) -> Any:
        if not is_pil(img) or img.mode in ("1", "P"):
            return super().__call__(img)
        windows = self.windows(img.height, img.width, Dice.for_one())
        top, left, h, w = windows[0].tolist()
        box = img.crop((left, top, left + w, top + h))
        return box.resize((self.size[1], self.size[0]), number_of(self.interpolation))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        pixels = values(images)
        if min(pixels.shape[-2:]) == 0:
            raise ValueError(f"images without pixels: their shape is {tuple(images.shape)}.")
        windows = self.windows(pixels.shape[-2], pixels.shape[-1], dice)
        out = np.empty((*pixels.shape[:2], *self.size), pixels.dtype)
        for i, (top, left, h, w) in enumerate(windows.tolist()):
            window = pixels[i, :, top : top + h, left : left + w]
            out[i] = _resample.resize(
                window, self.size, self.interpolation, self.antialias is not False
            )
        return tensor_like(out, images)

    def __repr__(self) -> str:
        return (
            f"RandomResizedCrop(size={self.size}, scale={tuple(self.scale)}, "
            f"ratio={tuple(round(r, 4) for r in self.ratio)}, "
            f"interpolation={self.interpolation.value})"
        )
