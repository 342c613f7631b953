"""A function whose work is captured when it is called, and replayed from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.cuda.graphs import CUDAGraph, graph
from gradstone.cuda.streams import Event, Stream, current_stream, stream


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
