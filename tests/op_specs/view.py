"""Views. Values never change: all bounds are 0."""

from __future__ import annotations

import numpy as np

from op_specs.spec import ALL_DTYPES, SIZES, Sample, Spec, bad, normal

OUT = (bad(IndexError, "dimension", normal(2, 3), 2),)


def row(name, reference, samples, errors=(), **kw):
    kw.setdefault("dtypes", ALL_DTYPES)
    kw.setdefault("bound", 0.0)
    kw.setdefault("differentiable", True)
    return Spec(name, reference, samples, errors=tuple(errors), **kw)


def shape_of(shape):
    return shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def reshape(x, *shape):
    return np.reshape(x, shape_of(shape))


def flatten(x, start_dim=0, end_dim=-1):
    s, n = np.shape(x), max(np.ndim(x), 1)
    if not s:
        return np.reshape(x, (1,))
    start, end = start_dim % n, end_dim % n
    return np.reshape(x, (*s[:start], int(np.prod(s[start : end + 1])), *s[end + 1 :]))


def unflatten(x, dim, sizes):
    s = np.shape(x)
    dim %= len(s)
    return np.reshape(x, (*s[:dim], *sizes, *s[dim + 1 :]))


def squeeze(x, dim=None):
    if dim is None:
        return np.squeeze(x)
    dims = [d % np.ndim(x) for d in np.atleast_1d(dim)]
    return np.squeeze(x, axis=tuple(d for d in dims if np.shape(x)[d] == 1))


def expand(x, *sizes):
    sizes = list(shape_of(sizes))
    lead = len(sizes) - np.ndim(x)
    for i, s in enumerate(sizes):
        if s == -1:
            sizes[i] = np.shape(x)[i - lead]
    return np.broadcast_to(x, sizes)


def taken(x, dim, at):
    return x[(slice(None),) * (dim % np.ndim(x)) + (at,)]


def diagonal(x, offset=0, dim1=0, dim2=1):
    return np.diagonal(x, offset, dim1, dim2)


def as_strided(x, size, stride, storage_offset=None):
    flat = np.ascontiguousarray(x).reshape(-1)[storage_offset or 0 :]
    step = [s * flat.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(flat, size, step).copy()


def unfold(x, dimension, size, step):
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=dimension)
    return taken(windows, dimension % np.ndim(x), slice(None, None, step))


def split(x, sizes, dim=0):
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=dim))


