"""Transforms of brightness and colour."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._sampling import check_probability
from gradstone.vision.transforms import _colour
from gradstone.vision.transforms._base import ImageTransform, tensor_like, values
from gradstone.vision.transforms._dice import Dice


class Grayscale(ImageTransform):
    """RGB images in grey, with 1 channel or 3 equal ones: 0.299 R + 0.587 G + 0.114 B (ITU-R
    BT.601). Grey ones stay grey."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"num_output_channels should be 1 or 3, got {num_output_channels}.")
        self.num_output_channels = num_output_channels

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        grey = _colour.grey(values(images))
        return tensor_like(np.repeat(grey, self.num_output_channels, 1), images)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class RandomGrayscale(ImageTransform):
    """RGB images in grey with probability p, with as many channels as before."""

    streams = 1

    def __init__(self, p: float = 0.1) -> None:
        check_probability(p, "RandomGrayscale")
        self.p = p

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        chosen = dice.chance(self.p)
        if not chosen.any():
            return images
        out = values(images).copy()
        out[chosen, :3] = _colour.grey(out[chosen])
        return tensor_like(out, images)

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


class ColorJitter(ImageTransform):
    """Brightness, contrast, saturation and hue changed at random, in a random order.

    Each of the first three is a factor from (max(0, 1 - x), 1 + x), or from a range (low, high);
    hue, a share of the circle, is from (-x, x) with x up to 0.5, or from a range. For bytes the
    values are those of Pillow's ImageEnhance.
    """

    streams = 8
    _CHANGES = (
        ("brightness", _colour.brightness),
        ("contrast", _colour.contrast),
        ("saturation", _colour.saturation),
        ("hue", _colour.hue),
    )

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = _factors("hue", hue, 0.0, (-0.5, 0.5))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        order = dice.order(len(self._CHANGES))
        factors = []
        for name, _ in self._CHANGES:
            bounds = getattr(self, name)
            if bounds is None:
                dice.skip(1)
            factors.append(None if bounds is None else dice.uniform(*bounds))
        pixels = values(images)
        _colour.check(pixels)
        return tensor_like(self._changed(pixels.copy(), order, factors), images)

    def _changed(self, out: np.ndarray, order: np.ndarray, factors: list[Any]) -> np.ndarray:
        for turn in range(order.shape[1]):
            # Those whose turn it is to be changed in the same way go together.
            for k in np.unique(order[:, turn]).tolist():
                factor, change = factors[k], self._CHANGES[k][1]
                if factor is None:
                    continue
                chosen = order[:, turn] == k
                if chosen.all():
                    out = change(out, factor)
                else:
                    out[chosen] = change(out[chosen], factor[chosen])
        return out

    def __repr__(self) -> str:
        names = ", ".join(f"{name}={getattr(self, name)}" for name, _ in self._CHANGES)
        return f"ColorJitter({names})"


def _factors(
    name: str,
    given: Any,
    centre: float = 1.0,
    bounds: tuple[float, float] = (0.0, float("inf")),
) -> tuple[float, float] | None:
    """The range of a factor; None when it is the one that changes nothing."""
    if isinstance(given, numbers.Number):
        x = float(given)  # type: ignore[arg-type]
        if x < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative, got {given}.")
        low, high = centre - x, centre + x
        if name != "hue":
            low = max(low, 0.0)
    elif isinstance(given, Sequence) and len(given) == 2:
        low, high = float(given[0]), float(given[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bounds[0] <= low <= high <= bounds[1]:
        raise ValueError(f"{name} values should be between {bounds}, but got {(low, high)}.")
    return None if low == high == centre else (low, high)
