"""Sequences of different lengths in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

from gradstone import _C, _creation
from gradstone._C import Generator, Tensor
from gradstone._checks import whole
from gradstone.random import stream
from gradstone.utils.data.collate import default_collate
from gradstone.utils.data.sampler import Sampler, fresh_generator


def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_i, ...) with equal further dimensions as one tensor (max L, B, ...), or (B, max
    L, ...) with batch_first; PyTorch's function of this name. Lists of numbers are taken too.

    Of different dtypes, as of numbers, comes the one that holds them all. ValueError for no
    sequence, or further dimensions that differ.
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side should be 'left' or 'right', got {padding_side!r}")
    tensors = [s if isinstance(s, Tensor) else _creation.tensor(s) for s in sequences]
    if not tensors:
        raise ValueError("[pad_sequence] expected at least one sequence, got none.")
    rest = tuple(tensors[0].shape[1:])
    for t in tensors:
        if t.dim() == 0 or tuple(t.shape[1:]) != rest:
            raise ValueError(
                f"[pad_sequence] expected sequences of shape (L, {', '.join(map(str, rest))}), got "
                f"{tuple(t.shape)}."
            )
    longest = max(t.size(0) for t in tensors)
    # An empty list has no type of its own: the others say what the batch holds.
    filled = [t for t in tensors if t.size(0)] or tensors[:1]
    dtype = reduce(_C.promote_types, (t.dtype for t in filled))
    rows = []
    for t in tensors:
        missing = longest - t.size(0)
        if missing:
            fill = _C._full((missing, *rest), padding_value, dtype, t.device)
            t = t.to(dtype)
            t = _C.cat([t, fill] if padding_side == "right" else [fill, t], 0)
        rows.append(t.to(dtype))
    return _C.stack(rows, 0 if batch_first else 1)


class PadCollate:
    """For ``DataLoader(collate_fn=...)``: items (sequence, target) become ((padded (B, T),
    lengths (B,) int64), targets), as a model ``forward(tokens, lengths)`` takes them.

    Targets that are numbers become a vector; sequences among them are padded with
    `target_padding` (B, T').
    """

    def __init__(self, padding_value: float = 0, target_padding: float | None = None) -> None:
        self.padding_value = padding_value
        self.target_padding = target_padding

    def __call__(self, items: Sequence[tuple[Any, Any]]) -> tuple[tuple[Tensor, Tensor], Any]:
        sequences, targets = [item[0] for item in items], [item[1] for item in items]
        lengths = _creation.tensor([len(s) for s in sequences], dtype=_C.int64)
        padded = pad_sequence(sequences, True, self.padding_value)
        if self.target_padding is not None:
            return (padded, lengths), pad_sequence(targets, True, self.target_padding)
        return (padded, lengths), default_collate(targets)


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of items of about the same length, so that little is padding.

    Each pass draws a new order, cuts it into buckets of `bucket` batches, sorts each bucket by
    length, cuts it into batches and visits all batches in random order. Without shuffle, batches go
    from short to long. `lengths` has one number for each item of the data set.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        bucket: int = 50,
        generator: Generator | None = None,
    ) -> None:
        self.lengths = [int(n) for n in lengths]
        self.batch_size = whole("BucketBatchSampler", "batch_size", batch_size, 1)
        self.bucket = whole("BucketBatchSampler", "bucket", bucket, 1)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        count, size = len(self.lengths), self.batch_size
        return count // size if self.drop_last else -(-count // size)

    def __iter__(self) -> Iterator[list[int]]:
        count, size = len(self.lengths), self.batch_size
        if not self.shuffle:
            order = sorted(range(count), key=self.lengths.__getitem__)
            batches = [order[i : i + size] for i in range(0, count, size)]
        else:
            generator = self.generator or fresh_generator()
            order = _C._randperm(count, *stream(generator)).tolist()
            batches = []
            for start in range(0, count, size * self.bucket):
                part = sorted(
                    order[start : start + size * self.bucket], key=self.lengths.__getitem__
                )
                batches += [part[i : i + size] for i in range(0, len(part), size)]
        if self.drop_last:
            batches = [batch for batch in batches if len(batch) == size]
        if self.shuffle:
            visit = _C._randperm(len(batches), *stream(generator)).tolist()
            batches = [batches[i] for i in visit]
        yield from batches
