"""Reductions and scans."""

from __future__ import annotations

import numpy as np

from op_specs.spec import (
    ALL_DTYPES,
    FLOATS,
    NUMBERS,
    SIZES,
    Sample,
    Spec,
    bad,
    distinct,
    integers,
    normal,
    uniform,
)

OUT_OF_RANGE = (
    bad(IndexError, "dimension", normal(2, 3), 2),
    bad(IndexError, "dimension", normal(2, 3), -3),
    bad(TypeError, "", normal(2, 3), "text"),
    bad(TypeError, "", normal(2, 3), 1.5),
    bad(TypeError, "", None),
)
TWICE = (bad((ValueError, RuntimeError), "", normal(2, 3), (0, 0)),)


def axes(dim):
    return tuple(dim) if isinstance(dim, (tuple, list)) else dim


def over(f):
    """NumPy's reduction under our argument names; dim=() reduces everything, as dim=None does."""

    def call(x, dim=None, keepdim=False, dtype=None):
        x = np.asarray(x)
        dim = axes(dim)
        if dim == ():
            dim = None
        if x.dtype.kind in "biu" and f not in (np.max, np.min, np.all, np.any):
            x = x.astype(np.int64)
        with np.errstate(all="ignore"):
            return f(x, axis=dim, keepdims=keepdim)

    return call


def cases(make=normal, many=True, empty=True, **kw):
    """Every size, along each dimension, several at once, kept or not."""
    rows = [Sample(make(n), **kw) for n in SIZES if n or empty]
    rows += [Sample(make(), **kw)]
    rows += [Sample(make(3, n), 1, **kw) for n in SIZES if n or empty]
    rows += [Sample(make(n, 3), 0, **kw) for n in (1, 7, 33)]
    rows += [Sample(make(2, 3, 5), d, **kw) for d in (0, 1, 2, -1)]
    rows += [Sample(make(2, 3, 5), 1, True, **kw), Sample(make(3, 0), 0, **kw)]
    if many:
        rows += [Sample(make(2, 3, 4, 5), d, **kw) for d in ((0, 2), (1, 3), (-1, 0), (0, 1, 2, 3))]
        rows += [Sample(make(2, 3, 5), (0, 2), True, **kw), Sample(make(2, 3), keepdim=True, **kw)]
    return rows


def var(x, dim=None, correction=1.0, keepdim=False):
    x, dim = np.asarray(x), axes(dim)
    with np.errstate(all="ignore"):
        return np.var(x, axis=dim, ddof=correction, keepdims=keepdim)


def var_cases():
    return [Sample(normal(n)) for n in SIZES if n > 1] + [
        Sample(normal(3, 17), 1),
        Sample(normal(17, 3), 0, 0.0),
        Sample(normal(2, 3, 5), (0, 2), 1.0, True),
        Sample(normal(2, 3, 5), -1, 0),
        Sample(normal(33) + 100.0, dtypes=("float64",)),
    ]


def logsumexp(x, dim, keepdim=False):
    dim = axes(dim)
    with np.errstate(all="ignore"):
        m = np.max(x, axis=dim, keepdims=True)
        safe = np.where(np.isfinite(m), m, 0.0)
        y = np.log(np.sum(np.exp(x - safe), axis=dim, keepdims=True)) + safe
    return y if keepdim else np.squeeze(y, axis=dim)


def norm(x, p=2.0, dim=None, keepdim=False):
    a, dim = np.abs(x), axes(dim)
    if p == np.inf:
        return np.max(a, axis=dim, keepdims=keepdim)
    if p == -np.inf:
        return np.min(a, axis=dim, keepdims=keepdim)
    if p == 0:
        return np.sum(a != 0, axis=dim, keepdims=keepdim).astype(float)
    return np.sum(a**p, axis=dim, keepdims=keepdim) ** (1 / p)


def scan(f):
    def call(x, dim):
        kind = np.int64 if x.dtype.kind in "biu" else None
        return f(x, axis=dim, dtype=kind).reshape(x.shape)

    return call