def chunk(x, chunks, dim=0):
    n = np.shape(x)[dim]
    size = max(-(-n // chunks), 1)
    return tuple(np.split(x, range(size, n, size), axis=dim))


def unbind(x, dim=0):
    return tuple(taken(x, dim, i) for i in range(np.shape(x)[dim]))


ROWS = [
    row(
        "view",
        reshape,
        lambda: [
            Sample(normal(2, 6), 3, 4),
            Sample(normal(2, 6), (12,)),
            Sample(normal(12), -1, 4),
            Sample(normal(1), ()),
            Sample(normal(0, 3), 3, 0),
            Sample(normal(2, 3, 5), 6, 5),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 3), 4),
            bad(ValueError, "-1", normal(2, 3), -1, -1),
            bad((ValueError, RuntimeError), "", normal(2, 3), 2**62, 2**62),
            bad((ValueError, RuntimeError), "", normal(0), -1, 0),
            bad(TypeError, "", normal(3), "text"),
        ],
        view=True,
        layouts=False,
    ),
    row(
        "reshape",
        reshape,
        lambda: [
            Sample(normal(2, 6), 3, 4),
            Sample(normal(2, 6), (12,)),
            Sample(normal(12), -1, 4),
            Sample(normal(1), ()),
            Sample(normal(), 1, 1),
            Sample(normal(0, 3), 3, 0),
            *[Sample(normal(n, 2), -1) for n in SIZES],
        ],
        [
            bad(ValueError, r"\(4,\).*6 elements", normal(2, 3), 4),
            bad(ValueError, "", normal(2, 3), -2, -3),
            bad(ValueError, "", normal(2, 3), 2**62, 2**62),
            bad(TypeError, "", normal(3), 1.5),
        ],
    ),
    row(
        "flatten",
        flatten,
        lambda: [
            Sample(normal(2, 3, 5)),
            Sample(normal(2, 3, 5), 1),
            Sample(normal(2, 3, 5), 0, 1),
            Sample(normal()),
            Sample(normal(7)),
            Sample(normal(2, 0, 3), 1),
            Sample(normal(2, 3), 1, 1),
        ],
        [*OUT, bad((ValueError, RuntimeError), "", normal(2, 3), 1, 0)],
    ),
    row(
        "unflatten",
        unflatten,
        lambda: [
            Sample(normal(2, 12), 1, (3, 4)),
            Sample(normal(12, 2), 0, (2, -1)),
            Sample(normal(6), -1, (6,)),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 12), 1, (5, 3)),
            bad(IndexError, "", normal(4), 1, (2, 2)),
        ],
    ),
    row(
        "permute",
        lambda x, *d: np.transpose(x, shape_of(d)),
        lambda: [
            Sample(normal(2, 3, 5), 2, 0, 1),
            Sample(normal(2, 3), (1, 0)),
            Sample(normal(2, 3, 4, 5), 0, -1, 1, 2),
            Sample(normal(), ()),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 3), 0, 0),
            bad((ValueError, RuntimeError), "", normal(2, 3), 0),
            bad(IndexError, "", normal(2, 3), 0, 2),
        ],
        view=True,
    ),
    row(
        "transpose",
        lambda x, a, b: np.swapaxes(x, a, b),
        lambda: [
            Sample(normal(2, 3), 0, 1),
            Sample(normal(2, 3, 5), -1, 0),
            Sample(normal(3), 0, 0),
            Sample(normal(17, 33), 0, 1),
        ],
        [bad(IndexError, "dimension", normal(2, 3), 0, 2)],
        view=True,
    ),
    row(
        "t",
        np.transpose,
        lambda: [Sample(normal(2, 3)), Sample(normal(3)), Sample(normal()), Sample(normal(0, 3))],
        [bad((ValueError, RuntimeError), "", normal(2, 3, 4))],
        view=True,
    ),
    row(
        "movedim",
        np.moveaxis,
        lambda: [
            Sample(normal(2, 3, 5), 0, 2),
            Sample(normal(2, 3, 5), (0, 1), (1, 2)),
            Sample(normal(2, 3, 5), -1, 0),
        ],
        [
            bad(IndexError, "", normal(2, 3), 2, 0),
            bad((ValueError, RuntimeError), "", normal(2, 3), (0, 1), (0,)),
            bad((ValueError, RuntimeError), "", normal(2, 3), (0, 0), (0, 1)),
        ],
        view=True,
    ),
    row(
        "squeeze",
        squeeze,
        lambda: [
            Sample(normal(1, 3, 1)),
            Sample(normal(1, 3, 1), 0),
            Sample(normal(1, 3, 1), 1),
            Sample(normal(1, 3, 1), (0, -1)),
            Sample(normal()),
        ],
        OUT,
        view=True,
    ),
    row(
        "unsqueeze",
        np.expand_dims,
        lambda: [
            Sample(normal(3), 0),
            Sample(normal(3), 1),
            Sample(normal(2, 3), -1),
            Sample(normal(), 0),
        ],
        [bad(IndexError, "", normal(2, 3), 3), bad(IndexError, "", normal(2, 3), -4)],
        view=True,
    ),
    row(
        "expand",
        expand,
        lambda: [
            Sample(normal(1, 3), 4, 3),
            Sample(normal(3), (2, 3)),
            Sample(normal(2, 1), -1, 5),
            Sample(normal(), 3),
            Sample(normal(1, 3), 0, 3),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 3), 2, 4),
            bad((ValueError, RuntimeError), "", normal(2, 3), 3),
            bad((ValueError, RuntimeError), "", normal(3), -1, 3),
            bad((ValueError, RuntimeError), "", normal(1), -5),
        ],
        view=True,
    ),
    row(
        "broadcast_to",
        np.broadcast_to,
        lambda: [Sample(normal(1, 3), (4, 3)), Sample(normal(3), (2, 3)), Sample(normal(), (3,))],
        [bad((ValueError, RuntimeError), "", normal(2, 3), (2, 4))],
        view=True,
    ),
    row(
        "narrow",
        lambda x, dim, start, length: taken(
            x, dim, slice(start % np.shape(x)[dim], start % np.shape(x)[dim] + length)
        ),
        lambda: [
            Sample(normal(5, 3), 0, 1, 3),
            Sample(normal(5, 3), -1, 0, 1),
            Sample(normal(5), 0, 2, 0),
            Sample(normal(65), 0, 1, 33),
        ],
        [
            bad((ValueError, IndexError, RuntimeError), "", normal(5), 0, 3, 3),
            bad((ValueError, IndexError, RuntimeError), "", normal(5), 0, 0, -1),
            bad((ValueError, IndexError, RuntimeError), "", normal(5), 0, 1, 2**63 - 1),
            bad(IndexError, "", normal(5), 1, 0, 1),
        ],
        view=True,
    ),
    row(
        "select",
        lambda x, dim, index: taken(x, dim, index),
        lambda: [
            Sample(normal(5, 3), 0, 1),
            Sample(normal(5, 3), 1, -1),
            Sample(normal(2, 3, 4), -1, 3),
            Sample(normal(3), 0, 0),
        ],
        [
            bad(IndexError, "", normal(5, 3), 0, 5),
            bad(IndexError, "", normal(5, 3), 0, -6),
            bad(IndexError, "", normal(5, 3), 2, 0),
            bad(IndexError, "", normal(), 0, 0),
        ],
        view=True,
    ),
    row(
        "_slice",
        lambda x, dim, start=None, stop=None, step=1: taken(x, dim, slice(start, stop, step)),
        lambda: [
            Sample(normal(7, 3), 0, 1, 6),
            Sample(normal(7, 3), 0, None, None, 2),
            Sample(normal(7, 3), 1, -2),
            Sample(normal(7), 0, 5, 2),
            Sample(normal(7), 0, -100, 100, 3),
            Sample(normal(7), 0, 2**62, 2**63 - 1),
        ],
        [
            bad(ValueError, "", normal(7), 0, 0, 5, 0),
            bad(ValueError, "", normal(7), 0, 5, 0, -1),
            bad(IndexError, "", normal(7), 1, 0, 1),
        ],
        view=True,
    ),
    row(
        "diagonal",
        diagonal,
        lambda: [
            Sample(normal(3, 3)),
            Sample(normal(3, 5), 1),
            Sample(normal(5, 3), -2),
            Sample(normal(2, 3, 4), 0, 1, 2),
            Sample(normal(2, 3, 4), 1, -1, 0),
            Sample(normal(3, 3), 3),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(3, 3), 0, 1, 1),
            bad(IndexError, "", normal(3), 0, 0, 1),
            bad(IndexError, "", normal(3, 3), 0, 0, 2),
        ],
        view=True,
    ),
    row(
        "as_strided",
        as_strided,
        lambda: [
            Sample(normal(12), (3, 4), (4, 1)),
            Sample(normal(12), (2, 3), (1, 2), 3),
            Sample(normal(12), (5, 4), (1, 1)),
            Sample(normal(12), (3,), (0,), 2),
            Sample(normal(3), (0,), (1,)),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(12), (3, 5), (4, 1)),
            bad((ValueError, RuntimeError), "", normal(12), (3,), (1, 1)),
            bad((ValueError, RuntimeError), "", normal(12), (3,), (-1,), 2),
            bad((ValueError, RuntimeError), "", normal(12), (3,), (1,), -1),
            bad((ValueError, RuntimeError), "", normal(12), (2**40, 2**40), (2**40, 1)),
            bad((ValueError, RuntimeError), "", normal(12), (2,), (2**63 - 1,), 2**63 - 1),
            bad((ValueError, RuntimeError), "", normal(12), (-1,), (1,)),
        ],
        view=True,
        layouts=False,
    ),
    row(
        "unfold",
        unfold,
        lambda: [
            Sample(normal(7), 0, 3, 1),
            Sample(normal(7), 0, 2, 2),
            Sample(normal(2, 9), 1, 4, 3),
            Sample(normal(3, 5), 0, 3, 1),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(3), 0, 4, 1),
            bad((ValueError, RuntimeError), "", normal(3), 0, 2, 0),
            bad((ValueError, RuntimeError), "", normal(3), 0, -1, 1),
            bad(IndexError, "", normal(3), 1, 1, 1),
        ],
        view=True,
    ),
    row(
        "_split",
        split,
        lambda: [
            Sample(normal(7, 2), (3, 4)),
            Sample(normal(2, 7), (1, 0, 6), 1),
            Sample(normal(5), (5,)),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(7), (3, 3)),
            bad(ValueError, "add up", normal(3), (2**63 - 1, 2**63 - 1, 5)),
            bad((ValueError, RuntimeError), "", normal(7), (8, -1)),
            bad(IndexError, "", normal(7), (7,), 1),
        ],
        view=True,
    ),
    row(
        "chunk",
        chunk,
        lambda: [
            Sample(normal(7), 3),
            Sample(normal(2, 6), 2, 1),
            Sample(normal(5), 7),
            Sample(normal(3), 2**63 - 1),
            Sample(normal(6), 1),
        ],
        [
            bad((ValueError, RuntimeError), "", normal(7), 0),
            bad((ValueError, RuntimeError), "", normal(7), -1),
            bad(IndexError, "", normal(7), 2, 1),
        ],
        view=True,
    ),
    row(
        "unbind",
        unbind,
        lambda: [Sample(normal(3, 2)), Sample(normal(2, 3), 1), Sample(normal(4))],
        [*OUT, bad((ValueError, IndexError, RuntimeError), "", normal())],
        view=True,
    ),
]
