"""Epochs in a CSV file and in TensorBoard's event files."""

from __future__ import annotations

import csv
import sys
import types

import numpy as np
import pytest

import gradstone as gs
from gradstone.training.logging import CSVLogger, TensorBoardLogger


def run(logger, epochs, logs=None, end=True):
    """What a trainer does with the callback: epochs from 1, or a range of them."""
    trainer = types.SimpleNamespace(epoch=0, logs={})
    logger.fit_start(trainer)
    for epoch in range(1, epochs + 1) if isinstance(epochs, int) else epochs:
        trainer.epoch = epoch
        trainer.logs = logs(epoch) if logs else {"epoch": epoch, "loss": 1 / epoch, "lr": 0.1}
        logger.epoch_end(trainer)
    if end:
        logger.fit_end(trainer)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_there_when_the_epoch_is_over(tmp_path):
    path = tmp_path / "runs" / "log.csv"
    seen = []

    def logs(epoch):
        seen.append(rows(path) if path.exists() else [])
        return {"epoch": epoch, "loss": 0.5**epoch, "val_accuracy": gs.tensor(0.25)}

    run(CSVLogger(path), 3, logs)
    assert [len(s) for s in seen] == [0, 1, 2]
    found = rows(path)
    assert list(found[0]) == ["epoch", "loss", "val_accuracy"]
    assert [(int(r["epoch"]), float(r["loss"])) for r in found] == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert float(found[0]["val_accuracy"]) == 0.25


def test_values_keep_all_their_digits(tmp_path):
    value = 1 / 3 + 1e-16
    run(CSVLogger(tmp_path / "log.csv"), 1, lambda e: {"loss": value, "other": float("nan")})
    row = rows(tmp_path / "log.csv")[0]
    assert float(row["loss"]) == value
    assert np.isnan(float(row["other"]))


def test_going_on_makes_no_double_rows(tmp_path):
    path = tmp_path / "log.csv"
    run(CSVLogger(path), 4)
    run(CSVLogger(path), range(3, 6), lambda e: {"loss": 100.0 + e, "lr": 0.1})
    found = rows(path)
    assert [int(r["epoch"]) for r in found] == [1, 2, 3, 4, 5]
    assert [float(r["loss"]) for r in found] == [1.0, 0.5, 103.0, 104.0, 105.0]
    # The same logger twice, as a trainer whose fit is called again.
    logger = CSVLogger(path)
    run(logger, range(5, 7))
    run(logger, range(6, 8))
    assert [int(r["epoch"]) for r in rows(path)] == list(range(1, 8))


def test_a_new_fit_begins_the_file_anew(tmp_path):
    path = tmp_path / "log.csv"
    run(CSVLogger(path), 4)
    run(CSVLogger(path), 2)
    assert [int(r["epoch"]) for r in rows(path)] == [1, 2]


def test_a_torn_last_row_is_dropped(tmp_path):
    path = tmp_path / "log.csv"
    run(CSVLogger(path), 3, end=False)
    path.write_bytes(path.read_bytes()[:-4])
    run(CSVLogger(path), range(4, 6))
    found = rows(path)
    assert [int(r["epoch"]) for r in found] == [1, 2, 4, 5]
    assert [float(r["lr"]) for r in found] == [0.1] * 4


def test_columns_that_come_later(tmp_path):
    path = tmp_path / "log.csv"

    def logs(epoch):
        return {"loss": 1.0} if epoch < 3 else {"val_loss": 2.0, "loss": 1.0}

    run(CSVLogger(path), 4, logs)
    found = rows(path)
    assert list(found[0]) == ["epoch", "loss", "val_loss"]
    assert [r["val_loss"] for r in found] == ["", "", "2.0", "2.0"]
    run(CSVLogger(path), range(5, 6), lambda e: {"lr": 0.5})
    last = rows(path)[-1]
    assert last == {"epoch": "5", "loss": "", "val_loss": "", "lr": "0.5"}


def test_what_is_no_number_is_left_out(tmp_path):
    logs = {"matrix": [[1, 2]], "note": "x", "loss": 1.0, "vector": gs.ones(3), "flag": True}
    run(CSVLogger(tmp_path / "log.csv"), 1, lambda e: logs)
    assert list(rows(tmp_path / "log.csv")[0]) == ["epoch", "loss"]


def test_another_file_is_not_overwritten(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("name,age\nAda,36\n")
    with pytest.raises(ValueError, match="no log of a CSVLogger"):
        run(CSVLogger(path), 1)
    assert path.read_text() == "name,age\nAda,36\n"


class Recorder:
    """Stands in for tensorboardX's writer."""

    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step, self.scalars, self.open = folder, purge_step, [], True
        Recorder.made.append(self)

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed = len(self.scalars)

    def close(self):
        self.open = False


def test_what_tensorboard_is_told(tmp_path, monkeypatch):
    Recorder.made = []
    fake = types.ModuleType("tensorboardX")
    fake.SummaryWriter = Recorder
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    logs = lambda e: {"epoch": e, "loss": 1.0 / e, "val_loss": 2.0 / e, "m": [[1]]}
    logger = TensorBoardLogger(tmp_path / "run")
    run(logger, 2, logs)
    run(logger, range(2, 4), logs)
    first, second = Recorder.made
    assert first.scalars == [
        ("loss/train", 1.0, 1),
        ("loss/val", 2.0, 1),
        ("loss/train", 0.5, 2),
        ("loss/val", 1.0, 2),
    ]
    assert (first.purge_step, second.purge_step) == (1, 2)
    assert first.flushed == 4
    assert not first.open
    assert not second.open


def test_event_files(tmp_path):
    pytest.importorskip("tensorboardX", reason="writes TensorBoard's event files")
    run(TensorBoardLogger(tmp_path / "run"), 2)
    (file,) = (tmp_path / "run").glob("events.out.tfevents.*")
    data = file.read_bytes()
    assert data.count(b"loss/train") == 2
    assert data.count(b"lr/train") == 2
    assert np.float32(0.5).tobytes() in data


def test_without_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"gradstone\[tensorboard\]"):
        run(TensorBoardLogger(tmp_path), 1)
