"""Random numbers of augmentations inside a pass of a loader.

An item's draws depend on the seed of the pass and on the item's position in it: not on the workers,
on the size of the batch, or on whether the batch is made item by item or at once.
"""

from __future__ import annotations

import threading

from gradstone._C import Generator
from gradstone.utils.data.sampler import fresh_generator

# Streams that one item may use; the next item's begin behind them.
STREAMS_PER_ITEM = 1 << 16


class _Current(threading.local):
    """Each thread has its own: loaders may run in several."""

    generator: Generator | None = None


_current = _Current()


def current() -> Generator | None:
    """The generator of the item that is being made; None, the default one, outside a loader."""
    return _current.generator


class Draws:
    """The random numbers of one pass. As a context: those of the item at `position`."""

    def __init__(self, seed: int) -> None:
        self._generator = Generator().manual_seed(seed)
        self._before: Generator | None = None

    def at(self, position: int) -> Draws:
        """Stands at the first number of the item at this position of the pass."""
        self._generator.offset = position * STREAMS_PER_ITEM
        return self

    def __enter__(self) -> Draws:
        self._before, _current.generator = _current.generator, self._generator
        return self

    def __exit__(self, *error: object) -> None:
        _current.generator = self._before


def batch_stream() -> tuple[int, int, int]:
    """(seed, offset, step): item i of a batch that is made at once begins at offset + i * step."""
    generator = _current.generator or fresh_generator()
    return generator.initial_seed(), generator.offset, STREAMS_PER_ITEM
