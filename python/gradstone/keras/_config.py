"""Objects that can be written down as a name and arguments, and made again from them.

Only gradstone's own classes and those that the caller names are ever made: a file cannot run code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gradstone import _C

C = TypeVar("C", bound=Callable[..., Any])
# gradstone's own classes as "losses.MeanSquaredError", and without the module as older files do.
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
        if cls.__module__.startswith("gradstone.keras."):
            _known[cls.__name__] = _known[_name_of(cls)] = cls

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # what _keep set

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Sets the arguments of an ``__init__``, its ``locals()``, as attributes of their names."""
        for name, value in arguments.items():
            if name not in ("self", "kwargs", "__class__"):
                setattr(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments by name, with their defaults."""
        from inspect import Parameter, signature

        args, kwargs = self._arguments
        call = signature(type(self))
        bound = call.bind(*args, **kwargs)
        bound.apply_defaults()
        config: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = call.parameters[name].kind
            if kind == Parameter.VAR_KEYWORD:
                config.update(value)
            elif kind != Parameter.VAR_POSITIONAL:
                config[name] = value
            elif value:
                raise NotImplementedError(
                    f"{type(self).__name__} takes positional arguments of any number: write its "
                    "get_config() method."
                )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Made anew with these arguments."""
        return cls(**config)


class _Signature:
    """A class's signature, made when ``inspect`` asks: importing that takes longer than this
    package."""

    def __init__(self, init: Callable[..., None], arguments: dict[str, Any]) -> None:
        self.init, self.arguments = init, arguments

    def __get__(self, made: Any, cls: Any) -> Any:
        from inspect import Parameter, Signature

        if cls.__init__ is not self.init:
            raise AttributeError  # a subclass with a constructor of its own
        kind = Parameter.POSITIONAL_OR_KEYWORD
        return Signature([Parameter(n, kind, default=v) for n, v in self.arguments.items()])


def class_of(fn: Callable[..., Any], base: type, name: str, arguments: dict[str, Any]) -> Any:
    """A class whose objects are ``base(fn, ...)``, with these arguments in this order and with
    these defaults."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        given = dict(zip(arguments, args))
        if len(args) > len(arguments) or set(kwargs) - (set(arguments) - set(given)):
            raise TypeError(
                f"{name}() takes the arguments {', '.join(arguments)}, got {args} and {kwargs}."
            )
        base.__init__(self, fn, **(arguments | given | kwargs))  # type: ignore[misc]

    body = {
        "__init__": __init__,
        "__doc__": fn.__doc__,
        "__signature__": _Signature(__init__, arguments),
    }
    return type(name, (base,), body | {"__module__": base.__module__})


def _name_of(cls: type) -> str:
    """The name of a class in a file."""
    package, _, module = cls.__module__.partition(".keras.")
    return f"{module.partition('.')[0]}.{cls.__name__}" if package == "gradstone" else cls.__name__


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
    if isinstance(value, slice):
        return {"slice": [serialize(v, where) for v in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, Configured):
        name = type(value).__name__
        config = {k: serialize(v, f"{name}.{k}") for k, v in value.get_config().items()}
        known = _registered_name(type(value)) or _name_of(type(value))
        return {"class_name": known, "config": config}
    called: Any = _registered_name(value) or getattr(value, "__name__", None)
    if callable(value) and any(
        value is f for f in (_registered.get(called), function_named(called))
    ):
        return {"function": called}
    if isinstance(value, _C.dtype):
        return str(value).rpartition(".")[2]
    raise TypeError(
        f"{where} is {value!r}, which cannot be written to a file that holds no code: use a name, "
        "a number or one of gradstone.keras's objects, or save the weights alone with "
        "save_weights()."
    )


def _registered_name(thing: Any) -> str | None:
    return next((name for name, known in _registered.items() if known is thing), None)


def function_named(name: Any) -> Any:
    """An activation, loss or metric function of gradstone.keras; None when there is none."""
    from gradstone.keras import activations, losses

    return activations.FUNCTIONS.get(name) or losses.FUNCTIONS.get(name)


def deserialize(value: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The opposite of :func:`serialize`. ValueError for a name that is neither known nor given."""
    if isinstance(value, list):
        return [deserialize(v, custom_objects) for v in value]
    if not isinstance(value, dict):
        return value
    own = {**_registered, **(custom_objects or {})}
    if set(value) == {"function"}:
        name = value["function"]
        return own.get(name) or function_named(name) or _unknown(name)
    if set(value) == {"slice"}:
        return slice(*value["slice"])
    if set(value) == {"ellipsis"}:
        return Ellipsis
    if set(value) == {"ndarray", "dtype"}:
        return np.array(value["ndarray"], dtype=value["dtype"])
    if set(value) == {"class_name", "config"}:
        name = value["class_name"]
        cls: Any = own.get(name) or _known.get(name) or _unknown(name)
        config = {k: deserialize(v, custom_objects) for k, v in value["config"].items()}
        return cls.from_config(config)
    return {key: deserialize(v, custom_objects) for key, v in value.items()}


def _unknown(name: str) -> Any:
    raise ValueError(
        f"Could not locate class '{name}'. Pass it as custom_objects={{'{name}': {name}}}, or mark "
        "it with @keras.utils.register_keras_serializable()."
    )
