"""Attention with several heads (Vaswani et al., 2017), with Keras's weights."""

from __future__ import annotations

import math
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras import initializers, regularizers
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.core import positive
from gradstone.nn import functional as F


class _HeadMap(Layer):
    """(N, T, D) to (N, T, heads, size), or back: kernel and bias in Keras's shapes."""

    def __init__(self, kernel: Shape, bias: Shape, owner: MultiHeadAttention, name: str) -> None:
        super().__init__(name=name)
        self.kernel_shape, self.bias_shape = kernel, bias
        self.kernel = self.add_weight(
            kernel, owner.kernel_initializer, regularizer=owner.kernel_regularizer, name="kernel"
        )
        self.bias: Any = None
        if owner.use_bias:
            del self.bias
            self.bias = self.add_weight(
                bias, owner.bias_initializer, regularizer=owner.bias_regularizer, name="bias"
            )
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        into = math.prod(self.kernel_shape) // math.prod(self.bias_shape)
        out = _C.matmul(x.reshape(*x.shape[:2], into), self.kernel.reshape(into, -1))
        out = out.reshape(*x.shape[:2], *self.bias_shape)
        return out if self.bias is None else out + self.bias


class MultiHeadAttention(Layer):
    """softmax(Q K^T / sqrt(key_dim)) V for each head, then a map back to the query's features.

    query (N, T, D), value (N, S, D2), key like value. attention_mask (N, T, S), (T, S) or (N, 1, 1,
    S), true where a query may look.
    """

    _casts_integers = True

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if attention_axes not in (None, 1, (1,), [1]):
            raise ValueError(
                f"Only attention over axis 1 is offered, got attention_axes={attention_axes}."
            )
        self.num_heads = positive("num_heads", num_heads)
        self.key_dim = positive("key_dim", key_dim)
        self.value_dim = value_dim or key_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self._wanted = output_shape
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(("query", "value", "key"), args)) | kwargs
        value = named["value"]
        key = named.get("key")
        shapes = [tuple(t.shape) for t in (named["query"], value, value if key is None else key)]
        self.build(*shapes)
        self.built = True

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        value_shape = value_shape or query_shape
        key_shape = key_shape or value_shape
        heads, size = self.num_heads, self.key_dim
        maps = (
            ("query", query_shape, size),
            ("key", key_shape, size),
            ("value", value_shape, self.value_dim),
        )
        for name, shape, width in maps:
            made = _HeadMap((shape[-1], heads, width), (heads, width), self, name)
            setattr(self, f"{name}_dense", made)
        wanted = self._wanted if self._wanted is not None else query_shape[-1]
        features = wanted if isinstance(wanted, int) else wanted[-1]
        self.output_dense = _HeadMap(
            (heads, self.value_dim, features), (features,), self, "attention_output"
        )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
        query_mask: Any = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
    ) -> Any:
        key = value if key is None else key
        q, k, v = (
            layer(x).transpose(1, 2)
            for layer, x in (
                (self.query_dense, query),
                (self.key_dense, key),
                (self.value_dense, value),
            )
        )
        mask = self._mask(query, value, attention_mask, value_mask, key_mask, use_causal_mask)
        scores = None
        if return_attention_scores:
            products = _C.matmul(q, k.transpose(2, 3)) * (1.0 / math.sqrt(self.key_dim))
            if mask is not None:
                products = _C.masked_fill(products, mask.logical_not(), -1e9)
            scores = F.softmax(products, -1)
            out = _C.matmul(F.dropout(scores, self.dropout, training), v)
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if training else 0.0)
        out = out.transpose(1, 2)
        result = self.output_dense(out.reshape(*out.shape[:2], self.num_heads * self.value_dim))
        return (result, scores) if return_attention_scores else result

    def _mask(
        self,
        query: Tensor,
        value: Tensor,
        given: Tensor | None,
        value_mask: Tensor | None,
        key_mask: Tensor | None,
        causal: bool,
    ) -> Tensor | None:
        """(N or 1, heads or 1, T, S), true where allowed; None where all is."""
        parts = []
        if given is not None:
            mask = given.bool()
            parts.append(
                mask.reshape(*[1] * (3 - mask.dim()), *mask.shape).unsqueeze(1)
                if mask.dim() < 4
                else mask
            )
        implied = getattr(value, "_keras_mask", None)
        for padding in (value_mask if value_mask is not None else implied, key_mask):
            if padding is not None:
                parts.append(padding.bool().unsqueeze(1).unsqueeze(1))
        if causal:
            square = _C._full((query.size(1), value.size(1)), 1, _C.float32, query.device)
            parts.append(_C.tril(square).bool().unsqueeze(0).unsqueeze(0))
        out = None
        for part in parts:
            out = part if out is None else _C.logical_and(out, part)
        return out

    def _symbolic_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query = args[0] if args else kwargs["query"]
        value = args[1] if len(args) > 1 else kwargs["value"]
        wanted = self._wanted if self._wanted is not None else query.shape[-1]
        out = (*query.shape[:-1], *(wanted if isinstance(wanted, (tuple, list)) else (wanted,)))
        if kwargs.get("return_attention_scores"):
            return [out, (query.shape[0], self.num_heads, query.shape[1], value.shape[1])]
        return out

    def compute_output_shape(self, query_shape: Shape, *others: Any) -> Shape:
        wanted = self._wanted if self._wanted is not None else query_shape[-1]
        return (*query_shape[:-1], *(wanted if isinstance(wanted, (tuple, list)) else (wanted,)))
