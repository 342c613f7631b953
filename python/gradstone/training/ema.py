"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import real
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn import Module


class EMA:
    """After each step of the optimizer ``update()``: average += (1 - decay) * (weight - average)
    (Polyak and Juditsky 1992; with a constant decay as in Szegedy et al. 2016).

        ema = EMA(model, decay=0.999)
        ...
        optimizer.step()
        ema.update()
        ...
        with ema.swapped():      # the model has the averaged weights
            evaluate(model)

    With `warmup` the decay of update number t (from 1) is min(decay, (1 + t) / (10 + t)), so that
    the first, random weights are soon forgotten. Averages of float16 and bfloat16 weights are kept
    in float32, where a small change is not lost. Buffers (running statistics) are not averaged: the
    averaged model has the model's own, as they are at the time.
    """

    def __init__(self, model: Module, decay: float = 0.999, *, warmup: bool = True) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"[EMA] expected model to be a Module, got {type(model).__name__}.")
        if not 0.0 <= real("EMA", "decay", decay) < 1.0:
            raise ValueError(f"[EMA] expected 0 <= decay < 1, got {decay}.")
        self.model = model
        self.decay = float(decay)
        self.warmup = bool(warmup)
        self.updates = 0
        self._inside = False
        self._averages = {name: _wide(p) for name, p in model.named_parameters()}
        if not self._averages:
            raise ValueError("[EMA] expected a model with parameters.")

    def decay_now(self) -> float:
        """The decay of the last update."""
        if not self.warmup:
            return self.decay
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    @no_grad()
    def update(self) -> None:
        """Takes the weights as they are now into the average. RuntimeError inside ``swapped``, or
        when the model's parameters are others than they were."""
        if self._inside:
            raise RuntimeError("[EMA.update] the model has the averaged weights: leave swapped().")
        weights = self._weights("update")
        self.updates += 1
        share = 1.0 - self.decay_now()
        for name, weight in weights.items():
            average = self._averages[name]
            if average.device != weight.device:
                average = self._averages[name] = _C._to_device(average, weight.device)
            # A difference: weights that do not change stay what they are, to the bit.
            average.add_(weight - average, alpha=share)

    def _weights(self, what: str) -> dict[str, Tensor]:
        weights = {name: p.detach() for name, p in self.model.named_parameters()}
        if weights.keys() != self._averages.keys():
            raise RuntimeError(
                f"[EMA.{what}] the model's parameters are not those of when the EMA was made: "
                f"{_difference(weights, self._averages)}."
            )
        return weights

    @contextmanager
    def swapped(self) -> Iterator[Module]:
        """Inside, the model has the averaged weights; behind, its own again, bit for bit, buffers
        included. Gives the model. Memory: one more copy of the model."""
        if self._inside:
            raise RuntimeError("[EMA.swapped] the model has the averaged weights already.")
        weights = self._weights("swapped")
        own = {name: w.clone() for name, w in weights.items()}
        buffers = [(b, b.detach().clone()) for b in self.model.buffers()]
        self._inside = True
        try:
            with no_grad():
                for name, weight in weights.items():
                    weight.copy_(self._averages[name])
            yield self.model
        finally:
            with no_grad():
                for name, weight in weights.items():
                    weight.copy_(own[name])
                for buffer, value in buffers:
                    buffer.copy_(value)
            self._inside = False

    def averaged_state_dict(self) -> dict[str, Any]:
        """``model.state_dict()`` with the averaged weights: what to save as the trained model."""
        state = self.model.state_dict()
        for name, weight in self._weights("averaged_state_dict").items():
            average = self._averages[name]
            state[name] = average.to(dtype=weight.dtype, device=weight.device, copy=True)
        # A parameter with several names (tied weights) is averaged once.
        by_place = {id(p): name for name, p in self.model.named_parameters()}
        for name, value in self.model.state_dict(keep_vars=True).items():
            if name not in self._averages and id(value) in by_place:
                state[name] = state[by_place[id(value)]]
        return state

    def state_dict(self) -> dict[str, Any]:
        """{"decay", "warmup", "updates", "averages": {name: tensor}}; tensors are shared."""
        return {
            "decay": self.decay,
            "warmup": self.warmup,
            "updates": self.updates,
            "averages": dict(self._averages),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a copy of what ``state_dict`` gave for the same model. ValueError when keys, names
        or shapes differ; then nothing is changed."""
        wanted = {"decay", "warmup", "updates", "averages"}
        if not wanted <= set(state_dict):
            raise ValueError(
                f"[EMA] expected a state with the keys {sorted(wanted)}, got {sorted(state_dict)}."
            )
        averages = state_dict["averages"]
        if averages.keys() != self._averages.keys():
            raise ValueError(
                f"[EMA] the state is of another model: {_difference(averages, self._averages)}."
            )
        for name, own in self._averages.items():
            if averages[name].shape != own.shape:
                raise ValueError(
                    f"[EMA] expected {name} of shape {tuple(own.shape)}, got "
                    f"{tuple(averages[name].shape)}."
                )
        self.decay = float(state_dict["decay"])
        self.warmup = bool(state_dict["warmup"])
        self.updates = int(state_dict["updates"])
        self._averages = {
            name: averages[name].to(dtype=own.dtype, device=own.device, copy=True)
            for name, own in self._averages.items()
        }

    def __repr__(self) -> str:
        return f"EMA(decay={self.decay}, warmup={self.warmup}, updates={self.updates})"


def _wide(weight: Tensor) -> Tensor:
    """A copy, in float32 at least."""
    weight = weight.detach()
    narrow = weight.dtype.is_floating_point and weight.dtype.itemsize < 4
    return _C._cast(weight, _C.float32) if narrow else weight.clone()


def _difference(got: Any, wanted: Any) -> str:
    new, gone = sorted(set(got) - set(wanted)), sorted(set(wanted) - set(got))
    parts = [f"new {new[:3]}" if new else "", f"missing {gone[:3]}" if gone else ""]
    return ", ".join(part for part in parts if part)
