"""Reading and writing by index."""

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
    flags,
    integers,
    normal,
)


def index(high, *shape):
    return integers(0, high, *shape)


def scattered(combine):
    def call(x, dim, index, src, **kw):
        out = np.array(
            x, dtype=np.result_type(x, np.float64) if np.asarray(x).dtype.kind == "f" else None
        )
        for at in np.ndindex(*index.shape):
            to = list(at)
            to[dim] = index[at]
            value = src if np.isscalar(src) else src[at]
            out[tuple(to)] = combine(out[tuple(to)], value)
        return out

    return call


def index_add(x, dim, index, source, alpha=1):
    out = np.array(np.moveaxis(x, dim, 0))
    rows = np.moveaxis(source, dim, 0)
    for i, at in enumerate(index):
        out[at] += alpha * rows[i]
    return np.moveaxis(out, 0, dim)


def gather(x, dim, index):
    cut = tuple(slice(None) if d == dim % x.ndim else slice(n) for d, n in enumerate(index.shape))
    return np.take_along_axis(x[cut], index, dim)


def key(indices):
    return tuple(slice(None) if i is None else i for i in indices)


def index_put(x, indices, values, accumulate=False):
    out = np.array(x)
    if accumulate:
        np.add.at(out, key(indices), values)
    else:
        out[key(indices)] = values
    return out


def one_hot(x, num_classes=-1):
    return np.eye(num_classes if num_classes >= 0 else int(x.max()) + 1, dtype=np.int64)[x]


def sort(x, dim=-1, descending=False, stable=True):
    order = argsort(x, dim, descending)
    return np.take_along_axis(x, order, dim), order


def argsort(x, dim=-1, descending=False, stable=True):
    if descending:
        flipped = np.flip(x, dim)  # so that equal values keep their order
        order = np.flip(np.argsort(flipped, axis=dim, kind="stable"), dim)
        return x.shape[dim] - 1 - order
    return np.argsort(x, axis=dim, kind="stable")


def topk(x, k, dim=-1, largest=True, sorted=True):
    values, order = sort(x, dim, largest)
    cut = (slice(None),) * (dim % x.ndim) + (slice(k),)
    return values[cut], order[cut]


def embedding(index, weight, padding_idx=-1):
    return weight[index]


def along(high, n):
    """Indices without repetition, so that writing has one meaning."""
    return np.random.default_rng(5).permutation(high)[:n].astype(np.int64)


def distinct_columns(high, n, columns):
    return np.stack([along(high, n) for _ in range(columns)], 1)


row = lambda *args, **kw: Spec(
    *args, **{"bound": 0.0, "differentiable": True, "dtypes": ALL_DTYPES, **kw}
)
FLOAT_INDEX = lambda *a: bad(TypeError, "", *a)

