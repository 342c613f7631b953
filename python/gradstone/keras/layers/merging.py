"""Layers of several inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
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
    """A layer of a list of inputs. `_two` combines the first two, the result and the third..."""

    _two: Callable[[Tensor, Tensor], Tensor]
    _exactly: int | None = None  # how many inputs there must be

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError(
                f"A merge layer should be called on a list of at least 1 input. Received {inputs}."
            )
        if self._exactly not in (None, len(inputs)):
            raise ValueError(
                f"A `{type(self).__name__}` layer should be called on exactly {self._exactly} "
                f"inputs. Received: {len(inputs)}"
            )
        return super().__call__(list(inputs), **kwargs)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        out = self._merged(inputs)
        masks = [getattr(t, "_keras_mask", None) for t in inputs]
        if any(mask is not None for mask in masks):
            out._keras_mask = self._mask(inputs, masks)  # type: ignore[attr-defined]
        return out

    def _merged(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(type(self)._two, inputs)

    def _mask(self, inputs: Sequence[Tensor], masks: list[Any]) -> Tensor:
        """What no input masks counts."""
        return reduce(_C.logical_and, [mask for mask in masks if mask is not None])

    def compute_output_shape(self, input_shape: Any) -> Any:
        longest = max(len(s) for s in input_shape)
        return reduce(_broadcast, [(s[0], *[1] * (longest - len(s)), *s[1:]) for s in input_shape])


class Add(_Merge):
    """The sum."""

    _two = staticmethod(operator.add)


class Subtract(_Merge):
    """The first less the second."""

    _two = staticmethod(operator.sub)
    _exactly = 2


class Multiply(_Merge):
    """The product, element by element."""

    _two = staticmethod(operator.mul)


class Average(Add):
    """The mean."""

    def _merged(self, inputs: Sequence[Tensor]) -> Tensor:
        return super()._merged(inputs) / len(inputs)


class Maximum(_Merge):
    """The larger, element by element."""

    _two = staticmethod(_C.maximum)


class Minimum(_Merge):
    """The smaller, element by element."""

    _two = staticmethod(_C.minimum)


class Concatenate(_Merge):
    """Side by side along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _merged(self, inputs: Sequence[Tensor]) -> Tensor:
        return _C.cat(list(inputs), self.axis)

    def _mask(self, inputs: Sequence[Tensor], masks: list[Any]) -> Tensor:
        axis = self.axis % inputs[0].dim()
        dims = next(mask.dim() for mask in masks if mask is not None)
        if axis >= dims:
            return super()._mask(inputs, masks)
        kept = [
            _C._full(tuple(t.shape[:dims]), 1, _C.bool, t.device) if mask is None else mask
            for t, mask in zip(inputs, masks)
        ]
        return _C.cat(kept, axis)

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

    _exactly = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _pair(self) -> tuple[int, int]:
        first, second = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return first, second

    def _merged(self, inputs: Sequence[Tensor]) -> Tensor:
        a, b = (t.movedim(axis, -1) for t, axis in zip(inputs, self._pair()))
        if self.normalize:
            a, b = (t / t.norm(2.0, -1, True).clamp(min=1e-6) for t in (a, b))
        rest = (*a.shape[1:-1], *b.shape[1:-1])
        rows, columns = (t.reshape(t.size(0), -1, t.size(-1)) for t in (a, b))
        return (rows @ columns.transpose(1, 2)).reshape(a.size(0), *(rest or (1,)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        a, b = (list(shape) for shape in input_shape)
        first, second = self._pair()
        del a[first], b[second]
        return (a[0], *((*a[1:], *b[1:]) or (1,)))


def _function(layer: type[_Merge]) -> Callable[..., Any]:
    """The function that calls a layer of this class, made with the options, on the inputs."""

    def merge(inputs: Any, **kwargs: Any) -> Any:
        return layer(**kwargs)(inputs)

    merge.__doc__ = layer.__doc__
    merge.__name__ = merge.__qualname__ = layer.__name__.lower()
    return merge


add, subtract, multiply = _function(Add), _function(Subtract), _function(Multiply)
average, maximum, minimum = _function(Average), _function(Maximum), _function(Minimum)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Side by side along `axis`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any, **kwargs: Any) -> Any:
    """Sum over one dimension of each of two tensors."""
    return Dot(axes, **kwargs)(inputs)
