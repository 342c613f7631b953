"""Operations whose forward and backward are written in Python.

class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * y

y = Exp.apply(x)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _C

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What forward leaves for backward: saved tensors, flags, and any attribute the user sets."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] | None = None
    _non_differentiable: tuple[Any, ...] | None = None
    _dirty: tuple[Any, ...] | None = None
    _materialize: bool = True
    _link: _C.FunctionLink | None = None

    def save_for_backward(self, *tensors: _C.Tensor | None) -> None:
        """Keeps inputs or outputs; a change in place before backward is noticed."""
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[_C.Tensor, ...]:
        """The tensors given to save_for_backward, with their history."""
        if self._link is None:
            return self._to_save or ()
        return self._link.saved_tensors()

    def mark_non_differentiable(self, *outputs: _C.Tensor) -> None:
        """No gradient flows through these outputs."""
        self._non_differentiable = outputs

    def mark_dirty(self, *inputs: _C.Tensor) -> None:
        """These inputs were changed in place by forward, and are among its outputs."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """False: backward gets None instead of zeros for outputs that no gradient reached."""
        self._materialize = bool(value)


class Function:
    """Base class; see the module's docstring. Call apply(), never forward()."""

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """forward(ctx, *args), or forward(*args) where setup_context is defined."""
        raise NotImplementedError("a Function must define forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fills ctx from what went in and out, where forward takes no ctx."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument of forward, None for those without one."""
        raise NotImplementedError("a Function must define backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """What forward gives for these arguments, recorded so that backward gives its gradient."""
        if cls.setup_context is Function.setup_context:
            return _C._apply_function(cls, FunctionCtx(), args, cls.forward)

        def forward(ctx: FunctionCtx, *inputs: Any) -> Any:
            output = cls.forward(*inputs)
            cls.setup_context(ctx, inputs, output)
            return output

        return _C._apply_function(cls, FunctionCtx(), args, forward)


class _NotTwice(Function):
    """Passes gradients on, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: FunctionCtx, count: int, *tensors: _C.Tensor) -> tuple[_C.Tensor, ...]:
        return tuple(t.clone() for t in tensors[:count])

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            "[autograd.Function] differentiated twice, but backward is marked @once_differentiable."
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """For a backward that cannot be differentiated itself: a second derivative is an error."""

    @functools.wraps(backward)
    def wrapper(ctx: FunctionCtx, *grads: Any) -> Any:
        recording = _C.is_grad_enabled()
        _C.set_grad_enabled(False)
        try:
            result = backward(ctx, *grads)
        finally:
            _C.set_grad_enabled(recording)
        if not recording:
            return result
        single = not isinstance(result, tuple)
        results = (result,) if single else result
        tensors = [r for r in results if isinstance(r, _C.Tensor)]
        sources = [g for g in grads if isinstance(g, _C.Tensor)]
        if ctx._link is not None:
            sources += [t for t in ctx.saved_tensors if t is not None]
        guarded = iter(_NotTwice.apply(len(tensors), *tensors, *sources))
        out = tuple(next(guarded) if isinstance(r, _C.Tensor) else r for r in results)
        return out[0] if single else out

    return wrapper
