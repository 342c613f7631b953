"""Keras's optimizers and schedules of the learning rate."""

from __future__ import annotations

from typing import Any

from gradstone.keras.optimizers import schedules
from gradstone.keras.optimizers.base import Optimizer
from gradstone.keras.optimizers.kinds import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    RMSprop,
)

_NAMES = {
    cls.__name__.lower(): cls
    for cls in (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop)
}


def get(identifier: Any) -> Optimizer:
    """An optimizer by name (in any case), or itself when it is one."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str) and identifier.lower() in _NAMES:
        return _NAMES[identifier.lower()]()
    raise ValueError(f"Could not interpret optimizer identifier: {identifier}")
