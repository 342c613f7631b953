"""Metrics fed in several batches, where the tests run."""

from __future__ import annotations

import numpy as np

import gradstone as gs
from op_specs import run


def t(values, dtype=None):
    return gs.tensor(values, dtype=dtype, device=run.DEVICE)


def feed(metric, outputs, targets, parts=3):
    """In several batches, the last shorter."""
    for chunk in np.array_split(np.arange(len(targets)), parts):
        metric.update(t(outputs[chunk]), t(targets[chunk]))
    return metric.compute()
