"""gradstone.tensorflow: tensors, variables, tapes and functions. What TensorFlow computes is in
test_keras_pins.py."""

import inspect

import numpy as np
import pytest

import gradstone as gs
from gradstone import keras
from gradstone import tensorflow as tf
from gradstone.keras import layers


def test_a_tape_that_is_used_up():
    v = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = v * v
    assert float(tape.gradient(y, v)) == 4.0
    with pytest.raises(RuntimeError, match="non-persistent"):
        tape.gradient(y, v)
    with tf.GradientTape() as tape:
        z = tf.constant(3.0) * 2.0
    assert tape.gradient(z, [v]) == [None]


def test_tensors_print_as_tensorflow_prints_them():
    assert str(tf.constant([5, 7, 9])) == "tf.Tensor([5 7 9], shape=(3,), dtype=int32)"
    assert str(tf.constant(True)) == "tf.Tensor(True, shape=(), dtype=bool)"
    matrix = tf.constant([[1.5, 2], [3, 4]])
    assert str(matrix) == "tf.Tensor(\n[[1.5 2. ]\n [3.  4. ]], shape=(2, 2), dtype=float32)"
    assert repr(matrix) == (
        "<tf.Tensor: shape=(2, 2), dtype=float32, numpy=\n"
        "array([[1.5, 2. ],\n       [3. , 4. ]], dtype=float32)>"
    )
    assert repr(tf.constant(3)) == "<tf.Tensor: shape=(), dtype=int32, numpy=3>"
    assert repr(tf.Variable(1.0)) == "<tf.Variable 'Variable:0' shape=() dtype=float32, numpy=1.0>"
    assert repr(tf.Variable([1.0, 2.0])) == (
        "<tf.Variable 'Variable:0' shape=(2,) dtype=float32, numpy=array([1., 2.], dtype=float32)>"
    )
    assert repr(matrix.shape) == "TensorShape([2, 2])" and str(matrix.shape) == "(2, 2)"


def test_tensors_mix_with_numpy():
    v = tf.Variable([1.0, 2.0])
    y = v * np.array([3.0, 4.0]) / 255.0
    assert y.dtype == tf.float32 and isinstance(y, tf.Tensor)
    np.testing.assert_allclose(np.asarray(y), [3 / 255, 8 / 255])
    assert isinstance(y.numpy(), np.ndarray) and isinstance(y[0].numpy(), np.float32)
    assert np.sum(y) == pytest.approx(11 / 255) and np.concatenate([y, y]).shape == (4,)
    assert f"{float(y[0]):.3f}" == "0.012" and [float(t) for t in y] == pytest.approx(
        [3 / 255, 8 / 255]
    )
    copy = y.numpy()
    copy[0] = 7
    assert float(y[0]) != 7
    assert isinstance(np.ones(2, np.float32) + v, tf.Tensor)


def test_tensors_do_not_change():
    x = y = tf.constant([1.0, 2.0])
    y += 1.0
    y /= 2.0
    y -= x * 0
    y **= 2
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(y, [1, 2.25])
    v = w = tf.Variable([1.0, 2.0])
    w *= 3.0
    assert isinstance(w, tf.Tensor) and v.numpy()[1] == 2
    with pytest.raises(TypeError, match="item assignment"):
        x[0] = 3.0


def test_a_tensor_of_gradstone_stays_one():
    x = gs.ones(2, 6)
    model = keras.Sequential([layers.Lambda(lambda t: t + 1.0), layers.Dropout(0.5)])
    assert type(model(x)) is gs.Tensor and type(x) is gs.Tensor
    for call in (tf.convert_to_tensor, tf.identity, tf.squeeze, lambda t: tf.reshape(t, (2, 6))):
        assert isinstance(call(x), tf.Tensor)
        assert type(x) is gs.Tensor


# ---------------------------------------------------------------------------------------- functions


def test_numbers_keep_their_digits():
    assert int(tf.constant(3_000_000_000)) == 3_000_000_000
    assert int(tf.constant([3_000_000_000], tf.int64)[0]) == 3_000_000_000
    assert float(tf.constant(0.1, tf.float64)) == 0.1
    assert float(tf.Variable(0.1, dtype="float64")) == 0.1
    assert tf.constant([1, 2]).dtype == tf.int32 and tf.constant(0.1).dtype == tf.float32


