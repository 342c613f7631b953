"""What schedules share that move the momentum against the rate."""

from __future__ import annotations

from typing import Any

from gradstone.optim.lr_scheduler.base import LRScheduler
from gradstone.optim.optimizer import Optimizer


def for_each_group(optimizer: Optimizer, name: str, value: Any) -> list[float]:
    """One number for each parameter group, from one for all or a list of them."""
    count = len(optimizer.param_groups)
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(
                f"{name} must have {count} values, one for each group, got {len(value)}"
            )
        return list(value)
    return [value] * count


class MomentumSchedule(LRScheduler):
    """Sets the momentum of every group, or beta1 where the optimizer has betas."""

    use_beta1: bool

    def _start_momentum(self, optimizer: Optimizer, base: Any, high: Any) -> None:
        """Begins at the high one; both limits are kept in the groups."""
        if not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` enabled"
            )
        highs = for_each_group(optimizer, "max_momentum", high)
        bases = for_each_group(optimizer, "base_momentum", base)
        for group, m, b in zip(optimizer.param_groups, highs, bases):
            self._set_momentum(group, m)
            group["max_momentum"] = m
            group["base_momentum"] = b

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value
