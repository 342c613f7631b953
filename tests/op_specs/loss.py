"""Softmax, cross entropy and the other losses."""

from __future__ import annotations

import numpy as np

from op_specs.spec import FLOATS, SIZES, Sample, Spec, bad, flags, integers, normal, uniform

WRONG = (ValueError, RuntimeError)


def positive(*shape):
    return uniform(*shape, low=0.5, high=2.0)


def log_softmax(x, dim, dtype=None):
    x = x - x.max(dim, keepdims=True) if x.size else x
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


def softmax(x, dim, dtype=None):
    return np.exp(log_softmax(x, dim))


def reduced(loss, reduction):
    return {"none": lambda v: v, "sum": np.sum, "mean": np.mean}[reduction](loss)


def nll_loss(logp, target, weight=None, ignore_index=-100, reduction="mean"):
    if logp.ndim == 1:
        logp, target = logp[None], target[None]
        squeeze = True
    else:
        squeeze = False
    valid = target != ignore_index
    t = np.where(valid, target, 0)
    w = (np.ones(logp.shape[1]) if weight is None else weight)[t] * valid
    loss = -np.take_along_axis(logp, t[:, None], 1)[:, 0] * w
    if reduction == "mean":
        return loss.sum() / w.sum()
    loss = reduced(loss, reduction)
    return loss[0] if squeeze and reduction == "none" else loss


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    if x.ndim == 1:
        y = cross_entropy(x[None], target[None], weight, ignore_index, reduction, label_smoothing)
        return y[0] if reduction == "none" else y
    logp = log_softmax(x, 1)
    classes = x.shape[1]
    w = np.ones(classes) if weight is None else weight
    shaped = w.reshape(1, -1, *(1,) * (x.ndim - 2))
    if target.dtype.kind == "f":
        t = target * (1 - label_smoothing) + label_smoothing / classes
        loss = -(t * logp * shaped).sum(1)
        return loss.sum() / (loss.size) if reduction == "mean" else reduced(loss, reduction)
    hard = nll_loss(logp, target, weight, ignore_index, "none")
    valid = target != ignore_index
    smooth = -(logp * shaped).sum(1) * valid
    loss = (1 - label_smoothing) * hard + label_smoothing / classes * smooth
    if reduction == "mean":
        return loss.sum() / (w[np.where(valid, target, 0)] * valid).sum()
    return reduced(loss, reduction)


def smooth_l1(x, t, reduction="mean", beta=1.0):
    d = np.abs(x - t)
    return reduced(np.where(d < beta, 0.5 * d * d / beta if beta else d, d - 0.5 * beta), reduction)


def huber(x, t, reduction="mean", delta=1.0):
    d = np.abs(x - t)
    return reduced(np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def hinge_embedding(x, t, margin=1.0, reduction="mean"):
    missing = np.maximum(margin - x, 0)
    return reduced(np.where(t == -1, 0, x) + np.where(t == 1, 0, missing), reduction)


def bce(x, t, weight=None, reduction="mean"):
    with np.errstate(all="ignore"):
        loss = -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))
    return reduced(loss if weight is None else loss * weight, reduction)


def bce_with_logits(x, t, weight=None, pos_weight=None, reduction="mean"):
    p = 1.0 if pos_weight is None else pos_weight
    loss = (1 - t) * x + (1 + (p - 1) * t) * np.logaddexp(0, -x)
    return reduced(loss if weight is None else loss * weight, reduction)


def kl_div(x, t, reduction="mean", log_target=False):
    if log_target:
        loss = np.exp(t) * (t - x)
    else:
        loss = np.where(t > 0, t * (np.log(np.where(t > 0, t, 1)) - x), 0)
    return loss.sum() / len(x) if reduction == "batchmean" else reduced(loss, reduction)


REDUCTIONS = ("mean", "sum", "none")
probabilities = lambda *s: uniform(*s, low=0.05, high=0.95)


def classes(high, *shape, ignored=()):
    t = integers(0, high, *shape)
    for i in ignored:
        t.reshape(-1)[i] = -100
    return t


def distribution(*shape):
    p = uniform(*shape, low=0.1, high=1.0)
    return p / p.sum(1, keepdims=True)


def signs(*shape):
    return flags(*shape) * 2.0 - 1.0


