"""Batches from a data set: in this process, gathered natively where the data set can, or in
workers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone._checks import whole
from gradstone.random import stream
from gradstone.utils.data import worker as workers
from gradstone.utils.data.collate import default_collate, default_convert
from gradstone.utils.data.dataset import Dataset, IterableDataset
from gradstone.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    fresh_generator,
)

Collate = Callable[[Any], Any]


class DataLoader:
    """Iterates over batches of `dataset`.

    `shuffle` draws a new order each time, from `generator` when given. batch_size None gives the
    items themselves. `collate_fn` makes a list of items a batch.

    `num_workers` processes are forked for each pass; batches come in order, a worker's exception is
    raised here with its traceback. A data set that gathers whole batches (tensors, the digits of
    ``gradstone.vision``) needs no worker and uses none, unless there is a ``worker_init_fn``.
    ``pin_memory`` and ``persistent_workers`` are accepted and change nothing.
    """

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
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError("prefetch_factor option should be positive")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.persistent_workers = persistent_workers
        self.generator = generator
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

    def __len__(self) -> int:
        if self._iterable:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        index = self.batch_sampler if self._batched else self.sampler
        return len(index)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self._iterable:
            if self.num_workers:
                return iter(WorkerPass(self, _StreamFetch(self), None))
            return self._iterate_stream()
        gathered = self._gathers()
        if self.num_workers and not gathered:
            index = self.batch_sampler if self._batched else self.sampler
            return iter(WorkerPass(self, self._fetch, iter(index)))  # type: ignore[arg-type]
        if gathered:
            return self._iterate_gathered()
        return self._iterate_items()

    # ------------------------------------------------------------------------------ in this process

    def _fetch(self, index: Any) -> Any:
        """One batch, or one item when there are no batches."""
        if not self._batched:
            return self.collate_fn(self.dataset[index])
        getitems = getattr(self.dataset, "__getitems__", None)
        if getitems is not None:
            return self.collate_fn(getitems(index))
        dataset = self.dataset
        return self.collate_fn([dataset[i] for i in index])

    def _iterate_items(self) -> Iterator[Any]:
        for index in self.batch_sampler if self._batched else self.sampler:  # type: ignore[union-attr]
            yield self._fetch(index)

    def _iterate_stream(self) -> Iterator[Any]:
        fetch = _StreamFetch(self)
        while True:
            batch = fetch(None)
            if isinstance(batch, _End):
                return
            yield batch

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

    def _iterate_gathered(self) -> Iterator[Any]:
        gather = self.dataset.gather
        order = self._whole_order()
        if order is None:
            for batch in self.batch_sampler:  # type: ignore[union-attr]
                yield gather(_C.tensor_from_data(list(batch), _C.int64, "cpu"))
            return
        size = self.batch_size
        assert size is not None
        count = order.size(0)
        last = count - count % size if self.drop_last else count
        for start in range(0, last, size):
            yield gather(_C.narrow(order, 0, start, min(size, last - start)))

    def _whole_order(self) -> Tensor | None:
        """All indices of the pass as one vector, when the samplers are ours."""
        if self.batch_size is None or type(self.batch_sampler) is not BatchSampler:
            return None
        if type(self.sampler) is SequentialSampler:
            return _C._arange(0, len(self.sampler), 1, _C.int64)
        if type(self.sampler) is RandomSampler:
            return self.sampler.order()
        return None


class _End:
    """A stream is exhausted."""


class _StreamFetch:
    """Batches of an iterable data set, one for each call."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.items: Iterator[Any] | None = None

    def __call__(self, index: Any) -> Any:
        loader = self.loader
        if self.items is None:
            self.items = iter(loader.dataset)
        if loader.batch_size is None:
            for item in self.items:
                return loader.collate_fn(item)
            return _End()
        batch = []
        for item in self.items:
            batch.append(item)
            if len(batch) == loader.batch_size:
                return loader.collate_fn(batch)
        if not batch or loader.drop_last:
            return _End()
        return loader.collate_fn(batch)


