"""gradstone.keras: building models and their weights, printing them, gradstone's modules beside
them."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import gradstone as gs
from gradstone import keras, nn, optim
from gradstone import tensorflow as tf
from gradstone.keras import layers
from keras_models import rows, small


@pytest.fixture(autouse=True)
def fresh_names():
    keras.backend.clear_session()


# ----------------------------------------------------------------------------------------- building


def test_dense_is_the_formula():
    model = small()
    w, b, v, c = model.get_weights()
    x = rows()
    hidden = np.maximum(x @ w + b, 0)
    scores = np.exp(hidden @ v + c)
    wanted = scores / scores.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-5)
    assert [a.shape for a in (w, b, v, c)] == [(6, 4), (4,), (4, 3), (3,)]


def test_flatten_has_the_channels_fastest():
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    chain = keras.Sequential([layers.Conv2D(2, 1, use_bias=False), layers.Flatten()])
    out = chain(x)
    kernel = chain.get_weights()[0].reshape(5, 2)
    np.testing.assert_allclose(out.numpy(), (x @ kernel).reshape(2, -1), rtol=1e-5)


def test_a_model_is_built_by_shape_by_input_or_by_data():
    by_shape, by_input, by_data = small(), keras.Sequential(), keras.Sequential()
    by_input.add(keras.Input((6,)))
    for model in (by_input, by_data):
        model.add(layers.Dense(4, "relu"))
        model.add(layers.Dense(3, "softmax"))
    assert by_shape.count_params() == by_input.count_params() == 6 * 4 + 4 + 4 * 3 + 3
    with pytest.raises(ValueError, match="isn't built"):
        by_data.count_params()
    by_data(rows())
    assert by_data.count_params() == by_shape.count_params()
    assert by_data.output_shape == (None, 3)
    other = keras.Sequential([layers.Dense(4)])
    other.build((None, 6))
    assert other.weights[0].shape == (6, 4)


def test_functional_models_share_layers_and_have_several_inputs_and_outputs():
    a, b = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    shared = layers.Dense(4)
    joined = layers.Concatenate()([shared(a), shared(b)])
    model = keras.Model([a, b], {"sum": layers.Dense(1)(joined), "left": shared(a) * 2.0})
    assert model.count_params() == 6 * 4 + 4 + 8 + 1
    x, y = rows(1), rows(2)
    w, c = shared.get_weights()
    found = model.predict({"left": x, "right": y}, verbose=0)
    np.testing.assert_allclose(found["left"], 2 * (x @ w + c), rtol=1e-4, atol=1e-5)
    v, d = (
        model.layers[-2].get_weights()
        if model.layers[-2].count_params() == 9
        else model.get_weights()[2:]
    )
    wanted = np.concatenate([x @ w + c, y @ w + c], 1) @ v + d
    np.testing.assert_allclose(found["sum"], wanted, rtol=1e-4, atol=1e-5)
    inner = keras.Model(model.inputs, shared.output if len(shared._nodes) == 1 else joined)
    assert inner([x, y]).shape == (20, 8)


def test_a_model_inside_a_model():
    part = small()
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(part(inputs)))
    assert model.layers[1] is part
    np.testing.assert_allclose(
        model.predict(rows(), verbose=0),
        part.predict(rows(), verbose=0) @ model.get_weights()[4] + model.get_weights()[5],
        rtol=1e-5,
        atol=1e-6,
    )


class Net(keras.Model):
    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(width, "relu") for _ in range(2)]
        self.drop = layers.Dropout(0.5)
        self.head = layers.Dense(2)

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x))


def test_a_subclass_finds_layers_in_lists_and_passes_training_on():
    model = Net()
    x = rows()
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    assert not np.array_equal(model(x, training=True).numpy(), model(x, training=True).numpy())
    assert [w.shape for w in model.weights] == [(6, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    model.compile(optimizer="adam", loss="mse")
    before = model.get_weights()
    model.fit(x, rows(1, 20, 2), epochs=1, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights()))


def test_threads_do_not_see_each_others_calls():
    inside, go = threading.Event(), threading.Event()

    class Slow(layers.Layer):
        def call(self, x):
            inside.set()
            go.wait(10)
            return x * 1.0

    thread = threading.Thread(target=lambda: Slow()(rows(), training=True))
    thread.start()
    try:
        assert inside.wait(10)
        out = keras.Sequential([layers.Dropout(0.5)])(np.ones((3, 6), np.float32))
    finally:
        go.set()
        thread.join()
    assert isinstance(out, tf.Tensor)
    np.testing.assert_array_equal(out, np.ones((3, 6)))


class Scale(layers.Layer):
    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.gain = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.start),
            trainable=True,
            name="gain",
        )
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="steps")

    def call(self, inputs):
        return tf.multiply(inputs, self.gain) + 0.0


def test_a_layer_of_ones_own_in_every_kind_of_model():
    x = rows()
    for model in (
        keras.Sequential([keras.Input((6,)), Scale(2.0)]),
        keras.Sequential([Scale(2.0)]),
        keras.Model(i := keras.Input((6,)), Scale(2.0)(i)),
    ):
        np.testing.assert_allclose(model(x).numpy(), 2 * x)
        assert [len(model.trainable_weights), len(model.non_trainable_weights)] == [1, 1]
        assert model.output_shape == (None, 6)


def test_a_train_step_of_ones_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
            return {"own": loss}

    model = Own()
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    x = rows()
    history = model.fit(x, x[:, :1] * 2, epochs=20, verbose=0)
    assert list(history.history) == ["own"]
    assert history.history["own"][-1] < history.history["own"][0] / 10


def test_a_train_step_of_inputs_alone_needs_no_call():
    class Coder(keras.Model):
        def __init__(self):
            super().__init__()
            self.code, self.back = layers.Dense(3), layers.Dense(6)
            self.tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(self.back(self.code(data)) - data))
            grads = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

    model = Coder()
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    losses = model.fit(rows(), epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


def test_trainable_flags():
    model = small()
    model.layers[0].trainable = False
    assert model.trainable_weights == model.layers[1].weights
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(rows(), np.zeros(20, np.int64), verbose=0)
    changed = [(a != b).any() for a, b in zip(before, model.get_weights())]
    assert changed == [False, False, True, True]
    model.trainable = False
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == 4
    late = layers.Dense(3, trainable=False)
    late(rows())
    assert not late.kernel.requires_grad and late.trainable_weights == []
    late.trainable = True
    assert late.kernel.requires_grad and late.trainable_weights == late.weights


def test_starting_values():
    big = layers.LSTM(16)
    big.build((None, None, 9))
    kernel, recurrent, bias = big.get_weights()
    limit = np.sqrt(6 / (9 + 64))
    assert np.abs(kernel).max() <= limit and np.abs(kernel).max() > 0.95 * limit
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(16), atol=1e-5)
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 16))
    normal = keras.initializers.HeNormal(seed=1)((50, 200)).numpy()
    assert normal.std() == pytest.approx(np.sqrt(2 / 50), rel=0.05)
    np.testing.assert_array_equal(normal, keras.initializers.HeNormal(seed=1)((50, 200)).numpy())


# ------------------------------------------------------------------------------ gradstone beside it


def test_layers_are_gradstone_modules():
    model = small()
    assert isinstance(model, nn.Module)
    assert set(model.state_dict()) == {
        "dense.kernel",
        "dense.bias",
        "dense_1.kernel",
        "dense_1.bias",
    }
    x = gs.from_numpy(rows())
    out = model(x)
    assert type(out) is gs.Tensor
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    target = gs.zeros(20, dtype=gs.int64)
    first = nn.functional.nll_loss(out.log(), target)
    first.backward()
    optimizer.step()
    assert nn.functional.nll_loss(model(x).log(), target) < first
    drop = keras.Sequential([layers.Dropout(0.5)])
    drop.train()
    assert (drop(gs.ones(100)[None]) == 0).any()
    drop.eval()
    assert (drop(gs.ones(100)[None]) == 1).all()


def test_dtypes():
    model = small()
    for dtype in (np.float16, np.float64, np.uint8, np.int64):
        x = np.ones((2, 6), dtype)
        assert model(x).dtype == gs.float32
        assert model.predict(x, verbose=0).dtype == np.float32
    model.double()
    out = model(gs.ones(2, 6, dtype=gs.float64))
    assert out.dtype == gs.float64 and out.exp().sum().requires_grad
    assert layers.Dense(np.int64(3))(np.ones((2, 6))).shape == (2, 3)


def test_gradstone_modules_inside_a_sequential():
    model = keras.Sequential([keras.Input((6,)), nn.Linear(6, 3), layers.Dense(2)])
    model.compile(optimizer="sgd", loss="mse")
    before = model.get_weights()
    assert len(before) == 4
    model.fit(rows(), rows(1, 20, 2), verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights()))


def test_importing_is_quick_and_light():
    code = (
        "import sys, time, gradstone; heavy = {'rich', 'matplotlib', 'PIL', 'pandas', 'inspect'}"
        " - set(sys.modules); start = time.perf_counter(); import gradstone.keras, "
        "gradstone.tensorflow;"
        "print(time.perf_counter() - start, sorted(heavy & set(sys.modules)))"
    )
    seconds, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(" ", 1)
    assert loaded.strip() == "[]"
    assert float(seconds) < 1.0  # some 40 ms where nothing else runs


# ----------------------------------------------------------------------------------------- printing


def test_summary_of_a_chain(capsys):
    model = keras.Sequential([layers.Dense(6, input_shape=(3,)), layers.BatchNormalization()])
    model.summary()
    assert (
        capsys.readouterr().out
        == """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                     ┃ Output Shape            ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ dense (Dense)                    │ (None, 6)               │              24 │
├──────────────────────────────────┼─────────────────────────┼─────────────────┤
│ batch_normalization              │ (None, 6)               │              24 │
│ (BatchNormalization)             │                         │                 │
└──────────────────────────────────┴─────────────────────────┴─────────────────┘
 Total params: 48 (192.00 B)
 Trainable params: 36 (144.00 B)
 Non-trainable params: 12 (48.00 B)
"""
    )


def test_summary_of_a_graph_says_what_is_connected(capsys):
    a = keras.Input((4,), name="in")
    model = keras.Model(a, layers.Add()([layers.Dense(3)(a), layers.Dense(3)(a)]))
    model.summary()
    text = capsys.readouterr().out
    assert "│ in[0][0] " in text and "│ dense[0][0], " in text and "│ dense_1[0][0] " in text
