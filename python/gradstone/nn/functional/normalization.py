"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone import _C
from gradstone._C import Tensor

group_norm = _C.group_norm


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of (N, C, ...); in training updates the running statistics in
    place."""
    return _C.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the last dimensions, whose sizes are normalized_shape."""
    return _C.layer_norm(input, normalized_shape, weight, bias, eps)


def instance_norm(
    input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalises each channel of each sample of (N, C, ...) by itself."""
    return group_norm(input, input.size(1), weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(norm(input), eps) along dim."""
    return input / input.norm(p, dim, True).clamp(min=eps)
