"""Worker processes: forked, each with a pipe for its tasks and one for its results.

Batches cross as pickled structures whose array memory follows out of band, into fresh buffers.
"""

from __future__ import annotations

import io
import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradstone import _C
from gradstone import random as gs_random
from gradstone._C import Tensor

_POLL_SECONDS = 5.0


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


class _Pickler(pickle.Pickler):
    """Tensors travel as NumPy arrays, whose memory pickle hands out instead of copying."""

    def reducer_override(self, obj: Any) -> Any:
        """How an object is taken apart; NotImplemented leaves it to the object."""
        if type(obj) is not Tensor:
            return NotImplemented
        array = obj.detach().cpu().contiguous().numpy()
        bits = obj.dtype is _C.bfloat16
        return _rebuild, (array.view(np.uint16) if bits else array, bits, obj.requires_grad)


def _rebuild(array: np.ndarray, bits: bool, requires_grad: bool) -> Tensor:
    if bits:
        import ml_dtypes

        array = array.view(ml_dtypes.bfloat16)
    return _C.from_numpy(array).requires_grad_(requires_grad)


def send(connection: Any, value: Any) -> None:
    """Pickles `value`; the memory of its tensors and arrays follows as it is."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    _Pickler(file, 5, buffer_callback=buffers.append).dump(value)
    head = file.getvalue()
    views = [b.raw() for b in buffers]
    connection.send_bytes(pickle.dumps([v.nbytes for v in views]))
    connection.send_bytes(head)
    for view in views:
        if view.nbytes:
            connection.send_bytes(view)


def receive(connection: Any) -> Any:
    """What ``send`` sent. Tensors own fresh memory."""
    sizes = pickle.loads(connection.recv_bytes())
    head = connection.recv_bytes()
    buffers = []
    for size in sizes:
        buffer = np.empty(size, dtype=np.uint8)
        if size:
            connection.recv_bytes_into(buffer)
        buffers.append(buffer)
    return pickle.loads(head, buffers=buffers)


def run(
    worker: int,
    count: int,
    seed: int,
    dataset: Any,
    fetch: Callable[[Any], Any],
    init: Callable[[int], Any] | None,
    tasks: Any,
    results: Any,
) -> None:
    """The life of a worker: take (number, indices), send (number, batch), until None comes."""
    import signal

    # Ctrl-C reaches the whole group: the main process ends the workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _info
    _C.set_num_threads(1)
    gs_random.manual_seed(seed)
    np.random.seed(seed % 2**32)
    import random

    random.seed(seed)
    _info = WorkerInfo(worker, count, seed, dataset)
    failure: WorkerError | None = None
    try:
        if init is not None:
            init(worker)
    except Exception as error:
        failure = WorkerError(worker, error)
    parent = os.getppid()
    try:
        while True:
            while not tasks.poll(_POLL_SECONDS):
                if os.getppid() != parent:
                    return
            task = tasks.recv()
            if task is None:
                return
            number, indices = task
            answer: Any = failure
            if failure is None:
                try:
                    answer = fetch(indices)
                except Exception as error:
                    answer = WorkerError(worker, error)
            try:
                send(results, (number, answer))
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                send(results, (number, WorkerError(worker, error)))
    except (EOFError, BrokenPipeError):
        return
