"""How far one distribution is from another."""

from __future__ import annotations

import math

from gradstone._C import Tensor
from gradstone.distributions.bernoulli import Bernoulli
from gradstone.distributions.categorical import Categorical
from gradstone.distributions.distribution import Distribution
from gradstone.distributions.independent import Independent
from gradstone.distributions.normal import Normal
from gradstone.distributions.uniform import Uniform
from gradstone.nn import functional as F


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log p - log q over p, in the batch's shape. NotImplementedError for two of
    different kinds."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale).square()
        shift = ((p.loc - q.loc) / q.scale).square()
        return 0.5 * (ratio + shift - 1 - ratio.log())
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        terms = p.probs * (p.logits - q.logits)
        return terms.masked_fill(p.probs == 0, 0.0).sum(-1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        of_q = F.binary_cross_entropy_with_logits(
            q.logits.expand(p.probs.shape), p.probs, reduction="none"
        )
        return of_q - p.entropy()
    if isinstance(p, Uniform) and isinstance(q, Uniform):
        apart = ((q.high - q.low) / (p.high - p.low)).log()
        return apart.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)
    if isinstance(p, Independent) and isinstance(q, Independent) and p._count == q._count:
        return p._summed(kl_divergence(p.base_dist, q.base_dist))
    raise NotImplementedError(
        f"[kl_divergence] there is no formula for {type(p).__name__} and {type(q).__name__}."
    )
