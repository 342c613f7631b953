"""How far a download is: a bar on a terminal where rich is installed, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

_SECONDS_BETWEEN_LINES = 5.0


def megabytes(count: int) -> str:
    """1,234,567 bytes as "1.2 MB"."""
    return f"{count / 1e6:.1f} MB"


class DownloadProgress:
    """As a context, around the transfer of one file of `total` bytes (None: nobody knows), of
    which `have` were there before."""

    def __init__(self, name: str, total: int | None, have: int = 0) -> None:
        self._name, self._total, self._have = name, total, have
        self._bar: Any = None
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def __enter__(self) -> DownloadProgress:
        if sys.stderr.isatty():
            self._bar = _rich_bar(self._name, self._total, self._have)
        if self._bar is None:
            size = "" if self._total is None else f" ({megabytes(self._total)})"
            start = f", going on at {megabytes(self._have)}" if self._have else ""
            self._say(f"downloading {self._name}{size}{start}")
        else:
            self._bar.start()
        return self

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._have += count
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._have)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            share = f", {100 * self._have // self._total} %" if self._total else ""
            self._say(f"  {self._name}: {megabytes(self._have)}{share}")

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @staticmethod
    def _say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def _rich_bar(name: str, total: int | None, have: int) -> Any:
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ImportError:
        return None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    bar.add_task(name, total=total, completed=have)
    return bar
