"""Streams of work, and points in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gradstone import _C
from gradstone._types import DeviceLike
from gradstone.cuda.devices import index_of

_current = threading.local()  # keeps the thread's stream alive


class Stream(_C._CudaStream):
    """Work that runs in order; streams run beside each other.

    `wait_stream` and `wait_event` make what follows in this stream wait for another's work.
    """

    def record_event(self, event: Event | None = None) -> Event:
        """Marks this point of the stream's work."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __enter__(self) -> Stream:
        self._before = current_stream()
        set_stream(self)
        return self

    def __exit__(self, *_: object) -> None:
        set_stream(self._before)


class Event(_C._CudaEvent):
    """A point in the work of a stream: `record`, then `wait` in another stream, `synchronize`,
    `query`, or `elapsed_time(end)` in milliseconds (both made with enable_timing=True)."""


def current_stream(device: DeviceLike | int = None) -> _C._CudaStream:
    """The stream that the calling thread puts its work into."""
    index_of(device)
    chosen = getattr(_current, "stream", None)
    return _C._cuda_current_stream() if chosen is None else chosen


def set_stream(stream: _C._CudaStream) -> None:
    """Puts the calling thread's work into this stream from now on."""
    _C._cuda_set_stream(stream)
    _current.stream = stream


@contextmanager
def stream(stream: _C._CudaStream | None) -> Iterator[None]:
    """with cuda.stream(s): work goes into s. None: nothing changes."""
    if stream is None:
        yield
        return
    before = current_stream()
    set_stream(stream)
    try:
        yield
    finally:
        set_stream(before)
