"""What may happen around the steps of a fit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gradstone._C import Tensor
from gradstone.optim.lr_scheduler import ReduceLROnPlateau
from gradstone.training.arguments import OWN_VALUES

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer

HOOKS = (
    "fit_start",
    "fit_end",
    "epoch_start",
    "epoch_end",
    "batch_start",
    "before_backward",
    "after_backward",
    "step_end",
    "batch_end",
    "validation_start",
    "validation_end",
)
# A metric whose name has one of these parts is better when it is larger, or smaller.
_LARGER = ("acc", "precision", "recall", "f1", "r2", "auc", "top", "iou", "dice", "bleu")
_SMALLER = ("loss", "error", "mse", "mae", "rmse", "mean_", "perplexity", "penalty")


class Callback:
    """Base class: write the hooks that are wanted, each a method that takes the trainer.

    ``fit_start`` and ``fit_end``; ``epoch_start`` and ``epoch_end`` (after the validation, when
    ``trainer.logs`` holds the epoch's values); ``batch_start`` (``trainer.inputs`` and
    ``trainer.targets`` are there and may be replaced), ``before_backward`` (``trainer.output``,
    ``trainer.loss``), ``after_backward`` (gradients are there, neither unscaled nor clipped),
    ``batch_end``; ``step_end`` after a step of the optimizer, which is at every batch, or at every
    group of them with ``accumulate``; ``validation_start`` and ``validation_end``.

    ``trainer.stop("reason")`` ends the fit after the step. What ``state_dict`` returns (tensors,
    numbers, text, and dicts and lists of them) travels with the checkpoint. With
    ``fast_dev_run`` callbacks whose ``writes_files`` is True are left out.
    """

    writes_files = False

    def fit_start(self, trainer: Trainer) -> None: ...
    def fit_end(self, trainer: Trainer) -> None: ...
    def epoch_start(self, trainer: Trainer) -> None: ...
    def epoch_end(self, trainer: Trainer) -> None: ...
    def batch_start(self, trainer: Trainer) -> None: ...
    def before_backward(self, trainer: Trainer) -> None: ...
    def after_backward(self, trainer: Trainer) -> None: ...
    def step_end(self, trainer: Trainer) -> None: ...
    def batch_end(self, trainer: Trainer) -> None: ...
    def validation_start(self, trainer: Trainer) -> None: ...
    def validation_end(self, trainer: Trainer) -> None: ...

    def monitored_value(self, trainer: Trainer) -> tuple[str, str] | None:
        """(name in the history, mode) of the value that this callback looks at."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed fit needs to know of this callback."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what ``state_dict`` gave; called after ``fit_start``."""


class _Function(Callback):
    """A plain function, called at the end of each epoch."""

    def __init__(self, function: Callable[[Trainer], Any]) -> None:
        self.function = function

    def epoch_end(self, trainer: Trainer) -> None:
        self.function(trainer)


class Callbacks:
    """The callbacks of a trainer. ``hooks[name]`` are the methods that somebody wrote: what nobody
    wrote costs nothing."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self.members: list[Callback] = []
        for callback in callbacks:
            if isinstance(callback, type):
                raise TypeError(
                    f"[Trainer] callbacks holds the class {callback.__name__}: make one, "
                    f"{callback.__name__}(...)."
                )
            if not isinstance(callback, Callback):
                if not callable(callback):
                    raise TypeError(
                        "[Trainer] expected callbacks to be Callback objects, or functions that "
                        f"take the trainer at the end of each epoch, got {type(callback).__name__}."
                    )
                callback = _Function(callback)
            _warn_of_names(callback)
            self.members.append(callback)
        self.hooks = {name: self._written(name) for name in HOOKS}

    def _written(self, name: str) -> list[Callable[[Trainer], None]]:
        unwritten = getattr(Callback, name)
        methods = (getattr(member, name) for member in self.members)
        return [m for m in methods if getattr(m, "__func__", m) is not unwritten]

    def __call__(self, name: str, trainer: Trainer) -> None:
        for hook in self.hooks[name]:
            hook(trainer)

    def end(self, trainer: Trainer) -> None:
        """Every ``fit_end``, also when one before has failed."""
        with ExitStack() as stack:
            for hook in reversed(self.hooks["fit_end"]):
                stack.callback(hook, trainer)

    def may_add_values(self) -> bool:
        """Whether somebody's own hook may put further values into ``trainer.logs``."""
        hooks = [*self.hooks["validation_end"], *self.hooks["epoch_end"]]
        owners = [getattr(hook, "__self__", None) for hook in hooks]
        return any(
            isinstance(owner, _Function) or not type(owner).__module__.startswith("gradstone.")
            for owner in owners
        )

    def state_dict(self) -> list[Any]:
        """[class name, state] of each."""
        return [[type(m).__name__, m.state_dict()] for m in self.members]

    def load_state_dict(self, states: Sequence[Any]) -> None:
        """Each callback takes the state of the callback of its class, in their order; one that is
        new in this run starts anew."""
        left = [(name, state) for name, state in states]
        for member in self.members:
            for i, (name, state) in enumerate(left):
                if name == type(member).__name__:
                    member.load_state_dict(state)
                    del left[i]
                    break


