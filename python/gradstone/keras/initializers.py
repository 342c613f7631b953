"""Starting values under Keras's names and defaults, for weights in Keras's layout.

The last dimension of a weight counts outputs, the one before it inputs, those before that the field
of a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone.keras._config import Configured
from gradstone.keras._tensor import dtype_of, from_host
from gradstone.keras.backend import snake_case
from gradstone.nn import init
from gradstone.random import Generator

Shape = Sequence[int]


def fans(shape: Shape) -> tuple[float, float]:
    """(inputs of one output element, outputs of one input element)."""
    if len(shape) == 0:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


def generator(seed: int | None) -> Generator | None:
    """One that starts from `seed`, or None: gradstone's own."""
    return None if seed is None else Generator().manual_seed(seed)


class Initializer(Configured):
    """``initializer(shape, dtype)`` gives a new tensor, float32 without a dtype."""

    seed: int | None = None

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        """A tensor of this shape."""
        raise NotImplementedError


def _empty(shape: Shape, dtype: Any) -> _C.Tensor:
    return _C._empty(tuple(shape), dtype_of(dtype))


class Constant(Initializer):
    """`value` everywhere; `value` may have the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        return _C.broadcast_to(from_host(self.value, dtype_of(dtype)), tuple(shape)).clone()


class Zeros(Constant):
    """0 everywhere."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """1 everywhere."""

    def __init__(self) -> None:
        super().__init__(1.0)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self._keep(locals())

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        tensor = _empty(shape, dtype)
        return init.uniform_(tensor, self.minval, self.maxval, generator(self.seed))


class RandomNormal(Initializer):
    """Normal."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self._keep(locals())

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        tensor = _empty(shape, dtype)
        return init.normal_(tensor, self.mean, self.stddev, generator(self.seed))


class TruncatedNormal(RandomNormal):
    """Normal, within two standard deviations."""

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        low, high = self.mean - 2 * self.stddev, self.mean + 2 * self.stddev
        tensor = _empty(shape, dtype)
        return init.trunc_normal_(tensor, self.mean, self.stddev, low, high, generator(self.seed))


# The standard deviation of a standard normal variable cut off at -2 and 2.
_CUT_DEVIATION = 0.87962566103423978


class VarianceScaling(Initializer):
    """Variance scale / n, n the fan in, the fan out or their mean (Glorot and Bengio, 2010; He et
    al., 2015); uniform, normal, or normal cut off at two deviations."""

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if scale <= 0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"Invalid `mode` argument: {mode}.")
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal", "normal"):
            raise ValueError(f"Invalid `distribution` argument: {distribution}.")
        self._keep(locals())

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        into, out = fans(shape)
        fan = {"fan_in": into, "fan_out": out, "fan_avg": (into + out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        std, bound = math.sqrt(variance), math.sqrt(3 * variance)
        if self.distribution == "uniform":
            drawn: Initializer = RandomUniform(-bound, bound, self.seed)
        elif self.distribution == "untruncated_normal":
            drawn = RandomNormal(0.0, std, self.seed)
        else:
            drawn = TruncatedNormal(0.0, std / _CUT_DEVIATION, self.seed)
        return drawn(shape, dtype)


def _scaling(name: str, scale: float, mode: str, distribution: str, source: str) -> type:
    def __init__(self: Any, seed: int | None = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    return type(
        name, (VarianceScaling,), {"__init__": __init__, "__doc__": source, "__module__": __name__}
    )


GlorotUniform = _scaling("GlorotUniform", 1.0, "fan_avg", "uniform", "Glorot and Bengio, 2010.")
GlorotNormal = _scaling("GlorotNormal", 1.0, "fan_avg", "normal", "Glorot and Bengio, 2010.")
HeUniform = _scaling("HeUniform", 2.0, "fan_in", "uniform", "He et al., 2015.")
HeNormal = _scaling("HeNormal", 2.0, "fan_in", "normal", "He et al., 2015.")
LecunUniform = _scaling("LecunUniform", 1.0, "fan_in", "uniform", "LeCun et al., 1998.")
LecunNormal = _scaling("LecunNormal", 1.0, "fan_in", "normal", "LeCun et al., 1998.")


class Orthogonal(Initializer):
    """Columns (or rows, when there are fewer) orthonormal, times gain (Saxe et al., 2014)."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self._keep(locals())

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        if len(shape) < 2:
            raise ValueError(
                "The tensor to initialize must be at least two-dimensional. Received: "
                f"shape={tuple(shape)} of rank {len(shape)}."
            )
        flat = _empty((math.prod(shape[:-1]), shape[-1]), dtype)
        return init.orthogonal_(flat, self.gain, generator(self.seed)).reshape(tuple(shape))


class Identity(Initializer):
    """The identity matrix, times gain."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> _C.Tensor:
        if len(shape) != 2:
            raise ValueError(
                f"Identity matrix initializer can only be used for 2D matrices, got {shape}."
            )
        return _C._eye(shape[0], shape[1], dtype_of(dtype)) * self.gain


_CLASSES = (
    Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal, VarianceScaling,
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal,
    Identity,
)  # fmt: skip
_NAMES: dict[str, type] = {
    "zero": Zeros,
    "one": Ones,
    "uniform": RandomUniform,
    "normal": RandomNormal,
}
_NAMES |= {cls.__name__: cls for cls in _CLASSES} | {snake_case(c.__name__): c for c in _CLASSES}


def get(identifier: Any) -> Any:
    """An initializer by name, itself when it is one (or any callable), None for None."""
    found = _NAMES.get(identifier) if isinstance(identifier, str) else identifier
    if identifier is not None and not callable(found):
        raise ValueError(f"Could not interpret initializer identifier: {identifier}")
    return found() if isinstance(found, type) else found
