"""Native operations seen as they are called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from gradstone import _C
from gradstone._C import Tensor

_BINARY = "add sub mul truediv floordiv mod pow matmul".split()
_OPERATORS = [f"{kind}{name}" for kind in ("", "r", "i") for name in _BINARY]
_OPERATORS += ["neg", "abs", "getitem"]

# see(name, args, kwargs, result), after the operation. Operators have the names of their methods
# without underscores: "matmul", "radd".
See = Callable[[str, tuple[Any, ...], dict[str, Any], Any], None]


@contextmanager
def watched(see: See, names: Collection[str] | None = None) -> Iterator[None]:
    """Inside the block, `see` is told of every operation of this thread, or of those in `names`.

    The operations are replaced, in every module that names them and on Tensor, by functions that do
    the same and tell. Behind, all is as it was. What is called in no such way, as a function held
    in a list, is not seen; nor are the parts of one native operation.
    """
    here = threading.get_ident()

    def telling(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if threading.get_ident() == here:
                see(name, args, kwargs, result)
            return result

        return call

    replaced: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, attribute: str, function: Any, call: Any) -> None:
        setattr(owner, attribute, call)
        replaced.append((owner, attribute, function))

    known = [operation["name"] for operation in _C.operations()]
    wanted = [name for name in known if names is None or name in names]
    natives = {
        id(function): telling(name, function)
        for name in wanted
        if (function := getattr(_C, name, None)) is not None
    }
    methods = {name: name for name in wanted}
    methods |= {f"__{name}__": name for name in _OPERATORS if names is None or name in names}
    try:
        for module in list(sys.modules.values()):
            if isinstance(module, ModuleType):
                for name, value in list(vars(module).items()):
                    if id(value) in natives:
                        replace(module, name, value, natives[id(value)])
        for attribute, name in methods.items():
            method = Tensor.__dict__.get(attribute)
            # Methods written in Python call operations that are seen by themselves.
            if method is not None and not hasattr(method, "__code__"):
                replace(Tensor, attribute, method, telling(name, method))
        yield
    finally:
        for owner, attribute, function in reversed(replaced):
            setattr(owner, attribute, function)
