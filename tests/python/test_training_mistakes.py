"""Mistakes with a Trainer: said before anything is trained or overwritten, and in words."""

from __future__ import annotations

import signal
import warnings

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import (
    Accuracy,
    Callback,
    CSVLogger,
    EarlyStopping,
    MixUp,
    Perplexity,
    TopKAccuracy,
    Trainer,
    find_lr,
    profile_step,
)
from gradstone.utils.data import DataLoader, TensorDataset

X, Y = gs.randn(20, 4), gs.arange(20) % 3


def loader(size=5, x=X, y=Y, **options):
    return DataLoader(TensorDataset(x, y), size, **options)


def network(classes=3):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, classes))


def trainer(model=None, optimizer=None, loss=None, **options):
    model = network() if model is None else model
    return Trainer(
        model, optimizer or optim.Adam(model.parameters()), loss or nn.CrossEntropyLoss(),
        **{"progress": False, **options},
    )  # fmt: skip


def weights(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def frozen():
    model = network()
    model.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda: trainer(loss=nn.CrossEntropyLoss), TypeError, "the class CrossEntropyLoss: make"),
        (lambda: trainer(mix=MixUp), TypeError, "mix to be an object, got the class MixUp"),
        (lambda: trainer(scheduler=optim.lr_scheduler.StepLR), TypeError, "the class StepLR"),
        (lambda: Trainer(len, optim.SGD(network().parameters(), 0.1), len), TypeError,
         "model to be a Module, got builtin_function_or_method"),
        (lambda: trainer(max_time="1h"), TypeError, "max_time to be a number, got '1h'"),
        (lambda: trainer(clip_norm="1"), TypeError, "clip_norm to be a number"),
        (lambda: trainer(metrics={"samples_per_second": Accuracy()}), ValueError, "is taken"),
        (lambda: trainer().fit(X, 1), TypeError, "got a Tensor; for example DataLoader("),
        (lambda: trainer().fit(X, Y), ValueError, "whole number >= 1, got Tensor."),
        (lambda: trainer().fit(np.ones(3), 1), TypeError, "got a ndarray"),
        (lambda: trainer().fit(TensorDataset(X, Y), 1), TypeError, "got a data set"),
        (lambda: trainer().fit(None, 1), TypeError, "a loader of batches, got NoneType"),
        (lambda: trainer().fit(loader(50, drop_last=True), 1), ValueError,
         "no batches: drop_last leaves out the only one, 20 samples where batch_size is 50"),
        (lambda: trainer().evaluate(X), TypeError, "[Trainer.evaluate] expected a loader"),
        (lambda: trainer().predict(TensorDataset(X)), TypeError, "[Trainer.predict] expected a lo"),
        (lambda: trainer().fit(DataLoader(TensorDataset(X, X, Y), 5), 1), TypeError,
         "CrossEntropyLoss() takes none. Several inputs go together as ((a, b), targets)"),
        (lambda: trainer(frozen()).fit(loader(), 1), RuntimeError, "the loss has no gradient"),
    ],
)  # fmt: skip
def test_the_error_names_the_mistake(mistake, error, text):
    with pytest.raises(error) as caught:
        mistake()
    assert text in str(caught.value)


def test_a_callback_alone_is_one_of_a_list():
    stopping = EarlyStopping("loss")
    trainer(callbacks=stopping).fit(loader(), 1)
    assert stopping.best_epoch == 1


