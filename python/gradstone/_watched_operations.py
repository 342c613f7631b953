"""Native operations replaced for a while, to see them as they are called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from gradstone import _C
from gradstone._C import Tensor

_OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul "
    "rmatmul neg abs invert and rand or ror xor rxor lshift rlshift rshift rrshift iadd isub imul "
    "itruediv ifloordiv imod ipow imatmul iand ior ixor lt le eq ne gt ge getitem setitem"
).split()
_ALIASES = (
    "swapaxes swapdims moveaxis clip clip_ absolute multiply multiply_ subtract subtract_ divide "
    "divide_ true_divide negative greater greater_equal less less_equal not_equal fix"
).split()

# wrap(name, function) gives what stands in for an operation. Operators have the names of their
# methods without underscores: "matmul", "radd".
Wrap = Callable[[str, Callable[..., Any]], Callable[..., Any]]
# see(name, args, kwargs, result), after the operation.
See = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]


@contextmanager
def watched(see: See, names: Collection[str] | None = None) -> Iterator[None]:
    """Inside the block, `see` is told of every operation of this thread, or of those in `names`."""
    here = threading.get_ident()

    def telling(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if threading.get_ident() == here:
                see(name, args, kwargs, result)
            return result

        return call

    with replaced(telling, names):
        yield


@contextmanager
def replaced(wrap: Wrap, names: Collection[str] | None = None) -> Iterator[None]:
    """Inside the block, the native operations, or those in `names`, are what `wrap` gives for them,
    in every module that names them and on Tensor. Behind, all is as it was.

    What is called in no such way, as a function held in a list, stays; so do the parts of one
    native operation.
    """
    before: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, attribute: str, function: Any, call: Any) -> None:
        setattr(owner, attribute, call)
        before.append((owner, attribute, function))

    known = [*(operation["name"] for operation in _C.operations()), "_apply_function"]
    wanted = [name for name in known if names is None or name in names]
    natives = {
        id(function): wrap(name, function)
        for name in wanted
        if (function := getattr(_C, name, None)) is not None
    }
    methods = {name: name for name in wanted}
    methods |= {name: name for name in _ALIASES if names is None or name in names}
    methods |= {f"__{name}__": name for name in _OPERATORS if names is None or name in names}
    try:
        for module in list(sys.modules.values()):
            if isinstance(module, ModuleType):
                for name, value in list(vars(module).items()):
                    if id(value) in natives:
                        replace(module, name, value, natives[id(value)])
        for attribute, name in methods.items():
            method = Tensor.__dict__.get(attribute)
            # Methods written in Python call operations that are replaced by themselves.
            if method is not None and not hasattr(method, "__code__"):
                replace(Tensor, attribute, method, wrap(name, method))
        yield
    finally:
        for owner, attribute, function in reversed(before):
            setattr(owner, attribute, function)
