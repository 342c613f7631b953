"""Attention with several heads (Vaswani et al., 2017)."""

from __future__ import annotations

from typing import Any

from gradstone import _C
from gradstone._C import Tensor
from gradstone._types import DeviceLike, DTypeLike
from gradstone.nn import functional as F
from gradstone.nn import init
from gradstone.nn.modules._parameters import empty_parameter
from gradstone.nn.modules.linear import NonDynamicallyQuantizableLinear
from gradstone.nn.modules.module import Module
from gradstone.nn.parameter import Parameter


class MultiheadAttention(Module):
    """softmax(Q K^T / sqrt(d)) V for each of num_heads slices of d = embed_dim / num_heads
    features.

    query (T, N, E), key (S, N, kdim), value (S, N, vdim); (N, T, E) and so on with batch_first,
    without N for one sequence. Gives the output (like query) and the weights (N, T, S), or (N,
    heads, T, S) with average_attn_weights=False, or None with need_weights=False, which is faster.
    add_bias_kv and add_zero_attn each add a key behind the others: learned, and zero.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: DeviceLike = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise ValueError(
                f"[MultiheadAttention] embed_dim must be divisible by num_heads, got {embed_dim} "
                f"and {num_heads}."
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self._qkv_same_embed_dim:
            self.in_proj_weight = empty_parameter((3 * embed_dim, embed_dim), device, dtype)
            for name in "qkv":
                self.register_parameter(f"{name}_proj_weight", None)
        else:
            self.q_proj_weight = empty_parameter((embed_dim, embed_dim), device, dtype)
            self.k_proj_weight = empty_parameter((embed_dim, self.kdim), device, dtype)
            self.v_proj_weight = empty_parameter((embed_dim, self.vdim), device, dtype)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = empty_parameter((3 * embed_dim,), device, dtype)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        self.bias_k: Parameter | None = None
        self.bias_v: Parameter | None = None
        if add_bias_kv:
            self.bias_k = empty_parameter((1, 1, embed_dim), device, dtype)
            self.bias_v = empty_parameter((1, 1, embed_dim), device, dtype)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Q, K and V, each (N, length, E)."""
        biases: Any = (None, None, None)
        if self.in_proj_bias is not None:
            biases = _C.chunk(self.in_proj_bias, 3)
        if self.in_proj_weight is None:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif query is key and key is value:
            return list(_C.chunk(F.linear(query, self.in_proj_weight, self.in_proj_bias), 3, -1))
        else:
            weights = _C.chunk(self.in_proj_weight, 3)
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]

    def _more_keys(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Keys or values (N, S, E) with what every query may look at beside them: one of the
        module's own, and zeros."""
        n, _, e = x.shape
        parts = [x] if bias is None else [x, bias.expand(n, 1, e)]
        if self.add_zero_attn:
            parts.append(_C._full((n, 1, e), 0, x.dtype, x.device))
        return x if len(parts) == 1 else _C.cat(parts, 1)

    def _mask(
        self,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        batch: int,
        lengths: tuple[int, int],
        like: Tensor,
    ) -> Tensor | None:
        """One mask to be added to the scores, that broadcasts to (N, heads, T, S)."""
        target, source = lengths
        out = None
        if attn_mask is not None:
            out = _additive(attn_mask, like)
            if out.dim() == 3:
                if tuple(out.shape) != (batch * self.num_heads, target, source):
                    raise ValueError(
                        f"[MultiheadAttention] expected a 3D attn_mask of shape "
                        f"{(batch * self.num_heads, target, source)}, got {tuple(out.shape)}."
                    )
                out = out.reshape(batch, self.num_heads, target, source)
            elif tuple(out.shape) != (target, source):
                raise ValueError(
                    f"[MultiheadAttention] expected a 2D attn_mask of shape "
                    f"{(target, source)}, got {tuple(out.shape)}."
                )
        if key_padding_mask is not None:
            if tuple(key_padding_mask.shape) != (batch, source):
                raise ValueError(
                    f"[MultiheadAttention] expected key_padding_mask of shape {(batch, source)}, "
                    f"got {tuple(key_padding_mask.shape)}."
                )
            padding = _additive(key_padding_mask, like).reshape(batch, 1, 1, source)
            out = padding if out is None else out + padding
        more = (self.bias_k is not None) + self.add_zero_attn
        return out if out is None or not more else _C._pad(out, (0, more))

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """key_padding_mask (N, S): True marks keys to leave out. attn_mask (T, S) or (N * heads, T,
        S): True marks pairs to leave out, or floats to add to the scores."""
        if is_causal and attn_mask is None:
            raise ValueError("[MultiheadAttention] is_causal is a hint about attn_mask: give both.")
        single = query.dim() == 2
        if query.dim() not in (2, 3):
            raise ValueError(
                "[MultiheadAttention] expected query of shape (T, E), (T, N, E) or (N, T, E), got "
                f"{tuple(query.shape)}."
            )
        if single:
            alike = query is key and key is value
            query = query.unsqueeze(0)
            key, value = (query, query) if alike else (key.unsqueeze(0), value.unsqueeze(0))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            alike = query is key and key is value
            query = query.transpose(0, 1)
            key, value = (query, query) if alike else (key.transpose(0, 1), value.transpose(0, 1))
        n, t, e = query.shape
        s = key.size(1)
        projected = self._project(query, key, value)
        projected[1] = self._more_keys(projected[1], self.bias_k)
        projected[2] = self._more_keys(projected[2], self.bias_v)
        q, k, v = (
            x.reshape(n, x.size(1), self.num_heads, self.head_dim).transpose(1, 2)
            for x in projected
        )  # N heads length d
        chance = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            mask = self._mask(attn_mask, key_padding_mask, n, (t, s), q)
            scores = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
            weights = _C.softmax(scores if mask is None else scores + mask, -1)
            weights = F.dropout(weights, chance, chance > 0)
            heads = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            # The causal hint replaces the mask it describes.
            causal = is_causal and key_padding_mask is None and t == k.size(2)
            mask = None
            if not causal:
                mask = self._mask(attn_mask, key_padding_mask, n, (t, s), q)
            heads = F.scaled_dot_product_attention(q, k, v, mask, chance, causal)
        out = self.out_proj(heads.transpose(1, 2).reshape(n, t, e))
        if single:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask to add: -inf where a bool mask is True."""
    if mask.dtype == _C.bool:
        zeros = _C._full(tuple(mask.shape), 0, like.dtype, like.device)
        return zeros.masked_fill(mask, float("-inf"))
    if not mask.dtype.is_floating_point:
        raise TypeError(f"[MultiheadAttention] masks must be bool or floating, got {mask.dtype}.")
    return _C._cast(mask, like.dtype)
