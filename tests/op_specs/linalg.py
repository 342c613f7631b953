"""Matrix products."""

from __future__ import annotations

import numpy as np

from op_specs.spec import SIZES, Sample, Spec, bad, integers, normal

MIXED = lambda *arrays: bad(TypeError, "dtype", *arrays)


def product(name, reference, samples, errors=(), **kw):
    # Sums of up to 70 products, in float32 for the 16-bit types.
    return Spec(name, reference, samples, bound=64, differentiable=True, errors=tuple(errors), **kw)


def mm_flops(a, b, *rest, **kw):
    return 2.0 * np.prod(np.shape(a)) * np.shape(b)[-1]


def matrices(make):
    """Odd sizes in each of M, N, K; nothing at all; every kernel's edges."""
    rows = (
        [make(n, 5, 3) for n in SIZES]
        + [make(5, n, 3) for n in SIZES]
        + [make(5, 3, n) for n in SIZES]
    )
    return rows + [make(1, 65, 33), make(65, 1, 33), make(33, 65, 1), make(17, 33, 65)]


def addmm(c, a, b, beta=1.0, alpha=1.0):
    return beta * c + alpha * (a @ b)


ROWS = [
    product(
        "matmul",
        np.matmul,
        lambda: (
            matrices(lambda m, n, k: Sample(normal(m, k), normal(k, n), grad=m * n * k < 200))
            + [
                Sample(normal(5), normal(5)),
                Sample(normal(3, 5), normal(5)),
                Sample(normal(5), normal(5, 3)),
                Sample(normal(2, 3, 5), normal(5, 4)),
                Sample(normal(2, 3, 5), normal(2, 5, 4)),
                Sample(normal(2, 1, 3, 5), normal(3, 5, 4)),
                Sample(normal(3, 5), normal(2, 5, 4)),
                Sample(normal(2, 3, 5), normal(5)),
                Sample(normal(5), normal(2, 5, 4)),
                Sample(normal(0, 3, 5), normal(5, 4)),
            ]
        ),
        [
            bad((ValueError, RuntimeError), r"\(3, 5\).*\(4, 3\)", normal(3, 5), normal(4, 3)),
            bad((ValueError, RuntimeError), "", normal(), normal(3)),
            bad((ValueError, RuntimeError), "", normal(3, 4, 5), normal(2, 5, 4)),
            MIXED(normal(3, 5), integers(0, 3, 5, 2)),
            bad(TypeError, "", normal(3, 5), 2.0),
        ],
        flops=mm_flops,
    ),
    product(
        "mm",
        np.matmul,
        lambda: matrices(lambda m, n, k: Sample(normal(m, k), normal(k, n), grad=m * n * k < 200)),
        [
            bad((ValueError, RuntimeError), "", normal(3, 5), normal(4, 3)),
            bad((ValueError, RuntimeError), "", normal(3), normal(3, 2)),
            MIXED(normal(3, 5), integers(0, 3, 5, 2)),
        ],
        flops=mm_flops,
    ),
    product(
        "bmm",
        np.matmul,
        lambda: [
            Sample(normal(b, 3, n), normal(b, n, 2), grad=n < 16)
            for b in (0, 1, 3)
            for n in (0, 1, 7, 17)
        ],
        [
            bad((ValueError, RuntimeError), "", normal(2, 3, 5), normal(3, 5, 2)),
            bad((ValueError, RuntimeError), "", normal(3, 5), normal(5, 2)),
        ],
        flops=mm_flops,
    ),
    product(
        "mv",
        np.matmul,
        lambda: (
            [Sample(normal(3, n), normal(n)) for n in SIZES]
            + [Sample(normal(n, 3), normal(3)) for n in SIZES]
        ),
        [
            bad((ValueError, RuntimeError), "", normal(3, 5), normal(4)),
            bad((ValueError, RuntimeError), "", normal(3, 5), normal(5, 1)),
        ],
    ),
    product(
        "dot",
        np.dot,
        lambda: [Sample(normal(n), normal(n)) for n in SIZES],
        [
            bad((ValueError, RuntimeError), "", normal(3), normal(4)),
            bad((ValueError, RuntimeError), "", normal(3, 1), normal(3, 1)),
        ],
    ),
    product(
        "outer",
        np.outer,
        lambda: [Sample(normal(n), normal(3)) for n in SIZES],
        [bad((ValueError, RuntimeError), "", normal(3, 1), normal(3))],
    ),
    product(
        "addmm",
        addmm,
        lambda: (
            matrices(
                lambda m, n, k: Sample(
                    normal(m, n), normal(m, k), normal(k, n), grad=m * n * k < 200
                )
            )
            + [
                Sample(normal(4), normal(3, 5), normal(5, 4)),
                Sample(normal(3, 1), normal(3, 5), normal(5, 4), 0.5, 2.0),
                Sample(normal(), normal(3, 5), normal(5, 4), beta=0.0),
                Sample(normal(3, 4), normal(3, 5), normal(5, 4), alpha=0.0),
            ]
        ),
        [
            bad((ValueError, RuntimeError), "", normal(3, 4), normal(3, 5), normal(4, 4)),
            bad((ValueError, RuntimeError), "", normal(2, 4), normal(3, 5), normal(5, 4)),
            bad((ValueError, RuntimeError), "", normal(2, 3, 4), normal(3, 5), normal(5, 4)),
        ],
        flops=lambda c, a, b, *r, **k: mm_flops(a, b),
    ),
    product(
        "baddbmm",
        addmm,
        lambda: (
            [Sample(normal(2, 3, 4), normal(2, 3, n), normal(2, n, 4), grad=n < 16) for n in SIZES]
            + [Sample(normal(4), normal(2, 3, 5), normal(2, 5, 4), 0.5, 2.0)]
        ),
        [bad((ValueError, RuntimeError), "", normal(2, 3, 4), normal(2, 3, 5), normal(3, 5, 4))],
        flops=lambda c, a, b, *r, **k: mm_flops(a, b),
    ),
    product(
        "linear",
        lambda x, w, b=None: x @ w.T + (0 if b is None else b),
        lambda: (
            [Sample(normal(n, 5), normal(3, 5), normal(3)) for n in SIZES]
            + [Sample(normal(3, n), normal(4, n)) for n in SIZES]
            + [
                Sample(normal(2, 3, 5), normal(4, 5), normal(4)),
                Sample(normal(5), normal(4, 5), normal(4)),
                Sample(normal(3, 5), normal(33, 5), normal(33), grad=False),
                Sample(normal(5, 70), normal(33, 70), normal(33), grad=False),
            ]
        ),
        [
            bad((ValueError, RuntimeError), r"linear.*\(4, 6\)", normal(3, 5), normal(4, 6)),
            bad((ValueError, RuntimeError), "bias", normal(3, 5), normal(4, 5), normal(5)),
            MIXED(normal(3, 5), integers(0, 3, 4, 5)),
            bad((ValueError, RuntimeError), "", normal(), normal(4, 5)),
        ],
        flops=lambda x, w, *r, **k: 2.0 * np.prod(np.shape(x)) * len(w),
    ),
    product(
        "_linear_relu",
        lambda x, w, b=None: np.maximum(x @ w.T + (0 if b is None else b), 0),
        lambda: (
            [Sample(normal(n, 5), normal(3, 5), normal(3)) for n in SIZES]
            + [
                Sample(normal(2, 3, 5), normal(4, 5)),
                Sample(normal(5), normal(4, 5), normal(4)),
                Sample(normal(5, 70), normal(33, 70), normal(33), grad=False),
            ]
        ),
        [
            bad((ValueError, RuntimeError), r"linear.*\(4, 6\)", normal(3, 5), normal(4, 6)),
            bad((ValueError, RuntimeError), "bias", normal(3, 5), normal(4, 5), normal(5)),
        ],
        flops=lambda x, w, *r, **k: 2.0 * np.prod(np.shape(x)) * len(w),
    ),
    product(
        "_einsum",
        lambda equation, operands: np.einsum(equation, *operands),
        lambda: [
            Sample("ij,jk->ik", [normal(3, 5), normal(5, 4)]),
            Sample("ij->ji", [normal(3, 5)]),
            Sample("ij->", [normal(3, 5)]),
            Sample("ii->i", [normal(3, 3)]),
            Sample("ii->", [normal(3, 3)]),
            Sample("bij,bjk->bik", [normal(2, 3, 5), normal(2, 5, 4)]),
            Sample("bhid,bhjd->bhij", [normal(2, 2, 3, 5), normal(2, 2, 4, 5)]),
            Sample("i,j->ij", [normal(3), normal(4)]),
            Sample("ij,jk", [normal(3, 5), normal(5, 4)]),
            Sample("...ij,...jk->...ik", [normal(2, 3, 5), normal(5, 4)]),
            Sample("ij,jk,kl->il", [normal(2, 3), normal(3, 4), normal(4, 5)]),
            Sample("ij,ij->i", [normal(3, 5), normal(3, 5)]),
            Sample("ijk->k", [normal(2, 3, 4)]),
            Sample("i,i->", [normal(7), normal(7)]),
        ],
        [
            bad((ValueError, RuntimeError), "", "ij,jk->ik", [normal(3, 5), normal(4, 4)]),
            bad((ValueError, RuntimeError), "", "ij->ij", [normal(3)]),
            bad((ValueError, RuntimeError), "", "ij->ik", [normal(3, 3)]),
            bad((ValueError, RuntimeError), "", "i,j->ij", [normal(3)]),
            bad((ValueError, RuntimeError), "", "i1->i", [normal(3, 3)]),
            bad((ValueError, RuntimeError), "", "", []),
            bad(TypeError, "", 3, [normal(3)]),
        ],
    ),
]
