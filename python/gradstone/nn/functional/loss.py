"""Losses."""

from __future__ import annotations

import warnings

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import old_reduction


def _reduce(op: str, loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"[{op}] expected reduction 'none', 'mean' or 'sum', got {reduction!r}.")


def _warn_of_shapes(op: str, input: Tensor, target: Tensor) -> None:
    """(N, 1) against (N) broadcasts to (N, N): allowed, and nearly always a mistake."""
    if input.shape != target.shape:
        warnings.warn(
            f"[{op}] input of shape {tuple(input.shape)} and target of shape "
            f"{tuple(target.shape)} are broadcast against each other; give them one shape.",
            stacklevel=3,
        )


def _weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    loss = loss * weight
    return (
        loss.sum() / weight.sum()
        if reduction == "mean"
        else _reduce("weighted loss", loss, reduction)
    )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Logits (N, C, ...) or (C) against classes (N, ...) or probabilities (N, C, ...)."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Log-probabilities (N, C, ...) or (C) against classes (N, ...)."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C.nll_loss(input, target, weight, ignore_index, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2."""
    _warn_of_shapes("mse_loss", input, target)
    reduction = old_reduction(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_C.mse_loss(input, target, "none"), weight, reduction)
    return _C.mse_loss(input, target, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|."""
    _warn_of_shapes("l1_loss", input, target)
    reduction = old_reduction(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_C.l1_loss(input, target, "none"), weight, reduction)
    return _C.l1_loss(input, target, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Quadratic below beta, linear above."""
    _warn_of_shapes("smooth_l1_loss", input, target)
    reduction = old_reduction(reduction, size_average, reduce)
    if beta == 0.0:
        return _C.l1_loss(input, target, reduction)
    return _C.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the square below delta, linear above."""
    _warn_of_shapes("huber_loss", input, target)
    if weight is not None:
        return _weighted(_C.huber_loss(input, target, "none", delta), weight, reduction)
    return _C.huber_loss(input, target, reduction, delta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)); logarithms are limited to -100."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C._bce_loss(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input) without overflow."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C._bce_with_logits(input, target, weight, pos_weight, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input); "batchmean" divides the sum by the batch size."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C.kl_div(input, target, reduction, log_target)
