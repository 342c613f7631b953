"""Layers as functions: PyTorch's signatures over the native operations.

Shapes are N C H W for images, N C L for sequences of channels, (..., features) for ``linear``.
Names that need no more than the native operation are that operation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DTypeLike

Ints = int | Sequence[int]

adaptive_avg_pool2d = _C.adaptive_avg_pool2d
adaptive_max_pool2d = _C.adaptive_max_pool2d
avg_pool1d = _C.avg_pool1d
avg_pool2d = _C.avg_pool2d
conv_transpose2d = _C.conv_transpose2d
elu = _C.elu
gelu = _C.gelu
group_norm = _C.group_norm
hardtanh = _C.hardtanh
linear = _C.linear
logsigmoid = _C.logsigmoid
max_pool1d = _C.max_pool1d
one_hot = _C.one_hot
scaled_dot_product_attention = _C.scaled_dot_product_attention
sigmoid = _C.sigmoid
softplus = _C.softplus
tanh = _C.tanh
_kl_div = _C.kl_div
_l1_loss = _C.l1_loss
_leaky_relu = _C.leaky_relu
_log_softmax = _C.log_softmax
_mse_loss = _C.mse_loss
_silu = _C.silu
_smooth_l1_loss = _C.smooth_l1_loss
_softmax = _C.softmax

# ------------------------------------------------------------------------------------ activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return _C.relu_(input) if inplace else _C.relu(input)


def relu_(input: Tensor) -> Tensor:
    """max(input, 0), in place."""
    return _C.relu_(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6)."""
    return input.clamp_(0.0, 6.0) if inplace else hardtanh(input, 0.0, 6.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where positive, elsewhere negative_slope * input."""
    return _into(input, _leaky_relu(input, negative_slope), inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return _into(input, _silu(input), inplace)


def _into(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


def mish(input: Tensor) -> Tensor:
    """input * tanh(softplus(input))."""
    return input * tanh(softplus(input))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where positive, elsewhere weight * input; weight has one element, or one for each
    channel (dim 1)."""
    if weight.numel() != 1:
        channels = input.size(1) if input.dim() > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                f"[prelu] expected 1 or {channels} weights for input of shape "
                f"{tuple(input.shape)}, got {weight.numel()}."
            )
        weight = weight.reshape([-1] + [1] * (input.dim() - 2))
    return _C.relu(input) - weight * _C.relu(-input)


def hardsigmoid(input: Tensor) -> Tensor:
    """min(max(input + 3, 0), 6) / 6."""
    return hardtanh(input + 3.0, 0.0, 6.0) / 6.0


