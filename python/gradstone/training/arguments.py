"""What a Trainer is given, checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import real
from gradstone.optim.lr_scheduler import ReduceLROnPlateau
from gradstone.optim.optimizer import Optimizer
from gradstone.utils.data import Dataset

# Names of the history that no metric may have.
OWN_VALUES = ("loss", "penalty", "lr", "epoch", "seconds", "samples_per_second")


def check(
    model: Any,
    optimizer: Any,
    loss: Any,
    accumulate: Any,
    scheduler: Any,
    scheduler_step: str,
    max_time: Any,
    **made: Any,
) -> None:
    """TypeError or ValueError for what cannot be meant. `made`: other arguments that are objects,
    where the class alone is a mistake."""
    check_made("Trainer", model=model, loss=loss, scheduler=scheduler, **made)
    if not hasattr(model, "parameters"):
        raise TypeError(f"[Trainer] expected model to be a Module, got {type(model).__name__}.")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"[Trainer] expected an Optimizer, got {type(optimizer).__name__}; for example "
            "optim.Adam(model.parameters())."
        )
    if not callable(loss):
        raise TypeError(
            f"[Trainer] expected loss to be a function of output and target, got {loss!r}."
        )
    _check_owners(model, optimizer, loss, scheduler)
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise ValueError(
            f"[Trainer] expected accumulate to be a whole number >= 1, got {accumulate!r}."
        )
    if scheduler_step not in ("epoch", "batch"):
        raise ValueError(
            f"[Trainer] expected scheduler_step 'epoch' or 'batch', got {scheduler_step!r}."
        )
    if scheduler_step == "batch" and isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError(
            "[Trainer] ReduceLROnPlateau follows a value of the epoch: scheduler_step 'epoch'."
        )
    if max_time is not None and not real("Trainer", "max_time", max_time) > 0:
        raise ValueError(f"[Trainer] expected max_time > 0 seconds, got {max_time!r}.")


def check_made(where: str, **objects: Any) -> None:
    """TypeError for a class where one of its objects is meant."""
    for name, value in objects.items():
        if isinstance(value, type):
            raise TypeError(
                f"[{where}] expected {name} to be an object, got the class {value.__name__}: make "
                f"one, {value.__name__}(...)."
            )


def _check_owners(model: Any, optimizer: Optimizer, loss: Any, scheduler: Any) -> None:
    """A schedule of another optimizer is refused; an optimizer with parameters of another
    model, or of a layer that was replaced since, is warned of: what took their place does not
    learn."""
    scheduled = getattr(scheduler, "optimizer", optimizer)
    if scheduled is not optimizer:
        raise ValueError(
            "[Trainer] the scheduler is that of another optimizer: make it with the one that the "
            "Trainer is given."
        )
    parts = (model, loss) if hasattr(loss, "parameters") else (model,)
    owned = {id(param) for part in parts for param in part.parameters()}
    stepped = [param for group in optimizer.param_groups for param in group["params"]]
    strangers = [tuple(param.shape) for param in stepped if id(param) not in owned]
    if owned and strangers:
        warnings.warn(
            f"[Trainer] {len(strangers)} of the optimizer's {len(stepped)} parameters are not the "
            f"model's, the first of shape {strangers[0]}: make the optimizer when the model is "
            "whole, with model.parameters() of this model.",
            stacklevel=4,
        )


def check_loader(where: str, loader: Any, passes: int = 1) -> None:
    """TypeError or ValueError for what does not give `passes` times the batches of an epoch."""
    got = type(loader).__name__
    if isinstance(loader, (Tensor, np.ndarray)):
        raise TypeError(
            f"[{where}] expected a loader of batches, got a {got}; for example "
            "DataLoader(TensorDataset(x, y), batch_size=32)."
        )
    if isinstance(loader, Dataset) and not isinstance(loader, Iterable):
        raise TypeError(
            f"[{where}] expected a loader of batches, got a data set, which gives single samples: "
            f"DataLoader(your_{got}, batch_size=32)."
        )
    if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
        raise TypeError(f"[{where}] expected a loader of batches, got {got}.")
    if isinstance(loader, Iterator) and passes > 1:
        raise TypeError(
            f"[{where}] expected a loader that can be gone through once for each epoch, got a "
            f"{got}, which ends after one."
        )
    if length(loader) == 0:
        raise no_batches(where, loader)


def no_batches(where: str, loader: Any) -> ValueError:
    """For a loader that gave none, with the usual reason."""
    size, dropped = getattr(loader, "batch_size", None), getattr(loader, "drop_last", False)
    why = ""
    if dropped and size and (held := samples(loader)):
        why = f": drop_last leaves out the only one, {held} samples where batch_size is {size}"
    return ValueError(f"[{where}] the loader gave no batches{why}.")


def length(loader: Any) -> int | None:
    """How many batches it gives, where it says so."""
    return _size(loader)


def samples(loader: Any) -> int | None:
    """How many samples its data set has, where that is known."""
    return _size(getattr(loader, "dataset", None))


def _size(value: Any) -> int | None:
    try:
        return len(value)
    except (TypeError, NotImplementedError):
        return None


def named_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics, when they are some."""
    if not isinstance(metrics, dict):
        raise TypeError(
            f"[Trainer] expected metrics to be a dict of objects by name, got "
            f"{type(metrics).__name__}; for example {{'accuracy': Accuracy()}}."
        )
    for name, metric in metrics.items():
        lacking = [m for m in ("update", "compute", "reset") if not hasattr(metric, m)]
        if lacking or isinstance(metric, type):
            raise TypeError(
                f"[Trainer] the metric {name!r} is {metric!r}: expected an object with update, "
                "compute and reset."
            )
        if name in OWN_VALUES or name.startswith("val_"):
            raise ValueError(f"[Trainer] the name {name!r} is taken: give the metric another.")
    return metrics


def place(model: Any, device: Any) -> Any:
    """Moves the model where that is asked for, and says where it is."""
    if device is not None:
        model.to(device)
    for param in model.parameters():
        return param.device
    return _C.device("cpu" if device is None else device)


def averaged_weights(model: Any, ema: Any) -> Any:
    """An EMA for a decay; an EMA as it is."""
    if ema is None or not isinstance(ema, (int, float)):
        return ema
    from gradstone.training.ema import EMA

    return EMA(model, ema)
