"""The cosine schedule."""

from __future__ import annotations

import math

from gradstone._checks import whole
from gradstone.optim.lr_scheduler.base import LRScheduler
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
