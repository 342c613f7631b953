"""Checkpoints on disk: the last state and the best one."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstone.training.callbacks import Callback, better_mode, monitored

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer

LAST, BEST = "last.gs", "best.gs"


class Checkpoint(Callback):
    """Writes the whole training state to `folder`: last.gs after each epoch, at an interruption
    and, with `every`, after each so many batches (at the next step of the optimizer); best.gs after
    an epoch whose monitored value is the best so far.

    A file is written beside the old one, reaches the disk and takes its name, so that at any time
    there is a whole one. ``trainer.fit(..., resume=True)`` goes on from last.gs;
    ``gs.load("best.gs")["model"]`` is the model's state_dict (["ema"] that of the averaged
    weights).

    A fit that does not resume writes over what an earlier one left in the folder, with a warning.

    `monitor`: a name of the history; None takes the trainer's (val_loss, or loss without a
    validation). `mode`: "min", "max" or "auto", by the name. `best` False writes last.gs only.
    """

    writes_files = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        monitor: str | None = None,
        mode: str = "auto",
        every: int | None = None,
        best: bool = True,
    ) -> None:
        if every is not None and (not isinstance(every, int) or every < 1):
            raise ValueError(
                f"[Checkpoint] expected every to be a whole number of batches > 0, got {every!r}."
            )
        if mode != "auto" or monitor is not None:
            better_mode(monitor or "", mode)
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.every = every
        self.keeps_best = best
        self.best: float | None = None
        self._since = 0

    @property
    def last_path(self) -> Path:
        """Where the last state is."""
        return self.folder / LAST

    @property
    def best_path(self) -> Path:
        """Where the best state is."""
        return self.folder / BEST

    def save(self, trainer: Trainer, path: str | os.PathLike[str] | None = None) -> None:
        """Writes the state now: to last.gs, or to `path`."""
        from gradstone.serialization import save

        self._since = 0
        path = path or self.last_path
        try:
            save(trainer.state_dict(), path)
        except OSError as error:
            error.add_note(f"[Checkpoint] {path} could not be written; the one before is whole.")
            raise

    def fit_start(self, trainer: Trainer) -> None:
        self.best, self._since = None, 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(
                f"[Checkpoint] expected a folder to write to, {str(self.folder)!r} is a file."
            ) from None
        if not trainer.resumed and self.last_path.exists():
            warnings.warn(
                f"[Checkpoint] {self.last_path} is of an earlier run; this one, which does not go "
                "on from it, will write over it and over best.gs. fit(..., resume=True) goes on, "
                "another folder keeps both.",
                stacklevel=4,
            )
        # What a process that was killed while it wrote has left.
        for name in (LAST, BEST):
            for rest in self.folder.glob(f".{name}.*.tmp"):
                rest.unlink(missing_ok=True)

    def monitored_value(self, trainer: Trainer) -> tuple[str, str] | None:
        return (self.monitor or trainer.monitor, self.mode) if self.keeps_best else None

    def batch_end(self, trainer: Trainer) -> None:
        self._since += 1

    def step_end(self, trainer: Trainer) -> None:
        if self.every is not None and self._since >= self.every:
            self.save(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        if self.keeps_best and self._improves(trainer):
            self.save(trainer, self.best_path)
        self.save(trainer)

    def _improves(self, trainer: Trainer) -> bool:
        name = self.monitor or trainer.monitor
        value = monitored(trainer, name)
        larger = better_mode(name, self.mode) == "max"
        if math.isnan(value):
            return False
        if self.best is None or (value > self.best if larger else value < self.best):
            self.best = value
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