def ce_samples():
    rows = [Sample(normal(4, n), classes(n, 4), grad=n < 9) for n in SIZES if n > 1]
    rows += [
        Sample(normal(4, 5), classes(5, 4, ignored=(1,)), w, -100, r, s)
        for r in REDUCTIONS
        for w in (None, positive(5))
        for s in (0.0, 0.1)
    ]
    rows += [
        Sample(normal(2, 5, 3), classes(5, 2, 3, ignored=(4,)), positive(5), reduction=r)
        for r in REDUCTIONS
    ]
    rows += [
        Sample(normal(4, 5), distribution(4, 5), w, -100, r, s)
        for r in REDUCTIONS
        for w, s in ((None, 0.0), (positive(5), 0.1))
    ]
    rows += [
        Sample(normal(2, 5, 3), distribution(2, 5, 3)),
        Sample(normal(5), np.array(2)),
        Sample(normal(3, 4) * 300, classes(4, 3), dtypes=FLOATS[:2], grad=False),
        Sample(normal(4, 5), np.array([1, 2, 3, 2]), None, 2),
        Sample(normal(33, 10), classes(10, 33), grad=False),
    ]
    return rows


def two(make_t=normal, **kw):
    return [Sample(normal(n), make_t(n), r, **kw) for n in SIZES if n for r in REDUCTIONS] + [
        Sample(normal(3, 5), make_t(3, 5), **kw),
        Sample(normal(3, 5), make_t(5), **kw),
        Sample(normal(3, 1), make_t(1, 5), "none", **kw),
        Sample(normal(3, 1100), make_t(3, 1100), grad=False, **kw),
        Sample(normal(0), make_t(0), "sum", **kw),
    ]


BAD_REDUCTION = lambda *args: bad(ValueError, "reduction", *args, reduction="median")
TWO = (
    BAD_REDUCTION(normal(3), normal(3)),
    bad(TypeError, "", integers(0, 3, 3), integers(0, 3, 3)),
    bad(WRONG, "", normal(3), normal(4)),
)
LOSS = {"bound": 32.0, "differentiable": True}
LABELS = (
    bad(IndexError, "", normal(2, 5), np.array([1, 5])),
    bad(IndexError, "", normal(2, 5), np.array([1, -1])),
    bad(ValueError, "", normal(2, 5), classes(5, 3)),
    bad(ValueError, "", normal(2, 5), classes(5, 2, 1)),
    bad(ValueError, "weight", normal(2, 5), classes(5, 2), positive(4)),
    BAD_REDUCTION(normal(2, 5), classes(5, 2)),
    bad(TypeError, "", integers(0, 3, 2, 5), classes(5, 2)),
    bad(ValueError, "", normal(), np.array(0)),
)

