"""Random operations: what their numbers look like. test_determinism.py shows that seeds repeat."""

from __future__ import annotations

import numpy as np

from op_specs.spec import FLOATS, INTEGERS, SIZES, Sample, Spec, bad, normal

SEED = {"seed": 42, "offset": 3}


def numbers(result):
    import gradstone as gs

    return result.to(gs.float64).numpy().reshape(-1)


def spread(samples_mean, samples_std, low=None, high=None):
    """Mean and deviation within five standard errors, and the range."""

    def check(result, args, kwargs):
        x = numbers(result)
        if x.size == 0:
            return
        mean, std = samples_mean(*args[1:]), samples_std(*args[1:])
        # 16-bit types round values near the upper end up to it.
        if low is not None:
            assert x.min() >= low(*args[1:])
        if high is not None:
            assert x.max() <= high(*args[1:])
        if x.size >= 1000:
            assert abs(x.mean() - mean) <= 6 * std / np.sqrt(x.size) + 0.01 * std, (x.mean(), mean)
            assert abs(x.std() - std) <= 0.06 * std + 1e-12, (x.std(), std)
            if std:
                assert len(np.unique(x)) > 1

    return check


def filled(*args):
    return [Sample(normal(n), *args, **SEED) for n in (*SIZES, 5003)] + [
        Sample(normal(3, 5), *args, **SEED)
    ]


def is_permutation(result, args, kwargs):
    x = result.numpy()
    assert np.array_equal(np.sort(x), np.arange(args[0]))
    if len(x) > 50:
        assert not np.array_equal(x, np.arange(args[0]))


def drawn(result, args, kwargs):
    weights, count = args[0], args[1]
    w = np.asarray(weights)
    x = result.numpy()
    assert x.dtype == np.int64 and x.shape == (*w.shape[:-1], count)
    for row, line in zip(np.atleast_2d(x), np.atleast_2d(w)):
        assert (line[row] > 0).all(), "a position of weight 0 was drawn"
        if not (len(args) > 2 and args[2]):
            assert len(np.unique(row)) == count
        elif count >= 1000:
            frequency = np.bincount(row, minlength=len(line)) / count
            assert np.abs(frequency - line / line.sum()).max() < 0.06


def each_of_its_own(result, args, kwargs):
    """Element i is the first number of its stream."""
    import gradstone as gs

    low, high, seed, offset, step = args[1:]
    for i, value in enumerate(result.tolist()):
        if result.dtype == gs.float32:
            one = gs._C._uniform_(gs.zeros(1), 0.0, 1.0, seed, offset + i * step)
        else:
            one = gs.zeros(1, dtype=gs.int64)
            gs._C._random_integers_(one, low, high, seed, offset + i * step)
        assert value == one.item()


def fill(name, samples, check, errors=(), dtypes=FLOATS):
    return Spec(
        name,
        None,
        samples,
        dtypes=dtypes,
        out="any",
        inplace=True,
        check=check,
        errors=tuple(errors),
        layouts=False,
    )


ROWS = [
    fill(
        "_uniform_",
        lambda: [*filled(0.0, 1.0), *filled(-3.0, 5.0)],
        spread(
            lambda a, b: (a + b) / 2, lambda a, b: (b - a) / 12**0.5, lambda a, b: a, lambda a, b: b
        ),
        [
            bad((ValueError, RuntimeError), "", normal(3), 1.0, 0.0),
            bad((ValueError, RuntimeError), "", normal(3), float("nan"), 1.0),
            bad(TypeError, "", np.arange(3), 0.0, 1.0),
        ],
    ),
    fill(
        "_normal_",
        lambda: [*filled(0.0, 1.0), *filled(-3.0, 0.5)],
        spread(lambda m, s: m, lambda m, s: s),
        [
            bad((ValueError, RuntimeError), "", normal(3), 0.0, -1.0),
            bad(TypeError, "", np.arange(3), 0.0, 1.0),
        ],
    ),
    fill(
        "_bernoulli_",
        lambda: [*filled(0.3), *filled(0.0), *filled(1.0)],
        spread(lambda p: p, lambda p: (p * (1 - p)) ** 0.5, lambda p: 0, lambda p: 1),
        [
            bad((ValueError, RuntimeError), "", normal(3), 1.5),
            bad((ValueError, RuntimeError), "", normal(3), -0.1),
            bad((ValueError, RuntimeError), "", normal(3), float("nan")),
        ],
    ),
    fill(
        "_random_integers_",
        lambda: [*filled(-3, 12), *filled(5, 6)],
        spread(
            lambda a, b: (a + b - 1) / 2,
            lambda a, b: (((b - a) ** 2 - 1) / 12) ** 0.5,
            lambda a, b: a,
            lambda a, b: b - 1,
        ),
        [
            bad((ValueError, RuntimeError), "", np.arange(3), 5, 5),
            bad((ValueError, RuntimeError), "", np.arange(3), 5, 4),
        ],
        (*FLOATS, *INTEGERS[:4]),
    ),
    Spec(
        "_randperm",
        None,
        lambda: [Sample(n, **SEED) for n in (*SIZES, 1000)],
        dtypes=("float32",),
        out="any",
        check=is_permutation,
        errors=(
            bad((ValueError, RuntimeError), "", -1),
            bad((ValueError, RuntimeError, MemoryError), "", 2**60),
        ),
    ),
    Spec(
        "_multinomial",
        None,
        lambda: [
            Sample(np.array([0.1, 0.0, 0.6, 0.3]), 3, **SEED),
            Sample(np.array([0.1, 0.0, 0.6, 0.3]), 2000, True, **SEED),
            Sample(np.ones((2, 7)), 7, False, **SEED),
            Sample(np.ones(65), 33, **SEED),
            Sample(np.array([1.0]), 1, **SEED),
        ],
        dtypes=("float64", "float32"),
        out="any",
        check=drawn,
        layouts=False,
        errors=(
            bad((ValueError, RuntimeError), "", np.array([0.5, 0.5]), 3),
            bad((ValueError, RuntimeError), "", np.array([0.5, -0.5]), 1),
            bad((ValueError, RuntimeError), "", np.zeros(3), 1),
            bad((ValueError, RuntimeError), "", np.array([np.nan, 1.0]), 1),
            bad((ValueError, RuntimeError), "", np.ones(3), 0),
            bad((ValueError, RuntimeError), "", np.ones(3), -1),
            bad((ValueError, RuntimeError, MemoryError), "", np.ones(3), 2**60, True),
        ),
    ),
    fill(
        "_random_each_",
        lambda: [Sample(np.zeros(n), -3, 12, 42, 3, 7) for n in SIZES],
        each_of_its_own,
        [
            bad(ValueError, "low < high", np.arange(3), 5, 5, 1, 0, 1),
            bad(ValueError, "offset and step", np.arange(3), 0, 5, 1, -1, 1),
            bad(ValueError, "vector", np.zeros((2, 2)), 0, 5, 1, 0, 1),
            bad(TypeError, "float32 or int64", np.zeros(3), 0, 5, 1, 0, 1, dtype="float64"),
        ],
        ("float32", "int64"),
    ),
]
