"""Pooling over windows."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import Ints, tuple_of

adaptive_avg_pool2d = _C.adaptive_avg_pool2d
adaptive_max_pool2d = _C.adaptive_max_pool2d
avg_pool1d = _C.avg_pool1d
avg_pool2d = _C.avg_pool2d


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window of (N, C, L) or (C, L); with their positions when asked."""
    if not return_indices:
        return _C.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode)
    if stride is None:
        stride = kernel_size
    (k,), (s,), (p,), (d,) = (
        tuple_of(value, 1, "max_pool1d", name)
        for value, name in (
            (kernel_size, "kernel_size"), (stride, "stride"), (padding, "padding"),
            (dilation, "dilation"),
        )
    )  # fmt: skip
    values, indices = _C._max_pool2d_indices(
        input.unsqueeze(-2), (1, k), (1, s), (0, p), (1, d), ceil_mode
    )
    return values.squeeze(-2), indices.squeeze(-2)


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window of (N, C, H, W); with their positions in the plane when
    asked."""
    if return_indices:
        pair = _C._max_pool2d_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        return tuple(pair)
    return _C.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def adaptive_avg_pool1d(input: Tensor, output_size: int) -> Tensor:
    """Mean of windows of (N, C, L), chosen so that the output has this length."""
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, output_size)).squeeze(-2)


def adaptive_max_pool1d(input: Tensor, output_size: int) -> Tensor:
    """Largest value of windows of (N, C, L), chosen so that the output has this length."""
    return adaptive_max_pool2d(input.unsqueeze(-2), (1, output_size)).squeeze(-2)
