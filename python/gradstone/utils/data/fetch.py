"""One batch from a data set: by a list of indices, or the next ones of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradstone.utils.data.draws import Draws


class End:
    """A stream is exhausted."""


class ItemFetch:
    """Batches of an indexed data set, or single items when there are no batches."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any]) -> None:
        self.dataset = dataset
        self.batched = batched
        self.collate = collate
        self._draws = Draws(0)

    def begin(self, seed: int) -> None:
        """A new pass, with the seed of its augmentations."""
        self._draws = Draws(seed)

    def __call__(self, index: Any, position: int) -> Any:
        """`position` is that of the first item in the pass."""
        with self._draws.at(position) as draws:
            if not self.batched:
                items = self.dataset[index]
            elif (getitems := getattr(self.dataset, "__getitems__", None)) is not None:
                items = getitems(index)
            else:
                dataset, items = self.dataset, []
                for k, i in enumerate(index, position):
                    draws.at(k)
                    items.append(dataset[i])
            return self.collate(items)


class StreamFetch:
    """Batches of an iterable data set, one for each call; End behind the last."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None,
        drop_last: bool,
        collate: Callable[[Any], Any],
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.collate = collate
        self._items: Iterator[Any] | None = None

    def begin(self, seed: int) -> None:
        """A new pass."""
        self._items = None

    def __call__(self, index: Any, position: int) -> Any:
        if self._items is None:
            self._items = iter(self.dataset)
        if self.batch_size is None:
            for item in self._items:
                return self.collate(item)
            return End()
        batch = []
        for item in self._items:
            batch.append(item)
            if len(batch) == self.batch_size:
                return self.collate(batch)
        if not batch or self.drop_last:
            return End()
        return self.collate(batch)
