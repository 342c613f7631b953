"""What a Trainer is given, checked."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.optim.lr_scheduler import ReduceLROnPlateau
from gradstone.optim.optimizer import Optimizer


def check(
    optimizer: Any, loss: Any, accumulate: Any, scheduler: Any, scheduler_step: str, max_time: Any
) -> None:
    """TypeError or ValueError for what cannot be meant."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"[Trainer] expected an Optimizer, got {type(optimizer).__name__}; for example "
            "optim.Adam(model.parameters())."
        )
    if not callable(loss):
        raise TypeError(
            f"[Trainer] expected loss to be a function of output and target, got {loss!r}."
        )
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
    if max_time is not None and not max_time > 0:
        raise ValueError(f"[Trainer] expected max_time > 0 seconds, got {max_time!r}.")


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
        if name in ("loss", "penalty", "lr", "epoch", "seconds") or name.startswith("val_"):
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
