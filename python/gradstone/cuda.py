"""The CUDA device, under PyTorch's names. Without one, questions have the answer no and everything
else raises RuntimeError.

Work is put into a stream and runs in its order: a call returns when the work is in the stream, not
when it is done. `synchronize` waits; reading a value (`.item()`, `.numpy()`, `.cpu()`) waits too.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradstone import _C
from gradstone import random as _random
from gradstone._C import Tensor
from gradstone._capture import recording as _recording
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


def set_device(device: DeviceLike | int) -> None:
    """Chooses the device to use. There is one: RuntimeError for any but the first; a negative
    number changes nothing, as in PyTorch."""
    index, most = _index(device), max(device_count() - 1, 0)
    if index < 0:
        return
    current_device()
    if index > most:
        raise RuntimeError(f"[set_device] expected a CUDA device in [0, {most}], got {index}.")


class device:
    """with cuda.device(0): the device to use inside. There is one: RuntimeError for any but the
    first; None or a negative number changes nothing."""

    def __init__(self, device: DeviceLike | int) -> None:
        self.idx = -1 if device is None else _index(device)

    def __enter__(self) -> device:
        set_device(self.idx)
        return self

    def __exit__(self, *_: object) -> None:
        pass


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
    """Bytes in use, their peak, bytes kept for reuse (`cached`), how many allocations, and how many
    of the bytes in use captured graphs hold (`graphs`)."""
    return _C._cuda_memory_stats(_index(device))


def memory_allocated(device: DeviceLike | int = None) -> int:
    """Bytes that tensors and captured graphs take now."""
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


def set_per_process_memory_fraction(fraction: float, device: DeviceLike | int = None) -> None:
    """Limits what is held from the device to a part of its memory, in (0, 1]."""
    if not 0 < fraction <= 1:
        raise ValueError(
            "[set_per_process_memory_fraction] expected a fraction above 0 and up to 1, got "
            f"{fraction}."
        )
    total = get_device_properties(device).total_memory
    set_memory_limit(0 if fraction == 1 else int(fraction * total), device)


def empty_cache() -> None:
    """Gives memory that is kept for reuse, pinned memory too, back to the device and the system.
    RuntimeError while a graph is captured."""
    _C._cuda_empty_cache()


def memory_summary(device: DeviceLike | int = None, abbreviated: bool = False) -> str:
    """What `memory_stats` tells, as a table to print."""
    stats = memory_stats(device)
    rows = [
        ("in use", stats["in_use"]),
        ("  by captured graphs", stats["graphs"]),
        ("  at its peak", stats["peak"]),
        ("kept for reuse", stats["cached"]),
        ("held from the device", stats["in_use"] + stats["cached"]),
    ]
    lines = [f"memory of cuda:{_index(device)}"]
    lines += [f"  {name:<24}{size / 2**20:>12.1f} MB" for name, size in rows]
    return "\n".join([*lines, f"  {'allocations':<24}{stats['allocations']:>12}"])


# ----------------------------------------------------------------------------- streams and events


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


# ----------------------------------------------------------------------------------------- graphs


def is_current_stream_capturing() -> bool:
    """Whether this thread captures a graph: its work is recorded, not done."""
    return _C._cuda_is_capturing()


def graph_pool_handle() -> tuple[int, int]:
    """Names a pool of memory that several graphs may share, for `pool=`."""
    return 0, _C._cuda_new_graph_pool()


class CUDAGraph:
    """Work of one stream, captured once and replayed with one call.

    Between `capture_begin` and `capture_end` (`with gs.cuda.graph(g):` calls both) operations are
    recorded and not done. `replay` does them all, with the same memory: tensors that existed before
    are read and written where they are, tensors made in the capture keep their memory until the
    graph is dropped. Numbers of Python are fixed at the capture, except that each replay

    * draws the random numbers that the operations would draw now from the default generator;
    * steps the captured optimizers with the learning rates and other options of now, and advances
      their step counts.

    RuntimeError, naming the operation, for what a capture cannot hold: values that the host asks
    for, copies to and from the host, results whose shape depends on values, another stream, a
    generator of one's own, an optimizer's first step. Indices that are out of range raise
    IndexError when a later call waits for the device or replays, not before.
    """

    def __init__(self) -> None:
        self._native = _C._CudaGraph()
        self._steps: list[Callable[[], None]] = []

    def capture_begin(
        self, pool: tuple[int, int] | None = None, capture_error_mode: str = "thread_local"
    ) -> None:
        """Records what this thread puts into its current stream, which must not be the default one.
        Memory comes from `pool` (`graph_pool_handle`, or another graph's `pool()`): graphs that
        share one must be replayed in the order of their capture. `capture_error_mode` is PyTorch's;
        other threads may always go on with their work."""
        if capture_error_mode not in ("global", "thread_local", "relaxed"):
            raise ValueError(
                "[capture_begin] expected capture_error_mode 'global', 'thread_local' or "
                f"'relaxed', got {capture_error_mode!r}."
            )
        _C.clear_autocast_cache()  # what was cast before would not be cast by replays
        self._native.begin_capture(0 if pool is None else pool[1])
        self._steps = []
        _recording.steps = self._steps

    def capture_end(self) -> None:
        """Ends the recording. The graph can be replayed then."""
        self._end(True)

    def _end(self, keep: bool) -> None:
        try:
            _C.clear_autocast_cache()
            self._native.end_capture(keep)
        finally:
            if not _C._cuda_is_capturing():
                _recording.steps = None

    def replay(self) -> None:
        """Does the recorded work, in the current stream. Replays of one graph come one after the
        other."""
        self._native.begin_replay()
        try:
            for step in self._steps:
                step()
        except BaseException:
            self._native.end_replay(False)
            raise
        self._native.end_replay(True)

    def reset(self) -> None:
        """Waits for the last replay, and gives the graph's memory back. Tensors made in the capture
        stay valid, but are not written any more."""
        self._native.reset()
        self._steps = []

    def pool(self) -> tuple[int, int]:
        """Names this graph's memory, for the `pool=` of another one."""
        return 0, self._native.pool()


class graph:
    """with cuda.graph(g): captures what is inside, in `stream` or one for captures. An exception
    inside drops what was captured, and is raised."""

    default_capture_stream: _C._CudaStream | None = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: tuple[int, int] | None = None,
        stream: _C._CudaStream | None = None,
        capture_error_mode: str = "thread_local",
    ) -> None:
        self._graph, self._pool, self._mode = cuda_graph, pool, capture_error_mode
        if stream is None:
            if graph.default_capture_stream is None:
                graph.default_capture_stream = Stream()
            stream = graph.default_capture_stream
        self._stream = stream

    def __enter__(self) -> None:
        _recording.refuse("graph", "a graph does not hold another one.")
        gc.collect()  # so that nothing old is dropped in the middle
        empty_cache()  # a graph's memory is its own, so nothing that is kept would serve it
        self._before = current_stream()
        set_stream(self._stream)
        try:
            self._graph.capture_begin(self._pool, self._mode)
        except BaseException:
            set_stream(self._before)
            raise

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            self._graph._end(kind is None)
        finally:
            set_stream(self._before)


