"""Batch, layer and group normalisation."""

from __future__ import annotations

import numpy as np

from op_specs.spec import SIZES, Sample, Spec, bad, integers, normal, uniform


def normalised(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def affine(y, weight, bias, shape):
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def batch_norm(
    x,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        y = normalised(x, (0, *range(2, x.ndim)), eps)
    else:
        y = (x - running_mean.reshape(shape)) / np.sqrt(running_var.reshape(shape) + eps)
    return affine(y, weight, bias, shape)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return affine(
        normalised(x, tuple(range(-n, 0)), eps), weight, bias, (-1,) if n == 1 else np.shape(x)[-n:]
    )


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    rows = x.reshape(len(x), num_groups, int(np.prod(x.shape[1:])) // num_groups)
    y = normalised(rows, (2,), eps).reshape(x.shape)
    return affine(y, weight, bias, (1, -1) + (1,) * (x.ndim - 2))


def positive(*shape):
    return uniform(*shape, low=0.5, high=2.0)


def batch_norm_samples():
    rows = [
        Sample(normal(4, 3), None, None, normal(3), normal(3), True),
        Sample(normal(2, 3, 4, 5), None, None, normal(3), normal(3), True),
        Sample(normal(3, 2, 4), None, None, None, None, True),
        Sample(normal(4, 3), normal(3), positive(3), normal(3), normal(3), False),
        Sample(normal(2, 3, 4, 5), normal(3), positive(3), normal(3), normal(3)),
        Sample(normal(2, 3, 4), normal(3), positive(3)),
        Sample(normal(2, 3, 2, 2), normal(3), positive(3), normal(3), normal(3), True, 0.3, 1e-3),
    ]
    rows += [
        Sample(normal(n, 3), None, None, normal(3), normal(3), True, grad=n < 9)
        for n in SIZES
        if n > 1
    ]
    return rows + [
        Sample(normal(2, 2, n), None, None, normal(2), normal(2), True, grad=n < 9)
        for n in SIZES
        if n
    ]


NORM = {"bound": 64.0, "differentiable": True}
ROWS = [
    Spec(
        "batch_norm",
        batch_norm,
        batch_norm_samples,
        constant=(1, 2),
        writes=True,
        errors=(
            bad(ValueError, "weight", normal(4, 3), None, None, normal(4), None, True),
            bad(ValueError, "running_mean", normal(4, 3)),
            bad(ValueError, "", normal(3), None, None, None, None, True),
            bad(ValueError, "more than 1 value", normal(1, 3), None, None, None, None, True),
            bad(ValueError, "running_var", normal(4, 3), normal(3), positive(4)),
            bad(ValueError, "", normal(4, 3), normal(3), None),
            bad(ValueError, "eps", normal(4, 3), None, None, None, None, True, 0.1, -1.0),
        ),
        **NORM,
    ),
    Spec(
        "layer_norm",
        layer_norm,
        lambda: (
            [Sample(normal(3, n), n, normal(n), normal(n), grad=n < 9) for n in SIZES if n > 1]
            + [
                Sample(normal(2, 3, 5), (3, 5), normal(3, 5), normal(3, 5)),
                Sample(normal(2, 5), (5,)),
                Sample(normal(2, 5), 5, normal(5)),
                Sample(normal(0, 5), 5, normal(5), normal(5)),
                Sample(normal(5, 7), 7, None, normal(7), 0.1),
            ]
        ),
        errors=(
            bad(ValueError, r"\(4,\)", normal(3, 5), 4),
            bad(ValueError, "weight", normal(3, 5), 5, normal(4)),
            bad(ValueError, "", normal(3, 5), ()),
            bad(ValueError, "eps", normal(3, 5), 5, None, None, -1.0),
            bad(TypeError, "", integers(0, 9, 3, 5), 5),
        ),
        **NORM,
    ),
    Spec(
        "group_norm",
        group_norm,
        lambda: [
            Sample(normal(2, 6, 4), 3, normal(6), normal(6)),
            Sample(normal(2, 4, 3, 3), 2),
            Sample(normal(3, 6), 2, normal(6)),
            Sample(normal(2, 3, 2, 2), 3, None, normal(3), 1e-3),
            Sample(normal(0, 4, 3), 2, normal(4), normal(4)),
            Sample(normal(2, 4, 16, 17), 2, normal(4), normal(4), grad=False),
            Sample(normal(2, 3, 17), 1, normal(3), normal(3), grad=False),
        ],
        errors=(
            bad(ValueError, "num_groups", normal(2, 6, 4), 4),
            bad(ValueError, "num_groups", normal(2, 6, 4), 0),
            bad(ValueError, "weight", normal(2, 6, 4), 3, normal(3)),
            bad(ValueError, "", normal(6), 3),
        ),
        **NORM,
    ),
]
