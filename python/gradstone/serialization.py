"""Saving and loading without running code.

A file is one safetensors file. Its header carries, beside the tensors, the structure as JSON
(nested dicts, lists, tuples, numbers, text, dtypes, devices, with references to tensors) and a
SHA-256 of structure and tensors. Reading builds these few kinds of values and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import struct
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DeviceLike

__all__ = ["load", "save"]

_FORMAT = "gradstone-1"
_TORCH_FILES = (
    b"PK\x03\x04",  # a zip archive
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",  # before 1.6: the pickle of a magic number
)
MapLocation = DeviceLike | dict[str, str] | Callable[..., Any]
_NUMPY = {
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
_SAFETENSORS = {
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


# ------------------------------------------------------------------------------------------ writing


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
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or type(value) in (bool, str) else str(value)
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
            if len(windows) == 1:
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
                window[...] = member
                arrays[i][3].update(
                    at=name, offset=offset, shape=list(member.shape), stride=list(strides)
                )
            blocks.append(_Block(name, dtype_name(t.dtype), memory))
        return blocks


def _digest(structure: str, blocks: list[tuple[str, str, tuple[int, ...], Any]]) -> str:
    """SHA-256 over the structure and every tensor's name, dtype, shape and bytes."""
    sha = hashlib.sha256()
    for part in (_FORMAT, structure):
        data = part.encode()
        sha.update(struct.pack("<Q", len(data)))
        sha.update(data)
    for name, dtype, shape, data in sorted(blocks, key=lambda b: b[0]):
        head = json.dumps([name, dtype, list(shape)]).encode()
        sha.update(struct.pack("<Q", len(head)))
        sha.update(head)
        sha.update(data)
    return sha.hexdigest()


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
    metadata = {"format": _FORMAT, "structure": structure, "sha256": _digest(structure, parts)}
    return to_bytes({b.name: _typed(b.array, b.dtype) for b in blocks}, metadata)


def _typed(array: np.ndarray, dtype: str) -> np.ndarray:
    """bfloat16 as such, not as its bits."""
    if dtype != "bfloat16":
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """Writes `obj` to a path or to a file object.

    `obj`: tensors (on any device; views and shared memory are kept), parameters, numbers, text,
    None, dtypes, devices, and dicts, lists, tuples and sets of them. TypeError for anything else,
    before anything is written. A path is replaced at once: the data goes to a temporary file beside
    it, reaches the disk, and takes the name; a crash leaves the old file or the new one.
    """
    data = _serialize(obj)
    if not isinstance(f, (str, os.PathLike)):
        f.write(data)
        return
    path = Path(f)
    folder = path.parent
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ------------------------------------------------------------------------------------------ reading


def _refuse_foreign(data: bytes, where: str) -> None:
    """RuntimeError with the reason when these bytes are no safetensors file."""
    if not data:
        raise RuntimeError(f"[load] {where} is empty.")
    # The length of a header may begin with the bytes of a pickle; a header begins with a brace.
    if data[:1] == b"\x80" and len(data) > 1 and data[1] <= 5 and data[8:9] != b"{":
        raise RuntimeError(f"[load] {where} is a pickle, which could run code: it is not read.")
    if len(data) < 8:
        raise RuntimeError(f"[load] {where} is truncated: {len(data)} bytes.")
    header = struct.unpack("<Q", data[:8])[0]
    if header > 100_000_000 or data[8:9] != b"{":
        raise RuntimeError(f"[load] {where} is not a file that gradstone.save wrote.")
    if len(data) < 8 + header:
        raise RuntimeError(f"[load] {where} is truncated: its header says {header} bytes.")