def extreme(largest):
    def call(x, dim, keepdim=False):
        pick, arg = (np.max, np.argmax) if largest else (np.min, np.argmin)
        return pick(x, axis=dim, keepdims=keepdim), arg(x, axis=dim, keepdims=keepdim)

    return call


def arg(f):
    def call(x, dim=None, keepdim=False):
        if dim is None and keepdim:
            return np.reshape(f(x), (1,) * np.ndim(x))
        return f(x, axis=dim, keepdims=keepdim) if dim is not None else np.asarray(f(x))

    return call


ties = lambda *shape: integers(-2, 3, *shape).astype(np.float64)
ONE_DIM = (
    [Sample(distinct(3, n), 1) for n in SIZES if n]
    + [Sample(distinct(2, 3, 5), d) for d in (0, 1, -1)]
    + [
        Sample(distinct(4, 3), 0, True),
        Sample(distinct(0, 3), 1),
        Sample(ties(5, 9), 1, grad=False),
        Sample(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 0.0]]), 1, dtypes=FLOATS, grad=False),
        Sample(ties(17, 2), 0, dtypes=NUMBERS, grad=False),
    ]
)
NOTHING = (bad((ValueError, IndexError, RuntimeError), "", normal(0)),)
NOTHING_ALONG = (bad((ValueError, IndexError, RuntimeError), "", normal(3, 0), 1),)
INTEGER_INPUT = (bad(TypeError, "float", integers(0, 5, 3)),)

