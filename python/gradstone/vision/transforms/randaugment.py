"""RandAugment."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.vision.transforms import _colour, _warp
from gradstone.vision.transforms._base import ImageTransform, tensor_like, values
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._interpolation import InterpolationMode, mode_of
from gradstone.vision.transforms._pil import Reads
from gradstone.vision.transforms.affine import WARPS

_OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
_SIGNED = _OPERATIONS[1:10]
_ENHANCE = {
    "Brightness": _colour.brightness,
    "Color": _colour.saturation,
    "Contrast": _colour.contrast,
    "Sharpness": _colour.sharpness,
}


class RandAugment(ImageTransform):
    """`num_ops` operations, each drawn from fourteen, at one strength (Cubuk and others,
    "RandAugment: Practical automated data augmentation with a reduced search space", 2019).

    `magnitude` counts from 0 to `num_magnitude_bins` - 1. For images of bytes.
    """

    reads = Reads.COLOURS

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        whole("RandAugment", "num_ops", num_ops)
        if num_magnitude_bins < 2 or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                "expected at least 2 bins and a magnitude below their number, got "
                f"{num_magnitude_bins} and {magnitude}."
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = mode_of(interpolation, WARPS)
        self.fill = fill

    @property
    def streams(self) -> int:  # type: ignore[override]
        return 2 * self.num_ops

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        out = values(images)
        if out.dtype != np.uint8:
            raise TypeError(f"RandAugment takes images of bytes, got dtype {out.dtype}.")
        out = out.copy()
        for _ in range(self.num_ops):
            operation, negative = dice.integers(len(_OPERATIONS)), dice.chance(0.5)
            for k in np.unique(operation).tolist():
                chosen = operation == k
                sign = np.where(negative[chosen], -1.0, 1.0)
                out[chosen] = self._augment(_OPERATIONS[k], out[chosen], sign)
        return tensor_like(out, images)

    def strength(self, name: str, height: int, width: int) -> float:
        """An operation's magnitude, in its own unit."""
        share = self.magnitude / (self.num_magnitude_bins - 1)
        if name == "Posterize":
            return 8 - round(share * 4)
        if name == "Solarize":
            return 255 * (1 - share)
        most = {
            "ShearX": 0.3,
            "ShearY": 0.3,
            "TranslateX": 150 / 331 * width,
            "TranslateY": 150 / 331 * height,
            "Rotate": 30.0,
        }
        return most.get(name, 0.9) * share

    def _augment(self, name: str, images: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """One operation on images that share it; `sign` (n) is -1 or 1."""
        height, width = images.shape[-2:]
        strength = self.strength(name, height, width)
        by = sign * strength if name in _SIGNED else np.full(len(sign), strength)
        if name == "Identity":
            return images
        if name == "AutoContrast":
            return _colour.autocontrast(images)
        if name == "Equalize":
            return _colour.equalize(images)
        if name == "Posterize":
            return _colour.posterize(images, by)
        if name == "Solarize":
            return _colour.solarize(images, by)
        if name in _ENHANCE:
            return _ENHANCE[name](images, 1 + by)
        maps = self._map(name, by, height, width)
        fill = 0 if self.fill is None else self.fill
        return _warp.warp(images, maps, (height, width), self.interpolation, fill)

    @staticmethod
    def _map(name: str, by: np.ndarray, height: int, width: int) -> np.ndarray:
        """(n, 2, 3), from the output to the input."""
        if name == "Rotate":
            return _warp.rotation(by, (width / 2, height / 2))
        maps = np.tile(np.eye(2, 3), (len(by), 1, 1))
        row, column = {
            "ShearX": (0, 1),
            "ShearY": (1, 0),
            "TranslateX": (0, 2),
            "TranslateY": (1, 2),
        }[name]
        # Pictures move by whole pixels.
        maps[:, row, column] = -np.trunc(by) if column == 2 else by
        return maps

    def __repr__(self) -> str:
        return (
            f"RandAugment(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation.value}, fill={self.fill})"
        )
