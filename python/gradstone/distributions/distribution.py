"""What all distributions have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradstone import _C, _functions
from gradstone._C import Tensor
from gradstone._creation import get_default_dtype
from gradstone.autograd.grad_mode import no_grad

Shape = Sequence[int]


class Distribution:
    """`batch_shape`: distributions side by side, with parameters of their own; `event_shape`: of
    one drawn value. ``sample(shape)`` has shape (*shape, *batch_shape, *event_shape), ``log_prob``
    the shape without the event's."""

    has_rsample = False
    batch_shape: tuple[int, ...] = ()
    event_shape: tuple[int, ...] = ()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Drawn values, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Drawn values, differentiable in the parameters."""
        raise NotImplementedError(f"[{type(self).__name__}] rsample is not offered: use sample.")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of its density, at a value."""
        raise self._without("log_prob")

    def entropy(self) -> Tensor:
        """The mean of -log_prob."""
        raise self._without("entropy")

    @property
    def mean(self) -> Tensor:
        """The mean of drawn values."""
        raise self._without("mean")

    @property
    def variance(self) -> Tensor:
        """Their variance."""
        raise self._without("variance")

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return self.variance.sqrt()

    def _without(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"[{type(self).__name__}] this distribution has no {what}.")

    def _shape(self, sample_shape: Shape) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def __repr__(self) -> str:
        shape = f"batch_shape={self.batch_shape}, event_shape={self.event_shape}"
        return f"{type(self).__name__}({shape})"


def tensors(*values: Any) -> list[Tensor]:
    """Parameters as floating tensors of one shape."""
    kind = next((v.dtype for v in values if isinstance(v, Tensor)), get_default_dtype())
    made = [v if isinstance(v, Tensor) else _C._full((), float(v), kind, "cpu") for v in values]
    return list(_functions.broadcast_tensors(*made))


def require(name: str, what: str, fits: Tensor) -> None:
    """ValueError for a parameter that is not as it must be."""
    if not fits.all():
        raise ValueError(f"[{name}] expected {what}.")


def either(name: str, probs: Any, logits: Any) -> Any:
    """The one of `probs` and `logits` that was given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{name}] expected either probs or logits.")
    return logits if probs is None else probs
