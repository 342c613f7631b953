"""How many choices a language model is in doubt about."""

from __future__ import annotations

import math

from gradstone import _C
from gradstone._C import Tensor
from gradstone.training.metrics.base import Metric, Sums, ratio
from gradstone.training.metrics.labels import check_scores


class Perplexity(Metric):
    """exp(mean -log p(target)) over all tokens of all batches, from logits (Jelinek et al., 1977).

    Logits (N, V, ...), or the vocabulary in dimension `dim` ((N, T, V) with dim=-1), against
    integer tokens; those equal to `ignore_index` are left out. The logarithms are taken in float32
    at least, and summed in float64. inf where the mean passes 709.
    """

    _layout = {"loss": (), "total": ()}

    def __init__(self, *, ignore_index: int = -100, dim: int = 1) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.dim = dim

    def _count(self, output: Tensor, target: Tensor) -> Sums:
        if target.dtype.is_floating_point or target.dtype == _C.bool:
            raise TypeError(f"[Perplexity] expected integer tokens, got {target.dtype}.")
        check_scores("Perplexity", output, target, self.dim)
        if output.dtype.itemsize < 4:
            output = _C._cast(output, _C.float32)
        scores = _C.movedim(output, self.dim, -1).reshape(-1, output.size(self.dim))
        tokens = _C._cast(target, _C.int64).reshape(-1)
        loss = _C.cross_entropy(scores, tokens, None, self.ignore_index, "none", 0.0)
        return {
            "loss": _C._cast(loss, _C.float64).sum(),
            "total": (tokens != self.ignore_index).sum(),
        }

    def _result(self, sums: Sums) -> float:
        mean = ratio(sums["loss"], sums["total"])
        return math.exp(mean) if not mean > 709.0 else math.inf
