"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.optim.optimizer import (
    Optimizer,
    Params,
    check,
    number,
    refuse_differentiable,
    zeros_like,
)


class SGD(Optimizer):
    """g += weight_decay * p; v = momentum * v + (1 - dampening) * g; p -= lr * v (nesterov: lr * (g
    + momentum * v)). The first v is g itself. All parameters of a group in one native call.

    `foreach` and `fused` are PyTorch's choice of implementation; here there is one.
    """

    _stepped = False

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check("learning rate", lr)
        check("momentum value", momentum)
        check("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        refuse_differentiable(differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _step_group(self, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        params, grads = [], []
        for param in group["params"]:
            grad = param.grad
            if grad is not None:
                params.append(param)
                grads.append(grad)
        if not params:
            return
        if not momentum:
            self._step(group, params, grads, [], 0)
            return
        fresh: list[int] = []
        known: list[int] = []
        for i, param in enumerate(params):
            state = self.state[param]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = zeros_like(param)
                fresh.append(i)
            else:
                known.append(i)
        for first, chosen in ((1, fresh), (0, known)):
            if chosen:
                some = [params[i] for i in chosen]
                buffers = [self.state[p]["momentum_buffer"] for p in some]
                self._step(group, some, [grads[i] for i in chosen], buffers, first)

    def _step(
        self,
        group: dict[str, Any],
        params: list[Any],
        grads: list[Any],
        buffers: list[Any],
        first: int,
    ) -> None:
        _C._sgd_step(params, grads, buffers, (first,), *_options(group, self._found_inf))
        if _C._cuda_is_capturing():  # the gradients of then need not be kept
            self._replay_with(
                group,
                lambda: _C._sgd_step(params, params, buffers, (first,), *_options(group, None)),
            )

    def _reads_found_inf(self) -> bool:
        # A buffer's first step is told from later ones on the host; without dampening both give
        # the same from a buffer of zeros.
        return all(not g["momentum"] or not g["dampening"] for g in self.param_groups)

    def _layout(self, group: dict[str, Any]) -> Any:
        return group["momentum"] != 0


def _options(group: dict[str, Any], found_inf: Any) -> tuple[Any, ...]:
    return (
        number(group["lr"]),
        group["momentum"],
        group["dampening"],
        group["weight_decay"],
        group["nesterov"],
        group["maximize"],
        found_inf,
    )
