"""Activations with a bend away from zero."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import activate
from gradstone.nn.functional.activation import elu


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * (input where positive, alpha (exp(input) - 1) elsewhere), with the numbers that keep
    mean 0 and variance 1 (Klambauer et al., 2017)."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return activate(lambda x: elu(x, alpha) * scale, input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where positive, alpha (exp(input / alpha) - 1) elsewhere."""
    if alpha == 0:
        raise ValueError("[celu] expected alpha to be other than 0.")
    return activate(lambda x: elu(x / alpha) * alpha, input, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input, 0 where |input| <= lambd."""
    return input.masked_fill(input.abs() <= lambd, 0.0)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input moved by lambd towards 0, 0 where |input| <= lambd."""
    if lambd < 0:
        raise ValueError(f"[softshrink] expected lambd >= 0, got {lambd}.")
    return input - input.clamp(-lambd, lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - _C.tanh(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input where it is above the threshold, elsewhere value."""
    return activate(lambda x: x.masked_fill(x <= threshold, value), input, inplace)
