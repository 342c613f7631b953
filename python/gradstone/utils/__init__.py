"""Helpers: hooks, data loading, and memory for time (``utils.checkpoint``, imported when it is
used)."""

from typing import Any

from gradstone.utils import data, hooks

__all__ = ["data", "hooks"]


def __getattr__(name: str) -> Any:
    if name != "checkpoint":
        raise AttributeError(f"module 'gradstone.utils' has no attribute {name!r}")
    from importlib import import_module

    return import_module("gradstone.utils.checkpoint")
