"""What every schedule shares."""

from __future__ import annotations

import warnings
from typing import Any

from gradstone._C import Tensor
from gradstone._capture import recording
from gradstone.optim.optimizer import Optimizer, number


def set_value(group: dict[str, Any], key: str, value: float) -> None:
    """Sets a group's value; one kept as a tensor is filled, so that whoever holds it sees it."""
    if isinstance(group[key], Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def check_optimizer(optimizer: Any) -> None:
    """TypeError for what is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"[lr_scheduler] {type(optimizer).__name__} is not an Optimizer.")


def refuse_capture() -> None:
    """RuntimeError while a graph is captured."""
    recording.refuse(
        "lr_scheduler.step", "replays would not do it. Call it outside, between the replays."
    )


class LRScheduler:
    """Base class: ``last_epoch`` counts the steps, a subclass computes the rates in ``get_lr``.

    `last_epoch` of -1 starts anew; another value goes on after that many steps and needs
    "initial_lr" in every group.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", number(group["lr"]))
        else:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        "param 'initial_lr' is not specified in "
                        f"param_groups[{i}] when resuming scheduler with last_epoch >= 0."
                    )
        self.base_lrs: list[float] = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group for ``last_epoch``."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The rates set last."""
        return self._last_lr

    def _lrs(self) -> list[float]:
        return [number(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Goes on by one, or to `epoch` (for schedules with a closed form)."""
        refuse_capture()
        self._step_count += 1
        if self._step_count == 2 and self.optimizer._stepped is False:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value "
                "of the schedule is skipped. Call `optimizer.step()` first.",
                UserWarning,
                stacklevel=2,
            )
        if epoch is None:
            self.last_epoch += 1
            values = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = getattr(self, "_closed_form_lr", None)
            values = self.get_lr() if closed is None else closed()
        for group, lr in zip(self.optimizer.param_groups, values):
            set_value(group, "lr", lr)
        self._last_lr = self._lrs()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what ``state_dict`` gave. Load the optimizer's state too."""
        self.__dict__.update(state_dict)
