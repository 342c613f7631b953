"""Gradients: ``backward``, ``grad``, modes, functions of one's own, and checks against
differences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.autograd.function import Function
from gradstone.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from gradstone.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from gradstone.autograd.variable import Variable

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

if TYPE_CHECKING:
    from gradstone.autograd import functional

TensorOrTensors = Tensor | Sequence[Tensor]
Grads = Tensor | Sequence[Tensor | None] | None


def _list(tensors: TensorOrTensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grads(grads: Grads, count: int) -> list[Tensor | None]:
    if grads is None:
        return [None] * count
    given: list[Tensor | None] = [grads] if isinstance(grads, Tensor) else list(grads)
    if len(given) != count:
        raise RuntimeError(f"expected one gradient for each of {count} tensors, got {len(given)}.")
    return given


def backward(
    tensors: TensorOrTensors,
    grad_tensors: Grads = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: TensorOrTensors | None = None,
) -> None:
    """Adds the gradient of the tensors, weighted by `grad_tensors`, to every leaf's ``.grad``.

    A tensor of one element needs no weight. `inputs` restricts the leaves. RuntimeError when there
    is no graph, when it has been freed, or when a saved tensor was changed in place.
    """
    roots = _list(tensors)
    keep = create_graph if retain_graph is None else retain_graph
    only = [] if inputs is None else _list(inputs)
    if inputs is not None and not only:
        raise RuntimeError("[backward] inputs must not be empty.")
    _C.backward(roots, _grads(grad_tensors, len(roots)), keep, create_graph, only)


def grad(
    outputs: TensorOrTensors,
    inputs: TensorOrTensors,
    grad_outputs: Grads = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """Gradients of the outputs, weighted by `grad_outputs`, with respect to each input; no
    ``.grad`` changes.

    With `allow_unused` an input that was not used gives None, with `materialize_grads` zeros.
    `only_inputs` is PyTorch's and changes nothing; False is warned of.
    """
    if not only_inputs:
        warnings.warn(
            "[grad] only_inputs=False changes nothing: backward fills .grad of all leaves.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        raise NotImplementedError("[grad] batched gradients are not offered.")
    if materialize_grads and allow_unused is False:
        raise ValueError("[grad] materialize_grads needs allow_unused to be None or True.")
    roots, leaves = _list(outputs), _list(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    unused = bool(allow_unused) or materialize_grads
    weights = _grads(grad_outputs, len(roots))
    grads = _C.grad(roots, leaves, weights, keep, create_graph, unused)
    if materialize_grads:
        return tuple(
            _C._full(tuple(x.shape), 0, x.dtype, x.device) if g is None else g
            for g, x in zip(grads, leaves)
        )
    return tuple(grads)  # type: ignore[arg-type]


def is_grad_enabled() -> bool:
    """Whether operations are recorded now."""
    return _C.is_grad_enabled()


def __getattr__(name: str) -> Any:
    if name == "functional":  # imported when it is first used
        from importlib import import_module

        return import_module("gradstone.autograd.functional")
    raise AttributeError(f"module 'gradstone.autograd' has no attribute {name!r}")
