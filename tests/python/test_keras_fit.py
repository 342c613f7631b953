"""gradstone.keras: what fit and its kin take, print and give."""

import inspect

import numpy as np
import pytest

import gradstone as gs
from gradstone import keras
from gradstone import tensorflow as tf
from gradstone.keras import layers
from keras_models import compiled, rows, small


@pytest.fixture(autouse=True)
def fresh_names():
    keras.backend.clear_session()


def test_what_fit_takes():
    x, y = rows(), rows(1, 20, 1)

    def history(*args, **kwargs):
        gs.manual_seed(0)
        model = keras.Sequential([layers.Dense(1, input_shape=(6,))])
        model.compile(optimizer="sgd", loss="mse")
        return model.fit(*args, epochs=2, verbose=0, **kwargs).history["loss"]

    wanted = history(x, y, batch_size=5, shuffle=False)
    assert history(x.astype(np.float64), y[:, 0], batch_size=5, shuffle=False) == pytest.approx(
        wanted
    )
    assert history(tf.constant(x), tf.constant(y), batch_size=5, shuffle=False) == wanted
    assert history(x.tolist(), y.tolist(), batch_size=5, shuffle=False) == pytest.approx(wanted)
    batches = [(x[i : i + 5], y[i : i + 5]) for i in range(0, 20, 5)]
    assert history(batches_of(batches)) == pytest.approx(wanted)
    loader = gs.utils.data.DataLoader(
        gs.utils.data.TensorDataset(gs.from_numpy(x), gs.from_numpy(y)), batch_size=5
    )
    assert history(loader) == pytest.approx(wanted)

    half = history(x[:10], y[:10], batch_size=5, shuffle=False)
    assert history(x, y, batch_size=5, shuffle=False, steps_per_epoch=2) == half

    def forever():
        while True:
            yield from batches

    assert history(forever(), steps_per_epoch=4) == pytest.approx(wanted)


def batches_of(batches):
    class Batches(keras.utils.Sequence):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return batches[index]

    return Batches()


def test_shuffling_uses_every_sample_once_an_epoch():
    seen = []

    class Watch(keras.Model):
        def call(self, x, training=False):
            if training:
                seen.append(x.numpy()[:, 0])
            return x * 1.0

    model = Watch()
    model.compile(optimizer="sgd", loss="mse")
    x = np.arange(20, dtype=np.float32)[:, None]
    model.fit(x, x, batch_size=6, epochs=2, verbose=0, validation_split=0.2)
    epochs = np.concatenate(seen).reshape(2, 16)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(16))
    assert list(epochs[0]) != list(epochs[1])


def test_cross_entropy_of_certain_probabilities_is_finite():
    """The softmax of these logits is exactly 0 and 1: the loss comes from the logits."""
    model = keras.Sequential([keras.Input((2,)), layers.Activation("softmax")])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    x = np.array([[0.0, 200.0]], np.float32)
    assert model.evaluate(x, np.array([0]), verbose=0) == pytest.approx(200.0)
    loss = keras.losses.SparseCategoricalCrossentropy()
    clipped = loss(np.array([0]), np.array([[0.0, 1.0]], np.float32))
    assert float(clipped) == pytest.approx(-np.log(1e-7), rel=1e-3)
    model = keras.Sequential([keras.Input((1,)), layers.Activation("sigmoid")])
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    assert model.evaluate(np.array([[-300.0]]), np.array([1.0]), verbose=0) == pytest.approx(300.0)


def test_to_categorical_and_pad_sequences():
    hot = keras.utils.to_categorical([0, 2, 1])
    np.testing.assert_array_equal(hot, np.eye(3)[[0, 2, 1]])
    assert keras.utils.to_categorical(np.array([[1], [0]]), 4).shape == (2, 4)
    with pytest.raises(ValueError, match="0 to 1"):
        keras.utils.to_categorical([2], 2)
    padded = keras.utils.pad_sequences([[1], [2, 3, 4]], maxlen=2)
    np.testing.assert_array_equal(padded, [[0, 1], [3, 4]])
    padded = keras.utils.pad_sequences(
        [[1], [2, 3, 4]], maxlen=2, padding="post", truncating="post"
    )
    np.testing.assert_array_equal(padded, [[1, 0], [2, 3]])


