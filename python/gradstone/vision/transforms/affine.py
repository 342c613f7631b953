"""Rotations and affine maps."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone.vision.transforms import _warp
from gradstone.vision.transforms._base import ImageTransform, same_form, tensor_like, values
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms._interpolation import InterpolationMode, mode_of
from gradstone.vision.transforms._pil import Reads, check_mode

WARPS = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR)


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = 0,
) -> Any:
    """An image turned counter-clockwise by `angle` degrees about its middle, or `center` (x, y).

    `expand` makes room for the whole turned image. What was outside becomes `fill`, a number or one
    for each channel. Values are those of Pillow's rotate.
    """
    _check_finite("angle", angle)
    mode, center = mode_of(interpolation, WARPS), _checked(center)
    check_mode(img, "rotate", Reads.between(mode))
    fill = 0 if fill is None else fill

    def change(images: Tensor) -> Tensor:
        angles = np.full(images.size(0), float(angle))
        return _rotated(images, angles, mode, expand, center, fill)

    return same_form(img, change)


def _rotated(
    images: Tensor,
    angle: np.ndarray,
    mode: InterpolationMode,
    expand: bool,
    center: Sequence[float] | None,
    fill: Any,
) -> Tensor:
    """Each image (N, C, H, W) by its own angle."""
    pixels = values(images)
    height, width = size = pixels.shape[-2:]
    middle = (width / 2, height / 2) if center is None else tuple(center)
    maps = _warp.rotation(angle, (middle[0], middle[1]))
    if expand and len(angle):
        if (angle != angle[0]).any():
            raise ValueError(
                "RandomRotation with expand=True gives every image another size: it takes "
                f"single images, not a batch of {len(pixels)}."
            )
        if center is None and angle[0] % 90 == 0:  # no pixel comes between two others
            return tensor_like(np.rot90(pixels, int(angle[0] // 90), (-2, -1)), images)
        size, maps = _expanded(size, maps)
    return tensor_like(_warp.warp(pixels, maps, size, mode, fill), images)


def _expanded(size: tuple[int, int], maps: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
    """The size that holds the whole turned image, and the maps, which are all the same, from
    there."""
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    # The inverse of a rotation is its transpose; here the map that Pillow uses is applied to the
    # corners, which gives a box of the same size.
    places = corners @ maps[0, :, :2].T + maps[0, :, 2]
    low, high = places.min(0), places.max(0)
    new_width, new_height = (
        math.ceil(high[k]) - math.floor(low[k]) for k in range(2)
    )  # as Pillow rounds
    back = np.array([(new_width - width) / 2, (new_height - height) / 2])
    moved = maps.copy()
    moved[:, :, 2] -= maps[:, :, :2] @ back
    return (new_height, new_width), moved


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = 0,
    center: Sequence[float] | None = None,
) -> Any:
    """An image scaled, sheared by `shear` (of x, or of x and y, in degrees), turned clockwise by
    `angle` degrees about its middle or `center` (x, y), and moved by `translate` (x, y) pixels.

    What was outside becomes `fill`, a number or one for each channel. Values are those of Pillow's
    affine transform.
    """
    if len(translate) != 2:
        raise ValueError(f"translate is (x, y), got {translate!r}.")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale should be positive, got {scale}.")
    shears: list[Any] = [shear] if isinstance(shear, numbers.Number) else list(shear)
    if len(shears) not in (1, 2):
        raise ValueError(f"shear is one number or (x, y), got {shear!r}.")
    _check_finite("angle", angle)
    _check_finite("translate", *translate)
    _check_finite("shear", *shears)
    mode, center = mode_of(interpolation, WARPS), _checked(center)
    check_mode(img, "affine", Reads.between(mode))
    fill = 0 if fill is None else fill

    def change(images: Tensor) -> Tensor:
        def each(value: float) -> np.ndarray:
            return np.full(images.size(0), float(value))

        moved = np.stack([each(by) for by in translate], 1)
        along = each(shears[0]), each([*shears, 0.0][1])
        return _mapped(images, each(angle), moved, each(scale), along, mode, center, fill)

    return same_form(img, change)


def _mapped(
    images: Tensor,
    angle: np.ndarray,
    moved: np.ndarray,
    scale: np.ndarray,
    shear: tuple[np.ndarray, np.ndarray],
    mode: InterpolationMode,
    center: Sequence[float] | None,
    fill: Any,
) -> Tensor:
    """Each image (N, C, H, W) by its own numbers."""
    pixels = values(images)
    height, width = pixels.shape[-2:]
    linear = _warp.affine_inverse(angle, scale, *shear)
    middle = (width / 2, height / 2) if center is None else center
    maps = _warp.around(linear, middle, moved)
    return tensor_like(_warp.warp(pixels, maps, (height, width), mode, fill), images)


def _checked(center: Sequence[float] | None) -> Sequence[float] | None:
    if center is not None and len(center) != 2:
        raise ValueError(f"center is (x, y), got {center!r}.")
    _check_finite("center", *(center or ()))
    return center


def _check_finite(name: str, *given: float) -> None:
    if not all(map(math.isfinite, given)):
        raise ValueError(f"{name} is finite, got {', '.join(map(str, given))}.")


def _range(name: str, given: Any, lengths: Sequence[int] = (2,)) -> list[float]:
    """(-x, x) from one number of 0 or more, or the numbers themselves."""
    if isinstance(given, numbers.Number):
        x = float(given)  # type: ignore[arg-type]
        if not 0 <= x < math.inf:
            raise ValueError(f"If {name} is a single number, it must be positive, got {given}.")
        return [-x, x]
    if not isinstance(given, Sequence) or len(given) not in lengths:
        raise ValueError(f"{name} should be a sequence of length {lengths}, got {given!r}.")
    numbers_ = [float(x) for x in given]
    for low, high in zip(numbers_[::2], numbers_[1::2]):
        if not -math.inf < low <= high < math.inf:
            raise ValueError(f"{name} has the lower number first, got {given!r}.")
    return numbers_


class RandomRotation(ImageTransform):
    """Turned counter-clockwise by a random angle between `degrees` (or -degrees and degrees).

    About the middle, or `center` (x, y). `expand`, for single images, makes room for the whole
    turned image. What was outside becomes `fill`. Values are those of Pillow's rotate.
    """

    streams = 1

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = _range("degrees", degrees)
        self.interpolation = mode_of(interpolation, WARPS)
        self.expand = expand
        self.center = _checked(center)
        self.fill = 0 if fill is None else fill

    @property
    def batches(self) -> bool:  # type: ignore[override]
        return not self.expand

    @property
    def reads(self) -> Reads:  # type: ignore[override]
        return Reads.between(self.interpolation)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        angle = dice.uniform(*self.degrees)
        return _rotated(images, angle, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self) -> str:
        text = f"RandomRotation(degrees={self.degrees}, interpolation={self.interpolation.value}"
        text += f", expand={self.expand}"
        if self.center is not None:
            text += f", center={self.center}"
        return text + f", fill={self.fill})"


class RandomAffine(ImageTransform):
    """Turned clockwise, moved, scaled and sheared at random, about the middle or `center` (x, y).

    `degrees` and `shear` (of x, or of x and y, in degrees) are ranges, or x for (-x, x);
    `translate` (a, b) moves by whole pixels up to a * width and b * height either way; `scale` is a
    range. What was outside becomes `fill`. Values are those of Pillow's affine transform.
    """

    streams = 6

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        self.degrees = _range("degrees", degrees)
        if translate is not None and (
            len(translate) != 2 or not all(0 <= share <= 1 for share in translate)
        ):
            raise ValueError(f"translation values should be between 0 and 1, got {translate}.")
        if scale is not None and (len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf):
            raise ValueError(f"scale values should be positive, the lower one first, got {scale}.")
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _range("shear", shear, (2, 4))
        self.interpolation = mode_of(interpolation, WARPS)
        self.fill = 0 if fill is None else fill
        self.center = _checked(center)

    @property
    def reads(self) -> Reads:  # type: ignore[override]
        return Reads.between(self.interpolation)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        height, width = images.shape[-2:]
        end = dice.place + self.streams
        angle = dice.uniform(*self.degrees)
        share = self.translate or (0.0, 0.0)
        most = share[0] * width, share[1] * height
        moved = np.stack([np.rint(dice.uniform(-m, m)) for m in most], 1)
        scale = dice.uniform(*(self.scale or (1.0, 1.0)))
        shear = [*(self.shear or (0.0, 0.0)), 0.0, 0.0][:4]
        shears = dice.uniform(*shear[:2]), dice.uniform(*shear[2:])
        dice.place = end
        return _mapped(
            images, angle, moved, scale, shears, self.interpolation, self.center, self.fill
        )

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)}")
        return f"RandomAffine({', '.join(parts)})"
