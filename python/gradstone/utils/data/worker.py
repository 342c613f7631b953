"""The life of a worker process: tasks come through one pipe, batches lie in shared slots, and a
short message through another pipe says where."""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradstone import _C
from gradstone import random as gs_random
from gradstone.utils.data.shared import Slot, Written

_POLL_MILLISECONDS = 5000


class WorkerInfo(NamedTuple):
    """What ``get_worker_info`` gives inside a worker."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker: its id, how many there are, its seed and its copy of the data set. None
    elsewhere."""
    return _info


class WorkerError:
    """An exception on its way to the main process."""

    def __init__(self, worker: int, error: BaseException) -> None:
        self.worker = worker
        self.kind = type(error)
        self.text = "".join(traceback.format_exception(error))

    def __reduce__(self) -> Any:
        # A class that cannot be pickled by name must not take the message with it.
        kind: Any = self.kind
        try:
            pickle.dumps(kind)
        except Exception:
            kind = RuntimeError
        return _restore_error, (self.worker, kind, self.text)

    def reraise(self) -> None:
        """Raises the worker's exception, with its traceback as the message."""
        message = (
            f"Caught {self.kind.__name__} in DataLoader worker process {self.worker}.\n"
            f"Original {self.text}"
        )
        if self.kind is KeyError:
            raise KeyError(_Text(message))
        try:
            error = self.kind(message)
        except Exception:
            raise RuntimeError(message) from None
        raise error


class _Text(str):
    """Text that a KeyError shows with its line breaks."""

    def __repr__(self) -> str:
        return str(self)


def _restore_error(worker: int, kind: type[BaseException], text: str) -> WorkerError:
    error = WorkerError.__new__(WorkerError)
    error.worker, error.kind, error.text = worker, kind, text
    return error


class NewPass(NamedTuple):
    """A task: what follows belongs to a new pass with this seed."""

    seed: int


class Task(NamedTuple):
    """A batch to make: its number, the position of its first item, its indices, and its slot."""

    number: int
    position: int
    indices: Any
    slot: int


# An answer: the number of the batch and where it lies. Size 0: an error follows as a message.
_ANSWER = struct.Struct("<5q")


def answer(connection: Any, slot: Slot, number: int, value: Any) -> None:
    """Hands over a batch. The message is short, so that it never waits for a reader."""
    try:
        at = slot.write(value)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        at = slot.write(WorkerError(_worker_id(), error))
    except OSError as error:
        lost = MemoryError(f"no shared memory for the batch: {error}")
        connection.send_bytes(_ANSWER.pack(number, 0, 0, 0, 0))
        connection.send_bytes(pickle.dumps(WorkerError(_worker_id(), lost)))
        return
    connection.send_bytes(_ANSWER.pack(number, *at))


def take_answer(connection: Any) -> tuple[int, Written | WorkerError]:
    """What ``answer`` sent: a number, and a place in the slot or an error."""
    number, *at = _ANSWER.unpack(connection.recv_bytes())
    where = Written(*at)
    return number, where if where.size else pickle.loads(connection.recv_bytes())


def _worker_id() -> int:
    return _info.id if _info is not None else 0


def _begin_pass(worker: int, count: int, seed: int, dataset: Any) -> None:
    """The worker's random numbers are those of its seed, whatever passes came before."""
    import random

    global _info
    gs_random.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    _info = WorkerInfo(worker, count, seed, dataset)


def _next_task(tasks: Any, poller: Any, parent: int) -> Any:
    """The next task; None at the end, or when the main process is gone."""
    while not poller.poll(_POLL_MILLISECONDS):
        if os.getppid() != parent:
            return None
    return tasks.recv()


def run(
    worker: int,
    count: int,
    dataset: Any,
    fetch: Any,
    init: Callable[[int], Any] | None,
    tasks: Any,
    results: Any,
    slots: Sequence[Slot],
) -> None:
    """Takes tasks and answers them until None comes."""
    # Ctrl-C reaches the whole group: the main process ends the workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _C.set_num_threads(1)
    parent = os.getppid()
    poller = select.poll()
    poller.register(tasks.fileno(), select.POLLIN)
    failure: WorkerError | None = None
    started = False
    try:
        while (task := _next_task(tasks, poller, parent)) is not None:
            if isinstance(task, NewPass):
                _begin_pass(worker, count, task.seed + worker, dataset)
                fetch.begin(task.seed)
                if not started and init is not None:
                    try:
                        init(worker)
                    except Exception as error:
                        failure = WorkerError(worker, error)
                started = True
                continue
            value: Any = failure
            if failure is None:
                try:
                    value = fetch(task.indices, task.position)
                except Exception as error:
                    value = WorkerError(worker, error)
            answer(results, slots[task.slot], task.number, value)
    except (EOFError, BrokenPipeError):
        return