class _Reader:
    def __init__(
        self, blocks: dict[str, tuple[str, Tensor]], place: Callable[[Tensor, str], Tensor]
    ) -> None:
        self.blocks = blocks
        self.place = place

    def decode(self, node: Any) -> Any:
        """The value that a piece of structure describes."""
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, list):
            return [self.decode(part) for part in node]
        kind, value = node["$"], node.get("v")
        if kind == "tensor":
            return self._tensor(node)
        if kind in ("dict", "OrderedDict", "Counter"):
            items = [(self.decode(k), self.decode(v)) for k, v in value]
            if kind == "dict":
                return dict(items)
            return OrderedDict(items) if kind == "OrderedDict" else Counter(dict(items))
        if kind in ("tuple", "set", "Size"):
            parts = [self.decode(part) for part in value]
            return {"tuple": tuple, "set": set, "Size": _C.Size}[kind](parts)
        if kind == "float":
            return float(value)
        if kind == "dtype" and value in _NUMPY:
            return getattr(_C, value)
        if kind == "device":
            return _C.device(value)
        if kind == "bytes":
            return base64.b64decode(value, validate=True)
        raise ValueError(f"unknown kind {kind!r}")

    def _tensor(self, node: dict[str, Any]) -> Tensor:
        _, t = self.blocks[node["at"]]
        if "offset" in node:
            t = _C.as_strided(t, node["shape"], node["stride"], node["offset"])
        t = self.place(t, node.get("device", "cpu"))
        if node.get("parameter"):
            from gradstone.nn.parameter import Parameter

            return Parameter(t, requires_grad=bool(node.get("grad")))
        t = t.detach()
        return t.requires_grad_(True) if node.get("grad") else t


def _placer(map_location: MapLocation) -> Callable[[Tensor, str], Tensor]:
    """Where a tensor goes that was on the named device."""
    if map_location is None:
        return lambda t, device: t if device == "cpu" else _C._to_device(t, device)
    if isinstance(map_location, dict):
        table = {str(k): str(v) for k, v in map_location.items()}
        return lambda t, device: _C._to_device(t, table.get(device, device))
    if isinstance(map_location, (str, _C.device)):
        return lambda t, device: _C._to_device(t, map_location)

    def call(t: Tensor, device: str) -> Tensor:
        moved = map_location(t, device)
        return t if moved is None else moved

    return call


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: MapLocation = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """What ``save`` wrote, or ``torch.save`` (.pt, .pth), from a path or a file object.

    RuntimeError, with the reason, for files that are truncated, changed since they were written, or
    foreign. No code in a file is ever run: of a file of PyTorch tensors and plain data are read
    (a state_dict, a checkpoint), and one that holds anything else, such as a whole module, is
    refused. `weights_only` is accepted for PyTorch's sake. `map_location`: a device, a dict of
    device names, or a function (tensor, device name).
    """
    if isinstance(f, (str, os.PathLike)):
        where = str(f)
        data = Path(f).read_bytes()
    else:
        where = str(getattr(f, "name", "the file"))
        data = f.read()
    if data.startswith(_TORCH_FILES):
        from gradstone.utils import torch_files

        return torch_files.read_torch_file(
            data, where, lambda raw, dtype: _from_bytes(dtype, (-1,), raw), _placer(map_location)
        )
    _refuse_foreign(data, where)
    import safetensors

    try:
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        metadata = header.get("__metadata__") or {}
        entries = safetensors.deserialize(data)
    except RecursionError:
        raise RuntimeError(f"[load] {where} is nested too deeply.") from None
    except Exception as error:
        raise RuntimeError(f"[load] {where} is truncated or damaged: {error}.") from None
    if metadata.get("format") != _FORMAT or not isinstance(metadata.get("structure"), str):
        raise RuntimeError(
            f"[load] {where} is a safetensors file that gradstone.save did not write: read it with "
            f"the "
            "safetensors package."
        )
    parts: list[tuple[str, str, tuple[int, ...], Any]] = []
    for name, entry in entries:
        dtype = _SAFETENSORS.get(entry["dtype"])
        if dtype is None:
            raise RuntimeError(f"[load] {where} has a tensor of dtype {entry['dtype']}.")
        parts.append((name, dtype, tuple(entry["shape"]), entry["data"]))
    if _digest(metadata["structure"], parts) != metadata.get("sha256"):
        raise RuntimeError(
            f"[load] {where} has changed since it was written: the checksum is wrong."
        )
    blocks = {name: (dtype, _from_bytes(dtype, shape, raw)) for name, dtype, shape, raw in parts}
    try:
        return _Reader(blocks, _placer(map_location)).decode(json.loads(metadata["structure"]))
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise RuntimeError(
            f"[load] {where} has a structure that cannot be read: {error}."
        ) from None


def _from_bytes(dtype: str, shape: tuple[int, ...], data: Any) -> Tensor:
    array = np.frombuffer(bytearray(data), _NUMPY[dtype]).reshape(shape)
    return _C.from_numpy(_typed(array, dtype))
