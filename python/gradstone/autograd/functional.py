"""Whole matrices of derivatives of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradstone import _C, autograd
from gradstone._C import Tensor
from gradstone.autograd.grad_mode import enable_grad

Inputs = Tensor | tuple[Tensor, ...]


def jacobian(func: Callable[..., Any], inputs: Inputs, create_graph: bool = False) -> Any:
    """d func(*inputs) / d inputs: (*output, *input), one gradient for each element of the output.
    A tuple over several outputs, of a tuple over several inputs. With `create_graph` it can be
    differentiated again."""
    xs = _recording(inputs, create_graph)
    with enable_grad():
        outputs = func(*xs)
    rows: Any = tuple(_rows(y, xs, create_graph) for y in _all(outputs, "jacobian"))
    if isinstance(inputs, Tensor):
        rows = tuple(row[0] for row in rows)
    return rows[0] if isinstance(outputs, Tensor) else rows


def hessian(func: Callable[..., Tensor], inputs: Inputs, create_graph: bool = False) -> Any:
    """Second derivatives of a function that gives one number: (*input, *input), or for several
    inputs a tuple of tuples, [i][j] of shape (*input i, *input j)."""

    def gradient(*xs: Tensor) -> Any:
        y = func(*xs)
        if not isinstance(y, Tensor) or y.numel() != 1:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"[hessian] expected func to give one number, got {got}.")
        if not y.requires_grad:
            return tuple(x * 0 for x in xs)
        grads = autograd.grad(y.reshape(()), xs, create_graph=True, materialize_grads=True)
        return grads[0] if isinstance(inputs, Tensor) else grads

    return jacobian(gradient, inputs, create_graph)


def _all(values: Any, name: str) -> tuple[Tensor, ...]:
    parts = (values,) if isinstance(values, Tensor) else values
    if not isinstance(parts, tuple) or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(f"[{name}] expected a tensor or a tuple of tensors, got {values!r}.")
    return parts


def _recording(inputs: Inputs, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors that record; with `create_graph` joined to their own history."""
    xs = _all(inputs, "jacobian")
    with enable_grad():
        return tuple(
            x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
            for x in xs
        )


def _rows(y: Tensor, xs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """d y / d x for each x."""
    found = []
    with enable_grad():
        elements = y.reshape(-1)
    for i in range(y.numel() if y.requires_grad else 0):
        with enable_grad():
            element = elements[i]
        found.append(
            autograd.grad(
                element, xs, retain_graph=True, create_graph=create_graph, materialize_grads=True
            )
        )
    return tuple(
        _C.stack([row[k] for row in found]).reshape(*y.shape, *x.shape)
        if found
        else _C._full((*y.shape, *x.shape), 0, y.dtype, y.device)
        for k, x in enumerate(xs)
    )
