"""Max, average and adaptive pooling."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from op_specs.conv import CONV, CONV_ERRORS, HUGE, WRONG, conv2d, pair
from op_specs.spec import SIZES, Sample, Spec, bad, distinct, integers, normal


def windows(size, kernel, stride, pad, dilation, ceil_mode):
    """For each output, its window's positions inside the input, and its length up to padding."""
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * pad - reach
    out = (math.ceil(room / stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + pad:
        out -= 1
    rows = []
    for i in range(out):
        start = i * stride - pad
        at = [start + k * dilation for k in range(kernel)]
        rows.append(([a for a in at if 0 <= a < size], min(start + kernel, size + pad) - start))
    return rows


def pool2d(x, kernel, stride, padding, dilation, ceil_mode, pick):
    stride = kernel if stride is None else stride
    rows, cols = (
        windows(x.shape[d], *(pair(v)[d] for v in (kernel, stride, padding, dilation)), ceil_mode)
        for d in (-2, -1)
    )
    out = np.zeros((*x.shape[:-2], len(rows), len(cols)))
    for (i, (r, rl)), (j, (c, cl)) in product(enumerate(rows), enumerate(cols)):
        out[..., i, j] = pick(x, r, c, rl * cl)
    return out


def cut(x, r, c):
    return x[..., r, :][..., c].reshape(*x.shape[:-2], len(r) * len(c))


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return pool2d(
        x,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        lambda x, r, c, n: cut(x, r, c).max(-1),
    )


def max_pool2d_indices(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    plane = np.broadcast_to(np.arange(x.shape[-2] * x.shape[-1]).reshape(x.shape[-2:]), x.shape)

    def where(x, r, c, n):
        best = cut(x, r, c).argmax(-1)[..., None]
        return np.take_along_axis(cut(plane, r, c), best, -1)[..., 0]

    values = max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    return values, pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, where).astype(
        np.int64
    )


def avg_pool2d(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    def mean(x, r, c, n):
        count = divisor_override or (n if count_include_pad else max(len(r) * len(c), 1))
        return cut(x, r, c).sum(-1) / count

    return pool2d(x, kernel_size, stride, padding, 1, ceil_mode, mean)


def along_one(f):
    def call(x, kernel_size, stride=None, padding=0, *rest, **kw):
        one = lambda v: v if isinstance(v, int) else v[0]
        k = one(kernel_size)
        if f is max_pool2d and rest:
            rest = ((1, one(rest[0])), *rest[1:])
        return f(
            x[..., None, :],
            (1, k),
            (1, one(stride) if stride is not None else k),
            (0, one(padding)),
            *rest,
            **kw,
        )[..., 0, :]

    return call


def adaptive(pick):
    def call(x, output_size):
        (p, q), (h, w) = pair(output_size), x.shape[-2:]
        out = np.zeros((*x.shape[:-2], p, q))
        for i, j in product(range(p), range(q)):
            window = x[..., i * h // p : -(-(i + 1) * h // p), j * w // q : -(-(j + 1) * w // q)]
            out[..., i, j] = pick(window, axis=(-2, -1))
        return out

    return call


def pool_samples(make, *middle):
    return [
        Sample(make(2, 3, 6, 6), 2),
        Sample(make(1, 2, 7, 5), (3, 2), (2, 1)),
        Sample(make(1, 2, 7, 7), 3, 2, 1),
        Sample(make(2, 5, 5), 2),
        Sample(make(1, 1, 6, 5), 2, 2, *middle, ceil_mode=True),
        Sample(make(0, 2, 4, 4), 2),
        *[Sample(make(1, 1, 2, n), (2, 1), grad=n < 9) for n in SIZES if n],
        *[Sample(make(1, 1, 4, n), 2, grad=n < 9) for n in SIZES if n > 1],
        *[Sample(make(1, 1, 3, n), (3, 3), 1, 1, grad=n < 9) for n in SIZES if n],
    ]


POOL_ERRORS = (
    bad(WRONG, "", normal(1, 1, 4, 4), 5),
    bad(ValueError, "kernel", normal(1, 1, 4, 4), 0),
    bad(ValueError, "stride", normal(1, 1, 4, 4), 2, 0),
    bad(ValueError, "padding", normal(1, 1, 4, 4), 2, 2, 2),
    bad(ValueError, "padding", normal(1, 1, 4, 4), 2, 2, -1),
    bad(ValueError, "input", normal(4, 4), 2),
    bad(ValueError, "", normal(1, 1, 0, 4), 2),
    bad(ValueError, "", normal(1, 1, 4, 4), HUGE),
    bad(ValueError, "", normal(1, 1, 4, 4), (1, 2, 3)),
    bad(TypeError, "", integers(0, 9, 1, 1, 4, 4), 2),
    bad(TypeError, "", normal(1, 1, 4, 4), "2"),
)
LINE_ERRORS = (
    bad(WRONG, "", normal(1, 1, 4), 5),
    bad(ValueError, "", normal(1, 1, 4), 0),
    bad(ValueError, "", normal(4), 2),
    bad(ValueError, "", normal(1, 1, 4), (2, 2)),
)


def conv2d_relu(
    x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, pool_size=None,
    pool_stride=None, pool_padding=0,
):  # fmt: skip
    y = np.maximum(conv2d(x, weight, bias, stride, padding, dilation, groups), 0)
    return y if pool_size is None else max_pool2d(y, pool_size, pool_stride, pool_padding)


def conv_relu_samples():
    plain = (1, 0, 1, 1)
    return [
        Sample(normal(2, 3, 5, 6), normal(4, 3, 3, 3), normal(4)),
        Sample(normal(3, 5, 5), normal(2, 3, 1, 1), None, *plain, 2),
        Sample(normal(0, 2, 4, 4), normal(3, 2, 3, 3), None, *plain, 2),
        Sample(normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4), *plain, 2, grad=False),
        # Batches that are taken in blocks of images.
        Sample(normal(5, 2, 7, 8), normal(4, 2, 3, 3), normal(4), 1, 1, 1, 1, 2, grad=False),
        Sample(normal(6, 4, 9, 7), normal(6, 2, 3, 3), None, 2, 1, 1, 2, 3, 2, 1, grad=False),
        Sample(normal(9, 16, 8, 8), normal(17, 16, 3, 3), normal(17), *plain, (2, 3), grad=False),
        Sample(normal(4, 3, 9, 9), normal(3, 1, 3, 3), None, 1, 1, 1, 3, 2, 1, grad=False),
        # Maxima alone are written: by Winograd's tiles, and from patches.
        Sample(normal(3, 16, 9, 8), normal(17, 16, 3, 3), normal(17), *plain, 2, grad=False),
        Sample(normal(2, 1, 14, 13), normal(7, 1, 5, 5), normal(7), 1, 2, 1, 1, 2, grad=False),
        Sample(normal(2, 40, 7, 7), normal(3, 40, 5, 5), None, 1, 1, 1, 1, 2, grad=False),
    ]


ROWS = [
    Spec(
        "_conv2d_relu",
        conv2d_relu,
        conv_relu_samples,
        errors=(
            *CONV_ERRORS,
            bad(ValueError, "kernel", normal(4, 3, 5, 5), normal(4, 3, 3, 3), None, 1, 0, 1, 1, 4),
            bad(ValueError, "", normal(4, 3, 5, 5), normal(4, 3, 3, 3), None, 1, 0, 1, 1, 2, 2, 2),
            bad(WRONG, "stride", normal(4, 1, 5, 5), normal(4, 1, 3, 3), None, 1, 0, 1, 1, 2, 0),
        ),
        **CONV,
    ),
    Spec(
        "max_pool2d",
        max_pool2d,
        lambda: [
            *pool_samples(distinct),
            Sample(distinct(1, 1, 7, 7), 2, 1, 0, 2),
            Sample(integers(0, 3, 1, 2, 6, 6).astype(float), 3, 1, grad=False),
        ],
        bound=0,
        differentiable=True,
        errors=POOL_ERRORS,
    ),
    Spec(
        "_max_pool2d_indices",
        max_pool2d_indices,
        lambda: [
            *pool_samples(distinct),
            Sample(integers(0, 3, 1, 2, 6, 6).astype(float), 3, 1, grad=False),
        ],
        bound=0,
        indices=True,
        differentiable=True,
        errors=POOL_ERRORS,
    ),
    Spec(
        "max_pool1d",
        along_one(max_pool2d),
        lambda: (
            [Sample(distinct(2, 3, n), 2, grad=n < 9) for n in SIZES if n > 1]
            + [Sample(distinct(2, 9), 3, 2, 1), Sample(distinct(1, 1, 9), 2, 2, 0, 2)]
        ),
        bound=0,
        differentiable=True,
        errors=LINE_ERRORS,
    ),
    Spec(
        "avg_pool2d",
        avg_pool2d,
        lambda: [
            *pool_samples(normal, 0),
            Sample(normal(1, 2, 5, 5), 3, 2, 1, False, False),
            Sample(normal(1, 2, 5, 5), 3, 2, 1, True, True),
            Sample(normal(1, 2, 5, 5), 2, divisor_override=3),
        ],
        bound=24,
        differentiable=True,
        errors=(*POOL_ERRORS, bad(WRONG, "divisor", normal(1, 1, 4, 4), 2, divisor_override=0)),
    ),
    Spec(
        "avg_pool1d",
        along_one(avg_pool2d),
        lambda: (
            [Sample(normal(2, 3, n), 2, grad=n < 9) for n in SIZES if n > 1]
            + [Sample(normal(2, 9), 3, 2, 1), Sample(normal(2, 9), 3, 2, 1, True, False)]
        ),
        bound=24,
        differentiable=True,
        errors=LINE_ERRORS,
    ),
    Spec(
        "adaptive_avg_pool2d",
        adaptive(np.mean),
        lambda: [
            Sample(normal(2, 3, 5, 7), (2, 3)),
            Sample(normal(1, 2, 6, 6), 1),
            Sample(normal(1, 2, 3, 3), 5),
            Sample(normal(2, 4, 4), (4, 2)),
            *[Sample(normal(1, 1, 3, n), (2, 1)) for n in SIZES if n],
        ],
        bound=80,
        differentiable=True,
        errors=(
            bad(ValueError, "", normal(4, 4), 1),
            bad(ValueError, "", normal(1, 1, 4, 4), -1),
            bad((ValueError, MemoryError), "", normal(1, 1, 4, 4), HUGE),
        ),
    ),
    Spec(
        "adaptive_max_pool2d",
        adaptive(np.max),
        lambda: [
            Sample(distinct(2, 3, 5, 7), (2, 3)),
            Sample(distinct(1, 2, 6, 6), 1),
            Sample(distinct(1, 1, 3, 3), 5),
            Sample(distinct(2, 4, 4), (4, 2)),
        ],
        bound=0,
        differentiable=True,
        errors=(bad(ValueError, "", normal(4, 4), 1), bad(ValueError, "", normal(1, 1, 4, 4), -1)),
    ),
]
