"""Every operation of a step seen as it is called, and its gradient as the engine reaches it.

How: while a ``Watch`` is entered, the native operations are replaced, in every module that names
them and on Tensor, by functions that take the time round them; each result that has a gradient
gets a hook, which the engine calls right before the rule of the operation runs. Behind, all is as
it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._watched_operations import replaced
from gradstone.nn import Module


@dataclass
class Event:
    """One operation, or one module's forward: seconds since the step began, how long it took, how
    long without what is inside, by how many bytes the memory in use grew, and what it was then."""

    name: str
    phase: str
    module: str
    start: float
    seconds: float = 0.0
    own: float = 0.0
    bytes: int = 0
    held: int = 0
    shape: tuple[int, ...] | None = None


class Watch:
    """The events of one step; a context manager."""

    def __init__(self, model: Module, device: Any) -> None:
        self.model = model
        self.cuda = device.type == "cuda"
        self.device = device
        self.events: list[Event] = []
        self.modules: list[Event] = []
        self.starts: dict[str, float] = {}  # of the phases
        self.phases: dict[str, float] = {}  # how long each was
        self._phase: str | None = None
        self._places: list[Event] = []  # modules being computed
        self._calls: list[Event] = []  # operations being computed
        self._backward: Event | None = None  # the gradient being computed
        self._nodes: dict[int, Any] = {}
        self._undo = ExitStack()
        self._thread = threading.get_ident()
        self._zero = 0.0

    # ----------------------------------------------------------------------------- time and memory

    def now(self) -> float:
        """Seconds since the step began, when all work that was started is done."""
        if self.cuda:
            _C._cuda_synchronize()
        return time.perf_counter() - self._zero

    def _begin(self, name: str, phase: str, module: str) -> Event:
        """An event that begins now."""
        return Event(name, phase, module, self.now(), held=self.memory()["in_use"])

    def _end(self, event: Event, inside: list[Event]) -> None:
        """The event is over; `inside`: the events that are still going on round it."""
        held = self.memory()["in_use"]
        event.bytes, event.held = held - event.held, held
        event.seconds = self.now() - event.start
        event.own += event.seconds
        if inside:
            inside[-1].own -= event.seconds

    def memory(self) -> dict[str, int]:
        """As ``memory_stats`` of the device."""
        return _C._cuda_memory_stats(self.device.index or 0) if self.cuda else _C.memory_stats()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A part of the step."""
        start = self.now()
        self._phase = name
        try:
            yield
        finally:
            self._phase = None
            self._finish_backward()
            self.starts[name], self.phases[name] = start, self.now() - start

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Operations belong to this place."""
        self._enter_place(name, "")
        try:
            yield
        finally:
            self._leave_place()

    # ----------------------------------------------------------------------------------- modules

    def _enter_place(self, path: str, kind: str) -> None:
        self._places.append(self._begin(kind, self._phase or "", path))

    def _leave_place(self, output: Any = None) -> None:
        event = self._places.pop()
        self._end(event, self._places)
        event.shape = tuple(output.shape) if isinstance(output, Tensor) else None
        self.modules.append(event)

    def _hook_modules(self) -> None:
        for path, module in self.model.named_modules():
            before = module._has_hooks

            def enter(m: Module, args: Any, path: str = path) -> None:
                self._enter_place(path, type(m).__name__)

            def leave(m: Module, args: Any, output: Any) -> None:
                self._leave_place(output)

            handles = [
                module.register_forward_pre_hook(enter, prepend=True),
                module.register_forward_hook(leave),
            ]

            def undo(
                module: Module = module, handles: Any = handles, before: bool = before
            ) -> None:
                for handle in handles:
                    handle.remove()
                module.__dict__["_has_hooks"] = before

            self._undo.callback(undo)

    # -------------------------------------------------------------------------------- operations

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        name = "Function" if name == "_apply_function" else name.strip("_")

        def watched(*args: Any, **kwargs: Any) -> Any:
            phase = self._phase
            if phase in (None, "backward") or threading.get_ident() != self._thread:
                return function(*args, **kwargs)
            place = self._places[-1].module if self._places else ""
            event = self._begin(name, phase or "", place)
            self._calls.append(event)
            try:
                result = function(*args, **kwargs)
            finally:
                self._calls.pop()
                self._end(event, self._calls)
                self.events.append(event)
            for value in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(value, Tensor):
                    if event.shape is None:
                        event.shape = tuple(value.shape)
                    self._hook_gradient(value, place)
            return result

        return watched

    def _hook_gradient(self, value: Tensor, place: str) -> None:
        node = value.grad_fn
        if node is None or id(node) in self._nodes:
            return  # no gradient, or the operation gave back what it was given
        self._nodes[id(node)] = node  # kept, so that no other node gets its address
        label, shape = node.name(), tuple(value.shape)

        def reached(grad: Tensor) -> None:
            if self._phase != "backward":
                return
            self._finish_backward()
            self._backward = self._begin(label, "backward", place)
            self._backward.shape = shape

        value.register_hook(reached)

    def _finish_backward(self) -> None:
        event, self._backward = self._backward, None
        if event is not None:
            self._end(event, [])
            self.events.append(event)

    # ------------------------------------------------------------------------------ in and out

    def __enter__(self) -> Watch:
        try:
            self._hook_modules()
            self._undo.enter_context(replaced(self._watched))
        except BaseException:
            self.__exit__()
            raise
        self._zero = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()
        self._phase = None
        self._nodes.clear()
