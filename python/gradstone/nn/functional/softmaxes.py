"""Softmax and its relatives."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DTypeLike


def _choose_dim(ndim: int) -> int:
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """exp(input) / sum(exp(input)) along dim."""
    return _C.softmax(input, _choose_dim(input.dim()) if dim is None else dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """log(softmax(input)) without overflow."""
    return _C.log_softmax(input, _choose_dim(input.dim()) if dim is None else dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """softmax(-input)."""
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of a softened categorical distribution (Jang et al., 2017)."""
    uniform = _C._empty(tuple(logits.shape), logits.dtype, logits.device)
    _C._uniform_(uniform, 0.0, 1.0)
    noise = -_C.log(-_C.log(uniform + eps) + eps)
    soft = _C.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.argmax(dim, True)
    zeros = _C._full(tuple(logits.shape), 0, logits.dtype, logits.device)
    return _C.scatter(zeros, dim, index, 1.0) - soft.detach() + soft
