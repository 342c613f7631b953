"""Scaling of the loss, so that small gradients do not vanish in float16."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import no_grad
from gradstone.optim.optimizer import Optimizer

_READY, _UNSCALED, _STEPPED = range(3)


class _Progress:
    """What has been done with one optimizer since the last update."""

    def __init__(self) -> None:
        self.stage = _READY
        self.found: dict[Any, Tensor] = {}  # by device: 0, or 1 after an infinite gradient


class GradScaler:
    """Multiplies the loss by a scale, divides the gradients by it, skips steps whose gradients are
    infinite or NaN, and looks for the largest scale that works:

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)  # only to clip or look at gradients
        scaler.step(optimizer)
        scaler.update()

    After a skipped step the scale is multiplied by `backoff_factor`, after `growth_interval` steps
    in a row without one by `growth_factor`. All gradients of a device are divided and looked at in
    one launch.

    The scale and what was found stay on the device. SGD, RMSprop, and Adam with capturable=True or
    fused=True look there themselves and nothing waits for the device; for other optimizers `step`
    reads one number.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and not growth_factor > 1.0:
            raise ValueError(
                f"[GradScaler] expected growth_factor to be above 1, got {growth_factor}."
            )
        if enabled and not backoff_factor < 1.0:
            raise ValueError(
                f"[GradScaler] expected backoff_factor to be below 1, got {backoff_factor}."
            )
        self._device = str(device)
        self._enabled = bool(enabled)
        self._init_scale = float(init_scale)
        self._growth_factor = float(growth_factor)
        self._backoff_factor = float(backoff_factor)
        self._growth_interval = int(growth_interval)
        self._init_growth_tracker = 0
        self._scale: Tensor | None = None  # made where the first loss is
        self._growth_tracker: Tensor | None = None
        self._progress: dict[int, _Progress] = {}

    # ------------------------------------------------------------------------------- a step

    def scale(self, outputs: Any) -> Any:
        """The outputs (a tensor, or tensors in lists and tuples) times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._make(outputs.device)
            return outputs * self._scale_on(outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(o) for o in outputs)
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise TypeError(
            f"[GradScaler.scale] expected a Tensor or an iterable of Tensors, got "
            f"{type(outputs).__name__}."
        )

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of the optimizer's parameters by the scale. `step` does it where
        it has not been done."""
        if not self._enabled:
            return
        self._check_scale("unscale_")
        progress = self._progress_of(optimizer)
        if progress.stage == _UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if progress.stage == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        grads: dict[Any, list[Tensor]] = {}
        for group in optimizer.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if grad.dtype is _C.float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                grads.setdefault(grad.device, []).append(grad)
        with no_grad():
            for device, some in grads.items():
                found = _C._full((), 0.0, _C.float32, device)
                _C._unscale_all_(some, self._scale_on(device), found)
                progress.found[device] = found
        progress.stage = _UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(...), unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_scale("step")
        progress = self._progress_of(optimizer)
        if progress.stage == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if progress.stage == _READY:
            self.unscale_(optimizer)
        if not progress.found:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        progress.stage = _STEPPED
        found = list(progress.found.values())
        if len(found) == 1 and found[0].device.type != "cpu" and optimizer._reads_found_inf():
            optimizer._found_inf = found[0]
            try:
                return optimizer.step(**kwargs)
            finally:
                optimizer._found_inf = None
        if any(f.item() for f in found):
            return None
        return optimizer.step(**kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Chooses the scale for the next step, or sets it to `new_scale`."""
        if not self._enabled:
            return
        scale, streak = self._check_scale("update")
        with no_grad():
            if new_scale is not None:
                if isinstance(new_scale, Tensor):
                    scale.copy_(new_scale.detach())
                else:
                    scale.fill_(float(new_scale))
            else:
                found = [f for p in self._progress.values() for f in p.found.values()]
                if not found:
                    raise AssertionError("No inf checks were recorded prior to update.")
                total = found[0].to(scale.device)
                for other in found[1:]:
                    total = total + other.to(scale.device)
                _C._update_scale_(
                    scale,
                    streak,
                    total,
                    self._growth_factor,
                    self._backoff_factor,
                    self._growth_interval,
                )
        self._progress.clear()

    # ---------------------------------------------------------------------------- its state

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale as a Python number; waits for the device."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after steps that went well."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets what the scale is multiplied by after steps that went well."""
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a skipped step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets what the scale is multiplied by after a skipped step."""
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        """How many steps in a row have to go well before the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets how many steps in a row have to go well before the scale grows."""
        self._growth_interval = int(new_interval)

    def _get_growth_tracker(self) -> int:
        if self._growth_tracker is None:
            return self._init_growth_tracker
        return int(self._growth_tracker.item())

    def state_dict(self) -> dict[str, Any]:
        """The scale, its factors and its count, in PyTorch's layout; empty when not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale = float(state_dict["scale"])
        self._growth_factor = float(state_dict["growth_factor"])
        self._backoff_factor = float(state_dict["backoff_factor"])
        self._growth_interval = int(state_dict["growth_interval"])
        self._init_growth_tracker = int(state_dict["_growth_tracker"])
        if self._scale is not None and self._growth_tracker is not None:
            with no_grad():
                self._scale.fill_(self._init_scale)
                self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        if self._progress:
            raise AssertionError("A GradScaler can be pickled between update() and step() alone.")
        state = dict(self.__dict__)
        if self._enabled:
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state

    # ------------------------------------------------------------------------------ helpers

    def _make(self, device: Any) -> None:
        self._scale = _C._full((), self._init_scale, _C.float32, device)
        self._growth_tracker = _C._full((), self._init_growth_tracker, _C.int32, device)

    def _check_scale(self, method: str) -> tuple[Tensor, Tensor]:
        if self._scale is None or self._growth_tracker is None:
            raise AssertionError(
                f"Attempted {method} but the scale is None: scale() has to be called first."
            )
        return self._scale, self._growth_tracker

    def _scale_on(self, device: Any) -> Tensor:
        assert self._scale is not None
        return self._scale if self._scale.device == device else self._scale.to(device)

    def _progress_of(self, optimizer: Optimizer) -> _Progress:
        return self._progress.setdefault(id(optimizer), _Progress())
