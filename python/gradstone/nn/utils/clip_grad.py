"""Limits on gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    if not isinstance(given, Iterable):
        raise TypeError(
            "[clip_grad] expected tensors, for example model.parameters(), got "
            f"{type(given).__name__}."
        )
    return [p.grad for p in given if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all tensors as one vector: a 0-dimensional tensor."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return _C._full((), 0.0, _C.get_default_dtype())
    with no_grad():
        norm = _C._grad_norm(given, float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return norm


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients by max_norm / norm when their common norm is larger, in two native
    calls.

    Returns the norm before. It stays on its device, and nothing waits for it, unless
    error_if_nonfinite asks. `foreach` is PyTorch's and changes nothing.
    """
    grads = _grads(parameters)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    if grads:
        _C._scale_all_(grads, float(max_norm), norm)
    return norm


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limits every gradient element to [-clip_value, clip_value]."""
    limit = float(clip_value)
    with no_grad():
        for grad in _grads(parameters):
            grad.clamp_(-limit, limit)
