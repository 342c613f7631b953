"""Where a module keeps its parameters, buffers and children."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping
from typing import Any

REGISTRIES = ("_parameters", "_buffers", "_modules")


class Registry(dict[str, Any]):
    """Parameters, buffers or children by name.

    Whatever is written here also stands in the module's own namespace, so that ``self.weight`` is
    an ordinary attribute (10 times faster to read than through ``__getattr__``).
    """

    def __init__(self, owner: Any, items: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)
        for name, value in (items or {}).items():
            self[name] = value

    def _namespace(self) -> dict[str, Any]:
        owner = self._owner()
        return {} if owner is None else owner.__dict__

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._namespace()[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._namespace().pop(name, None)

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            self._namespace().pop(name, None)
        return super().pop(name, *default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def __reduce__(self) -> Any:
        return dict, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {name: copy.deepcopy(value, memo) for name, value in self.items()}
