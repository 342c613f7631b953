"""Keras's optimizers, with its formulas and defaults, and schedules of the learning rate."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.optimizers import schedules
from gradstone.keras.optimizers.optimizer import Optimizer


class SGD(Optimizer):
    """m = momentum * m - rate * g; v += m (nesterov: momentum * m - rate * g)."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError("`momentum` must be a float between [0, 1].")
        self._keep(locals())
        self.slots = 1 if momentum else 0

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        if not self.momentum:
            v.sub_(g * rate)
            return
        m = state[0].mul_(self.momentum).sub_(g * rate)
        v.add_(m * self.momentum - g * rate if self.nesterov else m)


class Adam(Optimizer):
    """Kingma and Ba, 2015, with its "epsilon hat": epsilon is added to the root before the
    correction of its bias. One native call for all weights."""

    slots = 2

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self._keep(locals())
        self.slots = 3 if amsgrad else 2
        self._counts: list[Tensor] = []

    def _update(
        self, grads: list[Any], variables: list[Any], states: list[list[Tensor]], rate: float
    ) -> None:
        means, squares, *largest = ([*slot] for slot in zip(*states))
        # The native step counts for each variable; Keras counts for all variables together.
        while len(self._counts) < len(variables):
            self._counts.append(_C._full((), 0.0, _C.float32))
        steps = [count.fill_(float(self._steps - 1)) for count in self._counts[: len(variables)]]
        # The native step corrects the bias of the root before it adds epsilon.
        epsilon = self.epsilon / math.sqrt(1.0 - self.beta_2**self._steps)
        _C._adam_step(
            variables, grads, means, squares, largest[0] if largest else [], steps, rate,
            self.beta_1, self.beta_2, epsilon, 0.0, False, self.amsgrad, False, None,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **kwargs: Any
    ) -> None:
        if weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)


class RMSprop(Optimizer):
    """s = rho * s + (1 - rho) * g^2; v -= rate * g / sqrt(s + epsilon), through a momentum when
    there is one; centered takes the squared mean gradient off s."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._keep(locals())
        self.slots = 1 + bool(centered) + bool(momentum)

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        square = state[0].mul_(self.rho).add_(g * g * (1.0 - self.rho))
        spread = square + self.epsilon
        if self.centered:
            average = state[1].mul_(self.rho).add_(g * (1.0 - self.rho))
            spread = spread - average * average
        step = g * _C.rsqrt(spread) * rate
        v.sub_(state[-1].mul_(self.momentum).add_(step) if self.momentum else step)


class Adagrad(Optimizer):
    """s += g^2; v -= rate * g / sqrt(s + epsilon) (Duchi et al., 2011)."""

    slots = 1

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._keep(locals())

    def _start(self, variable: Tensor) -> Tensor:
        return super()._start(variable).fill_(self.initial_accumulator_value)

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        square = state[0].add_(g * g)
        v.sub_(g * rate * _C.rsqrt(square + self.epsilon))


class Adadelta(Optimizer):
    """Zeiler, 2012."""

    slots = 2

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._keep(locals())

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        square, moved = state
        square.mul_(self.rho).add_(g * g * (1.0 - self.rho))
        step = g * _C.sqrt(moved + self.epsilon) * _C.rsqrt(square + self.epsilon)
        moved.mul_(self.rho).add_(step * step * (1.0 - self.rho))
        v.sub_(step * rate)


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the root (Kingma and Ba, 2015)."""

    slots = 2

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._keep(locals())

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        mean, largest = state
        mean.mul_(self.beta_1).add_(g * (1.0 - self.beta_1))
        largest.copy_(_C.maximum(largest * self.beta_2, g.abs()))
        v.sub_(mean * (rate / (1.0 - self.beta_1**self._steps)) / (largest + self.epsilon))


class Nadam(Adamax):
    """Adam with Nesterov's momentum (Dozat, 2016)."""

    _seen = (0, 1.0)  # a step, and the product of the factors up to it

    def _factor(self, step: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * 0.96**step)

    def _update(self, *arguments: Any) -> None:
        at, product = self._seen if self._seen[0] < self._steps else (0, 1.0)
        for step in range(at + 1, self._steps + 1):
            product *= self._factor(step)
        self._seen = self._steps, product
        super()._update(*arguments)

    def _update_one(self, g: Any, v: Any, state: list[Tensor], rate: float) -> None:
        mean, square = state
        product = self._seen[1]
        now, after = self._factor(self._steps), self._factor(self._steps + 1)
        mean.mul_(self.beta_1).add_(g * (1.0 - self.beta_1))
        square.mul_(self.beta_2).add_(g * g * (1.0 - self.beta_2))
        ahead = mean * (after / (1.0 - product * after)) + g * ((1.0 - now) / (1.0 - product))
        root = _C.sqrt(square / (1.0 - self.beta_2**self._steps)) + self.epsilon
        v.sub_(ahead / root * rate)


_NAMES = {
    cls.__name__.lower(): cls
    for cls in (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop)
}


def get(identifier: Any) -> Optimizer:
    """An optimizer by name (in any case), or itself when it is one. ValueError for other names."""
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str) and identifier.lower() in _NAMES:
        return _NAMES[identifier.lower()]()
    raise ValueError(f"Could not interpret optimizer identifier: {identifier}")
