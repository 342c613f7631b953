"""Convolution of channels-last images and sequences.

The native kernels take channels first: the data are looked at in that order, and what comes out is
looked at channels-last again, so that between two such layers nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.core import is_positive, known_size, positive


def channels_first(x: Tensor) -> Tensor:
    """(N, ..., C) as (N, C, ...)."""
    return x.permute(0, x.dim() - 1, *range(1, x.dim() - 1))


def channels_last(x: Tensor) -> Tensor:
    """(N, C, ...) as (N, ..., C)."""
    return x.permute(0, *range(2, x.dim()), 1)


def sizes(n: int, name: str, value: Any) -> tuple[int, ...]:
    """`value` for each of n dimensions. ValueError unless whole and above 0."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(given) != n or not all(is_positive(v) for v in given):
        raise ValueError(
            f"The `{name}` argument must be a tuple of {n} positive integers. Received: "
            f"{name}={value}"
        )
    return given


def checked_format(data_format: str | None) -> str:
    """ "channels_last". ValueError for any other."""
    if data_format not in (None, "channels_last"):
        raise ValueError(f"Only data_format='channels_last' is offered, got {data_format!r}.")
    return "channels_last"


def out_length(size: Any, kernel: int, stride: int, padding: str, dilation: int = 1) -> Any:
    """Size after a window of this kernel: ceil(size / stride) with padding, else what fits."""
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    out = (size - dilation * (kernel - 1) - 1) // stride + 1
    if out <= 0:
        raise ValueError(
            f"Computed output size would be negative or zero: an input of size {size} is smaller "
            f"than the kernel of size {dilation * (kernel - 1) + 1} with padding='valid'."
        )
    return out


def same_padding(shape: Any, kernel: Any, strides: Any, dilation: Any = None) -> tuple[int, ...]:
    """Padding before and after each dimension, the last dimension first as ``pad`` takes it, such
    that sizes ceil(size / stride) come out; the odd one goes after."""
    flat: tuple[int, ...] = ()
    for size, k, stride, d in zip(shape, kernel, strides, dilation or (1,) * len(shape)):
        total = max((-(-size // stride) - 1) * stride + d * (k - 1) + 1 - size, 0)
        flat = (total // 2, total - total // 2, *flat)
    return flat


def padded(
    x: Tensor, padding: str, kernel: Shape, strides: Shape, dilation: Shape | None = None
) -> tuple[Tensor, Any]:
    """(N, C, ...) padded for a convolution, and what the native kernel has yet to add on both
    sides of each dimension."""
    if padding == "valid":
        return x, 0
    if padding == "causal":
        return _C._pad(x, ((dilation or (1,))[0] * (kernel[0] - 1), 0)), 0
    sides = same_padding(x.shape[2:], kernel, strides, dilation)
    if sides[::2] == sides[1::2]:
        return x, sides[::-2]
    return _C._pad(x, sides), 0


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
        self._keep(locals())
        self._ndim = self.rank + 2
        self.filters = positive("filters", filters)
        self.groups = positive("groups", groups)
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, sizes(self.rank, name, getattr(self, name)))
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

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, channels // self.groups, self.filters)

    def build(self, input_shape: Any) -> None:
        self.channels = channels = known_size(input_shape)
        if channels % self.groups:
            raise ValueError(
                "The number of input channels must be evenly divisible by the number of groups. "
                f"Received groups={self.groups}, but the input has {channels} channels (full input "
                f"shape is {input_shape})."
            )
        self.compute_output_shape(input_shape)  # says when the window does not fit
        self._make("kernel", self._kernel_shape(channels))
        self._make("bias", (self._out_channels(),), self.use_bias)

    def _out_channels(self) -> int:
        return self.filters

    def _weight(self) -> Tensor:
        """(O, C / groups, ...) from (..., C / groups, O)."""
        return self.kernel.permute(self.rank + 1, self.rank, *range(self.rank))

    def call(self, inputs: Tensor) -> Tensor:
        self._check_last(inputs.shape, self.channels)
        windows = self.kernel_size, self.strides, self.dilation_rate
        x, padding = padded(channels_first(inputs), self.padding, *windows)
        out = type(self)._native(
            x, self._weight(), self.bias, self.strides, padding, self.dilation_rate, self._groups()
        )
        return self._activated(out)

    def _activated(self, out: Tensor) -> Tensor:
        """activation(out), channels-last; element by element it is quicker before turning."""
        if self.activation in activations.ELEMENTWISE:
            return channels_last(self.activation(out))
        return self.activation(channels_last(out))

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
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            1, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias,
            depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer,
            **kwargs
        )  # fmt: skip
        self.depth_multiplier = positive("depth_multiplier", depth_multiplier)

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, channels, self.depth_multiplier)

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
        x, weight = channels_first(inputs), self.kernel.permute(3, 2, 0, 1)
        out = _C.conv_transpose2d(x, weight, None, self.strides, 0)
        wanted = self.compute_output_shape(tuple(inputs.shape))[1:3]
        # The whole result has (size - 1) * stride + kernel: cut or fill to the size that is wanted.
        sides: tuple[int, ...] = ()
        for whole, size, k, s in zip(out.shape[2:], wanted, self.kernel_size, self.strides):
            before = max(k - s, 0) // 2 if self.padding == "same" else 0
            sides = (-before, size - whole + before, *sides)
        out = _C._pad(out, sides) if any(sides) else out
        return self._activated(out if self.bias is None else out + self.bias.reshape(1, -1, 1, 1))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        lengths = []
        for size, k, s in zip(input_shape[1:-1], self.kernel_size, self.strides):
            extra = max(k - s, 0) if self.padding == "valid" else 0
            lengths.append(None if size is None else size * s + extra)
        return (input_shape[0], *lengths, self.filters)
