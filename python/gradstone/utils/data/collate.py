"""Items made a batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradstone import _C, _creation
from gradstone._C import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Tensors are stacked, arrays and numbers become tensors, text stays a list; dicts, tuples and
    lists are collated field by field. TypeError for anything else, RuntimeError when sizes
    differ."""
    first = batch[0]
    if isinstance(first, Tensor):
        return _C.stack(list(batch), 0)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUO":
            raise TypeError(f"default_collate: arrays of dtype {first.dtype} are not supported")
        return _C.stack([_creation.as_tensor(item) for item in batch], 0)
    if isinstance(first, np.generic):
        return _creation.as_tensor(np.array(batch))
    if isinstance(first, (bool, int)):
        return _creation.tensor(list(batch))
    if isinstance(first, float):
        return _C.tensor_from_data(list(batch), _C.float64, "cpu")
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        fields = {key: default_collate([item[key] for item in batch]) for key in first}
        return _like(first, fields)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(field) for field in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(field) for field in zip(*batch)]
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def _like(mapping: Mapping[Any, Any], fields: dict[Any, Any]) -> Any:
    """The fields in a mapping of the same class, where that can be copied and written to."""
    if type(mapping) is dict:
        return fields
    try:
        same: Any = copy.copy(mapping)
        same.update(fields)
    except (AttributeError, TypeError):
        return fields
    return same


def default_convert(data: Any) -> Any:
    """Arrays and NumPy's numbers inside `data` become tensors; nothing is batched."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.generic) and data.dtype.kind not in "SUO":
        return _creation.as_tensor(np.asarray(data))
    if isinstance(data, np.ndarray) and data.dtype.kind not in "SUO":
        return _creation.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, (tuple, list)):
        return [default_convert(value) for value in data]
    return data
