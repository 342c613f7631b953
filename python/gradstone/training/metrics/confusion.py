"""Which class is taken for which."""

from __future__ import annotations

import os
from collections.abc import Sequence
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

_NORMALIZE = (None, "true", "predicted", "all")


class ConfusionMatrix(Metric):
    """(C, C) on the CPU: row i, column j says how often class i was taken for class j. int64
    counts; with `normalize` float64 shares of each row ("true"), column ("predicted") or of
    everything ("all"), 0 where there is nothing to share.

    Outputs and targets as ``Accuracy`` takes them; a `threshold` makes two classes from one score.
    Predicted integer classes that are none are counted nowhere. Before the first batch: zeros.
    """

    def __init__(
        self,
        num_classes: int = 2,
        *,
        normalize: str | None = None,
        threshold: float | None = None,
        ignore_index: int | None = None,
        dim: int = 1,
    ) -> None:
        super().__init__()
        self.classes = whole("ConfusionMatrix", "num_classes", num_classes, 2)
        if normalize not in _NORMALIZE:
            raise ValueError(
                "[ConfusionMatrix] expected normalize to be None, 'true', 'predicted' or 'all', "
                f"got {normalize!r}."
            )
        self.normalize = normalize
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.dim = dim
        self._layout = {"counts": (self.classes + 2, self.classes + 2), "outside": ()}

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        found = labels(
            "ConfusionMatrix",
            output,
            target,
            threshold=self.threshold,
            dim=self.dim,
            ignore_index=self.ignore_index,
        )
        found = check_classes("ConfusionMatrix", found, self.classes)
        wrong = outside("ConfusionMatrix", found)
        size = self.classes + 2
        predicted, actual = buckets(found, self.classes)
        cells = tally(actual * size + predicted, size * size)
        return {"counts": cells.reshape(size, size), "outside": wrong}

    def _nothing(self) -> Tensor:
        dtype = _C.float64 if self.normalize else _C.int64
        return _C._full((self.classes, self.classes), 0, dtype)

    def _result(self, sums: Sums) -> Tensor:
        refuse_outside("ConfusionMatrix", sums["outside"], self.classes)
        counts = sums["counts"][: self.classes, : self.classes].cpu().contiguous()
        if self.normalize is None:
            return counts
        counts = counts.double()
        if self.normalize == "all":
            whole_sum = counts.sum()
        else:
            whole_sum = counts.sum(1 if self.normalize == "true" else 0, keepdim=True)
        return counts / _C.maximum(whole_sum, _C._full((), 1, _C.float64))

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        labels: Sequence[Any] | None = None,
        title: str | None = None,
    ) -> Any:
        """The matrix as a matplotlib Figure, written to `path` when given: dark is often, in each
        row's share, with the figure in each cell up to 20 classes. `labels`: the classes' names."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError(
                "ConfusionMatrix.plot draws with matplotlib: pip install 'gradstone[plot]'"
            ) from None
        names = [str(name) for name in (range(self.classes) if labels is None else labels)]
        if len(names) != self.classes:
            raise ValueError(
                f"[ConfusionMatrix.plot] expected {self.classes} labels, got {len(names)}."
            )
        matrix = self.compute().numpy()
        shade = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-300)
        side = min(3.0 + 0.45 * self.classes, 14.0)
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shade, cmap="Blues", vmin=0.0, vmax=1.0)
        ticks = range(0, self.classes, -(-self.classes // 40))
        axes.set_xticks(
            ticks, [names[i] for i in ticks], rotation=90 if max(map(len, names)) > 3 else 0
        )
        axes.set_yticks(ticks, [names[i] for i in ticks])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if title:
            axes.set_title(title)
        if self.classes <= 20:
            for i, j in np.ndindex(matrix.shape):
                text = f"{matrix[i, j]:.2f}" if self.normalize else str(matrix[i, j])
                colour = "white" if shade[i, j] > 0.5 else "black"
                axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure

    def __repr__(self) -> str:
        return f"ConfusionMatrix(num_classes={self.classes})"
