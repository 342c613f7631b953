"""Maps of vectors: linear, bilinear, rows of a table, similarity; attention."""

from __future__ import annotations

from gradstone import _C
from gradstone._C import Tensor
from gradstone._functions import broadcast_tensors
from gradstone.autograd.grad_mode import no_grad

linear = _C.linear
one_hot = _C.one_hot


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 (..., I1), x2 (..., I2), weight (O, I1, I2): x1 W_o x2 for each o, plus bias (O)."""
    if weight.dim() != 3:
        raise ValueError(
            f"[bilinear] expected weight of shape (O, I1, I2), got {tuple(weight.shape)}."
        )
    o, i1, i2 = weight.shape
    if (*input1.shape[:-1], i2) != tuple(input2.shape) or input1.shape[-1:] != (i1,):
        raise ValueError(
            f"[bilinear] expected inputs of shapes (..., {i1}) and (..., {i2}) to match weight "
            f"{tuple(weight.shape)}, got {tuple(input1.shape)} and {tuple(input2.shape)}."
        )
    left = input1.reshape(-1, i1) @ weight.permute(1, 0, 2).reshape(i1, o * i2)
    out = (left.reshape(-1, o, i2) @ input2.reshape(-1, i2, 1)).reshape(*input1.shape[:-1], o)
    return out if bias is None else out + bias


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q K^T * scale + mask) V of query (..., T, d), key (..., S, d) and value (..., S, v);
    scale is 1 / sqrt(d) unless given. In a bool mask True takes part.

    With `enable_gqa` key and value (..., H, S, d) have fewer heads than the query, each for as many
    of the query's in a row.
    """
    if enable_gqa:
        heads = [x.size(-3) if x.dim() > 2 else 0 for x in (query, key, value)]
        if 0 in heads or heads[0] % heads[1] or heads[0] % heads[2]:
            raise ValueError(
                "[scaled_dot_product_attention] expected heads (..., H, T, d) that divide the "
                f"query's, got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}."
            )
        key = key.repeat_interleave(heads[0] // heads[1], -3)
        value = value.repeat_interleave(heads[0] // heads[2], -3)
    return _C.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale
    )


def _shorten_rows(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Rows of weight whose norm is above max_norm, among those of the index."""
    with no_grad():
        rows = index.long().reshape(-1).unique()
        values = weight.detach()[rows]
        norms = values.norm(norm_type, 1, True)
        shorter = values * (max_norm / (norms + 1e-7))
        weight.detach()[rows] = _C._where(norms > max_norm, shorter, values)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of weight (V, D) by index (any shape). Row padding_idx receives no gradient. With
    max_norm, rows that are looked up and are longer are first shortened to it, in place."""
    if scale_grad_by_freq or sparse:
        raise NotImplementedError("[embedding] scale_grad_by_freq and sparse are not offered.")
    if max_norm is not None:
        _shorten_rows(weight, input, max_norm, norm_type)
    if padding_idx is None:
        return _C._embedding(input, weight)
    rows = weight.size(0)
    if not -rows <= padding_idx < rows:
        raise ValueError(f"[embedding] padding_idx {padding_idx} is not a row of {rows}.")
    return _C._embedding(input, weight, padding_idx % rows)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim of both broadcast to one shape."""
    if x1.dim() != x2.dim() or x1.size(dim) != x2.size(dim):  # else the norms are, which is less
        x1, x2 = broadcast_tensors(x1, x2)
    n1 = x1.norm(2.0, dim).clamp(min=eps)
    n2 = x2.norm(2.0, dim).clamp(min=eps)
    return (x1 * x2).sum(dim) / (n1 * n2)
