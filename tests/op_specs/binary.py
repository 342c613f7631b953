"""Arithmetic, bits and comparisons of two operands, with broadcasting."""

from __future__ import annotations

import numpy as np

from op_specs.spec import (
    ALL_DTYPES,
    FLOATS,
    INTEGERS,
    NUMBERS,
    SIZES,
    Sample,
    Spec,
    bad,
    distinct,
    flags,
    integers,
    normal,
    sizes,
)
from op_specs.unary import SPECIAL, halves, ints, nonzero, positive, special


def pairs(a=normal, b=normal, **kw):
    """Two operands: equal shapes of odd sizes, broadcast both ways, numbers on either side."""
    rows = [Sample(a(n), b(n), **kw) for n in SIZES]
    rows += [
        Sample(a(3, 1, 5), b(4, 1), **kw),
        Sample(a(), b(3, 2), **kw),
        Sample(a(2, 3), b(), **kw),
        Sample(a(7, 17), b(17), **kw),
        Sample(a(5, 1), b(1, 33), **kw),
        Sample(a(0, 3), b(1, 3), **kw),
        Sample(a(2, 3), 2.0, dtypes=FLOATS, **kw),
        Sample(1.7, a(2, 3), dtypes=FLOATS, **kw),
    ]
    return rows


TWO_SHAPES = [
    bad(ValueError, r"\(3,\).*\(4,\)", normal(3), normal(4)),
    bad(ValueError, r"\(2, 3\).*\(2, 4\)", normal(2, 3), normal(2, 4)),
    bad(TypeError, "", normal(3), "text"),
    bad(TypeError, "", normal(3), None),
    bad(TypeError, "", normal(3), [1, 2, 3]),
]


def binary(name, reference, a=normal, b=normal, dtypes=NUMBERS, extra=(), **kw):
    kw.setdefault("differentiable", True)
    errors = TWO_SHAPES + list(kw.pop("errors", ()))
    return Spec(
        name,
        reference,
        lambda: pairs(a, b) + list(extra),
        dtypes=dtypes,
        errors=tuple(errors),
        **kw,
    )


