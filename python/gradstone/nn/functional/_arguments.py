"""Arguments in the forms that several families share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from gradstone import _C
from gradstone._C import Tensor

Ints = int | Sequence[int]


def activate(function: Callable[[Tensor], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """function(input); with `inplace` written over the input."""
    if not inplace:
        return function(input)
    # The gradient needs the values that are about to be overwritten.
    before = input.clone() if input.requires_grad and _C.is_grad_enabled() else input
    return input.copy_(function(before))


def tuple_of(value: Ints, n: int, op: str, name: str) -> tuple[int, ...]:
    """One number for each of n dimensions, from one for all or one for each."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        numbers = tuple(operator.index(v) for v in given)
    except TypeError:
        numbers = ()
    if len(numbers) not in (1, n):
        kind = "an int" if n == 1 else f"an int or {n} ints"
        raise (ValueError if numbers else TypeError)(
            f"[{op}] expected {name} to be {kind}, got {value!r}."
        )
    return numbers * n if len(numbers) == 1 else numbers


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[list[int], bool]:
    """(left, right, ...) from the last dimension back, and whether both sides are equal."""
    sides: list[int] = []
    for k, d in zip(reversed(kernel), reversed(dilation)):
        total = d * (k - 1)
        sides += [total // 2, total - total // 2]
    return sides, all(sides[i] == sides[i + 1] for i in range(0, len(sides), 2))


def old_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """PyTorch's two old flags in place of `reduction`."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def wide(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Inside autocast 16-bit tensors as float32, as losses of several operations take them."""
    if not all(isinstance(t, Tensor) for t in tensors):
        return tensors  # for the operation to refuse
    if not _C.is_autocast_enabled(tensors[0].device.type):
        return tensors
    narrow = (_C.float16, _C.bfloat16)
    return tuple(_C._cast(t, _C.float32) if t.dtype in narrow else t for t in tensors)
