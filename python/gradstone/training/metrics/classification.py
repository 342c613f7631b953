"""How often the right class is named."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.training.metrics.base import Metric, Sums, ratio
from gradstone.training.metrics.labels import (
    Labels,
    check_scores,
    labels,
    outside,
    refuse_outside,
    total,
)


class Accuracy(Metric):
    """Right answers / answers.

    Classes: scores (N, C, ...), logits or probabilities alike since only the largest counts,
    against integer classes (N, ...) or probabilities (N, C, ...) as MixUp and label smoothing make
    them (the likeliest class counts). `dim` is where the classes are. Integer outputs are taken for
    classes.

    Two classes from one score: give `threshold`, 0.0 for logits, 0.5 for probabilities; output and
    target then have one shape, an output above the threshold says 1, and so does a target in
    floating point above 0.5. With several labels per sample every label counts as one answer.

    Targets equal to `ignore_index` are left out. Other targets that are no class: ValueError, from
    ``update`` on the CPU and from ``compute`` on a GPU.
    """

    _layout = {"correct": (), "total": (), "outside": ()}

    def __init__(
        self, *, threshold: float | None = None, ignore_index: int | None = None, dim: int = 1
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.dim = dim
        self._classes: int | None = None

    def _hits(self, output: Tensor, target: Tensor) -> tuple[Tensor, Labels]:
        """Where the answer is right, and the labels."""
        found = labels(
            type(self).__name__,
            output,
            target,
            threshold=self.threshold,
            dim=self.dim,
            ignore_index=self.ignore_index,
        )
        return found.predicted == found.actual, found

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        hits, found = self._hits(output, target)
        wrong = outside(type(self).__name__, found)
        self._classes = found.classes
        if found.keep is not None:
            hits = hits & found.keep
        return {"correct": hits.sum(), "total": total(found), "outside": wrong}

    def _result(self, sums: Sums) -> float:
        refuse_outside(type(self).__name__, sums["outside"], self._classes)
        return ratio(sums["correct"], sums["total"])


class TopKAccuracy(Accuracy):
    """How often the right class is among the `k` largest scores: (N, C, ...) against classes (N,
    ...) or probabilities (N, C, ...). Of equal scores the lower class comes first."""

    def __init__(self, k: int = 5, *, ignore_index: int | None = None, dim: int = 1) -> None:
        super().__init__(ignore_index=ignore_index, dim=dim)
        self.k = whole("TopKAccuracy", "k", k, 1)

    def _hits(self, output: Tensor, target: Tensor) -> tuple[Tensor, Labels]:
        check_scores("TopKAccuracy", output, target, self.dim)
        if self.k > output.size(self.dim):
            raise ValueError(
                f"[TopKAccuracy] expected at least k = {self.k} classes, got "
                f"{output.size(self.dim)}."
            )
        _, found = super()._hits(output, target)
        best = _C.topk(output, self.k, self.dim).indices
        return (best == found.actual.unsqueeze(self.dim)).any(self.dim), found

    def __repr__(self) -> str:
        return f"TopKAccuracy(k={self.k})"
