"""The context in which operations compute in 16 bits."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DTypeLike
from gradstone.autograd.grad_mode import _Mode

_DEVICES = ("cpu", "cuda")


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` knows this kind of device."""
    return device_type in _DEVICES


class autocast(_Mode):
    """Operations on tensors of `device_type` choose their precision, of this thread and until the
    end of the block (or of the decorated function):

    - products (matmul, linear, convolutions, attention, LSTM, GRU, RNN and their cells) compute in
      `dtype`, bfloat16 or float16;
    - exponentials, logarithms, powers, sums, softmax, layer and group normalisation and losses
      compute in float32;
    - everything else takes what comes; several dtypes together become the widest.

    float64 is left alone. Contexts nest; `enabled=False` switches off inside another. Each float32
    parameter is cast once in the outermost block (`cache_enabled`), and once more after it was
    changed; its gradient is float32. Leave the context before `backward`.

    `dtype` is bfloat16 unless given, on CUDA too: it has float32's range, and needs no GradScaler.
    """

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: DTypeLike = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(device_type, str):
            raise TypeError(
                f"[autocast] expected device_type to be 'cpu' or 'cuda', got {device_type!r}."
            )
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"[autocast] expected device_type 'cpu' or 'cuda', got {device_type!r}."
            )
        if dtype is not None and dtype not in (_C.bfloat16, _C.float16):
            warnings.warn(
                f"autocast computes in bfloat16 or float16, not in {dtype}: it is switched off.",
                stacklevel=2,
            )
            enabled = False
        self.device_type = device_type
        self.dtype = _C.bfloat16 if dtype is None else dtype
        self.enabled = bool(enabled)
        self.cache_enabled = cache_enabled

    def _clone(self) -> autocast:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._before = []
        return twin

    def _set(self) -> Any:
        device = self.device_type
        before = (
            _C.is_autocast_enabled(device),
            _C.get_autocast_dtype(device),
            _C.is_autocast_cache_enabled(),
        )
        _C.set_autocast_enabled(device, self.enabled)
        if self.enabled:
            _C.set_autocast_dtype(device, self.dtype)
        if self.cache_enabled is not None:
            _C.set_autocast_cache_enabled(self.cache_enabled)
        _C.autocast_increment_nesting()
        return before

    def _restore(self, before: Any) -> None:
        enabled, dtype, cached = before
        _C.autocast_decrement_nesting()
        _C.set_autocast_enabled(self.device_type, enabled)
        _C.set_autocast_dtype(self.device_type, dtype)
        _C.set_autocast_cache_enabled(cached)


# ------------------------------------------------------------------- functions with own gradients


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    if isinstance(value, Tensor):
        floats = value.dtype.is_floating_point and value.dtype is not _C.float64
        return value.to(dtype) if floats and value.device.type == device_type else value
    if isinstance(value, dict):
        return {
            _cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: DTypeLike = None
) -> Any:
    """Decorates `forward` of an autograd.Function: remembers autocast for `custom_bwd`; with
    `cast_inputs` its tensors are cast to that dtype and it runs without autocast."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args[0]._autocast_dtype = _C.get_autocast_dtype(device_type)
        on = _C.is_autocast_enabled(device_type)
        args[0]._autocast_on = on and cast_inputs is None
        if cast_inputs is None or not on:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return wrapped


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorates `backward` of an autograd.Function: it runs under the autocast of its forward."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        with autocast(device_type, ctx._autocast_dtype, ctx._autocast_on):
            return bwd(*args, **kwargs)

    return wrapped
