"""What an operation on several tensors would give, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone import _C
from gradstone._C import Size, Tensor, dtype
from gradstone._types import TensorOrNumber


def broadcast_shapes(*shapes: Sequence[int] | int) -> Size:
    """The shape that tensors of these shapes broadcast to. ValueError when they do not."""
    import numpy as np

    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        listed = ", ".join(map(str, shapes))
        raise ValueError(f"[broadcast_shapes] shapes do not broadcast: {listed}.") from None


def result_type(tensor1: TensorOrNumber, tensor2: TensorOrNumber) -> dtype:
    """The dtype of arithmetic of both."""
    if not isinstance(tensor1, Tensor) and not isinstance(tensor2, Tensor):
        tensor1 = _C.tensor_from_data(tensor1)
    # One element each: shapes that do not fit are no matter.
    a, b = (
        _C._full((1,) if t.dim() else (), 0, t.dtype, "cpu") if isinstance(t, Tensor) else t
        for t in (tensor1, tensor2)
    )
    return _C._where(_C._full((), True, _C.bool, "cpu"), a, b).dtype
