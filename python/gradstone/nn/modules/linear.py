"""Linear maps."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn import init
from gradstone.nn.modules._parameters import empty_parameter, optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


class Identity(Module):
    """The input itself. Arguments are accepted and ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x W^T + b: x (..., in_features), W (out_features, in_features), b (out_features).

    W and b start uniform in [-k, k], k = 1 / sqrt(in_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        self.weight = empty_parameter((out_features, in_features), device, dtype)
        self.register_parameter("bias", optional_parameter(bias, (out_features,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return _C.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """Linear under the name that PyTorch prints inside MultiheadAttention."""


class Bilinear(Module):
    """y = x1^T W x2 + b: x1 (..., in1), x2 (..., in2), W (out, in1, in2), b (out)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        self.in1_features = whole("Bilinear", "in1_features", in1_features, 1)
        self.in2_features = whole("Bilinear", "in2_features", in2_features)
        self.out_features = whole("Bilinear", "out_features", out_features)
        self.weight = empty_parameter((out_features, in1_features, in2_features), device, dtype)
        self.register_parameter("bias", optional_parameter(bias, (out_features,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
