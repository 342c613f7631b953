"""1 or 0."""

from __future__ import annotations

from typing import Any

from gradstone import _C, _sampling
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.distributions.distribution import Distribution, Shape, either, require, tensors
from gradstone.nn import functional as F


class Bernoulli(Distribution):
    """1 with probability `probs`, or the sigmoid of `logits`; else 0."""

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        (given,) = tensors(either("Bernoulli", probs, logits))
        self._probs: Tensor | None = given if logits is None else None
        self._logits: Tensor | None = None if logits is None else given
        if self._probs is not None and validate_args is not False:
            require("Bernoulli", "probs from 0 to 1", (given >= 0) & (given <= 1))
        self.batch_shape = tuple(given.shape)

    @property
    def probs(self) -> Tensor:
        """Of a 1."""
        if self._probs is not None:
            return self._probs
        assert self._logits is not None
        return self._logits.sigmoid()

    @property
    def logits(self) -> Tensor:
        """log(p / (1 - p)), with p kept away from 0 and 1 by the dtype's eps."""
        if self._logits is not None:
            return self._logits
        assert self._probs is not None
        eps = 2.0**-52 if self._probs.dtype == _C.float64 else 2.0**-23
        p = self._probs.clamp(eps, 1 - eps)
        return p.log() - (-p).log1p()

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        with no_grad():
            return _sampling.bernoulli(self.probs.expand(self._shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = tensors(self.logits, _C._cast(value, self.logits.dtype))
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        logits = self.logits
        return F.binary_cross_entropy_with_logits(logits, self.probs, reduction="none")
