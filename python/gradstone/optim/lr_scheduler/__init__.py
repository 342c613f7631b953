"""Learning-rate schedules.

A schedule sets the learning rate of every group when it is made and at each ``step()``. Most rules
follow from the rate before, so that several schedules can act on one optimizer.
"""

from gradstone.optim.lr_scheduler.base import LRScheduler
from gradstone.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from gradstone.optim.lr_scheduler.cyclic import CyclicLR
from gradstone.optim.lr_scheduler.factor import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from gradstone.optim.lr_scheduler.one_cycle import OneCycleLR
from gradstone.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gradstone.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR

_LRScheduler = LRScheduler  # its older name

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
