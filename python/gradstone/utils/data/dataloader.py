"""Batches from a data set: in this process, gathered natively where the data set can, or in
workers."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import GenericAlias
from typing import Any

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone._checks import whole
from gradstone.random import stream
from gradstone.utils.data.ahead import Batches
from gradstone.utils.data.collate import default_collate, default_convert
from gradstone.utils.data.dataset import Dataset, IterableDataset
from gradstone.utils.data.draws import Draws
from gradstone.utils.data.fetch import End, ItemFetch, StreamFetch
from gradstone.utils.data.pin import pinned_batches
from gradstone.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    fresh_generator,
)
from gradstone.utils.data.worker_pool import WorkerPool

Collate = Callable[[Any], Any]
_DRAWN_AT_ONCE = (SubsetRandomSampler, WeightedRandomSampler)  # when a pass begins


# What the order of a pass was made from.
_FIXED = frozenset(
    ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
)


def _check_context(context: Any, num_workers: int) -> None:
    """ValueError for a start method that Python does not know. Workers are forked, whatever it
    is."""
    import multiprocessing

    if num_workers == 0:
        raise ValueError("multiprocessing_context can only be used with num_workers > 0")
    methods = multiprocessing.get_all_start_methods()
    if isinstance(context, str) and context not in methods:
        raise ValueError(
            f"[DataLoader] expected multiprocessing_context to be one of {methods}, "
            f"got {context!r}."
        )


class DataLoader:
    """Iterates over batches of `dataset`.

    `shuffle` draws a new order each time, from `generator` when given. batch_size None gives the
    items themselves. `collate_fn` makes a list of items a batch.

    `num_workers` processes are forked for each pass, or with `persistent_workers` once, with the
    data set as it was then; batches come in order through shared memory, a worker's exception is
    raised here with its traceback. A data set that gathers whole batches (tensors, the digits of
    ``gradstone.vision``) needs no worker and uses none, unless there is a ``worker_init_fn``. The
    random transforms of ``gradstone.vision`` draw the same numbers with any number of workers.

    A large gathered batch is written by a thread in the background while the loop works with the
    one before, when there is more than one thread (``set_num_threads``) and a CPU is idle. As
    with workers, a batch may therefore have been read before the loop changes the data: changes
    made in the middle of a pass may show one batch late, or in a part of that batch.

    Workers are forked whatever ``multiprocessing_context`` says.

    ``pin_memory`` hands batches out in pinned memory, from which ``to("cuda", non_blocking=True)``
    copies while the loop goes on; the memory of a batch is used again when its copies are done.
    Without a GPU it warns and changes nothing.
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # DataLoader[Item], in annotations

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Collate | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        whole("DataLoader", "num_workers", num_workers)
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing.")
        if num_workers == 0 and persistent_workers:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError("prefetch_factor option should be positive")
        if multiprocessing_context is not None:
            _check_context(multiprocessing_context, num_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.persistent_workers = persistent_workers
        self.generator = generator
        self._pool: WorkerPool | None = None
        self._iterable = isinstance(dataset, IterableDataset)
        if not self._iterable and not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "[DataLoader] expected a data set with __getitem__ and __len__, or an "
                f"IterableDataset, got {type(dataset).__name__}."
            )
        own_order = sampler is None and batch_sampler is None
        if not self._iterable and own_order and not hasattr(dataset, "__len__"):
            raise TypeError(
                f"[DataLoader] {type(dataset).__name__} has no __len__: write one, or give a "
                "sampler."
            )
        if self._iterable:
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ValueError(
                    "DataLoader with IterableDataset: expected no shuffle, sampler or batch_sampler"
                )
        elif sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        if not self._iterable and sampler is None:
            sampler = (
                RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        if batch_size is not None and not self._iterable:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        elif batch_size is not None and batch_size <= 0:
            raise ValueError(
                f"batch_size should be a positive integer value, but got {batch_size=}"
            )
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        batched = batch_size is not None or batch_sampler is not None
        self._batched = batched
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_made" in self.__dict__:
            raise ValueError(
                f"[DataLoader] {name} cannot be set after the loader is made; make a new one."
            )
        super().__setattr__(name, value)

    def __len__(self) -> int:
        if self._iterable:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        index = self.batch_sampler if self._batched else self.sampler
        return len(index)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return self._pass(0)

    def iter_from(self, batch: int) -> Iterator[Any]:
        """A pass without its first `batch` batches: what ``iter(loader)`` gives behind them, to the
        bit, from the same state of the random numbers. For going on in the middle of a pass.

        For `batch` > 0 the seed of the pass and its order are drawn before this returns. What is
        left out is not loaded and draws nothing, with two exceptions: workers, whose random numbers
        depend on what they did before, and an ``IterableDataset``, whose order is nobody's to skip.
        There it is loaded and dropped.
        """
        return self._pass(whole("DataLoader.iter_from", "batch", batch))

    def _pass(self, start: int) -> Iterator[Any]:
        pinned = self.pin_memory and _C._cuda_device_count() > 0
        if self.pin_memory and not pinned:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                UserWarning,
                stacklevel=3,
            )
        if not self._iterable and self._gathers():
            batches = self._gathered(self._seed(), start, pinned)
        elif self.num_workers:
            batches = _behind(start, self._by_workers(self._seed()))
        elif self._iterable:
            batches = _behind(start, self._streamed(self._seed()))
        else:
            batches = self._item_by_item(self._seed(), start)
        return pinned_batches(batches) if pinned else batches

    def _fetch(self) -> ItemFetch | StreamFetch:
        if self._iterable:
            return StreamFetch(self.dataset, self.batch_size, self.drop_last, self.collate_fn)
        return ItemFetch(self.dataset, self._batched, self.collate_fn)

    def _indices(self) -> Iterator[Any] | None:
        """Those of each batch, or of each item when there are no batches."""
        if self._iterable:
            return None
        return iter(self.batch_sampler if self._batched else self.sampler)  # type: ignore[arg-type]

    def _seed(self) -> int:
        """Drawn at the start of a pass: for the workers and the random transforms."""
        drawn = _C._empty((), _C.int64)
        _C._random_integers_(drawn, 0, 2**62, *stream(self.generator or fresh_generator()))
        return int(drawn.item())

    # ------------------------------------------------------------------------- here, or in workers

    def _item_by_item(self, seed: int, start: int) -> Iterator[Any]:
        fetch, batched = self._fetch(), self._batched
        fetch.begin(seed)
        indices = self._indices()
        assert indices is not None

        def batches(position: int) -> Iterator[Any]:
            for index in indices:
                yield fetch(index, position)
                position += len(index) if batched else 1

        return batches(sum(len(index) if batched else 1 for index in islice(indices, start)))

    def _streamed(self, seed: int) -> Iterator[Any]:
        fetch = self._fetch()
        fetch.begin(seed)
        while not isinstance(batch := fetch(None, 0), End):
            yield batch

    def _by_workers(self, seed: int) -> Iterator[Any]:
        pool = self._pool
        if pool is None or not pool.usable():
            pool = WorkerPool(
                self.num_workers,
                self.prefetch_factor,
                self.timeout,
                self.dataset,
                self._fetch(),
                self.worker_init_fn,
            )
            # A second pass beside one that goes on has workers of its own.
            if self.persistent_workers and (self._pool is None or not self._pool.busy):
                self._pool = pool
        try:
            yield from pool.run(seed, self._indices(), self._batched)
        finally:
            if pool is not self._pool:
                pool.close()

    # ------------------------------------------------------------------------------------- gathered

    def _gathers(self) -> bool:
        """Whether the data set gives whole batches, as the default collation would."""
        if not self._batched or self.collate_fn is not default_collate:
            return False
        if self.num_workers and self.worker_init_fn is not None:
            return False
        if not isinstance(self.dataset, Dataset) or hasattr(self.dataset, "__getitems__"):
            return False
        try:
            return self.dataset.gather(_C._empty((0,), _C.int64)) is not None
        except Exception:
            return False  # item by item shows the data set's own error

    def _gathered(self, seed: int, start: int, pinned: bool) -> Iterator[Any]:
        draws, order = Draws(seed), self._whole_order()
        if order is not None:
            assert self.batch_size is not None
            first = start * self.batch_size
            parts = self._parts(order, first)
            return Batches(self.dataset, draws, parts, pinned, first).ahead()
        # Somebody's sampler: it may draw numbers, or look at what the loop did.
        assert self.batch_sampler is not None
        lists = iter(self.batch_sampler)
        first = sum(len(index) for index in islice(lists, start))
        vectors = (_C.tensor_from_data(list(index), _C.int64, "cpu") for index in lists)
        return Batches(self.dataset, draws, vectors, pinned, first).one_by_one()

    def _parts(self, order: Tensor, first: int) -> Iterator[Tensor]:
        """The order cut into batches, from position `first` on."""
        size = self.batch_size
        assert size is not None
        count = order.size(0)
        last = count - count % size if self.drop_last else count
        for start in range(first, last, size):
            yield _C.narrow(order, 0, start, min(size, last - start))

    def _whole_order(self) -> Tensor | None:
        """All indices of the pass as one vector, when the samplers are ours."""
        if self.batch_size is None or type(self.batch_sampler) is not BatchSampler:
            return None
        if type(self.sampler) is SequentialSampler:
            return _C._arange(0, len(self.sampler), 1, _C.int64)
        if type(self.sampler) is RandomSampler:
            return self.sampler.order()
        if isinstance(self.sampler, Sampler) and type(self.sampler) in _DRAWN_AT_ONCE:
            return _C.tensor_from_data(list(self.sampler), _C.int64, "cpu")
        return None


def _behind(count: int, batches: Iterator[Any]) -> Iterator[Any]:
    """Without the first `count`, which are made and dropped now."""
    deque(islice(batches, count), maxlen=0)
    return batches


__all__ = ["DataLoader", "Sampler"]
