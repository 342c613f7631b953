"""The CUDA device, under PyTorch's names. Without one, questions have the answer no and everything
else raises RuntimeError.

Work is put into a stream and runs in its order: a call returns when the work is in the stream, not
when it is done. `synchronize` waits; reading a value (`.item()`, `.numpy()`, `.cpu()`) waits too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradstone import _C
from gradstone import random as _random
from gradstone._C import Tensor
from gradstone._types import DeviceLike

_current = threading.local()  # keeps the thread's stream alive


@dataclass(frozen=True)
class DeviceProperties:
    """What `get_device_properties` tells; memory in bytes."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int


def _index(device: Any) -> int:
    """The number of a CUDA device given as None, a number, 'cuda:0' or a device."""
    if device is None:
        return 0
    if isinstance(device, int):
        return device
    place = _C.device(device)
    if place.type != "cuda":
        raise ValueError(f"[cuda] expected a CUDA device, got {str(device)!r}.")
    return place.index or 0


# ---------------------------------------------------------------------------------------- devices


def is_available() -> bool:
    """Whether tensors can live on a GPU."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether the CUDA runtime can be used."""
    return is_available()


def device_count() -> int:
    """How many GPUs gradstone can use: 0 or 1."""
    return _C._cuda_device_count()


def current_device() -> int:
    """The number of the device in use."""
    if not is_available():
        raise RuntimeError("[current_device] this machine or this build of gradstone has no GPU.")
    return 0


def get_device_properties(device: DeviceLike | int = None) -> DeviceProperties:
    """Name, compute capability, number of processors and memory of a device."""
    return DeviceProperties(*_C._cuda_properties(_index(device)))


def get_device_name(device: DeviceLike | int = None) -> str:
    """The device's name, as its maker gives it."""
    return get_device_properties(device).name


def get_device_capability(device: DeviceLike | int = None) -> tuple[int, int]:
    """Compute capability: (9, 0) for an H100."""
    found = get_device_properties(device)
    return found.major, found.minor


def synchronize(device: DeviceLike | int = None) -> None:
    """Waits until everything put into the device's streams is done."""
    _index(device)
    _C._cuda_synchronize()


# ----------------------------------------------------------------------------------------- memory


def memory_stats(device: DeviceLike | int = None) -> dict[str, int]:
    """Bytes in use, their peak, bytes kept for reuse (`cached`), and how many allocations."""
    return _C._cuda_memory_stats(_index(device))


def memory_allocated(device: DeviceLike | int = None) -> int:
    """Bytes that tensors take now."""
    return memory_stats(device)["in_use"]


def max_memory_allocated(device: DeviceLike | int = None) -> int:
    """Most bytes that tensors took since the start or `reset_peak_memory_stats`."""
    return memory_stats(device)["peak"]


def memory_reserved(device: DeviceLike | int = None) -> int:
    """Bytes held from the device, in use or kept for reuse."""
    stats = memory_stats(device)
    return stats["in_use"] + stats["cached"]


def reset_peak_memory_stats(device: DeviceLike | int = None) -> None:
    """Starts `max_memory_allocated` anew."""
    _C._cuda_reset_peak_memory(_index(device))


def set_memory_limit(bytes: int, device: DeviceLike | int = None) -> None:
    """Most bytes to hold from the device; 0: no limit. Beyond it MemoryError is raised, and
    everything stays usable."""
    _C._cuda_set_memory_limit(bytes, _index(device))


def empty_cache() -> None:
    """Gives memory that is kept for reuse back to the device."""
    _C._cuda_empty_cache()


# ----------------------------------------------------------------------------- streams and events


class Stream(_C._CudaStream):
    """Work that runs in order; streams run beside each other.

    `wait_stream` and `wait_event` make what follows in this stream wait for another's work.
    """

    def wait_event(self, event: Event) -> None:
        """What is put into this stream from now on waits for the event."""
        event.wait(self)

    def wait_stream(self, stream: _C._CudaStream) -> None:
        """What is put into this stream from now on waits for what is in the other."""
        event = Event()
        event.record(stream)
        event.wait(self)

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
    _index(device)
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


# --------------------------------------------------------------------------------- random numbers


def manual_seed(seed: int) -> None:
    """Seeds the generator. It is one for all devices: the same seed gives the same numbers."""
    _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generator. It is one for all devices: the same seed gives the same numbers."""
    _random.manual_seed(seed)


def get_rng_state_all() -> list[Tensor]:
    """The generator's state, once for each device."""
    return [_random.get_rng_state() for _ in range(device_count())]
