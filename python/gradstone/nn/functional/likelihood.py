"""Negative log-likelihoods of numbers."""

from __future__ import annotations

import math

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.nn.functional._arguments import wide
from gradstone.nn.functional.loss import _reduce


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """rate - target * log(rate), rate = exp(input) or, without `log_input`, input; `full` adds
    Stirling's approximation of log target! where target > 1."""
    input, target = wide(input, target)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        safe = target.clamp(min=1.0)
        stirling = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        loss = loss + _C._where(target > 1, stirling, target * 0)
    return _reduce("poisson_nll_loss", loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log var + (input - target)^2 / var) / 2, with var raised to eps at least, which gradients do
    not see; `full` adds log(2 pi) / 2. ValueError for a negative var."""
    input, target = wide(input, target)
    if isinstance(var, Tensor):
        (var,) = wide(var)
    if not isinstance(var, Tensor):
        var = _C._full(tuple(input.shape), float(var), input.dtype, input.device)
    elif var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif not (var.shape[:-1] == input.shape[:-1] and var.shape[-1:] == (1,)):
            raise ValueError(
                f"[gaussian_nll_loss] expected var of shape {tuple(input.shape)}, got "
                f"{tuple(var.shape)}."
            )
    if (var < 0).any():
        raise ValueError("[gaussian_nll_loss] expected var >= 0.")
    with no_grad():
        lift = var.clamp(min=eps) - var
    var = var + lift
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce("gaussian_nll_loss", loss, reduction)
