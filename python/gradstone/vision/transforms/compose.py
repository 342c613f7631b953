"""Transforms made of transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone.vision.transforms._base import ImageTransform, as_batch, tensor_like, values
from gradstone.vision.transforms._dice import Dice
from gradstone.vision.transforms.convert import (
    ConvertImageDtype,
    Normalize,
    PILToTensor,
    ToTensor,
)

_OWN = (ToTensor, PILToTensor, ConvertImageDtype, Normalize)
_PACKAGE = __name__.rpartition(".")[0]


def _is_own(transform: Any) -> bool:
    """Not a subclass that somebody wrote, who may have changed what a call does."""
    return type(transform).__module__.startswith(_PACKAGE)


def works_on_batches(transform: Any) -> bool:
    """Whether a transform is one of ours that treat a whole batch at once."""
    if not _is_own(transform):
        return False
    if isinstance(transform, (Compose, _Several)):
        return all(map(works_on_batches, transform.transforms))
    if isinstance(transform, ImageTransform):
        return transform.batches
    return type(transform) in _OWN


def takes_any_form(transform: Any) -> bool:
    """Whether a transform treats PIL images, arrays and tensors alike, and keeps their form."""
    if not _is_own(transform):
        return False
    if isinstance(transform, (Compose, _Several)):
        return all(map(takes_any_form, transform.transforms))
    return isinstance(transform, ImageTransform)


def streams_of(transform: Any) -> int:
    """How many random numbers a transform uses for an image; a stranger's, none of ours."""
    return getattr(transform, "streams", 0)


def apply_each(transforms: Sequence[Any], images: Tensor, dice: Dice) -> Tensor:
    """Transforms of ours one after the other, on (N, C, H, W)."""
    for transform in transforms:
        images = transform.apply(images, dice)
    return images


def _listed(transforms: Any) -> list[Any]:
    if not isinstance(transforms, Sequence):
        raise TypeError(
            f"Argument transforms should be a sequence, got {type(transforms).__name__}."
        )
    for transform in transforms:
        if not callable(transform):
            raise TypeError(f"transforms are callable, got {type(transform).__name__}.")
    return list(transforms)


def _repr(name: str, transforms: list[Any], *more: str) -> str:
    return f"{name}(\n" + "".join(f"    {line}\n" for line in [*more, *transforms]) + ")"


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    @property
    def streams(self) -> int:
        return sum(map(streams_of, self.transforms))

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def batch(self, images: Tensor) -> Tensor:
        """A batch (N, C, H, W), or grey images (N, H, W), at once; each image with random numbers
        of its own. TypeError when one of the transforms is not ours."""
        for transform in self.transforms:
            if not works_on_batches(transform):
                raise TypeError(f"{transform!r} treats single images: it has no batches.")
        return as_batch(self.apply, images)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return apply_each(self.transforms, images, dice)

    def __repr__(self) -> str:
        return _repr("Compose", self.transforms)


class _Several(ImageTransform):
    """Transforms of which chance uses some. Those that are not ours take single images."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = _listed(transforms)

    def __call__(self, img: Any) -> Any:
        if all(map(takes_any_form, self.transforms)):
            return super().__call__(img)
        return self._single(img, Dice.for_one())

    def _single(self, img: Any, dice: Dice) -> Any:
        raise NotImplementedError


def _with(images: Tensor, chosen: np.ndarray, changed: Tensor) -> Tensor:
    """`images` with the ones that are `chosen` replaced."""
    if changed.shape[1:] != images.shape[1:] or changed.dtype != images.dtype:
        raise ValueError(
            "the images of a batch keep one shape and dtype, but chance would make some of "
            f"{tuple(images.shape[1:])} {images.dtype} into {tuple(changed.shape[1:])} "
            f"{changed.dtype}."
        )
    out = values(images).copy()
    out[chosen] = values(changed)
    return tensor_like(out, images)


def _pick(images: Tensor, chosen: np.ndarray) -> Tensor:
    return tensor_like(values(images)[chosen], images)


class RandomApply(_Several):
    """All of some transforms, with probability p, or none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = p

    @property
    def streams(self) -> int:  # type: ignore[override]
        return 1 + sum(map(streams_of, self.transforms))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        chosen = dice.chance(self.p)
        end = dice.place + self.streams - 1
        if chosen.all():
            images = apply_each(self.transforms, images, dice)
        elif chosen.any():
            changed = apply_each(self.transforms, _pick(images, chosen), dice.only(chosen))
            images = _with(images, chosen, changed)
        dice.place = end
        return images

    def _single(self, img: Any, dice: Dice) -> Any:
        chosen = bool(dice.chance(self.p)[0])
        end = dice.place + self.streams - 1
        if chosen:
            for transform in self.transforms:
                img = transform(img)
            # Strangers may have drawn numbers too.
            end = max(end, dice.place)
        dice.place = end
        return img

    def __repr__(self) -> str:
        return _repr("RandomApply", self.transforms, f"p={self.p}")


