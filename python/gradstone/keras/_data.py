"""Batches from what ``fit`` is given: arrays and tensors (nested), or anything to iterate over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._sampling import randperm
from gradstone.keras._symbolic import leaves, map_leaves
from gradstone.keras._tensor import Base, from_host

Batch = tuple[Any, Any, Any]  # inputs, targets, weights


def to_tensors(data: Any) -> Any:
    """Arrays, numbers and lists of numbers as plain tensors; float64 becomes float32."""
    if data is None:
        return None
    if isinstance(data, dict):
        return {key: to_tensors(v) for key, v in data.items()}
    if isinstance(data, (list, tuple)) and any(
        isinstance(v, (np.ndarray, Base, list, tuple)) for v in data
    ):
        if any(isinstance(v, (np.ndarray, Base)) for v in data):
            return type(data)(to_tensors(v) for v in data)
    if hasattr(data, "to_numpy"):  # a table of pandas
        data = data.to_numpy()
    if isinstance(data, (list, tuple)):
        data = np.asarray(data)
    t = from_host(data).detach()
    if type(t) is not Base:
        t.__class__ = Base
    return t.float() if t.dtype.is_floating_point else t


def select(data: Any, index: Any) -> Any:
    """The samples at `index` (a tensor), or in index (a slice), of nested tensors."""
    if isinstance(index, slice):
        return map_leaves(lambda t: None if t is None else t[index], data)
    return map_leaves(lambda t: None if t is None else _C.index_select(t, 0, index), data)


def is_arrays(x: Any) -> bool:
    """Whether `x` is data itself rather than something that gives batches."""
    return isinstance(x, (np.ndarray, Base, list, tuple, dict)) or hasattr(x, "to_numpy")


class Arrays:
    """Inputs, targets and weights with one sample in each row."""

    limit: int | None = None  # at most so many batches

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int | None) -> None:
        self.x, self.y, self.weight = to_tensors(x), to_tensors(y), to_tensors(sample_weight)
        self.batch_size = 32 if batch_size is None else batch_size
        if (
            isinstance(self.batch_size, bool)
            or not isinstance(self.batch_size, int)
            or self.batch_size <= 0
        ):
            raise ValueError(f"`batch_size` must be a positive integer, got {batch_size!r}.")
        sizes = {name: [t.size(0) for t in leaves(d) if t is not None] for name, d in self._named()}
        counts = {n for each in sizes.values() for n in each}
        if len(counts) > 1:
            listed = "".join(
                f"'{k}' sizes: {', '.join(map(str, v))}\n" for k, v in sizes.items() if v
            )
            raise ValueError(
                "Data cardinality is ambiguous. Make sure all arrays contain the same number of "
                f"samples.{listed}"
            )
        self.count = counts.pop() if counts else 0
        if self.count == 0:
            raise ValueError("The data have no samples.")

    def _named(self) -> list[tuple[str, Any]]:
        return [("x", self.x), ("y", self.y), ("sample_weight", self.weight)]

    @property
    def steps(self) -> int | None:
        """How many batches there are."""
        every = -(-self.count // self.batch_size)
        return every if self.limit is None else min(every, self.limit)

    def split(self, share: float) -> tuple[Arrays, Arrays]:
        """All but the last `share`, and the last. ValueError when one would be empty."""
        if not 0 < share < 1:
            raise ValueError(f"`validation_split` must be between 0 and 1, got {share}.")
        at = int(self.count * (1.0 - share))
        if at == 0 or at == self.count:
            raise ValueError(
                f"Training data contains {self.count} samples, which is not sufficient to split it "
                f"into a validation and training set as specified by `validation_split={share}`."
            )
        parts = [select((self.x, self.y, self.weight), s) for s in (slice(0, at), slice(at, None))]
        first, last = (Arrays(x, y, w, self.batch_size) for x, y, w in parts)
        return first, last

    def batches(self, shuffle: bool) -> Iterator[Batch]:
        """(x, y, weight) batch by batch, in a new order when shuffled."""
        order = randperm(self.count) if shuffle else None
        for start in range(0, self.count, self.batch_size)[: self.limit]:
            stop = min(start + self.batch_size, self.count)
            index = slice(start, stop) if order is None else order[start:stop]
            yield select((self.x, self.y, self.weight), index)


class Batches:
    """Batches from a DataLoader, a generator, or an object with ``__getitem__`` and ``__len__``."""

    def __init__(self, source: Any, steps: int | None) -> None:
        self.source, self._given = source, steps
        self._iterator: Iterator[Any] | None = None

    @property
    def steps(self) -> int | None:
        """How many batches there are, where that is known."""
        if self._given is not None:
            return self._given
        return len(self.source) if hasattr(self.source, "__len__") else None

    def batches(self, shuffle: bool) -> Iterator[Batch]:
        """(x, y, weight) batch by batch: all, or as many as were asked for, which go on where those
        before ended and begin again when the source is used up. Warns when it gives no more."""
        taken = 0
        while self._given is None or taken < self._given:
            before = taken
            begun = self._iterator is None or self._given is None
            if begun:
                self._iterator = self._start()
            assert self._iterator is not None
            for batch in self._iterator:
                taken += 1
                yield self._three(batch)
                if taken == self._given:
                    break
            else:
                self._iterator = None
                if hasattr(self.source, "on_epoch_end"):
                    self.source.on_epoch_end()
                if self._given is None or (begun and taken == before):
                    break
        if taken and taken < (self._given or 0):
            import warnings

            warnings.warn(
                f"The data ran out after {taken} of {self._given} batches: a generator must give "
                "steps * epochs batches.",
                stacklevel=2,
            )

    def _start(self) -> Iterator[Any]:
        if hasattr(self.source, "__iter__"):
            return iter(self.source)
        return (self.source[i] for i in range(len(self.source)))

    @staticmethod
    def _three(batch: Any) -> Batch:
        if not isinstance(batch, (tuple, list)):
            return to_tensors(batch), None, None
        if len(batch) > 3:
            raise ValueError(
                "A batch must be x, (x, y) or (x, y, sample_weight); got a tuple of length "
                f"{len(batch)}."
            )
        x, y, weight = (*batch, None, None)[:3]
        return to_tensors(x), to_tensors(y), to_tensors(weight)


def source_of(x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None) -> Any:
    """Arrays or Batches. ValueError for None, and for targets beside a giver of batches."""
    if x is None:
        raise ValueError("There are no data: x is None.")
    if is_arrays(x):
        data = Arrays(x, y, sample_weight, batch_size)
        data.limit = steps
        return data
    if y is not None:
        raise ValueError(
            f"When `x` gives batches, `y` must not be given: x is a {type(x).__name__} and brings "
            "its targets."
        )
    return Batches(x, steps)
