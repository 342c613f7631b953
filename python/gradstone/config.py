"""How this build computes: version, threads, instruction set."""

from __future__ import annotations

from gradstone import _C

__all__ = [
    "__version__",
    "are_deterministic_algorithms_enabled",
    "get_float32_matmul_precision",
    "get_num_threads",
    "set_float32_matmul_precision",
    "set_num_threads",
    "show_config",
    "use_deterministic_algorithms",
]

__version__: str = _C.version


def set_num_threads(num_threads: int) -> None:
    """Threads an operation may use, the caller included. ValueError below 1.

    Results carry the same bits for any number.
    """
    if not isinstance(num_threads, int) or isinstance(num_threads, bool):
        raise TypeError(f"expected an int, got {type(num_threads).__name__}.")
    if num_threads < 1:
        raise ValueError(f"expected at least one thread, got {num_threads}.")
    _C.set_num_threads(num_threads)


def get_num_threads() -> int:
    """Threads an operation may use: at first the CPUs this process may run on."""
    return _C.num_threads()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to do: every operation gives the same bits every time, whatever is asked for."""


def are_deterministic_algorithms_enabled() -> bool:
    """True, always."""
    return True


def _cuda() -> str:
    if not _C._cuda_built():
        return "not built"
    if not _C._cuda_device_count():
        return "built, no device"
    name, major, minor, *_ = _C._cuda_properties(0)
    return f"{name}, compute capability {major}.{minor}"


def show_config() -> str:
    """A few lines that describe the build and the machine, for bug reports."""
    import platform
    import sys

    import numpy as np

    lines = [
        f"gradstone {__version__}",
        f"  instruction set: {_C.isa()}",
        f"  threads: {_C.num_threads()}",
        f"  CUDA: {_cuda()}",
        f"  Python {sys.version.split()[0]}, NumPy {np.__version__}",
        f"  {platform.platform()}",
    ]
    return "\n".join(lines)


_PRECISIONS = ("highest", "high", "medium")  # in the order of cuda/float32_products.h
_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """How products of float32 matrices on a GPU may use its tensor cores. ValueError for a word
    that is none of these; on the CPU all are as the first.

    "highest": not at all. "high": three products of TF32 for each, about as accurate as float32,
    but what is infinite may become NaN. "medium": operands are rounded to TF32's 11 bits.
    """
    global _precision
    if precision not in _PRECISIONS:
        raise ValueError(
            f"[set_float32_matmul_precision] expected one of {', '.join(_PRECISIONS)}, "
            f"got {precision!r}."
        )
    _C._cuda_set_float32_products(_PRECISIONS.index(precision))
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told last; "highest" at first."""
    return _precision
