"""Tensors that a module owns."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor


class Parameter(Tensor):
    """A leaf tensor that becomes a parameter of the module it is assigned to.

    Shares the memory of `data` and requires a gradient unless told otherwise.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = _C._empty((0,))
        if not isinstance(data, Tensor):
            raise TypeError(f"[Parameter] expected a tensor, got {type(data).__name__}.")
        return _C._make_subclass(cls, data, requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with a copy of the values, and without a gradient, as PyTorch has it."""
        seen = id(self) in memo
        copy: Parameter = super().__deepcopy__(memo)
        if not seen:
            copy.grad = None
        return copy

    def __repr__(self, **kwargs: Any) -> str:
        return "Parameter containing:\n" + super().__repr__()

    __str__ = __repr__
