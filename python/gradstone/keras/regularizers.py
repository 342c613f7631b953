"""Penalties on weights: L1 (sum of absolute values), L2 (sum of squares) and both."""

from __future__ import annotations

from typing import Any

from gradstone._C import Tensor
from gradstone.keras._config import Configured


class Regularizer(Configured):
    """``regularizer(weight)`` gives the penalty, a scalar."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty for this weight."""
        raise NotImplementedError


class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, x: Tensor) -> Any:
        total: Any = 0.0
        if self.l1:
            total = total + self.l1 * x.abs().sum()
        if self.l2:
            total = total + self.l2 * x.square().sum()
        return total


class L1(L1L2):
    """l1 * sum |w|."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 * sum w^2."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Both penalties."""
    return L1L2(l1, l2)


l1, l2 = L1, L2
_NAMES: dict[str, Any] = {"l1": L1, "l2": L2, "l1_l2": l1_l2, "L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier: Any) -> Any:
    """A regularizer by name ("l1", "l2", "l1_l2"), itself when it is callable, None for None."""
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier]()
    if identifier is not None and not callable(identifier):
        raise ValueError(f"Could not interpret regularizer identifier: {identifier}")
    return identifier
