"""Methods of ``Tensor`` that say what it is."""

from __future__ import annotations

from typing import Any

from gradstone import _creation
from gradstone._C import Tensor


def is_nonzero(self: Tensor) -> bool:
    """Whether the only element is not 0."""
    return bool(self)


def get_device(self: Tensor) -> int:
    """The index of the GPU, -1 for main memory."""
    return (self.device.index or 0) if self.is_cuda else -1


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return self.shape == other.shape


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed down to a shape that broadcasts to the tensor's own."""
    shape = _creation.shape_of(size, "sum_to_size")
    lead = self.dim() - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, self.shape[lead:])):
        raise ValueError(f"[sum_to_size] shape {shape} does not broadcast to {tuple(self.shape)}.")
    ones = [lead + i for i, n in enumerate(shape) if n == 1 != self.size(lead + i)]
    return self.sum([*range(lead), *ones], True).reshape(shape) if lead or ones else self


def copy_of(self: Tensor) -> Tensor:
    """copy.copy(): another tensor on the same memory, a leaf, with the same attributes."""
    out = type(self)._make_subclass(type(self), self.detach(), self.requires_grad)
    out.__dict__.update(self.__dict__)
    return out


METHODS: dict[str, Any] = {
    "is_nonzero": is_nonzero,
    "get_device": get_device,
    "is_same_size": is_same_size,
    "sum_to_size": sum_to_size,
    "__copy__": copy_of,
    "is_cpu": property(lambda self: not self.is_cuda, doc="Whether it is in main memory."),
}
