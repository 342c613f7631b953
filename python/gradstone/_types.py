"""Names for what arguments may be."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone._C import Tensor, device, dtype

Number = int | float | bool
Shape = Sequence[int]
DeviceLike = device | str | None
DTypeLike = dtype | None
TensorOrNumber = Tensor | int | float | bool
