"""PyTorch's name for a tensor before tensors recorded themselves."""

from __future__ import annotations

from gradstone._C import Tensor


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The tensor's values (not a copy) without its history; a leaf that records when
    `requires_grad`."""
    if not isinstance(data, Tensor):
        raise TypeError(f"[Variable] expected a Tensor, got {type(data).__name__}.")
    return data.detach().requires_grad_(requires_grad)
