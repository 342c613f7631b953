"""Gathered batches: one by one, or each begun when the one before it is handed out.

Writing a batch in the background takes a CPU. A loop that computes on all of them gains nothing and
one that does next to nothing leaves no time for it, so the loop is watched: while it leaves a CPU
idle for long enough, batches are begun ahead. Their values do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from time import perf_counter, process_time
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.utils.data.draws import Draws

MOST_UNWATCHED = 64  # batches between two looks at a loop that leaves no CPU idle


class Batches:
    """The batches of one pass over a data set that gathers.

    `pinned`: written into pinned memory, by data sets that gather later. `position` in the pass is
    that of the first batch's first item.
    """

    def __init__(
        self,
        dataset: Any,
        draws: Draws,
        indices: Iterator[Tensor],
        pinned: bool = False,
        position: int = 0,
    ) -> None:
        self._dataset = dataset
        self._pinned = pinned
        self._draws = draws
        self._indices = indices
        self._position = position  # of the next batch's first item

    def one_by_one(self, most: int | None = None) -> Iterator[list[Any]]:
        """Each batch when it is asked for; all that are left, or so many."""
        if self._pinned:
            while (most is None or most > 0) and (begun := self._begin()) is not None:
                yield begun.finish()
                most = None if most is None else most - 1
            return
        for index in islice(self._indices, most):
            with self._draws.at(self._position):
                batch = self._dataset.gather(index)
            yield batch
            self._position += index.size(0)

    def ahead(self) -> Iterator[list[Any]]:
        """Written in the background while the loop works, as long as that pays.

        Indices may be taken one batch early: they must not depend on what the loop does.
        """
        unwatched = 1
        while (begun := self._begin()) is not None:
            if not begun.fill:  # too small, or one CPU: that does not change
                yield begun.finish()
                yield from self.one_by_one()
                return
            start, cpu_start = perf_counter(), process_time()
            batch = begun.finish()
            filled, cpu_filled = perf_counter(), process_time()
            yield batch
            loop, cpu_loop = perf_counter() - filled, process_time() - cpu_filled
            if _pays(loop, cpu_loop, cpu_filled - cpu_start):
                yield from self._while_it_pays(filled - start)
                unwatched = 1
            else:
                yield from self.one_by_one(unwatched)
                unwatched = min(2 * unwatched, MOST_UNWATCHED)

    def _while_it_pays(self, filling: float) -> Iterator[list[Any]]:
        """Until a batch has to be waited for, of which the caller would write one in `filling`."""
        begun = self._begin()
        while begun is not None:
            start = perf_counter()
            batch = begun.finish()
            late = begun.started and _late(perf_counter() - start, filling)
            begun = None if late else self._begin()
            if begun is not None:
                begun.start()
            yield batch

    def _begin(self) -> _Begun | None:
        index = next(self._indices, None)
        if index is None:
            return None
        position = self._position
        self._position += index.size(0)
        return _Begun(self._dataset, self._draws, position, index, self._pinned)


class _Begun:
    """A batch whose arguments are checked and whose tensors exist, to be written by `fill`."""

    def __init__(
        self, dataset: Any, draws: Draws, position: int, index: Tensor, pinned: bool
    ) -> None:
        self._gather, self._draws = dataset.gather, draws
        self._position, self._index = position, index
        self._settings = _settings()
        self.fill = _C._Fill(pinned)
        self.started = False
        self._batch: list[Any] | None = None
        try:
            with draws.at(position):
                self._batch = dataset.gather_later(index, self.fill)
        except Exception:  # an error belongs to the turn of its batch, and finish() meets it again
            self.fill = _C._Fill()

    def start(self) -> None:
        self.started = True
        self.fill.start()

    def finish(self) -> list[Any]:
        """The batch, as gather() gives it now."""
        if self._batch is None or self._settings != _settings():
            with self._draws.at(self._position):
                return self._gather(self._index)
        self.fill.finish()
        return self._batch


def _settings() -> tuple[Any, ...]:
    """What a gathered batch depends on beside its data."""
    return _C.is_grad_enabled(), _C.is_inference_mode(), _C.get_default_dtype()


_cpus = cache(_C.available_cpus)


def _pays(loop: float, cpu_loop: float, cpu_filling: float) -> bool:
    """Whether the loop left a CPU idle for as long as writing a batch takes on one."""
    return min(loop, _cpus() * loop - cpu_loop) > cpu_filling


def _late(waited: float, filling: float) -> bool:
    return waited > filling / 2
