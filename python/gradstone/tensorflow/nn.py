"""``tf.nn``: activations, losses of logits, convolution and pooling of channels-last images."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.keras import activations, losses
from gradstone.keras._tensor import Tensor, wrap
from gradstone.keras.initializers import generator
from gradstone.keras.layers.activation import dropped
from gradstone.keras.layers.convolution import channels_first, channels_last, padded
from gradstone.keras.layers.pooling import pooled
from gradstone.nn import functional as F
from gradstone.tensorflow._math import dims, unary
from gradstone.tensorflow._math import sigmoid as sigmoid
from gradstone.tensorflow._math import tanh as tanh
from gradstone.tensorflow._ops import alike, named, plain, sizes

relu = unary(activations.relu, "max(x, 0).")
relu6 = unary(activations.relu6, "min(max(x, 0), 6).")
elu = unary(activations.elu, "x where positive, elsewhere exp(x) - 1.")
selu = unary(activations.selu, "Klambauer et al., 2017.")
silu = swish = unary(activations.silu, "x * sigmoid(x).")
softplus = unary(activations.softplus, "log(1 + exp(x)).")
softsign = unary(activations.softsign, "x / (1 + |x|).")
named(globals(), "relu relu6 elu selu silu softplus softsign".split())


def leaky_relu(features: Any, alpha: float = 0.2, name: Any = None) -> Tensor:
    """x where positive, elsewhere alpha * x."""
    return wrap(F.leaky_relu(plain(features), alpha))


def gelu(features: Any, approximate: bool = False, name: Any = None) -> Tensor:
    """x times the normal distribution function of x."""
    return wrap(activations.gelu(plain(features), approximate))


def softmax(logits: Any, axis: int = -1, name: Any = None) -> Tensor:
    """exp(x) / sum of exp(x) along `axis`."""
    return wrap(F.softmax(plain(logits), -1 if axis is None else axis))


def log_softmax(logits: Any, axis: int = -1, name: Any = None) -> Tensor:
    """log(softmax(x))."""
    return wrap(F.log_softmax(plain(logits), -1 if axis is None else axis))


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: Any = None
) -> Tensor:
    """-sum of labels * log(softmax(logits)), one for each row."""
    return wrap(losses.categorical_crossentropy(plain(labels), plain(logits), True, 0.0, axis))


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: Any = None) -> Tensor:
    """-log of the softmax of the class, one for each row."""
    return wrap(losses.sparse_categorical_crossentropy(plain(labels), plain(logits), True))


def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: Any = None
) -> Tensor:
    """The cross-entropy of sigmoid(logits), element by element."""
    target, x = (plain(v) for v in (labels, logits))
    return wrap(_C._bce_with_logits(x, _C._cast(target, x.dtype), None, None, "none"))


def dropout(
    x: Any, rate: float, noise_shape: Any = None, seed: Any = None, name: Any = None
) -> Tensor:
    """Zeroes with probability `rate` and divides the others by 1 - rate; where `noise_shape` has 1,
    one draw holds for the whole dimension."""
    if not 0 <= rate < 1:
        raise ValueError(
            f"`rate` must be a scalar tensor or a float in the range [0, 1). Received: rate={rate}"
        )
    shape = None if noise_shape is None else sizes(noise_shape)
    return wrap(dropped(plain(x), rate, shape, generator(seed)))


def embedding_lookup(params: Any, ids: Any, name: Any = None) -> Tensor:
    """Rows of the table."""
    return wrap(F.embedding(_C._cast(plain(ids), _C.int64), plain(params)))


def bias_add(value: Any, bias: Any, data_format: Any = None, name: Any = None) -> Tensor:
    """value + bias, along the last dimension."""
    x, b = alike(value, bias)
    return wrap(x + b)


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: Any = None) -> Tensor:
    """x / sqrt(max(sum of x^2, epsilon))."""
    t = plain(x)
    square = _C.sum(_C.square(t), dims(axis), True)
    return wrap(t * _C.rsqrt(square.clamp(min=epsilon)))


def l2_loss(t: Any, name: Any = None) -> Tensor:
    """Half the sum of squares."""
    return wrap(_C.square(plain(t)).sum() / 2)


def moments(x: Any, axes: Any, keepdims: bool = False, name: Any = None) -> tuple[Tensor, Tensor]:
    """(mean, variance) over `axes`."""
    t, over = plain(x), dims(axes)
    return wrap(_C.mean(t, over, keepdims)), wrap(_C._var(t, over, 0.0, keepdims))


def top_k(input: Any, k: int = 1, sorted: bool = True, name: Any = None) -> tuple[Tensor, Tensor]:
    """(the k largest along the last dimension, their places as int32)."""
    values, places = _C.topk(plain(input), k)
    return wrap(values), wrap(_C._cast(places, _C.int32))


def in_top_k(targets: Any, predictions: Any, k: int, name: Any = None) -> Tensor:
    """Whether the class is among the k largest."""
    places = _C.topk(plain(predictions), k)[1]
    return wrap((places == _C._cast(plain(targets), _C.int64).unsqueeze(-1)).any(-1))


def _pair(value: Any) -> tuple[int, int]:
    """Strides or sizes for height and width from one number, two, or (1, h, w, 1)."""
    given = sizes(value)
    first, second = given[1:3] if len(given) == 4 else given * (2 // len(given))
    return first, second


def _padding(padding: str) -> str:
    if padding.upper() not in ("SAME", "VALID"):
        raise ValueError(f"padding must be 'SAME' or 'VALID', got {padding!r}.")
    return padding.lower()


def conv2d(
    input: Any, filters: Any, strides: Any, padding: str = "VALID", name: Any = None
) -> Tensor:
    """input (N, H, W, C), filters (kH, kW, C, O): (N, H', W', O)."""
    x, kernel, step = channels_first(plain(input)), plain(filters), _pair(strides)
    x, rest = padded(x, _padding(padding), tuple(kernel.shape[:2]), step)
    return wrap(channels_last(_C.conv2d(x, kernel.permute(3, 2, 0, 1), None, step, rest)))


def max_pool2d(input: Any, ksize: Any, strides: Any, padding: str, name: Any = None) -> Tensor:
    """The largest of each window of (N, H, W, C)."""
    return wrap(pooled(plain(input), _pair(ksize), _pair(strides), _padding(padding), True))


def avg_pool2d(input: Any, ksize: Any, strides: Any, padding: str, name: Any = None) -> Tensor:
    """The mean of each window of (N, H, W, C), over what lies in the data."""
    return wrap(pooled(plain(input), _pair(ksize), _pair(strides), _padding(padding), False))


max_pool, avg_pool = max_pool2d, avg_pool2d
