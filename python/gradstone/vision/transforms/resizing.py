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
    same_form,
    size_of,
    tensor_like,
    values,
)
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._interpolation import InterpolationMode, mode_of, number_of
from gradstone.vision.transforms._pil import Reads, is_numbered, is_pil
from gradstone.vision.transforms.geometry import check_window, crop


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """An image in another size: (height, width), or one number for the shorter side, which then
    keeps the longer one to `max_size`.

    PIL images are resized by Pillow; tensors and arrays by the same filters, first along the rows
    and then along the columns (Pillow's newer versions sometimes begin with the columns, and then
    roundings differ). `antialias` False, for tensors and arrays, keeps the filter narrow when an
    image shrinks.
    """
    _check_size(size, max_size)
    mode = _mode(interpolation)
    if by_pillow(img):
        height, width = new_size(img.height, img.width, size, max_size)
        # Between the numbers of a palette there is nothing.
        mode = InterpolationMode.NEAREST if is_numbered(img) else mode
        return img.resize((width, height), number_of(mode))

    def change(images: Tensor) -> Tensor:
        wanted = new_size(images.size(-2), images.size(-1), size, max_size)
        return tensor_like(
            _resample.resize(values(images), wanted, mode, antialias is not False), images
        )

    return same_form(img, change)


def by_pillow(img: Any) -> bool:
    """Whether Pillow resizes it: a PIL image, but for those of single bits, which get grey."""
    return is_pil(img) and img.mode != "1"


def new_size(height: int, width: int, size: Any, max_size: int | None = None) -> tuple[int, int]:
    """(height, width) of an image after resizing. ValueError for one without pixels."""
    if min(height, width) < 1:
        raise ValueError(f"an image without pixels, {height} x {width}, has no other size.")
    if not isinstance(size, numbers.Integral) and len(size) == 2:
        return size_of(size)
    short, long = min(height, width), max(height, width)
    new_short = size_of(size)[0]
    new_long = int(new_short * long / short)
    if max_size is not None and new_long > max_size:
        new_short, new_long = int(max_size * new_short / new_long), max_size
    new_short, new_long = max(new_short, 1), max(new_long, 1)
    return (new_long, new_short) if width <= height else (new_short, new_long)


def _check_size(size: Any, max_size: int | None) -> None:
    if not isinstance(size, numbers.Integral):
        if not isinstance(size, Sequence):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
    size_of(size)
    one = isinstance(size, numbers.Integral) or len(size) == 1
    if max_size is not None and (not one or max_size <= size_of(size)[0]):
        raise ValueError(
            f"max_size = {max_size} goes with one number as size, which is smaller; got {size}."
        )


def _mode(interpolation: Any) -> InterpolationMode:
    return mode_of(InterpolationMode.BILINEAR if interpolation is None else interpolation)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """The (height, width) window whose corner is at row `top` and column `left`, in another
    size."""
    check_window(height, width)
    if by_pillow(img):
        window = img.crop((left, top, left + width, top + height))
    else:
        window = crop(img, top, left, height, width)
    return resize(window, size, interpolation, antialias=antialias)


class Resize(ImageTransform):
    """``resize`` as a transform: images in another size, (height, width) or one number for the
    shorter side, which then keeps the longer one to `max_size`."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        _check_size(size, max_size)
        self.size = size
        self.interpolation = _mode(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    @property
    def reads(self) -> Reads:  # type: ignore[override]
        return Reads.between(self.interpolation)

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image after resizing."""
        return new_size(height, width, self.size, self.max_size)

    def __call__(self, img: Any) -> Any:
        return resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return self(images)

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
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < math.inf:
                raise ValueError(
                    f"{name} is two numbers above 0, the lower one first, neither infinite; got "
                    f"{tuple(bounds)}."
                )
        self.scale = scale
        self.ratio = ratio
        self.interpolation = mode_of(interpolation)
        self.antialias = antialias

    @property
    def reads(self) -> Reads:  # type: ignore[override]
        return Reads.between(self.interpolation)

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
        if not by_pillow(img):
            return super().__call__(img)
        top, left, h, w = self.windows(img.height, img.width, Dice.for_one())[0].tolist()
        return resized_crop(img, top, left, h, w, self.size, self.interpolation, self.antialias)

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
