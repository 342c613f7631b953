"""The text of a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradstone.model_summary import ModelSummary, Row

_HEADINGS = ("Layer (name)", "Output shape", "Parameters", "Trainable", "Multiply-adds", "Outputs")
_TEXTS = 2  # of these columns hold text, the others numbers


def size(count: int) -> str:
    """Bytes with a decimal unit: 1 kB = 1000 B."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.95 or unit == "TB":
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _cells(row: Row) -> tuple[str, ...]:
    layer = "  " * row.depth + row.kind
    if row.path:
        layer += f" ({row.path.rpartition('.')[2]})"
    if row.calls > 1:
        layer += f" x{row.calls}"
    shape = "-"
    if row.output_shapes:
        more = len(row.output_shapes) - 1
        shape = str(row.output_shapes[0]) + (f" +{more}" if more else "")
    parameters = f"{row.parameters:,}" if row.parameters else "-"
    if row.shared_parameters:
        shared = f"({row.shared_parameters:,})"
        parameters = f"{parameters} {shared}" if row.parameters else shared
    return (
        layer,
        shape,
        parameters,
        row.trainable or "-",
        f"{row.multiply_adds:,}" if row.multiply_adds else "-",
        size(row.output_bytes) if row.output_bytes else "-",
    )


def _totals(summary: ModelSummary) -> list[str]:
    s = summary
    lines = [
        f"Parameters: {s.total_parameters:,} ({s.trainable_parameters:,} trainable, "
        f"{s.total_parameters - s.trainable_parameters:,} not)",
    ]
    memory = f"parameters {size(s.parameter_bytes)}, buffers {size(s.buffer_bytes)}"
    if s.input_bytes is not None:
        lines.append(f"Multiply-adds: {s.multiply_adds:,}")
        memory = f"input {size(s.input_bytes)}, outputs {size(s.output_bytes)}, {memory}"
    lines.append(f"Memory: {memory}; together {size(s.total_bytes)}")
    if any(row.shared_parameters for row in s.rows):
        lines.append("(n): parameters shared with an earlier layer, counted there")
    return lines


def table(summary: ModelSummary) -> str:
    """Rows under their headings, children indented, then the totals."""
    rows = [_HEADINGS, *(_cells(row) for row in summary.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < _TEXTS else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    width = max(map(len, lines))
    line = "-" * width
    return "\n".join([lines[0], line, *lines[1:], line, *_totals(summary)])