ROWS = [
    Spec(
        "sum",
        over(np.sum),
        lambda: [
            *cases(),
            Sample(normal(700), grad=False),
            Sample(normal(3, 2), (), dtypes=("float64",)),
            Sample(integers(50, 120, 65).astype(float), dtypes=("int8", "uint8")),
        ],
        dtypes=ALL_DTYPES,
        out="sum",
        bound=40,
        differentiable=True,
        errors=OUT_OF_RANGE + TWICE,
    ),
    Spec(
        "mean",
        over(np.mean),
        lambda: [s for s in cases(empty=False) if np.size(s.args[0])],
        bound=40,
        differentiable=True,
        errors=OUT_OF_RANGE + INTEGER_INPUT,
    ),
    Spec(
        "prod",
        over(np.prod),
        lambda: (
            cases(lambda *s: uniform(*s, low=0.7, high=1.4), many=False)
            + [
                Sample(np.array([2.0, 0.0, 3.0])),
                Sample(np.array([[0.0, 0.0], [1.0, 2.0]]), 1),
                Sample(ties(3, 5), 1, dtypes=NUMBERS[:7], grad=False),
            ]
        ),
        out="sum",
        bound=80,
        differentiable=True,
        errors=OUT_OF_RANGE,
    ),
    Spec(
        "_var", var, var_cases, bound=40, differentiable=True, errors=OUT_OF_RANGE + INTEGER_INPUT
    ),
    Spec(
        "_std",
        lambda *a, **k: np.sqrt(var(*a, **k)),
        var_cases,
        bound=40,
        differentiable=True,
        errors=OUT_OF_RANGE + INTEGER_INPUT,
    ),
    Spec(
        "amax",
        over(np.max),
        lambda: (
            [s for s in cases(distinct, empty=False) if np.size(s.args[0])]
            + [
                Sample(ties(3, 7), 1, dtypes=ALL_DTYPES, grad=False),
                Sample(np.array([1.0, np.nan]), grad=False),
            ]
        ),
        bound=0,
        differentiable=True,
        errors=OUT_OF_RANGE + NOTHING,
    ),
    Spec(
        "amin",
        over(np.min),
        lambda: (
            [s for s in cases(distinct, empty=False) if np.size(s.args[0])]
            + [
                Sample(ties(3, 7), 1, dtypes=ALL_DTYPES, grad=False),
                Sample(np.array([1.0, np.nan]), grad=False),
            ]
        ),
        bound=0,
        differentiable=True,
        errors=OUT_OF_RANGE + NOTHING,
    ),
    Spec(
        "_max_dim",
        extreme(True),
        lambda: ONE_DIM,
        bound=0,
        indices=True,
        differentiable=True,
        errors=OUT_OF_RANGE[:3] + NOTHING_ALONG,
    ),
    Spec(
        "_min_dim",
        extreme(False),
        lambda: ONE_DIM,
        bound=0,
        indices=True,
        differentiable=True,
        errors=OUT_OF_RANGE[:3] + NOTHING_ALONG,
    ),
    Spec(
        "argmax",
        arg(np.argmax),
        lambda: [*ONE_DIM, Sample(distinct(3, 7)), Sample(distinct(2, 3), None, True)],
        out="int64",
        errors=OUT_OF_RANGE[:3] + NOTHING,
    ),
    Spec(
        "argmin",
        arg(np.argmin),
        lambda: [*ONE_DIM, Sample(distinct(3, 7)), Sample(distinct(2, 3), None, True)],
        out="int64",
        errors=OUT_OF_RANGE[:3] + NOTHING,
    ),
    Spec(
        "all",
        over(np.all),
        lambda: cases(ties) + [Sample(np.ones(65)), Sample(np.ones((3, 33)), 1)],
        dtypes=ALL_DTYPES,
        out="bool",
        errors=OUT_OF_RANGE,
    ),
    Spec(
        "any",
        over(np.any),
        lambda: cases(ties) + [Sample(np.zeros(65)), Sample(np.zeros((3, 33)), 1)],
        dtypes=ALL_DTYPES,
        out="bool",
        errors=OUT_OF_RANGE,
    ),
    Spec(
        "count_nonzero",
        lambda x, dim=None: np.count_nonzero(x, axis=axes(dim)),
        lambda: [s for s in cases(ties) if len(s.args) < 3 and not s.kwargs],
        dtypes=ALL_DTYPES,
        out="int64",
        errors=OUT_OF_RANGE,
    ),
    Spec(
        "logsumexp",
        logsumexp,
        lambda: (
            [Sample(normal(3, n), 1) for n in SIZES if n]
            + [
                Sample(normal(2, 3, 5), (0, 2)),
                Sample(normal(2, 3), 0, True),
                Sample(normal(4) * 300, 0, dtypes=FLOATS[:2]),
                Sample(np.array([-np.inf, -np.inf]), 0, grad=False),
                Sample(np.array([np.inf, 1.0]), 0, grad=False),
            ]
        ),
        bound=16,
        differentiable=True,
        errors=OUT_OF_RANGE[:3],
    ),
    Spec(
        "norm",
        norm,
        lambda: (
            [Sample(normal(n), p) for n in (1, 7, 33) for p in (2.0, 1.0, 3.0)]
            + [Sample(distinct(5) + 0.09, p) for p in (np.inf, -np.inf, 0.0)]
            + [
                Sample(normal(3, 5), 2.0, 1),
                Sample(normal(2, 3, 4), 2.0, (0, 2), True),
                Sample(normal(3, 5), dim=0),
            ]
        ),
        bound=24,
        differentiable=True,
        errors=INTEGER_INPUT,
    ),
    Spec(
        "cumsum",
        scan(np.cumsum),
        lambda: (
            [Sample(normal(n), 0) for n in SIZES]
            + [Sample(normal(3, 5, 2), d) for d in (0, 1, -1)]
            + [Sample(normal(), 0)]
        ),
        dtypes=ALL_DTYPES,
        out="sum",
        bound=40,
        differentiable=True,
        errors=OUT_OF_RANGE[:3],
    ),
    Spec(
        "cumprod",
        scan(np.cumprod),
        lambda: (
            [Sample(uniform(n, low=0.7, high=1.4), 0) for n in SIZES]
            + [Sample(uniform(3, 5, 2, low=0.7, high=1.4), d) for d in (0, 1, -1)]
            + [Sample(np.array([2.0, 0.0, 3.0, 0.0]), 0)]
        ),
        out="sum",
        bound=80,
        differentiable=True,
        errors=OUT_OF_RANGE[:3],
    ),
]
