"""One step of an optimizer for all parameters, against the papers' formulas in NumPy.

All of these write their arguments: `reference` gives the arguments as they should be afterwards."""

from __future__ import annotations

import math

import numpy as np

from op_specs.spec import Fixed, Host, Sample, Spec, arrays, bad, integers, normal, uniform

FLOATS = ("float64", "float32")


def sgd(params, grads, buffers, first, lr, momentum, dampening, weight_decay, nesterov, maximize):
    for i, (p, g) in enumerate(zip(params, grads)):
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            b = buffers[i]
            b[...] = g if first[0] else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b.copy()
        p -= lr * g


def adam(
    params,
    grads,
    avgs,
    squares,
    maxima,
    steps,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    decoupled,
    amsgrad,
    maximize,
):
    for i, (p, g) in enumerate(zip(params, grads)):
        steps[i] += 1
        t = float(steps[i])
        g = -g if maximize else g
        if decoupled:
            p *= 1 - lr * weight_decay
        else:
            g = g + weight_decay * p
        avgs[i][...] = beta1 * avgs[i] + (1 - beta1) * g
        squares[i][...] = beta2 * squares[i] + (1 - beta2) * g * g
        v = squares[i]
        if amsgrad:
            maxima[i][...] = np.maximum(maxima[i], v)
            v = maxima[i]
        p -= lr / (1 - beta1**t) * avgs[i] / (np.sqrt(v) / math.sqrt(1 - beta2**t) + eps)


def rmsprop(
    params,
    grads,
    squares,
    buffers,
    means,
    lr,
    alpha,
    eps,
    weight_decay,
    momentum,
    centered,
    maximize,
):
    for i, (p, g) in enumerate(zip(params, grads)):
        g = (-g if maximize else g) + weight_decay * p
        squares[i][...] = alpha * squares[i] + (1 - alpha) * g * g
        v = squares[i]
        if centered:
            means[i][...] = alpha * means[i] + (1 - alpha) * g
            v = v - means[i] ** 2
        step = g / (np.sqrt(v) + eps)
        if momentum:
            buffers[i][...] = momentum * buffers[i] + step
            step = buffers[i]
        p -= lr * step


def scale_all(tensors, factor, norm=None):
    if norm is not None:
        factor = min(1.0, factor / (float(norm) + 1e-6))
    for t in tensors:
        t *= factor


def unscale_all(grads, scale, found_inf):
    for g in grads:
        found_inf[...] = np.maximum(found_inf, not np.all(np.isfinite(g)))
        g /= scale


def update_scale(scale, streak, found_inf, growth, backoff, interval):
    grows = found_inf == 0 and streak + 1 >= interval
    scale *= backoff if found_inf else growth if grows else 1.0
    streak[...] = 0 if found_inf or grows else streak + 1


def unless_found(reference):
    """The step with or without a found_inf behind the other arguments."""

    def call(*args):
        if not isinstance(args[-1], np.ndarray):
            reference(*args)
        elif args[-1] == 0:
            reference(*args[:-1])

    return call


def with_found_inf(samples):
    """The first sample once more with a found_inf that allows the step, and one that does not. The
    counts of steps are then beside the parameters."""

    def beside(value):
        if isinstance(value, list):
            return [Fixed(np.asarray(v.array)) if isinstance(v, Host) else v for v in value]
        return value

    def call():
        rows = samples()
        first = [beside(a) for a in rows[0].args]
        return [*rows, *(Sample(*first, number(found)) for found in (0, 1))]

    return call


def number(value, dtype=np.float32):
    return Fixed(np.asarray(value, dtype))


def writing(f):
    """Runs f on copies and returns the arrays afterwards, in order."""

    def call(*args):
        def copy(value):
            if isinstance(value, Fixed):
                return value.array.astype(np.float64)
            if isinstance(value, list):
                return [copy(v) for v in value]
            return value.copy() if isinstance(value, np.ndarray) else value

        copies = [copy(a) for a in args]
        f(*copies)
        return tuple(arrays(copies))

    return call


SHAPES = [(n,) for n in (0, 1, 3, 7, 15, 17, 31, 33, 65)] + [(3, 5), ()]


def many(make=normal):
    return [np.asarray(make(*s)) for s in SHAPES]


def positive(*shape):
    return uniform(*shape, low=0.5, high=1.0)


def counters(value):
    return [Host(np.asarray(value, np.float32)) for _ in SHAPES]


def sgd_samples():
    rows = [
        Sample(many(), many(), [], (1,), 0.1, 0.0, 0.0, wd, False, mx)
        for wd in (0.0, 0.1)
        for mx in (False, True)
    ]
    for first in (0, 1):
        for nesterov in (False, True):
            rows.append(
                Sample(many(), many(), many(), (first,), 0.1, 0.9, 0.0, 0.01, nesterov, False)
            )
    return [
        *rows,
        Sample(many(), many(), many(), (0,), 0.1, 0.9, 0.3, 0.0, False, True),
        Sample([], [], [], (1,), 0.1, 0.0, 0.0, 0.0, False, False),
    ]


def adam_samples():
    return [
        Sample(
            many(),
            many(),
            many(),
            many(positive),
            many(positive) if amsgrad else [],
            counters(step),
            0.01,
            0.9,
            0.999,
            1e-8,
            wd,
            decoupled,
            amsgrad,
            maximize,
        )
        for step in (0, 7)
        for amsgrad in (False, True)
        for wd, decoupled, maximize in ((0.0, False, False), (0.1, False, True), (0.1, True, False))
    ]


