"""The worker processes of a loader, and a pass over a data set by them.

Batch n belongs to the worker whose turn it is, and each worker answers in order, so the main
process always knows whose answer it waits for. A worker has a slot of shared memory for each batch
it may be asked for and two more; while the user holds so many batches that none is free, a batch is
copied out of its slot.
"""

from __future__ import annotations

import os
import select
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from gradstone.utils.data import worker as workers
from gradstone.utils.data.fetch import End
from gradstone.utils.data.shared import Slot


class _Worker:
    """The main process's side of one worker."""

    def __init__(self, context: Any, number: int, count: int, prefetch: int, job: Any) -> None:
        self.prefetch = prefetch
        self.slots = [Slot() for _ in range(prefetch + 2)]
        self.free = deque(range(len(self.slots)))
        self.asked: deque[tuple[int, int]] = deque()  # (batch, slot) in the order of the answers
        self.active = True
        task_read, self.tasks = context.Pipe(duplex=False)
        self.results, result_write = context.Pipe(duplex=False)
        self.process = context.Process(
            target=workers.run,
            args=(number, count, *job, task_read, result_write, self.slots),
            daemon=True,
        )
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of fork beside threads; ours are made anew in the child.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.process.start()
        finally:
            task_read.close()
            result_write.close()
        self._poller = select.poll()
        self._poller.register(self.results.fileno(), select.POLLIN)
        self._poller.register(self.process.sentinel, select.POLLIN)

    def tell(self, message: Any) -> None:
        """Sends a task; the wait for its answer says what happened to a worker that is gone."""
        try:
            self.tasks.send(message)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def ask(self, number: int, position: int, indices: Any) -> None:
        """Asks for a batch."""
        slot = self.free.popleft()
        self.asked.append((number, slot))
        self.tell(workers.Task(number, position, indices, slot))

    def _answer(self, timeout: float) -> tuple[int, Any]:
        """The next answer: its slot, and where in it the batch lies or an error."""
        if not self._poller.poll(timeout * 1000 if timeout else None):
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        try:
            number, where = workers.take_answer(self.results)
        except (EOFError, OSError):
            self._report_death()
        asked, slot = self.asked.popleft()
        assert number == asked
        return slot, where

    def batch(self, timeout: float) -> Any:
        """The next batch of this worker, or a WorkerError."""
        slot, where = self._answer(timeout)
        if isinstance(where, workers.WorkerError):
            self.free.append(slot)
            return where
        # Slots for all batches that may be asked for stay out of the user's hands.
        if len(self.free) + len(self.asked) >= self.prefetch:
            # Appending to a deque is safe wherever the last reference goes.
            return self.slots[slot].read(where, lambda: self.free.append(slot))
        value = self.slots[slot].read(where, None)
        self.free.append(slot)
        return value

    def drain(self, timeout: float) -> None:
        """Takes the answers that nobody wants any more."""
        while self.asked:
            self.free.append(self._answer(timeout)[0])

    def _report_death(self) -> NoReturn:
        self.process.join(1.0)
        raise RuntimeError(
            f"DataLoader worker (pid(s) {self.process.pid} (exit code {self.process.exitcode})) "
            "exited unexpectedly"
        )

    def hang_up(self) -> None:
        """The last word. A worker that is busy finds the pipes closed."""
        try:
            self.tasks.send(None)
        except (BrokenPipeError, OSError):
            pass
        self.tasks.close()
        self.results.close()

    def end(self) -> None:
        """Waits a second for the process, then uses force."""
        self.process.join(1.0)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(1.0)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
        for slot in self.slots:
            slot.close()


class WorkerPool:
    """Worker processes, for one pass or for many."""

    def __init__(
        self,
        count: int,
        prefetch: int,
        timeout: float,
        dataset: Any,
        fetch: Any,
        init: Callable[[int], Any] | None,
    ) -> None:
        import multiprocessing

        self._owner = os.getpid()
        self.workers: list[_Worker] = []
        self.busy = False
        self._prefetch = prefetch
        self._timeout = timeout
        self._sent = 0  # batches asked for, in all passes
        context = multiprocessing.get_context("fork")
        try:
            for number in range(count):
                self.workers.append(
                    _Worker(context, number, count, prefetch, (dataset, fetch, init))
                )
        except BaseException:
            self.close()
            raise

    def usable(self) -> bool:
        """Whether another pass may begin."""
        return not self.busy and bool(self.workers) and self._owner == os.getpid()

    def run(self, seed: int, index: Iterator[Any] | None, batched: bool) -> Iterator[Any]:
        """One pass. `index` gives the indices of each batch; None: the workers know the data."""
        self.busy = True
        healthy = False
        try:
            for worker in self.workers:
                worker.drain(self._timeout)  # what a pass that was left early had asked for
                worker.active = True
                worker.tell(workers.NewPass(seed))
            turns: deque[_Worker] = deque()
            position = 0

            def ask(worker: _Worker) -> None:
                nonlocal index, position
                indices: Any = None
                if index is not None:
                    try:
                        indices = next(index)
                    except StopIteration:
                        index = iter(())
                        return
                worker.ask(self._sent, position, indices)
                turns.append(worker)
                self._sent += 1
                position += len(indices) if batched and index is not None else 1

            for _ in range(self._prefetch):
                for worker in self.workers:
                    ask(worker)
            while turns:
                worker = turns.popleft()
                batch = worker.batch(self._timeout)
                if isinstance(batch, End):
                    worker.active = False
                    continue
                if worker.active:
                    ask(worker)
                if isinstance(batch, workers.WorkerError):
                    healthy = True
                    batch.reraise()
                healthy = True
                yield batch
                del batch
                healthy = False
            healthy = True
        finally:
            self.busy = False
            if not healthy:
                self.close()

    def close(self) -> None:
        """Ends the workers."""
        ending, self.workers = self.workers, []
        if self._owner != os.getpid():
            return  # a copy in a process that somebody forked
        for worker in ending:
            worker.hang_up()
        for worker in ending:
            worker.end()

    def __del__(self) -> None:
        self.close()
