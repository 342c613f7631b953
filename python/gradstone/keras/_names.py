"""Names of layers, and dtypes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstone import _C

_names: dict[str, int] = {}


def snake_case(name: str) -> str:
    """ "max_pooling2d" for "MaxPooling2D"."""
    out = ""
    for i, letter in enumerate(name):
        before = name[i - 1] if i else ""
        after = name[i + 1] if i + 1 < len(name) else ""
        if letter.isupper() and i and (before.islower() or (after.islower() and before.isupper())):
            out += "_"
        out += letter.lower()
    return out.lstrip("_")


def unique_name(base: str) -> str:
    """base, base_1, base_2..."""
    count = _names.get(base, 0)
    _names[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def clear_names() -> None:
    """Names start from the beginning again."""
    _names.clear()


def dtype_of(dtype: Any) -> Any:
    """A dtype given as itself, as text or NumPy's."""
    if dtype is None or isinstance(dtype, _C.dtype):
        return dtype or _C.float32
    found = getattr(_C, dtype if isinstance(dtype, str) else np.dtype(dtype).name, None)
    if not isinstance(found, _C.dtype):
        raise ValueError(f"Invalid dtype: {dtype}")
    return found