class WorkerPass:
    """One pass over a data set by worker processes."""

    def __init__(
        self, loader: DataLoader, fetch: Callable[[Any], Any], index: Iterator[Any] | None
    ) -> None:
        import multiprocessing

        self.loader = loader
        self.index = index
        self.processes: list[Any] = []
        self.tasks: list[Any] = []
        self.results: list[Any] = []
        self.sent = 0
        self.finished: dict[int, Any] = {}
        count = loader.num_workers
        self.owner: dict[int, int] = {}  # batch number -> worker
        self.active = [True] * count
        context = multiprocessing.get_context("fork")
        base = self._base_seed()
        try:
            for i in range(count):
                task_read, task_write = context.Pipe(duplex=False)
                result_read, result_write = context.Pipe(duplex=False)
                process = context.Process(
                    target=workers.run,
                    args=(
                        i,
                        count,
                        base + i,
                        loader.dataset,
                        fetch,
                        loader.worker_init_fn,
                        task_read,
                        result_write,
                    ),
                    daemon=True,
                )
                with warnings.catch_warnings():
                    # Python 3.12 warns of fork beside threads; ours are made anew in the child.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    process.start()
                task_read.close()
                result_write.close()
                self.processes.append(process)
                self.tasks.append(task_write)
                self.results.append(result_read)
        except BaseException:
            self.close()
            raise

    def _base_seed(self) -> int:
        generator = self.loader.generator or fresh_generator()
        drawn = _C._empty((), _C.int64)
        _C._random_integers_(drawn, 0, 2**62, *stream(generator))
        return int(drawn.item())

    def __iter__(self) -> Iterator[Any]:
        try:
            for _ in range(self.loader.prefetch_factor):
                for worker in range(len(self.processes)):
                    self._send_next(worker)
            number = 0
            while number < self.sent:
                if number in self.owner:
                    batch = self._wait_for(number)
                    worker = self.owner.pop(number)
                    if isinstance(batch, _End):
                        self.active[worker] = False
                    else:
                        self._send_next(worker)
                        if isinstance(batch, workers.WorkerError):
                            batch.reraise()
                        yield batch
                number += 1
        finally:
            self.close()

    def _send_next(self, worker: int) -> None:
        """The next indices to this worker, if there are any."""
        if not self.active[worker]:
            return
        indices = None
        if self.index is not None:
            try:
                indices = next(self.index)
            except StopIteration:
                self.index = iter(())
                return
        try:
            self.tasks[worker].send((self.sent, indices))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the wait for its result says what happened to it
        self.owner[self.sent] = worker
        self.sent += 1

    def _wait_for(self, number: int) -> Any:
        from multiprocessing.connection import wait

        while number not in self.finished:
            sentinels = [p.sentinel for p in self.processes]
            timeout = self.loader.timeout or None
            ready = wait([*self.results, *sentinels], timeout)
            if not ready:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            took = False
            for worker, connection in enumerate(self.results):
                if connection in ready:
                    took = self._take(worker, connection) or took
            if not took:
                self._report_death()
        return self.finished.pop(number)

    def _take(self, worker: int, connection: Any) -> bool:
        try:
            done, batch = workers.receive(connection)
        except (EOFError, OSError):
            self._report_death(worker)
        self.finished[done] = batch
        return True

    def _report_death(self, worker: int | None = None) -> None:
        if worker is not None:
            self.processes[worker].join(1.0)
        dead = [p for p in self.processes if not p.is_alive()]
        if worker is not None and not dead:
            dead = [self.processes[worker]]
        if dead:
            codes = ", ".join(f"{p.pid} (exit code {p.exitcode})" for p in dead)
            raise RuntimeError(f"DataLoader worker (pid(s) {codes}) exited unexpectedly")

    def close(self) -> None:
        """Ends the workers: a word first, then force."""
        for connection in self.tasks:
            try:
                connection.send(None)
            except (BrokenPipeError, OSError):
                pass
            connection.close()
        # A worker may be blocked writing a batch that nobody wants.
        for connection in self.results:
            connection.close()
        for process in self.processes:
            process.join(1.0)
            if process.is_alive():
                process.terminate()
                process.join(1.0)
                if process.is_alive():
                    process.kill()
                    process.join()
        self.processes, self.tasks, self.results = [], [], []


__all__ = ["DataLoader", "Sampler"]
