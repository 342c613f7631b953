"""New tensors, conversions and whole-tensor writes."""

from __future__ import annotations

import numpy as np

from op_specs.spec import (
    ALL_DTYPES,
    FLOATS,
    NUMPY,
    DType,
    Fixed,
    Sample,
    Spec,
    bad,
    integers,
    normal,
    sizes,
)

ONE = ("float32",)  # for rows that take no tensor


def np_dtype(dtype, default="float32"):
    return NUMPY[dtype.name if dtype is not None else default]


def full(shape, value, dtype=None, device="cpu"):
    kind = {bool: "bool", int: "int64", float: "float32"}[type(value)]
    return np.full(shape, value, np_dtype(dtype, kind))


def arange(start, end, step=1, dtype=None, device="cpu"):
    real = any(isinstance(v, float) for v in (start, end, step))
    return np.arange(start, end, step).astype(np_dtype(dtype, "float32" if real else "int64"))


def is_empty(result, args, kwargs):
    assert tuple(result.shape) == tuple(args[0])
    assert result.is_contiguous()


def values():
    return [
        Sample(np.array([0.0, 1.0, 2.75, 7.0, 100.0, -1.5, -3.0]), DType(name), grad=False)
        for name in ALL_DTYPES
        if name != "uint8"
    ]


def cast(x, dtype):
    return np.asarray(x).astype(NUMPY[dtype.name])


NEW = [
    Spec(
        "_full",
        full,
        lambda: [
            Sample((2, 3), 1.5),
            Sample((), 2),
            Sample((0, 3), True),
            Sample((17,), -3),
            *[Sample((33,), 1, dtype=DType(d)) for d in ALL_DTYPES],
            Sample((2,), float("inf")),
            Sample((2,), float("nan")),
        ],
        dtypes=ONE,
        out="reference",
        errors=(
            bad(ValueError, "", (-1,), 0),
            bad(TypeError, "", "shape", 0),
            bad((ValueError, MemoryError, OverflowError), "", (2**62, 2**62), 0),
            bad((ValueError, MemoryError), "", (2**50,), 0),
        ),
    ),
    Spec(
        "_empty",
        None,
        lambda: [Sample((2, 3)), Sample(()), Sample((0,)), Sample((65,))],
        dtypes=ONE,
        out="any",
        check=is_empty,
        errors=(bad(ValueError, "", (-1, 2)), bad((ValueError, MemoryError), "", (2**50, 3))),
    ),
    Spec(
        "_arange",
        arange,
        lambda: [
            Sample(0, 7),
            Sample(0, 1),
            Sample(3, 3),
            Sample(0.0, 1.0, 0.25),
            Sample(10, -3, -2),
            Sample(-5, 60),
            Sample(0, 33, dtype=DType("float64")),
            Sample(2, 17, 3, dtype=DType("int32")),
        ],
        dtypes=ONE,
        out="reference",
        errors=(
            bad(ValueError, "step", 0, 5, 0),
            bad(ValueError, "sign", 0, 5, -1),
            bad(ValueError, "finite", 0.0, float("nan")),
            bad(ValueError, "finite", 0.0, float("inf")),
            bad((ValueError, MemoryError), "", 0, 2**60),
        ),
    ),
    Spec(
        "_linspace",
        lambda a, b, n, dtype=None, device="cpu": np.linspace(a, b, n).astype(np_dtype(dtype)),
        lambda: (
            [Sample(0.0, 1.0, n) for n in (0, 1, 2, 7, 33)]
            + [Sample(-3.0, 5.0, 17, dtype=DType("float64"))]
        ),
        dtypes=ONE,
        out="reference",
        bound=8,
        errors=(bad(ValueError, "steps", 0.0, 1.0, -1),),
    ),
    Spec(
        "_eye",
        lambda n, m=None, dtype=None, device="cpu": np.eye(n, m, dtype=np_dtype(dtype)),
        lambda: [
            Sample(3),
            Sample(0),
            Sample(2, 5),
            Sample(5, 2),
            Sample(17, dtype=DType("int64")),
        ],
        dtypes=ONE,
        out="reference",
        errors=(bad(ValueError, "", -1), bad(ValueError, "", 2, -1)),
    ),
]

CONVERSIONS = [
    # Float to integer truncates; negative to unsigned is not promised: uint8 has its own samples.
    Spec(
        "_cast",
        cast,
        lambda: [
            *values(),
            Sample(np.array([0.0, 1.0, 2.75, 200.0]), DType("uint8"), grad=False),
            Sample(integers(-5, 6, 33), DType("float16")),
            Sample(normal(65), DType("bfloat16"), grad=False),
            Sample(normal(3, 5), DType("float64")),
            Sample(normal(0), DType("int8"), grad=False),
            Sample(Fixed(np.array([True, False])), DType("float32")),
            Sample(np.array([np.nan, np.inf, -np.inf, 1e30]), DType("float16"), grad=False),
            Sample(np.array([np.nan, np.inf, -np.inf, 1e30]), DType("bfloat16"), grad=False),
        ],
        out="reference",
        dtypes=("float64", "float32"),
        bound=0.0,
        differentiable=True,
        errors=(bad(TypeError, "", normal(3), "float99"), bad(TypeError, "", normal(3), 7)),
    ),
    Spec(
        "_to_device",
        lambda x, device: x,
        lambda: [Sample(normal(3), "cpu")],
        dtypes=ALL_DTYPES,
        differentiable=True,
        errors=(bad(RuntimeError, "", normal(3), "toaster"),),
    ),
    Spec("clone", lambda x: x, lambda: sizes(), dtypes=ALL_DTYPES, bound=0, differentiable=True),
    Spec(
        "contiguous", lambda x: x, lambda: sizes(), dtypes=ALL_DTYPES, bound=0, differentiable=True
    ),
    Spec("detach", lambda x: x, lambda: sizes(), dtypes=ALL_DTYPES, bound=0, view=True),
]


def copied(x, source):
    return np.broadcast_to(source, x.shape)


WRITES = [
    Spec(
        "copy_",
        copied,
        lambda: (
            [Sample(normal(n), normal(n)) for n in (0, 1, 7, 33)]
            + [
                Sample(normal(3, 5), normal(5)),
                Sample(normal(3, 5), normal(3, 1)),
                Sample(normal(4), 2.0),
            ]
        ),
        inplace=True,
        differentiable=True,
        bound=0,
        errors=(
            bad(ValueError, "copy_", normal(3), normal(4)),
            bad(ValueError, "", normal(3), normal(2, 3)),
            bad(TypeError, "", normal(3), "text"),
        ),
    ),
    Spec(
        "fill_",
        lambda x, value: np.full_like(x, value),
        lambda: (
            [Sample(normal(n), 2.5, dtypes=FLOATS) for n in (0, 1, 7, 33)]
            + [Sample(normal(3, 5), 2)]
        ),
        dtypes=ALL_DTYPES,
        inplace=True,
        differentiable=True,
        bound=0,
        errors=(bad(TypeError, "", normal(3), "text"), bad(TypeError, "", normal(3), None)),
    ),
    Spec(
        "zero_",
        np.zeros_like,
        lambda: sizes(),
        dtypes=ALL_DTYPES,
        inplace=True,
        differentiable=True,
        bound=0,
    ),
]

ROWS = [*NEW, *CONVERSIONS, *WRITES]
