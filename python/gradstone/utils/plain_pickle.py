"""Pickles that hold plain data, read without running anything in them.

A pickle is a program for a small stack machine, and some of its instructions import and call what
they name. This reader has its own machine (the instructions are those of the standard library's
``pickletools``), which knows data alone: None, numbers, text, bytes, lists, tuples, dicts, and
arrays of numbers. It imports nothing and calls nothing that a file names; a file that asks for more
is refused. A subclass may stand in for more names (``utils.torch_files`` does for tensors).
"""

from __future__ import annotations

import os
import pickletools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np


class UnsafePickleError(RuntimeError):
    """A pickle holds more than plain data."""


class Name(NamedTuple):
    """Something that a file names and that we know how to stand in for."""

    kind: str


class _DType:
    """numpy.dtype(code): its byte order comes afterwards."""

    def __init__(self, code: str) -> None:
        kinds = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
        if expect(code, str) not in kinds:
            raise UnsafePickleError(f"holds an array of dtype {code!r}")
        self.dtype = np.dtype(code)


class _Array:
    """An array that does not have its values yet, or has them."""

    value: np.ndarray | None = None


_KNOWN = {
    "numpy ndarray": "class",
    "numpy dtype": "dtype",
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy.core.numeric _frombuffer": "frombuffer",
    "numpy._core.numeric _frombuffer": "frombuffer",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "_codecs encode": "encode",
    "__builtin__ bytes": "no bytes",  # how Python 3 writes b"" for Python 2
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINUNICODE8"}
_VALUES = _NUMBERS | _TEXTS | _BYTES
_MARK = object()
_SIMPLE = (type(None), bool, int, float, str, bytes)


def read_plain_pickle(path: str | os.PathLike[str]) -> Any:
    """The plain data in a pickle file: None, bool, int, float, str, bytes, list, tuple, dict and
    numeric arrays. Python 2's byte strings come as str, each byte one character (Latin-1).

    UnsafePickleError for anything else, RuntimeError for a damaged file.
    """
    return loads_plain(Path(path).read_bytes(), str(path))


def loads_plain(data: bytes, name: str = "the pickle") -> Any:
    """The same from bytes; `name` is for the messages."""
    try:
        return Machine().run(data)
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{name} {error}: it is not read, only plain data is.") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RuntimeError(f"{name} is no pickle of plain data, or is damaged: {error}") from None


class Machine:
    """Runs the instructions of one pickle."""

    known: dict[str, str] = _KNOWN  # "module name" -> kind

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes | BinaryIO) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return _finished(self.stack.pop(), {})
            self.step(opcode.name, argument)
        raise ValueError("it has no end")

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            empty: Any = {"EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_TUPLE": ()}[name]
            stack.append(empty)
        elif name in ("LIST", "TUPLE", "DICT"):
            items = self.marked()
            kinds: dict[str, Any] = {"LIST": list, "TUPLE": tuple, "DICT": _pairs}
            stack.append(kinds[name](items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(name[-1])
            stack[-n:] = [tuple(stack[-n:])]
        elif name in ("APPEND", "APPENDS"):
            items = self.marked() if name == "APPENDS" else [stack.pop()]
            expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self.marked() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            expect(stack[-1], dict).update(_pairs(items))
        elif name == "POP":
            stack.pop()
        elif name == "GLOBAL":
            stack.append(self.name(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(self.name(f"{expect(module, str)} {expect(attribute, str)}"))
        elif name == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            stack.append(self.made(expect(what, Name).kind, expect(arguments, tuple)))
        elif name == "BUILD":
            state = stack.pop()
            self.build(stack[-1], state)
        elif name == "BINPERSID":
            stack.append(self.persistent(stack.pop()))
        else:
            raise UnsafePickleError(f"asks for {name}, which plain data has no use for")

    def marked(self) -> list[Any]:
        """The items above the last mark, which goes too."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def name(self, name: str) -> Name:
        """What stands for a name."""
        kind = self.known.get(name)
        if kind is None:
            raise UnsafePickleError(f"names {'.'.join(name.split(' '))}, which could run code")
        return Name(kind)

    def made(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        """What a call of a known name would give."""
        return _made(kind, arguments)

    def build(self, target: Any, state: Any) -> None:
        """Gives an object its state."""
        _build(target, expect(state, tuple))

    def persistent(self, identity: Any) -> Any:
        """What lies outside the pickle."""
        raise UnsafePickleError("refers to something outside of it")


def expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {kind.__name__} was expected, not a {type(value).__name__}")
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return keyed(zip(items[::2], items[1::2], strict=True))


def keyed(pairs: Iterable[Any]) -> dict[Any, Any]:
    """A dict whose keys are simple values or tuples of them. A hundred bytes make a tuple of
    tuples of tuples that takes years to hash (or to print, which is why messages quote no more than
    simple values)."""
    made = {}
    for key, value in pairs:
        if not all(type(part) in _SIMPLE for part in (key if type(key) is tuple else (key,))):
            raise ValueError(
                f"a dict has a key that is no text and no number: {type(key).__name__}"
            )
        made[key] = value
    return made


def _made(kind: str, arguments: tuple[Any, ...]) -> Any:
    """What a call of a known name would give."""
    if kind == "encode":  # how Python 3 writes bytes for Python 2
        text, encoding = arguments
        if expect(encoding, str) not in ("latin1", "latin-1"):
            raise ValueError(f"encoding {encoding!r}")
        return expect(text, str).encode("latin-1")
    if kind == "no bytes" and not arguments:
        return b""
    if kind == "dtype":
        return _DType(arguments[0])
    if kind == "scalar":
        dtype, values = arguments
        return _values(dtype, (), False, values)[()]
    if kind == "reconstruct":
        return _Array()
    if kind == "frombuffer":
        values, dtype, shape, order = arguments
        array = _Array()
        array.value = _values(dtype, shape, order == "F", values)
        return array
    raise ValueError(f"{kind} cannot be called")


def _build(target: Any, state: tuple[Any, ...]) -> None:
    """The values of an array, or the byte order of a dtype."""
    if type(target) is _Array:
        shape, dtype, fortran, values = state[-4:]
        target.value = _values(dtype, shape, bool(fortran), values)
    elif type(target) is _DType:
        if expect(state[1], str) not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {state[1]!r}")
        target.dtype = target.dtype.newbyteorder(state[1])
    else:
        raise ValueError(f"a {type(target).__name__} has no state")


def _values(dtype: Any, shape: Any, fortran: bool, values: Any) -> np.ndarray:
    data = values.encode("latin-1") if isinstance(values, str) else bytes(_expect_bytes(values))
    kind = expect(dtype, _DType).dtype
    if any(type(n) is not int or n < 0 for n in expect(shape, tuple)):
        raise ValueError("an array's shape is not one of whole numbers")
    array = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
    return array.astype(kind.newbyteorder("="), order="C")


def _expect_bytes(values: Any) -> Any:
    if not isinstance(values, (bytes, bytearray)):
        raise ValueError(f"an array's values are a {type(values).__name__}")
    return values


def _finished(value: Any, done: dict[int, Any]) -> Any:
    """`value` with its arrays in the place of what stood for them."""
    if type(value) is _Array:
        if value.value is None:
            raise ValueError("an array has no values")
        return value.value
    if type(value) in (Name, _DType) or value is _MARK:
        raise ValueError("it ends in the middle")
    if type(value) not in (list, dict, tuple):
        return value
    if id(value) in done:
        if done[id(value)] is None:
            raise ValueError("a list holds itself")
        return done[id(value)]
    done[id(value)] = None
    made: Any
    if type(value) is dict:
        made = {_finished(k, done): _finished(v, done) for k, v in value.items()}
    else:
        made = type(value)(_finished(item, done) for item in value)
    done[id(value)] = made
    return made
