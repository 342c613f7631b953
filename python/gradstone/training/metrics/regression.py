"""How far numbers are from what they should be."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.training.metrics.base import Metric, Sums, ratio, same_shape


def _double(op: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64, after a look at the shapes: (N, 1) against (N) would broadcast to (N, N)."""
    same_shape(op, output, target)
    return _C._cast(output, _C.float64), _C._cast(target, _C.float64)


class MeanAbsoluteError(Metric):
    """mean |output - target| over all elements, summed in float64."""

    _layout = {"error": (), "total": ()}

    def _error(self, gap: Tensor) -> Tensor:
        return gap.abs()

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        output, target = _double(type(self).__name__, output, target)
        number = _C._full((), output.numel(), _C.int64, output.device)
        return {"error": self._error(output - target).sum(), "total": number}

    def _result(self, sums: Sums) -> float:
        return ratio(sums["error"], sums["total"])


class MeanSquaredError(MeanAbsoluteError):
    """mean (output - target)^2 over all elements, summed in float64."""

    def _error(self, gap: Tensor) -> Tensor:
        return gap.square()


class RootMeanSquaredError(MeanSquaredError):
    """The root of :class:`MeanSquaredError` over all batches (not the mean of the batches'
    roots)."""

    def _result(self, sums: Sums) -> float:
        return math.sqrt(super()._result(sums))


class R2Score(Metric):
    """1 - sum (target - output)^2 / sum (target - mean target)^2, the coefficient of determination.

    (N) or (N, K): of each of K columns, then their mean, or with average=None a float64 tensor (K)
    on the CPU. NaN with fewer than two samples. Where all targets of a column are equal: 1 when
    every output is right, else 0. The deviations are carried from batch to batch as in Chan, Golub
    and LeVeque (1979), so that a large mean costs no digits.
    """

    _layout = {"residual": None, "mean": None, "deviation": None, "total": ()}

    def __init__(self, *, average: str | None = "uniform") -> None:
        super().__init__()
        if average not in ("uniform", None):
            raise ValueError(
                f"[R2Score] expected average to be 'uniform' or None, got {average!r}."
            )
        self.average = average

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        output, target = _double("R2Score", output, target)
        if not 1 <= target.dim() <= 2:
            raise ValueError(
                f"[R2Score] expected targets (N) or (N, K), got shape {tuple(target.shape)}."
            )
        if target.dim() == 1:
            output, target = output.unsqueeze(1), target.unsqueeze(1)
        n, columns = target.shape
        if self._sums and self._sums["mean"].size(0) != columns:
            raise ValueError(
                f"[R2Score] expected {self._sums['mean'].size(0)} columns as before, got {columns}."
            )
        mean = target.sum(0) / max(n, 1)
        return {
            "residual": (target - output).square().sum(0),
            "mean": mean,
            "deviation": (target - mean).square().sum(0),
            "total": _C._full((), n, _C.int64, target.device),
        }

    def _merge(self, sums: Sums, counts: Sums) -> Sums:
        before, now = sums["total"].double(), counts["total"].double()
        total = before + now
        share = now / _C.maximum(total, _C._full((), 1, _C.float64, total.device))
        gap = counts["mean"] - sums["mean"]
        return {
            "residual": sums["residual"] + counts["residual"],
            "mean": sums["mean"] + gap * share,
            "deviation": sums["deviation"] + counts["deviation"] + gap.square() * (before * share),
            "total": sums["total"] + counts["total"],
        }

    def _result(self, sums: Sums) -> Any:
        residual, deviation = sums["residual"].tolist(), sums["deviation"].tolist()
        each = [_determination(r, d) for r, d in zip(residual, deviation)]
        if sums["total"].item() < 2:
            each = [math.nan] * len(each)
        if self.average is None:
            return _C.tensor_from_data(each, _C.float64, "cpu")
        return sum(each) / len(each) if each else math.nan


def _determination(residual: float, deviation: float) -> float:
    if deviation == 0.0:
        return residual if math.isnan(residual) else float(residual == 0.0)
    return 1.0 - residual / deviation
