"""Brightness and colour of images, changed by a number or at random."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._sampling import check_probability
from gradstone.vision.transforms import _colour
from gradstone.vision.transforms._base import ImageTransform, same_form, tensor_like, values
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._pil import Reads, check_mode


def _adjusted(name: str, img: Any, change: Callable[..., np.ndarray], *factor: float) -> Any:
    """One of the changes of _colour, by the same factor for every image."""
    check_mode(img, name, Reads.COLOURS)
    factors = [np.array([f]) for f in factor]
    return same_form(img, lambda x: tensor_like(change(values(x), *factors), x))


def _scaled(what: str, img: Any, change: Callable[..., np.ndarray], factor: float) -> Any:
    if not 0 <= factor < math.inf:
        raise ValueError(f"{what}_factor ({factor}) is not finite and non-negative.")
    return _adjusted(f"adjust_{what}", img, change, factor)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 gives black, 1 the image, 2 twice its brightness."""
    return _scaled("brightness", img, _colour.brightness, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 gives the grey of the mean, 1 the image, more has more contrast."""
    return _scaled("contrast", img, _colour.contrast, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 gives a grey image, 1 the image, more is more colourful."""
    return _scaled("saturation", img, _colour.saturation, saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 gives a smoothed image, 1 the image, more is sharper."""
    return _scaled("sharpness", img, _colour.sharpness, sharpness_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The hue turned by `hue_factor` of a whole circle, from -0.5 to 0.5; grey images stay."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _adjusted("adjust_hue", img, _colour.hue, hue_factor)


def posterize(img: Any, bits: int) -> Any:
    """Bytes with their upper `bits` bits alone, 0 to 8."""
    if not 0 <= whole("posterize", "bits", bits) <= 8:
        raise ValueError(f"a byte has 0 to 8 bits, got bits={bits}.")
    return _adjusted("posterize", img, _colour.posterize, bits)


def solarize(img: Any, threshold: float) -> Any:
    """Bytes of `threshold` or more turned to their negative."""
    return _adjusted("solarize", img, _colour.solarize, threshold)


def autocontrast(img: Any) -> Any:
    """Bytes of each channel stretched, so that the least becomes 0 and the greatest 255."""
    return _adjusted("autocontrast", img, _colour.autocontrast)


def equalize(img: Any) -> Any:
    """Bytes of each channel mapped so that they are spread evenly."""
    return _adjusted("equalize", img, _colour.equalize)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """An RGB image in grey, with 1 channel or 3 equal ones: 0.299 R + 0.587 G + 0.114 B (ITU-R
    BT.601). Grey ones stay grey."""
    _check_channels(num_output_channels)
    return _adjusted(
        "rgb_to_grayscale", img, lambda x: np.repeat(_colour.grey(x), num_output_channels, 1)
    )


def _check_channels(num_output_channels: int) -> None:
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels should be 1 or 3, got {num_output_channels}.")


class Grayscale(ImageTransform):
    """RGB images in grey, with 1 channel or 3 equal ones: 0.299 R + 0.587 G + 0.114 B (ITU-R
    BT.601). Grey ones stay grey."""

    reads = Reads.COLOURS

    def __init__(self, num_output_channels: int = 1) -> None:
        _check_channels(num_output_channels)
        self.num_output_channels = num_output_channels

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return rgb_to_grayscale(images, self.num_output_channels)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class RandomGrayscale(ImageTransform):
    """RGB images in grey with probability p, with as many channels as before."""

    streams = 1
    reads = Reads.COLOURS

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
    reads = Reads.COLOURS
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
    if not bounds[0] <= low <= high <= bounds[1] or high == math.inf:
        raise ValueError(
            f"{name} values should be between {bounds} and finite, but got {(low, high)}."
        )
    return None if low == high == centre else (low, high)
