"""gradstone.keras against what Keras itself gave (tests/keras_pins/make.py)."""

from pathlib import Path

import numpy as np
import pytest

from gradstone import keras
from gradstone import tensorflow as tf
from keras_pins.cases import CASES
from keras_pins.tf_cases import TF_CASES

FILE = Path(__file__).resolve().parents[1] / "keras_pins" / "pins.npz"


def read_pins():
    """case -> name -> array."""
    pins, at = {}, 0
    with np.load(FILE) as file:
        values = file["values"]
        for line in str(file["index"]).split("\n"):
            case, key, sizes = line.split("/")
            shape = tuple(int(s) for s in sizes.split())
            count = int(np.prod(shape))
            pins.setdefault(case, {})[key] = values[at : at + count].reshape(shape)
            at += count
    return pins


PINS = read_pins()


@pytest.mark.parametrize("name", CASES)
def test_keras(name):
    keras.backend.clear_session()
    compare(CASES[name](keras), PINS[name])


@pytest.mark.parametrize("name", TF_CASES)
def test_tensorflow(name):
    compare(TF_CASES[name](tf), PINS[f"tf_{name}"])


def compare(found, pins):
    assert set(found) == set(pins)
    for key, pin in pins.items():
        value = np.asarray(found[key])
        assert value.shape == pin.shape, key
        np.testing.assert_allclose(value, pin, rtol=1e-4, atol=1e-5, err_msg=key)
