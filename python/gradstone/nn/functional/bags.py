"""Embeddings of whole bags of indices."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone.nn.functional.linear_maps import embedding


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    mode: str = "mean",
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of rows of weight (V, D): of each row of input (B, L), or of bags
    that begin at `offsets` (B) in input (N); (B, D). An empty bag gives 0, and so does
    `padding_idx`, which is not counted. `per_sample_weights` (the input's shape) multiply rows, for
    mode "sum". The last of `offsets` is the end of the last bag with `include_last_offset`.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"[embedding_bag] expected mode 'sum', 'mean' or 'max', got {mode!r}.")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError("[embedding_bag] per_sample_weights are for mode 'sum'.")
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"[embedding_bag] expected per_sample_weights of shape {tuple(input.shape)}, got "
                f"{tuple(per_sample_weights.shape)}."
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    index, starts = _flat(input, offsets, include_last_offset)
    lengths = [end - start for start, end in zip(starts, starts[1:])]
    rows = embedding(index, weight)
    if padding_idx is not None:
        kept = index != padding_idx % weight.size(0)
        rows, ends = rows[kept], [0, *kept.long().cumsum(0).tolist()]
        starts = [ends[start] for start in starts]
        lengths = [end - start for start, end in zip(starts, starts[1:])]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[kept]
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    device = weight.device
    if mode == "max":
        zero = _C._full((weight.size(1),), 0, weight.dtype, device)
        bags = [rows[s:e].amax(0) if e > s else zero for s, e in zip(starts, starts[1:])]
        return _C.stack(bags) if bags else rows[:0]
    counts = _C.tensor_from_data(lengths, _C.int64, device)
    bags_of_rows = [bag for bag, length in enumerate(lengths) for _ in range(length)]
    which = _C.tensor_from_data(bags_of_rows, _C.int64, device)
    total = _C._full((len(lengths), weight.size(1)), 0, rows.dtype, device)
    total = total.index_add(0, which, rows)
    if mode == "sum":
        return total
    return total / _C._cast(counts.clamp(min=1), rows.dtype).unsqueeze(1)


def _flat(input: Tensor, offsets: Tensor | None, to_the_end: bool) -> tuple[Tensor, list[int]]:
    """(the indices as one row, where bags begin and the last one ends)."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("[embedding_bag] offsets are for an input of one dimension.")
        bags, length = input.shape
        return input.reshape(-1), [i * length for i in range(bags + 1)]
    if input.dim() != 1 or offsets is None or offsets.dim() != 1:
        raise ValueError(
            "[embedding_bag] expected input (B, L), or input (N) with offsets (B), got "
            f"{tuple(input.shape)} and {None if offsets is None else tuple(offsets.shape)}."
        )
    starts = [int(n) for n in offsets.tolist()]
    if not to_the_end:
        starts.append(len(input))
    if not starts or starts[0] != 0 or starts[-1] > len(input) or starts != sorted(starts):
        raise ValueError(
            f"[embedding_bag] expected offsets that begin with 0 and rise up to {len(input)}, got "
            f"{offsets.tolist()}."
        )
    return input, starts
