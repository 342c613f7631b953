"""Classes out of what a network gives and what a batch says."""

from __future__ import annotations

from typing import NamedTuple

from gradstone import _C
from gradstone._C import Tensor
from gradstone.training.metrics.base import same_shape


class Labels(NamedTuple):
    """One class for each position, both of one shape, int64; `keep` is False where the target is
    ignored, None when nothing is. `classes`: how many there are, None when the data do not say."""

    predicted: Tensor
    actual: Tensor
    keep: Tensor | None
    classes: int | None


def labels(
    op: str,
    output: Tensor,
    target: Tensor,
    *,
    threshold: float | None,
    dim: int = 1,
    ignore_index: int | None = None,
) -> Labels:
    """With a threshold: 1 where output > threshold, 0 elsewhere, against 0 and 1 of output's shape.
    Without: the largest score along `dim` against classes (output's shape without `dim`) or
    probabilities (output's shape), or integer classes against classes of the same shape."""
    if threshold is not None:
        same_shape(op, output, target)
        predicted = output if output.dtype == _C.bool else output > threshold
        actual = target > 0.5 if target.dtype.is_floating_point else target
        classes: int | None = 2
    elif not output.dtype.is_floating_point:
        same_shape(op, output, target)
        predicted, actual, classes = output, target, None
    else:
        check_scores(op, output, target, dim)
        predicted, classes = _C.argmax(output, dim), output.size(dim)
        soft = target.dim() == output.dim()
        actual = _C.argmax(target, dim) if soft else target
    actual = _C._cast(actual, _C.int64)
    keep = None if ignore_index is None else actual != ignore_index
    return Labels(_C._cast(predicted, _C.int64), actual, keep, classes)


def check_scores(op: str, output: Tensor, target: Tensor, dim: int) -> None:
    """Refuses what is not scores for classes with their targets."""
    if not output.dtype.is_floating_point:
        raise TypeError(f"[{op}] expected floating-point scores, got {output.dtype}.")
    shape = list(output.shape)
    if not -len(shape) <= dim < len(shape) or len(shape) < 2:
        raise ValueError(
            f"[{op}] expected scores (N, C, ...) with the classes in dimension {dim}, got shape "
            f"{tuple(shape)}; for one score per sample give threshold=0.0 (logits) or 0.5 "
            "(probabilities)."
        )
    if shape[dim] == 1:
        raise ValueError(
            f"[{op}] got scores of shape {tuple(shape)} for a single class, which is always the "
            "answer; for one score per sample give threshold=0.0 (logits) or 0.5 (probabilities)."
        )
    wanted = shape[: dim % len(shape)] + shape[dim % len(shape) + 1 :]
    soft = target.dtype.is_floating_point
    if soft and list(target.shape) != shape:
        raise ValueError(
            f"[{op}] expected targets in floating point to be probabilities of the scores' shape "
            f"{tuple(shape)}, got {tuple(target.shape)}; classes are integers of shape "
            f"{tuple(wanted)}."
        )
    if not soft and list(target.shape) != wanted:
        raise ValueError(
            f"[{op}] expected classes of shape {tuple(wanted)} for scores of shape {tuple(shape)}, "
            f"got {tuple(target.shape)}."
        )


def outside(op: str, found: Labels) -> Tensor:
    """How many targets are no class, int64. Where reading costs nothing (on the CPU) ValueError at
    once; elsewhere `refuse_outside` says it when the figure is asked for."""
    actual, classes = found.actual, found.classes
    wrong = actual < 0 if classes is None else (actual < 0) | (actual >= classes)
    if found.keep is not None:
        wrong = wrong & found.keep
    count = wrong.sum()
    if actual.device.type == "cpu":
        refuse_outside(op, count, classes)
    return count


def refuse_outside(op: str, count: Tensor, classes: int | None) -> None:
    """ValueError when targets were counted that are no class."""
    number = int(count.item())
    if number:
        what = "are negative" if classes is None else f"lie outside 0 to {classes - 1}"
        raise ValueError(
            f"[{op}] {number} target{'s' if number > 1 else ''} {what}; is there an ignore_index "
            "to give?"
        )


def total(found: Labels) -> Tensor:
    """How many positions count, int64."""
    if found.keep is not None:
        return found.keep.sum()
    return _C._full((), found.actual.numel(), _C.int64, found.actual.device)


def buckets(found: Labels, classes: int) -> tuple[Tensor, Tensor]:
    """Predicted and actual classes as flat cells of a table with classes + 2 of them: the last but
    one takes what is ignored, the last what is no class."""

    def cells(values: Tensor) -> Tensor:
        wrong = (values < 0) | (values >= classes)
        values = _C.masked_fill(values, wrong, classes + 1)
        if found.keep is not None:
            values = _C.masked_fill(values, ~found.keep, classes)
        return values.reshape(-1)

    return cells(found.predicted), cells(found.actual)


def check_classes(op: str, found: Labels, classes: int) -> Labels:
    """ValueError unless the scores are for `classes` classes."""
    if found.classes not in (None, classes):
        raise ValueError(f"[{op}] expected scores for {classes} classes, got {found.classes}.")
    return found._replace(classes=classes)


def tally(cells: Tensor, size: int) -> Tensor:
    """How often each of `size` cells occurs, int64."""
    ones = _C._full(tuple(cells.shape), 1, _C.int64, cells.device)
    return _C.scatter_add(_C._full((size,), 0, _C.int64, cells.device), 0, cells, ones)
