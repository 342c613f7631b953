"""Small models and data for the tests of gradstone.keras."""

import numpy as np

from gradstone import keras
from gradstone.keras import layers


def rows(seed=0, count=20, size=6):
    """Normal float32 numbers."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)).astype(np.float32)


def small():
    """Three classes from six numbers."""
    return keras.Sequential(
        [layers.Dense(4, "relu", input_shape=(6,)), layers.Dense(3, activation="softmax")]
    )


def compiled(**options):
    """The small model, ready to train."""
    model = small()
    model.compile(**({"optimizer": "sgd", "loss": "categorical_crossentropy"} | options))
    return model
