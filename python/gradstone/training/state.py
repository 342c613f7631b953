"""The whole state of a training run as one dictionary, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstone.training import random_state

if TYPE_CHECKING:
    from gradstone.training.trainer import Trainer

FORMAT = "gradstone-training-1"
_PARTS = ("model", "optimizer", "scheduler", "scaler", "ema", "callbacks", "history", "position")


def collect(trainer: Trainer) -> dict[str, Any]:
    """What the rest of the run depends on; tensors are shared with the trainer, not copied.

    "position" says where the run is: `epochs` are over; of the one that is under way `batches` are
    done, `pass_start` holds the random numbers at its start, and `averages` what was added up.
    """
    closed = len(trainer.history) == trainer.epoch
    position: dict[str, Any] = {
        "epochs": len(trainer.history),
        "batches": 0 if closed else trainer.batch,
        "steps": trainer.step,
        "length": trainer.length,
        "trained": not closed and trainer.trained,
        "finished": None if trainer.paused else trainer.stop_reason,
    }
    if not closed:
        position["pass_start"] = trainer.pass_start
        position["averages"] = trainer.averages.state_dict()
        position["seconds"] = trainer.seconds()
    now = trainer.after_training if position["trained"] else None
    return {
        "format": FORMAT,
        **trainer.weights(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": _state(trainer.scheduler),
        "scaler": _state(trainer.compute.scaler),
        "callbacks": trainer.callbacks.state_dict(),
        "history": trainer.history.state_dict(),
        "random": now or random_state.snapshot(trainer.generators),
        "position": position,
    }


def _state(part: Any) -> Any:
    return None if part is None else part.state_dict()


def read(path: str | os.PathLike[str], device: Any) -> dict[str, Any]:
    """What ``collect`` gave, from a file. RuntimeError for other files."""
    from gradstone.serialization import load

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"[Trainer.fit] there is no checkpoint {str(path)!r} to resume from."
        )
    state = load(path, map_location="cpu" if device.type == "cpu" else None)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RuntimeError(
            f"[Trainer.fit] {path} is no checkpoint of a Trainer (a model's own state_dict is "
            "loaded with model.load_state_dict)."
        )
    missing = [part for part in _PARTS if part not in state]
    if missing:
        raise RuntimeError(f"[Trainer.fit] the checkpoint {path} lacks {', '.join(missing)}.")
    return state


def check(trainer: Trainer, state: dict[str, Any]) -> None:
    """ValueError where the trainer is not made like the one that wrote the state."""
    parts = {
        "scheduler": trainer.scheduler,
        "scaler": trainer.compute.scaler,
        "ema": trainer.ema,
    }
    for name, part in parts.items():
        if (state[name] is None) != (part is None):
            has, wants = ("none", "one") if part is None else ("one", "none")
            what = {"scaler": "GradScaler (precision='fp16')", "ema": "EMA"}.get(name, name)
            raise ValueError(
                f"[Trainer.fit] cannot resume: the trainer has {has} and the checkpoint {wants} "
                f"of this: {what}."
            )
    held, hold = len(state["random"]["others"]), len(trainer.generators)
    if held != hold:
        raise ValueError(
            f"[Trainer.fit] cannot resume: the loaders (and mix) hold {hold} random generators, "
            f"those of the checkpoint held {held}."
        )
    position = state["position"]
    then, now = position["length"], trainer.length
    if position["batches"] and then != now:
        raise ValueError(
            f"[Trainer.fit] cannot resume: the checkpoint was written in the middle of an epoch "
            f"of {then} batches, the loader now gives {now}."
        )


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Takes model, optimizer, schedule, callbacks and history back to the state."""
    check(trainer, state)
    trainer.load_weights(state)
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    if trainer.compute.scaler is not None:
        trainer.compute.scaler.load_state_dict(state["scaler"])
    trainer.callbacks.load_state_dict(state["callbacks"])
    trainer.history.load_state_dict(state["history"])
    trainer.history.interrupted, trainer.history.stopped = False, None
    trainer.step = state["position"]["steps"]
