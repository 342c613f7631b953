"""Callbacks, early stopping, checkpoints, history and progress."""

from __future__ import annotations

import csv
import io
import math
import subprocess
import sys

import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Callback, Checkpoint, EarlyStopping, History, Progress, Trainer
from gradstone.training.callbacks import HOOKS

BATCHES = [(gs.ones(4, 2) * k, gs.ones(4, 1)) for k in range(3)]


def trainer_with(*callbacks, lr=0.01, **options):
    gs.manual_seed(0)
    model = nn.Linear(2, 1)
    return Trainer(
        model, optim.SGD(model.parameters(), lr), nn.MSELoss(), callbacks=callbacks,
        **{"progress": False, **options},
    )  # fmt: skip


def test_hooks_are_called_in_order():
    calls = []
    hooks = {name: lambda self, trainer, name=name: calls.append(name) for name in HOOKS}
    everything = type("Everything", (Callback,), hooks)()
    trainer_with(everything, accumulate=2).fit(BATCHES, 1, BATCHES[:1])
    batch = ["batch_start", "before_backward", "after_backward", "batch_end"]
    assert calls == [
        "fit_start", "epoch_start", *batch, *batch, "step_end", *batch, "step_end",
        "validation_start", "validation_end", "epoch_end", "fit_end",
    ]  # fmt: skip


def test_a_callback_is_one_method_or_a_function():
    seen = []

    class Replaces(Callback):
        def batch_start(self, trainer):
            trainer.inputs = trainer.inputs * 0

    trainer_with(Replaces(), lambda t: seen.append((t.epoch, t.batch, t.logs["loss"]))).fit(
        BATCHES, 2
    )
    assert [s[:2] for s in seen] == [(1, 3), (2, 3)]
    one, two = trainer_with(), trainer_with()
    assert one.fit(BATCHES, 1)["loss"] != [seen[0][2]]
    assert two.fit([(x * 0, y) for x, y in BATCHES], 1)["loss"] == [seen[0][2]]


def test_a_callback_may_stop_after_a_step():
    class Stops(Callback):
        def batch_end(self, trainer):
            if trainer.step == 4:
                trainer.stop("enough")

    trainer = trainer_with(Stops())
    history = trainer.fit(BATCHES, 5)
    assert (trainer.epoch, trainer.batch, trainer.step) == (2, 2, 5)
    assert history.stopped == "enough"
    assert not history.interrupted
    assert len(history) == 1


def test_fit_end_is_called_after_an_error():
    ended = []

    class Watches(Callback):
        def fit_end(self, trainer):
            ended.append(trainer.failed)

    with pytest.raises(TypeError, match="inputs, targets"):
        trainer_with(Watches()).fit([3], 1)
    trainer_with(Watches()).fit(BATCHES, 1)
    assert ended == [True, False]


# ---------------------------------------------------------------------------------- early stopping


