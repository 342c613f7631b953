"""Data sets: indexed (``__getitem__`` and ``__len__``) or iterated.

A data set that can give a whole batch at once has ``gather(index)``: a list of batched tensors for
a vector of indices, or None when it cannot. The loader then calls it once for each batch. Ours that
hand the tensors on as kernels write them have ``gather_later(index, fill)`` as well: the same list,
with the large tensors left to `fill`, which writes them in the background. It answers None for a
subclass with a ``gather`` of its own, which would see memory that nobody has written.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone.random import stream

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Items by index. A subclass writes ``__getitem__``, and ``__len__`` for the samplers."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Any) -> Any:
        return ConcatDataset([self, other])

    def gather(self, index: Tensor) -> list[Any] | None:
        """A whole batch for a vector of indices, or None: items are then fetched one by one."""
        return None

    def gather_later(self, index: Tensor, fill: _C._Fill) -> list[Any] | None:
        """The same, not to be read before fill.finish(); None: only gather() knows how."""
        return None


class IterableDataset(Dataset[T_co]):
    """Items in the order in which ``__iter__`` gives them."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Item i is position i of every tensor; their first dimensions must be equal."""

    def __init__(self, *tensors: Tensor) -> None:
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"[TensorDataset] expected tensors, got {type(t).__name__}; as_tensor makes "
                    "one of an array."
                )
        if not tensors or any(t.dim() == 0 or t.size(0) != tensors[0].size(0) for t in tensors):
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise ValueError(f"Size mismatch between tensors: {shapes or 'none given'}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)

    def gather(self, index: Tensor) -> list[Any] | None:
        if type(self).__getitem__ is not TensorDataset.__getitem__:
            return None
        return [_C.index_select(t, 0, index) for t in self.tensors]

    def gather_later(self, index: Tensor, fill: _C._Fill) -> list[Any] | None:
        if (
            type(self).gather is not TensorDataset.gather
            or type(self).__getitem__ is not TensorDataset.__getitem__
        ):
            return None
        return [fill.select(t, index) for t in self.tensors]


class Subset(Dataset[T_co]):
    """The items of a data set at these indices."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        self._tensor: Tensor | None = None

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def gather(self, index: Tensor) -> list[Any] | None:
        if type(self).__getitem__ is not Subset.__getitem__ or not isinstance(
            self.dataset, Dataset
        ):
            return None
        return self.dataset.gather(self._of_dataset(index))

    def gather_later(self, index: Tensor, fill: _C._Fill) -> list[Any] | None:
        if (
            type(self).gather is not Subset.gather
            or type(self).__getitem__ is not Subset.__getitem__
            or not isinstance(self.dataset, Dataset)
        ):
            return None
        return self.dataset.gather_later(self._of_dataset(index), fill)

    def _of_dataset(self, index: Tensor) -> Tensor:
        """The data set's own indices."""
        if self._tensor is None:
            self._tensor = _C.tensor_from_data([int(i) for i in self.indices], _C.int64, "cpu")
        return _C.index_select(self._tensor, 0, index)


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise TypeError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        which = bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T_co]):
    """Iterable data sets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


def random_split(
    dataset: Dataset[Any], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Non-overlapping random parts of these lengths; lengths that sum to 1 are shares."""
    total = len(dataset)  # type: ignore[arg-type]
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1 and total != 1:
        if any(not 0 <= share <= 1 for share in sizes):
            raise ValueError(f"shares must be between 0 and 1, got {sizes}")
        parts = [math.floor(total * share) for share in sizes]
        for i in range(total - sum(parts)):
            parts[i % len(parts)] += 1
        sizes = list(parts)
    if sum(sizes) != total:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = _C._randperm(total, *stream(generator)).tolist()
    ends = list(accumulate(int(size) for size in sizes))
    return [Subset(dataset, order[end - int(n) : end]) for end, n in zip(ends, sizes)]
