"""Shapes with None for what is not known before there are data."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone.autograd.grad_mode import no_grad
from gradstone.keras._symbolic import KerasTensor, leaves, map_leaves
from gradstone.keras._tensor import Base


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


def make_symbolic(shapes: Any, dtype: Any) -> Any:
    if isinstance(shapes, tuple) and all(s is None or isinstance(s, int) for s in shapes):
        return KerasTensor(shapes, dtype)
    if isinstance(shapes, dict):
        return {key: make_symbolic(s, dtype) for key, s in shapes.items()}
    return [make_symbolic(s, dtype) for s in shapes]


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


def leaves_of(result: Any) -> list[Any]:
    """The tensors of a result."""
    return [t for t in leaves(result) if isinstance(t, Base)]
