"""PyTorch's older names for tensors of a dtype: ``FloatTensor([1, 2])``, ``LongTensor(2, 3)``,
``x.type(gs.FloatTensor)``, ``isinstance(x, gs.LongTensor)``."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._creation import dtype_of, empty, tensor


class TensorType:
    """Makes tensors of one dtype on the CPU: from data, or unset ones from sizes; a tensor of the
    dtype is an instance."""

    def __init__(self, name: str, dtype: _C.dtype) -> None:
        self.__name__ = name
        self.dtype = dtype

    def __call__(self, *data: Any) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            if isinstance(data[0], _C.Size):
                return empty(data[0], dtype=self.dtype)
            return tensor(data[0], dtype=self.dtype)
        return empty(*(data or (0,)), dtype=self.dtype)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype == self.dtype

    def __repr__(self) -> str:
        return f"gradstone.{self.__name__}"


FloatTensor = TensorType("FloatTensor", _C.float32)
DoubleTensor = TensorType("DoubleTensor", _C.float64)
HalfTensor = TensorType("HalfTensor", _C.float16)
BFloat16Tensor = TensorType("BFloat16Tensor", _C.bfloat16)
LongTensor = TensorType("LongTensor", _C.int64)
IntTensor = TensorType("IntTensor", _C.int32)
ShortTensor = TensorType("ShortTensor", _C.int16)
CharTensor = TensorType("CharTensor", _C.int8)
ByteTensor = TensorType("ByteTensor", _C.uint8)
BoolTensor = TensorType("BoolTensor", _C.bool)

_ALL = (
    FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor, LongTensor, IntTensor, ShortTensor,
    CharTensor, ByteTensor, BoolTensor,
)  # fmt: skip
_BY_DTYPE = {kind.dtype: kind for kind in _ALL}
_BY_NAME = {kind.__name__: kind for kind in _ALL}


def type_of(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """type(): the name, "gradstone.FloatTensor"; type(dtype): the values in another dtype, which
    may be a dtype, a tensor type (``gs.FloatTensor``) or its name."""
    if dtype is None:
        place = "cuda." if self.device.type == "cuda" else ""
        return f"gradstone.{place}{_BY_DTYPE[self.dtype].__name__}"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        if name not in _BY_NAME:
            raise ValueError(f"[type] there is no tensor type {dtype!r}.")
        dtype = _BY_NAME[name]
    if isinstance(dtype, TensorType):
        dtype = dtype.dtype
    return self.to(dtype_of(dtype, "type"), non_blocking)


def new(self: Tensor, *data: Any) -> Tensor:
    """A tensor of this dtype and device, from data, or unset from sizes."""
    return _BY_DTYPE[self.dtype](*data).to(self.device)