def test_progress_lines(capsys):
    model = small()
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = rows(), np.arange(20) % 3
    model.fit(x, y, epochs=2, batch_size=8, verbose=2, validation_split=0.25)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Epoch 1/2" and out[2] == "Epoch 2/2"
    assert out[1].startswith("2/2 - 0s - ") and "/step - accuracy: " in out[1]
    assert [w for w in out[1].split() if w.endswith(":")] == [
        "accuracy:", "loss:", "val_accuracy:", "val_loss:",
    ]  # fmt: skip
    model.fit(x, y, verbose=0)
    assert capsys.readouterr().out == ""
    model.fit(x, y, verbose=2)  # a single epoch has no number
    assert capsys.readouterr().out.startswith("1/1 - 0s - ")
    model.evaluate(x, y, verbose=1)
    assert capsys.readouterr().out.startswith("1/1 " + "━" * 20 + " 0s ")


# ------------------------------------------------------------------------------- numbers and steps


def test_metrics_are_called_what_compile_called_them_in_that_order():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "bce", metrics=["mse", "AUC", "Accuracy", "mae"])
    x, y = rows(), np.arange(20) % 2
    history = model.fit(x, y, verbose=0).history
    assert list(history) == ["AUC", "Accuracy", "loss", "mae", "mse"]
    found = model.evaluate(x, y, verbose=0)
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert model.metrics_names == ["loss", "mse", "AUC", "Accuracy", "mae"]
    assert found == [named[name] for name in model.metrics_names]


def test_the_cosine_is_a_loss_with_a_minus_and_a_metric_without():
    x = np.array([[1.0, 0.0]])
    assert float(keras.losses.get("cosine_similarity")(x, x)) == -1
    assert float(keras.metrics.get("cosine_similarity")(x, x)) == 1


def test_short_names_of_metrics():
    x, y = np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])
    for short, long in (
        ("mse", "MeanSquaredError"), ("MAE", "mean_absolute_error"), ("kld", "kl_divergence"),
        ("logcosh", "log_cosh"), ("bce", "binary_crossentropy"),
        ("msle", "MeanSquaredLogarithmicError"),
    ):  # fmt: skip
        first, second = keras.metrics.get(short), keras.metrics.get(long)
        assert first.name == short and float(first(y, x)) == float(second(y, x))


def test_a_sum_can_be_asked_for_between_batches():
    total = keras.metrics.Sum()
    total.update_state([1.0, 2.0])
    assert float(total.result()) == 3
    total.update_state(4.0, sample_weight=0.5)
    assert float(total.result()) == 5 and type(total.total) is gs.Tensor


def test_the_numbers_of_a_test_step_of_ones_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def test_step(self, data):
            return {"a": 1.0, "b": 2.0}

    model = Own()
    model.compile("sgd", "mse")
    assert model.evaluate(rows(), rows(1, 20, 1), verbose=0) == [1.0, 2.0]


def test_data_without_a_batch_are_refused():
    model = compiled()
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="gave no batch"):
            use(iter([]), verbose=0)


