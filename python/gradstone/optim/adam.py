"""Adam and AdamW."""

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


def _counts_on_device(group: dict[str, Any]) -> bool:
    return bool(group["capturable"] or group["fused"])


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr * m' / (sqrt(v') + eps), m' and v'
    corrected for their start at 0 (Kingma and Ba, 2015). amsgrad takes the largest v so far (Reddi
    et al., 2018).
    weight_decay is added to g, or with decoupled_weight_decay taken from p directly.

    All parameters of a group in one native call. `capturable` or `fused` keeps the count of steps
    beside the parameter, where the step reads it; `foreach` changes nothing.
    """

    _stepped = False

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check("learning rate", lr)
        check("epsilon value", eps)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"[Adam] expected betas to be a pair of numbers, got {betas!r}.")
        check("beta parameter at index 0", betas[0], below=1.0)
        check("beta parameter at index 1", betas[1], below=1.0)
        check("weight_decay value", weight_decay)
        refuse_differentiable(differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _step_group(self, group: dict[str, Any]) -> None:
        amsgrad = group["amsgrad"]
        params: list[Any] = []
        grads: list[Any] = []
        means: list[Any] = []
        squares: list[Any] = []
        largest: list[Any] = []
        steps: list[Any] = []
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            state = self.state[param]
            if not state:
                mean = zeros_like(param)
                state["step"] = _C._full(
                    (), 0.0, _C.float32, param.device if _counts_on_device(group) else "cpu"
                )
                state["exp_avg"] = mean
                state["exp_avg_sq"] = zeros_like(param)
                if amsgrad:
                    state["max_exp_avg_sq"] = zeros_like(param)
            params.append(param)
            grads.append(grad)
            means.append(state["exp_avg"])
            squares.append(state["exp_avg_sq"])
            steps.append(state["step"])
            if amsgrad:
                largest.append(state["max_exp_avg_sq"])
        if not params:
            return
        lists = (means, squares, largest, steps)
        _C._adam_step(params, grads, *lists, *_options(group, self._found_inf))
        if _C._cuda_is_capturing():  # the gradients of then need not be kept
            self._replay_with(
                group, lambda: _C._adam_step(params, params, *lists, *_options(group, None))
            )

    def _layout(self, group: dict[str, Any]) -> Any:
        return group["amsgrad"]

    def _reads_found_inf(self) -> bool:
        return all(_counts_on_device(g) for g in self.param_groups) and all(
            self.state[p]["step"].device == p.device for p in self.state
        )


def _options(group: dict[str, Any], found_inf: Any) -> tuple[Any, ...]:
    beta1, beta2 = group["betas"]
    return (
        number(group["lr"]),
        number(beta1),
        number(beta2),
        group["eps"],
        group["weight_decay"],
        group["decoupled_weight_decay"],
        group["amsgrad"],
        group["maximize"],
        found_inf,
    )


class AdamW(Adam):
    """Adam with decoupled weight decay: p -= lr * weight_decay * p (Loshchilov and Hutter,
    2019)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
