"""Rectangles of images written over."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._sampling import check_probability
from gradstone.vision.transforms._base import ImageTransform, check_fill, tensor_like, values
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._pil import is_pil


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """A tensor (..., C, H, W) with `v`, a number or a tensor that broadcasts, in the (h, w) window
    whose corner is at row `i` and column `j`. `inplace` writes into `img`."""
    if not isinstance(img, Tensor):
        raise TypeError(f"erase takes tensors (..., C, H, W), got {type(img).__name__}.")
    if not isinstance(v, Tensor):
        check_fill(v, img.dtype)
    elif not img.dtype.is_floating_point:
        check_fill(values(v.double()), img.dtype)
    return _written(img if inplace else img.clone(), i, j, h, w, v)


def _written(img: Tensor, i: int, j: int, h: int, w: int, v: Any) -> Tensor:
    img[..., i : i + h, j : j + w] = v
    return img


class RandomErasing(ImageTransform):
    """With probability p a rectangle of a random share `scale` of the area and a random `ratio` of
    height to width is written over (Zhong and others, 2017).

    With `value`, a number or one for each channel, or with standard normal numbers, "random", for
    images of floats. Ten rectangles are tried; when none fits, nothing is erased. Takes tensors
    (..., C, H, W); `inplace` writes into them.
    """

    _TRIES = 10
    streams = 1 + 2 * _TRIES + 2 + 1

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        check_probability(p, "RandomErasing")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not isinstance(value, (str, numbers.Number)) and not isinstance(value, Sequence):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"Scale should be between 0 and 1, the lower one first, got {scale}.")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise ValueError(f"ratio is finite and above 0, the lower one first, got {ratio}.")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    def __call__(self, img: Any) -> Any:
        if is_pil(img):
            raise TypeError("RandomErasing takes tensors: put it behind ToTensor.")
        return super().__call__(img)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        n, channels, height, width = images.shape
        boxes, end = self._boxes(n, height, width, dice), dice.place + 1
        if boxes:
            fill = self._fill(images)
            if fill is None:
                # All images draw the whole plane: their numbers are the same alone and together.
                drawn = dice.only(np.array([box[0] for box in boxes]))
                noise = tensor_like(drawn.normal((channels, height, width)), images)
            if not self.inplace:
                images = images.clone()
            for k, (i, top, left, h, w) in enumerate(boxes):
                value = noise[k, :, :h, :w] if fill is None else fill
                _written(images[i], top, left, h, w, value)
        dice.place = end
        return images

    def _boxes(
        self, n: int, height: int, width: int, dice: Dice
    ) -> list[tuple[int, int, int, int, int]]:
        """(image, top, left, height, width) of what is erased."""
        chosen = dice.chance(self.p)
        end = dice.place + 2 * self._TRIES
        h, w = np.zeros(n, np.int64), np.zeros(n, np.int64)
        logs = math.log(self.ratio[0]), math.log(self.ratio[1])
        open_ = chosen.copy()
        for _ in range(self._TRIES):
            if not open_.any():
                break
            area = height * width * dice.uniform(*self.scale)
            ratio = np.exp(dice.uniform(*logs))
            tall = np.rint(np.sqrt(area * ratio)).astype(np.int64)
            wide = np.rint(np.sqrt(area / ratio)).astype(np.int64)
            fits = open_ & (tall < height) & (wide < width)
            h[fits], w[fits] = tall[fits], wide[fits]
            open_ &= ~fits
        dice.place = end
        top = (dice.uniform() * (height - h + 1)).astype(np.int64)
        left = (dice.uniform() * (width - w + 1)).astype(np.int64)
        erased = np.flatnonzero(chosen & ~open_)
        return [(i, int(top[i]), int(left[i]), int(h[i]), int(w[i])) for i in erased.tolist()]

    def _fill(self, images: Tensor) -> Tensor | None:
        """(C, 1, 1), or None for random numbers."""
        if isinstance(self.value, str):
            if not images.dtype.is_floating_point:
                raise TypeError(f"value='random' erases images of floats, got {images.dtype}.")
            return None
        check_fill(self.value, images.dtype)
        fill = np.atleast_1d(np.asarray(self.value))
        if fill.shape not in ((1,), (images.size(1),)):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{images.size(1)} (number of input channels), got {self.value!r}."
            )
        return tensor_like(fill.reshape(-1, 1, 1), images)

    def __repr__(self) -> str:
        return (
            f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )
