"""Images, and random windows of them, in another size."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
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
        for name, bounds in (("scale", scale), ("ratio", ratio)):
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise ValueError(
                    f"{name} is two numbers above 0, the lower one first; got {tuple(bounds)}."
                )
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
