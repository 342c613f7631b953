"""Optimizers (SGD, Adam, AdamW and RMSprop step all parameters of a group in one native call) and
learning-rate schedules."""

from gradstone.optim import lr_scheduler
from gradstone.optim.adam import Adam, AdamW
from gradstone.optim.adaptive import Adadelta, Adagrad, Adamax, NAdam
from gradstone.optim.optimizer import Optimizer
from gradstone.optim.rmsprop import RMSprop
from gradstone.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]