ROWS_READ = [
    row(
        "gather",
        gather,
        lambda: [
            Sample(normal(5, 3), 0, index(5, 4, 3)),
            Sample(normal(5, 3), 1, index(3, 2, 6)),
            Sample(normal(7), 0, index(7, 9)),
            Sample(normal(2, 5, 3), -2, index(5, 2, 4, 3)),
            Sample(normal(3, 4), 0, index(3, 0, 4)),
            *[Sample(normal(n), 0, index(n, n)) for n in SIZES if n],
        ],
        errors=(
            bad(IndexError, "out of range", normal(5), 0, np.array([0, 5])),
            bad(IndexError, "out of range", normal(5), 0, np.array([0, -6])),
            bad(TypeError, "", normal(5), 0, normal(2)),
            bad(IndexError, "", normal(5), 1, index(5, 2)),
            bad((ValueError, RuntimeError, IndexError), "", normal(5, 2), 0, index(5, 2, 3)),
            bad((ValueError, RuntimeError, IndexError), "", normal(5, 2), 0, index(5, 2)),
        ),
    ),
    row(
        "index_select",
        lambda x, dim, i: np.take(x, i, dim),
        lambda: [
            Sample(normal(5, 3), 0, index(5, 4)),
            Sample(normal(5, 3), 1, index(3, 7)),
            Sample(normal(2, 5, 3), -1, index(3, 2)),
            Sample(normal(5, 3), 0, index(5, 0)),
            *[Sample(normal(n, 2), 0, index(n, n)) for n in SIZES if n],
        ],
        errors=(
            bad(IndexError, "out of range", normal(5), 0, np.array([5])),
            bad(TypeError, "", normal(5), 0, normal(2)),
            bad(IndexError, "", normal(5), 1, index(5, 2)),
            bad((ValueError, IndexError, RuntimeError), "", normal(5), 0, index(5, 2, 2)),
        ),
    ),
    row(
        "take_along_dim",
        lambda x, i, dim: np.take_along_axis(x, i, dim),
        lambda: [
            Sample(normal(5, 3), index(5, 4, 3), 0),
            Sample(normal(5, 3), index(3, 1, 2), 1),
            Sample(normal(7), index(7, 9), 0),
            Sample(normal(5, 3), index(5, 4, 3) - 5, 0),
        ],
        errors=(
            bad(IndexError, "", normal(5), np.array([5]), 0),
            bad(TypeError, "", normal(5), normal(2), 0),
        ),
    ),
    row(
        "_index",
        lambda x, indices: x[key(indices)],
        lambda: [
            Sample(normal(5, 3), [index(5, 4)]),
            Sample(normal(5, 3), [None, index(3, 4)]),
            Sample(normal(5, 3), [index(5, 2, 1), index(3, 4)]),
            Sample(normal(5, 3), [flags(5)]),
            Sample(normal(5, 3), [flags(5, 3)]),
            Sample(normal(5, 3, 2), [None, flags(3), np.array(1)]),
            Sample(normal(5, 3), [np.array([-1, -5])]),
            Sample(normal(5, 3), [np.zeros(0, np.int64)]),
            Sample(normal(2, 3, 4), [index(2, 5), None, index(4, 5)]),
            Sample(normal(65), [index(65, 33)]),
        ],
        errors=(
            bad(IndexError, "out of range", normal(5), [np.array([5])]),
            bad(IndexError, "", normal(5), [np.array([-6])]),
            bad(IndexError, "", normal(5), [index(5, 2), index(5, 2)]),
            bad((IndexError, ValueError), "", normal(5, 5), [index(5, 2), index(5, 3)]),
            bad(IndexError, "", normal(5), [np.array([True, False])]),
            bad((TypeError, IndexError), "", normal(5), [normal(2)]),
        ),
    ),
    row(
        "masked_select",
        lambda x, mask: np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))[
            np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
        ],
        lambda: (
            [Sample(normal(n), flags(n)) for n in SIZES]
            + [
                Sample(normal(3, 5), flags(5)),
                Sample(normal(5), flags(3, 1)),
                Sample(normal(4), np.zeros(4, bool)),
            ]
        ),
        errors=(
            bad(TypeError, "bool", normal(3), normal(3)),
            bad(ValueError, "", normal(3), flags(4)),
        ),
    ),
    row(
        "_nonzero",
        lambda x: np.argwhere(x),
        lambda: (
            [Sample(integers(-1, 2, n).astype(float)) for n in SIZES]
            + [Sample(integers(-1, 2, 3, 5).astype(float)), Sample(np.zeros((2, 3)))]
        ),
        out="int64",
        differentiable=False,
    ),
    row(
        "one_hot",
        one_hot,
        lambda: [
            Sample(index(4, 5), 4),
            Sample(index(4, 2, 3), 7),
            Sample(np.array([0, 2])),
            Sample(index(3, 0), 3),
        ],
        dtypes=("float32",),
        out="int64",
        differentiable=False,
        errors=(
            bad((IndexError, ValueError, RuntimeError), "", np.array([0, 3]), 3),
            bad((IndexError, ValueError, RuntimeError), "", np.array([-1, 1]), 3),
            bad(TypeError, "", normal(3), 3),
            bad((IndexError, ValueError, RuntimeError), "", np.zeros(0, np.int64)),
            bad((ValueError, RuntimeError, MemoryError), "", np.array([1]), 2**61),
        ),
    ),
    row(
        "topk",
        topk,
        lambda: [
            Sample(distinct(3, 9), 4),
            Sample(distinct(9, 3), 2, 0),
            Sample(distinct(7), 7, -1, False),
            Sample(distinct(5), 0),
            Sample(integers(-2, 3, 4, 9).astype(float), 3, grad=False),
            *[Sample(distinct(n), min(n, 3)) for n in SIZES if n],
        ],
        dtypes=FLOATS,
        indices=True,
        errors=(
            bad((ValueError, IndexError, RuntimeError), "", normal(3), 4),
            bad((ValueError, IndexError, RuntimeError), "", normal(3), -1),
            bad(IndexError, "", normal(3), 1, 1),
        ),
    ),
    row(
        "sort",
        sort,
        lambda: [
            Sample(distinct(3, 9)),
            Sample(distinct(9, 3), 0),
            Sample(distinct(7), -1, True),
            Sample(integers(-2, 3, 4, 9).astype(float), grad=False, dtypes=NUMBERS),
            Sample(integers(-2, 3, 4, 9).astype(float), -1, True, grad=False),
            Sample(np.array([1.0, np.nan, -np.inf, np.inf, 0.0]), grad=False),
            *[Sample(distinct(n)) for n in SIZES],
        ],
        dtypes=FLOATS,
        indices=True,
        errors=(bad(IndexError, "", normal(3), 1),),
    ),
    row(
        "argsort",
        argsort,
        lambda: [
            Sample(distinct(3, 9)),
            Sample(distinct(9, 3), 0),
            Sample(integers(-2, 3, 4, 9).astype(float), -1, True),
        ],
        dtypes=FLOATS,
        out="int64",
        differentiable=False,
        errors=(bad(IndexError, "", normal(3), 1),),
    ),
    row(
        "_embedding",
        embedding,
        lambda: [
            Sample(index(5, 4), normal(5, 3)),
            Sample(index(5, 2, 3), normal(5, 3)),
            Sample(index(5, 0), normal(5, 3)),
            Sample(np.array(2), normal(5, 17)),
            Sample(index(9, 33), normal(9, 1)),
            Sample(index(4, 6) + 1, normal(5, 3), 0),
        ],
        dtypes=FLOATS,
        errors=(
            bad(IndexError, "out of range", np.array([5]), normal(5, 3)),
            bad(IndexError, "out of range", np.array([-1]), normal(5, 3)),
            bad(TypeError, "", normal(2), normal(5, 3)),
            bad(ValueError, "", index(5, 2), normal(5)),
            bad((ValueError, IndexError, RuntimeError), "", index(5, 2), normal(5, 3), 5),
        ),
    ),
]

