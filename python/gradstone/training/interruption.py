"""Ctrl-C as a request."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


class Interruption:
    """Inside the block the first Ctrl-C calls `ask` and nothing else; from then on, and after the
    block, Ctrl-C does what it did before. Only in the main thread, where Python takes signals, and
    not where SIGINT is ignored."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._before: Any = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before is not None and before != signal.SIG_IGN:
                signal.signal(signal.SIGINT, self._first)
                self._before = before
        return self

    def _first(self, number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, self._before)
        self._ask()

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