def test_a_callback_may_unfreeze_layers_between_epochs():
    model = compiled(loss="sparse_categorical_crossentropy")
    first = model.layers[0]
    first.trainable = False
    kernels = [first.get_weights()[0]]

    class Unfreeze(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kernels.append(first.get_weights()[0])
            first.trainable = True

    model.fit(rows(), np.arange(20) % 3, epochs=2, verbose=0, callbacks=[Unfreeze()])
    assert (kernels[0] == kernels[1]).all() and (kernels[1] != kernels[2]).any()


def test_optimizers_by_class_and_by_position_and_their_state():
    assert isinstance(keras.optimizers.get(keras.optimizers.Adam), keras.optimizers.Adam)
    for optimizer, slots in (
        (keras.optimizers.RMSprop(), 1),
        (keras.optimizers.RMSprop(momentum=0.5), 2),
        (keras.optimizers.RMSprop(momentum=0.5, centered=True), 3),
    ):
        model = compiled(optimizer=optimizer)
        model.fit(rows(), rows(1, 20, 3), verbose=0)
        assert optimizer.count_params() == slots * model.count_params() + 2
    nadam = keras.optimizers.Nadam(0.1, 0.8, 0.99, 1e-6)
    assert (nadam.beta_1, nadam.beta_2, nadam.epsilon) == (0.8, 0.99, 1e-6)


def test_weighted_metrics_of_several_outputs_have_their_own_weights():
    x = keras.Input((6,))
    model = keras.Model(x, {"a": layers.Dense(1, name="a")(x), "b": layers.Dense(1, name="b")(x)})
    model.compile("sgd", "mse", weighted_metrics={"a": ["mae"], "b": ["mae"]})
    data, y = rows(), rows(1, 20, 1)
    weights = {"a": np.r_[np.ones(5), np.zeros(15)], "b": np.ones(20)}
    found = model.evaluate(
        data, {"a": y, "b": y}, sample_weight=weights, verbose=0, return_dict=True
    )
    out = model.predict(data, verbose=0)
    assert found["a_mae"] == pytest.approx(np.abs(out["a"] - y)[:5].mean(), rel=1e-5)
    assert found["b_mae"] == pytest.approx(np.abs(out["b"] - y).mean(), rel=1e-5)


def test_a_loss_of_ones_own_and_steps_on_a_batch():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return ((y_pred - y) ** 2).mean() * 3

        def train_step(self, data):
            return {"own": 1.0, "two": 2.0}

    model = Own([keras.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = rows(), rows(1, 20, 1)
    plain = ((model.predict(x, verbose=0) - y) ** 2).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(3 * plain, rel=1e-5)
    assert model.train_on_batch(x, y) == [1.0, 2.0]


def test_validation_of_a_split_has_its_steps_and_batch_size():
    sizes = []

    class Watch(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            sizes.append(batch)

    compiled().fit(
        rows(), rows(1, 20, 3), validation_split=0.5, validation_batch_size=2, validation_steps=3,
        verbose=0, callbacks=[Watch()],
    )  # fmt: skip
    assert sizes == [0, 1, 2]


def test_losses_and_metrics_have_keras_arguments_in_its_order():
    def arguments(cls):
        return " ".join(inspect.signature(cls).parameters)

    k, m = keras.losses, keras.metrics
    assert arguments(k.MeanSquaredError) == "reduction name dtype"
    assert arguments(k.Huber) == "delta reduction name dtype"
    assert (
        arguments(k.CategoricalCrossentropy)
        == "from_logits label_smoothing axis reduction name dtype"
    )
    assert (
        arguments(k.SparseCategoricalCrossentropy)
        == "from_logits ignore_class reduction axis name dtype"
    )
    assert arguments(m.BinaryAccuracy) == "name dtype threshold"
    assert arguments(m.TopKCategoricalAccuracy) == "k name dtype"
    loss = k.Huber(0.5, "sum")
    assert loss.get_config() == {
        "delta": 0.5,
        "reduction": "sum",
        "name": "huber_loss",
        "dtype": None,
    }
    assert type(k.Huber.from_config(loss.get_config())) is k.Huber

    class Own(k.Huber):
        def __init__(self, width=2.0):
            super().__init__(width, name="own")

    assert arguments(Own) == "width" and Own(3.0).get_config() == {"width": 3.0}
    for wrong in (
        lambda: k.Huber(foo=1),
        lambda: k.Huber(1.0, delta=2.0),
        lambda: m.Accuracy(*"abc"),
    ):
        with pytest.raises(TypeError, match=r"takes the arguments .*name, dtype, got"):
            wrong()


def test_a_generator_that_gives_too_little_ends_the_epoch():
    x, y = rows(), rows(1, 20, 3)

    def three():
        for _ in range(3):
            yield x, y

    ends = []
    end = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))
    with pytest.warns(UserWarning, match="after 3 of 5 batches"):
        compiled().fit(three(), steps_per_epoch=5, verbose=0, callbacks=[end])
    assert ends == [0, 1, 2]


def test_steps_go_on_in_the_source_and_begin_it_again():
    seen = []

    class Watch(keras.Model):
        def call(self, x, training=False):
            if training:
                seen.append(int(x[0, 0]))
            return x * 1.0

    model = Watch()
    model.compile("sgd", "mse")
    batches = [(np.full((2, 1), i, np.float32), np.zeros((2, 1))) for i in range(3)]
    model.fit(batches_of(batches), steps_per_epoch=2, epochs=4, verbose=0)
    assert seen == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_sequence_hears_the_end_of_each_epoch():
    heard = []

    class Batches(keras.utils.Sequence):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return rows(), rows(1, 20, 3)

        def on_epoch_end(self):
            heard.append(True)

    compiled().fit(Batches(), epochs=3, verbose=0)
    assert len(heard) == 3


def test_padding_sequences_of_vectors():
    padded = keras.utils.pad_sequences([[[1, 2]], [[3, 4], [5, 6]], []], padding="post")
    assert padded.tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]], [[0, 0], [0, 0]]]
