"""Handles that take a hook away again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """Returned where a hook is registered. ``remove()`` takes it away; so does leaving a ``with``
    block."""

    _next_id = 0

    def __init__(self, hooks: dict[int, Any], *, extra: dict[int, Any] | None = None) -> None:
        self.id = RemovableHandle._next_id
        RemovableHandle._next_id += 1
        self._hooks = weakref.ref(hooks)
        self._extra = None if extra is None else weakref.ref(extra)

    def remove(self) -> None:
        """Takes the hook away; a second call does nothing."""
        for reference in (self._hooks, self._extra):
            hooks = None if reference is None else reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class HookDict(dict[int, Any]):
    """A dict that can be referred to weakly."""


def add_hook(
    hooks: HookDict,
    hook: Callable[..., Any],
    prepend: bool = False,
    flags: HookDict | None = None,
) -> RemovableHandle:
    """Puts a hook behind the others, or before them, and its number into `flags`."""
    handle = RemovableHandle(hooks, extra=flags)
    hooks[handle.id] = hook
    if flags is not None:
        flags[handle.id] = True
    if prepend:
        for key in [key for key in hooks if key != handle.id]:
            hooks[key] = hooks.pop(key)
    return handle
