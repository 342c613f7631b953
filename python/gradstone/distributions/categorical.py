"""One of several classes."""

from __future__ import annotations

from gradstone import _C, _functions, _sampling
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.distributions.distribution import Distribution, Shape, either, require


class Categorical(Distribution):
    """Classes 0 to C - 1 with probabilities `probs` (..., C), which are divided by their sum, or
    the softmax of `logits` (..., C)."""

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = either("Categorical", probs, logits)
        if not isinstance(given, Tensor) or not given.dim():
            got = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ValueError(f"[Categorical] expected a tensor (..., classes), got {got}.")
        if logits is None:
            total = given.sum(-1, True)
            if validate_args is not False:
                good = (given >= 0).all() & (total > 0).all() & total.isfinite().all()
                require("Categorical", "probs >= 0 that are not all 0", good)
            self._probs: Tensor | None = given / total
            self._logits: Tensor | None = None
        else:
            if validate_args is not False:
                require("Categorical", "logits that are no NaN", ~given.isnan())
            self._probs, self._logits = None, given - given.logsumexp(-1, True)
        self.batch_shape = tuple(given.shape[:-1])
        self._classes = given.size(-1)

    @property
    def probs(self) -> Tensor:
        """(..., C), of sum 1."""
        if self._probs is not None:
            return self._probs
        assert self._logits is not None
        return self._logits.softmax(-1)

    @property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities, which are kept away from 0 and 1 by the dtype's eps when
        they were given."""
        if self._logits is not None:
            return self._logits
        assert self._probs is not None
        eps = 2.0**-52 if self._probs.dtype == _C.float64 else 2.0**-23
        return self._probs.clamp(eps, 1 - eps).log()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        shape, count = self._shape(sample_shape), 1
        for size in sample_shape:
            count *= size
        with no_grad():
            rows = self.probs.detach().reshape(-1, self._classes)
            drawn = _sampling.multinomial(rows, max(count, 1), True)  # (distributions, count)
            return drawn.t()[:count].reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of classes, whose shape is broadcast with the batch's."""
        logits = self.logits
        index, _ = _functions.broadcast_tensors(_C._cast(value, _C.int64), logits.select(-1, 0))
        logits = logits.expand((*index.shape, self._classes))
        return logits.gather(-1, index.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=-3.4e38)  # 0 * log 0 counts as 0
        return -(logits * self.probs).sum(-1)
