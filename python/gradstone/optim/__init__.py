"""Optimizers, each stepping all parameters of a group in one native call, and learning-rate
schedules."""

from gradstone.optim import lr_scheduler
from gradstone.optim.adam import Adam, AdamW
from gradstone.optim.optimizer import Optimizer
from gradstone.optim.rmsprop import RMSprop
from gradstone.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
