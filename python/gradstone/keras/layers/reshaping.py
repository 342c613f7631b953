"""Layers that move, scale, mark, pad or repeat numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.convolution import checked_format, sizes
from gradstone.keras.layers.core import SameShape, positive


class Flatten(Layer):
    """(N, ...) to (N, all), the last dimension fastest: channels-last images give their pixels with
    the channels side by side."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) if inputs.dim() > 1 else inputs.unsqueeze(-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(Layer):
    """(N, ...) to (N, *target_shape); one size may be -1."""

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
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.scale + self.offset


class Masking(SameShape):
    """Steps whose features all equal `mask_value` are skipped by recurrent layers."""

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Tensor) -> Tensor:
        mask = (inputs != self.mask_value).any(-1)
        out = inputs * mask.unsqueeze(-1).float()
        out._keras_mask = mask
        return out


class ZeroPadding1D(Layer):
    """Zeros before and after the steps of (N, L, C)."""

    _ndim = 3

    def __init__(self, padding: Any = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)

    def call(self, inputs: Tensor) -> Tensor:
        return _C._pad(inputs, (0, 0, *self.padding))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        n, length, c = input_shape
        return (n, None if length is None else length + sum(self.padding), c)


class ZeroPadding2D(Layer):
    """Zeros around (N, H, W, C): one number, (vertical, horizontal) or ((top, bottom), (left,
    right))."""

    _ndim = 4
    _sign = 1

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checked_format(data_format)
        pair = (padding, padding) if isinstance(padding, int) else tuple(padding)
        if len(pair) != 2:
            raise ValueError(f"`padding` should have two elements. Received: padding={padding}.")
        self.padding = tuple((p, p) if isinstance(p, int) else tuple(p) for p in pair)

    def call(self, inputs: Tensor) -> Tensor:
        vertical, horizontal = self.padding
        return _C._pad(inputs, (0, 0, *(self._sign * v for v in (*horizontal, *vertical))))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        grown = [
            None if s is None else s + self._sign * sum(p)
            for s, p in zip(input_shape[1:3], self.padding)
        ]
        return (input_shape[0], *grown, input_shape[3])


class Cropping2D(ZeroPadding2D):
    """What ZeroPadding2D adds, cut off."""

    _sign = -1

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


class UpSampling2D(Layer):
    """Each pixel of (N, H, W, C) repeated."""

    _ndim = 4

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checked_format(data_format)
        self.size = sizes(2, "size", size)
        if interpolation != "nearest":
            raise ValueError(f"Only interpolation='nearest' is offered, got {interpolation!r}.")

    def call(self, inputs: Tensor) -> Tensor:
        n, h, w, c = inputs.shape
        rows, columns = self.size
        x = inputs.reshape(n, h, 1, w, 1, c).expand(n, h, rows, w, columns, c)
        return x.reshape(n, h * rows, w * columns, c)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        grown = [None if s is None else s * k for s, k in zip(input_shape[1:3], self.size)]
        return (input_shape[0], *grown, input_shape[3])
