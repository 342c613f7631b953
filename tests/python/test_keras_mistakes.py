"""gradstone.keras and gradstone.tensorflow: mistakes are named."""

import numpy as np
import pytest

from gradstone import keras
from gradstone import tensorflow as tf
from gradstone.keras import layers
from keras_models import compiled, rows, small


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: layers.Dense(0), ValueError, "positive integer.*units=0"),
        (lambda: layers.Dense(2, activation="foo"), ValueError, "activation.*foo"),
        (lambda: layers.Dense(2, foo=1), ValueError, "Unrecognized.*foo"),
        (lambda: layers.Dense(2, dtype="float64"), ValueError, "float32.*'float64'"),
        (lambda: layers.Dense(2, kernel_initializer="foo"), ValueError, "initializer.*foo"),
        (lambda: layers.Conv2D(3, 3)(np.zeros((2, 3, 4))), ValueError, "ndim=4, found ndim=3"),
        (lambda: layers.Conv2D(3, (3, 0)), ValueError, r"kernel_size.*\(3, 0\)"),
        (lambda: layers.Conv2D(3, 5)(np.zeros((1, 4, 4, 1))), ValueError, "size 4.*size 5"),
        (lambda: layers.Conv2D(3, 3, data_format="channels_first"), ValueError, "channels_last"),
        (lambda: layers.Flatten(data_format="channels_first"), ValueError, "channels_last"),
        (lambda: layers.Dropout(1.5), ValueError, "rate=1.5"),
        (lambda: layers.Reshape((4,))(keras.Input((6,))), ValueError, "unchanged"),
        (lambda: layers.LSTM(3)(np.zeros((2, 5))), ValueError, "ndim=3, found ndim=2"),
        (lambda: layers.Add()(np.zeros((2, 5))), ValueError, "list"),
        (lambda: small()(np.zeros((2, 5))), ValueError, r"expected shape=\(None, 6\).*\(2, 5\)"),
        (lambda: small().compile(optimizer="foo"), ValueError, "optimizer.*foo"),
        (lambda: small().compile("adam", "foo"), ValueError, "loss.*foo"),
        (lambda: small().compile("adam", metrics=["foo"]), ValueError, "metric.*foo"),
        (lambda: small().compile("adam", "mse", ["mae"]), TypeError, "positional"),
        (lambda: small().fit(rows(), rows()), ValueError, "compile"),
        (lambda: compiled().fit(rows(), rows(1, 7, 3)), ValueError, r"(?s)ambiguous.*20.*7"),
        (lambda: compiled().fit(rows(), rows(1, 20, 2)), (ValueError, RuntimeError), "2.*3|3.*2"),
        (lambda: compiled().fit(rows(), rows(1, 20, 3), batch_size=0), ValueError, "batch_size"),
        (
            lambda: compiled().fit(rows()[:1], rows()[:1, :3], validation_split=0.5),
            ValueError,
            "split",
        ),
        (lambda: small().layers[0].set_weights([1]), ValueError, "length 1.*expecting 2"),
        (lambda: small().set_weights([np.zeros(1)] * 4), ValueError, r"\(6, 4\).*\(1,\)"),
        (lambda: small().get_layer("foo"), ValueError, r"foo.*\['dense"),
        (lambda: keras.Sequential([3]), ValueError, "keras.Layer"),
        (lambda: Forgetful(), RuntimeError, r"Forgetful.*super\(\).__init__"),
        (lambda: keras.Model(keras.Input((2,)), keras.Input((2,))), ValueError, "not connected"),
        (lambda: keras.Model(keras.Input((2,)), np.zeros(2)), ValueError, "KerasTensors"),
        (lambda: np.asarray(keras.Input((2,))), ValueError, "symbolic"),
        (lambda: keras.utils.to_categorical([-1]), ValueError, "-1"),
        (lambda: keras.datasets.mnist.load_data("/no/such/folder"), RuntimeError, "no folder"),
        (lambda: tf.Session, AttributeError, "graphs with sessions"),
        (lambda: tf.Variable([1.0, 2.0]).assign([1.0]), ValueError, r"\(2,\).*\(1,\)"),
        (lambda: tf.constant("text"), ValueError, "text"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


class Forgetful(keras.Model):
    def __init__(self):
        self.dense = layers.Dense(2)