def hardswish(input: Tensor) -> Tensor:
    """input * hardsigmoid(input)."""
    return input * hardsigmoid(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along dim times the sigmoid of the second."""
    if input.size(dim) % 2:
        raise RuntimeError(f"[glu] expected an even size along dim {dim}, got {input.size(dim)}.")
    a, b = _C.chunk(input, 2, dim)
    return a * sigmoid(b)


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (1 + input.abs())


def _choose_dim(ndim: int) -> int:
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """exp(input) / sum(exp(input)) along dim."""
    return _softmax(input, _choose_dim(input.dim()) if dim is None else dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """log(softmax(input)) without overflow."""
    return _log_softmax(input, _choose_dim(input.dim()) if dim is None else dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike = None
) -> Tensor:
    """softmax(-input)."""
    return softmax(-input, dim, dtype=dtype)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(norm(input), eps) along dim."""
    return input / input.norm(p, dim, True).clamp(min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim."""
    n1 = x1.norm(2.0, dim).clamp(min=eps)
    n2 = x2.norm(2.0, dim).clamp(min=eps)
    return (x1 * x2).sum(dim) / (n1 * n2)


# ------------------------------------------------------------------------------------ linear maps


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 (..., I1), x2 (..., I2), weight (O, I1, I2): x1 W_o x2 for each o, plus bias (O)."""
    o, i1, i2 = weight.shape
    left = input1.reshape(-1, i1) @ weight.permute(1, 0, 2).reshape(i1, o * i2)
    out = (left.reshape(-1, o, i2) @ input2.reshape(-1, i2, 1)).reshape(*input1.shape[:-1], o)
    return out if bias is None else out + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of weight (V, D) by index (any shape). Row padding_idx receives no gradient."""
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "[embedding] max_norm, scale_grad_by_freq and sparse are not offered."
        )
    if padding_idx is None:
        return _C._embedding(input, weight)
    rows = weight.size(0)
    if not -rows <= padding_idx < rows:
        raise ValueError(f"[embedding] padding_idx {padding_idx} is not a row of {rows}.")
    return _C._embedding(input, weight, padding_idx % rows)


def _same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[list[int], bool]:
    """(left, right, ...) from the last dimension back, and whether both sides are equal."""
    sides: list[int] = []
    for k, d in zip(reversed(kernel), reversed(dilation)):
        total = d * (k - 1)
        sides += [total // 2, total - total // 2]
    return sides, all(sides[i] == sides[i + 1] for i in range(0, len(sides), 2))


def _tuple(value: Ints, n: int) -> tuple[int, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(value) * n if len(value) == 1 else tuple(value)
    return (operator.index(value),) * n  # type: ignore[arg-type]


def _conv(
    native: Callable[..., Tensor],
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """Convolution with padding as a word: "valid" is none, "same" keeps the size at stride 1."""
    if padding == "valid":
        return native(input, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise ValueError(f"[conv{n}d] padding must be numbers, 'valid' or 'same', got {padding!r}.")
    if any(s != 1 for s in _tuple(stride, n)):
        raise RuntimeError(f"[conv{n}d] padding='same' needs stride 1, got {stride}.")
    sides, even = _same_padding(tuple(weight.shape[2:]), _tuple(dilation, n))
    if even:
        return native(input, weight, bias, 1, tuple(reversed(sides[::2])), dilation, groups)
    return native(_C._pad(input, sides), weight, bias, 1, 0, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """input (N, C, H, W) or (C, H, W), weight (O, C/groups, kH, kW), bias (O)."""
    if isinstance(padding, str):
        return _conv(_C.conv2d, 2, input, weight, bias, stride, padding, dilation, groups)
    return _C.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """input (N, C, L) or (C, L), weight (O, C/groups, k), bias (O)."""
    if isinstance(padding, str):
        return _conv(_C.conv1d, 1, input, weight, bias, stride, padding, dilation, groups)
    return _C.conv1d(input, weight, bias, stride, padding, dilation, groups)


# ---------------------------------------------------------------------------------------- pooling


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window of (N, C, H, W); with their positions in the plane when
    asked."""
    if return_indices:
        pair = _C._max_pool2d_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        return tuple(pair)
    return _C.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def adaptive_avg_pool1d(input: Tensor, output_size: int) -> Tensor:
    """Mean of windows of (N, C, L), chosen so that the output has this length."""
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, output_size)).squeeze(-2)


def adaptive_max_pool1d(input: Tensor, output_size: int) -> Tensor:
    """Largest value of windows of (N, C, L), chosen so that the output has this length."""
    return adaptive_max_pool2d(input.unsqueeze(-2), (1, output_size)).squeeze(-2)


# ---------------------------------------------------------------------------------- normalisation


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of (N, C, ...); in training updates the running statistics in
    place."""
    return _C.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the last dimensions, whose sizes are normalized_shape."""
    return _C.layer_norm(input, normalized_shape, weight, bias, eps)


