"""gradstone.keras: models in files."""

import copy
import pickle

import numpy as np
import pytest

import gradstone as gs
from gradstone import keras
from gradstone.keras import layers
from keras_models import classifier, classifier_data


@pytest.fixture(autouse=True)
def fresh_names():
    keras.backend.clear_session()


def graph():
    image, words = (
        keras.Input((8, 8, 2), name="image"),
        keras.Input((5,), dtype="int32", name="words"),
    )
    x = layers.Conv2D(3, 3, padding="same", activation=keras.activations.relu)(image)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    y = layers.Embedding(7, 4, mask_zero=True)(words)
    y = layers.Bidirectional(layers.LSTM(3, kernel_initializer="he_normal"))(y)
    shared = layers.Dense(3)
    out = layers.Add()([shared(x), shared(layers.Dense(3)(y))]) * 0.5
    return keras.Model([image, words], {"out": out, "features": y}, name="both")


def graph_inputs():
    rng = np.random.default_rng(1)
    return {"image": rng.normal(size=(4, 8, 8, 2)), "words": rng.integers(0, 7, (4, 5))}


def test_a_sequential_goes_on_as_if_it_had_not_been_away(tmp_path):
    x, y = classifier_data()
    model = classifier()
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    assert [type(a) for a in other.layers] == [type(a) for a in model.layers]
    assert [a.name for a in other.layers] == [a.name for a in model.layers]
    histories = []
    for one in (model, other):
        gs.manual_seed(3)
        histories.append(one.fit(x, y, epochs=3, verbose=0).history)
    assert histories[0] == histories[1]
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_by_itself(copy_of):
    x, y = classifier_data()
    model = classifier()
    model.fit(x, y, epochs=2, verbose=0)
    other = copy_of(model)
    for one in (model, other):
        gs.manual_seed(3)
        one.fit(x, y, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)
    other.set_weights([w * 0 for w in other.get_weights()])
    assert model.get_weights()[0].any()


def test_a_graph_comes_back(tmp_path):
    model = graph()
    model.layers[1].trainable = False
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    wanted, found = (m.predict(graph_inputs(), verbose=0) for m in (model, other))
    assert set(found) == {"out", "features"}
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])
    assert other.name == "both" and len(other.layers) == len(model.layers)
    assert len(other.trainable_weights) == len(model.trainable_weights)
    copy = keras.models.clone_model(model)
    assert copy.count_params() == model.count_params()
    assert (copy.get_weights()[0] != model.get_weights()[0]).any()
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(graph_inputs(), verbose=0)["out"], wanted["out"])


def test_a_part_of_a_symbolic_tensor_comes_back(tmp_path):
    x = keras.Input((4, 3))
    model = keras.Model(x, [layers.Dense(2)(x[:, -1]), x[..., 1:], x[:, None]])
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    data = np.random.default_rng(0).random((2, 4, 3)).astype(np.float32)
    for a, b in zip(model.predict(data, verbose=0), other.predict(data, verbose=0)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy"])
def test_a_loss_object_comes_back_as_a_loss(tmp_path, name):
    """A metric has the same name: a model trained with it would learn nothing."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", getattr(keras.losses, name)(), metrics=[getattr(keras.metrics, name)()])
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    assert type(other.loss) is getattr(keras.losses, name)
    x, y = classifier_data()
    histories = [
        m.fit(x, y > 1, epochs=2, shuffle=False, verbose=0).history for m in (model, other)
    ]
    assert histories[0] == histories[1]


def test_registered_names(tmp_path):
    @keras.utils.register_keras_serializable(name="thrice")
    class Thrice(layers.Layer):
        def call(self, inputs):
            return inputs * 3.0

    @keras.saving.register_keras_serializable(name="own_tanh")
    def own(x):
        return x.tanh()

    model = keras.Sequential([keras.Input((6,)), Thrice(), layers.Dense(1, own)])
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    assert type(other.layers[0]) is Thrice and other.layers[1].activation is own


class Twice(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


class Net(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(width, "tanh")
        self.head = layers.Dense(2)

    def call(self, x):
        return self.head(self.hidden(x))


def test_classes_of_ones_own_must_be_named(tmp_path):
    model = keras.Sequential([keras.Input((6,)), Twice(3.0), layers.Dense(1)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="Twice.*custom_objects"):
        keras.models.load_model(tmp_path / "a.keras")
    other = keras.models.load_model(tmp_path / "a.keras", custom_objects={"Twice": Twice})
    assert other.layers[0].factor == 3.0
    net = Net(4)
    net(classifier_data()[0])
    net.save(tmp_path / "b.keras")
    back = keras.models.load_model(tmp_path / "b.keras", custom_objects={"Net": Net})
    np.testing.assert_array_equal(
        back.predict(classifier_data()[0], verbose=0), net.predict(classifier_data()[0], verbose=0)
    )


def test_what_cannot_be_written_is_refused_and_nothing_is_written(tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Lambda(lambda x: x * 2), layers.Dense(1)])
    with pytest.raises(TypeError, match="Lambda.function.*no code"):
        model.save(tmp_path / "a.keras")
    assert not (tmp_path / "a.keras").exists()
    with pytest.raises(ValueError, match="no weights yet"):
        keras.Sequential([layers.Dense(1)]).save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "w.weights")
    with pytest.raises(ValueError, match="weights alone"):
        keras.models.load_model(tmp_path / "w.weights")


def test_weights_alone(tmp_path):
    model, other = classifier(), classifier()
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)
    narrow = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(3)])
    before = narrow.get_weights()
    with pytest.raises(ValueError, match="holds 8 weights.*has 4"):
        narrow.load_weights(tmp_path / "w")
    narrow.save_weights(tmp_path / "n")
    wide = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"\(6, 4\).*\(6, 5\)"):
        wide.load_weights(tmp_path / "n")
    for a, b in zip(before, narrow.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("start", [b"PK\x03\x04" + bytes(50), b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_files_of_keras_itself_are_refused_with_a_way_out(tmp_path, start):
    (tmp_path / "m.keras").write_bytes(start)
    with pytest.raises(ValueError, match="get_weights"):
        keras.models.load_model(tmp_path / "m.keras")


def test_a_file_names_no_class_outside(tmp_path):
    """Names in a file are looked up among layers and the like alone: never imported."""
    state = {
        "format": "gradstone-keras-1",
        "model": {"class_name": "os.system", "config": {"command": "echo"}},
        "weights": [],
        "paths": [],
    }
    gs.save(state, tmp_path / "bad")
    with pytest.raises(ValueError, match="Could not locate class 'os.system'"):
        keras.models.load_model(tmp_path / "bad")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("weights", ["text"]),
        ("weights", None),
        ("paths", []),
        ("trainable", None),
        ("model", {"class_name": "Dense", "config": {}}),
        ("optimizer", {}),
    ],
)
def test_a_damaged_file_is_named(tmp_path, part, value):
    model = classifier()
    model.fit(*classifier_data(), verbose=0)
    path = tmp_path / "model.gs"
    model.save(path)
    gs.save({**gs.load(path), part: value}, path)
    with pytest.raises(ValueError, match=r"model\.gs"):
        keras.models.load_model(path)
    with open(path, "wb") as file:
        file.truncate()
    with pytest.raises(RuntimeError, match=r"model\.gs is empty"):
        keras.models.load_model(path)