def np_pow(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return np.power(a.astype(np.int64), np.abs(b).astype(np.int64))
    return np.power(a.astype(np.float64), b)


def div(a, b, rounding_mode=""):
    with np.errstate(all="ignore"):
        q = np.true_divide(a, b)
        if rounding_mode == "floor":
            return np.floor_divide(a, b)
        return np.trunc(q) if rounding_mode == "trunc" else q


small_int = lambda *shape: integers(1, 4, *shape).astype(np.float64)
small_powers = lambda *shape: integers(0, 4, *shape).astype(np.float64)

ARITHMETIC = [
    binary(
        "add",
        lambda a, b, alpha=1: a + alpha * b,
        dtypes=ALL_DTYPES,
        extra=[
            Sample(normal(3, 2), normal(2), alpha=3, dtypes=NUMBERS),
            Sample(normal(33), normal(33), alpha=-0.5, dtypes=FLOATS),
            Sample(SPECIAL, SPECIAL[::-1].copy(), grad=False, dtypes=FLOATS),
        ],
    ),
    binary(
        "sub",
        lambda a, b, alpha=1: a - alpha * b,
        extra=[Sample(normal(3, 2), normal(2), alpha=3, dtypes=FLOATS)],
        errors=[bad(TypeError, "sub", flags(3), flags(3))],
    ),
    binary("mul", lambda a, b: a * b, dtypes=ALL_DTYPES),
    binary(
        "div",
        div,
        b=nonzero,
        dtypes=NUMBERS,
        out="float",
        extra=[
            Sample(halves(17), nonzero(17), rounding_mode="floor", grad=False, dtypes=("float64",)),
            Sample(halves(17), nonzero(17), rounding_mode="trunc", grad=False, dtypes=("float64",)),
            Sample(np.array([1.0, -1.0, 0.0]), np.zeros(3), grad=False),
        ],
        errors=[bad(ValueError, "rounding_mode", normal(3), normal(3), rounding_mode="up")],
    ),
    binary(
        "floor_divide",
        lambda a, b: np.floor_divide(a, b),
        a=lambda *s: integers(-9, 9, *s) + 0.5,
        b=small_int,
        differentiable=False,
        errors=[
            bad(ValueError, "division by zero", integers(1, 5, 3), np.zeros(3, np.int64)),
            bad(TypeError, "floor_divide", flags(3), flags(3)),
        ],
    ),
    binary(
        "remainder",
        lambda a, b: np.remainder(a, b),
        a=lambda *s: integers(-9, 9, *s) + 0.25,
        b=small_int,
        errors=[
            bad(ValueError, "division by zero", integers(1, 5, 3), 0),
            bad(TypeError, "remainder", flags(3), flags(3)),
        ],
    ),
    binary(
        "fmod",
        lambda a, b: np.fmod(a, b),
        a=lambda *s: integers(-9, 9, *s) + 0.25,
        b=small_int,
        errors=[bad(ValueError, "division by zero", integers(1, 5, 3), 0)],
    ),
    binary(
        "pow",
        np_pow,
        a=positive,
        b=normal,
        dtypes=FLOATS,
        bound=16,
        extra=[
            Sample(small_int(3, 5), small_powers(5), dtypes=INTEGERS),
            *[Sample(positive(17), p) for p in (2, 3, 0.5, -1, -2.5, 1, 0)],
            Sample(normal(17), 2),
            Sample(normal(17), 3),
            Sample(3.0, normal(7)),
            Sample(np.array([0.0, 0.0, 2.0]), 2.0, grad=False),
            Sample(np.array([0.0, -2.0, np.inf]), np.array([0.0, 3.0, -1.0]), grad=False),
        ],
        errors=[bad(ValueError, "negative powers", integers(1, 4, 3), np.array([1, -1, 2]))],
    ),
    binary(
        "maximum",
        np.maximum,
        a=distinct,
        b=lambda *s: distinct(*s) + 0.0625,
        dtypes=FLOATS,
        extra=[
            Sample(
                integers(-3, 4, 9).astype(float),
                integers(-3, 4, 9).astype(float),
                dtypes=INTEGERS,
                grad=False,
            ),
            Sample(SPECIAL, SPECIAL[::-1].copy(), grad=False),
        ],
    ),
    binary(
        "minimum",
        np.minimum,
        a=distinct,
        b=lambda *s: distinct(*s) + 0.0625,
        dtypes=FLOATS,
        extra=[
            Sample(
                integers(-3, 4, 9).astype(float),
                integers(-3, 4, 9).astype(float),
                dtypes=INTEGERS,
                grad=False,
            ),
            Sample(SPECIAL, SPECIAL[::-1].copy(), grad=False),
        ],
    ),
    binary("atan2", np.arctan2, dtypes=FLOATS),
]

amounts = lambda *shape: integers(0, 4, *shape).astype(np.float64)
no_floats = [bad(TypeError, "integers", normal(3), normal(3))]


def bitwise(name, reference, b=ints, dtypes=(*INTEGERS, "bool")):
    def samples():
        return [s for s in pairs(ints, b) if not any(isinstance(a, float) for a in s.args)]

    return Spec(name, reference, samples, dtypes=dtypes, errors=tuple(no_floats))


BITWISE = [
    bitwise("bitwise_and", np.bitwise_and),
    bitwise("bitwise_or", np.bitwise_or),
    bitwise("bitwise_xor", np.bitwise_xor),
    bitwise("bitwise_left_shift", np.left_shift, amounts, INTEGERS),
    bitwise("bitwise_right_shift", np.right_shift, amounts, INTEGERS),
    Spec(
        "bitwise_not",
        np.invert,
        lambda: sizes(ints),
        dtypes=(*INTEGERS, "bool"),
        errors=(bad(TypeError, "integers", normal(3)),),
    ),
]

near = lambda *shape: integers(-2, 3, *shape).astype(np.float64)


def comparison(name, reference):
    return binary(
        name,
        reference,
        near,
        near,
        dtypes=ALL_DTYPES,
        out="bool",
        differentiable=False,
        extra=[
            Sample(SPECIAL, SPECIAL[::-1].copy(), dtypes=FLOATS),
            Sample(SPECIAL, SPECIAL.copy(), dtypes=FLOATS),
        ],
    )


COMPARISONS = [
    comparison("eq", np.equal),
    comparison("ne", np.not_equal),
    comparison("lt", np.less),
    comparison("le", np.less_equal),
    comparison("gt", np.greater),
    comparison("ge", np.greater_equal),
    comparison("logical_and", np.logical_and),
    comparison("logical_or", np.logical_or),
    comparison("logical_xor", np.logical_xor),
    Spec("logical_not", np.logical_not, lambda: sizes(near), dtypes=ALL_DTYPES, out="bool"),
]
for name, reference in (("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite)):
    COMPARISONS.append(
        Spec(name, reference, lambda: [*sizes(near), special()], dtypes=ALL_DTYPES, out="bool")
    )


OTHERS = [
    Spec(
        "_where",
        np.where,
        lambda: (
            [Sample(flags(n), normal(n), normal(n)) for n in SIZES]
            + [
                Sample(flags(3, 1), normal(4), normal(2, 1, 1)),
                Sample(flags(5), normal(5), 0.0),
                Sample(flags(5), 1.5, normal(5)),
                Sample(flags(4), ints(4), ints(4), dtypes=ALL_DTYPES),
            ]
        ),
        differentiable=True,
        errors=(
            bad(TypeError, "bool", normal(3), normal(3), normal(3)),
            bad(ValueError, "", flags(3), normal(4), normal(4)),
        ),
    ),
    Spec(
        "lerp",
        lambda a, b, w: a + w * (b - a),
        lambda: (
            [Sample(normal(n), normal(n), 0.3) for n in SIZES]
            + [Sample(normal(3, 5), normal(5), normal(3, 1))]
        ),
        differentiable=True,
        bound=8,
        errors=(bad(ValueError, "", normal(3), normal(4), 0.5),),
    ),
    Spec(
        "addcmul",
        lambda x, a, b, value=1: x + value * a * b,
        lambda: (
            [Sample(normal(n), normal(n), normal(n), value=0.5) for n in SIZES]
            + [Sample(normal(3, 5), normal(5), normal(3, 1))]
        ),
        differentiable=True,
        bound=8,
        errors=(bad(ValueError, "", normal(3), normal(4), normal(3)),),
    ),
    Spec(
        "addcdiv",
        lambda x, a, b, value=1: x + value * a / b,
        lambda: (
            [Sample(normal(n), normal(n), nonzero(n), value=0.5) for n in SIZES]
            + [Sample(normal(3, 5), normal(5), nonzero(3, 1))]
        ),
        differentiable=True,
        bound=8,
        errors=(bad(ValueError, "", normal(3), normal(4), nonzero(3)),),
    ),
]

ROWS = [*ARITHMETIC, *BITWISE, *COMPARISONS, *OTHERS]
