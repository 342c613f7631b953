"""Objects that can be written down as a name and arguments, and made again from them.

Only gradstone's own classes and those that the caller names are ever made: a file cannot run code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

C = TypeVar("C", bound=type)
_known: dict[str, type] = {}
_registered: dict[str, Any] = {}


class Configured:
    """Remembers the arguments it was made with, so that ``get_config`` need not be written."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = object.__new__(cls)
        object.__setattr__(made, "_arguments", (args, kwargs))
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("gradstone.keras"):
            _known[cls.__name__] = cls

    def get_config(self) -> dict[str, Any]:
        """The arguments by name."""
        from inspect import Parameter, signature

        args, kwargs = self._arguments
        call = signature(type(self).__init__)
        bound = call.bind(self, *args, **kwargs).arguments
        config: dict[str, Any] = {}
        for name, value in list(bound.items())[1:]:
            kind = call.parameters[name].kind
            if kind == Parameter.VAR_KEYWORD:
                config.update(value)
            elif kind == Parameter.VAR_POSITIONAL:
                raise NotImplementedError(
                    f"{type(self).__name__} takes positional arguments of any number: write its "
                    "get_config() method."
                )
            else:
                config[name] = value
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Made anew with these arguments."""
        return cls(**config)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[C], C]:
    """A decorator: files may name this class or function when they are loaded."""

    def remember(thing: C) -> C:
        _registered[name or thing.__name__] = thing
        return thing

    return remember


def serialize(value: Any, where: str) -> Any:
    """`value` as numbers, text, lists and dicts. TypeError that names `where` for other things."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"ndarray": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, (list, tuple)):
        return [serialize(v, where) for v in value]
    if isinstance(value, dict):
        return {str(key): serialize(v, f"{where}[{key!r}]") for key, v in value.items()}
    if isinstance(value, Configured):
        name = type(value).__name__
        config = {k: serialize(v, f"{name}.{k}") for k, v in value.get_config().items()}
        return {"class_name": name, "config": config}
    called: Any = getattr(value, "__name__", None)
    if callable(value) and called and function_named(called) is value:
        return {"function": called}
    if callable(value) and called and any(value is known for known in _registered.values()):
        return {"function": called}
    if type(value).__name__ == "dtype":
        return str(value).rpartition(".")[2]
    raise TypeError(
        f"{where} is {value!r}, which cannot be written to a file that holds no code: use a name, "
        "a "
        "number or one of gradstone.keras's objects, or save the weights alone with save_weights()."
    )


def function_named(name: str) -> Any:
    """An activation, loss or metric function of gradstone.keras; None when there is none."""
    from gradstone.keras import activations, losses

    for module in (activations, losses):
        found = module.FUNCTIONS.get(name)
        if found is not None:
            return found
    return None


def deserialize(value: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The opposite of :func:`serialize`. ValueError for a name that is neither known nor given."""
    if isinstance(value, list):
        return [deserialize(v, custom_objects) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"function"}:
        found = (custom_objects or {}).get(value["function"]) or _registered.get(value["function"])
        return found or function_named(value["function"]) or _unknown(value["function"])
    if set(value) == {"ndarray", "dtype"}:
        return np.array(value["ndarray"], dtype=value["dtype"])
    if set(value) == {"class_name", "config"}:
        cls = class_named(value["class_name"], custom_objects)
        config = {k: deserialize(v, custom_objects) for k, v in value["config"].items()}
        return cls.from_config(config)
    return {key: deserialize(v, custom_objects) for key, v in value.items()}


def class_named(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class: given, registered, or gradstone.keras's own."""
    return (
        (custom_objects or {}).get(name)
        or _registered.get(name)
        or _known.get(name)
        or _unknown(name)
    )


def _unknown(name: str) -> Any:
    raise ValueError(
        f"Could not locate class '{name}'. Pass it as custom_objects={{'{name}': {name}}}, or mark "
        "it with @keras.utils.register_keras_serializable()."
    )
