"""Layers that move, scale or mark numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.core import SameShape, positive


class Flatten(Layer):
    """(N, ...) to (N, all), the last dimension fastest: channels-last images give their pixels with
    the channels side by side."""

    supports_masking = False

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.size(0), -1) if inputs.dim() > 1 else inputs.unsqueeze(-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(Layer):
    """(N, ...) to (N, *target_shape); one size may be -1."""

    supports_masking = False

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(inputs.size(0), *self.target_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        rest, target = input_shape[1:], list(self.target_shape)
        if None in rest:
            return (input_shape[0], *[None if s == -1 else s for s in target])
        count, known = math.prod(rest), math.prod(s for s in target if s != -1)
        if -1 in target and known and count % known == 0:
            target[target.index(-1)] = count // known
        if math.prod(target) != count:
            raise ValueError(
                "The total size of the tensor must be unchanged. Received: "
                f"input_shape={tuple(rest)}, target_shape={self.target_shape}"
            )
        return (input_shape[0], *target)


class Permute(Layer):
    """The dimensions after the batch in another order, counted from 1."""

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Invalid permutation argument `dims` for Permute Layer. Received: dims={dims}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *[input_shape[d] for d in self.dims])


class RepeatVector(Layer):
    """(N, D) to (N, n, D)."""

    _ndim = 2

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive("n", n)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).expand(inputs.size(0), self.n, inputs.size(1))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])


class Rescaling(SameShape):
    """x * scale + offset."""

    _casts_integers = True

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.scale + self.offset


class Masking(SameShape):
    """Steps whose features all equal `mask_value` are skipped by recurrent layers."""

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs: Tensor) -> Tensor:
        mask = (inputs != self.mask_value).any(-1)
        out = inputs * mask.unsqueeze(-1).float()
        out._keras_mask = mask
        return out
