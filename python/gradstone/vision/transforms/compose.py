"""Transforms made of transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._sampling import check_probability
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


def has_batch(transform: Any) -> bool:
    """Whether a transform has a ``batch`` that does what a call does: one of ours, or somebody's
    who wrote both."""
    if _is_own(transform):
        return works_on_batches(transform)
    for kind in type(transform).__mro__:
        if "batch" in vars(kind):
            return True
        if "__call__" in vars(kind):
            return False
    return False


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


def _check_batches(transforms: list[Any]) -> None:
    for transform in transforms:
        if not works_on_batches(transform):
            raise TypeError(f"{transform!r} treats single images: it has no batches.")


def _check_each(transforms: list[Any], img: Any) -> None:
    """ValueError for a PIL image whose values one of ours does not read."""
    for transform in transforms:
        transform._check_mode(img)


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
        _check_batches(self.transforms)
        return as_batch(self.apply, images)

    def _check_mode(self, img: Any) -> None:
        _check_each(self.transforms, img)

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        return apply_each(self.transforms, images, dice)

    def __repr__(self) -> str:
        return _repr("Compose", self.transforms)


class _Several(ImageTransform):
    """Transforms of which chance uses some. Those that are not ours take single images."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = _listed(transforms)

    def _check_mode(self, img: Any) -> None:
        _check_each(self.transforms, img)

    def __call__(self, img: Any) -> Any:
        if all(map(takes_any_form, self.transforms)):
            return super().__call__(img)
        return self._single(img, Dice.for_one())

    def batch(self, images: Tensor) -> Tensor:
        _check_batches(self.transforms)
        return super().batch(images)

    def _single(self, img: Any, dice: Dice) -> Any:
        raise NotImplementedError

    def _call(self, which: Sequence[int], img: Any, dice: Dice, starts: Sequence[int]) -> Any:
        """Calls some, each with its place among the random numbers; strangers draw what they like,
        so beside one of them the numbers just go on."""
        placed = all(map(works_on_batches, self.transforms))
        for k in which:
            if placed:
                dice.place = starts[k]
            img = self.transforms[k](img)
        if placed:
            dice.place = starts[-1]
        return img

    def _starts(self, dice: Dice) -> list[int]:
        """Where each begins among the random numbers when one comes after the other, and the
        end."""
        place = dice.place
        return [place, *(place + n for n in accumulate(map(streams_of, self.transforms)))]


def _in_groups(
    images: Tensor, group: np.ndarray, dice: Dice, apply: Callable[[int, Tensor, Dice], Tensor]
) -> Tensor:
    """`apply` to the images of each group, which belong to a batch again afterwards."""
    found = np.unique(group).tolist()
    if len(found) <= 1:
        return apply(found[0], images, dice) if found else images
    pixels, out = values(images), np.empty(0)
    for k in found:
        chosen = group == k
        part = values(apply(k, tensor_like(pixels[chosen], images), dice.only(chosen)))
        if k == found[0]:
            out = np.empty((len(pixels), *part.shape[1:]), part.dtype)
        if part.shape[1:] != out.shape[1:] or part.dtype != out.dtype:
            raise ValueError(
                "the images of a batch have one shape and dtype, but chance would make some "
                f"{out.shape[1:]} {out.dtype} and some {part.shape[1:]} {part.dtype}."
            )
        out[chosen] = part
    return tensor_like(out, images)


class RandomApply(_Several):
    """All of some transforms, with probability p, or none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = check_probability(p, "RandomApply")

    @property
    def streams(self) -> int:  # type: ignore[override]
        return 1 + sum(map(streams_of, self.transforms))

    def apply(self, images: Tensor, dice: Dice) -> Tensor:
        chosen = dice.chance(self.p)
        place, end = dice.place, dice.place + self.streams - 1

        def apply(k: int, some: Tensor, own: Dice) -> Tensor:
            own.place = place
            return apply_each(self.transforms, some, own) if k else some

        images = _in_groups(images, chosen.astype(np.int64), dice, apply)
        dice.place = end
        return images

    def _single(self, img: Any, dice: Dice) -> Any:
        chosen = range(len(self.transforms)) if dice.chance(self.p)[0] else ()
        return self._call(chosen, img, dice, self._starts(dice))

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

        def apply(k: int, some: Tensor, own: Dice) -> Tensor:
            own.place = place
            return self.transforms[k].apply(some, own)

        images = _in_groups(images, choice, dice, apply)
        dice.place = place + self.streams - 1
        return images

    def _single(self, img: Any, dice: Dice) -> Any:
        chosen, place = int(self._choice(dice)[0]), dice.place
        starts = [place] * len(self.transforms) + [place + self.streams - 1]
        return self._call([chosen], img, dice, starts)

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
        order, starts = dice.order(len(self.transforms)), self._starts(dice)
        orders, group = np.unique(order, axis=0, return_inverse=True)

        def apply(k: int, some: Tensor, own: Dice) -> Tensor:
            for turn in orders[k].tolist():
                own.place = starts[turn]  # each has its numbers, whenever its turn comes
                some = self.transforms[turn].apply(some, own)
            return some

        images = _in_groups(images, group.reshape(-1), dice, apply)
        dice.place = starts[-1]
        return images

    def _single(self, img: Any, dice: Dice) -> Any:
        if not self.transforms:
            return img
        order = dice.order(len(self.transforms))[0].tolist()
        return self._call(order, img, dice, self._starts(dice))

    def __repr__(self) -> str:
        return _repr("RandomOrder", self.transforms)
