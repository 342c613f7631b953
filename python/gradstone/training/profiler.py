"""Where the time and the memory of one training step go."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.nn import Module
from gradstone.optim.optimizer import Optimizer
from gradstone.training import batches
from gradstone.training._watching import Watch
from gradstone.training.arguments import check_made
from gradstone.training.put_back import put_back
from gradstone.training.step_profile import LOSS, StepProfile

__all__ = ["StepProfile", "profile_step"]


def profile_step(
    model: Module,
    loss: Callable[..., Tensor],
    batch: Any,
    optimizer: Optimizer | None = None,
    *,
    warmup: int = 1,
    repeats: int = 3,
) -> StepProfile:
    """Does one training step (forward, loss, backward, step of the optimizer when given) and
    measures every operation and every module of it.

    `batch`: (inputs, targets) or (inputs, targets, weights) as the Trainer takes them, on the
    model's device. `warmup` steps that nobody times come first, then `repeats` that are timed as a
    whole, then `repeats` that are watched; of both the fastest is told. Behind, also after an
    error, model, optimizer and random numbers are as before, to the bit (see ``put_back``); inside
    the mode is training. The mark of the highest memory (``gs.memory_stats()["peak"]``) begins
    anew.

    What is seen: every native operation called from Python, wherever in the program, with operators
    and methods; its gradient from the moment the engine reaches it to the moment it reaches the
    next. What is not: the parts of one native operation; the gradient of an operation whose result
    Python never saw (it counts with the one before it); operations held where no module names them
    (a default argument, a list, a ``partial``) and those of other threads, which show as time
    between operations, and whose gradients count with the one before. Watching costs some
    microseconds for each operation and module, most of it shown as between operations: compare
    `seconds` with `plain` before believing small figures. On a GPU every operation is waited for:
    what would have run side by side stands one after the other.
    """
    check_made("profile_step", model=model, loss=loss)
    whole("profile_step", "warmup", warmup)
    whole("profile_step", "repeats", repeats, 1)
    params = list(model.parameters())
    device = params[0].device if params else _C.device("cpu")
    inputs, targets, weights = batches.split(batch)
    with put_back(model, optimizer):
        model.train()

        def step(watch: Watch | None = None) -> None:
            _step(model, loss, inputs, targets, weights, optimizer, watch)

        def clear() -> None:
            for p in params:
                p.grad = None

        for _ in range(warmup):
            step()
            clear()
        times = []
        for _ in range(repeats):
            times.append(_timed(step, device))
            clear()
        seen = [_watched(model, device, step, clear) for _ in range(repeats)]
    # The fastest: the others were also about something else that ran on the machine.
    watch, seconds, peak, before = min(seen, key=lambda one: one[1])
    counts = {path: sum(p.numel() for p in m.parameters()) for path, m in model.named_modules()}
    modules = [event for event in watch.modules if event.module != LOSS]
    return StepProfile(
        watch.events,
        modules,
        watch.phases,
        seconds,
        min(times),
        peak,
        before,
        str(device),
        watch.starts,
        counts,
    )


def _step(
    model: Module,
    loss: Callable[..., Tensor],
    inputs: Any,
    targets: Any,
    weights: Any,
    optimizer: Optimizer | None,
    watch: Watch | None,
) -> None:
    """Forward, loss, backward, optimizer; each a phase of `watch`."""

    def phase(name: str) -> Any:
        return nullcontext() if watch is None else watch.phase(name)

    with phase("forward"):
        output = batches.call(model, inputs)
    with phase("loss"), nullcontext() if watch is None else watch.inside(LOSS):
        total = loss(output, targets) if weights is None else loss(output, targets, weights)
    with phase("backward"):
        total.backward()
    if optimizer is not None:
        with phase("optimizer"):
            optimizer.step()


def _watched(
    model: Module, device: Any, step: Callable[[Watch], None], clear: Callable[[], None]
) -> tuple[Watch, float, int, int]:
    """A step seen by a watch; seconds, the most bytes in use, and the bytes in use before."""
    with Watch(model, device) as watch:
        before = watch.memory()["in_use"]
        _reset_peak(device)
        start = watch.now()
        step(watch)
        seconds = watch.now() - start
        peak = watch.memory()["peak"]
    clear()
    return watch, seconds, peak, before


def _timed(step: Callable[[], None], device: Any) -> float:
    if device.type == "cuda":
        _C._cuda_synchronize()
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        _C._cuda_synchronize()
    return time.perf_counter() - start


def _reset_peak(device: Any) -> None:
    if device.type == "cuda":
        _C._cuda_reset_peak_memory(device.index or 0)
    else:
        _C.reset_peak_memory()
