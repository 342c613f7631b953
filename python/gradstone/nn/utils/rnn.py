"""Sequences of different lengths: padded into one tensor, or packed without padding.

A packed sequence holds the steps of all sequences one after the other, longest sequence first: all
first steps, all second steps, and so on, with the number of sequences that reach each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradstone import _C
from gradstone._C import Tensor


class PackedSequence(NamedTuple):
    """data (sum of lengths, ...), batch_sizes (longest length) int64 on the CPU, and where each
    sequence went by length and came from (N), None when they were given in that order."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """``Tensor.to`` of the data; the indices follow it to its device."""
        data = self.data.to(*args, **kwargs)
        indices = (None if i is None else i.to(data.device) for i in self[2:])
        return PackedSequence(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        """Everything on the CPU."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data on a GPU."""
        return self.to("cuda", *args, **kwargs)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda


def _indices(values: Any, like: Tensor) -> Tensor:
    return _C._to_device(_C.from_numpy(np.array(values, np.int64)), like.device)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where each index stands in a permutation (N) of 0 to N - 1."""
    return None if permutation is None else _C.argsort(permutation)


def _checked_lengths(op: str, lengths: Any, batch: int, longest: int) -> list[int]:
    given = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if len(given) != batch:
        raise RuntimeError(f"[{op}] expected {batch} lengths, one for each sequence, got {given}.")
    numbers = [int(n) for n in given]
    if any(not 1 <= n <= longest or n != g for n, g in zip(numbers, given)):
        raise RuntimeError(f"[{op}] expected whole lengths from 1 to {longest}, got {given}.")
    return numbers


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Packs (T, N, ...), or (N, T, ...) with batch_first, without what lies behind each length.

    With `enforce_sorted` the lengths must not increase; without it sequences are sorted, and what
    recurrent layers and ``pad_packed_sequence`` give back is in the order of `input` again.
    """
    op = "pack_padded_sequence"
    if input.dim() < 2 or 0 in input.shape[:2]:
        raise RuntimeError(
            f"[{op}] expected at least one sequence of one step, got shape {tuple(input.shape)}."
        )
    if batch_first:
        input = input.transpose(0, 1)
    longest, batch = input.shape[:2]
    sizes = np.array(_checked_lengths(op, lengths, batch, longest))
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    elif (np.diff(sizes) > 0).any():
        raise RuntimeError(
            f"[{op}] expected lengths that do not increase, got {sizes.tolist()}; give "
            "enforce_sorted=False to have the sequences sorted."
        )
    used = np.arange(sizes[0])[:, None] < sizes  # T N
    where = np.arange(batch) if order is None else order
    rows = (np.arange(sizes[0])[:, None] * batch + where)[used]
    flat = input.reshape(longest * batch, *input.shape[2:])
    data = _C.index_select(flat, 0, _indices(rows, input))
    counts = _C.from_numpy(used.sum(1).astype(np.int64))
    if order is None:
        return PackedSequence(data, counts)
    return PackedSequence(data, counts, _indices(order, input), _indices(np.argsort(order), input))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(T, N, ...), or (N, T, ...) with batch_first, and the lengths (N): what
    ``pack_padded_sequence`` was given, with `padding_value` behind each length. T is the longest
    length or `total_length`."""
    counts = np.array(sequence.batch_sizes.tolist(), np.int64)
    steps, batch = len(counts), int(counts[0])
    if total_length is not None and total_length < steps:
        raise ValueError(
            f"[pad_packed_sequence] expected total_length of {steps} or more, got {total_length}."
        )
    missing = np.ones((total_length or steps, batch), bool)
    missing[:steps] = np.arange(batch) >= counts[:, None]
    rows = np.zeros(missing.shape, np.int64)
    rows[:steps] = (np.cumsum(counts) - counts)[:, None] + np.arange(batch)
    rows[missing] = 0
    lengths = _C.from_numpy((~missing).sum(0))
    data = sequence.data
    padded = _C.index_select(data, 0, _indices(rows.reshape(-1), data))
    padded = padded.reshape(*missing.shape, *data.shape[1:])
    mask = _C._to_device(_C.from_numpy(missing), data.device)
    mask = mask.reshape(*missing.shape, *(1 for _ in data.shape[1:]))
    padded = padded.masked_fill(mask, padding_value)
    back = sequence.unsorted_indices
    if back is not None:
        padded = _C.index_select(padded, 1, back)
        lengths = _C.index_select(lengths, 0, back.cpu())
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (L, ...) of different lengths as one (T, N, ...), or (N, T, ...) with batch_first, T
    the longest length, with `padding_value` behind or before ("left") each."""
    if padding_side not in ("left", "right"):
        raise ValueError(
            f"[pad_sequence] expected padding_side 'left' or 'right', got {padding_side!r}."
        )
    given = list(sequences)
    if not given or any(not isinstance(s, Tensor) or s.dim() == 0 for s in given):
        kinds = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in given]
        raise RuntimeError(
            f"[pad_sequence] expected one or more tensors of shape (L, ...), got {kinds}."
        )
    if any(s.shape[1:] != given[0].shape[1:] for s in given):
        shapes = [tuple(s.shape) for s in given]
        raise ValueError(f"[pad_sequence] expected one shape behind the lengths, got {shapes}.")
    longest = max(s.size(0) for s in given)

    def padded(sequence: Tensor) -> Tensor:
        missing = longest - sequence.size(0)
        sides = (missing, 0) if padding_side == "left" else (0, missing)
        rest = (0, 0) * (sequence.dim() - 1)
        return _C._pad(sequence, (*rest, *sides), "constant", float(padding_value))

    return _C.stack([padded(s) for s in given], 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Iterable[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences that ``pad_sequence`` made one tensor of, as views of it."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if len(sizes) != len(rows) or any(not 0 <= n <= rows.size(1) for n in sizes):
        raise ValueError(
            f"[unpad_sequence] expected {len(rows)} lengths from 0 to {rows.size(1)}, got {sizes}."
        )
    return [row[:size] for row, size in zip(rows, sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs tensors (L, ...), longest first unless `enforce_sorted` is False."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The tensors (L, ...) that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