class GraphedStep:
    """What `make_graphed_step` returns."""

    def __init__(
        self, function: Callable[..., Any], inputs: tuple[Tensor, ...], warmup: int
    ) -> None:
        self._function = function
        self._left = warmup  # calls to come before the capture
        self._inputs = tuple(_C._empty(t.shape, t.dtype, "cuda") for t in inputs)
        self._outputs: Any = None
        self._graph: CUDAGraph | None = None
        self._stream = Stream()
        self._called, self._done = Event(), Event()

    def __call__(self, *inputs: Tensor) -> Any:
        self._check(inputs)
        outside = current_stream()
        self._called.record(outside)
        self._called.wait(self._stream)
        with stream(self._stream):
            for own, given in zip(self._inputs, inputs):
                if given is not own:
                    given = given.detach()
                    own.copy_(given if given.is_cuda else given.pin_memory(), True)
            outputs = self._run()
        self._done.record(self._stream)
        self._done.wait(outside)
        return outputs

    def _run(self) -> Any:
        if self._left > 0:
            outputs = _detached(self._function(*self._inputs))
            self._left -= 1
            return outputs
        if self._graph is None:
            captured = CUDAGraph()
            with graph(captured, stream=self._stream):
                self._outputs = _detached(self._function(*self._inputs))
            self._graph = captured
        self._graph.replay()
        return self._outputs

    def _check(self, inputs: tuple[Any, ...]) -> None:
        name = getattr(self._function, "__name__", "step")
        if len(inputs) != len(self._inputs):
            raise TypeError(
                f"[{name}] expected {len(self._inputs)} tensors, as in example_inputs, got "
                f"{len(inputs)} inputs."
            )
        for i, (own, given) in enumerate(zip(self._inputs, inputs)):
            if not isinstance(given, Tensor):
                raise TypeError(f"[{name}] expected input {i} to be a tensor, got {given!r}.")
            if given.shape != own.shape or given.dtype != own.dtype:
                raise ValueError(
                    f"[{name}] expected input {i} of shape {tuple(own.shape)} and dtype "
                    f"{own.dtype}, as in example_inputs, got {tuple(given.shape)} and "
                    f"{given.dtype}; other shapes need a graphed step of their own."
                )

    def reset(self) -> None:
        """Drops the graph and its memory. The next call captures anew."""
        if self._graph is not None:
            self._graph.reset()
        self._graph = self._outputs = None


def make_graphed_step(
    function: Callable[..., Any], example_inputs: Tensor | tuple[Tensor, ...], warmup: int = 3
) -> GraphedStep:
    """`function`, a training step for instance, as a callable that replays a captured graph.

    ``step(*inputs)`` takes tensors of the shapes and dtypes of `example_inputs`, on any device, and
    returns what `function` returns, without history. The first `warmup` calls run `function` as it
    is, the next one captures it (see `CUDAGraph` for what it must not do), and that one and all
    later ones replay: every call is one step, with the same results, bit for bit, as calls of
    `function` would have. At least one call must come before the capture where an optimizer makes
    its state. From the capture on the results lie in the same tensors, which the next call writes
    anew: ``clone()`` what is to be kept.

    Learning rates may be changed between calls (call ``scheduler.step()`` outside of `function`).
    Everything else that Python decides inside of it is decided once.

    ValueError for inputs of another shape or dtype, TypeError for a wrong number of them.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    for i, given in enumerate(inputs):
        if not isinstance(given, Tensor):
            raise TypeError(
                f"[make_graphed_step] expected tensors as example_inputs, got {given!r} at {i}."
            )
    if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 0:
        raise ValueError(f"[make_graphed_step] expected warmup of 0 or more, got {warmup!r}.")
    return GraphedStep(function, inputs, warmup)


def _detached(value: Any) -> Any:
    """Without history, so that a captured backward's memory is not kept for another one."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_detached(item) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_detached(item) for item in value)
    return value


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
