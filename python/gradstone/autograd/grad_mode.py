"""Whether operations are recorded: context managers that also decorate functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from gradstone import _C

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])
_GENERATOR = 0x20  # CO_GENERATOR of inspect, which is slow to import.


class _Mode:
    """Sets something on entry and takes it back on exit. One object may be entered again and
    again."""

    def __init__(self) -> None:
        self._before: list[Any] = []

    def _set(self) -> Any:
        """Sets the mode and returns what it was before."""
        raise NotImplementedError

    def _restore(self, before: Any) -> None:
        raise NotImplementedError

    def _clone(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> None:
        self._before.append(self._set())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore(self._before.pop())

    def __call__(self, function: F) -> F:
        if isinstance(function, type):
            raise TypeError("decorate the methods of a class, not the class.")
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
            return _wrap_generator(self, function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._clone():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _wrap_generator(mode: _Mode, function: F) -> F:
    """The mode holds while the generator runs, not while its caller does."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        try:
            with mode._clone():
                item = next(generator)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:
                    with mode._clone():
                        item = generator.throw(error)
                else:
                    with mode._clone():
                        item = generator.send(sent)
        except StopIteration as end:
            return end.value
        finally:
            with mode._clone():
                generator.close()

    return wrapped  # type: ignore[return-value]


class _GradMode(_Mode):
    _value: bool

    def __new__(cls, function: Any = None) -> Any:
        # `@no_grad` without brackets.
        if function is not None:
            return cls()(function)
        return super().__new__(cls)

    def __init__(self, function: Any = None) -> None:
        super().__init__()

    def _set(self) -> bool:
        before = _C.is_grad_enabled()
        _C.set_grad_enabled(self._value)
        return before

    def _restore(self, before: Any) -> None:
        _C.set_grad_enabled(before)


class no_grad(_GradMode):
    """Nothing is recorded inside: ``with no_grad():`` or ``@no_grad()``."""

    _value = False


class enable_grad(_GradMode):
    """Operations are recorded inside, also within ``no_grad``."""

    _value = True


class set_grad_enabled(_Mode):
    """Recording on or off, at once; as a context manager until its end."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self._first = _C.is_grad_enabled()
        _C.set_grad_enabled(self.mode)

    def __call__(self, function: F) -> F:
        _C.set_grad_enabled(self._first)
        return super().__call__(function)

    def _clone(self) -> _Mode:
        return enable_grad() if self.mode else no_grad()

    def _set(self) -> bool:
        before, self._first = self._first, _C.is_grad_enabled()
        _C.set_grad_enabled(self.mode)
        return before

    def _restore(self, before: Any) -> None:
        _C.set_grad_enabled(before)


class inference_mode(_Mode):
    """Nothing is recorded, and what is made inside can never take part in a gradient."""

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = bool(mode)

    def _clone(self) -> _Mode:
        return type(self)(self.mode)

    def _set(self) -> tuple[bool, bool]:
        before = _C.is_inference_mode(), _C.is_grad_enabled()
        _C.set_inference_mode(self.mode)
        _C.set_grad_enabled(not self.mode)
        return before

    def _restore(self, before: Any) -> None:
        _C.set_inference_mode(before[0])
        _C.set_grad_enabled(before[1])
