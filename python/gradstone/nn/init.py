"""Starting values for parameters. Every function with a trailing underscore writes in place and
returns its tensor; no gradient is recorded."""

from __future__ import annotations

import math
import warnings

import numpy as np

from gradstone import _C
from gradstone._C import Generator, Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.random import stream

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity."""
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"negative_slope {param} not a valid number")
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return _C._uniform_(tensor, float(a), float(b), *stream(generator))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal."""
    with no_grad():
        return _C._normal_(tensor, float(mean), float(std), *stream(generator))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, but within [a, b]: uniform numbers through the inverse distribution function."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    low, high = _normal_cdf((a - mean) / std), _normal_cdf((b - mean) / std)
    with no_grad():
        drawn = _C._empty(tuple(tensor.shape), _C.float64)
        _C._uniform_(drawn, low, high, *stream(generator))
        values = _inverse_normal_cdf(drawn.numpy()) * std + mean
        return tensor.copy_(_C.from_numpy(np.clip(values, a, b)))


def _normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _inverse_normal_cdf(p: np.ndarray) -> np.ndarray:
    """Bisection on erf would be slow: Newton's steps on a table of the distribution function."""
    grid = np.linspace(-8.5, 8.5, 4097)
    table = np.array([_normal_cdf(x) for x in grid])
    keep = np.concatenate([[True], np.diff(table) > 0])
    x = np.interp(p, table[keep], grid[keep])
    for _ in range(3):
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        cdf = 0.5 * (1.0 + _C.erf(_C.from_numpy(np.asarray(x / math.sqrt(2.0)))).numpy())
        step = np.where(density > 1e-12, (cdf - p) / np.maximum(density, 1e-12), 0.0)
        x = x - np.clip(step, -0.01, 0.01)
    return x


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with no_grad():
        return tensor.copy_(_C._eye(tensor.size(0), tensor.size(1), tensor.dtype, tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (O, C, k...) that passes as many channels through as it can."""
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    out, per = tensor.size(0), tensor.size(0) // groups
    if out % groups:
        raise ValueError("dim 0 must be divisible by groups")
    weight = np.zeros(tuple(tensor.shape))
    middle = tuple(k // 2 for k in tensor.shape[2:])
    for g in range(groups):
        for c in range(min(per, tensor.size(1))):
            weight[(g * per + c, c, *middle)] = 1
    with no_grad():
        return tensor.copy_(_C.from_numpy(weight))


def _fans(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out): inputs to one output element and outputs of one input element."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


_calculate_fan_in_and_fan_out = _fans


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if mode.lower() not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(modes)}")
    fan = _fans(tensor)[modes.index(mode.lower())]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain^2 / fan (He et al., 2015)."""
    if tensor.numel() == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain^2 / fan (He et al., 2015)."""
    if tensor.numel() == 0:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Rows (or columns, when there are fewer) orthonormal, times gain (Saxe et al., 2014)."""
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    cols = tensor.numel() // rows
    with no_grad():
        drawn = _C._empty((rows, cols), _C.float64)
        _C._normal_(drawn, 0.0, 1.0, *stream(generator))
        matrix = drawn.numpy()
        q = gram_schmidt(matrix if rows >= cols else matrix.T)
        q = q if rows >= cols else q.T
        values = np.ascontiguousarray(gain * q).reshape(tuple(tensor.shape))
        return tensor.copy_(_C.from_numpy(values))


def gram_schmidt(matrix: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span those of (M, N), M >= N. Twice over each column, for
    accuracy."""
    q = np.array(matrix, dtype=np.float64)
    for j in range(q.shape[1]):
        for _ in range(2):
            q[:, j] -= q[:, :j] @ (q[:, :j].T @ q[:, j])
        q[:, j] /= np.linalg.norm(q[:, j])
    return q


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal, with the given share of each column set to 0 (Martens, 2010)."""
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    count = math.ceil(sparsity * rows)
    with no_grad():
        normal_(tensor, 0.0, std, generator)
        for col in range(cols):
            zeros = _C._randperm(rows, *stream(generator))[:count]
            tensor[zeros, col] = 0
    return tensor
