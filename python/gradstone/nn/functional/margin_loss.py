"""Losses of margins and of distances."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import old_reduction, wide
from gradstone.nn.functional.activation import logsigmoid, softplus
from gradstone.nn.functional.loss import _reduce


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1."""
    reduction = old_reduction(reduction, size_average, reduce)
    return _C.hinge_embedding_loss(input, target, margin, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin)."""
    reduction = old_reduction(reduction, size_average, reduce)
    input1, input2, target = wide(input1, input2, target)
    return _reduce("margin_ranking_loss", _C.relu(margin - target * (input1 - input2)), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin) over (N, D); with `swap` |p - n| in the place of |a - n|
    where it is smaller (Balntas et al., 2016)."""
    reduction = old_reduction(reduction, size_average, reduce)
    anchor, positive, negative = wide(anchor, positive, negative)
    near = (anchor - positive + eps).norm(p, -1)
    far = (anchor - negative + eps).norm(p, -1)
    if swap:
        far = _C.minimum(far, (positive - negative + eps).norm(p, -1))
    return _reduce("triplet_margin_loss", _C.relu(near - far + margin), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input)), target 1 or -1."""
    reduction = old_reduction(reduction, size_average, reduce)
    input, target = wide(input, target)
    return _reduce("soft_margin_loss", softplus(-target * input), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of logits (N, C) against target (N, C) of 0 and 1, the mean over C."""
    reduction = old_reduction(reduction, size_average, reduce)
    input, target = wide(input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduce("multilabel_soft_margin_loss", loss.mean(-1), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of max(0, margin - input[target] + input[class])^p, the target's own
    left out: input (N, C) and target (N), or (C) and a number; p 1 or 2."""
    reduction = old_reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"[multi_margin_loss] expected p of 1 or 2, got {p}.")
    if input.dim() != target.dim() + 1 or tuple(input.shape[:-1]) != tuple(target.shape):
        raise ValueError(
            "[multi_margin_loss] expected input of shape (N, C) and target (N), or (C) and (), got "
            f"{tuple(input.shape)} and {tuple(target.shape)}."
        )
    (input,) = wide(input)
    index = target.long().unsqueeze(-1)
    loss = (margin - _C.gather(input, -1, index) + input).clamp(min=0.0)
    loss = loss * loss if p == 2 else loss
    if weight is not None:
        loss = loss * weight[target.long()].unsqueeze(-1)
    own = _C.scatter(_C._full(tuple(input.shape), 0, _C.bool, input.device), -1, index, True)
    return _reduce("multi_margin_loss", loss.masked_fill(own, 0.0).mean(-1), reduction)
