"""TensorFlow programs as their users write them run unchanged, with `tensorflow` meaning gradstone.

The programs are read from the folder that GRADSTONE_SEED_PROGRAMS names, or from
../shared/seed_programs beside the repository; what each must do is said in that folder's README.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import tensorflow as tf
from gradstone.keras import backend
from gradstone.keras.datasets import mnist

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs"))
DATA = PROGRAMS.parent / "data"

pytestmark = [
    pytest.mark.skipif(
        not PROGRAMS.is_dir(),
        reason=f"no seed programs at {PROGRAMS}; set GRADSTONE_SEED_PROGRAMS to their folder",
    ),
    pytest.mark.skipif(
        not (DATA / "mnist").is_dir(),
        reason=f"the seed programs need MNIST's files at {DATA / 'mnist'}",
    ),
]


@contextlib.contextmanager
def tensorflow_means_gradstone():
    mapped = tf.aliases()
    saved = {name: sys.modules.get(name) for name in mapped}
    sys.modules.update(mapped)
    try:
        yield
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def run(name, **names):
    """The program's printed text and its variables."""
    text = (PROGRAMS / name).read_text(encoding="utf-8")
    variables = {"__name__": "__main__", **names}
    printed = io.StringIO()
    gs.manual_seed(0)
    backend.clear_session()
    with tensorflow_means_gradstone(), contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), variables)
    return printed.getvalue(), variables


def images(train, test):
    """MNIST's first images as x_train (N, 28, 28, 1) in [0, 1], y_train, x_test, y_test."""
    (x, y), (u, v) = mnist.load_data(DATA / "mnist")
    x, u = (a[:n, ..., None].astype(np.float32) / 255 for a, n in ((x, train), (u, test)))
    return {"x_train": x, "y_train": y[:train], "x_test": u, "y_test": v[:test]}


def epochs_in(text):
    """The numbers of every line of an epoch, as a list of dicts."""
    lines = re.findall(r"^(\d+)/\1 .*/step( - .*)$", text, re.MULTILINE)
    return [
        {k: float(v) for k, v in re.findall(r" - (\w+): ([-\d.e]+)", rest)} for _, rest in lines
    ]


def test_01_keras_cnn_trains_and_prints_keras_lines():
    text, names = run("tf_01_keras_cnn.py", **images(640, 200))
    assert re.findall(r"^Epoch (\d+)/10$", text, re.MULTILINE) == [str(i) for i in range(1, 11)]
    assert len(re.findall(r"^20/20 ━{20} \S+ \S+/step - ", text, re.MULTILINE)) == 10
    epochs = epochs_in(text)
    assert [list(e) for e in epochs] == [["accuracy", "loss", "val_accuracy", "val_loss"]] * 10
    assert epochs[-1]["loss"] < epochs[0]["loss"] / 4
    assert epochs[-1]["val_accuracy"] > 0.8
    assert epochs[-1] == {
        k: pytest.approx(v[-1], abs=1e-4) for k, v in names["model"].history.history.items()
    }


@pytest.mark.minutes
@pytest.mark.timeout(3600)
def test_01_keras_cnn_reaches_its_accuracy_on_all_of_mnist():
    text, _ = run("tf_01_keras_cnn.py", **images(60_000, 10_000))
    assert epochs_in(text)[-1]["val_accuracy"] >= 0.97


def test_02_tensors_gradient_tape_keras():
    text, _ = run("tf_02_tensors_gradient_tape_keras.py")
    lines = text.splitlines()
    assert lines[0] == "tf.Tensor([5 7 9], shape=(3,), dtype=int32)"
    assert lines[1] == "tf.Tensor(4.0, shape=(), dtype=float32)"
    assert lines[2] == 'Model: "sequential"'
    assert re.findall(r"│ (dense\S*) \(Dense\) +│ (\(None, \d\)) +│ +(\d+) │", text) == [
        ("dense", "(None, 6)", "24"),
        ("dense_1", "(None, 1)", "7"),
    ]
    assert " Total params: 31 (124.00 B)" in lines


def test_05_keras_mnist_mlp(monkeypatch):
    """On a tenth of the images: the program reads all that load_data gives."""
    monkeypatch.setenv("GRADSTONE_DATA", str(DATA))
    load = mnist.load_data

    def some():
        (x, y), (u, v) = load()
        return (x[:6000], y[:6000]), (u[:2000], v[:2000])

    monkeypatch.setattr(mnist, "load_data", some)
    text, names = run("tf_05_keras_mnist_mlp.py")
    assert names["test_acc"] > 0.88
    assert text.splitlines()[-1] == f"Test accuracy: {names['test_acc']}"
    assert re.search(
        r"^63/63 - \d+s - \S+/step - accuracy: 0\.\d{4} - loss: \d\.\d{4}$", text, re.M
    )


@pytest.mark.slow
def test_05_keras_mnist_mlp_reaches_its_accuracy_on_all_of_mnist(monkeypatch):
    monkeypatch.setenv("GRADSTONE_DATA", str(DATA))
    _, names = run("tf_05_keras_mnist_mlp.py")
    assert names["test_acc"] >= 0.96


def test_06_keras_mnist_cnn_trains():
    text, names = run("tf_06_keras_mnist_cnn.py", **images(1000, 300))
    epochs = epochs_in(text)
    assert len(epochs) == 6  # five of training and the evaluation
    assert epochs[4]["loss"] < epochs[0]["loss"] / 3
    assert epochs[5]["accuracy"] > 0.8


@pytest.mark.minutes
@pytest.mark.timeout(3600)
def test_06_keras_mnist_cnn_reaches_its_accuracy_on_all_of_mnist():
    text, _ = run("tf_06_keras_mnist_cnn.py", **images(60_000, 10_000))
    assert epochs_in(text)[-1]["accuracy"] >= 0.98


def test_07_model_subclass():
    _, names = run("tf_07_model_subclass.py")
    out = names["Net"]()(np.random.default_rng(0).random((5, 28, 28, 1)))
    assert isinstance(out, tf.Tensor)
    assert out.shape == (5, 10)
    np.testing.assert_allclose(out.numpy().sum(1), 1, rtol=1e-5)
    assert out.numpy().min() > 0
