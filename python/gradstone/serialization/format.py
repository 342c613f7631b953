"""What writing and reading agree on: names of dtypes, and the checksum."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np

FORMAT = "gradstone-1"
NUMPY = {
    "bool": np.dtype(np.bool_),
    "uint8": np.dtype(np.uint8),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.uint16),  # the same bits
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
SAFETENSORS = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}


def dtype_name(dtype: Any) -> str:
    """ "float32" for gradstone.float32."""
    return str(dtype).rpartition(".")[2]


def digest(structure: str, blocks: list[tuple[str, str, tuple[int, ...], Any]]) -> str:
    """SHA-256 over the structure and every tensor's name, dtype, shape and bytes."""
    sha = hashlib.sha256()
    for part in (FORMAT, structure):
        data = part.encode()
        sha.update(struct.pack("<Q", len(data)))
        sha.update(data)
    for name, dtype, shape, data in sorted(blocks, key=lambda b: b[0]):
        head = json.dumps([name, dtype, list(shape)]).encode()
        sha.update(struct.pack("<Q", len(head)))
        sha.update(head)
        sha.update(data)
    return sha.hexdigest()


def typed(array: np.ndarray, dtype: str) -> np.ndarray:
    """bfloat16 as such, not as its bits."""
    if dtype != "bfloat16":
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)
