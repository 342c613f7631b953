"""gradstone.keras: layers where they are called in other ways than tests/keras_pins calls them."""

import numpy as np
import pytest

import gradstone as gs
from gradstone import keras
from gradstone import tensorflow as tf
from gradstone.keras import layers
from keras_models import rows


def test_the_input_may_be_given_by_name():
    dense = layers.Dense(3)
    np.testing.assert_array_equal(dense(inputs=rows()), dense(rows()))


def test_a_recurrent_layer_takes_its_states_in_a_list():
    x, start = rows(0, 2, 20).reshape(2, 4, 5), rows(1, 2, 3)
    gru = layers.GRU(3)
    np.testing.assert_array_equal(gru([x, start]), gru(x, initial_state=start))
    with pytest.raises(ValueError, match="1 states, but was given 2"):
        gru([x, start, start])


def test_an_activation_of_ones_own_sees_the_channels_last():
    def own(x):
        return tf.nn.softmax(x)

    for layer in (
        layers.Conv2D(3, 2, activation=own),
        layers.Conv2DTranspose(3, 2, activation=own),
    ):
        out = layer(rows(0, 2, 32).reshape(2, 4, 4, 2)).numpy()
        np.testing.assert_allclose(out.sum(-1), 1, rtol=1e-5)


def test_a_seed_makes_dropout_and_noise_repeatable():
    x = np.ones((2, 50), np.float32)
    for make in (
        lambda seed: layers.Dropout(0.5, seed=seed),
        lambda seed: layers.Dropout(0.5, noise_shape=(None, 1), seed=seed),
        lambda seed: layers.GaussianNoise(1.0, seed=seed),
    ):
        first, again, other = make(3), make(3), make(4)
        one = first(x, training=True).numpy()
        np.testing.assert_array_equal(again(x, training=True), one)
        assert (other(x, training=True).numpy() != one).any()
        assert (first(x, training=True).numpy() != one).any()  # it goes on
    with_noise = layers.Dropout(0.5, noise_shape=(None, 1), seed=1)(x, training=True).numpy()
    assert (with_noise == with_noise[:, :1]).all()


@pytest.mark.parametrize("name", ["LeakyReLU", "ELU", "Softmax", "Dropout"])
def test_whole_numbers_become_fractions(name):
    layer = getattr(layers, name)(*([0.5] if name == "Dropout" else []))
    assert layer(np.array([[-1, 2]])).dtype == gs.float32


def test_a_config_holds_every_argument():
    config = layers.Dense(3, kernel_regularizer="l2").get_config()
    assert config["units"] == 3 and config["kernel_regularizer"] == "l2"
    assert config["use_bias"] is True and config["bias_initializer"] == "zeros"
    copy = layers.Dense.from_config(config)
    assert copy.name == config["name"] and copy.get_config() == config
    assert keras.optimizers.Adam(0.1).get_config()["beta_1"] == 0.9


def test_layers_without_a_bias():
    for layer, x in (
        (layers.Dense(2, use_bias=False), rows()),
        (layers.BatchNormalization(center=False, scale=False), rows()),
    ):
        layer(x)
        assert len(layer.trainable_weights) == (1 if isinstance(layer, layers.Dense) else 0)
    assert layers.Dense(2, use_bias=False).build((None, 3)) is None


def test_sizes_may_be_numpy_integers():
    size = np.int64(2)
    out = layers.Conv2D(size, (size, size), strides=size)(np.ones((1, 4, 4, 1)))
    assert layers.MaxPooling2D(size)(out).shape == (1, 1, 1, 2)


def test_a_depthwise_kernel_has_its_regularizer():
    layer = layers.DepthwiseConv2D(2, depthwise_regularizer="l2")
    layer(np.ones((1, 4, 4, 3)))
    kernel = layer.get_weights()[0]
    assert float(layer.losses[0]) == pytest.approx(0.01 * (kernel**2).sum(), rel=1e-5)


def test_frozen_layers_inside_containers_and_weights_under_other_names():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [layers.Dense(2), gs.nn.Sequential(gs.nn.Linear(2, 2))]
            self._scale = self.add_weight((1,), "ones", name="scale")

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x * self._scale

    own = Own()
    own(rows())
    assert len(own.weights) == 5 and len(own.state_dict()) == 5
    own.parts[0].trainable = False
    assert len(own.trainable_weights) == 3


