"""Convolution, padding and enlarging of channels-last images and sequences.

The native kernels take channels first: the data are looked at in that order, and what comes out is
looked at channels-last again, so that between two such layers nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations, initializers, regularizers
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers._windows import (
    channels_first,
    channels_last,
    checked_format,
    out_length,
    same_sides,
    sizes,
)
from gradstone.keras.layers.core import positive
from gradstone.nn import functional as F


class _Conv(Layer):
    _casts_integers = True
    rank: int
    _native: Callable[..., Tensor]
    _paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._ndim = self.rank + 2
        self.filters = positive("filters", filters)
        self.kernel_size = sizes(self.rank, "kernel_size", kernel_size)
        self.strides = sizes(self.rank, "strides", strides)
        self.dilation_rate = sizes(self.rank, "dilation_rate", dilation_rate)
        self.groups = positive("groups", groups)
        self.padding = str(padding).lower()
        if self.padding not in self._paddings:
            raise ValueError(
                f"The `padding` argument must be one of {set(self._paddings)}. Received: "
                f"padding={padding}"
            )
        if self.filters % self.groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. Received: "
                f"groups={groups}, filters={filters}."
            )
        self.data_format = checked_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias: Any = None

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, channels // self.groups, self.filters)

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                f"The number of channels must be known, got input shape {input_shape}."
            )
        if channels % self.groups:
            raise ValueError(
                "The number of input channels must be evenly divisible by the number of groups. "
                f"Received groups={self.groups}, but the input has {channels} channels (full input "
                f"shape is {input_shape})."
            )
        self.channels = channels
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            self._kernel_shape(channels),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        if self.use_bias:
            del self.bias
            self.bias = self.add_weight(
                (self._out_channels(),),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                name="bias",
            )

    def _out_channels(self) -> int:
        return self.filters

    def _weight(self) -> Tensor:
        """(O, C / groups, ...) from (..., C / groups, O)."""
        return self.kernel.permute(self.rank + 1, self.rank, *range(self.rank))

    def _padded(self, x: Tensor) -> tuple[Tensor, Any]:
        """The data, and the padding that the native kernel is to add on both sides."""
        if self.padding == "valid":
            return x, 0
        windows = zip(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
        if self.padding == "causal":
            return _C._pad(x, (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)), 0
        sides = [same_sides(*window) for window in windows]
        if all(before == after for before, after in sides):
            return x, tuple(before for before, _ in sides)
        return _C._pad(x, tuple(v for side in reversed(sides) for v in side)), 0

    def call(self, inputs: Tensor) -> Tensor:
        self._check_last(inputs.shape, self.channels)
        x, padding = self._padded(channels_first(inputs))
        groups = self._groups()
        out = type(self)._native(
            x, self._weight(), self.bias, self.strides, padding, self.dilation_rate, groups
        )
        if self.activation in (activations.softmax, activations.log_softmax):
            return self.activation(channels_last(out))
        return channels_last(self.activation(out))

    def _groups(self) -> int:
        return self.groups

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        windows = zip(input_shape[1:-1], self.kernel_size, self.strides, self.dilation_rate)
        lengths = [out_length(s, k, stride, self.padding, d) for s, k, stride, d in windows]
        return (input_shape[0], *lengths, self._out_channels())


class Conv1D(_Conv):
    """(N, L, C) with kernel (k, C / groups, filters) to (N, L', filters). Padding "valid", "same"
    or "causal" (only before)."""

    rank = 1
    _native = staticmethod(_C.conv1d)
    _paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """(N, H, W, C) with kernel (kH, kW, C / groups, filters) to (N, H', W', filters)."""

    rank = 2
    _native = staticmethod(_C.conv2d)


class DepthwiseConv2D(_Conv):
    """Each channel by itself: kernel (kH, kW, C, depth_multiplier)."""

    rank = 2
    _native = staticmethod(_C.conv2d)

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            1, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias,
            depthwise_initializer, bias_initializer, **kwargs
        )  # fmt: skip
        self.depth_multiplier = positive("depth_multiplier", depth_multiplier)

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, channels, self.depth_multiplier)

    def build(self, input_shape: Any) -> None:
        self.channels = input_shape[-1]
        super().build(input_shape)

    def _out_channels(self) -> int:
        return self.channels * self.depth_multiplier

    def _groups(self) -> int:
        return self.channels

    def _weight(self) -> Tensor:
        h, w, c, m = self.kernel.shape
        return self.kernel.reshape(h, w, c * m).permute(2, 0, 1).unsqueeze(1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.channels = input_shape[-1]
        return super().compute_output_shape(input_shape)


class Conv2DTranspose(_Conv):
    """The opposite of a convolution: (N, H, W, C) with kernel (kH, kW, filters, C) to sizes H *
    stride ("same") or (H - 1) * stride + kH at least H * stride ("valid")."""

    rank = 2
    _native = staticmethod(_C.conv_transpose2d)

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        if self.groups != 1 or self.dilation_rate != (1, 1):
            raise ValueError(
                "Conv2DTranspose: groups and dilation_rate other than 1 are not offered."
            )

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, self.filters, channels)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_last(inputs.shape, self.channels)
        x = channels_first(inputs)
        weight = self.kernel.permute(3, 2, 0, 1)
        out = F.conv_transpose2d(x, weight, self.bias, self.strides, 0)
        _, height, width, _ = self.compute_output_shape(tuple(inputs.shape))
        # The whole result has (size - 1) * stride + kernel: cut or fill to the size that is wanted.
        sides = []
        for whole, wanted, k, s in zip(
            out.shape[2:], (height, width), self.kernel_size, self.strides
        ):
            before = max(k - s, 0) // 2 if self.padding == "same" else 0
            sides.append((-before, wanted - whole + before))
        if any(v for side in sides for v in side):
            bias = None if self.bias is None else self.bias.reshape(1, -1, 1, 1)
            if all(v <= 0 for side in sides for v in side) or bias is None:
                out = _C._pad(out, (*sides[1], *sides[0]))
            else:
                out = (
                    _C._pad(
                        F.conv_transpose2d(x, weight, None, self.strides, 0), (*sides[1], *sides[0])
                    )
                    + bias
                )
        return channels_last(self.activation(out))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        lengths = []
        for size, k, s in zip(input_shape[1:-1], self.kernel_size, self.strides):
            extra = max(k - s, 0) if self.padding == "valid" else 0
            lengths.append(None if size is None else size * s + extra)
        return (input_shape[0], *lengths, self.filters)
