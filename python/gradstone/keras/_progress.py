"""The lines that fit, evaluate and predict print."""

from __future__ import annotations

import sys
import time

_BAR = 20
_PERIOD = 0.1  # seconds between changes of the line on a terminal


def number_text(value: float) -> str:
    """Four digits behind the point; an exponent for what these would not show."""
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def duration_text(seconds: float) -> str:
    """ "2s", "35ms" or "120us" for a step."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def whole_text(seconds: float) -> str:
    """ "10s", "2:05" or "1:02:05"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    return f"{hours}:{minutes % 60:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Progress:
    """One line for a run over batches.

    verbose 0 prints nothing, 1 a bar, which moves on a terminal and is printed once at the end
    elsewhere, 2 one line without a bar.
    """

    def __init__(self, verbose: int, steps: int | None) -> None:
        self.verbose, self.steps = verbose, steps
        self.moving = verbose == 1 and sys.stdout.isatty()
        self.start = self.shown = time.perf_counter()
        self.width = 0

    def wants(self) -> bool:
        """Whether the line is to change now."""
        return self.moving and time.perf_counter() - self.shown > _PERIOD

    def update(self, step: int, logs: dict[str, float]) -> None:
        """Changes the line after `step` batches."""
        self.shown = time.perf_counter()
        self._draw(step, logs, False)

    def finish(self, step: int, logs: dict[str, float]) -> None:
        """The line as it stays."""
        if self.verbose:
            self._draw(step, logs, True)

    def _draw(self, step: int, logs: dict[str, float], last: bool) -> None:
        passed = time.perf_counter() - self.start
        total = self.steps or step
        each = passed / max(step, 1)
        width = len(str(total))
        values = "".join(f" - {name}: {number_text(v)}" for name, v in logs.items())
        if self.verbose == 2:
            text = f"{step}/{total} - {whole_text(passed)} - {duration_text(each)}/step{values}"
            print(text, flush=True)
            return
        filled = _BAR if last else min(_BAR, _BAR * step // max(total, 1))
        bar = "━" * _BAR
        time_text = whole_text(passed if last or self.steps is None else each * (total - step))
        if self.moving:
            bar = f"\x1b[32m{bar[:filled]}\x1b[37m{bar[filled:]}\x1b[0m"
        text = f"{step:{width}}/{total} {bar} {time_text} {duration_text(each)}/step{values}"
        shown = len(text) - (15 if self.moving else 0)
        blank = " " * max(0, self.width - shown)
        self.width = shown
        start = "\r" if self.moving else ""
        print(f"{start}{text}{blank}", end="\n" if last else "", flush=True)