def test_masks_go_through_layers_of_several_inputs():
    embed = layers.Embedding(9, 2, mask_zero=True)
    a, b = embed(np.array([[1, 2, 0]])), embed(np.array([[3, 0, 0]]))
    plain = np.ones((1, 3, 2), np.float32)
    for layer, inputs, wanted in (
        (layers.Add(), [a, b], [True, False, False]),
        (layers.Average(), [a, tf.constant(plain)], [True, True, False]),
        (layers.Concatenate(), [a, b], [True, False, False]),
        (layers.Concatenate(axis=1), [a, b], [True, True, False, True, False, False]),
        (layers.Concatenate(axis=1), [plain, a], [True, True, True, True, True, False]),
    ):
        np.testing.assert_array_equal(layer(inputs)._keras_mask.numpy(), [wanted])
    assert not hasattr(layers.Add()([plain, plain]), "_keras_mask")


def test_symbolic_tensors_with_arrays_and_lists():
    x = keras.Input((3,))
    numbers = [1.0, 2.0, 3.0]
    model = keras.Model(x, [x + numbers, np.array(numbers) * x, tf.constant(numbers) - x])
    data = rows(0, 2, 3)
    for _ in range(2):
        found = model.predict(data, verbose=0)
        for out, wanted in zip(found, (data + numbers, data * numbers, numbers - data)):
            np.testing.assert_allclose(out, wanted, rtol=1e-6)
            assert out.dtype == np.float32
        model = keras.models.clone_model(model)


def test_batch_normalization_counts_what_a_mask_leaves_and_single_values():
    x = rows(0, 2, 12).reshape(2, 4, 3)
    mask = np.array([[True, True, False, False], [True, False, False, False]])
    layer = layers.BatchNormalization(momentum=0.0)
    out = layer(x, mask=tf.constant(mask), training=True).numpy()
    kept = x[mask]
    gamma, beta, mean, variance = layer.get_weights()
    np.testing.assert_allclose(mean, kept.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, kept.var(0), rtol=1e-5)
    wanted = (x - kept.mean(0)) / np.sqrt(kept.var(0) + 1e-3)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-6)
    alone = layers.BatchNormalization(momentum=0.0)
    np.testing.assert_allclose(alone(x[0, :1], training=True), np.zeros((1, 3)), atol=1e-6)
    np.testing.assert_allclose(alone.get_weights()[2], x[0, 0], rtol=1e-5)


def test_a_mask_ends_where_a_layer_does_not_know_it(recwarn):
    class Own(layers.Layer):
        def call(self, x):
            return x * 1.0

    x = layers.Embedding(9, 2, mask_zero=True)(np.array([[1, 2, 3, 0]]))
    for layer in (layers.Conv1D(3, 2), layers.MaxPooling1D(), layers.Flatten(), Own()):
        with pytest.warns(UserWarning, match=f"{layer.name}.*destroy the mask"):
            assert not hasattr(layer(x), "_keras_mask")
    knows = Own()
    knows.supports_masking = True
    for layer in (knows, layers.Dense(2), layers.Dropout(0.5), layers.LayerNormalization()):
        np.testing.assert_array_equal(layer(x)._keras_mask, x._keras_mask)
    for layer in (layers.GlobalAveragePooling1D(), layers.LSTM(3)):
        assert getattr(layer(x), "_keras_mask", None) is None
    recwarn.clear()
    inner = keras.Sequential([layers.GlobalAveragePooling1D(), layers.Dense(2)])
    assert getattr(inner(x), "_keras_mask", None) is None
    np.testing.assert_array_equal(layers.MultiHeadAttention(2, 3)(x, x)._keras_mask, x._keras_mask)
    assert not recwarn.list


def test_several_losses_may_be_added_at_once():
    class Own(layers.Layer):
        def call(self, x):
            self.add_loss([x.sum(), x.mean()])
            self.add_loss(x.max())
            return x

    own = Own()
    own(np.array([[1.0, 3.0]]))
    assert [float(loss) for loss in own.losses] == [4, 2, 3]
