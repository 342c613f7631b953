"""Normalisation of each channel of each sample."""

from __future__ import annotations

from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn.modules.normalization import _Affine


class InstanceNorm1d(_Affine):
    """Normalises each channel of each sample of (N, C, L) by itself (Ulyanov et al., 2016); weight
    and bias (C) with `affine`. Running statistics are not offered."""

    dims = 3

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        if track_running_stats:
            raise NotImplementedError(
                f"[{type(self).__name__}] track_running_stats is not offered."
            )
        self.num_features = whole(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._add_affine((num_features,), affine, affine, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        alone = input.dim() == self.dims - 1  # one sample
        x = input.unsqueeze(0) if alone else input
        if x.dim() != self.dims or x.size(1) != self.num_features:
            spatial = ("L", "H, W")[self.dims - 3]
            raise ValueError(
                f"[{type(self).__name__}] expected (N, {self.num_features}, {spatial}) or one "
                f"sample of it, got {tuple(input.shape)}."
            )
        y = F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return y.squeeze(0) if alone else y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class InstanceNorm2d(InstanceNorm1d):
    """The same for (N, C, H, W)."""

    dims = 4
