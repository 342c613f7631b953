"""Learning rates that depend on how many steps have been taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone.keras._config import Configured


class LearningRateSchedule(Configured):
    """``schedule(step)`` gives the rate."""

    def __call__(self, step: Any) -> float:
        """The rate of this step, counted from 0."""
        raise NotImplementedError


class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate ^ (step / decay_steps), in whole jumps when `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self._keep(locals())

    def _progress(self, step: Any) -> float:
        progress = float(step) / self.decay_steps
        return math.floor(progress) if self.staircase else progress

    def __call__(self, step: Any) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._progress(step)


class InverseTimeDecay(ExponentialDecay):
    """initial / (1 + decay_rate * step / decay_steps)."""

    def __call__(self, step: Any) -> float:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._progress(step))


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps)^power + end, and end after decay_steps."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._keep(locals())

    def __call__(self, step: Any) -> float:
        step, steps = float(step), float(self.decay_steps)
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        rest = (1.0 - min(step, steps) / steps) ** self.power
        return (self.initial_learning_rate - self.end_learning_rate) * rest + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it, after a linear warm-up to the target
    when one is given (Loshchilov and Hutter, 2017)."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._keep(locals())

    def __call__(self, step: Any) -> float:
        step, top = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            step, top = step - self.warmup_steps, self.warmup_target
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return top * ((1.0 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to step boundaries[0], then values[1], and so on."""

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of "
                f"length {len(values)}."
            )
        self._keep(locals())

    def __call__(self, step: Any) -> float:
        return self.values[sum(float(step) > b for b in self.boundaries)]
