"""Classes and samples that count more or less than others.

Weights of classes: ``nn.CrossEntropyLoss(weight=class_weights(labels, C))``. Weights of samples:
:class:`WeightedLoss`. Label smoothing is no weight: ``nn.CrossEntropyLoss(label_smoothing=0.1)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole


def class_weights(labels: Any, num_classes: int | None = None) -> Tensor:
    """float32 (C): n / (k * count of the class), for n labels of k classes that occur (King and
    Zeng, 2001). The mean weight of the labels is 1, and every class weighs the same in all.

    `labels`: integers in a tensor, array or sequence of any shape; the weights are where the tensor
    is, else on the CPU. A class that never occurs gets 1: neither training sees it, nor does a
    validation with it divide by 0. `num_classes`: the largest label + 1 when not given. ValueError
    for no labels, and for labels outside.
    """
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    values = values.reshape(-1)
    if not values.size:
        raise ValueError("[class_weights] expected at least one label.")
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"[class_weights] expected integer labels, got {values.dtype}.")
    low, high = int(values.min()), int(values.max())
    if num_classes is None:
        num_classes = high + 1
    classes = whole("class_weights", "num_classes", num_classes, 1)
    if low < 0 or high >= classes:
        raise ValueError(
            f"[class_weights] expected labels from 0 to {classes - 1}, got {low} to {high}."
        )
    counts = np.bincount(values, minlength=classes)
    seen = counts > 0
    weights = np.ones(classes)
    weights[seen] = values.size / (seen.sum() * counts[seen])
    found = _C.from_numpy(weights.astype(np.float32))
    return _C._to_device(found, labels.device) if isinstance(labels, Tensor) else found


class WeightedLoss:
    """A loss in which every sample has a weight: sum(w * l) / sum(w), 0 where all weights are 0.

        loss = WeightedLoss(nn.CrossEntropyLoss(reduction="none"))
        loss(output, target, weights)
        loss(output, (target, weights))    # as a batch's target
        loss(output, target)               # every weight 1

    `loss(output, target)` gives a loss (N) or (N, ...) without reduction; the mean over all but the
    first dimension is the sample's. `divide_by` "samples" divides by N in place of sum(w), so that
    the weights also scale the loss, as Keras has it.
    """

    def __init__(self, loss: Callable[..., Tensor], *, divide_by: str = "weights") -> None:
        if divide_by not in ("weights", "samples"):
            raise ValueError(
                f"[WeightedLoss] expected divide_by 'weights' or 'samples', got {divide_by!r}."
            )
        reduction = getattr(loss, "reduction", "none")
        if reduction != "none":
            raise ValueError(
                "[WeightedLoss] expected a loss with reduction='none', which gives one number for "
                f"each sample, got reduction={reduction!r}."
            )
        self.loss = loss
        self.divide_by = divide_by

    def __call__(self, output: Tensor, target: Any, weights: Tensor | None = None) -> Tensor:
        """A scalar."""
        if weights is None and isinstance(target, (tuple, list)):
            if len(target) != 2:
                raise ValueError(
                    f"[WeightedLoss] expected the pair (target, weights), got {len(target)} values."
                )
            target, weights = target
        each = self.loss(output, target)
        if each.dim() == 0:
            raise ValueError(
                "[WeightedLoss] expected a loss for each sample, got a scalar: give the loss "
                "reduction='none'."
            )
        if each.dim() > 1:
            each = each.reshape(each.size(0), -1).mean(1)
        if weights is None:
            return each.mean()
        if tuple(weights.shape) != tuple(each.shape):
            raise ValueError(
                f"[WeightedLoss] expected one weight for each of {each.size(0)} samples, got shape "
                f"{tuple(weights.shape)}."
            )
        weights = _C._cast(weights, each.dtype)
        total = (each * weights).sum()
        if self.divide_by == "samples":
            return total / each.size(0)
        whole_weight = weights.sum()
        return total / _C.masked_fill(whole_weight, whole_weight == 0, 1.0)
