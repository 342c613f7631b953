"""Convolutions."""

from __future__ import annotations

from itertools import product

import numpy as np

from op_specs.spec import SIZES, Sample, Spec, bad, integers, normal

WRONG = (ValueError, RuntimeError)


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v) * (2 // len(v))


# As the formula says it: one patch times the weight for each output position


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if x.ndim == 3:
        return conv2d(x[None], weight, bias, stride, padding, dilation, groups)[0]
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    n, c, h, w = x.shape
    o, cg, r, s = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    p = (h + 2 * ph - dh * (r - 1) - 1) // sh + 1
    q = (w + 2 * pw - dw * (s - 1) - 1) // sw + 1
    y = np.zeros((n, o, p, q))
    og = o // groups
    for g, i, j in product(range(groups), range(p), range(q)):
        patch = x[
            :,
            g * cg : (g + 1) * cg,
            i * sh : i * sh + dh * (r - 1) + 1 : dh,
            j * sw : j * sw + dw * (s - 1) + 1 : dw,
        ]
        y[:, g * og : (g + 1) * og, i, j] = np.einsum(
            "ncrs,ocrs->no", patch, weight[g * og : (g + 1) * og]
        )
    return y if bias is None else y + np.reshape(bias, (1, -1, 1, 1))


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    one = lambda v: v if isinstance(v, int) else v[0]
    y = conv2d(
        x[..., None, :],
        weight[:, :, None],
        bias,
        (1, one(stride)),
        (0, one(padding)),
        (1, one(dilation)),
        groups,
    )
    return y[..., 0, :]


def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    if x.ndim == 3:
        return conv_transpose2d(
            x[None], weight, bias, stride, padding, output_padding, groups, dilation
        )[0]
    (sh, sw), (ph, pw), (dh, dw), (eh, ew) = (
        pair(stride),
        pair(padding),
        pair(dilation),
        pair(output_padding),
    )
    n, c, h, w = x.shape
    _, og, r, s = weight.shape
    full = np.zeros(
        (n, og * groups, (h - 1) * sh + dh * (r - 1) + 1 + eh, (w - 1) * sw + dw * (s - 1) + 1 + ew)
    )
    cg = c // groups
    for g, i, j in product(range(groups), range(h), range(w)):
        part = np.einsum(
            "nc,cors->nors", x[:, g * cg : (g + 1) * cg, i, j], weight[g * cg : (g + 1) * cg]
        )
        full[
            :,
            g * og : (g + 1) * og,
            i * sh : i * sh + dh * (r - 1) + 1 : dh,
            j * sw : j * sw + dw * (s - 1) + 1 : dw,
        ] += part
    y = full[:, :, ph : full.shape[2] - ph, pw : full.shape[3] - pw]
    return y if bias is None else y + np.reshape(bias, (1, -1, 1, 1))


def conv2d_weight_grad(x, dy, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    (r, s), (sh, sw), (ph, pw), (dh, dw) = (
        pair(kernel_size),
        pair(stride),
        pair(padding),
        pair(dilation),
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    n, o, p, q = dy.shape
    cg, og = x.shape[1] // groups, o // groups
    dw_ = np.zeros((o, cg, r, s))
    for g, i, j in product(range(groups), range(p), range(q)):
        patch = x[
            :,
            g * cg : (g + 1) * cg,
            i * sh : i * sh + dh * (r - 1) + 1 : dh,
            j * sw : j * sw + dw * (s - 1) + 1 : dw,
        ]
        dw_[g * og : (g + 1) * og] += np.einsum(
            "no,ncrs->ocrs", dy[:, g * og : (g + 1) * og, i, j], patch
        )
    return dw_


def conv_samples():
    rows = [
        Sample(normal(2, 3, 5, 6), normal(4, 3, 3, 3), normal(4)),
        Sample(normal(1, 1, 5, 5), normal(2, 1, 3, 3), padding=1),
        Sample(normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4), (2, 1), (1, 0), (1, 2)),
        Sample(normal(1, 4, 5, 5), normal(6, 2, 3, 3), normal(6), 1, 1, 1, 2),
        Sample(normal(1, 4, 5, 5), normal(4, 1, 3, 3), None, 2, 1, 1, 4),
        Sample(normal(1, 2, 5, 5), normal(4, 1, 3, 3), normal(4), padding=1, groups=2),
        Sample(normal(3, 5, 5), normal(2, 3, 1, 1), normal(2)),
        Sample(normal(2, 3, 4, 4), normal(5, 3, 4, 4)),
        Sample(normal(1, 2, 3, 3), normal(2, 2, 2, 2), None, 3, 2),
        Sample(normal(0, 2, 4, 4), normal(3, 2, 3, 3)),
        Sample(normal(1, 2, 9, 9), normal(2, 2, 3, 3), None, 1, 2, 3),
    ]
    rows += [
        Sample(normal(1, 2, 4, n), normal(3, 2, 3, 1), normal(3), grad=False) for n in SIZES if n
    ]
    rows += [
        Sample(normal(1, c, 4, 4), normal(5, c, 3, 3), padding=1, grad=False)
        for c in (1, 3, 17, 33)
    ]
    rows += [
        Sample(normal(1, 3, 4, 4), normal(o, 3, 3, 3), normal(o), padding=1, grad=False)
        for o in (1, 7, 33, 65)
    ]
    return rows


def conv_flops(x, weight, *rest, **kw):
    y = conv2d(x, weight, *rest, **kw)
    return 2.0 * y.size * np.prod(weight.shape[1:])


HUGE = 2**62
CONV_ERRORS = (
    bad(
        ValueError,
        r"weight of shape \(O, 3, kH, kW\) to match input \(8, 3, 5, 5\).*got \(16, 4, 3, 3\)",
        normal(8, 3, 5, 5),
        normal(16, 4, 3, 3),
    ),
    bad(ValueError, "bias", normal(1, 3, 5, 5), normal(4, 3, 3, 3), normal(3)),
    bad(ValueError, "input", normal(5, 5), normal(4, 3, 3, 3)),
    bad(ValueError, "stride", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 0),
    bad(ValueError, "stride", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, HUGE),
    bad(ValueError, "padding", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 1, -1),
    bad(ValueError, "padding", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 1, HUGE),
    bad(ValueError, "dilation", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 1, 0, 0),
    bad(ValueError, "groups", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 1, 0, 1, 0),
    bad(ValueError, "groups", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, 1, 0, 1, 2),
    bad(ValueError, "kernel", normal(1, 3, 2, 5), normal(4, 3, 3, 3)),
    bad(ValueError, "kernel", normal(1, 3, 5, 5), normal(4, 3, 0, 3)),
    bad(TypeError, "", normal(1, 3, 5, 5), integers(0, 3, 4, 3, 3, 3)),
    bad(TypeError, "", integers(0, 3, 1, 3, 5, 5), integers(0, 3, 4, 3, 3, 3)),
    bad(ValueError, "", normal(1, 3, 5, 5), normal(4, 3, 3, 3), None, (1, 2, 3)),
)

# Up to some 300 products are summed.
CONV = {"bound": 300.0, "differentiable": True}
ROWS = [
    Spec("conv2d", conv2d, conv_samples, errors=CONV_ERRORS, flops=conv_flops, **CONV),
    Spec(
        "conv1d",
        conv1d,
        lambda: [
            Sample(normal(2, 3, 7), normal(4, 3, 3), normal(4)),
            Sample(normal(2, 3, 7), normal(4, 3, 3), None, 2, 1, 2),
            Sample(normal(3, 7), normal(2, 3, 1), normal(2)),
            Sample(normal(1, 4, 9), normal(4, 1, 3), None, 1, 1, 1, 4),
            *[Sample(normal(1, 2, n), normal(3, 2, 1), grad=False) for n in SIZES if n],
        ],
        errors=(
            bad(ValueError, "weight", normal(2, 3, 7), normal(4, 2, 3)),
            bad(ValueError, "", normal(7), normal(4, 2, 3)),
            bad(ValueError, "stride", normal(2, 3, 7), normal(4, 3, 3), None, 0),
            bad(ValueError, "kernel", normal(2, 3, 2), normal(4, 3, 3)),
        ),
        **CONV,
    ),
    Spec(
        "conv_transpose2d",
        conv_transpose2d,
        lambda: [
            Sample(normal(2, 3, 4, 3), normal(3, 2, 3, 3), normal(2)),
            Sample(normal(1, 2, 3, 3), normal(2, 3, 2, 2), None, 2),
            Sample(normal(1, 2, 3, 4), normal(2, 2, 3, 3), normal(2), (2, 3), 1, (1, 0)),
            Sample(normal(1, 4, 3, 3), normal(4, 1, 3, 3), None, 1, 0, 0, 4),
            Sample(normal(1, 4, 3, 3), normal(4, 2, 3, 3), None, 2, 1, 1, 2),
            Sample(normal(1, 2, 3, 3), normal(2, 2, 2, 2), None, 1, 0, 0, 1, 2),
            Sample(normal(2, 3, 3), normal(2, 1, 2, 2), normal(1)),
        ],
        errors=(
            bad(ValueError, "weight", normal(1, 3, 4, 4), normal(2, 2, 3, 3)),
            bad(
                ValueError, "output_padding", normal(1, 3, 4, 4), normal(3, 2, 3, 3), None, 1, 0, 1
            ),
            bad(ValueError, "", normal(1, 3, 1, 1), normal(3, 2, 1, 1), None, 1, 3),
            bad(ValueError, "stride", normal(1, 3, 4, 4), normal(3, 2, 3, 3), None, 0),
            bad(
                (ValueError, MemoryError),
                "",
                normal(1, 3, 4, 4),
                normal(3, 2, 3, 3),
                None,
                2**31 - 1,
            ),
        ),
        **CONV,
    ),
    Spec(
        "_conv2d_weight_grad",
        conv2d_weight_grad,
        lambda: [
            Sample(normal(2, 3, 5, 6), normal(2, 4, 3, 4), (3, 3)),
            Sample(normal(1, 4, 5, 5), normal(1, 6, 5, 5), 3, 1, 1, 1, 2),
            Sample(normal(1, 2, 7, 6), normal(1, 3, 4, 3), (3, 2), (2, 2), (1, 0)),
        ],
        errors=(
            bad(ValueError, "grad_output", normal(2, 3, 5, 6), normal(2, 4, 3, 3), (3, 3)),
            bad(ValueError, "", normal(3, 5, 6), normal(4, 3, 4), (3, 3)),
            bad(ValueError, "", normal(2, 3, 5, 6), normal(2, 4, 3, 4), 0),
        ),
        **CONV,
    ),
]
