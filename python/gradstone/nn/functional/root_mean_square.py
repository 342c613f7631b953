"""Normalisation by the root of the mean square."""

from __future__ import annotations

from collections.abc import Sequence

from gradstone import _C
from gradstone._C import Tensor


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """input / sqrt(mean(input^2) + eps) over the last dimensions, times weight; eps None is the
    distance from 1 to the next number of the dtype. 16-bit numbers are squared in float32."""
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise ValueError(
            f"[rms_norm] expected an input (..., {', '.join(map(str, shape))}), got "
            f"{tuple(input.shape)}."
        )
    narrow = input.dtype in (_C.float16, _C.bfloat16)
    x = _C._cast(input, _C.float32) if narrow else input
    if eps is None:
        eps = 2.0**-52 if x.dtype == _C.float64 else 2.0**-23
    y = x * (x.square().mean(tuple(range(-len(shape), 0)), True) + eps).rsqrt()
    y = _C._cast(y, input.dtype) if narrow else y
    return y if weight is None else y * weight
