"""The device's memory: what is held, and how much may be."""

from __future__ import annotations

from gradstone import _C
from gradstone._types import DeviceLike
from gradstone.cuda.devices import get_device_properties, index_of


def memory_stats(device: DeviceLike | int = None) -> dict[str, int]:
    """Bytes in use, their peak, bytes kept for reuse (`cached`), how many allocations, and how many
    of the bytes in use captured graphs hold (`graphs`)."""
    return _C._cuda_memory_stats(index_of(device))


def memory_allocated(device: DeviceLike | int = None) -> int:
    """Bytes that tensors and captured graphs take now."""
    return memory_stats(device)["in_use"]


def max_memory_allocated(device: DeviceLike | int = None) -> int:
    """Most bytes that tensors took since the start or `reset_peak_memory_stats`."""
    return memory_stats(device)["peak"]


def memory_reserved(device: DeviceLike | int = None) -> int:
    """Bytes held from the device, in use or kept for reuse."""
    stats = memory_stats(device)
    return stats["in_use"] + stats["cached"]


def reset_peak_memory_stats(device: DeviceLike | int = None) -> None:
    """Starts `max_memory_allocated` anew."""
    _C._cuda_reset_peak_memory(index_of(device))


def set_memory_limit(bytes: int, device: DeviceLike | int = None) -> None:
    """Most bytes to hold from the device; 0: no limit. Beyond it MemoryError is raised, and
    everything stays usable."""
    _C._cuda_set_memory_limit(bytes, index_of(device))


def set_per_process_memory_fraction(fraction: float, device: DeviceLike | int = None) -> None:
    """Limits what is held from the device to a part of its memory, in (0, 1]."""
    if not 0 < fraction <= 1:
        raise ValueError(
            "[set_per_process_memory_fraction] expected a fraction above 0 and up to 1, got "
            f"{fraction}."
        )
    total = get_device_properties(device).total_memory
    set_memory_limit(0 if fraction == 1 else int(fraction * total), device)


def empty_cache() -> None:
    """Gives memory that is kept for reuse, pinned memory too, back to the device and the system.
    RuntimeError while a graph is captured."""
    _C._cuda_empty_cache()


def memory_summary(device: DeviceLike | int = None, abbreviated: bool = False) -> str:
    """What `memory_stats` tells, as a table to print."""
    stats = memory_stats(device)
    rows = [
        ("in use", stats["in_use"]),
        ("  by captured graphs", stats["graphs"]),
        ("  at its peak", stats["peak"]),
        ("kept for reuse", stats["cached"]),
        ("held from the device", stats["in_use"] + stats["cached"]),
    ]
    lines = [f"memory of cuda:{index_of(device)}"]
    lines += [f"  {name:<24}{size / 2**20:>12.1f} MB" for name, size in rows]
    return "\n".join([*lines, f"  {'allocations':<24}{stats['allocations']:>12}"])
