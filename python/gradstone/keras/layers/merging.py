"""Layers of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras.layer import Layer, Shape


def _broadcast(a: Shape, b: Shape) -> Shape:
    out = []
    for x, y in zip(a, b):
        if x is not None and y is not None and x != y and 1 not in (x, y):
            raise ValueError(
                f"Inputs have incompatible shapes. Received shapes {a[1:]} and {b[1:]}"
            )
        out.append(y if x == 1 else x if y == 1 or y is not None and x is not None else None)
    return tuple(out)


class _Merge(Layer):
    def _check(self, inputs: Any) -> None:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError(
                f"A merge layer should be called on a list of at least 1 input. Received {inputs}."
            )

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        self._check(inputs)
        return super().__call__(list(inputs), **kwargs)

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        raise NotImplementedError

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(self._two, inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        longest = max(len(s) for s in input_shape)
        return reduce(_broadcast, [(s[0], *[1] * (longest - len(s)), *s[1:]) for s in input_shape])


class Add(_Merge):
    """The sum."""

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Subtract(_Merge):
    """The first less the second."""

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def _check(self, inputs: Any) -> None:
        super()._check(inputs)
        if len(inputs) != 2:
            raise ValueError(
                f"A `Subtract` layer should be called on exactly 2 inputs. Received: {len(inputs)}"
            )


class Multiply(_Merge):
    """The product, element by element."""

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class Average(_Merge):
    """The mean."""

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(lambda a, b: a + b, inputs) / len(inputs)


class Maximum(_Merge):
    """The larger, element by element."""

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        return _C.maximum(a, b)


class Minimum(_Merge):
    """The smaller, element by element."""

    def _two(self, a: Tensor, b: Tensor) -> Tensor:
        return _C.minimum(a, b)


class Concatenate(_Merge):
    """Side by side along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return _C.cat(list(inputs), self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = [list(s) for s in input_shape]
        axis = self.axis % len(shapes[0])
        for shape in shapes[1:]:
            others = [
                (a, b)
                for d, (a, b) in enumerate(zip(shapes[0], shape))
                if d != axis and None not in (a, b)
            ]
            if len(shape) != len(shapes[0]) or any(a != b for a, b in others):
                raise ValueError(
                    "A `Concatenate` layer requires inputs with matching shapes except for the "
                    f"concatenation axis. Received: input_shape={input_shape}"
                )
        along = [s[axis] for s in shapes]
        shapes[0][axis] = None if None in along else sum(along)
        return tuple(shapes[0])


class Dot(_Merge):
    """Sum over one dimension of each of two tensors, batch by batch; cosine when normalised."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        a, b = inputs
        first, second = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        a, b = a.movedim(first, -1), b.movedim(second, -1)
        if self.normalize:
            a, b = (t / t.norm(2.0, -1, True).clamp(min=1e-6) for t in (a, b))
        left, right = a.shape[1:-1], b.shape[1:-1]
        out = a.reshape(a.size(0), -1, a.size(-1)) @ b.reshape(b.size(0), -1, b.size(-1)).transpose(
            1, 2
        )
        return out.reshape(a.size(0), *left, *right) if left or right else out.reshape(a.size(0), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        first, second = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        a, b = list(input_shape[0]), list(input_shape[1])
        del a[first], b[second]
        rest = (*a[1:], *b[1:])
        return (a[0], *rest) if rest else (a[0], 1)


def add(inputs: Any, **kwargs: Any) -> Any:
    """The sum."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """The first less the second."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """The product."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """The mean."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """The larger."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """The smaller."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Side by side along `axis`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any, **kwargs: Any) -> Any:
    """Sum over one dimension of each of two tensors."""
    return Dot(axes, **kwargs)(inputs)
