"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _sampling
from gradstone._C import Tensor
from gradstone.distributions.distribution import Distribution, Shape, require, tensors


class Normal(Distribution):
    """Mean `loc`, standard deviation `scale` > 0."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        if validate_args is not False:
            require("Normal", "scale > 0", self.scale > 0)
        self.batch_shape = tuple(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        kind, device = self.loc.dtype, self.loc.device
        noise = _sampling.randn(self._shape(sample_shape), dtype=kind, device=device)
        return self.loc + self.scale * noise

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return -0.5 * z.square() - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a smaller value."""
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())
