"""Tensors and other libraries' arrays on the same memory, by DLPack."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor


def dlpack(self: Tensor, **options: Any) -> Any:
    """A DLPack capsule on the tensor's memory, which must be the host's. RuntimeError for a tensor
    that requires a gradient, TypeError for bfloat16."""
    if self.dtype == _C.bfloat16:
        raise TypeError("[__dlpack__] bfloat16 is not supported; convert it first.")
    return self.numpy().__dlpack__(**options)


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's name of the device: (1, 0) for the host, (2, index) for CUDA."""
    return (2, self.device.index or 0) if self.is_cuda else (1, 0)


def from_dlpack(x: Any) -> Tensor:
    """A tensor on the memory of another library's array on the host."""
    import numpy as np

    return _C.from_numpy(np.from_dlpack(x))
