"""Normalisation over the batch, over features and over groups of channels."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone import _C
from gradstone._C import Tensor
from gradstone._checks import whole
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn import init
from gradstone.nn.modules._parameters import optional_parameter
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


class _Affine(Module):
    """What follows a normalisation: times weight, plus bias, where they are wanted."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_affine(
        self,
        shape: tuple[int, ...],
        affine: bool,
        bias: bool,
        device: DeviceLike,
        dtype: DTypeLike,
    ) -> None:
        self.register_parameter("weight", optional_parameter(affine, shape, device, dtype))
        self.register_parameter("bias", optional_parameter(affine and bias, shape, device, dtype))

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Affine):
    """Normalises each channel by the batch in training and by running statistics in evaluation.

    running = (1 - momentum) * running + momentum * batch; momentum None averages all batches
    equally. The running variance is the unbiased one (Ioffe and Szegedy, 2015).
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = whole(type(self).__name__, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._add_affine((num_features,), affine, bias, device, dtype)
        place = "cpu" if device is None else device
        if track_running_stats:
            kind = dtype or _C.get_default_dtype()
            self.register_buffer("running_mean", _C._full((num_features,), 0, kind, place))
            self.register_buffer("running_var", _C._full((num_features,), 1, kind, place))
            self.register_buffer("num_batches_tracked", _C._full((), 0, _C.int64, place))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, fresh statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input(self, input: Tensor) -> None:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        factor = 0.0 if self.momentum is None else self.momentum
        tracked = self.num_batches_tracked
        if self.training and tracked is not None:
            tracked.add_(1)
            if self.momentum is None:
                factor = 1.0 / int(tracked)
        by_batch = self.training or self.running_mean is None
        keep = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if keep else None,
            self.running_var if keep else None,
            self.weight,
            self.bias,
            by_batch,
            factor,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L)."""

    def _check_input(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(
                "[BatchNorm1d] expected 2D or 3D input (N, C) or (N, C, L), got shape "
                f"{tuple(input.shape)}."
            )


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W)."""

    def _check_input(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(
                f"[BatchNorm2d] expected 4D input (N, C, H, W), got shape {tuple(input.shape)}."
            )


class LayerNorm(_Affine):
    """Normalises over the last dimensions (Ba et al., 2016); weight and bias have their shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(
            whole("LayerNorm", "normalized_shape", size) for size in normalized_shape
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_affine(self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Normalises groups of channels of (N, C, ...) (Wu and He, 2018); weight and bias (C)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        whole("GroupNorm", "num_groups", num_groups, 1)
        if whole("GroupNorm", "num_channels", num_channels) % num_groups:
            raise ValueError(
                f"[GroupNorm] num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._add_affine((num_channels,), affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
