"""Convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn import init
from gradstone.nn.functional._arguments import same_padding, tuple_of
from gradstone.nn.modules._parameters import empty_parameter, optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter

Ints = int | Sequence[int]
_PAD_MODES = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _ConvNd(Module):
    """What all convolutions share. Weight (O, C/groups, k...), transposed (C, O/groups, k...); both
    weight and bias start uniform in [-b, b], b = 1 / sqrt(C/groups * product of k)."""

    ndim: int
    transposed = False
    _convolve: Callable[..., Tensor]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        op, n = type(self).__name__, self.ndim
        whole(op, "groups", groups, 1)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if whole(op, name, channels) % groups:
                raise ValueError(
                    f"[{op}] {name} must be divisible by groups, got {channels} and {groups}."
                )
        if padding_mode != "zeros" and padding_mode not in _PAD_MODES:
            modes = ["zeros", *_PAD_MODES]
            raise ValueError(
                f"padding_mode must be one of {modes}, but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = tuple_of(kernel_size, n, op, "kernel_size")
        self.stride = tuple_of(stride, n, op, "stride")
        self.padding: Any = (
            padding if isinstance(padding, str) else tuple_of(padding, n, op, "padding")
        )
        self.dilation = tuple_of(dilation, n, op, "dilation")
        self.output_padding = (0,) * n
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"[{op}] padding must be numbers, 'valid' or 'same', got {padding!r}."
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        first, second = out_channels, in_channels
        if self.transposed:
            first, second = second, first
        self.weight = empty_parameter((first, second // groups, *self.kernel_size), device, dtype)
        self.register_parameter("bias", optional_parameter(bias, (out_channels,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = init._fans(self.weight)[0]
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> Tensor:
        """The input padded by `padding_mode`."""
        if self.padding == "valid":
            return input
        if self.padding == "same":
            sides, _ = same_padding(self.kernel_size, self.dilation)
        else:
            sides = [p for p in reversed(self.padding) for _ in range(2)]
        return F.pad(input, sides, _PAD_MODES[self.padding_mode])

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        return self._convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * self.ndim:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.ndim:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.ndim:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(_ConvNd):
    """Convolution of (N, C, L) or (C, L); weight (O, C/groups, k)."""

    ndim = 1
    _convolve = staticmethod(F.conv1d)


class Conv2d(_ConvNd):
    """Convolution of (N, C, H, W) or (C, H, W); weight (O, C/groups, kH, kW)."""

    ndim = 2
    _convolve = staticmethod(F.conv2d)


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError('Only "zeros" padding mode is supported for ' + type(self).__name__)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.output_padding = tuple_of(
            output_padding, self.ndim, type(self).__name__, "output_padding"
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(input, list(output_size))
        return self._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, input: Tensor, wanted: list[int]) -> tuple[int, ...]:
        """The output_padding that gives `wanted` (L) or (H, W)."""
        extra = []
        for i, size in enumerate(wanted[-self.ndim :]):
            least = (
                (input.size(i - self.ndim) - 1) * self.stride[i]
                - 2 * self.padding[i]
                + self.dilation[i] * (self.kernel_size[i] - 1)
                + 1
            )
            if not least <= size < least + self.stride[i]:
                raise ValueError(
                    f"requested an output size of {wanted}, but dimension {i} can be "
                    f"{least} to {least + self.stride[i] - 1}."
                )
            extra.append(size - least)
        return tuple(extra)


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d with respect to its input, as a layer: (N, C, L) to a longer sequence.

    Weight (C, O/groups, k); output length (L - 1) * stride - 2 * padding + dilation * (k - 1) +
    output_padding + 1.
    """

    ndim = 1
    _convolve = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of Conv2d with respect to its input, as a layer: (N, C, H, W) to a larger image.

    Weight (C, O/groups, kH, kW); output height (H - 1) * stride - 2 * padding + dilation * (kH - 1)
    + output_padding + 1.
    """

    ndim = 2
    _convolve = staticmethod(F.conv_transpose2d)