scatter = scattered(lambda old, new: new)
scatter_add = scattered(lambda old, new: old + new)
scatter_samples = lambda: [
    Sample(normal(5, 3), 0, distinct_columns(5, 4, 3), normal(4, 3)),
    Sample(normal(7), 0, along(7, 5), normal(6)),
    Sample(normal(3, 5), 1, along(5, 2)[None, :].repeat(2, 0), normal(2, 2)),
    Sample(normal(5, 3), 0, distinct_columns(5, 4, 3), 2.0, dtypes=FLOATS),
]
add_samples = lambda: [
    Sample(normal(5, 3), 0, index(5, 9, 3), normal(9, 3)),
    Sample(normal(3, 5), 1, index(5, 2, 4), normal(3, 6)),
    *[Sample(normal(3), 0, index(3, n), normal(n)) for n in SIZES],
]
index_add_samples = lambda: [
    Sample(normal(5, 3), 0, index(5, 9), normal(9, 3)),
    Sample(normal(3, 5), 1, index(5, 4), normal(3, 4)),
    Sample(normal(5), 0, index(5, 3), normal(3), 0.5, dtypes=FLOATS),
    *[Sample(normal(3, 2), 0, index(3, n), normal(n, 2)) for n in SIZES],
]
mask_samples = lambda: (
    [Sample(normal(n), flags(n), -1.5, dtypes=FLOATS) for n in SIZES]
    + [
        Sample(normal(3, 5), flags(5), 2),
        Sample(normal(3, 5), flags(3, 1), normal()),
        Sample(normal(4), flags(4), float("-inf"), grad=False, dtypes=FLOATS),
    ]
)
put_samples = lambda: [
    Sample(normal(5, 3), [along(5, 4)], normal(4, 3)),
    Sample(normal(5, 3), [None, along(3, 2)], normal(5, 2)),
    Sample(normal(5, 3), [flags(5)], 1.5, dtypes=FLOATS),
    Sample(normal(5, 3), [flags(5, 3)], normal()),
    Sample(normal(5, 3), [index(5, 9)], normal(9, 3), True, dtypes=FLOATS[:2]),
    Sample(normal(5), [index(5, 0)], normal(1)),
    Sample(normal(5, 3), [np.array([-1, 0])], normal(3)),
]
scatter_errors = (
    bad(IndexError, "out of range", normal(5), 0, np.array([0, 5]), normal(2)),
    bad(TypeError, "", normal(5), 0, normal(2), normal(2)),
    bad((ValueError, IndexError, RuntimeError), "", normal(5), 0, index(5, 3), normal(2)),
    bad(IndexError, "", normal(5), 1, index(5, 2), normal(2)),
    bad(
        TypeError, "", normal(5), 0, index(5, 2), integers(0, 3, 2).astype(np.float64)[:0].tolist()
    ),
)
index_add_errors = (
    bad(IndexError, "out of range", normal(5), 0, np.array([0, 5]), normal(2)),
    bad(TypeError, "", normal(5), 0, normal(2), normal(2)),
    bad((ValueError, RuntimeError), "", normal(5), 0, index(5, 3), normal(2)),
    bad((ValueError, RuntimeError), "", normal(5, 2), 0, index(5, 3), normal(3, 3)),
)
mask_errors = (
    bad(TypeError, "bool", normal(3), normal(3), 1.0),
    bad(ValueError, "", normal(3), flags(4), 1.0),
    bad((ValueError, RuntimeError, TypeError), "", normal(3), flags(3), normal(3)),
)

