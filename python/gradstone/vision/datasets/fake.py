"""Random images, for trying out a program without data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone.random import stream
from gradstone.utils.data import Dataset
from gradstone.vision.datasets.arrays import describe, picture, takes_arrays


class FakeData(Dataset[tuple[Any, int]]):
    """`size` images of random bytes with random labels below `num_classes`.

    image_size is (C, H, W) with 1, 3 or 4 channels. Image and label depend on index +
    `random_offset` alone: not on the workers, the order or the seed of the program. Items are
    (image, label): a PIL image where Pillow is installed, otherwise a uint8 array.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        if len(image_size) != 3 or image_size[0] not in (1, 3, 4) or min(image_size) < 1:
            raise ValueError(
                f"image_size is (C, H, W) with 1, 3 or 4 channels, got {tuple(image_size)}."
            )
        if size < 0 or num_classes < 1:
            raise ValueError(
                f"expected size >= 0 and num_classes >= 1, got {size} and {num_classes}."
            )
        self.size = size
        self.image_size = tuple(image_size)
        self.num_classes = num_classes
        self.transform = transform
        self.target_transform = target_transform
        self.random_offset = random_offset

    def __len__(self) -> int:
        return self.size

    def _drawn(self, shape: tuple[int, ...], below: int, generator: Any) -> np.ndarray:
        return _C._random_integers_(
            _C._empty(shape, _C.int64), 0, below, *stream(generator)
        ).numpy()

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if not -self.size <= index < self.size:
            raise IndexError(f"{type(self).__name__} has {self.size} items, not number {index}.")
        seed = int(index) % self.size + self.random_offset
        generator = _C.Generator().manual_seed(seed)
        channels, height, width = self.image_size
        pixels = self._drawn((height, width, channels), 256, generator).astype(np.uint8)
        target: Any = int(self._drawn((1,), self.num_classes, generator)[0])
        image: Any = pixels[:, :, 0] if channels == 1 else pixels
        if not takes_arrays(self.transform):
            image = picture(image)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        return describe(self, [])
