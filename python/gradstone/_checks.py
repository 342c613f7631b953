"""Arguments refused by name: the operation, what was expected, what came."""

from __future__ import annotations

import operator
from typing import Any

from gradstone._C import Tensor


def whole(op: str, name: str, value: Any, least: int = 0) -> int:
    """An int of at least `least`. TypeError for what is no int, ValueError below."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"[{op}] expected {name} to be an int, got {value!r} ({type(value).__name__})."
        ) from None
    if number < least:
        raise ValueError(f"[{op}] expected {name} to be at least {least}, got {number}.")
    return number


def real(op: str, name: str, value: Any) -> Any:
    """A number of Python or NumPy, as it is. TypeError for anything else."""
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        return value
    raise TypeError(
        f"[{op}] expected {name} to be a number, got {value!r} ({type(value).__name__})."
    )


def dimension(op: str, tensor: Tensor, dim: int) -> int:
    """The dimension counted from 0. IndexError when the tensor does not have it."""
    n = tensor.dim()
    if not -n <= dim < n:
        raise IndexError(f"[{op}] expected a dimension from {-n} to {n - 1}, got {dim}.")
    return dim % n
