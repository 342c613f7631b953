"""Batches in pinned memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from gradstone._C import Tensor


def pinned(data: Any) -> Any:
    """`data` with its tensors in pinned memory, inside dicts, lists and tuples too. An object with
    a method ``pin_memory`` does it itself; what holds no tensors stays as it is."""
    if isinstance(data, Tensor):
        return data if data.is_cuda else data.pin_memory()
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return {key: pinned(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(pinned(value) for value in data))
    if isinstance(data, tuple):
        return tuple(pinned(value) for value in data)
    if isinstance(data, Sequence):
        return [pinned(value) for value in data]
    return data


def pinned_batches(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """Each batch, pinned when it is asked for."""
    try:
        for batch in batches:
            yield pinned(batch)
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()
