"""Small helpers of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone.keras._config import register_keras_serializable as register_keras_serializable
from gradstone.keras._tensor import Base, array, from_host, wrap
from gradstone.random import manual_seed


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Classes (...) as one-hot rows (..., num_classes): float64 arrays, float32 tensors where a
    tensor is given. ValueError for classes that do not fit."""
    classes = array(x).astype(np.int64)
    shape = classes.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    flat = classes.reshape(-1)
    count = int(flat.max()) + 1 if num_classes is None else int(num_classes)
    if flat.size and (flat.min() < 0 or flat.max() >= count):
        raise ValueError(
            f"Classes must be from 0 to {count - 1}, got {flat.min()} to {flat.max()}."
        )
    out = np.zeros((flat.size, count))
    out[np.arange(flat.size), flat] = 1
    out = out.reshape(*shape, count)
    return wrap(from_host(out.astype(np.float32))) if isinstance(x, Base) else out


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x divided by its norm along `axis`."""
    values = np.asarray(array(x))
    norm = np.atleast_1d(np.linalg.norm(values, order, axis))
    norm[norm == 0] = 1
    return values / np.expand_dims(norm, axis)


def set_random_seed(seed: int) -> None:
    """Seeds Python's, NumPy's and gradstone's random numbers."""
    import random

    random.seed(seed)
    np.random.seed(seed)
    manual_seed(seed)


class Sequence:
    """Batches by number: subclasses write ``__len__`` and ``__getitem__``, and may write
    ``on_epoch_end``, which is called when all batches were taken."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError


PyDataset = Sequence


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> np.ndarray:
    """Lists of different lengths as one array (N, maxlen), or of vectors (N, maxlen, D): filled
    and cut at the start ("pre") or the end ("post")."""
    for name, word in (("padding", padding), ("truncating", truncating)):
        if word not in ("pre", "post"):
            raise ValueError(f"{name} must be 'pre' or 'post', got {word!r}.")
    rows = [np.asarray(s) for s in sequences]
    length = max((len(r) for r in rows), default=0) if maxlen is None else maxlen
    sample = next((row.shape[1:] for row in rows if len(row)), ())
    out = np.full((len(rows), length, *sample), value, dtype=dtype)
    for target, row in zip(out, rows):
        kept = row[max(0, len(row) - length) :] if truncating == "pre" else row[:length]
        if len(kept):
            if padding == "post":
                target[: len(kept)] = kept
            else:
                target[length - len(kept) :] = kept
    return out