class Script(Callback):
    """Sets the epoch's val_loss by a list, and the weight to the epoch's number."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = values, name

    def validation_end(self, trainer):
        trainer.logs[self.name] = self.values[trainer.epoch - 1]
        with gs.no_grad():
            trainer.model.weight.fill_(trainer.epoch)


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([3, 2, 4, 5, 1, 1], {"patience": 2}, 4, 2),
        ([3, 2, 4, 1, 5, 6], {"patience": 3}, 6, 4),
        ([3, 2, 4, 5, 1, 1], {"patience": 0}, 3, 2),
        ([3, 2.9, 2.8, 2.7, 2.6, 1], {"patience": 2, "min_delta": 0.5}, 3, 1),
        ([3, 2, 4, 5, 1, 6], {"patience": 2, "mode": "max"}, 6, 6),
        ([math.nan, 2, math.nan, math.nan, 1, 1], {"patience": 2}, 4, 2),
    ],
)
def test_early_stopping(values, options, epochs, best):
    stopping = EarlyStopping(**options)
    trainer = trainer_with(Script(values), stopping)
    history = trainer.fit(BATCHES, 6, BATCHES)
    assert len(history) == epochs
    assert stopping.best_epoch == best
    assert trainer.model.weight.tolist() == [[best, best]]
    assert (history.stopped is None) == (epochs == 6)
    if epochs < 6:
        assert f"epoch {best}" in history.stopped


def test_early_stopping_may_leave_the_last_weights():
    trainer = trainer_with(Script([1, 2, 3, 4]), EarlyStopping(patience=1, restore_best=False))
    trainer.fit(BATCHES, 4, BATCHES)
    assert trainer.model.weight.tolist() == [[2, 2]]


def test_modes_by_name():
    stopping = EarlyStopping("val_accuracy", patience=1)
    trainer_with(Script([0.1, 0.3, 0.2, 0.4], "val_accuracy"), stopping).fit(BATCHES, 4, BATCHES)
    assert stopping.best == 0.3
    with pytest.raises(ValueError, match="'val_thing'.*mode='min'"):
        EarlyStopping("val_thing")
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(patience=-1)
    with pytest.raises(KeyError, match=r"'val_loss' to monitor \(fit was given no validation\)"):
        trainer_with(EarlyStopping("val_loss")).fit(BATCHES, 1)


def test_a_fit_that_stopped_early_stays_stopped(tmp_path):
    def make():
        return trainer_with(
            Script([3, 2, 4, 5, 1, 1]), EarlyStopping(patience=2), checkpoint_dir=tmp_path
        )

    make().fit(BATCHES, 6, BATCHES)
    trainer = make()
    history = trainer.fit(BATCHES, 6, BATCHES, resume=True)
    assert len(history) == 4
    assert "early stopping" in history.stopped
    assert trainer.model.weight.tolist() == [[2, 2]]


# ------------------------------------------------------------------------------------- checkpoints


def test_best_and_last(tmp_path):
    trainer_with(Script([3, 1, 2]), checkpoint_dir=tmp_path / "a" / "b").fit(BATCHES, 3, BATCHES)
    best, last = (gs.load(tmp_path / "a" / "b" / name) for name in ("best.gs", "last.gs"))
    assert best["model"]["weight"].tolist() == [[2, 2]]
    assert last["model"]["weight"].tolist() == [[3, 3]]
    assert last["history"]["epochs"][1]["val_loss"] == 1


def test_the_best_is_that_of_the_whole_run(tmp_path):
    def make(values):
        return trainer_with(Script(values), checkpoint_dir=tmp_path)

    make([1, 2]).fit(BATCHES, 2, BATCHES)
    make([1, 2, 3]).fit(BATCHES, 3, BATCHES, resume=True)
    assert gs.load(tmp_path / "best.gs")["model"]["weight"].tolist() == [[1, 1]]


def test_checkpoint_every_few_batches(tmp_path):
    written = []

    class Counts(Checkpoint):
        def save(self, trainer, path=None):
            written.append((trainer.epoch, trainer.batch))
            super().save(trainer, path)

    trainer_with(Counts(tmp_path, every=2, best=False)).fit(BATCHES, 2)
    assert written == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert not (tmp_path / "best.gs").exists()
    with pytest.raises(ValueError, match="every"):
        Checkpoint(tmp_path, every=0)
    with pytest.raises(ValueError, match="got both"):
        trainer_with(Checkpoint(tmp_path), checkpoint_dir=tmp_path)


def test_a_checkpoint_comes_after_the_other_callbacks(tmp_path):
    def changes(trainer):
        with gs.no_grad():
            trainer.model.weight.fill_(7)

    trainer_with(Checkpoint(tmp_path), changes).fit(BATCHES, 1)
    assert gs.load(tmp_path / "last.gs")["model"]["weight"].tolist() == [[7, 7]]


# ----------------------------------------------------------------------------------------- history


def history():
    made = History()
    made.epochs = [
        {"epoch": 1, "loss": 2.0, "val_loss": math.nan, "lr": 0.1, "seconds": 1.0, "m": [[1]]},
        {"epoch": 2, "loss": 1 / 3, "val_loss": math.inf, "lr": 0.05, "seconds": 1.0, "m": [[2]]},
    ]
    made.stopped = "enough"
    return made


def test_history_reads_like_a_table():
    made = history()
    assert made["loss"] == [2.0, 1 / 3]
    assert len(made) == 2
    assert "val_loss" in made
    assert made.names == ["epoch", "loss", "val_loss", "lr", "seconds", "m"]
    with pytest.raises(KeyError, match="no 'accuracy'; it has epoch, loss"):
        made["accuracy"]
    assert "2 epochs" in repr(made)


def test_history_goes_to_files_and_back(tmp_path):
    made = history()
    made.save(tmp_path / "h.json")
    back = History.load(tmp_path / "h.json")
    assert repr(back.state_dict()) == repr(made.state_dict())
    assert "NaN" not in (tmp_path / "h.json").read_text()
    made.to_csv(tmp_path / "h.csv")
    with open(tmp_path / "h.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == made["loss"]
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ValueError, match="is no history"):
        History.load(tmp_path / "bad.json")


def test_history_draws_itself(tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib (the 'plot' extra)")
    made = history()
    made.epochs[0]["val_loss"] = 1.0
    made.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    figure = made.plot()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["loss", "lr"]
    lines = figure.axes[0].get_lines()
    assert [len(line.get_xdata()) for line in lines] == [2, 1]
    with pytest.raises(ValueError, match="no epoch"):
        History().plot()


def test_history_of_a_fit():
    made = trainer_with().fit(BATCHES, 2, BATCHES[:1])
    assert made["epoch"] == [1, 2]
    assert made.names == [
        "epoch", "loss", "val_loss", "lr", "seconds", "samples_per_second"
    ]  # fmt: skip
    assert all(0 < s < 60 for s in made["seconds"])
    assert made["lr"] == [0.01, 0.01]


# ---------------------------------------------------------------------------------------- progress


def test_a_line_for_each_epoch_where_there_is_no_terminal(capsys):
    trainer_with(progress=True).fit(BATCHES, 2, BATCHES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for part in ("epoch 2/2", "3/3", "loss 0.", "val_loss 0.", "lr 0.0100", "samples/s", " s"):
        assert part in lines[1]


def test_progress_by_hand_gives_quarters_and_reads_values_when_shown():
    out, reads = io.StringIO(), []

    def value():
        reads.append(bar.done)
        return 0.25

    with Progress(8, "epoch 1/1", file=out) as bar:
        for _ in range(8):
            bar.update(samples=4, loss=value, accuracy=gs.tensor(0.5), n=3)
    lines = out.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["2/8", "4/8", "6/8", "8/8"]
    assert "loss 0.2500  accuracy 0.5000  n 3" in lines[0]
    assert reads == [2, 4, 6, 8]
    out = io.StringIO()
    with Progress(None, file=out) as bar:
        bar.update(3)
    assert out.getvalue().startswith("3  ")
    assert "steps/s" in out.getvalue()
    with Progress(3, file=(out := io.StringIO()), enabled=False) as bar:
        bar.update(loss=value)
    assert out.getvalue() == ""
    with pytest.raises(ValueError, match="total"):
        Progress(-1)


def test_progress_says_nothing_at_an_error():
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress(2, file=out, quarters=False) as bar:
        bar.update()
        raise ZeroDivisionError
    assert out.getvalue() == ""


def test_a_bar_on_a_terminal():
    pytest.importorskip("rich", reason="the bar needs rich (the 'progress' extra)")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    with Progress(2, "epoch 1/1", file=out) as bar:
        bar.update(loss=0.5)
        assert "1/2" in out.getvalue()
        assert "loss 0.5000" in out.getvalue()
        bar.update(loss=0.25)  # too soon to be drawn
        assert "2/2" not in out.getvalue()
    last = out.getvalue().splitlines()[-1]
    assert "epoch 1/1  2/2  loss 0.2500" in last


def test_the_package_is_imported_when_it_is_used():
    program = (
        "import sys, gradstone.training as t\n"
        "before = set(sys.modules)\n"
        "assert 'gradstone.training.trainer' not in before\n"
        "t.Trainer\n"
        "assert not {'rich', 'matplotlib', 'tensorboardX'} & set(sys.modules)\n"
        "assert 'Trainer' in dir(t) and 'EMA' in t.__all__\n"
        "try:\n"
        "    t.Nothing\n"
        "except AttributeError as error:\n"
        "    assert 'Nothing' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