def test_an_optimizer_or_schedule_of_something_else():
    with pytest.warns(UserWarning, match="4 of the optimizer's 4 parameters are not the model's"):
        trainer(optimizer=optim.Adam(network().parameters()))
    model = network()
    early = optim.Adam(model.parameters())
    model[2] = nn.Linear(8, 3)
    with pytest.warns(UserWarning, match=r"2 of the .* the first of shape \(3, 8\)"):
        trainer(model, early)
    other = optim.lr_scheduler.StepLR(optim.SGD(network().parameters(), 0.1), 1)
    with pytest.raises(ValueError, match="that of another optimizer"):
        trainer(scheduler=other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = nn.Linear(3, 2)  # a loss with weights of its own, over a model that is frozen
        trainer(frozen(), optim.SGD(head.parameters(), 0.1), head)


@pytest.mark.parametrize(
    ("validation", "error", "text"),
    [
        (lambda: iter(loader()), TypeError, "once for each epoch"),
        (lambda: loader(50, drop_last=True), ValueError, "gave no batches"),
        (lambda: TensorDataset(X, Y), TypeError, "a data set"),
    ],
)
def test_a_validation_that_cannot_be_is_refused_before_the_first_epoch(validation, error, text):
    t = trainer()
    before = weights(t.model)
    with pytest.raises(error, match=text):
        t.fit(loader(), 2, validation())
    for name, value in weights(t.model).items():
        assert np.array_equal(value, before[name])


@pytest.mark.parametrize("user", ["early stopping", "checkpoint", "plateau"])
def test_a_monitored_name_is_looked_up_before_the_first_epoch(user, tmp_path):
    def made(name, **options):
        model = network()
        optimizer = optim.SGD(model.parameters(), 0.1)
        if user == "plateau":
            options["scheduler"] = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        elif user == "checkpoint":
            options["checkpoint_dir"] = tmp_path
        else:
            options.setdefault("callbacks", []).append(EarlyStopping())
        return trainer(model, optimizer, monitor=name, metrics={"accuracy": Accuracy()}, **options)

    t = made("val_acuracy")
    with pytest.raises(KeyError, match=r"no value 'val_acuracy'.* accuracy, val_loss, val_accur"):
        t.fit(loader(), 1, loader())
    assert t.step == 0
    with pytest.raises(KeyError, match="given no validation"):
        made("val_accuracy").fit(loader(), 1)

    class Adds(Callback):
        def validation_end(self, trainer):
            trainer.logs["val_error"] = 1.0

    made("val_error", callbacks=[Adds()]).fit(loader(), 1, loader())


def test_a_mode_that_must_be_given_is_asked_for_before_the_first_epoch(tmp_path):
    t = trainer(monitor="score", metrics={"score": Accuracy()}, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="mode='min' or mode='max'"):
        t.fit(loader(), 1)
    assert t.step == 0


def test_every_callback_is_told_of_the_end():
    ended = []

    class Ends(Callback):
        def __init__(self, name, fails=False):
            self.name, self.fails = name, fails

        def fit_end(self, trainer):
            ended.append(self.name)
            if self.fails:
                raise OSError(self.name)

    with pytest.raises(OSError, match="first"):
        trainer(callbacks=[Ends("first", True), Ends("second"), Ends("third")]).fit(loader(), 1)
    assert ended == ["first", "second", "third"]


def test_a_fit_inside_a_fit_is_refused():
    class Again(Callback):
        def epoch_end(self, trainer):
            trainer.fit(loader(), 1)

    t = trainer(callbacks=[Again()])
    with pytest.raises(RuntimeError, match="in a fit already"):
        t.fit(loader(), 2)
    assert len(t.history) == 1
    t.callbacks.hooks["epoch_end"].clear()
    assert len(t.fit(loader(), 2)) == 2


def test_a_callback_that_leaves_evaluation_mode():
    modes = []

    class Looks(Callback):
        def epoch_end(self, trainer):
            modes.append(trainer.model.training)
            trainer.model.eval()

    trainer(callbacks=[Looks()]).fit(loader(), 3)
    assert modes == [True, True, True]

    class Wants(Looks):
        def fit_start(self, trainer):
            trainer.model.eval()

    trainer(callbacks=[Wants()]).fit(loader(), 2)
    assert modes[3:] == [False, False]


def test_a_hook_of_another_library_is_warned_of():
    class Keras(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise AssertionError("called")

    with pytest.warns(UserWarning, match="nobody calls Keras.on_epoch_end: hooks are fit_start"):
        t = trainer(callbacks=[Keras()])
    t.fit(loader(), 1)


def test_an_empty_batch_is_named():
    with pytest.raises(FloatingPointError, match="the batch has no samples"):
        trainer().fit([(X, Y), (X[:0], Y[:0])], 1)


# -------------------------------------------------------------------------------------- predicting


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return {"scores": self.linear(x), "parts": (x, x.sum(1))}


def test_predict_joins_dicts_and_nested_outputs():
    got = trainer(Several(), loss=len).predict(loader(6))
    assert got["scores"].shape == (20, 3)
    assert gs.equal(got["parts"][0], X)
    assert got["parts"][1].shape == (20,)


def test_predict_says_what_is_wrong_with_outputs_that_cannot_be_joined():
    class Squeezes(nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    with pytest.raises(ValueError, match=r"got shapes \(19,\) and \(\).*squeeze\(1\)"):
        trainer(Squeezes(4, 1)).predict(loader(19))


# ---------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("model", r"'2.weight' has shape \(5, 8\) here and \(3, 8\) there"),
        ("deeper", r"'4.weight' has shape \(3, 3\) here and none there"),
        ("optimizer", "the optimizer is Adam, that of the checkpoint SGD"),
        ("scheduler", "the scheduler is ExponentialLR, that of the checkpoint StepLR"),
        ("groups", r"groups of \[2, 2\] parameters, that of the checkpoint of \[4\]"),
    ],
)
def test_nothing_is_changed_by_a_checkpoint_of_something_else(change, text, tmp_path):
    def made(model, kind=optim.SGD, schedule=optim.lr_scheduler.StepLR, groups=False):
        parts = [{"params": layer.parameters()} for layer in (model[0], model[2])]
        optimizer = kind(parts if groups else model.parameters(), lr=0.1)
        scheduler = schedule(optimizer, 1)
        log = CSVLogger(tmp_path / "log.csv")
        return trainer(
            model, optimizer, scheduler=scheduler, checkpoint_dir=tmp_path, callbacks=[log]
        )

    made(network()).fit(loader(), 2)
    others = {
        "model": lambda: made(network(5)),
        "deeper": lambda: made(network().extend([nn.ReLU(), nn.Linear(3, 3)])),
        "optimizer": lambda: made(network(), optim.Adam),
        "scheduler": lambda: made(network(), schedule=optim.lr_scheduler.ExponentialLR),
        "groups": lambda: made(network(), groups=True),
    }
    other = others[change]()
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    before, rate = weights(other.model), other.optimizer.param_groups[0]["lr"]
    with pytest.raises(ValueError, match=text):
        other.fit(loader(), 3, resume=True)
    assert all(np.array_equal(v, before[k]) for k, v in weights(other.model).items())
    assert other.optimizer.param_groups[0]["lr"] == rate
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_other_data_in_the_middle_of_an_epoch(tmp_path):
    class Pauses(Callback):
        def batch_end(self, trainer):
            trainer._pause("interrupted")

    trainer(checkpoint_dir=tmp_path, callbacks=[Pauses()]).fit(loader(), 2)
    with pytest.raises(ValueError, match="an epoch of 20 samples, the loader now gives 19"):
        trainer(checkpoint_dir=tmp_path).fit(loader(x=X[:19], y=Y[:19]), 2, resume=True)
    assert len(trainer(checkpoint_dir=tmp_path).fit(loader(), 2, resume=True)) == 2


def test_a_folder_is_its_last_checkpoint_and_a_damaged_one_names_the_other(tmp_path):
    trainer(checkpoint_dir=tmp_path).fit(loader(), 2)
    assert len(trainer().fit(loader(), 3, resume=tmp_path)) == 3
    last = tmp_path / "last.gs"
    last.write_bytes(last.read_bytes()[:300])
    with pytest.raises(RuntimeError, match="truncated") as caught:
        trainer(checkpoint_dir=tmp_path).fit(loader(), 3, resume=True)
    assert "best.gs" in caught.value.__notes__[0]
    assert len(trainer().fit(loader(), 3, resume=tmp_path / "best.gs")) == 3


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        trainer(checkpoint_dir=tmp_path / "file").fit(loader(), 1)


def test_a_fit_that_has_nothing_to_do_says_so(tmp_path, capsys):
    trainer(checkpoint_dir=tmp_path).fit(loader(), 2)
    trainer(checkpoint_dir=tmp_path, progress=True).fit(loader(), 2, resume=True)
    assert "2 epochs are done, none is left" in capsys.readouterr().out


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Fills(Callback):
        def epoch_start(self, trainer):
            if trainer.epoch == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError) as caught:
            trainer(checkpoint_dir=tmp_path, callbacks=[Fills()]).fit(loader(), 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "could not be written; the one before is whole" in caught.value.__notes__[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.gs", "last.gs"]
    assert gs.load(tmp_path / "last.gs")["position"]["epochs"] == 2


def test_a_resumed_epoch_has_the_rate_of_what_was_done_since(tmp_path, capsys):
    class Pauses(Callback):
        def validation_start(self, trainer):
            trainer._pause("interrupted")

    trainer(checkpoint_dir=tmp_path, callbacks=[Pauses()]).fit(loader(), 1, loader())
    trainer(checkpoint_dir=tmp_path, progress=True).fit(loader(), 1, loader(), resume=True)
    out = capsys.readouterr().out
    assert "epoch 1/1  4/4" in out
    assert "steps/s" not in out


def test_writing_over_an_earlier_run_is_warned_of(tmp_path):
    def fit(**options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer(checkpoint_dir=tmp_path).fit(loader(), 2, **options)
        return [str(warning.message) for warning in caught]

    assert fit() == []
    assert fit(resume=True) == []
    (said,) = fit()
    assert "last.gs is of an earlier run" in said
    assert "resume=True" in said


# ------------------------------------------------------------------------------ beside the Trainer


def test_one_score_per_sample_is_no_hundred_percent():
    scores, target = gs.tensor([[2.0], [-1.0], [3.0]]), gs.tensor([[1.0], [1.0], [0.0]])
    for metric in (Accuracy(), TopKAccuracy(1), Perplexity()):
        with pytest.raises((ValueError, TypeError), match="single class|integer tokens"):
            metric.update(scores, target)
    metric = Accuracy(threshold=0.0)
    metric.update(scores, target)
    assert metric.compute() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda m, o: find_lr(m, o, nn.CrossEntropyLoss, loader()), TypeError, "the class Cross"),
        (lambda m, o: find_lr(m, o, nn.CrossEntropyLoss(), TensorDataset(X, Y)), TypeError,
         r"\[find_lr\] expected a loader of batches, got a data set"),
        (lambda m, o: find_lr(m, o, nn.CrossEntropyLoss(), iter(loader())), ValueError,
         "ended after 4 batches and does not begin again"),
        (lambda m, o: profile_step(nn.Linear, nn.MSELoss(), (X, Y)), TypeError,
         "the class Linear"),
        (lambda m, o: EarlyStopping(3), TypeError, "a name of the history, got 3"),
    ],
)  # fmt: skip
def test_mistakes_beside_the_trainer(mistake, error, text):
    model = network()
    with pytest.raises(error, match=text):
        mistake(model, optim.Adam(model.parameters()))
