"""gradstone.keras: callbacks."""

import csv

import numpy as np
import pytest

from gradstone import keras
from gradstone.keras import callbacks
from keras_models import classifier, classifier_data


@pytest.fixture(autouse=True)
def fresh_names():
    keras.backend.clear_session()


def test_early_stopping_takes_the_best_weights_back():
    x, y = classifier_data()
    model = classifier()
    weights = {}
    stop = callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.update({epoch: model.get_weights()})
    )
    model.optimizer.learning_rate = 0.3  # large enough to overfit at once
    history = model.fit(
        x, y, epochs=60, verbose=0, validation_data=classifier_data(1), callbacks=[keep, stop]
    )
    values = history.history["val_loss"]
    best = int(np.argmin(values))
    assert len(values) == best + 3 < 60
    for a, b in zip(model.get_weights(), weights[best]):
        np.testing.assert_array_equal(a, b)


def test_model_checkpoint_keeps_the_best(tmp_path):
    x, y = classifier_data()
    model = classifier()
    every = callbacks.ModelCheckpoint(
        tmp_path / "all" / "{epoch:02d}.weights", save_weights_only=True
    )
    best = callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_accuracy", save_best_only=True)
    history = model.fit(
        x, y, epochs=4, verbose=0, validation_data=classifier_data(1), callbacks=[every, best]
    ).history
    names = sorted(p.name for p in (tmp_path / "all").iterdir())
    assert names == ["01.weights", "02.weights", "03.weights", "04.weights"]
    other = keras.models.load_model(tmp_path / "best.keras")
    found = other.evaluate(*classifier_data(1), verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(max(history["val_accuracy"]))
    with pytest.raises(KeyError, match="nothing"):
        model.fit(
            x, y, verbose=0, callbacks=[callbacks.ModelCheckpoint(str(tmp_path / "{nothing}"))]
        )


def test_rates_and_the_csv_file(tmp_path):
    x, y = classifier_data()
    model = classifier()
    history = model.fit(
        x,
        y,
        epochs=3,
        verbose=0,
        callbacks=[
            callbacks.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch),
            callbacks.CSVLogger(tmp_path / "log.csv"),
        ],
    ).history
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025])
    with (tmp_path / "log.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["epoch", "accuracy", "learning_rate", "loss"]
    assert [row[0] for row in table[1:]] == ["0", "1", "2"]
    assert [float(row[3]) for row in table[1:]] == history["loss"]
    plateau = callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=9, min_lr=1e-3)
    model.optimizer.learning_rate = 0.05
    rates = model.fit(x, y, epochs=4, verbose=0, callbacks=[plateau]).history["learning_rate"]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.001])


def test_hooks_in_order_and_stopping_on_nan():
    x, y = classifier_data()
    seen = []
    names = """on_train_begin on_train_end on_epoch_begin on_epoch_end on_train_batch_begin
    on_train_batch_end on_test_begin on_test_end""".split()
    hooks = {n: (lambda *args, n=n, **kwargs: seen.append(n)) for n in names}
    model = classifier()
    watch = callbacks.LambdaCallback(**hooks)
    model.fit(x, y, verbose=0, validation_data=classifier_data(1), callbacks=[watch])
    assert seen == [
        "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
        "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip
    x[5] = np.nan
    history = model.fit(x, y, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert len(history.epoch) == 1
    with pytest.raises(ValueError, match="on_nothing"):
        callbacks.LambdaCallback(on_nothing=print)


def test_a_monitor_that_is_not_there_warns():
    with pytest.warns(UserWarning, match="val_loss.*not available.*accuracy, loss"):
        classifier().fit(*classifier_data(), verbose=0, callbacks=[callbacks.EarlyStopping()])


def test_what_callbacks_know():
    known = {}

    class Look(callbacks.Callback):
        def on_train_begin(self, logs=None):
            known.update(self.params, model=self.model)

        def on_batch_end(self, batch, logs=None):
            known.setdefault("batches", []).append((batch, sorted(logs)))

    model = classifier()
    model.fit(*classifier_data(), batch_size=10, verbose=0, callbacks=[Look()])
    assert known["model"] is model
    assert (known["epochs"], known["steps"], known["verbose"]) == (1, 3, 0)
    assert known["batches"] == [(i, ["accuracy", "loss"]) for i in range(3)]
