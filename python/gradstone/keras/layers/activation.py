"""Activations, dropout and noise as layers."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations
from gradstone.keras.initializers import generator
from gradstone.keras.layers.core import SameShape
from gradstone.nn import functional as F


class Activation(SameShape):
    """An activation by name or function."""

    _casts_integers = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

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
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(SameShape):
    """x where positive, elsewhere negative_slope * x."""

    _casts_integers = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


class ELU(SameShape):
    """x where positive, elsewhere alpha * (exp(x) - 1)."""

    _casts_integers = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)


class Softmax(SameShape):
    """exp(x) / sum of exp(x) along `axis`."""

    _casts_integers = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        return activations.softmax(inputs, self.axis)


def dropped(x: Tensor, rate: float, shape: Any = None, source: Any = None) -> Tensor:
    """`x` with numbers zeroed with probability `rate` and the others divided by 1 - rate. One draw
    for each element of `shape`, which is broadcast (None: that of x), from a Generator `source`."""
    if shape is None and source is None:
        return F.dropout(x, rate, True)
    sizes = tuple(x.shape if shape is None else shape)
    if rate == 1:
        return x * 0.0
    drawn = _C._empty(sizes, _C.float32, x.device).uniform_(0.0, 1.0, generator=source)
    return x * (_C._cast(drawn >= rate, x.dtype) / (1.0 - rate))


class _Random(SameShape):
    """A layer that does something in training alone, from a seed when one is given."""

    _casts_integers = True
    seed: int | None

    def _source(self) -> Any:
        """The layer's own generator, which goes on from call to call; None without a seed."""
        if not hasattr(self, "_generator"):
            self._generator = generator(self.seed)
        return self._generator


class Dropout(_Random):
    """In training zeroes each number with probability `rate` and divides the others by 1 - rate.
    Where noise_shape has 1, one draw holds for the whole dimension (Srivastava et al., 2014)."""

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a float value between 0 and "
                f"1. Received: rate={rate}"
            )
        self._keep(locals())

    def _noise_shape(self, inputs: Tensor) -> Any:
        if self.noise_shape is None:
            return None
        return [n if s is None else s for s, n in zip(self.noise_shape, inputs.shape)]

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return dropped(inputs, self.rate, self._noise_shape(inputs), self._source())


class SpatialDropout1D(Dropout):
    """Dropout of whole channels of (N, L, C)."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)

    def _noise_shape(self, inputs: Tensor) -> Any:
        return [inputs.size(0), *[1] * (inputs.dim() - 2), inputs.size(-1)]


class SpatialDropout2D(SpatialDropout1D):
    """Dropout of whole channels of (N, H, W, C)."""


class GaussianNoise(_Random):
    """In training adds normal numbers of this standard deviation."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        noise = _C._empty(tuple(inputs.shape), inputs.dtype, inputs.device)
        return inputs + noise.normal_(0.0, self.stddev, generator=self._source())
