"""Activations."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional._arguments import activate

gelu = _C.gelu
logsigmoid = _C.logsigmoid
sigmoid = _C.sigmoid
softplus = _C.softplus
tanh = _C.tanh


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return _C.relu_(input) if inplace else _C.relu(input)


def relu_(input: Tensor) -> Tensor:
    """max(input, 0), in place."""
    return _C.relu_(input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """min(max(input, min_val), max_val)."""
    return activate(lambda x: _C.hardtanh(x, min_val, max_val), input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where positive, elsewhere negative_slope * input."""
    return activate(lambda x: _C.leaky_relu(x, negative_slope), input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where positive, elsewhere alpha * (exp(input) - 1)."""
    return activate(lambda x: _C.elu(x, alpha), input, inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return activate(_C.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input))."""
    return activate(lambda x: x * tanh(softplus(x)), input, inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where positive, elsewhere weight * input; weight has one element, or one for each
    channel (dim 1)."""
    channels = input.size(1) if input.dim() > 1 else 1
    if weight.dim() > 1 or weight.numel() not in (1, channels):
        raise ValueError(
            f"[prelu] expected weight of shape (1,) or ({channels},) for input of shape "
            f"{tuple(input.shape)}, got {tuple(weight.shape)}."
        )
    if weight.numel() == 1:
        weight = weight.reshape(())
    else:
        weight = weight.reshape([-1] + [1] * (input.dim() - 2))
    return _C.relu(input) + weight * input.clamp(max=0.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input + 3, 0), 6) / 6."""
    return activate(lambda x: hardtanh(x + 3.0, 0.0, 6.0) / 6.0, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input)."""
    return activate(lambda x: x * hardsigmoid(x), input, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along dim times the sigmoid of the second."""
    half, odd = divmod(input.size(dim), 2)
    if odd:
        raise ValueError(f"[glu] expected an even size along dim {dim}, got {input.size(dim)}.")
    return _C.narrow(input, dim, 0, half) * sigmoid(_C.narrow(input, dim, half, half))


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (1 + input.abs())
