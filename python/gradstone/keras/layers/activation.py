"""Activations and dropout as layers."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations
from gradstone.keras.layers.core import SameShape
from gradstone.nn import functional as F


class Activation(SameShape):
    """An activation by name or function."""

    _casts_integers = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


class ReLU(SameShape):
    """max(x, 0), with an upper limit, a slope below and a threshold."""

    _casts_integers = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(SameShape):
    """x where positive, elsewhere negative_slope * x."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


class ELU(SameShape):
    """x where positive, elsewhere alpha * (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)


class Softmax(SameShape):
    """exp(x) / sum of exp(x) along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        return activations.softmax(inputs, self.axis)


class Dropout(SameShape):
    """In training zeroes each number with probability `rate` and divides the others by 1 - rate.
    Where noise_shape has 1, one draw holds for the whole dimension (Srivastava et al., 2014)."""

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a float value between 0 and "
                "1. "
                f"Received: rate={rate}"
            )
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def _noise_shape(self, inputs: Tensor) -> Any:
        if self.noise_shape is None:
            return None
        return [n if s is None else s for s, n in zip(self.noise_shape, inputs.shape)]

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        shape = self._noise_shape(inputs)
        if shape is None:
            return F.dropout(inputs, self.rate, True)
        ones = _C._full(tuple(shape), 1, inputs.dtype, inputs.device)
        return inputs * F.dropout(ones, self.rate, True)


class SpatialDropout1D(Dropout):
    """Dropout of whole channels of (N, L, C)."""

    def _noise_shape(self, inputs: Tensor) -> Any:
        return [inputs.size(0), *[1] * (inputs.dim() - 2), inputs.size(-1)]


class SpatialDropout2D(SpatialDropout1D):
    """Dropout of whole channels of (N, H, W, C)."""


class GaussianNoise(SameShape):
    """In training adds normal numbers of this standard deviation."""

    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        noise = _C._empty(tuple(inputs.shape), inputs.dtype, inputs.device)
        return inputs + noise.normal_(0.0, self.stddev)