sums = {"bound": 16.0, "dtypes": NUMBERS}
ROWS_WRITE = [
    row("scatter", scatter, scatter_samples, errors=scatter_errors),
    row("scatter_add", scatter_add, add_samples, errors=scatter_errors[:4], **sums),
    row("index_add", index_add, index_add_samples, errors=index_add_errors, **sums),
    row(
        "masked_fill",
        lambda x, mask, value: np.where(mask, value, x),
        mask_samples,
        dtypes=NUMBERS,
        errors=mask_errors,
    ),
    row("scatter_", scatter, scatter_samples, errors=scatter_errors, inplace=True),
    row("scatter_add_", scatter_add, add_samples, errors=scatter_errors[:4], inplace=True, **sums),
    row("index_add_", index_add, index_add_samples, errors=index_add_errors, inplace=True, **sums),
    row(
        "masked_fill_",
        lambda x, mask, value: np.where(mask, value, x),
        mask_samples,
        inplace=True,
        dtypes=NUMBERS,
        errors=mask_errors,
    ),
    row(
        "_index_put_",
        index_put,
        put_samples,
        inplace=True,
        bound=8.0,
        dtypes=NUMBERS,
        errors=(
            bad(IndexError, "out of range", normal(5), [np.array([5])], 1.0),
            bad((ValueError, RuntimeError), "", normal(5, 3), [index(5, 2)], normal(4)),
            bad(IndexError, "", normal(5), [flags(4)], 1.0),
        ),
    ),
]
ROWS = [*ROWS_READ, *ROWS_WRITE]
