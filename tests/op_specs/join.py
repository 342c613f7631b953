"""Operations that copy elements to other places. Values never change: all bounds are 0."""

from __future__ import annotations

import numpy as np

from op_specs.spec import SIZES, Sample, bad, normal
from op_specs.view import OUT, row, shape_of


def repeat(x, *repeats):
    return np.tile(x, shape_of(repeats))


def repeat_interleave(x, repeats, dim=None):
    return np.repeat(x, repeats, axis=dim)


def roll(x, shifts, dims=()):
    dims = np.atleast_1d(dims).tolist()
    return np.roll(x, shifts, axis=tuple(dims) if dims else None)


def pad(x, pad, mode="constant", value=0.0):
    crop = [slice(None)] * np.ndim(x)
    widths = [(0, 0)] * np.ndim(x)
    for i in range(len(pad) // 2):
        axis, (left, right) = np.ndim(x) - 1 - i, pad[2 * i : 2 * i + 2]
        widths[axis] = (max(left, 0), max(right, 0))
        crop[axis] = slice(max(-left, 0), np.shape(x)[axis] - max(-right, 0))
    x = x[tuple(crop)]
    if mode == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(
        x, widths, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    )


ROWS = [
    row(
        "cat",
        lambda tensors, dim=0: np.concatenate(tensors, dim),
        lambda: [
            Sample([normal(2, 3), normal(4, 3)]),
            Sample([normal(2, 3), normal(2, 1), normal(2, 5)], 1),
            Sample([normal(7)]),
            Sample([normal(0, 3), normal(2, 3)]),
            Sample([normal(2, 17), normal(2, 16)], -1),
            *[Sample([normal(n), normal(3)]) for n in SIZES],
        ],
        [
            bad((ValueError, RuntimeError), "", []),
            bad((ValueError, RuntimeError), "", [normal(2, 3), normal(2, 4)]),
            bad(IndexError, "", [normal(2), normal(2)], 1),
            bad(TypeError, "", [normal(2), None]),
            bad(TypeError, "", [1, 2]),
            bad((ValueError, RuntimeError), "", [normal(2, 3), normal(3)]),
            bad(TypeError, "", normal(3), "text"),
        ],
    ),
    row(
        "stack",
        lambda tensors, dim=0: np.stack(tensors, dim),
        lambda: [
            Sample([normal(2, 3), normal(2, 3)]),
            Sample([normal(3), normal(3), normal(3)], 1),
            Sample([normal()]),
            Sample([normal(2, 3)] * 2, -1),
            Sample([normal(0), normal(0)]),
        ],
        [
            bad((ValueError, RuntimeError), "", []),
            bad((ValueError, RuntimeError), "", [normal(2), normal(3)]),
            bad(IndexError, "", [normal(2)], 3),
        ],
    ),
    row(
        "repeat",
        repeat,
        lambda: [
            Sample(normal(2, 3), 2, 1),
            Sample(normal(3), (2, 2)),
            Sample(normal(2, 3), 1, 0),
            Sample(normal(), 3),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 3), 2),
            bad((ValueError, RuntimeError), "", normal(3), -1),
            bad((ValueError, RuntimeError, MemoryError), "", normal(3), 2**62),
        ],
    ),
    row(
        "repeat_interleave",
        repeat_interleave,
        lambda: [
            Sample(normal(2, 3), 2),
            Sample(normal(2, 3), 3, 1),
            Sample(normal(2, 3), 2, 0),
            Sample(normal(3), 0),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(3), -1),
            bad(IndexError, "", normal(3), 2, 1),
            bad((ValueError, RuntimeError, MemoryError), "", normal(3), 2**62),
        ],
    ),
    row(
        "flip",
        lambda x, *d: np.flip(x, shape_of(d)),
        lambda: [
            Sample(normal(2, 3), 0),
            Sample(normal(2, 3), (0, 1)),
            Sample(normal(7), -1),
            Sample(normal(2, 3, 4), 0, 2),
            *[Sample(normal(n), 0) for n in SIZES],
        ],
        [*OUT, bad((ValueError, RuntimeError), "", normal(2, 3), 0, 0)],
    ),
    row(
        "roll",
        roll,
        lambda: [
            Sample(normal(7), 2),
            Sample(normal(2, 3), 1),
            Sample(normal(3, 5), 2, 1),
            Sample(normal(3, 5), (1, -2), (0, 1)),
            Sample(normal(5), 12, 0),
            Sample(normal(0), 1, 0),
            Sample(normal(5), -(2**62), 0),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(3, 5), (1, 2), (0,)),
            bad(IndexError, "", normal(3), 1, 1),
        ],
    ),
    row(
        "tril",
        lambda x, diagonal=0: np.tril(x, diagonal),
        lambda: [
            Sample(normal(3, 3)),
            Sample(normal(3, 5), 1),
            Sample(normal(2, 5, 3), -2),
            Sample(normal(17, 17)),
            Sample(normal(3, 3), 100),
            Sample(normal(0, 3)),
        ],
        [bad((ValueError, RuntimeError), "", normal(3)), bad(TypeError, "", normal(3, 3), 1.5)],
    ),
    row(
        "triu",
        lambda x, diagonal=0: np.triu(x, diagonal),
        lambda: [
            Sample(normal(3, 3)),
            Sample(normal(3, 5), 1),
            Sample(normal(2, 5, 3), -2),
            Sample(normal(17, 17)),
            Sample(normal(3, 3), -100),
        ],
        [bad((ValueError, RuntimeError), "", normal(3))],
    ),
    row(
        "_pad",
        pad,
        lambda: [
            Sample(normal(3, 4), (1, 2)),
            Sample(normal(3, 4), (0, 1, 2, 0), value=1.0),
            Sample(normal(2, 5), (-1, 1)),
            Sample(normal(2, 2, 5), (-2, -1)),
            Sample(normal(2, 3, 5), (2, 1), mode="reflect"),
            Sample(normal(2, 3, 5), (2, 1), mode="replicate"),
            Sample(normal(2, 3, 5), (2, 1), mode="circular"),
            Sample(normal(1, 2, 4, 5), (1, 2, 2, 1), mode="reflect"),
            Sample(normal(1, 2, 4, 5), (1, 2, 2, 1), mode="replicate"),
        ],
        [
            bad(ValueError, "", normal(3), (1,)),
            bad(ValueError, "", normal(3), (1, 1, 1, 1)),
            bad(ValueError, "", normal(3), (-2, -2)),
            bad(ValueError, "mode", normal(3), (1, 1), "mirror"),
            bad(ValueError, "", normal(1, 2, 3), (3, 0), "reflect"),
            bad((ValueError, RuntimeError, MemoryError), "", normal(3), (2**62, 2**62)),
        ],
        dtypes=("float64", "float32", "float16", "bfloat16", "int64"),
    ),
]
