"""Batch and layer normalisation with Keras's defaults and meaning of momentum."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras.layer import Shape
from gradstone.keras.layers.core import SameShape, known_size


class _Normalization(SameShape):
    _casts_integers = True

    def _scale_and_shift(self, shape: Shape) -> None:
        self._make("gamma", shape, self.scale)
        self._make("beta", shape, self.center)


class BatchNormalization(_Normalization):
    """Normalises each channel (dimension `axis`) over the batch and all other dimensions (Ioffe and
    Szegedy, 2015).

    In training moving = momentum * moving + (1 - momentum) * batch, with the variance divided by
    the count; steps that a mask leaves out do not count. A layer that is not trainable uses its
    statistics even in training.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def build(self, input_shape: Any) -> None:
        size = known_size(input_shape, self.axis)
        self._scale_and_shift((size,))
        self.add_weight((size,), self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.add_weight(
            (size,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        axis = self.axis % inputs.dim()
        x = inputs if axis == 1 else inputs.movedim(axis, 1)
        if training and self.trainable:
            out = self._normalize_batch(x, mask)
        else:
            mean, variance = self.moving_mean, self.moving_variance
            weights = mean, variance, self.gamma, self.beta
            out = _C.batch_norm(x, *weights, False, 0.1, self.epsilon)
        return out if axis == 1 else out.movedim(1, axis)

    def _normalize_batch(self, x: Tensor, mask: Any) -> Tensor:
        size, count = x.size(1), x.numel() // max(1, x.size(1))
        if mask is None and count > 1:
            mean, variance = (_C._full((size,), 0, x.dtype, x.device) for _ in range(2))
            out = _C.batch_norm(x, mean, variance, self.gamma, self.beta, True, 1.0, self.epsilon)
            variance = variance * ((count - 1) / count)  # the kernel divides by count - 1
        else:  # the kernel takes neither a mask nor a single value
            out, mean, variance = self._normalize_kept(x, mask)
        with no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.mul_(self.momentum).add_(batch * (1 - self.momentum))
        return out

    def _normalize_kept(self, x: Tensor, mask: Any) -> tuple[Tensor, Tensor, Tensor]:
        """(x normalised, mean, variance) of (N, C, ...) over what `mask` (N, ...) leaves."""
        dims, shape = (0, *range(2, x.dim())), (1, x.size(1), *[1] * (x.dim() - 2))
        kept = _C._full((x.size(0), 1, *x.shape[2:]), 1, x.dtype, x.device)
        if mask is not None:
            kept = kept * mask.to(x.dtype).unsqueeze(1)
        total = kept.sum().clamp(min=1e-7)
        mean = _C.sum(x * kept, dims, True) / total
        variance = _C.sum(_C.square(x - mean) * kept, dims, True) / total
        out = (x - mean) * _C.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            out = out * self.gamma.reshape(shape)
        if self.beta is not None:
            out = out + self.beta.reshape(shape)
        return out, mean.detach().reshape(-1), variance.detach().reshape(-1)


class LayerNormalization(_Normalization):
    """Normalises each sample over the dimensions `axis` (Ba et al., 2016)."""

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _axes(self, dims: int) -> list[int]:
        axes = self.axis if isinstance(self.axis, (list, tuple)) else [self.axis]
        return sorted(a % dims for a in axes)

    def build(self, input_shape: Any) -> None:
        axes = self._axes(len(input_shape))
        self._scale_and_shift(tuple(known_size(input_shape, a) for a in axes))

    def call(self, inputs: Tensor) -> Tensor:
        axes = self._axes(inputs.dim())
        last = list(range(inputs.dim() - len(axes), inputs.dim()))
        x = inputs if axes == last else inputs.movedim(axes, last)
        sizes = tuple(x.shape[d] for d in last)
        out = _C.layer_norm(x, sizes, self.gamma, self.beta, self.epsilon)
        return out if axes == last else out.movedim(last, axes)
