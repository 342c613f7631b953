"""Learning-rate schedules.

A schedule sets the learning rate of every group when it is made and at each ``step()``. Most rules
follow from the rate before, so that several schedules can act on one optimizer.
"""

from gradstone.optim.lr_scheduler.base import LRScheduler
from gradstone.optim.lr_scheduler.cosine import CosineAnnealingLR
from gradstone.optim.lr_scheduler.factor import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from gradstone.optim.lr_scheduler.one_cycle import OneCycleLR
from gradstone.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gradstone.optim.lr_scheduler.sequential import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
