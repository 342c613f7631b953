"""Adagrad, Adadelta, Adamax and NAdam: step sizes of each weight's own, a few operations for each
parameter."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._capture import recording
from gradstone.autograd.grad_mode import no_grad
from gradstone.optim.optimizer import Optimizer, Params, check, number, zeros_like


class _Adaptive(Optimizer):
    """`weight_decay` adds weight_decay * p to the gradient, `maximize` goes up instead of down;
    `foreach` changes nothing."""

    _stepped = False

    def __init__(self, params: Params, options: dict[str, Any]) -> None:
        check("learning rate", options["lr"])
        check("epsilon value", options["eps"])
        check("weight_decay value", options["weight_decay"])
        super().__init__(params, options)

    @no_grad()
    def _step_group(self, group: dict[str, Any]) -> None:
        name = type(self).__name__
        recording.refuse(f"{name}.step", "its numbers would be those of the capture: use Adam.")
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            if group["maximize"]:
                grad = -grad
            lr, decay = number(group["lr"]), group["weight_decay"]
            if group.get("decoupled_weight_decay"):
                param.mul_(1 - lr * decay)
            elif decay:
                grad = grad.add(param, alpha=decay)
            state = self.state[param]
            if not state:
                state["step"] = _C._full((), 0.0, _C.float32)
                self._begin(param, state, group)
            state["step"] += 1
            self._step_one(param, grad, state, group, state["step"].item(), lr)

    def _begin(self, param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """What a parameter's first step needs."""
        raise NotImplementedError

    def _step_one(
        self,
        param: Tensor,
        grad: Tensor,
        state: dict[str, Any],
        group: dict[str, Any],
        step: float,
        lr: float,
    ) -> None:
        """Step number `step`, from 1."""
        raise NotImplementedError


class Adagrad(_Adaptive):
    """s += g^2; p -= lr / (1 + (step - 1) lr_decay) * g / (sqrt(s) + eps) (Duchi, Hazan and Singer,
    2011)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        check("lr_decay value", lr_decay)
        check("initial_accumulator_value value", initial_accumulator_value)
        options = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _begin(self, param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["sum"] = zeros_like(param).fill_(group["initial_accumulator_value"])

    def _step_one(
        self,
        param: Tensor,
        grad: Tensor,
        state: dict[str, Any],
        group: dict[str, Any],
        step: float,
        lr: float,
    ) -> None:
        total = state["sum"].addcmul_(grad, grad)
        rate = lr / (1 + (step - 1) * group["lr_decay"])
        param.addcdiv_(grad, total.sqrt().add_(group["eps"]), value=-rate)


class Adadelta(_Adaptive):
    """v = rho v + (1 - rho) g^2; d = g sqrt(u + eps) / sqrt(v + eps); u = rho u + (1 - rho) d^2;
    p -= lr d (Zeiler, 2012)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        check("rho value", rho)
        if rho > 1:
            raise ValueError(f"Invalid rho value: {rho}")
        options = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _begin(self, param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["square_avg"], state["acc_delta"] = zeros_like(param), zeros_like(param)

    def _step_one(
        self,
        param: Tensor,
        grad: Tensor,
        state: dict[str, Any],
        group: dict[str, Any],
        step: float,
        lr: float,
    ) -> None:
        rho, eps = group["rho"], group["eps"]
        squares, moves = state["square_avg"], state["acc_delta"]
        squares.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (moves + eps).sqrt_().div_((squares + eps).sqrt_()).mul_(grad)
        moves.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        param.add_(delta, alpha=-lr)


def _check_betas(betas: Any) -> None:
    try:
        first, second = betas
    except (TypeError, ValueError):
        raise TypeError(
            f"[optimizer] expected betas to be a pair of numbers, got {betas!r}."
        ) from None
    check("beta parameter at index 0", first, 1.0)
    check("beta parameter at index 1", second, 1.0)


class Adamax(_Adaptive):
    """m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps); p -= lr / (1 - b1^step) * m / u (Kingma and
    Ba, 2015)."""

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        _check_betas(betas)
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _begin(self, param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["exp_avg"], state["exp_inf"] = zeros_like(param), zeros_like(param)

    def _step_one(
        self,
        param: Tensor,
        grad: Tensor,
        state: dict[str, Any],
        group: dict[str, Any],
        step: float,
        lr: float,
    ) -> None:
        b1, b2 = group["betas"]
        mean = state["exp_avg"].mul_(b1).add_(grad, alpha=1 - b1)
        largest = state["exp_inf"]
        largest.copy_(_C.maximum(largest * b2, grad.abs().add_(group["eps"])))
        param.addcdiv_(mean, largest, value=-lr / (1 - b1**step))


class NAdam(_Adaptive):
    """Adam with Nesterov's momentum, whose mu at step t is b1 (1 - 0.96^(t momentum_decay) / 2)
    (Dozat, 2016). `decoupled_weight_decay` shrinks the weights as AdamW does."""

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        _check_betas(betas)
        check("momentum_decay value", momentum_decay)
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _begin(self, param: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
        state["mu_product"] = _C._full((), 1.0, _C.float32)

    def _step_one(
        self,
        param: Tensor,
        grad: Tensor,
        state: dict[str, Any],
        group: dict[str, Any],
        step: float,
        lr: float,
    ) -> None:
        b1, b2 = group["betas"]
        mu, after = (
            b1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        )
        state["mu_product"] *= mu
        product = state["mu_product"].item()
        mean = state["exp_avg"].mul_(b1).add_(grad, alpha=1 - b1)
        squares = state["exp_avg_sq"].mul_(b2).addcmul_(grad, grad, value=1 - b2)
        size = squares.div(1 - b2**step).sqrt_().add_(group["eps"])
        param.addcdiv_(grad, size, value=-lr * (1 - mu) / (1 - product))
        param.addcdiv_(mean, size, value=-lr * after / (1 - product * after))
