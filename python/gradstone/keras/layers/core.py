"""Dense, Embedding, activations, dropout, and layers that only move numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import activations, initializers, regularizers
from gradstone.keras._names import dtype_of
from gradstone.keras._symbolic import KerasTensor, Node, is_symbolic, map_leaves
from gradstone.keras._tensor import alias, wrap
from gradstone.keras.layer import Layer, Shape
from gradstone.nn import functional as F


def positive(name: str, value: Any) -> int:
    """`value` when it is a whole number above 0. ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(
            f"Received an invalid value for `{name}`, expected a positive integer. Received: "
            f"{name}={value}"
        )
    return int(value)


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
        self.units = positive("units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias: Any = None

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        if size is None:
            raise ValueError(
                f"The last dimension of the inputs to Dense must be known, got {input_shape}."
            )
        self.kernel = self.add_weight(
            (size, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        if self.use_bias:
            del self.bias
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

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
        self.mask_zero = mask_zero
        self._given = weights

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            name="embeddings",
        )
        if self._given is not None:
            given = self._given
            self.set_weights(given if isinstance(given, (list, tuple)) else [given])

    def call(self, inputs: Tensor) -> Tensor:
        index = inputs if not inputs.dtype.is_floating_point else inputs.long()
        out = F.embedding(index.long(), self.embeddings)
        if self.mask_zero:
            out._keras_mask = index != 0  # type: ignore[attr-defined]
        return out

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)


class SameShape(Layer):
    """A layer whose output has the shape of its input."""

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


class TimeDistributed(Layer):
    """The same layer at every step of (N, T, ...)."""

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer._build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor) -> Tensor:
        n, steps = inputs.shape[:2]
        out = self.layer(inputs.reshape(n * steps, *inputs.shape[2:]))
        return out.reshape(n, steps, *out.shape[1:])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        inner = self.layer.compute_output_shape((input_shape[0], *input_shape[2:]))
        return (*input_shape[:2], *inner[1:])


class Arithmetic(Layer):
    """An operator between symbolic tensors, or between one and a number."""

    def __init__(self, name_of_operator: str, **kwargs: Any) -> None:
        kwargs.setdefault("name", None)
        super().__init__(**kwargs)
        self.name_of_operator = name_of_operator
        self.built = True

    def call(self, *operands: Any) -> Any:
        return getattr(operator, self.name_of_operator)(*operands)

    def __call__(self, *operands: Any, **kwargs: Any) -> Any:
        if is_symbolic(operands):
            return self._call_symbolically(operands, kwargs)
        return self._run(operands, kwargs)


class GetItem(Layer):
    """x[index] of a symbolic tensor. Cannot be saved."""

    def __init__(self, index: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index

    def call(self, inputs: Tensor) -> Tensor:
        return inputs[self.index]
