"""What happens between the batches and epochs of ``fit``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

HOOKS = [f"on_{kind}_{end}" for kind in ("train", "test", "predict") for end in ("begin", "end")]
HOOKS += ["on_epoch_begin", "on_epoch_end"]
HOOKS += [
    f"on_{kind}_batch_{end}" for kind in ("train", "test", "predict") for end in ("begin", "end")
]


class Callback:
    """Write the methods you need (``on_epoch_end(epoch, logs)``...); each gets the numbers so far
    as `logs`. ``on_batch_begin`` and ``_end`` are older names of ``on_train_batch_begin``..."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that is trained."""
        return self._model

    def set_model(self, model: Any) -> None:
        """Called before training."""
        self._model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training with verbose, epochs and steps."""
        self.params = params

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""
        self.on_batch_begin(batch, logs)  # type: ignore[attr-defined]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch."""
        self.on_batch_end(batch, logs)  # type: ignore[attr-defined]


def _nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """Nothing, unless a subclass writes it."""


for _hook in [*HOOKS, "on_batch_begin", "on_batch_end"]:
    if not hasattr(Callback, _hook):
        setattr(Callback, _hook, _nothing)


class CallbackList:
    """Several callbacks as one."""

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def watches_batches(self, kind: str) -> bool:
        """Whether a callback does something at each batch, and so needs numbers then."""
        names = [f"on_{kind}_batch_begin", f"on_{kind}_batch_end"]
        names += ["on_batch_begin", "on_batch_end"] if kind == "train" else []
        return any(
            getattr(type(c), name, None) is not getattr(Callback, name) or name in c.__dict__
            for c in self.callbacks
            for name in names
        )

    def call(self, hook: str, *args: Any) -> None:
        """The hook of every callback, in order."""
        for callback in self.callbacks:
            getattr(callback, hook)(*args)


class History(Callback):
    """``history``: under each name a list of one number per epoch; ``epoch``: their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class LambdaCallback(Callback):
    """Functions as hooks: ``LambdaCallback(on_epoch_end=lambda epoch, logs: ...)``."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        super().__init__()
        for name, function in hooks.items():
            if name not in HOOKS:
                raise ValueError(
                    f"LambdaCallback: there is no hook {name!r}; there are {', '.join(HOOKS)}."
                )
            if function is not None:
                self.__dict__[name] = function


class LearningRateScheduler(Callback):
    """schedule(epoch, rate), or schedule(epoch), gives the rate of each epoch."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:  # a schedule of the epoch alone
            rate = self.schedule(epoch)
        if not isinstance(rate, (int, float, np.number)) and not hasattr(rate, "item"):
            raise ValueError(
                f"The output of the `schedule` function should be a float. Got: {rate}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            setting = f"LearningRateScheduler setting learning rate to {float(rate)}."
            print(f"\nEpoch {epoch + 1}: {setting}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """A line of numbers for each epoch in a file; `append` goes on in one that is there."""

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._names: list[str] = []
        self._file: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115
        self._header = self._file.tell() == 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        import csv

        logs = logs or {}
        self._names = self._names or sorted(logs)
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._header:
            writer.writerow(["epoch", *self._names])
            self._header = False
        writer.writerow([epoch, *[logs.get(name, "NA") for name in self._names]])
        self._file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._file.close()


class TerminateOnNaN(Callback):
    """Stops when the loss is not a finite number."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


# ------------------------------------------------------------------------------ following a number


class _Monitor(Callback):
    """Follows one number and knows which is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"`mode` must be 'auto', 'min' or 'max', got {mode!r}.")
        rising = ("acc", "accuracy", "auc", "precision", "recall", "f1")
        self.monitor = monitor
        last = monitor.rpartition("_")[2].lower()
        self.larger = mode == "max" or (mode == "auto" and last in rising)
        self.min_delta = abs(min_delta)

    def _better(self, value: float, best: float) -> bool:
        return value - self.min_delta > best if self.larger else value + self.min_delta < best

    @property
    def _worst(self) -> float:
        return -math.inf if self.larger else math.inf

    def _value(self, logs: dict[str, float] | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            import warnings

            warnings.warn(
                f"{type(self).__name__} is conditioned on `{self.monitor}`, which is not "
                f"available. Available are: {', '.join(logs or {})}",
                stacklevel=2,
            )
        return value


class EarlyStopping(_Monitor):
    """Stops after `patience` epochs without a value that is better by `min_delta` (and better than
    `baseline`), none before `start_from_epoch`; may take the best weights back."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = self._worst
        self.best_weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                best = self.best_epoch + 1
                print(f"Restoring model weights from the end of the best epoch: {best}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Writes the model (or its weights) after every epoch or every `save_freq` batches, or then
    only when it is the best so far. The path may hold names in braces:
    "{epoch:02d}-{val_loss:.2f}.keras"."""

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer "
                "values"
            )
        self.filepath, self.verbose, self.save_freq = os.fspath(filepath), verbose, save_freq
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.best = self._worst if initial_value_threshold is None else initial_value_threshold
        self._batches, self._epoch = 0, 0
        if save_freq != "epoch":
            self.__dict__["on_train_batch_end"] = self._after_batch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Any) -> None:
        try:
            path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        except KeyError as error:
            raise KeyError(
                f"Failed to format `filepath`: {self.filepath!r} names {error}, the numbers are "
                f"{list(logs or {})}."
            ) from None
        change = ""
        if self.save_best_only:
            value = self._value(logs)
            if value is None:
                return
            if not self._better(value, self.best):
                self._say(epoch, f"{self.monitor} did not improve from {self.best:.5f}")
                return
            change = f"{self.monitor} improved from {self.best:.5f} to {value:.5f}, "
            self.best = value
        self._say(epoch, f"{change}saving model to {path}")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.model.save_weights(path) if self.save_weights_only else self.model.save(path)

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {text}")


class ReduceLROnPlateau(_Monitor):
    """Multiplies the rate by `factor` after `patience` epochs without a better value, down to
    `min_lr`; then `cooldown` epochs do not count."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}"
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait, self.resting, self.best = 0, 0, self._worst

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        old = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = old
        value = self._value(logs)
        if value is None:
            return
        if self.resting:
            self.resting -= 1
            self.wait = 0
        if self._better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.resting:
            self.wait += 1
            if self.wait >= self.patience and old > self.min_lr:
                new = max(old * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = new
                self.resting, self.wait = self.cooldown, 0
                if self.verbose:
                    reducing = f"ReduceLROnPlateau reducing learning rate to {new}."
                    print(f"\nEpoch {epoch + 1}: {reducing}")
