"""The cosine schedules."""

from __future__ import annotations

import math

from gradstone._checks import whole
from gradstone.optim.lr_scheduler.base import LRScheduler, refuse_capture
from gradstone.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """eta_min + (initial - eta_min) * (1 + cos(pi * epoch / T_max)) / 2 (Loshchilov and Hutter,
    2017)."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _cos(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        lrs, low = self._lrs(), self.eta_min
        if self._is_initial:
            return lrs
        if self._step_count == 1 and self.last_epoch > 0:
            return self._closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - low) * rise for base, lr in zip(self.base_lrs, lrs)]
        ratio = self._cos(self.last_epoch) / self._cos(self.last_epoch - 1)
        return [ratio * (lr - low) + low for lr in lrs]

    def _closed_form_lr(self) -> list[float]:
        low = self.eta_min
        return [low + (base - low) * self._cos(self.last_epoch) / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down along a cosine from the initial rate to eta_min in T_0 steps, then from the start
    again, each time T_mult times as long (Loshchilov and Hutter, 2017).

    ``step(epoch)`` goes to any epoch, fractions too: ``step(i + batch / batches)``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = whole("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = whole("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = eta_min
        self.T_i = self.T_0  # the length of this descent
        self.T_cur: float = last_epoch  # and what of it is done
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        part = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Goes on by one, or to `epoch`."""
        refuse_capture()
        if epoch is not None and not (0 <= epoch < math.inf):
            raise ValueError(f"[CosineAnnealingWarmRestarts] expected epoch >= 0, got {epoch}.")
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            self.T_cur += 1
        else:
            self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur %= self.T_i
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        super().step(None if epoch is None else math.floor(epoch))
