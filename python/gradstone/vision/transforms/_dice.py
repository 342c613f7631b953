"""Random numbers of augmentations: for one image, or for every image of a batch its own.

Number k of an image is the first of stream k behind the image's place (utils/data/draws.py). A
transform uses the same count of streams whatever comes up, so that an image meets the same numbers
alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradstone import _C
from gradstone.random import default_generator
from gradstone.utils.data import draws
from gradstone.utils.data.sampler import fresh_generator


class Dice:
    """Random numbers for the n images of a batch, the same count for each."""

    def __init__(
        self, generator: _C.Generator, count: int, rows: np.ndarray | None = None, size: int = 0
    ) -> None:
        self._generator = generator
        self._count = count  # images that have a stream
        self._rows = rows  # of these, the ones that are here; None: all
        self.n = count if rows is None else size

    @staticmethod
    def for_one() -> Dice:
        """For the item that a loader is making, or from the default generator outside one."""
        return Dice(draws.current() or default_generator, 1)

    @staticmethod
    def for_many(count: int) -> Dice:
        """For a batch that somebody hands to a transform, from a seed that is drawn for it."""
        current = draws.current()
        if current is None:
            return Dice(fresh_generator(), count)
        drawn = _C._empty((), _C.int64)
        _C._random_integers_(drawn, 0, 2**62, *current._next())
        return Dice(_C.Generator().manual_seed(int(drawn.item())), count)

    @staticmethod
    def for_loader(count: int) -> Dice:
        """For the batch that a loader is making at once: item i's numbers are those it would draw
        by itself."""
        seed, offset, _ = draws.batch_stream()
        generator = _C.Generator().manual_seed(seed)
        generator.offset = offset
        return Dice(generator, count)

    def only(self, chosen: np.ndarray) -> Dice:
        """For the images that `chosen`, a mask or positions, picks; streams go on being shared."""
        rows = np.arange(self._count) if self._rows is None else self._rows
        rows = rows[chosen]
        return Dice(self._generator, self._count, rows, len(rows))

    def next(self) -> tuple[int, int]:
        """(seed, offset) of the next stream of the first image; image i's lies
        i * STREAMS_PER_ITEM behind."""
        return self._generator._next()

    @property
    def place(self) -> int:
        """Where the next number comes from."""
        return self._generator.offset

    @place.setter
    def place(self, offset: int) -> None:
        self._generator.offset = offset

    def skip(self, count: int) -> None:
        """Leaves out so many numbers of every image."""
        self._generator.offset += count

    def numbers(self) -> np.ndarray:
        """The next number of each image, float32 in [0, 1)."""
        drawn = _C._empty((self._count,), _C.float32)
        _C._random_each_(drawn, 0, 1, *self.next(), draws.STREAMS_PER_ITEM)
        return self._here(drawn)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """float64 (n) in [low, high]."""
        return low + (high - low) * self.numbers().astype(np.float64)

    def chance(self, p: float) -> np.ndarray:
        """bool (n): true with probability p."""
        return self.uniform() < p

    def integers(self, below: int) -> np.ndarray:
        """int64 (n) in [0, below)."""
        drawn = _C._empty((self._count,), _C.int64)
        _C._random_each_(drawn, 0, below, *self.next(), draws.STREAMS_PER_ITEM)
        return self._here(drawn)

    def order(self, length: int) -> np.ndarray:
        """int64 (n, length): a random order of 0 .. length-1 for each image."""
        keys = np.stack([self.numbers() for _ in range(length)], 1)
        return np.argsort(keys, axis=1, kind="stable")

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """float32 (n, *shape), standard normal: all of an image's from one stream."""
        seed, offset = self.next()
        rows = range(self._count) if self._rows is None else self._rows.tolist()
        out = np.empty((self.n, *shape), np.float32)
        for i, row in enumerate(rows):
            values = _C._empty(tuple(shape), _C.float32)
            _C._normal_(values, 0.0, 1.0, seed, offset + row * draws.STREAMS_PER_ITEM)
            out[i] = values.numpy()
        return out

    def _here(self, drawn: _C.Tensor) -> np.ndarray:
        values = drawn.numpy()
        return values if self._rows is None else values[self._rows]
