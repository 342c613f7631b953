"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from gradstone import _C
from gradstone._C import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one vector."""
    return _C.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Each parameter takes its part of the vector. ValueError when the vector's size does not
    fit."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected gradstone.Tensor, but got: {type(vec).__name__}")
    targets = list(parameters)
    wanted = sum(p.numel() for p in targets)
    if vec.numel() != wanted:
        raise ValueError(f"expected a vector of {wanted} elements, got {vec.numel()}.")
    start = 0
    for param in targets:
        part = vec[start : start + param.numel()]
        param.data = part.view_as(param).detach()
        start += param.numel()