ROWS = [
    Spec(
        "softmax",
        softmax,
        lambda: (
            [Sample(normal(3, n), 1, grad=n < 20) for n in SIZES]
            + [Sample(normal(n, 3), 0, grad=n < 20) for n in SIZES]
            + [Sample(normal(2, 3, 4), d) for d in (0, 1, -1)]
            + [Sample(normal(), 0), Sample(normal(3, 5) * 300, 1, grad=False, dtypes=FLOATS[:2])]
        ),
        bound=16,
        differentiable=True,
        errors=(
            bad(IndexError, "dimension", normal(2, 3), 2),
            bad(TypeError, "", integers(0, 3, 3), 0),
            bad(TypeError, "", normal(3), None),
        ),
    ),
    Spec(
        "log_softmax",
        log_softmax,
        lambda: (
            [Sample(normal(3, n), 1, grad=n < 20) for n in SIZES]
            + [Sample(normal(2, 3, 4), d) for d in (0, 1, -1)]
            + [Sample(normal(3, 5) * 300, 1, grad=False, dtypes=FLOATS[:2])]
        ),
        bound=16,
        differentiable=True,
        errors=(
            bad(IndexError, "dimension", normal(2, 3), 2),
            bad(TypeError, "", integers(0, 3, 3), 0),
        ),
    ),
    Spec(
        "cross_entropy",
        cross_entropy,
        ce_samples,
        errors=(
            *LABELS,
            bad(ValueError, "label_smoothing", normal(2, 5), classes(5, 2), label_smoothing=1.5),
            bad(ValueError, "", normal(2, 5), normal(2, 4)),
        ),
        constant=(2, "weight"),
        **LOSS,
    ),
    Spec(
        "nll_loss",
        nll_loss,
        lambda: (
            [
                Sample(normal(4, 5), classes(5, 4, ignored=(1,)), w, -100, r)
                for r in REDUCTIONS
                for w in (None, positive(5))
            ]
            + [Sample(normal(2, 5, 3), classes(5, 2, 3), reduction=r) for r in REDUCTIONS]
            + [Sample(normal(5), np.array(2))]
        ),
        errors=LABELS,
        constant=(2, "weight"),
        **LOSS,
    ),
    Spec(
        "mse_loss",
        lambda x, t, reduction="mean": reduced((x - t) ** 2, reduction),
        two,
        errors=TWO,
        **LOSS,
    ),
    Spec(
        "l1_loss",
        lambda x, t, reduction="mean": reduced(np.abs(x - t), reduction),
        two,
        errors=TWO,
        **LOSS,
    ),
    Spec(
        "smooth_l1_loss",
        smooth_l1,
        lambda: (
            two()
            + [
                Sample(normal(33), normal(33), "none", 0.3),
                Sample(normal(5), normal(5), "mean", 0.0),
            ]
        ),
        errors=(*TWO, bad(ValueError, "beta", normal(3), normal(3), beta=-1.0)),
        **LOSS,
    ),
    Spec(
        "huber_loss",
        huber,
        lambda: two() + [Sample(normal(33), normal(33), r, 0.3) for r in REDUCTIONS],
        errors=(*TWO, bad(ValueError, "delta", normal(3), normal(3), delta=0.0)),
        **LOSS,
    ),
    Spec(
        "hinge_embedding_loss",
        hinge_embedding,
        lambda: (
            [Sample(normal(n), signs(n), 0.7, r) for n in SIZES if n for r in REDUCTIONS]
            + [Sample(normal(3, 5), signs(3, 5)), Sample(normal(0), signs(0), 1.0, "sum")]
        ),
        constant=(1,),
        errors=TWO,
        **LOSS,
    ),
    Spec(
        "_bce_loss",
        bce,
        lambda: (
            [
                Sample(probabilities(n), probabilities(n), None, r)
                for n in (1, 7, 33)
                for r in REDUCTIONS
            ]
            + [
                Sample(probabilities(3, 5), probabilities(3, 5), positive(5)),
                Sample(probabilities(3, 5), probabilities(3, 5), positive(3, 1), "none"),
                Sample(probabilities(3, 5), probabilities(3, 5), positive(1, 1), "sum"),
                Sample(probabilities(3, 1100), probabilities(3, 1100), positive(1100), grad=False),
                Sample(
                    np.array([0.0, 1.0, 0.0, 1.0]),
                    np.array([0.0, 1.0, 1.0, 0.0]),
                    None,
                    "none",
                    grad=False,
                ),
            ]
        ),
        constant=(2,),
        errors=(
            BAD_REDUCTION(probabilities(3), probabilities(3)),
            bad(WRONG, "", probabilities(3), probabilities(4)),
            bad(WRONG, "", probabilities(3) + 1, probabilities(3)),
        ),
        **LOSS,
    ),
    Spec(
        "_bce_with_logits",
        bce_with_logits,
        lambda: (
            [
                Sample(normal(n), probabilities(n), None, None, r)
                for n in (1, 7, 33)
                for r in REDUCTIONS
            ]
            + [
                Sample(normal(3, 5), probabilities(3, 5), positive(5), positive(5)),
                Sample(normal(3, 5), probabilities(3, 5), None, positive(3, 1), "none"),
                Sample(normal(3, 5), probabilities(3, 5), positive(3, 5), positive(1), "sum"),
                Sample(normal(3, 1100), probabilities(3, 1100), None, positive(1100), grad=False),
                Sample(
                    np.array([-800.0, 800.0, 0.0]),
                    np.array([0.0, 1.0, 1.0]),
                    dtypes=FLOATS[:2],
                    grad=False,
                ),
            ]
        ),
        constant=(2, 3),
        errors=(
            BAD_REDUCTION(normal(3), probabilities(3)),
            bad(WRONG, "", normal(3), probabilities(4)),
        ),
        **LOSS,
    ),
    Spec(
        "kl_div",
        kl_div,
        lambda: (
            [Sample(normal(4, 5), distribution(4, 5), r) for r in (*REDUCTIONS, "batchmean")]
            + [
                Sample(normal(4, 5), normal(4, 5), "sum", True),
                Sample(normal(3), np.array([0.0, 0.5, 0.5]), "none", grad=False),
            ]
        ),
        errors=(BAD_REDUCTION(normal(3), probabilities(3)),),
        **LOSS,
    ),
]