def test_functions_have_their_names_signatures_and_no_other_arguments():
    assert (tf.exp.__name__, tf.subtract.__name__) == ("exp", "subtract")
    assert tf.math.log.__name__ == "log" and tf.nn.relu.__name__ == "relu"
    assert list(inspect.signature(tf.maximum).parameters) == ["x", "y", "name"]
    with pytest.raises(TypeError, match=r"exp\(\) got an unexpected keyword argument 'foo'"):
        tf.exp(1.0, foo=2)
    x = tf.ones([2])
    for found in (
        tf.reshape(tensor=x, shape=[2, 1]),
        tf.pad(tensor=x, paddings=[[1, 1]]),
        tf.norm(tensor=x),
        tf.boolean_mask(tensor=x, mask=[True, False]),
    ):
        assert isinstance(found, tf.Tensor)


def test_what_is_computed_from_whole_numbers_stays_whole():
    assert int(tf.reduce_mean(tf.constant([-1, -2]))) == -1  # the fraction is dropped
    small = tf.constant(np.array([200, 100], np.uint8))
    assert tf.reduce_sum(small).dtype == tf.uint8 and int(tf.reduce_max(small)) == 200
    hot = tf.one_hot([1], 3, on_value=5, off_value=-1)
    assert hot.dtype == tf.int32 and hot.numpy().tolist() == [[-1, 5, -1]]
    assert tf.one_hot([0], 2, on_value=True, off_value=False).dtype == tf.bool
    with pytest.raises(TypeError, match="int32"):
        tf.reduce_logsumexp(tf.constant([1, 2]))


def test_splitting_squeezing_sorting_and_masking():
    assert [p.shape[0] for p in tf.split(tf.ones([6]), [1, -1, 2])] == [1, 3, 2]
    assert tf.squeeze(tf.ones([1, 2, 1]), axis=[0, -1]).shape == (2,)
    with pytest.raises(ValueError, match="dimension of 1, got 2"):
        tf.squeeze(tf.ones([1, 2]), axis=1)
    for sort in (tf.sort, tf.argsort):
        with pytest.raises(ValueError, match="'ASCENDING' or 'DESCENDING', got 'down'"):
            sort([1, 2], direction="down")
    x = tf.constant(np.arange(6).reshape(2, 3))
    masked = tf.boolean_mask(x, [True, False, True], axis=1)
    assert masked.numpy().tolist() == [[0, 2], [3, 5]]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumsum(exclusive, reverse):
    x = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    ordered = x[:, ::-1] if reverse else x
    wanted = np.cumsum(ordered, 1) - (ordered if exclusive else 0)
    found = tf.cumsum(tf.constant(x), 1, exclusive, reverse)
    np.testing.assert_array_equal(found, wanted[:, ::-1] if reverse else wanted)


def test_dropout_of_whole_rows_and_from_a_seed():
    gs.manual_seed(0)
    out = tf.nn.dropout(tf.ones([40, 6]), 0.5, noise_shape=[40, 1]).numpy()
    assert (out == out[:, :1]).all() and set(out[:, 0]) == {0.0, 2.0}
    first, second = (tf.nn.dropout(tf.ones([40]), 0.5, seed=3).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_tape_sees_what_it_watches():
    x, v = tf.constant(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert float(tape.gradient(y, x)) == 6
    with tf.GradientTape(persistent=True) as other:  # it was the first that watched x
        middle = x * v
        y = middle * middle
    assert other.gradient(y, [x]) == [None]
    assert float(other.gradient(y, v)) == 36 and float(other.gradient(y, middle)) == 12
    with tf.GradientTape(watch_accessed_variables=False) as by_hand:
        y = v * v
    assert by_hand.gradient(y, v) is None


def test_a_jacobian_of_what_does_not_depend_on_the_source():
    v, w = tf.Variable(2.0), tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        y = w * 3.0
    assert tape.jacobian(y, v) is None
    assert tape.jacobian(tf.constant([1.0]), v) is None
    np.testing.assert_array_equal(tape.jacobian(y, [v, w])[1], 3 * np.eye(2))


def test_a_tensor_and_a_symbolic_tensor():
    x = keras.Input((2,))
    model = keras.Model(x, [tf.constant([1.0, 2.0]) / x, x / tf.constant([1.0, 2.0])])
    first, second = model(np.array([[2.0, 4.0]]))
    np.testing.assert_array_equal(first, [[0.5, 0.5]])
    np.testing.assert_array_equal(second, [[2.0, 2.0]])
