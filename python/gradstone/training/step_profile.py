"""What a profiled step took, as tables and as a trace."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from gradstone._checks import whole
from gradstone.training._watching import Event

LOSS = "(loss)"  # where the operations of the loss are


@dataclass
class Row:
    """What one operation (all its calls) or one module took: seconds and bytes, in all and without
    what is listed below it."""

    name: str
    kind: str
    calls: int = 0
    forward: float = 0.0
    own: float = 0.0
    backward: float = 0.0
    bytes: int = 0
    parameters: int = 0


@dataclass
class StepProfile:
    """What ``profile_step`` saw. ``print(profile)`` shows both tables.

    `events`: every operation in order, `modules`: every call of a module, with `start`, `seconds`,
    `own` (without the operations or modules inside), `bytes` (by how much the memory in use grew),
    `held` (what was in use then) and `shape` (of the first result). `phases`: seconds of
    forward, loss, backward, optimizer. `seconds`: the watched step; `plain`: the same step when
    nobody watches. `peak`: the most bytes in use during the step, with what
    was there before (`before`: weights, the optimizer's state, the batch).
    """

    events: list[Event]
    modules: list[Event]
    phases: dict[str, float]
    seconds: float
    plain: float
    peak: int
    before: int
    device: str
    _starts: dict[str, float] = field(repr=False)
    _parameters: dict[str, int] = field(repr=False)

    def by_operation(self) -> list[Row]:
        """A row for each operation of each phase, slowest first."""
        rows: dict[tuple[str, str], Row] = {}
        for event in self.events:
            row = rows.setdefault((event.phase, event.name), Row(event.name, event.phase))
            row.calls += 1
            row.own += event.own
            row.bytes += event.bytes
        return sorted(rows.values(), key=lambda row: -row.own)

    def between(self) -> dict[str, float]:
        """Seconds of each phase outside of every operation seen: Python, and what is not seen."""
        left = dict(self.phases)
        for event in self.events:
            left[event.phase] -= event.own
        return left

    def by_module(self) -> list[Row]:
        """A row for each module that was called, in the order of the calls; "" is the model. Time
        and memory include the modules inside, `own` does not."""
        rows: dict[str, Row] = {}
        for event in sorted(self.modules, key=lambda event: event.start):
            row = rows.setdefault(event.module, Row(event.module, event.name))
            row.calls += 1
            row.forward += event.seconds
            row.own += event.own
            row.bytes += event.bytes
            row.parameters = self._parameters.get(event.module, 0)
        for event in self.events:
            if event.phase != "backward":
                continue
            for path in _above(event.module):
                if path in rows:
                    rows[path].backward += event.seconds
        return list(rows.values())

    def table(self, by: str = "operation", limit: int | None = 25) -> str:
        """The rows as text: by "operation" (slowest first) or by "module" (in order). `limit`: at
        most so many rows; what is left out is summed in a last line."""
        if by not in ("operation", "module"):
            raise ValueError(
                f"[StepProfile.table] expected by='operation' or 'module', got {by!r}."
            )
        if limit is not None:
            limit = whole("StepProfile.table", "limit", limit, 1)
        return self._operations(limit) if by == "operation" else self._modules(limit)

    def _operations(self, limit: int | None) -> str:
        rows = self.by_operation()
        shown = rows[:limit]
        lines: list[tuple[str, ...]] = [("operation", "phase", "calls", "time", "share", "memory")]
        for row in shown:
            lines.append((row.name, row.kind, str(row.calls), *self._spent(row.own, row.bytes)))
        if len(rows) > len(shown):
            rest = rows[len(shown) :]
            calls = str(sum(row.calls for row in rest))
            spent = self._spent(sum(row.own for row in rest), sum(row.bytes for row in rest))
            lines.append((f"({len(rest)} more)", "", calls, *spent))
        for phase, seconds in self.between().items():
            lines.append(("(between operations)", phase, "", *self._spent(seconds, None)))
        return _aligned(lines, texts=2)

    def _modules(self, limit: int | None) -> str:
        rows = self.by_module()
        shown = rows[:limit]
        head = ("module", "kind", "calls", "parameters", "forward", "own", "backward", "memory")
        lines: list[tuple[str, ...]] = [head]
        for row in shown:
            lines.append(
                (
                    row.name or "(model)",
                    row.kind,
                    str(row.calls),
                    f"{row.parameters:,}",
                    _time(row.forward),
                    _time(row.own),
                    _time(row.backward),
                    _size(row.bytes),
                )
            )
        if len(rows) > len(shown):
            lines.append((f"({len(rows) - len(shown)} more)", *[""] * 7))
        return _aligned(lines, texts=2)

    def _spent(self, seconds: float, size: int | None) -> tuple[str, str, str]:
        share = f"{100 * seconds / sum(self.phases.values()):.1f} %"
        return _time(seconds), share, "" if size is None else _size(size)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_time(seconds)}" for name, seconds in self.phases.items())
        head = (
            f"one step on {self.device}: {_time(self.seconds)} ({parts}); {_time(self.plain)} when "
            f"nobody watches\nmemory: {_size(self.peak)} at most, {_size(self.before)} before"
        )
        return f"{head}\n\n{self.table('module')}\n\n{self.table('operation')}"

    def chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the events for chrome://tracing or ui.perfetto.dev (Trace Event Format, JSON):
        modules, operations and phases under each other, and the memory that the operations hold."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "gradstone step"}}
        ]
        for thread, name in enumerate(("phases", "modules", "operations")):
            args = {"name": name}
            events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": thread, "args": args})
        for name, seconds in self.phases.items():
            events.append(_complete(name, "phase", 0, self._starts[name], seconds, {}))
        for event in self.modules:
            name = f"{event.module or '(model)'} {event.name}".strip()
            events.append(
                _complete(name, "module", 1, event.start, event.seconds, _arguments(event))
            )
        for event in self.events:
            events.append(
                _complete(event.name, event.phase, 2, event.start, event.seconds, _arguments(event))
            )
            end = 1e6 * (event.start + event.seconds)
            events.append(
                {"ph": "C", "name": "bytes", "pid": 0, "ts": end, "args": {"held": event.held}}
            )
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, out)


def _above(path: str) -> list[str]:
    """A module and all that hold it: "a.b" gives "a.b", "a", ""."""
    if path == LOSS:
        return []
    found = [path]
    while path:
        path = path.rpartition(".")[0]
        found.append(path)
    return found


def _arguments(event: Event) -> dict[str, Any]:
    shape = None if event.shape is None else list(event.shape)
    return {"module": event.module, "shape": shape, "bytes": event.bytes}


def _complete(
    name: str, category: str, thread: int, start: float, seconds: float, args: dict[str, Any]
) -> dict[str, Any]:
    """A complete event; times in microseconds."""
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": 0,
        "tid": thread,
        "ts": 1e6 * start,
        "dur": 1e6 * seconds,
        "args": args,
    }


def _aligned(lines: list[tuple[str, ...]], texts: int) -> str:
    """Columns of equal width, a rule under the head; the first `texts` columns to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = [
        "  ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([rows[0], "-" * (sum(widths) + 2 * len(widths) - 2), *rows[1:]])


def _time(seconds: float) -> str:
    if abs(seconds) >= 1.0:
        return f"{seconds:.3f} s"
    return f"{1e3 * seconds:.3f} ms" if abs(seconds) >= 1e-3 else f"{1e6 * seconds:.1f} us"


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(count) >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count} B"
