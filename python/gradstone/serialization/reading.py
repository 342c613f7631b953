"""Files to values, of the few kinds that there are."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DeviceLike
from gradstone.serialization.format import FORMAT, NUMPY, SAFETENSORS, digest, typed

_TORCH_FILES = (
    b"PK\x03\x04",  # a zip archive
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",  # before 1.6: the pickle of a magic number
)
MapLocation = DeviceLike | dict[str, str] | Callable[..., Any]


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
        if kind == "dtype" and value in NUMPY:
            return getattr(_C, value)
        if kind == "device":
            try:
                return _C.device(value)
            except RuntimeError as error:
                raise ValueError(str(error)) from None
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


def _placer(map_location: MapLocation, where: str) -> Callable[[Tensor, str], Tensor]:
    """Puts a tensor that was on the named device where it goes."""
    if map_location is None:
        return lambda t, device: t if device == "cpu" else _back_there(t, device, where)
    if isinstance(map_location, dict):
        table = {str(k): str(v) for k, v in map_location.items()}
        return lambda t, device: _C._to_device(t, table.get(device, device))
    if isinstance(map_location, (str, _C.device)):
        return lambda t, device: _C._to_device(t, map_location)

    def call(t: Tensor, device: str) -> Tensor:
        moved = map_location(t, device)
        return t if moved is None else moved

    return call


def _back_there(t: Tensor, device: str, where: str) -> Tensor:
    try:
        return _C._to_device(t, device)
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(
            f"[load] {where} has a tensor of device {device!r}, which is not here ({error}) "
            'map_location="cpu" loads it on the CPU.'
        ) from None


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
    elif not hasattr(f, "read"):
        raise TypeError(f"[load] expected a path or a file to read, got {type(f).__name__}.")
    else:
        where = str(getattr(f, "name", "the file"))
        data = f.read()
    if data.startswith(_TORCH_FILES):
        from gradstone.utils import torch_files

        return torch_files.read_torch_file(
            data,
            where,
            lambda raw, dtype: from_bytes(dtype, (-1,), raw),
            _placer(map_location, where),
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
    if metadata.get("format") != FORMAT or not isinstance(metadata.get("structure"), str):
        raise RuntimeError(
            f"[load] {where} is a safetensors file that gradstone.save did not write: read it with "
            f"the "
            "safetensors package."
        )
    parts: list[tuple[str, str, tuple[int, ...], Any]] = []
    for name, entry in entries:
        dtype = SAFETENSORS.get(entry["dtype"])
        if dtype is None:
            raise RuntimeError(f"[load] {where} has a tensor of dtype {entry['dtype']}.")
        parts.append((name, dtype, tuple(entry["shape"]), entry["data"]))
    if digest(metadata["structure"], parts) != metadata.get("sha256"):
        raise RuntimeError(
            f"[load] {where} has changed since it was written: the checksum is wrong."
        )
    blocks = {name: (dtype, from_bytes(dtype, shape, raw)) for name, dtype, shape, raw in parts}
    try:
        return _Reader(blocks, _placer(map_location, where)).decode(
            json.loads(metadata["structure"])
        )
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise RuntimeError(
            f"[load] {where} has a structure that cannot be read: {error}."
        ) from None


def from_bytes(dtype: str, shape: tuple[int, ...], data: Any) -> Tensor:
    array = np.frombuffer(bytearray(data), NUMPY[dtype]).reshape(shape)
    return _C.from_numpy(typed(array, dtype))
