"""Names for what arguments may be."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone._C import Tensor, device, dtype

Number = int | float | bool
Shape = Sequence[int]
DeviceLike = device | str | None
# Python's float, int and bool stand for float64, int64 and bool.
DTypeLike = dtype | type[float] | type[int] | type[bool] | None
TensorOrNumber = Tensor | int | float | bool
