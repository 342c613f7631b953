"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Iterable

from gradstone import _C
from gradstone._C import Tensor


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_i, *) as one tensor (T, B, *), T the longest L_i, or (B, T, *) with
    `batch_first`; what is missing at `padding_side` is `padding_value`."""
    parts = list(sequences)
    if not parts or not all(isinstance(part, Tensor) and part.dim() for part in parts):
        raise TypeError("[pad_sequence] expected one or more tensors (length, ...).")
    if padding_side not in ("left", "right"):
        raise ValueError(
            f"[pad_sequence] expected padding_side 'left' or 'right', got {padding_side!r}."
        )
    rest = {tuple(part.shape[1:]) for part in parts}
    if len(rest) > 1:
        raise ValueError(
            f"[pad_sequence] expected shapes that agree outside dimension 0, got {sorted(rest)}."
        )
    longest = max(len(part) for part in parts)
    keep = [0, 0] * (parts[0].dim() - 1)
    padded = []
    for part in parts:
        lack = longest - len(part)
        sides = [lack, 0] if padding_side == "left" else [0, lack]
        padded.append(_C._pad(part, (*keep, *sides), "constant", float(padding_value)))
    return _C.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Iterable[int], batch_first: bool = False
) -> list[Tensor]:
    """What ``pad_sequence`` joined (padded at the right), as a list again; views."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if len(sizes) != len(rows) or any(not 0 <= n <= rows.size(1) for n in sizes):
        raise ValueError(
            f"[unpad_sequence] expected {len(rows)} lengths from 0 to {rows.size(1)}, got {sizes}."
        )
    return [row[:size] for row, size in zip(rows, sizes)]
