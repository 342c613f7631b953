"""Files of ``torch.save`` (.pt, .pth, .bin), read without running anything in them.

Both forms: the zip archive (PyTorch 1.6 and later) with a pickle ``data.pkl`` and a file for each
storage, and the older sequence of pickles with the storages behind them. The pickle goes through
``utils.plain_pickle``, which stands in for tensors, parameters, OrderedDicts and a few other
classes of plain data; a file that names anything else, a whole module for instance, is refused.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.utils.plain_pickle import Machine, Name, UnsafePickleError, expect, keyed

_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_SIZES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "uint8": 1, "int8": 1, "bool": 1}

# (bytes, dtype) -> a tensor of one dimension
FromBytes = Callable[[Any, str], Tensor]
Place = Callable[[Tensor, str], Tensor]


class _Storage:
    """The values that tensors are views of; an older file has them behind its pickle."""

    def __init__(self, dtype: str, count: int, location: str) -> None:
        self.dtype, self.count, self.location = dtype, count, location
        self.bytes = count * _SIZES.get(dtype, 2)
        self.values: Tensor | None = None


class _View:
    """A tensor whose values may not be there yet."""

    def __init__(self, storage: _Storage, offset: Any, size: Any, stride: Any) -> None:
        for numbers in ((offset,), size, stride):
            if any(type(n) is not int or n < 0 for n in expect(numbers, tuple)):
                raise ValueError("a tensor's size, stride or offset is no whole number >= 0")
        if len(size) != len(stride):
            raise ValueError(f"a tensor has size {size} and stride {stride}")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        if 0 not in size and last >= storage.count:
            raise ValueError(
                f"a tensor of size {size}, stride {stride} and offset {offset} reaches beyond "
                f"its {storage.count} values"
            )
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def tensor(self) -> Tensor:
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor has no values")
        return _C.as_strided(values, list(self.size), list(self.stride), self.offset)


class _TorchMachine(Machine):
    known = {
        **Machine.known,
        "collections OrderedDict": "dict",
        "collections Counter": "counter",
        "__builtin__ set": "set",
        "torch Size": "tuple",
        "torch device": "device",
        "torch._utils _rebuild_tensor_v2": "tensor",
        "torch._utils _rebuild_parameter": "parameter",
        **{f"torch {name}": name for name in _DTYPES},
    }

    def __init__(self, storages: dict[str, _Storage]) -> None:
        super().__init__()
        self.storages = storages

    def name(self, name: str) -> Any:
        module, _, what = name.partition(" ")
        if module == "torch" and what in _DTYPES.values():
            return getattr(_C, what)
        kin = name.startswith("torch._utils _rebuild_") or re.fullmatch(r"torch \w+Storage", name)
        if kin and name not in self.known:
            raise UnsafePickleError(
                f"holds tensors of a kind that there is not here ({name.replace(' ', '.')})"
            )
        return super().name(name)

    def made(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        if kind == "dict":
            return keyed(arguments[0] if arguments else ())
        if kind == "counter":  # the milestones of a learning rate
            counts = expect(arguments[0], dict) if arguments else {}
            if any(type(n) is not int for n in counts.values()):
                raise ValueError("a Counter holds more than whole numbers")
            return Counter(counts)
        if kind == "tuple":
            return tuple(*arguments)
        if kind == "set":
            return set(_simple(*arguments))
        if kind == "device":
            return _C.device(":".join(str(part) for part in _simple(arguments)))
        if kind == "tensor":
            storage, offset, size, stride = arguments[:4]
            if len(arguments) > 6 and arguments[6]:
                raise ValueError("a tensor is stored with its sign turned, or is more than values")
            return _View(expect(storage, _Storage), offset, size, stride)
        if kind == "parameter":
            return expect(arguments[0], _View)
        return super().made(kind, arguments)

    def build(self, target: Any, state: Any) -> None:
        if type(target) is not dict:  # a dict's attributes are not kept (state_dict's _metadata)
            super().build(target, state)

    def persistent(self, identity: Any) -> Any:
        what, kind, key, location, count = expect(identity, tuple)[:5]
        dtype = _DTYPES.get(expect(kind, Name).kind)
        if expect(what, str) != "storage" or dtype is None or type(count) is not int or count < 0:
            raise UnsafePickleError(f"refers to {what!r} outside of it")
        if len(identity) > 5 and identity[5] is not None:
            raise ValueError("it holds views of storages, as PyTorch wrote before 0.4")
        found = self.storages.get(expect(key, str))
        if found is None:
            found = self.storages[key] = _Storage(dtype, count, expect(location, str))
        if (found.dtype, found.count) != (dtype, count):
            raise ValueError(f"storage {key} is described in two ways")
        return found


def _simple(items: Iterable[Any]) -> list[Any]:
    """The items, which are numbers, text or None. (A tuple of tuples that hold one another takes
    for ever to hash.)"""
    given = list(items)
    for item in given:
        if item is not None and type(item) not in (bool, int, float, str, bytes):
            raise ValueError(f"a number or text was expected, not a {type(item).__name__}")
    return given


def read_torch_file(data: bytes, where: str, from_bytes: FromBytes, place: Place) -> Any:
    """What ``torch.save`` wrote, with tensors in the place of its own; parameters come as tensors,
    an OrderedDict as a dict. Tensors that share memory share it here.

    UnsafePickleError (a RuntimeError) for what is not data, RuntimeError for a damaged file.
    """
    read = _archive if data.startswith(b"PK") else _legacy

    def fill(storage: _Storage, values: bytes) -> None:
        if len(values) != storage.bytes:
            raise ValueError(f"a storage has {len(values)} bytes, {storage.bytes} were expected")
        storage.values = place(from_bytes(values, storage.dtype), storage.location)

    try:
        return _with_tensors(read(data, fill), {})
    except UnsafePickleError as error:
        raise UnsafePickleError(
            f"[load] {where} {error}: it is not read, only tensors and plain data are."
        ) from None
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        EOFError,
        struct.error,
        zipfile.BadZipFile,
        NotImplementedError,  # of zipfile, for a form that it does not know
    ) as error:
        raise RuntimeError(f"[load] {where} is truncated or damaged: {error}.") from None


def _archive(data: bytes, fill: Callable[[_Storage, bytes], None]) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [n for n in archive.namelist() if n.endswith("data.pkl") and n.count("/") <= 1]
        if len(names) != 1:
            raise ValueError("it is a zip archive without data.pkl, not one of torch.save")
        # A few packed bytes may unpack to more than there is memory; torch.save packs nothing.
        if any(
            i.compress_type != zipfile.ZIP_STORED or i.flag_bits & 1 for i in archive.infolist()
        ):
            raise ValueError("its parts are compressed or encrypted, which torch.save never does")
        folder = names[0].removesuffix("data.pkl")
        order = folder + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        storages: dict[str, _Storage] = {}
        value = _TorchMachine(storages).run(archive.read(names[0]))
        for key, storage in storages.items():
            fill(storage, archive.read(f"{folder}data/{key}"))
    return value


def _legacy(data: bytes, fill: Callable[[_Storage, bytes], None]) -> Any:
    file = io.BytesIO(data)
    Machine().run(file)  # what it is
    protocol, system = Machine().run(file), Machine().run(file)
    if expect(protocol, int) != 1001 or not expect(system, dict).get("little_endian"):
        raise ValueError(f"its protocol is {protocol}, or its numbers are big-endian")
    storages: dict[str, _Storage] = {}
    value = _TorchMachine(storages).run(file)
    for key in expect(Machine().run(file), list):
        (count,) = struct.unpack("<q", file.read(8))
        storage = storages[expect(key, str)]
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} values, {storage.count} were expected")
        fill(storage, file.read(storage.bytes))
    return value


def _with_tensors(value: Any, done: dict[int, Any]) -> Any:
    """`value` with its tensors; what is in it more than once is made once."""
    if type(value) is _Storage:
        raise ValueError("it holds a storage without a tensor")
    if type(value) not in (_View, dict, list, tuple):
        return value
    if id(value) not in done:
        made: Any
        if type(value) is _View:
            made = value.tensor()
        elif type(value) is dict:
            made = {k: _with_tensors(v, done) for k, v in value.items()}
        else:
            made = type(value)(_with_tensors(v, done) for v in value)
        done[id(value)] = made
    return done[id(value)]
