"""Which device there is, and waiting for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from gradstone import _C
from gradstone._types import DeviceLike


class DeviceProperties(NamedTuple):
    """What `get_device_properties` tells; memory in bytes."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int


def index_of(device: Any) -> int:
    """The number of a CUDA device given as None, a number, 'cuda:0' or a device."""
    if device is None:
        return 0
    if isinstance(device, int):
        return device
    place = _C.device(device)
    if place.type != "cuda":
        raise ValueError(f"[cuda] expected a CUDA device, got {str(device)!r}.")
    return place.index or 0


def is_available() -> bool:
    """Whether tensors can live on a GPU."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether the CUDA runtime can be used."""
    return is_available()


def device_count() -> int:
    """How many GPUs gradstone can use: 0 or 1."""
    return _C._cuda_device_count()


def current_device() -> int:
    """The number of the device in use."""
    if not is_available():
        raise RuntimeError("[current_device] this machine or this build of gradstone has no GPU.")
    return 0


def set_device(device: DeviceLike | int) -> None:
    """Chooses the device to use. There is one: RuntimeError for any but the first; a negative
    number changes nothing, as in PyTorch."""
    index, most = index_of(device), max(device_count() - 1, 0)
    if index < 0:
        return
    current_device()
    if index > most:
        raise RuntimeError(f"[set_device] expected a CUDA device in [0, {most}], got {index}.")


class device:
    """with cuda.device(0): the device to use inside. There is one: RuntimeError for any but the
    first; None or a negative number changes nothing."""

    def __init__(self, device: DeviceLike | int) -> None:
        self.idx = -1 if device is None else index_of(device)

    def __enter__(self) -> device:
        set_device(self.idx)
        return self

    def __exit__(self, *_: object) -> None:
        pass


def get_device_properties(device: DeviceLike | int = None) -> DeviceProperties:
    """Name, compute capability, number of processors and memory of a device."""
    return DeviceProperties(*_C._cuda_properties(index_of(device)))


def get_device_name(device: DeviceLike | int = None) -> str:
    """The device's name, as its maker gives it."""
    return get_device_properties(device).name


def get_device_capability(device: DeviceLike | int = None) -> tuple[int, int]:
    """Compute capability: (9, 0) for an H100."""
    found = get_device_properties(device)
    return found.major, found.minor


def synchronize(device: DeviceLike | int = None) -> None:
    """Waits until everything put into the device's streams is done."""
    index_of(device)
    _C._cuda_synchronize()
