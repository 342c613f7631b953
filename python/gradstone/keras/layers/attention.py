"""Attention with several heads (Vaswani et al., 2017), with Keras's weights."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone.keras._weights import as_shape
from gradstone.keras.layer import Layer, Shape
from gradstone.keras.layers.core import positive
from gradstone.nn import functional as F

_WEIGHT_OPTIONS = (
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
)  # fmt: skip


class _HeadMap(Layer):
    """(N, T, D) to (N, T, heads, size), or back: kernel and bias in Keras's shapes."""

    supports_masking = True

    def __init__(self, kernel: Shape, bias: Shape, owner: MultiHeadAttention, name: str) -> None:
        super().__init__(name=name)
        self.kernel_shape, self.bias_shape = kernel, bias
        self._keep({name: getattr(owner, name) for name in _WEIGHT_OPTIONS})
        self._make("kernel", kernel)
        self._make("bias", bias, owner.use_bias)
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

    supports_masking = True
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
        arguments = dict(locals())
        self._wanted = arguments.pop("output_shape")  # every layer has a property of this name
        self._keep(arguments)
        self.num_heads = positive("num_heads", num_heads)
        self.key_dim = positive("key_dim", key_dim)
        self.value_dim = value_dim or key_dim

    def _out_shape(self, query_shape: Any) -> Shape:
        wanted = query_shape[-1] if self._wanted is None else self._wanted
        return (*query_shape[:-1], *as_shape(wanted))

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(("query", "value", "key"), args)) | kwargs
        value = named["value"]
        key = named.get("key")
        shapes = [tuple(t.shape) for t in (named["query"], value, value if key is None else key)]
        self.build(*shapes)
        self.built = True

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        value_shape = value_shape or query_shape
        heads = self.num_heads
        for name, shape, size in (
            ("query", query_shape, self.key_dim),
            ("key", key_shape or value_shape, self.key_dim),
            ("value", value_shape, self.value_dim),
        ):
            made = _HeadMap((shape[-1], heads, size), (heads, size), self, name)
            setattr(self, f"{name}_dense", made)
        features = self._out_shape(query_shape)[-1]
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
        q = self.query_dense(query).transpose(1, 2)
        k = self.key_dense(key).transpose(1, 2)
        v = self.value_dense(value).transpose(1, 2)
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
            while mask.dim() < 3:
                mask = mask.unsqueeze(0)
            parts.append(mask.unsqueeze(1) if mask.dim() == 3 else mask)
        implied = getattr(value, "_keras_mask", None)
        for padding in (value_mask if value_mask is not None else implied, key_mask):
            if padding is not None:
                parts.append(padding.bool().unsqueeze(1).unsqueeze(1))
        if causal:
            square = _C._full((query.size(1), value.size(1)), 1, _C.float32, query.device)
            parts.append(_C.tril(square).bool().unsqueeze(0).unsqueeze(0))
        return reduce(_C.logical_and, parts) if parts else None

    def _symbolic_shapes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query = args[0] if args else kwargs["query"]
        value = args[1] if len(args) > 1 else kwargs["value"]
        out = self._out_shape(query.shape)
        if kwargs.get("return_attention_scores"):
            return [out, (query.shape[0], self.num_heads, query.shape[1], value.shape[1])]
        return out

    def compute_output_shape(self, query_shape: Shape, *others: Any) -> Shape:
        return self._out_shape(query_shape)
