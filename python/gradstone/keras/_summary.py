"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at blanks where there are some."""
    lines, line = [], ""
    for word in text.split(" "):
        while len(word) > width:
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:width])
            word = word[width:]
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line or not lines else lines


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
        columns = [_wrap(text, width) for text, width in zip(row, widths)]
        height = max(len(c) for c in columns)
        out = []
        for i in range(height):
            parts = [
                f" {align(c[i] if i < len(c) else '', w)} "
                for c, w, align in zip(columns, widths, aligns)
            ]
            out.append(bar + bar.join(parts) + bar)
        return out

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
