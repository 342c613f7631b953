"""Activations under Keras's names, as functions of tensors.

``softmax`` and ``sigmoid`` leave the logits with their result (``_keras_logits``): a cross-entropy
that is given such a result is computed from the logits, without overflow or loss of digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn import functional as F

Activation = Callable[..., Any]


def linear(x: Any) -> Any:
    """x."""
    return x


def relu(
    x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """x above `threshold`, at most `max_value`; below it negative_slope * (x - threshold)."""
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return _C.relu(x)
    above = x if threshold == 0.0 else _C._where(x > threshold, x, 0.0)
    out = _C.relu(above)
    if max_value is not None:
        out = _C.clamp(out, None, max_value)
    if negative_slope != 0.0:
        out = out - negative_slope * _C.relu(threshold - x)
    return out


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum of exp(x) along `axis`."""
    if x.dim() < 2:
        raise ValueError(
            f"Cannot apply softmax to a tensor that is 1D. Received input shape: {tuple(x.shape)}"
        )
    out = F.softmax(x, axis)
    if axis in (-1, x.dim() - 1):
        out._keras_logits = x  # type: ignore[attr-defined]
    return out


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    out = _C.sigmoid(x)
    out._keras_logits = x  # type: ignore[attr-defined]
    return out


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x))."""
    return F.log_softmax(x, axis)


def tanh(x: Tensor) -> Tensor:
    """tanh(x)."""
    return _C.tanh(x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(x)


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return F.softsign(x)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, elsewhere alpha * (exp(x) - 1)."""
    return F.elu(x, alpha)


def selu(x: Tensor) -> Tensor:
    """scale * elu(x, alpha) with the constants that keep mean 0 and variance 1 (Klambauer et al.,
    2017)."""
    return 1.0507009873554805 * F.elu(x, 1.6732632423543772)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel, 2016)."""
    return _C.gelu(x, "tanh" if approximate else "none")


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x)."""
    return F.silu(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where positive, elsewhere negative_slope * x."""
    return F.leaky_relu(x, negative_slope)


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return F.relu6(x)


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x))."""
    return F.mish(x)


def exponential(x: Tensor) -> Tensor:
    """exp(x)."""
    return _C.exp(x)


def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6."""
    return F.relu6(x + 3.0) / 6.0


def hard_silu(x: Tensor) -> Tensor:
    """x * hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


swish, hard_swish = silu, hard_silu

FUNCTIONS: dict[str, Activation] = {
    f.__name__: f
    for f in (
        linear, relu, softmax, sigmoid, log_softmax, tanh, softplus, softsign, elu, selu, gelu,
        silu, leaky_relu, relu6, mish, exponential, hard_sigmoid, hard_silu,
    )
}  # fmt: skip
# Those that look at no other element than their own.
ELEMENTWISE = tuple(f for f in FUNCTIONS.values() if f not in (softmax, log_softmax))
_NAMES = FUNCTIONS | {"swish": silu, "hard_swish": hard_silu}


def get(identifier: Any) -> Activation:
    """An activation by name, itself when it is callable, ``linear`` for None."""
    identifier = linear if identifier is None else identifier
    found = _NAMES.get(identifier) if isinstance(identifier, str) else identifier
    if not callable(found):
        raise ValueError(f"Could not interpret activation function identifier: {identifier}")
    return found
