"""The device beside the CPU, whichever it is: CUDA, or none.

device = gs.accelerator.current_accelerator() if gs.accelerator.is_available() else "cpu"
"""

from __future__ import annotations

from gradstone import _C, cuda


def is_available() -> bool:
    """Whether there is one."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> _C.device | None:
    """The device's type; None where the build has no kernels for one, and with `check_available`
    where there is no device."""
    there = cuda.is_available() if check_available else _C._cuda_built()
    return _C.device("cuda") if there else None


def device_count() -> int:
    """How many there are."""
    return cuda.device_count()


def synchronize() -> None:
    """Waits for all work given to it; nothing without one."""
    if cuda.is_available():
        cuda.synchronize()
