"""Inputs, Dense, Embedding, and layers around functions, operators and other layers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations, initializers, regularizers
from gradstone.keras._symbolic import KerasTensor, Node, is_symbolic, map_leaves
from gradstone.keras._tensor import alias, dtype_of, operand, wrap
from gradstone.keras.layer import Layer, Shape
from gradstone.nn import functional as F


def is_positive(value: Any) -> bool:
    """Whether it is a whole number above 0."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and int(value) > 0


def positive(name: str, value: Any) -> int:
    """`value` when it is a whole number above 0. ValueError otherwise."""
    if not is_positive(value):
        raise ValueError(
            f"Received an invalid value for `{name}`, expected a positive integer. Received: "
            f"{name}={value}"
        )
    return int(value)


def known_size(shape: Any, axis: int = -1) -> int:
    """The size of this dimension. ValueError when it is None."""
    if shape[axis] is None:
        raise ValueError(f"Axis {axis} of the input must be known, got shape {tuple(shape)}.")
    return shape[axis]


class InputLayer(Layer):
    """Where data enter a model."""

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if self._batch_shape is None:
            if shape is None:
                raise ValueError("You must pass a `shape` argument.")
            self._batch_shape = (batch_size, *shape)
        self.dtype = dtype_of(dtype)
        self.built = True
        self._output_shape = self._batch_shape
        node = Node(self, (), {})
        tensor = KerasTensor(self._batch_shape, self.dtype, self.name)
        tensor._keras_history = node
        node.outputs.append(tensor)

    def call(self, inputs: Any = None) -> Any:
        return inputs


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> KerasTensor:
    """A symbolic tensor of this shape (without the batch) to build a model from."""
    if shape is None and batch_shape is None:
        raise ValueError("You must pass a `shape` argument.")
    if batch_shape is not None:
        batch_size, shape = batch_shape[0], tuple(batch_shape[1:])
    if isinstance(shape, int):
        raise ValueError(f"`shape` must be a tuple such as ({shape},), got {shape}.")
    return InputLayer(tuple(shape), batch_size, dtype, name).output


class Dense(Layer):
    """activation(x @ kernel + bias): x (..., in), kernel (in, units), bias (units)."""

    _casts_integers = True
    _min_ndim = 2
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.units = positive("units", units)

    def build(self, input_shape: Any) -> None:
        size = known_size(input_shape)
        self._make("kernel", (size, self.units))
        self._make("bias", (self.units,), self.use_bias)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_last(inputs.shape, self.kernel.size(0))
        weight = _C.t(self.kernel)
        if self.activation is activations.relu and inputs.dim() == 2:
            return _C._linear_relu(inputs, weight, self.bias)
        return self.activation(_C.linear(inputs, weight, self.bias))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)


class Embedding(Layer):
    """Rows of a table (input_dim, output_dim) by index. With ``mask_zero`` index 0 is padding:
    recurrent layers after it skip those steps."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        mask_zero: bool = False,
        input_length: int | None = None,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        self.input_dim = positive("input_dim", input_dim)
        self.output_dim = positive("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.mask_zero, self._given = mask_zero, weights

    def build(self, input_shape: Any = None) -> None:
        self._make("embeddings", (self.input_dim, self.output_dim))
        if self._given is not None:
            given = self._given
            self.set_weights(given if isinstance(given, (list, tuple)) else [given])

    def call(self, inputs: Tensor) -> Tensor:
        index = inputs.long()
        out = F.embedding(index, self.embeddings)
        if self.mask_zero:
            out._keras_mask = index != 0  # type: ignore[attr-defined]
        return out

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)


class SameShape(Layer):
    """A layer whose output has the shape of its input."""

    supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class Lambda(Layer):
    """A function as a layer. Cannot be saved: a file holds no code."""

    def __init__(
        self, function: Callable[..., Any], output_shape: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.function = function
        self._given_shape = output_shape

    def call(self, inputs: Any) -> Any:
        return self.function(wrap(map_leaves(alias, inputs)))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        if self._given_shape is not None:
            return (input_shape[0], *self._given_shape)
        return super().compute_output_shape(input_shape)


class Arithmetic(Layer):
    """An operator between symbolic tensors, or between one and a number."""

    def __init__(self, name_of_operator: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.built = True

    def call(self, *operands: Any) -> Any:
        known = next(o for o in operands if isinstance(o, Tensor))
        return getattr(operator, self.name_of_operator)(*(operand(known, o) for o in operands))

    def __call__(self, *operands: Any, **kwargs: Any) -> Any:
        if is_symbolic(operands):
            return self._call_symbolically(operands, kwargs)
        return self._run(operands, kwargs)


class GetItem(Layer):
    """x[index] of a symbolic tensor."""

    def __init__(self, index: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = tuple(index) if isinstance(index, list) else index  # a file has lists

    def call(self, inputs: Tensor) -> Tensor:
        return inputs[self.index]
