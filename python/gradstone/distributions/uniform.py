"""The uniform distribution."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _sampling
from gradstone._C import Tensor
from gradstone.distributions.distribution import Distribution, Shape, require, tensors


class Uniform(Distribution):
    """From `low` to `high`, which is not among the values."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(low, high)
        if validate_args is not False:
            require("Uniform", "low < high", self.low < self.high)
        self.batch_shape = tuple(self.low.shape)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        kind, device = self.low.dtype, self.low.device
        share = _sampling.rand(self._shape(sample_shape), dtype=kind, device=device)
        return self.low + share * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        """-log(high - low) inside, minus infinity outside."""
        inside = (value >= self.low) & (value < self.high)
        density = -(self.high - self.low).log() + value * 0
        return density.masked_fill(~inside, -math.inf)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()
