"""Padding, cropping and enlarging of channels-last images and sequences."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers._windows import checked_format, sizes


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
