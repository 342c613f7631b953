"""What Keras's optimizers share: the rate, clipping, decay, and applying gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras._config import Configured
from gradstone.keras._tensor import Variable, from_host
from gradstone.keras.backend import snake_case
from gradstone.keras.optimizers.schedules import LearningRateSchedule


class Optimizer(Configured):
    """``apply_gradients(zip(gradients, variables))`` takes one step.

    `learning_rate` is a number or a schedule. Gradients may be clipped: each to a norm
    (`clipnorm`), all together to a norm (`global_clipnorm`), or each number (`clipvalue`). With
    `weight_decay` every step first takes learning_rate * weight_decay off each weight.
    """

    slots = 0  # how many tensors each weight needs beside its gradient

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "lr" in kwargs:
            learning_rate = kwargs.pop("lr")
        for other in "loss_scale_factor gradient_accumulation_steps use_ema jit_compile".split():
            if kwargs.pop(other, None):
                raise ValueError(f"{type(self).__name__}: {other} is not offered.")
        if kwargs:
            raise ValueError(f"Argument(s) not recognized: {kwargs}")
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set."
            )
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay, self.clipnorm = weight_decay, clipnorm
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm
        self._schedule: LearningRateSchedule | None = None
        self._steps = 0
        self._state: dict[int, list[Tensor]] = {}
        self._variables: list[Tensor] = []
        self.learning_rate = learning_rate

    # ------------------------------------------------------------------------------------- the rate

    @property
    def learning_rate(self) -> Any:
        """The present rate, a variable that may be assigned to (with a schedule: a number)."""
        return self._schedule(self._steps) if self._schedule is not None else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._schedule = value
            return
        self._schedule = None
        self._rate = Variable(float(value), trainable=False, name="learning_rate")

    lr = learning_rate

    @property
    def iterations(self) -> Any:
        """How many steps have been taken."""
        return Variable(self._steps, trainable=False, name="iteration", dtype=_C.int64)

    # ------------------------------------------------------------------------------------- applying

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]], **ignored: Any) -> Any:
        """One step. A gradient that is None leaves its variable alone; ValueError when all are."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step on these variables (or those of the step before)."""
        variables = list(trainable_variables or self._variables)
        if len(grads) != len(variables):
            raise ValueError(f"Got {len(grads)} gradients for {len(variables)} variables.")
        chosen = [(g, v) for g, v in zip(grads, variables) if g is not None]
        if not chosen:
            raise ValueError("No gradients provided for any variable.")
        for g, v in chosen:
            if tuple(g.shape) != tuple(v.shape):
                raise ValueError(
                    f"The gradient has shape {tuple(g.shape)}, its variable {tuple(v.shape)}."
                )
        self._take_step([from_host(g).detach() for g, _ in chosen], [v for _, v in chosen])

    def minimize(self, loss: Any, var_list: Sequence[Any], tape: Any = None) -> None:
        """One step that lowers loss(), a function, or a tensor that `tape` has recorded."""
        value = loss() if callable(loss) else loss
        grads = _C.grad([value], list(var_list), [None], True, False, True)
        self.apply(grads, var_list)

    def step_on(self, variables: Sequence[Any]) -> None:
        """One step with the gradients that ``backward`` left in ``.grad``, and drops these."""
        chosen = [v for v in variables if v.grad is not None]
        if chosen:
            self._take_step([v.grad for v in chosen], chosen)
        for v in chosen:
            v.grad = None

    def build(self, variables: Sequence[Any]) -> None:
        """Notes the variables; their state is made at their first step."""
        self._variables = list(variables)

    def _take_step(self, grads: list[Any], variables: list[Any]) -> None:
        self._variables = self._variables or list(variables)
        with no_grad():
            rate = float(self.learning_rate)
            grads = self._clipped(grads)
            if self.weight_decay:
                for v in variables:
                    v.mul_(1.0 - rate * self.weight_decay)
            self._steps += 1
            self._update(grads, variables, [self._slots_of(v) for v in variables], rate)

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [g.clamp(-self.clipvalue, self.clipvalue) for g in grads]
        if self.clipnorm is not None:
            return [g * (self.clipnorm / g.norm().clamp(min=self.clipnorm)) for g in grads]
        if self.global_clipnorm is not None:
            norm = _C.stack([g.norm() for g in grads]).norm()
            factor = self.global_clipnorm / norm.clamp(min=self.global_clipnorm)
            return [g * factor for g in grads]
        return grads

    def _update(
        self, grads: list[Any], variables: list[Any], states: list[list[Tensor]], rate: float
    ) -> None:
        """Changes the variables and their states. `_steps` counts this step already."""
        for g, v, state in zip(grads, variables, states):
            self._update_one(g, v, state, rate)

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        """Changes one variable and its state; written by each optimizer."""
        raise NotImplementedError

    def _slots_of(self, variable: Any) -> list[Tensor]:
        """The variable's state, made at its first step."""
        state = self._state.get(id(variable))
        if state is None:
            state = [self._start(variable) for _ in range(self.slots)]
            self._state[id(variable)] = state
            if not any(variable is known for known in self._variables):
                self._variables.append(variable)
        return state

    def _start(self, variable: Tensor) -> Tensor:
        shape = tuple(Tensor.shape.__get__(variable))
        return _C._full(shape, 0, variable.dtype, variable.device)

    # ---------------------------------------------------------------------------------------- state

    def state_of(self, variables: Sequence[Any]) -> dict[str, Any]:
        """Steps, rate and each variable's tensors, for a file."""
        slots = [list(self._state.get(id(v), [])) for v in variables]
        return {"steps": self._steps, "rate": float(self.learning_rate), "slots": slots}

    def restore(self, state: dict[str, Any], variables: Sequence[Any]) -> None:
        """What :meth:`state_of` gave."""
        self._steps = int(state["steps"])
        if self._schedule is None:
            self.learning_rate = state["rate"]
        self._variables = list(variables)
        self._state = {id(v): list(s) for v, s in zip(variables, state["slots"]) if s}

    def __getstate__(self) -> dict[str, Any]:
        """For copies: the state beside its variables, since they will have other identities."""
        known = [(v, self._state[id(v)]) for v in self._variables if id(v) in self._state]
        return self.__dict__ | {"_state": known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._state = {id(v): slots for v, slots in state["_state"]}

    def count_params(self) -> int:
        """How many numbers the state has, with the step count and the rate."""
        return 2 + sum(t.numel() for slots in self._state.values() for t in slots)

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """All but the rate, which the base has taken."""
        super()._keep({k: v for k, v in arguments.items() if k != "learning_rate"})

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the present rate."""
        config = super().get_config()
        config.pop("lr", None)
        config["learning_rate"] = self._schedule or float(self._rate)
        return config
