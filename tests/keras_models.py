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


def classifier_data(seed=0, count=24):
    """Six numbers and one of three classes for each sample."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 6)).astype(np.float32), rng.integers(0, 3, count)


def classifier():
    """A compiled model with a penalty, statistics and randomness."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
