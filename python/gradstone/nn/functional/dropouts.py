"""Dropout of elements and of channels."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import real


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability p and scales the rest by 1 / (1 - p), in training."""
    check_probability(p)
    if not training or p == 0.0:
        return input
    result = _C.dropout(input, p, True)
    return input.copy_(result) if inplace else result


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, L) or (C, L)."""
    return _channel_dropout(input, p, training, inplace, 1)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, H, W) or (C, H, W)."""
    return _channel_dropout(input, p, training, inplace, 2)


def check_probability(p: float) -> None:
    """ValueError for what is not between 0 and 1, TypeError for what is not a number."""
    if not 0.0 <= real("dropout", "p", p) <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _channel_dropout(input: Tensor, p: float, training: bool, inplace: bool, ndim: int) -> Tensor:
    if input.dim() not in (ndim + 1, ndim + 2):
        raise ValueError(
            f"[dropout{ndim}d] expected {ndim + 1} or {ndim + 2} dimensions, got input of shape "
            f"{tuple(input.shape)}."
        )
    check_probability(p)
    if not training or p == 0.0:
        return input
    channels = input.shape[: input.dim() - ndim]
    ones = _C._full((*channels, *(1,) * ndim), 1, input.dtype, input.device)
    mask = _C.dropout(ones, p, True)
    return input.mul_(mask) if inplace else input * mask
