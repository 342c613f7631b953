"""Elementwise maths of one tensor."""

from __future__ import annotations

import math

import numpy as np

from op_specs.spec import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    SIZES,
    Sample,
    Spec,
    bad,
    flags,
    integers,
    normal,
    sizes,
    uniform,
)

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return np.where(
        x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))
    )


def positive(*shape):
    return uniform(*shape, low=0.2, high=3.0)


NO_TENSOR = [bad(TypeError, "", None), bad(TypeError, "", 1.5), bad(TypeError, "", "text")]


def unary(name, reference, make=normal, dtypes=FLOATS, extra=(), **kw):
    kw.setdefault("differentiable", True)
    kw.setdefault("out", "float" if dtypes != FLOATS else "same")
    errors = NO_TENSOR + list(kw.pop("errors", ()))
    return Spec(
        name,
        reference,
        lambda: sizes(make) + list(extra),
        dtypes=dtypes,
        errors=tuple(errors),
        **kw,
    )


def wide(scale):
    """Values far from 0 as well: the ends of what an approximation must cover."""
    return Sample(np.linspace(-scale, scale, 101), grad=False)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0])


def special(low=-1):
    values = SPECIAL if low < 0 else SPECIAL[[0, 2, 4, 5]]
    return Sample(values, grad=False, dtypes=FLOATS)


def nonzero(*shape):
    x = normal(*shape)
    return np.sign(x) * (np.abs(x) + 0.75)


def halves(*shape):
    """Not near an integer or a half."""
    return integers(-4, 5, *shape) + uniform(*shape, low=0.1, high=0.4)


ints = lambda *shape: integers(-5, 6, *shape).astype(np.float64)


def gelu(x, approximate="none"):
    with np.errstate(over="ignore"):
        if approximate == "tanh":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def clamp(x, min=None, max=None):
    low = -np.inf if min is None else min
    return np.minimum(np.maximum(x, low), np.inf if max is None else max)


def silenced(f):
    def call(*args, **kw):
        with np.errstate(all="ignore"):
            return f(*args, **kw)

    return call


ROWS = [
    unary(
        "neg",
        np.negative,
        dtypes=NUMBERS,
        out="same",
        extra=[special()],
        errors=[bad(TypeError, "bool", flags(3))],
    ),
    unary("abs", np.abs, dtypes=NUMBERS, out="same", extra=[special()]),
    unary("sign", np.sign, dtypes=NUMBERS, out="same"),
    unary("square", np.square, dtypes=NUMBERS, out="same"),
    unary("sqrt", np.sqrt, positive, NUMBERS, extra=[special(0)]),
    unary("rsqrt", silenced(lambda x: 1 / np.sqrt(x)), positive, extra=[special(0)]),
    unary("reciprocal", silenced(lambda x: 1 / x), nonzero, extra=[special()]),
    unary(
        "exp",
        silenced(np.exp),
        dtypes=NUMBERS,
        bound=6,
        extra=[wide(80.0), special()],
        bound_of={"float16": 8},
    ),
    unary(
        "expm1",
        silenced(np.expm1),
        dtypes=NUMBERS,
        bound=6,
        extra=[wide(1e-3), wide(9.0), special()],
    ),
    unary(
        "log",
        silenced(np.log),
        positive,
        NUMBERS,
        bound=6,
        extra=[special(0), Sample(np.geomspace(1e-4, 1e4, 65), grad=False)],
    ),
    unary("log1p", silenced(np.log1p), positive, NUMBERS, bound=6, extra=[wide(0.01), special(0)]),
    unary("log2", silenced(np.log2), positive, NUMBERS, bound=6, extra=[special(0)]),
    unary("sin", silenced(np.sin), dtypes=NUMBERS, bound=6, extra=[wide(50.0), special()]),
    unary("cos", silenced(np.cos), dtypes=NUMBERS, bound=6, extra=[wide(50.0), special()]),
    unary("tan", silenced(np.tan), lambda *s: uniform(*s, low=-1.2, high=1.2), bound=8),
    unary("atan", np.arctan, dtypes=NUMBERS, extra=[wide(1000.0), special()]),
    unary("sinh", silenced(np.sinh), bound=8, extra=[wide(9.0), special()]),
    unary("cosh", silenced(np.cosh), bound=8, extra=[wide(9.0), special()]),
    unary("tanh", np.tanh, dtypes=NUMBERS, bound=6, extra=[wide(30.0), special()]),
    unary("sigmoid", silenced(sigmoid), dtypes=NUMBERS, bound=6, extra=[wide(100.0), special()]),
    unary(
        "relu",
        lambda x: np.maximum(x, 0),
        dtypes=NUMBERS,
        out="same",
        extra=[special()],
        errors=[bad(TypeError, "", flags(3))],
    ),
    unary(
        "leaky_relu",
        lambda x, negative_slope=0.01: np.where(x > 0, x, x * negative_slope),
        extra=[Sample(normal(33), 0.2), Sample(normal(5), negative_slope=0.0)],
    ),
    unary(
        "elu",
        silenced(lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x))),
        bound=6,
        extra=[Sample(normal(33), 0.5), wide(30.0)],
    ),
    unary(
        "gelu",
        silenced(gelu),
        bound=8,
        extra=[
            Sample(normal(33), approximate="tanh"),
            wide(6.0),
            Sample(np.linspace(-6, 6, 99), "tanh", grad=False),
        ],
        errors=[bad(ValueError, "approximate", normal(3), approximate="sigmoid")],
    ),
    unary("silu", silenced(lambda x: x * sigmoid(x)), bound=8, extra=[wide(80.0)]),
    unary(
        "softplus",
        softplus,
        bound=8,
        extra=[Sample(normal(33), 2.0, 1.0), wide(60.0), Sample(normal(7), beta=0.5)],
        errors=[bad(ValueError, "beta", normal(3), beta=0.0)],
    ),
    unary("logsigmoid", lambda x: -np.logaddexp(0, -x), bound=8, extra=[wide(100.0), special()]),
    unary(
        "hardtanh",
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        extra=[Sample(normal(33), -0.5, 0.25)],
        errors=[
            bad(ValueError, "min_val", normal(3), 1.0, -1.0),
            bad(TypeError, "floating", integers(0, 5, 3)),
        ],
    ),
    unary("erf", erf, dtypes=NUMBERS, bound=6, extra=[wide(6.0)]),
    unary("floor", np.floor, halves, NUMBERS, out="same", extra=[special()]),
    unary("ceil", np.ceil, halves, NUMBERS, out="same", extra=[special()]),
    unary(
        "round",
        np.round,
        halves,
        NUMBERS,
        out="same",
        extra=[Sample(np.arange(-4, 5) / 2.0, grad=False), special()],
    ),
    unary("trunc", np.trunc, halves, NUMBERS, out="same", extra=[special()]),
    Spec(
        "clamp",
        clamp,
        lambda: (
            [Sample(normal(n), -0.5, 0.75) for n in SIZES]
            + [
                Sample(normal(3, 5), min=0.1),
                Sample(normal(3, 5), max=0.3),
                Sample(ints(3, 5), -2, 3, dtypes=INTEGERS),
                Sample(normal(3, 5), normal(5) - 1, normal(3, 1) + 1),
                Sample(normal(7), max=normal(7)),
                Sample(ints(3, 5), ints(5), 3, dtypes=INTEGERS),
                Sample(SPECIAL, -0.5, 0.5, grad=False),
                Sample(normal(7), 0.5, -0.5, grad=False),
            ]
        ),
        differentiable=True,
        errors=(bad(ValueError, "min, max", normal(3)),),
    ),
]
