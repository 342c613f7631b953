"""Normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad

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
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample of (N, C, ...) by itself, or without
    `use_input_stats` by the running statistics, which are otherwise moved towards the samples' in
    place."""
    if input.dim() < 3:
        raise ValueError(
            f"[instance_norm] expected input of shape (N, C, ...), got {tuple(input.shape)}."
        )
    n, c, *rest = input.shape
    if use_input_stats and math.prod(rest) == 1:
        raise ValueError(
            "[instance_norm] expected more than 1 value in each channel, got input of shape "
            f"{tuple(input.shape)}."
        )
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if running_mean is None or running_var is None:
        return group_norm(input, c, weight, bias, eps)
    # Every channel of every sample is a channel of its own in one batch of one.
    means, variances = running_mean.repeat(n), running_var.repeat(n)
    out = batch_norm(
        input.reshape(1, n * c, *rest), means, variances, None, None, True, momentum, eps
    ).reshape(input.shape)
    with no_grad():
        running_mean.copy_(means.reshape(n, c).mean(0))
        running_var.copy_(variances.reshape(n, c).mean(0))
    sizes = [c, *(1 for _ in rest)]
    if weight is not None:
        out = out * weight.reshape(sizes)
    return out if bias is None else out + bias.reshape(sizes)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(norm(input), eps) along dim."""
    return input / input.norm(p, dim, True).clamp(min=eps)
