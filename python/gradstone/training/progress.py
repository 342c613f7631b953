"""How far a loop has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import IO, Any

from gradstone._C import Tensor

# A bar is drawn ten times a second, or as often as a hundredth of the time allows.
_LEAST_SECONDS, _SHARE = 0.1, 0.01


class Progress:
    """Shows the steps of a loop, its values and its rate:

        with Progress(len(loader), "epoch 1/5") as bar:
            for images, labels in loader:
                ...
                bar.update(samples=len(labels), loss=loss)

    On a terminal with rich it is a bar with the time left, drawn at most ten times a second and in
    a hundredth of the time; elsewhere, with `quarters`, a line at each quarter. At the end a line
    stays. Values are numbers, tensors of one element, or functions that give one: they are read
    when they are shown and at no other step, so that nothing waits for a device.

    `total`: the number of steps, None when nobody knows. `file`: where to write (sys.stdout).
    `enabled` False shows nothing.
    """

    def __init__(
        self,
        total: int | None,
        label: str = "",
        *,
        quarters: bool = True,
        file: IO[str] | None = None,
        enabled: bool = True,
    ) -> None:
        if total is not None and (not isinstance(total, int) or total < 0):
            raise ValueError(f"[Progress] expected total to be a whole number >= 0, got {total!r}.")
        self.total = total
        self.label = label
        self.done = 0
        self._before = 0
        self.samples = 0
        self.values: dict[str, Any] = {}
        self._file = file
        self._enabled = enabled
        self._quarter = max(1, -(-total // 4)) if total and quarters else None
        self._bar: Any = None
        self._start = self._next_look = perf_counter()
        self._held: float | None = None

    def __enter__(self) -> Progress:
        self._start = self._next_look = perf_counter()
        if self._enabled:
            self._bar = _rich_bar(self._out, self.label, self.total)
        return self

    @property
    def _out(self) -> IO[str]:
        return self._file or sys.stdout

    def go_on_from(self, done: int) -> None:
        """So many steps were done at another time: they are shown, and not in the rate."""
        self.done = self._before = done

    def update(self, steps: int = 1, samples: int = 0, **values: Any) -> None:
        """So many steps are done, with so many samples; the values replace those before."""
        self.done += steps
        self.samples += samples
        if not self._enabled:
            return
        if values:
            self.values.update(values)
        if self._bar is not None:
            if perf_counter() >= self._next_look:
                self._draw()
        elif self._quarter and self.done % self._quarter < steps and self.done != self.total:
            print(self._line(), file=self._out, flush=True)

    def __exit__(self, kind: Any, *error: object) -> None:
        """The last line; after an exception none."""
        if not self._enabled:
            return
        if self._bar is not None:
            self._bar.stop()  # and takes it away
            self._bar = None
        if kind is None:
            print(self._line(), file=self._out, flush=True)
        self.values = {}

    def hold(self) -> None:
        """The work that is counted is over: the rate stays what it is."""
        self._held = perf_counter() - self._start

    # ------------------------------------------------------------------------------------- inside

    def status(self) -> str:
        """Values and rate as text."""
        parts = [f"{name} {_text(value)}" for name, value in self.values.items()]
        seconds = max(self._held or perf_counter() - self._start, 1e-9)
        steps = self.done - self._before
        count, unit = (self.samples, "samples/s") if self.samples else (steps, "steps/s")
        if count or not self._before:
            parts.append(f"{count / seconds:.{0 if count >= 10 * seconds else 2}f} {unit}")
        return "  ".join(parts)

    def _line(self) -> str:
        total = "" if self.total is None else f"/{self.total}"
        seconds = perf_counter() - self._start
        return f"{self.label}  {self.done}{total}  {self.status()}  {seconds:.1f} s".lstrip()

    def _draw(self) -> None:
        start = perf_counter()
        self._bar.update(0, completed=self.done, status=self.status())
        self._bar.refresh()
        end = perf_counter()
        self._next_look = end + max(_LEAST_SECONDS, (end - start) / _SHARE)


def _text(value: Any) -> str:
    """A value in four or five digits."""
    if callable(value) and not isinstance(value, Tensor):
        value = value()
    if isinstance(value, Tensor):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
    return str(value)


def _rich_bar(file: IO[str], label: str, total: int | None) -> Any:
    """A bar of rich's, begun; None where there is no terminal or no rich."""
    if not file.isatty():
        return None
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress
    except ImportError:
        return None
    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
        console=Console(file=file),
        auto_refresh=False,  # no thread beside the loop
        transient=True,
    )
    bar.start()
    bar.add_task(label, total=total, status="")
    return bar
