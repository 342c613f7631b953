"""Precision, recall and F1: of two classes, of each class, and averaged over classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.training.metrics.base import Metric, Sums
from gradstone.training.metrics.labels import (
    buckets,
    check_classes,
    labels,
    outside,
    refuse_outside,
    tally,
)

_AVERAGES = ("macro", "micro", "weighted", "none")


class PerClass(Metric):
    """Counts, for each class, what was right, what was predicted, and what there is.

    Without `num_classes`: two classes from one score, the figure is that of class 1; output and
    target have one shape, and an output above `threshold` (0.0 for logits, 0.5 for probabilities)
    says 1.

    With `num_classes`: scores (N, C, ...) or integer classes, as ``Accuracy`` takes them, and
    `average`:

    - "macro": the mean over all classes, each the same;
    - "weighted": the mean by how often each class occurs among the targets;
    - "micro": of the counts of all classes together (equal to the accuracy);
    - None: a float64 tensor (C) on the CPU, the figure of each class.

    Where a figure is 0 of 0 (a class that never occurs, or is never predicted) it is
    `zero_division`; with NaN there, such classes are left out of "macro" and "weighted". Targets
    equal to `ignore_index` are left out.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        average: str | None = "macro",
        threshold: float = 0.0,
        zero_division: float = 0.0,
        ignore_index: int | None = None,
        dim: int = 1,
    ) -> None:
        super().__init__()
        self.op = type(self).__name__
        self.binary = num_classes is None
        self.classes = 2 if num_classes is None else whole(self.op, "num_classes", num_classes, 2)
        self.average = "none" if average is None else average
        if self.average not in _AVERAGES:
            raise ValueError(
                f"[{self.op}] expected average to be 'macro', 'micro', 'weighted' or None, got "
                f"{average!r}."
            )
        self.threshold = threshold
        self.zero_division = float(zero_division)
        self.ignore_index = ignore_index
        self.dim = dim
        self._layout = {"counts": (3, self.classes + 2), "outside": ()}

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        found = labels(
            self.op,
            output,
            target,
            threshold=self.threshold if self.binary else None,
            dim=self.dim,
            ignore_index=self.ignore_index,
        )
        found = check_classes(self.op, found, self.classes)
        wrong = outside(self.op, found)
        size = self.classes + 2
        predicted, actual = buckets(found, self.classes)
        right = _C.masked_fill(actual, predicted != actual, self.classes)
        cells = _C.cat([right, predicted + size, actual + 2 * size])
        return {"counts": tally(cells, 3 * size).reshape(3, size), "outside": wrong}

    def _figure(self, right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        """Numerator and denominator."""
        raise NotImplementedError

    def _divide(self, right: Any, predicted: Any, actual: Any) -> np.ndarray:
        above, below = (np.asarray(v, np.float64) for v in self._figure(right, predicted, actual))
        return np.divide(
            above, below, out=np.full(below.shape, self.zero_division), where=below != 0
        )

    def _nothing(self) -> Any:
        if self.binary or self.average != "none":
            return float("nan")
        return _C._full((self.classes,), float("nan"), _C.float64)

    def _result(self, sums: Sums) -> Any:
        refuse_outside(self.op, sums["outside"], self.classes)
        counts = sums["counts"].cpu().numpy()[:, : self.classes]
        right, predicted, actual = counts
        if not actual.sum():
            return self._nothing()
        if self.average == "micro" and not self.binary:
            return float(self._divide(right.sum(), predicted.sum(), actual.sum()))
        each = self._divide(right, predicted, actual)
        if self.binary:
            return float(each[1])
        if self.average == "none":
            return _C.from_numpy(each)
        weights = actual if self.average == "weighted" else np.ones(self.classes)
        known = ~np.isnan(each)
        if not weights[known].sum():
            return float("nan")
        return float(np.average(each[known], weights=weights[known]))

    def __repr__(self) -> str:
        if self.binary:
            return f"{self.op}(threshold={self.threshold})"
        return f"{self.op}(num_classes={self.classes}, average={self.average!r})"


class Precision(PerClass):
    """Of what was predicted to be the class, how much is: TP / (TP + FP).

    Arguments and averages: :class:`PerClass`.
    """

    def _figure(self, right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        return right, predicted


class Recall(PerClass):
    """Of what is the class, how much was found: TP / (TP + FN).

    Arguments and averages: :class:`PerClass`.
    """

    def _figure(self, right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        return right, actual


class F1(PerClass):
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN) (van Rijsbergen,
    Information Retrieval, 1979). "macro" is the mean of the classes' F1.

    Arguments and averages: :class:`PerClass`.
    """

    def _figure(self, right: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
        return 2 * right, predicted + actual
