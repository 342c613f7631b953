"""The schedule that goes up and down again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradstone._checks import whole
from gradstone.optim.lr_scheduler.base import check_optimizer, set_value
from gradstone.optim.lr_scheduler.momentum import MomentumSchedule, for_each_group
from gradstone.optim.optimizer import Optimizer

_MODES = ("triangular", "triangular2", "exp_range")


class CyclicLR(MomentumSchedule):
    """Straight up from base_lr to max_lr in step_size_up steps and down again in step_size_down,
    with momentum (or beta1) moving the other way (Smith, 2017).

    The height of a cycle is constant ("triangular"), halved from cycle to cycle ("triangular2"),
    or multiplied by gamma at every step ("exp_range"). `scale_fn` in their place gives a factor
    on the height for the number of the cycle (from 1), or with scale_mode "iterations" of the step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[int], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        up = whole("CyclicLR", "step_size_up", step_size_up, 1)
        down = up
        if step_size_down is not None:
            down = whole("CyclicLR", "step_size_down", step_size_down, 1)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if scale_fn is None and mode not in _MODES:
            raise ValueError(f"[CyclicLR] expected mode to be one of {_MODES}, got {mode!r}.")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(
                f"[CyclicLR] expected scale_mode 'cycle' or 'iterations', got {scale_mode!r}."
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        bases = for_each_group(optimizer, "base_lr", base_lr)
        self.max_lrs = for_each_group(optimizer, "max_lr", max_lr)
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, bases):
                set_value(group, "lr", lr)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: int) -> float:
        """The factor on the height of a cycle."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "triangular":
            return 1.0
        return 0.5 ** (x - 1) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[float]:
        done = self.last_epoch / self.total_size
        cycle = math.floor(1 + done)
        part = 1 + done - cycle
        if part <= self.step_ratio:
            height = part / self.step_ratio
        else:
            height = (part - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                low, high = group["base_momentum"], group["max_momentum"]
                self._set_momentum(group, high - (high - low) * height)
        return [base + (high - base) * height for base, high in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a function of one's own."""
        return {k: v for k, v in super().state_dict().items() if k != "_scale_fn"}
