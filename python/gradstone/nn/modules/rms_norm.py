"""Normalisation by the root of the mean square."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn import init
from gradstone.nn.modules._parameters import optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


class RMSNorm(Module):
    """input / sqrt(mean(input^2) + eps) over the last dimensions, times weight (Zhang and Sennrich,
    2019); eps None is the distance from 1 to the next number of the dtype."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(whole("RMSNorm", "normalized_shape", n) for n in sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = optional_parameter(elementwise_affine, self.normalized_shape, device, dtype)
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
