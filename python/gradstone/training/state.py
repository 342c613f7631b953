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
        "samples": trainer.samples,
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
        "kinds": _kinds(trainer),
        "history": trainer.history.state_dict(),
        "random": now or random_state.snapshot(trainer.generators),
        "position": position,
    }


def _state(part: Any) -> Any:
    return None if part is None else part.state_dict()


def _kinds(trainer: Trainer) -> dict[str, str]:
    """The classes of what has a state that no other class can go on with."""
    parts = {"optimizer": trainer.optimizer, "scheduler": trainer.scheduler}
    return {name: type(part).__name__ for name, part in parts.items()}


def read(path: str | os.PathLike[str], device: Any) -> dict[str, Any]:
    """What ``collect`` gave, from a file, or the last one of a folder. RuntimeError for other
    files."""
    from gradstone.serialization import load
    from gradstone.training.checkpoint import BEST, LAST

    path = Path(path)
    if path.is_dir():
        path = path / LAST
    if not path.is_file():
        raise FileNotFoundError(
            f"[Trainer.fit] there is no checkpoint {str(path)!r} to resume from."
        )
    try:
        state = load(path, map_location="cpu" if device.type == "cpu" else None)
    except RuntimeError as error:
        other = path.with_name(BEST)
        if path.name == LAST and other.is_file():
            error.add_note(f"There is {other} too: fit(..., resume={str(other)!r}) tries that.")
        raise
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
    _check_model(trainer.model.state_dict(), state["model"])
    _check_optimizer(trainer.optimizer.param_groups, state["optimizer"]["param_groups"])
    for name, kind in _kinds(trainer).items():
        then = state.get("kinds", {}).get(name, kind)
        if then != kind:
            raise ValueError(
                f"[Trainer.fit] cannot resume: the {name} is {kind}, that of the checkpoint "
                f"{then}. The weights alone: model.load_state_dict(gs.load(path)['model'])."
            )
    held, hold = len(state["random"]["others"]), len(trainer.generators)
    if held != hold:
        raise ValueError(
            f"[Trainer.fit] cannot resume: the loaders (and mix) hold {hold} random generators, "
            f"those of the checkpoint held {held}."
        )
    position = state["position"]
    sizes = (("length", "batches", trainer.length), ("samples", "samples", trainer.samples))
    for key, what, now in sizes:
        then = position.get(key, now)
        if position["batches"] and then != now:
            raise ValueError(
                f"[Trainer.fit] cannot resume: the checkpoint was written in the middle of an "
                f"epoch of {then} {what}, the loader now gives {now}."
            )


def _check_model(own: dict[str, Any], saved: dict[str, Any]) -> None:
    shapes = [
        {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}
        for weights in (own, saved)
    ]
    for name in dict.fromkeys((*own, *saved)):
        here, there = (s.get(name, "none") for s in shapes)
        if here != there:
            raise ValueError(
                f"[Trainer.fit] cannot resume: the model is not that of the checkpoint. '{name}' "
                f"has shape {here} here and {there} there."
            )


def _check_optimizer(own: list[Any], saved: list[Any]) -> None:
    here, there = ([len(group["params"]) for group in groups] for groups in (own, saved))
    if here != there:
        raise ValueError(
            f"[Trainer.fit] cannot resume: the optimizer has groups of {here} parameters, that of "
            f"the checkpoint of {there}."
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
