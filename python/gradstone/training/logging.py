"""Epochs written down as they end: a CSV file, and TensorBoard's event files."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstone._C import Tensor
from gradstone._replace import write_file
from gradstone.training.callbacks import Callback

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer


def _numbers(logs: dict[str, Any]) -> dict[str, float | int]:
    """What of an epoch's values is a number; a matrix or a text is left out."""
    found: dict[str, float | int] = {}
    for name, value in logs.items():
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = value
    return found


class CSVLogger(Callback):
    """One row for each epoch, with the epoch's number and every value of ``trainer.logs`` that is
    a number; on the disk when the epoch is over.

    A fit that goes on in epoch e keeps the rows before e and writes the others anew, so that no
    epoch has two rows; a fit from epoch 1 begins the file anew. A row that was torn by a crash is
    dropped. A value that appears later gets a column then, empty in the rows before. ValueError
    when the file exists and is no such log.
    """

    writes_files = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._columns: list[str] | None = None

    def fit_start(self, trainer: Trainer) -> None:
        self._columns = None
        self._read()  # refuses another file before hours of training
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        row: dict[str, Any] = {"epoch": trainer.epoch, **_numbers(trainer.logs)}
        if self._columns is None:
            columns, rows = self._read()
            kept = [r for r in rows if int(r["epoch"]) < trainer.epoch]
            self._write([*columns, *(k for k in row if k not in columns)], kept)
        elif any(name not in self._columns for name in row):
            _, rows = self._read()
            self._write([*self._columns, *(k for k in row if k not in self._columns)], rows)
        assert self._columns is not None
        with open(self.path, "a", newline="", encoding="utf-8") as out:
            csv.DictWriter(out, self._columns).writerow(row)
            out.flush()
            os.fsync(out.fileno())

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        """Columns and whole rows of the file; nothing when there is none."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return [], []
        with open(self.path, newline="", encoding="utf-8") as file:
            text = file.read()
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last may be torn
        reader = csv.DictReader(lines)
        columns = list(reader.fieldnames or [])
        if not columns or columns[0] != "epoch":
            raise ValueError(
                f"[CSVLogger] {self.path} is no log of a CSVLogger (its first column is not "
                "'epoch'): give another path."
            )
        return columns, [row for row in reader if (row["epoch"] or "").isdigit()]

    def _write(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        """The file anew, at once: a crash leaves the old one or the new one."""
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, out.getvalue().encode())
        self._columns = columns


class TensorBoardLogger(Callback):
    """Every number of ``trainer.logs`` as a scalar of TensorBoard, at the step of its epoch:
    ``loss`` as "loss/train", ``val_loss`` as "loss/val", so that both share a chart.

    `folder`: of the run. It needs tensorboardX (``pip install 'gradstone[tensorboard]'``); to look
    at it, ``tensorboard --logdir`` of the folder above. A fit that goes on in epoch e tells
    TensorBoard to forget what an earlier one wrote from e on.
    """

    writes_files = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def fit_start(self, trainer: Trainer) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise ImportError(
                "TensorBoardLogger writes with tensorboardX: pip install 'gradstone[tensorboard]'"
            ) from None
        self._close()

    def epoch_end(self, trainer: Trainer) -> None:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=trainer.epoch)
        for name, value in _numbers(trainer.logs).items():
            if name == "epoch":
                continue
            part = "val" if name.startswith("val_") else "train"
            tag = f"{name.removeprefix('val_')}/{part}"
            self._writer.add_scalar(tag, value, trainer.epoch)
        self._writer.flush()

    def fit_end(self, trainer: Trainer) -> None:
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