def rmsprop_samples():
    return [
        Sample(
            many(),
            many(),
            many(lambda *s: 1.5 + positive(*s)),
            many() if momentum else [],
            many(lambda *s: 0.1 * normal(*s)) if centered else [],
            0.01,
            0.9,
            1e-8,
            wd,
            momentum,
            centered,
            maximize,
        )
        for momentum in (0.0, 0.9)
        for centered in (False, True)
        for wd, maximize in ((0.0, False), (0.1, True))
    ]


def grad_norm(grads, p):
    x = np.concatenate([np.reshape(g, -1) for g in grads]) if grads else np.zeros(0)
    if p == math.inf:
        return np.max(np.abs(x), initial=0.0)
    return np.sum(np.abs(x) ** p) ** (1 / p)


WRONG = (ValueError, TypeError, RuntimeError)


def step(name, reference, samples, errors=()):
    return Spec(
        name,
        writing(reference),
        samples,
        dtypes=FLOATS,
        bound=24,
        writes=True,
        layouts=False,
        errors=tuple(errors),
        out="any",
    )


ROWS = [
    step(
        "_sgd_step",
        unless_found(sgd),
        with_found_inf(sgd_samples),
        [
            bad(WRONG, "", [normal(3)], [normal(4)], [], (1,), 0.1, 0.0, 0.0, 0.0, False, False),
            bad(WRONG, "", [normal(3)], [], [], (1,), 0.1, 0.0, 0.0, 0.0, False, False),
            bad(
                WRONG,
                "",
                [normal(3)],
                [integers(0, 3, 3)],
                [],
                (1,),
                0.1,
                0.0,
                0.0,
                0.0,
                False,
                False,
            ),
            bad(WRONG, "", [normal(3)], [normal(3)], [], (1,), 0.1, 0.9, 0.0, 0.0, False, False),
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [normal(2)],
                (1,),
                0.1,
                0.9,
                0.0,
                0.0,
                False,
                False,
            ),
        ],
    ),
    step(
        "_adam_step",
        unless_found(adam),
        with_found_inf(adam_samples),
        [
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [],
                [],
                [],
                [],
                0.1,
                0.9,
                0.999,
                1e-8,
                0.0,
                False,
                False,
                False,
            ),
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [normal(3)],
                [normal(2)],
                [],
                [Host(np.float32(0))],
                0.1,
                0.9,
                0.999,
                1e-8,
                0.0,
                False,
                False,
                False,
            ),
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [normal(3)],
                [normal(3)],
                [],
                [Host(np.float32(0))],
                0.1,
                0.9,
                0.999,
                1e-8,
                0.0,
                False,
                True,
                False,
            ),
        ],
    ),
    step(
        "_rmsprop_step",
        unless_found(rmsprop),
        with_found_inf(rmsprop_samples),
        [
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [normal(4)],
                [],
                [],
                0.1,
                0.9,
                1e-8,
                0.0,
                0.0,
                False,
                False,
            ),
            bad(
                WRONG,
                "",
                [normal(3)],
                [normal(3)],
                [],
                [],
                [],
                0.1,
                0.9,
                1e-8,
                0.0,
                0.0,
                False,
                False,
            ),
        ],
    ),
    Spec(
        "_grad_norm",
        grad_norm,
        lambda: [Sample(many(), p) for p in (2.0, 1.0, math.inf)] + [Sample([normal(3000)], 2.0)],
        dtypes=FLOATS,
        out="any",
        bound=40,
        layouts=False,
        errors=(bad(WRONG, "", [normal(3), None], 2.0), bad(WRONG, "", 3.0, 2.0)),
    ),
    step(
        "_scale_all_",
        scale_all,
        lambda: [
            Sample(many(), 0.5),
            Sample([], 2.0),
            Sample(many(), -3.0),
            Sample(many(), 2.0, number(7.5)),  # clipped
            Sample(many(), 2.0, number(1.5)),  # short enough
        ],
        [
            bad(WRONG, "", [normal(3), None], 2.0),
            bad(WRONG, "", 1, 2.0),
            bad(WRONG, "", [normal(3)], 2.0, normal(2)),
        ],
    ),
    step(
        "_unscale_all_",
        unscale_all,
        lambda: [
            Sample(many(), number(8.0), number(0)),
            Sample(many(), number(0.25), number(1)),
            Sample([], number(8.0), number(0)),
            Sample([normal(4), np.asarray([1, np.inf, 2])], number(8.0), number(0)),
            Sample([normal(4), np.asarray([np.nan])], number(8.0), number(0)),
        ],
        [
            bad(WRONG, "", [normal(3)], Fixed(np.ones(2, np.float32)), number(0)),
            bad(WRONG, "", [normal(3)], number(1.0), number(0, np.int32)),
            bad(WRONG, "", [integers(0, 3, 3)], number(1.0), number(0)),
        ],
    ),
    step(
        "_update_scale_",
        update_scale,
        lambda: [
            Sample(number(1024.0), number(streak, np.int32), number(found), 2.0, 0.5, 3)
            for streak in (0, 2)
            for found in (0, 1)
        ],
        [
            bad(WRONG, "", number(1.0), number(0.0), number(0), 2.0, 0.5, 3),
            bad(
                WRONG,
                "",
                Fixed(np.ones(2, np.float32)),
                number(0, np.int32),
                number(0),
                2.0,
                0.5,
                3,
            ),
        ],
    ),
]
