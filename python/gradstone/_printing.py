"""Tensors as text, in PyTorch's format.

Floats print with a fixed number of decimals, whole floats as ``1.``, very different magnitudes in
scientific notation; long tensors show their edges. :func:`set_printoptions` changes the limits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor


class _Options:
    def __init__(self) -> None:
        self.precision = 4
        self.threshold: float = 1000
        self.edgeitems = 3
        self.linewidth = 80
        self.sci_mode: bool | None = None


_options = _Options()
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Decimals, elements before a summary, edge items, line width, scientific notation.

    `profile` is "default", "short" or "full". `sci_mode` None lets the values decide.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"unknown profile {profile!r}: use one of {', '.join(_PROFILES)}.")
        for name, value in _PROFILES[profile].items():
            setattr(_options, name, value)
    if precision is not None:
        _options.precision = precision
    if threshold is not None:
        _options.threshold = threshold
    if edgeitems is not None:
        _options.edgeitems = edgeitems
    if linewidth is not None:
        _options.linewidth = linewidth
    _options.sci_mode = sci_mode


class _Formatter:
    """One format for all elements of a tensor, so that columns line up."""

    def __init__(self, values: np.ndarray) -> None:
        self.floating = values.dtype.kind == "f"
        self.whole = True
        self.scientific = False
        self.width = 1
        if not self.floating:
            self.width = max((len(str(v)) for v in values.reshape(-1).tolist()), default=1)
            return
        flat = values.reshape(-1).astype(np.float64)
        flat = flat[np.isfinite(flat) & (flat != 0)]
        if flat.size == 0:
            return
        largest, smallest = np.abs(flat).max(), np.abs(flat).min()
        self.whole = bool((flat == np.ceil(flat)).all())
        self.scientific = bool(
            largest / smallest > 1000.0 or largest > 1.0e8 or (not self.whole and smallest < 1.0e-4)
        )
        if _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        if self.scientific:
            texts = [f"{v:.{_options.precision}e}" for v in flat.tolist()]
        elif self.whole:
            texts = [f"{v:.0f}." for v in flat.tolist()]
        else:
            texts = [f"{v:.{_options.precision}f}" for v in flat.tolist()]
        self.width = max(1, max(map(len, texts)))

    def format(self, value: Any) -> str:
        if not self.floating:
            text = str(value)
        elif self.scientific:
            text = f"{value:.{_options.precision}e}"
        elif self.whole:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{_options.precision}f}"
        return text.rjust(self.width)


def _edges(values: np.ndarray) -> np.ndarray:
    """The elements that a summary shows: `edgeitems` from both ends of every dimension."""
    edge = _options.edgeitems
    for axis, size in enumerate(values.shape):
        if size > 2 * edge:
            keep = list(range(edge)) + list(range(size - edge, size))
            values = values.take(keep, axis)
    return values


def _vector(values: np.ndarray, indent: int, summarize: bool, formatter: _Formatter) -> str:
    edge = _options.edgeitems
    if summarize and len(values) > 2 * edge:
        last = values[-edge:].tolist() if edge else []
        parts = [formatter.format(v) for v in values[:edge].tolist()]
        parts += [" ..." if edge else "..."]
        parts += [formatter.format(v) for v in last]
    else:
        parts = [formatter.format(v) for v in values.tolist()]
    per_line = max(1, (_options.linewidth - indent) // (formatter.width + 2))
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(values: np.ndarray, indent: int, summarize: bool, formatter: _Formatter) -> str:
    if values.ndim == 0:
        return formatter.format(values.item())
    if values.ndim == 1:
        return _vector(values, indent, summarize, formatter)
    edge, count = _options.edgeitems, len(values)
    if summarize and count > 2 * edge:
        shown: list[int | None] = [*range(edge), None, *range(count - edge, count)]
    else:
        shown = [*range(count)]
    parts = [
        "..." if i is None else _nested(values[i], indent + 1, summarize, formatter) for i in shown
    ]
    separator = "," + "\n" * (values.ndim - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _values(t: Tensor) -> np.ndarray:
    """The tensor as a NumPy array whose dtype NumPy itself has."""
    t = t.detach().cpu()
    if t.dtype in (_C.bfloat16, _C.float16):
        t = _C._cast(t, _C.float32)
    return t.numpy()


def tensor_text(t: Tensor, indent: int) -> str:
    """The brackets and numbers, without "tensor(" and what follows."""
    values = _values(t)
    summarize = values.size > _options.threshold
    formatter = _Formatter(_edges(values) if summarize else values)
    return _nested(values, indent, summarize, formatter)


def _suffixes(t: Tensor) -> list[str]:
    default = _C.get_default_dtype()
    suffixes = []
    if t.device.type != "cpu":
        suffixes.append(f"device='{t.device}'")
    if t.numel() == 0:
        if t.dim() != 1:
            suffixes.append(f"size={tuple(t.shape)}")
        if t.dtype != default:
            suffixes.append(f"dtype={t.dtype}")
    elif t.dtype not in (default, _C.int64, _C.bool):
        suffixes.append(f"dtype={t.dtype}")
    if t.grad_fn is not None:
        name = t.grad_fn.name()
        suffixes.append(f"grad_fn=<{name}{'0' if name.endswith('Backward') else ''}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    return suffixes


def tensor_repr(t: Tensor) -> str:
    """`repr` of a tensor."""
    prefix = "tensor("
    indent = len(prefix)
    text = prefix + ("[]" if t.numel() == 0 else tensor_text(t, indent))
    line = len(text) - text.rfind("\n") + 1
    for suffix in _suffixes(t):
        if line + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            line = indent + len(suffix)
        else:
            text += ", " + suffix
            line += len(suffix) + 2
    return text + ")"