def _warn_of_names(callback: Callback) -> None:
    """A hook under another library's name is never called."""
    unknown = [name for name in dir(callback) if name.startswith("on_")]
    if unknown:
        warnings.warn(
            f"[Trainer] nobody calls {type(callback).__name__}.{unknown[0]}: hooks are "
            f"{', '.join(HOOKS)}.",
            stacklevel=5,
        )


def better_mode(name: str, mode: str) -> str:
    """ "min" or "max" for a monitored value; "auto" goes by its name."""
    if not isinstance(name, str):
        raise TypeError(f"expected monitor to be a name of the history, got {name!r}.")
    if mode in ("min", "max"):
        return mode
    if mode != "auto":
        raise ValueError(f"expected mode 'min', 'max' or 'auto', got {mode!r}.")
    plain = name.lower()
    if any(part in plain for part in _SMALLER):
        return "min"
    if any(part in plain for part in _LARGER):
        return "max"
    raise ValueError(
        f"cannot tell from the name {name!r} whether more or less of it is better: give "
        "mode='min' or mode='max'."
    )


def monitored(trainer: Trainer, name: str) -> float:
    """The value of that name in the epoch's logs. KeyError, with the names there are."""
    if name not in trainer.logs:
        known = ", ".join(k for k in trainer.logs if k not in ("epoch", "seconds"))
        raise KeyError(f"no value {name!r} to monitor; this epoch has {known}.")
    value = trainer.logs[name]
    if not isinstance(value, (int, float)):
        raise TypeError(f"cannot monitor {name!r}: expected a number, it is {value!r}.")
    return float(value)


def check_monitors(trainer: Trainer) -> None:
    """Says before the first epoch, and not at its end, that nothing of a monitored name will be
    there, or that its mode must be given. KeyError or ValueError."""
    asked = [member.monitored_value(trainer) for member in trainer.callbacks.members]
    if isinstance(trainer.scheduler, ReduceLROnPlateau):
        asked.append((trainer.monitor, "min"))
    known = [name for name in OWN_VALUES if name != "penalty" or trainer.compute.penalised]
    known += trainer.metrics
    if trainer.validated:
        known += [f"val_{name}" for name in ("loss", *trainer.metrics)]
    for name, mode in filter(None, asked):
        if name not in known and not trainer.callbacks.may_add_values():
            lacks = name.startswith("val_") and not trainer.validated
            hint = " (fit was given no validation)" if lacks else ""
            raise KeyError(
                f"[Trainer.fit] no value {name!r} to monitor{hint}; an epoch will have "
                f"{', '.join(known)}."
            )
        better_mode(name, mode)


class EarlyStopping(Callback):
    """Stops when the monitored value has not improved by more than `min_delta` for `patience`
    epochs in a row.

    `monitor` is a name of ``history``; None takes the trainer's (val_loss, or loss without a
    validation). `mode` "auto" goes by the name. With `restore_best` the model (and the averaged
    weights of an EMA) has the weights of the best epoch when the fit is over, however it ended, an
    interruption and an exception aside; they are kept on the model's device. `best_epoch` counts
    from 1.
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if not isinstance(patience, int) or patience < 0:
            raise ValueError(
                f"[EarlyStopping] expected patience to be a whole number >= 0, got {patience!r}."
            )
        if not min_delta >= 0:
            raise ValueError(f"[EarlyStopping] expected min_delta >= 0, got {min_delta!r}.")
        if mode != "auto" or monitor is not None:
            better_mode(monitor or "", mode)
        self.monitor = monitor
        self.patience = patience
        self.min_delta = float(min_delta)
        self.mode = mode
        self.restore_best = restore_best
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def fit_start(self, trainer: Trainer) -> None:
        self._forget()

    def monitored_value(self, trainer: Trainer) -> tuple[str, str]:
        return self.monitor or trainer.monitor, self.mode

    def epoch_end(self, trainer: Trainer) -> None:
        name = self.monitor or trainer.monitor
        value = monitored(trainer, name)
        if self._improves(name, value):
            self.best, self.best_epoch, self.waited = value, trainer.epoch, 0
            if self.restore_best:
                self._weights = _copied(trainer.weights())
            return
        self.waited += 1
        if self.waited >= max(self.patience, 1):
            trainer.stop(
                f"early stopping: {name} has not improved for {self.waited} epochs; the best, "
                f"{self.best:.6g}, was in epoch {self.best_epoch}"
                if self.best is not None
                else f"early stopping: {name} has never been a number"
            )

    def _improves(self, name: str, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        if better_mode(name, self.mode) == "max":
            return value > self.best + self.min_delta
        return value < self.best - self.min_delta

    def fit_end(self, trainer: Trainer) -> None:
        if self._weights is not None and not trainer.paused and not trainer.failed:
            trainer.load_weights(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self.waited = state["waited"]
        self._weights = state["weights"]


def _copied(value: Any) -> Any:
    """The same with tensors of its own."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(v) for v in value)
    return value
