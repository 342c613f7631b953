"""RMSprop."""

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


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g^2; p -= lr * g / (sqrt(v) + eps), through a momentum buffer when
    momentum > 0; centered subtracts the squared mean gradient from v (Hinton's lecture 6e; Graves,
    2013).

    All parameters of a group in one native call; `foreach` and `capturable` change nothing.
    """

    _stepped = False

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check("learning rate", lr)
        check("epsilon value", eps)
        check("momentum value", momentum)
        check("weight_decay value", weight_decay)
        check("alpha value", alpha)
        refuse_differentiable(differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _step_group(self, group: dict[str, Any]) -> None:
        momentum, centered = group["momentum"], group["centered"]
        params: list[Any] = []
        grads: list[Any] = []
        squares: list[Any] = []
        buffers: list[Any] = []
        means: list[Any] = []
        steps: list[Any] = []
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            state = self.state[param]
            if not state:
                square = zeros_like(param)
                state["step"] = _C._full((), 0.0, _C.float32)
                state["square_avg"] = square
                if momentum > 0:
                    state["momentum_buffer"] = zeros_like(param)
                if centered:
                    state["grad_avg"] = zeros_like(param)
            steps.append(state["step"])
            params.append(param)
            grads.append(grad)
            squares.append(state["square_avg"])
            if momentum > 0:
                buffers.append(state["momentum_buffer"])
            if centered:
                means.append(state["grad_avg"])
        if not params:
            return
        lists = (squares, buffers, means)
        _C._rmsprop_step(params, grads, *lists, *_options(group, self._found_inf))
        if not _C._cuda_is_capturing():
            _count(steps)
            return

        def patch() -> None:  # the gradients of then need not be kept
            _C._rmsprop_step(params, params, *lists, *_options(group, None))
            _count(steps)

        self._replay_with(group, patch)

    def _reads_found_inf(self) -> bool:
        return True  # state["step"] then counts the skipped steps too; nothing depends on it

    def _layout(self, group: dict[str, Any]) -> Any:
        return group["momentum"] > 0, group["centered"]


def _count(steps: list[Any]) -> None:
    for step in steps:
        step += 1


def _options(group: dict[str, Any], found_inf: Any) -> tuple[Any, ...]:
    return (
        number(group["lr"]),
        group["alpha"],
        group["eps"],
        group["weight_decay"],
        group["momentum"],
        group["centered"],
        group["maximize"],
        found_inf,
    )
