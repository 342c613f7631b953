"""Memory for time: parts of a network that keep only their inputs, and compute again in backward
(Chen et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.amp.autocast_mode import autocast
from gradstone.autograd import backward
from gradstone.autograd.function import Function
from gradstone.autograd.grad_mode import enable_grad
from gradstone.random import fork_rng, get_rng_state, set_rng_state

_DEVICES = ("cpu", "cuda")


class _Run:
    """A function's call: its arguments with the tensors taken out, and what else it depends on."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keep_random: bool,
    ) -> None:
        self.function = function
        self.names = list(kwargs)
        self.values = [*args, *kwargs.values()]
        self.where = [i for i, v in enumerate(self.values) if isinstance(v, Tensor)]
        self.tensors = [self.values[i] for i in self.where]
        for i in self.where:
            self.values[i] = None
        self.random = get_rng_state() if keep_random else None
        self.casts = [
            (device, _C.get_autocast_dtype(device), _C.is_autocast_enabled(device))
            for device in _DEVICES
        ]

    def __call__(self, tensors: Iterable[Tensor]) -> Any:
        values = list(self.values)
        for i, tensor in zip(self.where, tensors):
            values[i] = tensor
        count = len(values) - len(self.names)
        return self.function(*values[:count], **dict(zip(self.names, values[count:])))

    def again(self, tensors: Iterable[Tensor]) -> Any:
        """The call with the random numbers and the precision of the first one."""
        with ExitStack() as stack:
            stack.enter_context(fork_rng(enabled=self.random is not None))
            if self.random is not None:
                set_rng_state(self.random)
            for device, dtype, enabled in self.casts:
                stack.enter_context(autocast(device, dtype, enabled))
            stack.enter_context(enable_grad())
            return self(tensors)


class _Recomputed(Function):
    @staticmethod
    def forward(ctx: Any, run: _Run, anchor: Tensor, *tensors: Tensor) -> Any:
        ctx.run = run
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return run(tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        if _C.is_grad_enabled():
            raise RuntimeError(
                "[checkpoint] a result that is computed again cannot be differentiated twice."
            )
        needed = ctx.needs_input_grad[2:]
        inputs = [t.detach().requires_grad_(need) for t, need in zip(ctx.saved_tensors, needed)]
        outputs = ctx.run.again(inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads)
            if isinstance(y, Tensor) and y.requires_grad and g is not None
        ]
        if pairs:
            backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *(x.grad for x in inputs))


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose inner results are not kept: backward calls it again.

    It gives a tensor or a tuple, and must compute the same both times; random numbers are drawn
    again as they were (`preserve_rng_state`), autocast is as it was. Tensors among the arguments
    receive gradients, parameters that it uses receive theirs in ``.grad``: call ``backward()``, not
    ``autograd.grad`` for those. `use_reentrant` is PyTorch's and changes nothing.
    """
    if not callable(function):
        raise TypeError(
            f"[checkpoint] expected a function or module, got {type(function).__name__}."
        )
    if not _C.is_grad_enabled():
        return function(*args, **kwargs)
    run = _Run(function, args, kwargs, preserve_rng_state)
    # Parameters may need gradients where no argument does: the result is to be a part of the graph.
    anchor = _C._full((0,), 0.0, _C.get_default_dtype()).requires_grad_()
    tensors, run.tensors = run.tensors, []
    return _Recomputed.apply(run, anchor, *tensors)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """A Sequential, or a list of functions, in so many parts, each a ``checkpoint`` but the last,
    which backward begins with."""
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(
            f"[checkpoint_sequential] expected 1 to {len(steps)} segments, got {segments}."
        )

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def call(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return call

    size = len(steps) // segments
    for i in range(segments - 1):
        input = checkpoint(
            part(i * size, (i + 1) * size), input, preserve_rng_state=preserve_rng_state
        )
    return part((segments - 1) * size, len(steps))(input)