class RandomChoice(_Several):
    """One of some transforms, each as likely as its weight in `p`; all alike without."""

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__(transforms)
        if not self.transforms:
            raise ValueError("expected at least one transform to choose from.")
        if p is not None and (len(p) != len(self.transforms) or min(p) < 0 or sum(p) <= 0):
            raise ValueError(
                f"p has one weight of 0 or more for each of the {len(self.transforms)} "
                f"transforms, and not all 0; got {p}."
            )
        self.p = None if p is None else [float(weight) for weight in p]

    @property
    def streams(self) -> int:  # type: ignore[override]
        return 1 + max(map(streams_of, self.transforms))

    def _choice(self, dice: Dice) -> np.ndarray:
        weights = np.cumsum(self.p or [1.0] * len(self.transforms))
        return np.searchsorted(weights / weights[-1], dice.uniform(), side="right").clip(
            0, len(weights) - 1
        )

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        choice, place = self._choice(dice), dice.place
        whole = images
        for k in np.unique(choice).tolist():
            dice.place = place
            chosen, transform = choice == k, self.transforms[k]
            if chosen.all():
                whole = transform.apply(images, dice)
            else:
                part = transform.apply(_pick(images, chosen), dice.only(chosen))
                whole = _with(whole, chosen, part)
        dice.place = place + self.streams - 1
        return whole

    def _single(self, img: Any, dice: Dice) -> Any:
        transform = self.transforms[int(self._choice(dice)[0])]
        place = dice.place
        img = transform(img)
        dice.place = max(place + self.streams - 1, dice.place)
        return img

    def __repr__(self) -> str:
        return _repr("RandomChoice", self.transforms, f"p={self.p}")


class RandomOrder(_Several):
    """All of some transforms, in a random order."""

    @property
    def streams(self) -> int:  # type: ignore[override]
        return len(self.transforms) + sum(map(streams_of, self.transforms))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        if not self.transforms:
            return images
        order, place = dice.order(len(self.transforms)), dice.place
        starts = np.cumsum([0, *map(streams_of, self.transforms)]) + place
        for turn in range(len(self.transforms)):
            before = images
            for k in np.unique(order[:, turn]).tolist():
                dice.place = int(starts[k])  # each has its numbers, whenever its turn comes
                chosen, transform = order[:, turn] == k, self.transforms[k]
                if chosen.all():
                    images = transform.apply(before, dice)
                else:
                    part = transform.apply(_pick(before, chosen), dice.only(chosen))
                    images = _with(images, chosen, part)
        dice.place = int(starts[-1])
        return images

    def _single(self, img: Any, dice: Dice) -> Any:
        if not self.transforms:
            return img
        order, place = dice.order(len(self.transforms)), dice.place
        starts = np.cumsum([0, *map(streams_of, self.transforms)]) + place
        for k in order[0].tolist():
            dice.place = int(starts[k])
            img = self.transforms[k](img)
        dice.place = int(starts[-1])
        return img

    def __repr__(self) -> str:
        return _repr("RandomOrder", self.transforms)
