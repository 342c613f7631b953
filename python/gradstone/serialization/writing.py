"""Values to a file."""

from __future__ import annotations

import base64
import json
import math
import os
from collections import Counter, OrderedDict
from typing import IO, Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._replace import write_file
from gradstone.serialization.format import FORMAT, digest, dtype_name, typed


class _Block:
    """One array in the file: a tensor, or memory that several tensors look into."""

    def __init__(self, name: str, dtype: str, array: np.ndarray) -> None:
        self.name = name
        self.dtype = dtype
        self.array = array


def _raw(t: Tensor) -> np.ndarray:
    """The tensor's memory as a NumPy array with its strides; bfloat16 as its bits."""
    array = t.detach().cpu().numpy()
    return array.view(np.uint16) if t.dtype == _C.bfloat16 else array


def _expanded(array: np.ndarray) -> bool:
    """Whether values are there more than once, in one place: a file holds them once."""
    return any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape))


def _span(array: np.ndarray) -> tuple[int, int]:
    """First byte and the one behind the last."""
    from numpy.lib.array_utils import byte_bounds

    return byte_bounds(array)


class _Writer:
    """Collects the structure first, then lays out the tensors: those that share memory go
    together."""

    def __init__(self) -> None:
        self.tensors: list[tuple[str, Tensor, dict[str, Any]]] = []
        self.open: set[int] = set()

    def encode(self, value: Any, path: str) -> Any:
        """The JSON for a value; `path` names it in errors and in the file."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)  # of a str that is an Enum, its text
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, (int, np.integer)):
            return int(value)
        if isinstance(value, (float, np.floating)):
            number = float(value)
            return number if math.isfinite(number) else {"$": "float", "v": repr(number)}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, _C.dtype):
            return {"$": "dtype", "v": dtype_name(value)}
        if isinstance(value, _C.device):
            return {"$": "device", "v": str(value)}
        if isinstance(value, bytes):
            return {"$": "bytes", "v": base64.b64encode(value).decode("ascii")}
        if isinstance(value, (list, tuple, dict, set)):
            return self._container(value, path)
        raise TypeError(
            f"[save] cannot save {type(value).__module__}.{type(value).__qualname__} at "
            f"{path or 'the top'}: "
            "expected tensors, numbers, text, None, dtypes, devices, and dicts, lists, tuples or "
            "sets of "
            "them. Save a module's state_dict(), not the module."
        )

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self.open:
            raise ValueError(f"[save] {path or 'the top'} contains itself.")
        self.open.add(id(value))
        try:
            if isinstance(value, dict):
                kind = "dict"
                if isinstance(value, OrderedDict):
                    kind = "OrderedDict"
                elif isinstance(value, Counter):
                    kind = "Counter"
                items = [
                    [
                        self.encode(k, f"{path}<key>"),
                        self.encode(v, f"{path}.{k}" if path else str(k)),
                    ]
                    for k, v in value.items()
                ]
                return {"$": kind, "v": items}
            parts = [self.encode(v, f"{path}.{i}" if path else str(i)) for i, v in enumerate(value)]
            if isinstance(value, list):
                return parts
            if isinstance(value, set):
                return {"$": "set", "v": parts}
            return {"$": "Size" if isinstance(value, _C.Size) else "tuple", "v": parts}
        finally:
            self.open.discard(id(value))

    def _tensor(self, t: Tensor, path: str) -> Any:
        from gradstone.nn.parameter import Parameter

        node: dict[str, Any] = {"$": "tensor"}
        if isinstance(t, Parameter):
            node["parameter"] = True
        if t.requires_grad and t.is_leaf:
            node["grad"] = True
        if t.device.type != "cpu":
            node["device"] = str(t.device)
        self.tensors.append((path or "tensor", t, node))
        return node

    def layout(self) -> list[_Block]:
        """Blocks for all tensors; fills in where each tensor's node finds its values."""
        blocks: list[_Block] = []
        names: set[str] = set()
        arrays = [(_raw(t), path, t, node) for path, t, node in self.tensors]
        empty = [entry for entry in arrays if entry[0].size == 0]
        spans = sorted(
            ((*_span(entry[0]), i) for i, entry in enumerate(arrays) if entry[0].size),
            key=lambda s: s[:2],
        )
        groups: list[tuple[int, int, list[int]]] = []
        for low, high, i in spans:
            same = groups and low < groups[-1][1]
            if same and dtype_name(arrays[groups[-1][2][0]][2].dtype) == dtype_name(
                arrays[i][2].dtype
            ):
                first, last, members = groups[-1]
                groups[-1] = (first, max(last, high), [*members, i])
            else:
                groups.append((low, high, [i]))
        groups.sort(key=lambda g: min(g[2]))

        def unique(path: str) -> str:
            name, n = path, 1
            while name in names or name == "__metadata__":
                n += 1
                name = f"{path}#{n}"
            names.add(name)
            return name

        for array, path, t, node in empty:
            node["at"] = unique(path)
            blocks.append(_Block(node["at"], dtype_name(t.dtype), np.asarray(array, order="C")))
        for low, high, members in groups:
            first = members[0] if len(members) == 1 else min(members)
            array, path, t, node = arrays[first]
            name = unique(path)
            windows = {
                (arrays[i][0].ctypes.data, arrays[i][0].shape, arrays[i][0].strides)
                for i in members
            }
            if len(windows) == 1 and not _expanded(array):
                # One tensor, perhaps met several times: stored as it is.
                blocks.append(_Block(name, dtype_name(t.dtype), np.asarray(array, order="C")))
                for i in members:
                    arrays[i][3]["at"] = name
                continue
            size = array.itemsize
            memory = np.zeros((high - low) // size, array.dtype)
            for i in members:
                member = arrays[i][0]
                offset = (member.ctypes.data - low) // size
                strides = tuple(s // size for s in member.strides)
                window = np.lib.stride_tricks.as_strided(
                    memory[offset:], member.shape, member.strides
                )
                once = tuple(slice(0, 1) if step == 0 else slice(None) for step in strides)
                window[once] = member[once]
                arrays[i][3].update(
                    at=name, offset=offset, shape=list(member.shape), stride=list(strides)
                )
            blocks.append(_Block(name, dtype_name(t.dtype), memory))
        return blocks


def _serialize(obj: Any) -> bytes:
    from safetensors.numpy import save as to_bytes

    writer = _Writer()
    try:
        root = writer.encode(obj, "")
        blocks = writer.layout()
        structure = json.dumps(root, allow_nan=False)
    except RecursionError:
        raise ValueError("[save] the object is nested too deeply.") from None
    parts: list[tuple[str, str, tuple[int, ...], Any]] = [
        (b.name, b.dtype, b.array.shape, b.array.reshape(-1).view(np.uint8)) for b in blocks
    ]
    metadata = {"format": FORMAT, "structure": structure, "sha256": digest(structure, parts)}
    return to_bytes({b.name: typed(b.array, b.dtype) for b in blocks}, metadata)


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Writes `obj` to a path or to a file object.

    `obj`: tensors (on any device; views and shared memory are kept), parameters, numbers, text,
    None, dtypes, devices, and dicts, lists, tuples and sets of them. TypeError for anything else,
    before anything is written. A path is replaced at once: the data goes to a temporary file beside
    it, reaches the disk, and takes the name; a crash leaves the old file or the new one. Behind a
    link it is the file that is replaced, and a pipe or a device is written to.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise TypeError(
            f"[save] expected a path or a file to write to, got {type(f).__name__}: it is "
            "save(obj, path)."
        )
    data = _serialize(obj)
    if not isinstance(f, (str, os.PathLike)):
        f.write(data)
        return
    write_file(f, data)
