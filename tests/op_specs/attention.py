"""Dropout and attention."""

from __future__ import annotations

import math

import numpy as np

from op_specs.spec import SIZES, Sample, Spec, bad, flags, integers, normal

WRONG = (ValueError, RuntimeError)


def dropped(result, args, kwargs):
    x, y = np.asarray(args[0], np.float64), result.double().numpy()
    p, training = (*args[1:], 0.5, True)[:2] if len(args) > 1 else (0.5, True)
    if not training or p == 0:
        assert np.array_equal(x, y)
        return
    kept = y != 0
    if p == 1:
        assert not kept.any()
        return
    assert np.allclose(y[kept], x[kept] / (1 - p), rtol=0.01)
    if x.size > 1000:
        assert abs(kept.mean() - (1 - p)) < 0.05


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    s = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if attn_mask is not None:
        s = np.where(attn_mask, s, -np.inf) if attn_mask.dtype == bool else s + attn_mask
    if is_causal:
        s = np.where(np.tril(np.ones(s.shape[-2:], bool)), s, -np.inf)
    with np.errstate(all="ignore"):
        e = np.exp(s - np.maximum(s.max(-1, keepdims=True), -1e300))
        return (e / np.maximum(e.sum(-1, keepdims=True), 1e-300)) @ v


def attention_samples():
    heads = lambda t, d: normal(2, 2, t, d)
    first = np.ones((3, 5), bool)
    first[0, 1:] = False
    rows = [
        Sample(heads(3, 4), heads(5, 4), heads(5, 4)),
        Sample(heads(4, 3), heads(4, 3), heads(4, 3), is_causal=True),
        Sample(heads(3, 4), heads(5, 4), heads(5, 6)),
        Sample(heads(3, 4), heads(5, 4), heads(5, 4), first),
        Sample(heads(3, 4), heads(5, 4), heads(5, 4), normal(3, 5)),
        Sample(heads(3, 4), heads(5, 4), heads(5, 4), normal(2, 1, 3, 5)),
        Sample(heads(3, 4), heads(5, 4), heads(5, 4), scale=0.3),
        Sample(normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4)),
        Sample(normal(3, 4), normal(5, 4), normal(5, 4)),
        Sample(heads(3, 4), heads(5, 4), heads(5, 4), np.arange(15).reshape(3, 5) > 4, grad=False),
    ]
    rows += [
        Sample(normal(1, 2, n, 5), normal(1, 2, n, 5), normal(1, 2, n, 5), grad=False)
        for n in SIZES
        if n
    ]
    rows += [
        Sample(normal(1, 1, 7, n), normal(1, 1, 9, n), normal(1, 1, 9, n), grad=False)
        for n in SIZES
        if n
    ]
    return rows + [
        Sample(
            normal(1, 1, 65, 8),
            normal(1, 1, 65, 8),
            normal(1, 1, 65, 8),
            is_causal=True,
            grad=False,
        )
    ]


ROWS = [
    Spec(
        "dropout",
        None,
        lambda: (
            [Sample(normal(n)) for n in SIZES]
            + [
                Sample(normal(5003), 0.3),
                Sample(normal(5, 3), 0.5, False),
                Sample(normal(33), 0.0),
                Sample(normal(33), 1.0),
            ]
        ),
        check=dropped,
        layouts=False,
        errors=(
            bad(ValueError, "probability", normal(3), 1.5),
            bad(ValueError, "probability", normal(3), -0.5),
            bad(ValueError, "probability", normal(3), float("nan")),
        ),
    ),
    Spec(
        "scaled_dot_product_attention",
        attention,
        attention_samples,
        bound=64,
        differentiable=True,
        errors=(
            bad(WRONG, "", normal(2, 3, 4), normal(2, 5, 3), normal(2, 5, 4)),
            bad(WRONG, "", normal(2, 3, 4), normal(2, 5, 4), normal(2, 6, 4)),
            bad(WRONG, "", normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4), flags(3, 4)),
            bad(WRONG, "", normal(4), normal(4), normal(4)),
            bad(WRONG, "", normal(2, 3, 4), normal(3, 5, 4), normal(3, 5, 4)),
            bad(WRONG, "", normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4), None, 1.5),
            bad(TypeError, "", normal(2, 3, 4), integers(0, 3, 2, 5, 4), normal(2, 5, 4)),
        ),
        flops=lambda q, k, v, *r, **kw: (
            2.0 * np.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        ),
    ),
]
