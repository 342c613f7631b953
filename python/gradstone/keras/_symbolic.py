"""Tensors without values, from which functional models are built, and the graph they record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradstone import _C
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras._tensor import Base

_count = 0


class Node:
    """One call of a layer: its arguments and what came out."""

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.layer = layer
        self.args = args
        self.kwargs = kwargs
        self.outputs: list[KerasTensor] = []
        self.index = len(layer._nodes)
        layer._nodes.append(self)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors among the arguments."""
        return [t for t in leaves((self.args, self.kwargs)) if isinstance(t, KerasTensor)]


class KerasTensor:
    """Shape (None where it is not known before there is data) and dtype of a result, and the node
    that makes it."""

    _keras_history: Node
    __array_ufunc__ = None  # an array before an operator leaves it to the tensor

    def __init__(self, shape: tuple[Any, ...], dtype: Any = None, name: str | None = None) -> None:
        global _count
        self.shape = tuple(shape)
        self.dtype = dtype or _C.float32
        self.name = name or f"keras_tensor{'' if _count == 0 else f'_{_count}'}"
        _count += 1

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    def __repr__(self) -> str:
        kind = str(self.dtype).rpartition(".")[2]
        return f"<KerasTensor shape={self.shape}, dtype={kind}, name={self.name}>"

    def __bool__(self) -> bool:
        raise TypeError("A symbolic KerasTensor cannot be used as a boolean.")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("Iterating over a symbolic KerasTensor is not supported.")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(
            "A KerasTensor is symbolic: it has no values to give to NumPy. Use layers on it, or "
            "call the finished model on data."
        )

    def __getitem__(self, index: Any) -> Any:
        from gradstone.keras.layers.core import GetItem

        return GetItem(index)(self)

    def __neg__(self) -> Any:
        return _operate("neg", self)


def _operate(name: str, *operands: Any) -> Any:
    from gradstone.keras.layers.core import Arithmetic

    return Arithmetic(name)(*operands)


def _operator(name: str, swap: bool) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return _operate(name, other, self) if swap else _operate(name, self, other)

    return method


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(KerasTensor, f"__{_name}__", _operator(_name, False))
    setattr(KerasTensor, f"__r{_name}__", _operator(_name, True))


def leaves(value: Any) -> Iterator[Any]:
    """What stands in nested tuples, lists and dicts."""
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from leaves(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from leaves(v)
    else:
        yield value


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nesting with function(leaf)."""
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(map_leaves(function, v) for v in value)
    if isinstance(value, dict):
        return {key: map_leaves(function, v) for key, v in value.items()}
    return function(value)


def is_symbolic(value: Any) -> bool:
    """Whether a symbolic tensor stands in it."""
    return bool(value) and any(isinstance(v, KerasTensor) for v in leaves(value))


# ------------------------------------------------------------------------------------------- shapes


def shape_of(value: Any) -> Any:
    """The shapes of nested tensors, each with None for the batch."""
    if isinstance(value, (list, tuple)):
        return [shape_of(v) for v in value]
    if isinstance(value, dict):
        return {key: shape_of(v) for key, v in value.items()}
    if isinstance(value, KerasTensor):
        return value.shape
    shape = tuple(Base.shape.__get__(value)) if isinstance(value, Base) else ()
    return (None, *shape[1:])


def make_symbolic(shapes: Any) -> Any:
    """New symbolic tensors of nested shapes."""
    if isinstance(shapes, tuple) and all(s is None or isinstance(s, int) for s in shapes):
        return KerasTensor(shapes)
    if isinstance(shapes, dict):
        return {key: make_symbolic(s) for key, s in shapes.items()}
    return [make_symbolic(s) for s in shapes]


def found_shape(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The shapes that come out when zeros of two sizes go in; where they differ, None."""

    def run(batch: int, other: int) -> Any:
        def zeros(leaf: Any) -> Any:
            if not isinstance(leaf, KerasTensor):
                return leaf
            sizes = [other if s is None else s for s in leaf.shape]
            if leaf.shape and leaf.shape[0] is None:
                sizes[0] = batch
            return _C._full(tuple(sizes), 0, leaf.dtype)

        options = map_leaves(zeros, kwargs) | {"training": False}
        with no_grad():
            out = layer(*map_leaves(zeros, args), **options)
        return map_leaves(lambda t: tuple(Base.shape.__get__(t)), out)

    return merge_shapes(run(1, 32), run(2, 33))


def merge_shapes(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {key: merge_shapes(a[key], b[key]) for key in a}
    if isinstance(a, tuple) and all(isinstance(s, int) for s in a):
        return tuple(x if x == y else None for x, y in zip(a, b))
    return [merge_shapes(x, y) for x, y in zip(a, b)]


# -------------------------------------------------------------------------------------------- graph


class Graph:
    """The calls that lead from some symbolic tensors to others, in the order in which they run."""

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.input_list: list[KerasTensor] = list(leaves(inputs))
        self.output_list: list[KerasTensor] = list(leaves(outputs))
        for what, tensors in (("inputs", self.input_list), ("outputs", self.output_list)):
            for t in tensors:
                if not isinstance(t, KerasTensor):
                    raise ValueError(
                        f"All `{what}` values must be KerasTensors. Received: {what}={tensors} "
                        f"including invalid value {t} of type {type(t)}"
                    )
        self.nodes = self._order()
        wanted = {id(t) for t in self.output_list}
        # What no later call needs is dropped as the graph runs.
        self.last_use: list[list[int]] = [[] for _ in self.nodes]
        seen: set[int] = set(wanted)
        for i in range(len(self.nodes) - 1, -1, -1):
            for t in self.nodes[i].inputs + self.nodes[i].outputs:
                if id(t) not in seen:
                    seen.add(id(t))
                    self.last_use[i].append(id(t))

    def _order(self) -> list[Node]:
        """Farthest from the outputs first; among equals in the order of the calls."""
        given = {id(t) for t in self.input_list}
        finished: list[Node] = []
        state: dict[int, int] = {}
        stack: list[tuple[Node, bool]] = [
            (t._keras_history, False) for t in reversed(self.output_list)
        ]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                state[id(node)] = 2
                finished.append(node)
                continue
            if id(node) in state:
                continue
            state[id(node)] = 1
            stack.append((node, True))
            if all(id(t) in given for t in node.outputs):
                continue
            if not node.inputs:
                raise ValueError(
                    f"`inputs` not connected to `outputs`: {node.outputs[0]} is needed and is not "
                    "among the inputs."
                )
            stack.extend((t._keras_history, False) for t in reversed(node.inputs))
        depth: dict[int, int] = {id(node): 0 for node in finished}
        for node in reversed(finished):
            if all(id(t) in given for t in node.outputs):
                continue
            for t in node.inputs:
                before = id(t._keras_history)
                depth[before] = max(depth[before], depth[id(node)] + 1)
        return sorted(finished, key=lambda node: -depth[id(node)])

    def run(self, values: list[Any]) -> Any:
        """The outputs for these inputs."""
        known = {id(t): value for t, value in zip(self.input_list, values)}

        def value_of(leaf: Any) -> Any:
            return known[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        for node, done in zip(self.nodes, self.last_use):
            if id(node.outputs[0]) not in known:
                args = map_leaves(value_of, node.args)
                result = node.layer(*args, **map_leaves(value_of, node.kwargs))
                for t, value in zip(node.outputs, leaves(result)):
                    known[id(t)] = value
            for key in done:
                known.pop(key, None)
        return map_leaves(value_of, self.outputs)
