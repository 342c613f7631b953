"""Which learning rate to begin with: the range test of Smith (2017)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradstone._C import Tensor
from gradstone._checks import real, whole
from gradstone.nn import Module
from gradstone.optim.optimizer import Optimizer
from gradstone.training import batches
from gradstone.training.arguments import check_loader, check_made
from gradstone.training.put_back import put_back


class LearningRateFinder:
    """What a range test found: `rates`, `losses` as they came, `smoothed`; ``suggestion()`` and
    ``plot()``. Made by :func:`find_lr`."""

    def __init__(self, rates: list[float], losses: list[float], smoothed: list[float]) -> None:
        self.rates = rates
        self.losses = losses
        self.smoothed = smoothed

    def suggestion(self, how: str = "steepest", *, skip: int = 10) -> float:
        """A rate to begin with. "steepest": where the smoothed loss falls fastest over the
        logarithm of the rate, before its minimum; "minimum": a tenth of the rate at the minimum
        (both customary since Smith, 2017). The first `skip` losses, which are an average of too
        few to tell a slope, are not looked at for the steepest place unless the minimum is among
        them. ValueError when the loss never fell."""
        if how not in ("steepest", "minimum"):
            raise ValueError(
                f"[LearningRateFinder] expected how to be 'steepest' or 'minimum', got {how!r}."
            )
        losses = np.asarray(self.smoothed)
        lowest = int(np.argmin(losses)) if losses.size else 0
        if lowest == 0:
            raise ValueError(
                "[LearningRateFinder] the loss never fell: begin with a smaller start, or look at "
                "the model, the loss and the data."
            )
        if how == "minimum":
            return self.rates[lowest] / 10
        first = min(whole("suggestion", "skip", skip), lowest - 1)
        part = slice(first, lowest + 1)
        slopes = np.gradient(losses[part], np.log(self.rates[part]))
        return self.rates[first + int(np.argmin(slopes))]

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Loss over rate as a matplotlib Figure, with the suggestion marked; written to `path` when
        given."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError(
                "LearningRateFinder.plot draws with matplotlib: pip install 'gradstone[plot]'"
            ) from None
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="tab:blue", alpha=0.3, label="loss")
        axes.plot(self.rates, self.smoothed, color="tab:blue", label="smoothed")
        try:
            rate = self.suggestion()
        except ValueError:
            pass
        else:
            axes.axvline(rate, color="tab:red", linestyle="--", label=f"suggestion {rate:.2g}")
        axes.set_xscale("log")
        finite = [v for v in self.smoothed if math.isfinite(v)]
        if finite:  # what the last rates do would hide the rest
            low, high = min(finite), max(finite[0], min(finite))
            margin = 0.2 * max(high - low, 1e-12)
            axes.set_ylim(low - margin, high + 3 * margin)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.grid(alpha=0.3)
        axes.legend()
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure


def find_lr(
    model: Module,
    optimizer: Optimizer,
    loss: Callable[..., Tensor],
    loader: Iterable[Any],
    *,
    start: float = 1e-7,
    end: float = 1.0,
    steps: int = 100,
    smoothing: float = 0.9,
    stop_factor: float = 4.0,
    device: Any = None,
) -> LearningRateFinder:
    """Trains `steps` batches with a rate that rises geometrically from `start` to `end`, and notes
    the loss (L. Smith, Cyclical Learning Rates for Training Neural Networks, 2017).

    The losses are smoothed by an average with the factor `smoothing` (0: not at all), corrected for
    its beginning; the test ends early when the smoothed loss passes `stop_factor` times its
    minimum, or is not finite. Batches are (inputs, targets) or (inputs, targets, weights) as the
    Trainer takes them; a loader that is shorter than the test begins again. With several parameter
    groups the first has the rate, the others keep their proportion to it.

    Behind, also after an error or Ctrl-C, everything is as before, bit for bit: parameters, buffers
    and gradients, training or evaluation mode, the optimizer's state and options, and the random
    numbers (gradstone's, NumPy's, Python's and those of the loader's generators). Not put back:
    attributes of modules that are neither parameters nor buffers, schedulers that step by
    themselves, and a stream that a loader reads.
    """
    if not 0.0 < real("find_lr", "start", start) < real("find_lr", "end", end) < math.inf:
        raise ValueError(f"[find_lr] expected 0 < start < end, got {start} and {end}.")
    steps = whole("find_lr", "steps", steps, 3)
    if not 0.0 <= real("find_lr", "smoothing", smoothing) < 1.0:
        raise ValueError(f"[find_lr] expected 0 <= smoothing < 1, got {smoothing}.")
    if not real("find_lr", "stop_factor", stop_factor) > 1.0:
        raise ValueError(f"[find_lr] expected stop_factor > 1, got {stop_factor}.")
    check_made("find_lr", model=model, optimizer=optimizer, loss=loss)
    check_loader("find_lr", loader)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, lowest = 0.0, math.inf
    with put_back(model, optimizer, loader):
        proportions = _proportions(optimizer)
        model.train()
        source = _endless(loader)
        for i in range(steps):
            rate = start * (end / start) ** (i / (steps - 1))
            for group, proportion in zip(optimizer.param_groups, proportions):
                group["lr"] = rate * proportion
            value = _step(model, optimizer, loss, next(source), device)
            if not math.isfinite(value):
                break
            average = smoothing * average + (1.0 - smoothing) * value
            rates.append(rate)
            losses.append(value)
            smoothed.append(average / (1.0 - smoothing ** (i + 1)))
            lowest = min(lowest, smoothed[-1])
            if smoothed[-1] > stop_factor * lowest and lowest > 0:
                break
    if not rates:
        raise ValueError(
            f"[find_lr] the first loss, before any step, is not finite: {value}. Look at the "
            "model, the loss and the data."
        )
    return LearningRateFinder(rates, losses, smoothed)


def _step(
    model: Module, optimizer: Optimizer, loss: Callable[..., Tensor], batch: Any, device: Any
) -> float:
    """One step of the optimizer; the loss before it. No step when the loss is not finite."""
    if device is not None:
        batch = batches.on_device(batch, device)
    inputs, targets, weights = batches.split(batch)
    optimizer.zero_grad()
    output = batches.call(model, inputs)
    total = loss(output, targets) if weights is None else loss(output, targets, weights)
    value = total.item()
    if math.isfinite(value):
        total.backward()
        optimizer.step()
    return value


def _proportions(optimizer: Optimizer) -> list[float]:
    given = [float(group["lr"]) for group in optimizer.param_groups]
    return [rate / given[0] if given[0] else 1.0 for rate in given]


def _endless(loader: Iterable[Any]) -> Iterator[Any]:
    """The loader's batches, again and again."""
    given = 0
    while True:
        before = given
        for batch in loader:
            given += 1
            yield batch
        if given == before:
            raise ValueError(
                "[find_lr] the loader gave no batch."
                if not given
                else f"[find_lr] the loader ended after {given} batches and does not begin again: "
                "give a DataLoader or a list, or fewer steps."
            )
