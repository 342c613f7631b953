"""The graph that a thread captures, and what its replays do again on the host."""

from __future__ import annotations

import threading
from collections.abc import Callable


class _Recording(threading.local):
    """Each thread may capture a graph of its own."""

    steps: list[Callable[[], None]] | None = None

    def add(self, step: Callable[[], None]) -> None:
        """Has each replay call `step` before the device goes to work."""
        if self.steps is None:
            raise RuntimeError("[capture] no graph of this thread is being captured.")
        self.steps.append(step)

    def refuse(self, name: str, instead: str) -> None:
        """RuntimeError while this thread captures a graph."""
        if self.steps is not None:
            raise RuntimeError(f"[{name}] cannot be part of a captured graph: {instead}")


recording = _Recording()
