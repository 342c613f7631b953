"""Padding as layers: of the last dimension (1d), or of the last two (2d)."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone._C import Tensor
from gradstone.nn import functional as F
from gradstone.nn.functional._arguments import tuple_of
from gradstone.nn.modules.module import Module


class _Pad(Module):
    """`padding`: one number for all sides, or (left, right), or (left, right, top, bottom)."""

    mode = "constant"
    sides = 2
    value = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = tuple_of(padding, self.sides, type(self).__name__, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad1d(_Pad):
    """Zeros."""


class ZeroPad2d(_Pad):
    """Zeros."""

    sides = 4


class ConstantPad1d(_Pad):
    """`value` on all sides."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """`value` on all sides."""

    sides = 4


class ReflectionPad1d(_Pad):
    """The values before the edge, mirrored; the edge itself once."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """The values before the edge, mirrored; the edge itself once."""

    sides = 4


class ReplicationPad1d(_Pad):
    """The edge, repeated."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The edge, repeated."""

    sides = 4


class CircularPad1d(_Pad):
    """The values of the other side."""

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """The values of the other side."""

    sides = 4
