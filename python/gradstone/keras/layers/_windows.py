"""What layers with windows share: orders of dimensions, sizes and padding."""

from __future__ import annotations

from typing import Any

from gradstone._C import Tensor


def channels_first(x: Tensor) -> Tensor:
    """(N, ..., C) as (N, C, ...)."""
    return x.permute(0, x.dim() - 1, *range(1, x.dim() - 1))


def channels_last(x: Tensor) -> Tensor:
    """(N, C, ...) as (N, ..., C)."""
    return x.permute(0, *range(2, x.dim()), 1)


def sizes(n: int, name: str, value: Any) -> tuple[int, ...]:
    """`value` for each of n dimensions. ValueError unless whole and above 0."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(given) != n or any(
        isinstance(v, bool) or not isinstance(v, int) or v <= 0 for v in given
    ):
        raise ValueError(
            f"The `{name}` argument must be a tuple of {n} positive integers. Received: "
            f"{name}={value}"
        )
    return given


def checked_format(data_format: str | None) -> str:
    """ "channels_last". ValueError for any other."""
    if data_format not in (None, "channels_last"):
        raise ValueError(f"Only data_format='channels_last' is offered, got {data_format!r}.")
    return "channels_last"


def out_length(size: Any, kernel: int, stride: int, padding: str, dilation: int = 1) -> Any:
    """Size after a window of this kernel: ceil(size / stride) with padding, else what fits."""
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    out = (size - dilation * (kernel - 1) - 1) // stride + 1
    if out <= 0:
        raise ValueError(
            f"Computed output size would be negative or zero: an input of size {size} is smaller "
            "than "
            f"the kernel of size {dilation * (kernel - 1) + 1} with padding='valid'."
        )
    return out


def same_sides(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding before and after, the odd one after, such that ceil(size / stride) comes out."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2
