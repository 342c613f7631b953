"""gradstone.keras against what Keras itself gave (tests/keras_pins/make.py)."""

from pathlib import Path

import numpy as np
import pytest

from gradstone import keras
from keras_pins.cases import CASES

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
def test_case(name):
    keras.backend.clear_session()
    found = CASES[name](keras)
    assert set(found) == set(PINS[name])
    for key, pin in PINS[name].items():
        value = np.asarray(found[key])
        assert value.shape == pin.shape, key
        np.testing.assert_allclose(value, pin, rtol=1e-4, atol=1e-5, err_msg=key)
