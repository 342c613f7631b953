"""The tree of a model's modules, and what each of them does in one run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradstone._C import Tensor
from gradstone.model_summary.inputs import tensors_in
from gradstone.model_summary.multiply_adds import Formula, multiply_adds
from gradstone.nn import Module


@dataclass(eq=False)
class Place:
    """A module where it is registered. One that is registered twice has two places."""

    path: str
    module: Module
    parent: Place | None
    children: list[Place] = field(default_factory=list)
    calls: int = 0
    first_call: int | None = None
    outputs: list[tuple[int, ...]] | None = None  # shapes, of the first call
    output_bytes: int = 0
    multiply_adds: int = 0

    def walk(self) -> Iterator[Place]:
        """This place and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def is_below(self, other: Place) -> bool:
        place: Place | None = self
        while place is not None and place is not other:
            place = place.parent
        return place is other

    def sort(self) -> float:
        """Puts what is below in the order of the first calls, what was never called last; gives
        when this place, or else one below it, was first called."""
        times = {id(child): child.sort() for child in self.children}
        self.children.sort(key=lambda child: times[id(child)])
        if self.first_call is not None:
            return self.first_call
        return min(times.values(), default=float("inf"))


def tree(module: Module, path: str = "", parent: Place | None = None) -> Place:
    """The places of a model's modules, as registered."""
    place = Place(path, module, parent)
    for name, child in module._modules.items():
        if child is not None:
            place.children.append(tree(child, f"{path}.{name}" if path else name, place))
    return place


class Memory:
    """The memory of the tensors that layers took and gave, each piece once: views and results
    written in place lie in that of others. The tensors are held, so that none gets the place of
    another."""

    def __init__(self) -> None:
        self.held: list[Tensor] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, tensors: list[Tensor]) -> int:
        """How many bytes of the tensors are new."""
        total = 0
        for tensor in tensors:
            start = tensor.data_ptr()
            i = bisect_right(self.starts, start)
            if i and start < self.ends[i - 1]:
                continue
            self.held.append(tensor)
            self.starts.insert(i, start)
            self.ends.insert(i, start + tensor.nbytes)
            total += tensor.nbytes
        return total


@dataclass
class _Call:
    place: Place
    products: int = 0  # multiply-adds that it computed itself


class Watch:
    """Hooks on all modules of a tree that note each call at its place."""

    def __init__(self, root: Place, formulas: Mapping[type, Formula]) -> None:
        self.formulas = formulas
        self.running: list[_Call] = []  # the outermost first
        self.count = 0
        self.memory = Memory()
        self.places: dict[int, list[Place]] = {}
        for place in root.walk():
            self.places.setdefault(id(place.module), []).append(place)
        self.handles: list[Any] = []

    def count_product(self, multiply_adds: int) -> None:
        """A product was computed, by the innermost module that runs."""
        if self.running:
            self.running[-1].products += multiply_adds

    def __enter__(self) -> Watch:
        for places in self.places.values():
            module = places[0].module
            self.handles += [
                module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True),
                module.register_forward_hook(self._leave, with_kwargs=True),
            ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _find(self, module: Module) -> Place:
        """Of a shared module's places one below the module that calls it, and of these the one
        called least."""
        places = self.places[id(module)]
        if self.running:
            caller = self.running[-1].place
            places = [p for p in places if p.is_below(caller)] or places
        return min(places, key=lambda place: place.calls)

    def _enter(self, module: Module, args: Any, kwargs: Any) -> None:
        place = self._find(module)
        if place.first_call is None:
            place.first_call = self.count
        self.count += 1
        self.running.append(_Call(place))

    def _leave(self, module: Module, args: Any, kwargs: Any, output: Any) -> None:
        # A model that caught an error has left calls unfinished.
        while self.running[-1].place.module is not module:
            self.running.pop()
        call = self.running.pop()
        place = call.place
        place.calls += 1
        outputs = tensors_in(output)
        if place.outputs is None:
            place.outputs = [tuple(t.shape) for t in outputs]
        self.memory.add(tensors_in([args, kwargs]))
        place.output_bytes += self.memory.add(outputs)
        work = multiply_adds(module, args, kwargs, output, self.formulas)
        place.multiply_adds += call.products if work is None else work
