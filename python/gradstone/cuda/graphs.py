"""Work that is captured once and replayed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._capture import recording as _recording
from gradstone.cuda.memory import empty_cache
from gradstone.cuda.streams import Stream, current_stream, set_stream


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
