"""What models print: the line of a run over batches, and the table of layers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

# ----------------------------------------------------------------------------------------- progress

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


# ------------------------------------------------------------------------------------------ summary


def size_text(count: int) -> str:
    """ "124.00 B", "31.00 KB" and so on."""
    size, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.2f} {unit}"


def _bytes(weights: list[Any]) -> int:
    return sum(w.numel() * w.dtype.itemsize for w in weights)


def _shape_text(layer: Any) -> str:
    shape = layer._output_shape
    if shape is None:
        return "?"
    if isinstance(shape, dict):
        shape = list(shape.values())
    if isinstance(shape, list):
        return "[" + ", ".join(str(tuple(s)) for s in shape) + "]"
    return str(tuple(shape))


def _connections(layer: Any, nodes: list[Any]) -> str:
    used = [
        f"{t._keras_history.layer.name}[{t._keras_history.index}][{t._keras_history.outputs.index(t)}]"
        for node in nodes
        if node.layer is layer
        for t in node.inputs
    ]
    return ", ".join(used) or "-"


def _rows(model: Any, nodes: list[Any] | None, nested: bool, prefix: str) -> list[list[str]]:
    rows = []
    for layer in model.layers:
        count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        row = [f"{prefix}{layer.name} ({type(layer).__name__})", _shape_text(layer), count]
        rows.append(row if nodes is None else [*row, _connections(layer, nodes)])
        if nested and hasattr(layer, "layers"):
            inner = _rows(layer, None, nested, prefix + "└ ")
            rows += [r if nodes is None else [*r, "-"] for r in inner]
    return rows


def summary(
    model: Any,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
) -> None:
    """Prints each layer with its output shape and number of parameters, then their sums."""
    from textwrap import wrap

    nodes = model._connected_nodes()
    titles = ["Layer (type)", "Output Shape", "Param #"] + (["Connected to"] if nodes else [])
    length = line_length or (80 if not nodes else 98)
    shares = [0.44, 0.34, 0.22] if not nodes else [0.30, 0.25, 0.15, 0.30]
    spare = length - 3 * len(titles) - 1
    widths = [int(spare * share) for share in shares]
    widths[0] += spare - sum(widths)
    aligns = [str.ljust, str.ljust, str.rjust, str.ljust]

    def border(left: str, middle: str, right: str, line: str) -> str:
        return left + middle.join(line * (w + 2) for w in widths) + right

    def cells(row: list[str], bar: str) -> list[str]:
        columns = [wrap(text, width, break_on_hyphens=False) for text, width in zip(row, widths)]
        lines = []
        for texts in zip_longest(*columns, fillvalue=""):
            parts = [f" {align(t, w)} " for t, w, align in zip(texts, widths, aligns)]
            lines.append(bar + bar.join(parts) + bar)
        return lines

    lines = [f'Model: "{model.name}"', border("┏", "┳", "┓", "━"), *cells(titles, "┃")]
    lines.append(border("┡", "╇", "┩", "━"))
    for i, row in enumerate(_rows(model, nodes, expand_nested, "")):
        if i:
            lines.append(border("├", "┼", "┤", "─"))
        lines += cells(row, "│")
    lines.append(border("└", "┴", "┘", "─"))
    trained, others = model.trainable_weights, model.non_trainable_weights
    kinds = [("Total", trained + others), ("Trainable", trained), ("Non-trainable", others)]
    optimizer = getattr(model, "optimizer", None)
    extra = optimizer.count_params() if optimizer is not None and optimizer._state else 0
    for kind, weights in kinds:
        count, size = sum(w.numel() for w in weights), _bytes(weights)
        if kind == "Total":
            count, size = count + extra, size + 4 * extra
        lines.append(f" {kind} params: {count:,} ({size_text(size)})")
    if extra:
        lines.append(f" Optimizer params: {extra:,} ({size_text(4 * extra)})")
    for line in lines:
        (print_fn or print)(line)