def instance_norm(
    input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalises each channel of each sample of (N, C, ...) by itself."""
    return group_norm(input, input.size(1), weight, bias, eps)


# ---------------------------------------------------------------------------------------- dropout


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability p and scales the rest by 1 / (1 - p), in training."""
    _check_dropout(p)
    if not training or p == 0.0:
        return input
    return _into(input, _C.dropout(input, p, True), inplace)


def _check_dropout(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _feature_dropout(input: Tensor, p: float, training: bool, inplace: bool, ndim: int) -> Tensor:
    _check_dropout(p)
    if not training or p == 0.0:
        return input
    channels = input.shape[: input.dim() - ndim]
    ones = _C._full((*channels, *(1,) * ndim), 1, input.dtype, input.device)
    return _into(input, input * _C.dropout(ones, p, True), inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, L) or (C, L)."""
    if input.dim() not in (2, 3):
        raise RuntimeError(f"[dropout1d] expected 2 or 3 dimensions, got {input.dim()}.")
    return _feature_dropout(input, p, training, inplace, 1)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, H, W) or (C, H, W)."""
    if input.dim() not in (3, 4):
        raise RuntimeError(f"[dropout2d] expected 3 or 4 dimensions, got {input.dim()}.")
    return _feature_dropout(input, p, training, inplace, 2)


# ----------------------------------------------------------------------------------------- losses


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _old_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """PyTorch's two old flags in place of `reduction`."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Logits (N, C, ...) or (C) against classes (N, ...) or probabilities (N, C, ...)."""
    reduction = _old_reduction(reduction, size_average, reduce)
    return _C.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Log-probabilities (N, C, ...) or (C) against classes (N, ...)."""
    reduction = _old_reduction(reduction, size_average, reduce)
    return _C.nll_loss(input, target, weight, ignore_index, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2."""
    reduction = _old_reduction(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_mse_loss(input, target, "none"), weight, reduction)
    return _mse_loss(input, target, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|."""
    reduction = _old_reduction(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(_l1_loss(input, target, "none"), weight, reduction)
    return _l1_loss(input, target, reduction)


def _weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduce(loss, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Quadratic below beta, linear above."""
    reduction = _old_reduction(reduction, size_average, reduce)
    if beta == 0.0:
        return _l1_loss(input, target, reduction)
    return _smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """delta * smooth_l1_loss with beta = delta."""
    return delta * _smooth_l1_loss(input, target, reduction, delta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)); logarithms are limited to -100."""
    reduction = _old_reduction(reduction, size_average, reduce)
    return _C._bce_loss(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input) without overflow."""
    reduction = _old_reduction(reduction, size_average, reduce)
    return _C._bce_with_logits(input, target, weight, pos_weight, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input); "batchmean" divides the sum by the batch size."""
    reduction = _old_reduction(reduction, size_average, reduce)
    if reduction == "batchmean":
        return _kl_div(input, target, "sum", log_target) / (input.size(0) if input.dim() else 1)
    return _kl_div(input, target, reduction, log_target)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1."""
    return _reduce(_C._where(target == 1, input, _C.relu(margin - input)), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin)."""
    return _reduce(_C.relu(margin - target * (input1 - input2)), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin) over (N, D)."""
    near = (anchor - positive + eps).norm(p, -1)
    far = (anchor - negative + eps).norm(p, -1)
    return _reduce(_C.relu(near - far + margin), reduction)


# -------------------------------------------------------------------------------------- the others


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pads the last dimensions; pad = (left, right, top, bottom, ...); negative values crop."""
    return _C._pad(input, tuple(pad), mode, 0.0 if value is None else float(value))


def unfold(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """The patches of (N, C, H, W) as columns: (N, C * kH * kW, L)."""
    (kh, kw), (dh, dw) = _tuple(kernel_size, 2), _tuple(dilation, 2)
    (ph, pw), (sh, sw) = _tuple(padding, 2), _tuple(stride, 2)
    x = _C._pad(input, (pw, pw, ph, ph)) if ph or pw else input
    x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
    x = x[..., ::dh, ::dw]  # N C oH oW kH kW
    n, c, oh, ow = x.shape[:4]
    return x.permute(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of a softened categorical distribution (Jang et al., 2017)."""
    uniform = _C._empty(tuple(logits.shape), logits.dtype, logits.device)
    _C._uniform_(uniform, 0.0, 1.0)
    noise = -_C.log(-_C.log(uniform + eps) + eps)
    soft = _softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.argmax(dim, True)
    zeros = _C._full(tuple(logits.shape), 0, logits.dtype, logits.device)
    return _C.scatter(zeros, dim, index, 1.0) - soft.detach() + soft
