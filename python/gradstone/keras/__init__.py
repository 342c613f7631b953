"""Keras's interface over gradstone's operations: the same names, defaults, shapes and weights.

    from gradstone import keras

    model = keras.Sequential([keras.layers.Dense(10, activation="softmax", input_shape=(784,))])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5)

Data are channels-last and weights have Keras's shapes, so that the arrays of a Keras model's
``get_weights()`` go into ``set_weights()`` here. Layers and models are gradstone modules.
"""

from gradstone.keras import (
    activations,
    backend,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    saving,
    utils,
)
from gradstone.keras._symbolic import KerasTensor
from gradstone.keras._tensor import Variable
from gradstone.keras.initializers import Initializer
from gradstone.keras.layer import Layer
from gradstone.keras.layers import Input
from gradstone.keras.losses import Loss
from gradstone.keras.metrics import Metric
from gradstone.keras.models import Model, Sequential
from gradstone.keras.optimizers import Optimizer
from gradstone.keras.regularizers import Regularizer
