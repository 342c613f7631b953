"""Distributions side by side as one of several dimensions."""

from __future__ import annotations

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone.distributions.distribution import Distribution, Shape


class Independent(Distribution):
    """The last `reinterpreted_batch_ndims` batch dimensions of `base_distribution` become the
    event's: log_prob and entropy are summed over them."""

    def __init__(self, base_distribution: Distribution, reinterpreted_batch_ndims: int) -> None:
        base = base_distribution
        count = whole("Independent", "reinterpreted_batch_ndims", reinterpreted_batch_ndims)
        if count > len(base.batch_shape):
            raise ValueError(
                f"[Independent] {base!r} has {len(base.batch_shape)} batch dimensions, not {count}."
            )
        self.base_dist = base
        self._count = count
        cut = len(base.batch_shape) - count
        self.batch_shape = base.batch_shape[:cut]
        self.event_shape = (*base.batch_shape[cut:], *base.event_shape)
        self.has_rsample = base.has_rsample

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    def _summed(self, values: Tensor) -> Tensor:
        return values.sum(tuple(range(-self._count, 0))) if self._count else values
