"""Pooling over windows of channels-last data, and over everything."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.convolution import (
    channels_first,
    channels_last,
    checked_format,
    out_length,
    same_padding,
    sizes,
)
from gradstone.nn import functional as F


def pooled(x: Tensor, size: Shape, strides: Shape, padding: str, largest: bool) -> Tensor:
    """The largest or the mean of each window of (N, L, C) or (N, H, W, C); padding "valid" or
    "same", which counts in neither."""
    x = channels_first(x)
    native: Any = getattr(F, f"{'max' if largest else 'avg'}_pool{len(size)}d")
    sides = same_padding(x.shape[2:], size, strides) if padding == "same" else ()
    if not any(sides):
        return channels_last(native(x, size, strides))
    if largest:
        return channels_last(native(_C._pad(x, sides, "constant", float("-inf")), size, strides))
    # The mean is over what lies in the data, so the padding is taken out of the count.
    ones = _C._full((1, 1, *x.shape[2:]), 1, x.dtype, x.device)
    total, count = (native(_C._pad(t, sides), size, strides) for t in (x, ones))
    return channels_last(total / count)


class _Pool(Layer):
    _casts_integers = True
    rank: int
    _largest = True

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._ndim = self.rank + 2
        self.pool_size = sizes(self.rank, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else sizes(self.rank, "strides", strides)
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise ValueError(
                f"Argument `padding` must be 'valid' or 'same'. Received: padding={padding}"
            )
        self.data_format = checked_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return pooled(inputs, self.pool_size, self.strides, self.padding, self._largest)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        windows = zip(input_shape[1:-1], self.pool_size, self.strides)
        lengths = [out_length(s, k, stride, self.padding) for s, k, stride in windows]
        return (input_shape[0], *lengths, input_shape[-1])


class MaxPooling1D(_Pool):
    """The largest value of each window of (N, L, C)."""

    rank = 1


class MaxPooling2D(_Pool):
    """The largest value of each window of (N, H, W, C)."""

    rank = 2


class AveragePooling1D(_Pool):
    """The mean of each window of (N, L, C)."""

    rank = 1
    _largest = False


class AveragePooling2D(_Pool):
    """The mean of each window of (N, H, W, C)."""

    rank = 2
    _largest = False


class _GlobalPool(Layer):
    _casts_integers = True
    rank: int
    _largest = True

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._ndim = self.rank + 2
        self.data_format = checked_format(data_format)
        self.keepdims = keepdims

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        dims = tuple(range(1, inputs.dim() - 1))
        if self._largest:
            return _C.amax(inputs, dims, self.keepdims)
        if mask is None or self.rank != 1:
            return _C.mean(inputs, dims, self.keepdims)
        keep = mask.to(inputs.dtype).unsqueeze(-1)
        return _C.sum(inputs * keep, dims, self.keepdims) / _C.sum(keep, dims, self.keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        middle = (1,) * self.rank if self.keepdims else ()
        return (input_shape[0], *middle, input_shape[-1])


class GlobalAveragePooling1D(_GlobalPool):
    """The mean over the steps of (N, L, C); over those that a mask leaves, when there is one."""

    rank = 1
    _largest = False


class GlobalAveragePooling2D(_GlobalPool):
    """The mean over the pixels of (N, H, W, C)."""

    rank = 2
    _largest = False


class GlobalMaxPooling1D(_GlobalPool):
    """The largest over the steps of (N, L, C)."""

    rank = 1


class GlobalMaxPooling2D(_GlobalPool):
    """The largest over the pixels of (N, H, W, C)."""

    rank = 2
