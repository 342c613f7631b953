"""Distances between rows, and the losses that are made of them."""

from __future__ import annotations

from collections.abc import Callable

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import wide
from gradstone.nn.functional.linear_maps import cosine_similarity
from gradstone.nn.functional.loss import _reduce


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; (N, D) and (N), or (D) and
    ()."""
    input1, input2 = wide(input1, input2)
    cos = cosine_similarity(input1, input2, -1)
    if target.shape != cos.shape:
        raise ValueError(
            f"[cosine_embedding_loss] expected target of shape {tuple(cos.shape)}, got "
            f"{tuple(target.shape)}."
        )
    loss = _C._where(target > 0, 1 - cos, _C.relu(cos - margin))
    return _reduce("cosine_embedding_loss", loss, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin); with `swap` d(p, n) counts in place of d(a, n) where it
    is smaller."""
    anchor, positive, negative = wide(anchor, positive, negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _C.minimum(far, distance(positive, negative))
    return _reduce("triplet_margin_with_distance_loss", _C.relu(near - far + margin), reduction)
