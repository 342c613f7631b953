"""Random erasing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._sampling import check_probability
from gradstone.vision.transforms._base import ImageTransform, is_pil, tensor_like, values
from gradstone.vision.transforms._dice import Dice


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
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio is above 0, the lower one first, got {ratio}.")
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
        out = values(images)
        in_place = self.inplace and images.device.type == "cpu"
        out = out if in_place or not boxes else out.copy()
        if boxes:
            fill = self._fill(channels, out.dtype)
            if fill is None:
                # All images draw the whole plane: their numbers are the same alone and together.
                noise = dice.only(np.array([box[0] for box in boxes])).normal(
                    (channels, height, width)
                )
            for k, (i, top, left, h, w) in enumerate(boxes):
                window = out[i, :, top : top + h, left : left + w]
                window[...] = noise[k, :, :h, :w] if fill is None else fill
        dice.place = end
        if in_place:
            return images
        return tensor_like(out, images) if boxes else images

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

    def _fill(self, channels: int, dtype: np.dtype) -> np.ndarray | None:
        """(C, 1, 1), or None for random numbers."""
        if isinstance(self.value, str):
            if dtype.kind != "f":
                raise TypeError(f"value='random' erases images of floats, got dtype {dtype}.")
            return None
        fill = np.atleast_1d(np.asarray(self.value)).astype(dtype)
        if fill.shape not in ((1,), (channels,)):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of input channels), got {self.value!r}."
            )
        return fill.reshape(-1, 1, 1)

    def __repr__(self) -> str:
        return (
            f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )
