"""The arithmetic of one step: forward, penalties, backward, clipping, the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

from gradstone import _C
from gradstone._C import Tensor, default_generator
from gradstone._checks import real
from gradstone.amp import GradScaler, autocast
from gradstone.nn.utils import clip_grad_norm_, clip_grad_value_
from gradstone.training import batches
from gradstone.training.finite import explain

_PRECISIONS = {"bf16": _C.bfloat16, "fp16": _C.float16}
# Looking at the loss makes the host wait for a GPU, so it is done at one batch of so many.
_BATCHES_BETWEEN_LOOKS = 50


class Step:
    """What a trainer does with a batch, without what it says about it."""

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        criterion: Callable[..., Any],
        device: Any,
        *,
        precision: str | None,
        clip_norm: float | None,
        clip_value: float | None,
        l1: float,
        l2: float,
        check_finite: bool,
    ) -> None:
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not real("Trainer", name, limit) > 0:
                raise ValueError(f"[Trainer] expected {name} to be above 0, got {limit!r}.")
        for name, factor in (("l1", l1), ("l2", l2)):
            if not real("Trainer", name, factor) >= 0:
                raise ValueError(f"[Trainer] expected {name} >= 0, got {factor!r}.")
        self.model = model
        self.optimizer = optimizer
        self.criterion = criterion
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.l1 = float(l1)
        self.l2 = float(l2)
        self.penalised = bool(l1 or l2)
        self.autocast = _autocast(model, device, precision)
        self.scaler = GradScaler(device.type) if precision == "fp16" else None
        self._always = check_finite and device.type == "cpu"
        self._sometimes = check_finite and device.type != "cpu"
        self._looks = 0
        self._watched: Tensor | None = None
        self._random = 0  # where the random numbers were before the batch, to compute it again
        self._batch: tuple[Any, Any, Any] = (None, None, None)

    def forward(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Tensor]:
        """(output, loss), in the precision that was asked for."""
        self._random = default_generator.offset
        self._batch = inputs, targets, weights
        if self.autocast is None:
            return self._forward(inputs, targets, weights)
        with self.autocast:
            return self._forward(inputs, targets, weights)

    def _forward(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Tensor]:
        if type(inputs) is Tensor:
            output = self.model(inputs)
        else:
            output = batches.call(self.model, inputs)
        if weights is None:
            loss = self.criterion(output, targets)
        else:
            self._check_weighted()
            loss = self.criterion(output, targets, weights)
        if not isinstance(loss, Tensor):
            raise TypeError(
                f"[Trainer] expected the loss to be a Tensor, got {type(loss).__name__}."
            )
        if loss.dim():
            raise ValueError(
                f"[Trainer] expected the loss to be a scalar, got shape {tuple(loss.shape)}: take "
                "its mean, or reduction='mean'."
            )
        return output, loss

    def _check_weighted(self) -> None:
        """TypeError for a loss that takes no weights of samples: then the batch's third part is
        most often meant as something else."""
        try:
            signature(getattr(self.criterion, "forward", self.criterion)).bind(0, 0, 0)
        except ValueError:
            return  # a function that does not say what it takes
        except TypeError:
            raise TypeError(
                "[Trainer] the third part of a batch is the weights of its samples, for a loss of "
                f"(output, target, weights); {self.criterion!r} takes none. Several inputs go "
                "together as ((a, b), targets)."
            ) from None

    def penalty(self) -> Tensor:
        """l1 * sum |w| + l2 * sum w^2 over weights: trained parameters of two dimensions and more,
        so neither biases nor the scales of normalisation layers."""
        total = _C._full((), 0.0, _C.float32, next(self.model.parameters()).device)
        for param in self.model.parameters():
            if param.requires_grad and param.dim() >= 2:
                if self.l1:
                    total = total + param.abs().sum() * self.l1
                if self.l2:
                    total = total + param.square().sum() * self.l2
        return total

    def backward(self, loss: Tensor, share: float) -> None:
        """Adds the gradients of share * loss."""
        if not loss.requires_grad:
            raise RuntimeError(
                "[Trainer.fit] the loss has no gradient: no parameter of the model requires one, "
                "or something detached comes between them (.item(), .detach(), no_grad, argmax)."
            )
        if share != 1.0:
            loss = loss * share
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()

    def step(self) -> None:
        """Clips and updates the parameters."""
        optimizer, scaler = self.optimizer, self.scaler
        if self.clip_norm is not None or self.clip_value is not None:
            params = [p for group in optimizer.param_groups for p in group["params"]]
            if scaler is not None:
                scaler.unscale_(optimizer)
            if self.clip_value is not None:
                clip_grad_value_(params, self.clip_value)
            if self.clip_norm is not None:
                clip_grad_norm_(params, self.clip_norm)
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
            return
        if self._always:
            self._check_gradients()
        optimizer.step()

    # ------------------------------------------------------------------------------------- watching

    def _check_gradients(self) -> None:
        """One gradient, the last that backward computes: that of the first bias (or scale), a sum
        over all that reached its layer, so that what is not finite on the way shows in it. What
        does not, the loss of the next batch shows. (With a scaler infinite gradients are in order:
        it skips the step.)"""
        if self._watched is None:
            params = [p for p in self.model.parameters() if p.grad is not None]
            self._watched = next((p for p in params if p.dim() < 2), next(iter(params), None))
        if self._watched is None or (grad := self._watched.grad) is None:
            return
        if not math.isfinite(grad.sum().item()):
            self._refuse("the gradients are not finite")

    def check(self, loss: Tensor, total: Callable[[], float]) -> None:
        """FloatingPointError, with the layer, for a loss that is not finite. On the CPU, which
        need not wait, at every batch; elsewhere the sum so far is looked at now and then, which
        keeps what it once took."""
        if self._always:
            if not math.isfinite(loss.item()):
                self._refuse(f"the loss is {loss.item()}")
        elif self._sometimes:
            self._looks += 1
            if self._looks % _BATCHES_BETWEEN_LOOKS == 0 and not math.isfinite(total()):
                self._refuse(f"the loss of one of {_BATCHES_BETWEEN_LOOKS} batches is not finite")

    def check_sum(self, total: float) -> None:
        """The same at the end of an epoch, with its mean loss."""
        if (self._always or self._sometimes) and not math.isfinite(total):
            self._refuse(f"the mean loss of the epoch is {total}")

    def _refuse(self, what: str) -> None:
        before, offset = default_generator.offset, self._random

        def again() -> Tensor:
            default_generator.offset = offset
            return self.forward(*self._batch)[1]

        try:
            where = explain(self.model, *self._batch[:2], again)
        finally:
            default_generator.offset = before
        raise FloatingPointError(
            f"[Trainer.fit] {what}. Found by computing the batch anew: {where}."
        )


def _autocast(model: Any, device: Any, precision: str | None) -> Any:
    """The context of the forward pass, None for full precision. Errors where it cannot work."""
    if precision is None:
        return None
    if precision not in _PRECISIONS:
        raise ValueError(
            f"[Trainer] expected precision 'bf16', 'fp16' or None (as the model is), got "
            f"{precision!r}."
        )
    for name, param in model.named_parameters():
        if param.dtype not in (_C.float32,):
            raise ValueError(
                f"[Trainer] precision {precision!r} computes in 16 bits with weights of float32; "
                f"the parameter '{name}' is {param.dtype}: call model.float() first, or leave "
                "precision out."
            )
    if device.type == "cuda":
        from gradstone import cuda

        least = (8, 0) if precision == "bf16" else (7, 0)
        has = cuda.get_device_capability(device)
        if has < least:
            raise RuntimeError(
                f"[Trainer] precision {precision!r} needs a GPU of compute capability "
                f"{least[0]}.{least[1]}, this one has {has[0]}.{has[1]}."
            )
    return autocast(device.type, _PRECISIONS[precision])
