"""Functions composed of operations, against NumPy's of the same name, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone.autograd import gradcheck

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
INSIDE = RNG.uniform(-0.9, 0.9, 12)
CUBE = RNG.normal(size=(2, 3, 4))


def embed(x):
    made = np.zeros((2, 5, 5))
    for i in range(4):
        made[:, i, i + 1] = x[:2, i]
    return made


def distances(p):
    return lambda x, y: np.linalg.norm(x[:, None] - y[None], p, -1)


# name: the function, NumPy's, the inputs.
CASES = {
    "asin": (gs.asin, np.arcsin, INSIDE),
    "acos": (gs.acos, np.arccos, INSIDE),
    "atanh": (gs.atanh, np.arctanh, INSIDE),
    "log10": (gs.log10, np.log10, np.exp(A)),
    "exp2": (gs.exp2, np.exp2, A),
    "positive": (gs.positive, np.positive, A),
    "fmax": (gs.fmax, np.fmax, A, B),
    "fmin": (gs.fmin, np.fmin, A, B),
    "frac": (gs.frac, lambda x: np.modf(x)[0], 5 * A),
    "logit": (gs.logit, lambda x: np.log(x / (1 - x)), np.abs(INSIDE) + 0.01),
    "deg2rad": (gs.deg2rad, np.deg2rad, 50 * A),
    "rad2deg": (gs.rad2deg, np.rad2deg, A),
    "hypot": (gs.hypot, np.hypot, A, B),
    "logaddexp": (gs.logaddexp, np.logaddexp, A, B[0]),
    "xlogy": (gs.xlogy, lambda x, y: x * np.log(y), A, np.exp(B)),
    "tile": (lambda x: x.tile(2, 1, 3), lambda x: np.tile(x, (2, 1, 3)), A),
    "tile, one": (lambda x: gs.tile(x, (2,)), lambda x: np.tile(x, (2,)), A),
    "fliplr": (gs.fliplr, np.fliplr, A),
    "flipud": (gs.flipud, np.flipud, A),
    **{
        f"rot90 {k}": (lambda x, k=k: gs.rot90(x, k), lambda x, k=k: np.rot90(x, k), A)
        for k in range(-1, 4)
    },
    "rot90, other axes": (
        lambda x: gs.rot90(x, 1, (2, 0)), lambda x: np.rot90(x, 1, (2, 0)), CUBE
    ),
    "column_stack": (
        lambda x, y: gs.column_stack((x, y)), lambda x, y: np.column_stack((x, y)), A[:, 0], B
    ),
    "dstack": (lambda x, y: gs.dstack((x, y)), lambda x, y: np.dstack((x, y)), A, B),
    "diff": (gs.diff, np.diff, A),
    "diff, twice": (lambda x: gs.diff(x, 2, 0), lambda x: np.diff(x, 2, 0), A),
    "diff, joined": (
        lambda x, y: gs.diff(x, prepend=y), lambda x, y: np.diff(x, prepend=y), A, B[:, :1]
    ),
    **{
        f"diag_embed {k}": (
            lambda x, k=k: gs.diag_embed(x[0], k), lambda x, k=k: np.diag(x[0], k), A
        )
        for k in (-1, 0, 2)
    },
    "diag_embed": (lambda x: gs.diag_embed(x[:2], 1), embed, A),
    "inner": (gs.inner, np.inner, A, B),
    "addmv": (
        lambda x, y: gs.addmv(x[:, 0], x, y[0], beta=2, alpha=3),
        lambda x, y: 2 * x[:, 0] + 3 * x @ y[0],
        A, B,
    ),
    "vdot": (gs.vdot, np.vdot, A[0], B[0]),
    "tensordot": (gs.tensordot, np.tensordot, CUBE, RNG.normal(size=(3, 4, 2))),
    "tensordot, listed": (
        lambda x, y: gs.tensordot(x, y, ([0, 2], [2, 1])),
        lambda x, y: np.tensordot(x, y, ([0, 2], [2, 1])),
        CUBE, RNG.normal(size=(3, 4, 2)),
    ),
    "tensordot, none": (
        lambda x, y: gs.tensordot(x, y, 0), lambda x, y: np.tensordot(x, y, 0), A, B[0]
    ),
    "kron": (gs.kron, np.kron, A, CUBE[0, :2]),
    "kron of a vector": (gs.kron, np.kron, A[0], B),
    "trace": (gs.trace, np.trace, A),
    "dist": (gs.dist, lambda x, y: np.linalg.norm(x - y), A, B),
    **{
        f"cdist {p}": (lambda x, y, p=p: gs.cdist(x, y, p), distances(p), A, B[:2])
        for p in (1.0, 2.0, 3.0, math.inf)
    },
    "cov": (gs.cov, np.cov, A),
    "cov of a vector": (gs.cov, np.cov, A[0]),
    "cov, biased": (lambda x: gs.cov(x, correction=0), lambda x: np.cov(x, bias=True), A),
    "corrcoef": (gs.corrcoef, np.corrcoef, A),
    **{
        f"quantile {kind}": (
            lambda x, kind=kind: gs.quantile(
                x, gs.tensor([0.1, 0.6, 1.0], dtype=gs.float64), 1, interpolation=kind
            ),
            lambda x, kind=kind: np.quantile(x, [0.1, 0.6, 1.0], axis=1, method=kind),
            A,
        )
        for kind in ("linear", "lower", "higher", "midpoint", "nearest")
    },
    "quantile of all": (lambda x: gs.quantile(x, 0.3), lambda x: np.quantile(x, 0.3), A),
    "quantile, kept": (
        lambda x: gs.quantile(x, 0.3, 0, True), lambda x: np.quantile(x, 0.3, 0, keepdims=True), A
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys_and_gradients_those_of_differences(name):
    function, reference, *arrays = CASES[name]
    inputs = [gs.tensor(array, requires_grad=True) for array in arrays]
    np.testing.assert_allclose(
        function(*inputs).detach().numpy(), reference(*arrays), rtol=1e-12, atol=1e-14
    )
    if name != "corrcoef":  # it is cut at 1, on its diagonal
        assert gradcheck(function, tuple(inputs))


@pytest.mark.parametrize(
    "name", "asin acos atanh log10 exp2 frac logit deg2rad rad2deg hypot logaddexp xlogy".split()
)
def test_float32_is_rounded_once(name):
    function, reference, *arrays = CASES[name]
    single = [np.float32(array) for array in arrays]
    got = function(*(gs.tensor(array) for array in single)).numpy()
    assert got.dtype == np.float32
    wanted = reference(*(array.astype(np.float64) for array in single))
    np.testing.assert_allclose(got, wanted, rtol=5e-7)


@pytest.mark.parametrize("name", "asin acos atanh log10 exp2 frac logit deg2rad rad2deg".split())
def test_in_place(name):
    function, reference, array = CASES[name]
    x = gs.tensor(array)
    assert getattr(x, f"{name}_")() is x
    np.testing.assert_allclose(x.numpy(), reference(array), rtol=1e-12, atol=1e-14)


def test_integers_do_not_wrap_round():
    assert gs.isnan(gs.logit(gs.tensor([3], dtype=gs.uint8))).item()
    assert gs.exp2(gs.tensor([3])).tolist() == [8.0]
    assert gs.log10(gs.tensor([1000])).item() == pytest.approx(3, abs=1e-6)


def test_infinities_and_nan():
    inf, nan = math.inf, math.nan
    x, y = gs.tensor([inf, -inf, -inf, 1.0]), gs.tensor([inf, -inf, 1.0, -inf])
    assert gs.logaddexp(x, y).tolist() == [inf, -inf, 1.0, 1.0]
    x = gs.tensor([0.0, 0.0], requires_grad=True)
    gs.xlogy(x, gs.tensor([math.e, 0.0])).sum().backward()
    assert x.grad.tolist() == [pytest.approx(1.0), 0.0]
    zero = gs.xlogy(gs.tensor([0.0, 0.0, 0.0]), gs.tensor([0.0, inf, nan]))
    assert zero[:2].tolist() == [0, 0] and gs.isnan(zero[2])
    assert gs.fmax(gs.tensor([nan, 1.0]), gs.tensor([2.0, nan])).tolist() == [2, 1]
    assert gs.isnan(gs.asin(gs.tensor([1.5])))


def test_values_at_the_edges():
    inf, nan = math.inf, math.nan
    assert gs.asin(gs.tensor([2.0, 1.0])).tolist()[1] == pytest.approx(math.pi / 2)
    assert math.isnan(gs.acos(gs.tensor([2.0])).item())
    assert gs.asin(gs.tensor([0, 1])).dtype == gs.float32
    wide = gs.tensor([1e300, 0.0, inf, 3.0], dtype=gs.float64)
    other = gs.tensor([1e300, 0.0, 1.0, -inf], dtype=gs.float64)
    nans = gs.tensor([nan, inf])
    assert gs.hypot(nans, nans.flip(0)).tolist() == [inf, inf]
    assert gs.hypot(wide, other).tolist() == [pytest.approx(math.sqrt(2) * 1e300), 0.0, inf, inf]
    got = gs.xlogy(gs.tensor([0.0, 0.0, 2.0]), gs.tensor([0.0, nan, 0.0])).tolist()
    assert got[0] == 0
    assert math.isnan(got[1])
    assert got[2] == -inf
    step = gs.heaviside(gs.tensor([-1.0, 0.0, 2.0]), gs.tensor(0.5))
    assert step.tolist() == [0.0, 0.5, 1.0]
    assert gs.logit(gs.tensor([0.0, 1.0]), eps=0.5).tolist() == [0.0, 0.0]


def test_sums_without_nan():
    x = A.copy()
    x[0, 1], x[2] = math.nan, math.nan
    t = gs.tensor(x, requires_grad=True)
    assert gs.nansum(t).item() == pytest.approx(np.nansum(x))
    np.testing.assert_allclose(gs.nansum(t, 0, True).detach().numpy(), np.nansum(x, 0)[None])
    means = gs.nanmean(t, 1).tolist()
    assert means[:2] == pytest.approx(np.nanmean(x[:2], 1))
    assert math.isnan(means[2])
    gs.nansum(t).backward()
    np.testing.assert_array_equal(t.grad.numpy(), (~np.isnan(x)).astype(float))
    assert math.isnan(gs.quantile(t, 0.5).item())


def test_smallest_and_largest():
    pair = gs.tensor(A).aminmax(dim=1, keepdim=True)
    assert (pair.min.shape, pair.max.shape) == ((3, 1), (3, 1))
    assert gs.aminmax(gs.tensor(A)).max.item() == A.max()


def test_at_least_so_many_dimensions():
    for n, at_least in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), 1):
        f = getattr(gs, f"atleast_{n}d")
        for value in (A[0, 0], A[0], A, CUBE):
            np.testing.assert_array_equal(f(gs.tensor(value)).numpy(), at_least(value))
        assert [t.dim() for t in f(gs.ones(1), gs.ones(()))] == [n, n]
        assert [t.dim() for t in f((gs.ones(1), gs.ones(2, 2)))] == [n, max(n, 2)]


@pytest.mark.parametrize("parts", [1, 3, [1, 3], [-1], [2, 9]])
def test_split_where_it_does_not_divide(parts):
    for given in (parts, gs.tensor(parts)):
        got = gs.tensor(A).tensor_split(given, 1)
        for mine, theirs in zip(got, np.array_split(A, parts, 1), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs)


def test_blocks_and_products_of_choices():
    blocks = gs.block_diag(gs.ones(2, 3), gs.tensor([2.0, 3.0]), gs.tensor(4.0))
    assert blocks.tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 2, 3, 0],
        [0, 0, 0, 0, 0, 4],
    ]
    choices = gs.cartesian_prod(gs.tensor([1, 2]), gs.tensor([3, 4]))
    assert choices.tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]


@pytest.mark.parametrize("right", [False, True])
def test_places_in_an_order(right):
    side = "right" if right else "left"
    line = np.sort(np.round(A.reshape(-1), 1))
    values = np.concatenate([line[3:6], B[0]])
    wanted = np.searchsorted(line, values, side)
    got = gs.searchsorted(gs.tensor(line), gs.tensor(values), right=right)
    assert (got.dtype, got.tolist()) == (gs.int64, wanted.tolist())
    got = gs.bucketize(gs.tensor(values), gs.tensor(line), right=right, out_int32=True)
    assert (got.dtype, got.tolist()) == (gs.int32, wanted.tolist())
    many = gs.searchsorted(gs.tensor(np.sort(A, 1)), gs.tensor(B), side=side)
    rows = zip(np.sort(A, 1), B)
    assert many.tolist() == [np.searchsorted(row, at, side).tolist() for row, at in rows]
    place = gs.searchsorted(gs.tensor([1.0, 2.0]), 1.0, right=right)
    assert (place.shape, place.item()) == ((), int(right))


def test_counts_and_triangles():
    wanted = np.histogram(A, 4, (-1, 1))[0]
    assert gs.histc(gs.tensor(A), 4, min=-1, max=1).tolist() == wanted.tolist()
    assert gs.histc(gs.tensor(A), 5).tolist() == np.histogram(A, 5)[0].tolist()
    assert gs.histc(gs.ones(3), 4).tolist() == [0, 0, 3, 0]
    for name in ("tril_indices", "triu_indices"):
        for offset in (-1, 0, 1, 2):
            wanted = np.stack(getattr(np, name)(3, offset, 4))
            assert getattr(gs, name)(3, 4, offset).tolist() == wanted.tolist()
    assert gs.logspace(0, 3, 4, base=2).tolist() == [1, 2, 4, 8]


def test_order():
    a = gs.tensor(A)
    for keep in (False, True):
        value, place = gs.kthvalue(a, 2, 1, keep)
        np.testing.assert_array_equal(value.reshape(3).numpy(), np.sort(A, 1)[:, 1])
        np.testing.assert_array_equal(place.reshape(3).numpy(), np.argsort(A, 1)[:, 1])
        assert value.dim() == 1 + keep
    assert gs.isin(gs.tensor([1, 2, 3]), gs.tensor([3, 1])).tolist() == [True, False, True]
    assert gs.isin(gs.tensor([1, 2]), 2, invert=True).tolist() == [True, False]
    assert gs.take(a, gs.tensor([-1, 0])).tolist() == [A[-1, -1], A[0, 0]]
    assert gs.quantile(gs.tensor(2.0), 0.5, 0, True).tolist() == 2.0
    nans = gs.tensor([1.0, math.nan])
    for edges in (gs.tensor([1.0, 3.0, 5.0]), gs.tensor([[1.0, 3.0, 5.0]])):
        at = nans if edges.dim() == 1 else nans[None]
        assert gs.searchsorted(edges, at).reshape(2).tolist() == [0, 3]
    assert gs.bucketize(nans.bfloat16(), gs.ones(3).bfloat16()).tolist() == [0, 3]
    assert gs.searchsorted(gs.tensor([1, 3]), 2.5).item() == 1
    assert gs.searchsorted(gs.tensor([0.1, 0.3], dtype=gs.float64), 0.1).item() == 0


def test_what_an_operation_would_give():
    assert gs.broadcast_shapes((2, 1), (3,)) == (2, 3)
    with pytest.raises(ValueError, match=r"\[broadcast_shapes\]"):
        gs.broadcast_shapes((2,), (3,))
    whole, half = gs.ones(2, dtype=gs.int64), gs.ones((), dtype=gs.float16)
    assert gs.result_type(whole, half) == gs.float16
    assert gs.result_type(whole, 1.5) == gs.float32
    assert gs.result_type(gs.ones(3), gs.ones(2, dtype=gs.float64)) == gs.float64


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: gs.take(gs.ones(2), gs.tensor([True, False])), "an integer tensor as index"),
        (lambda: gs.tensordot(gs.ones(2), gs.ones(2), 2), "dims from 0 to 1, got 2"),
        (lambda: gs.tensordot(gs.ones(2), gs.ones(2), ([1], [0])), "a dimension from -1 to 0"),
        (lambda: gs.rot90(gs.ones(2, 2), 1, (0, 3)), "a dimension from -2 to 1, got 3"),
        (lambda: gs.diff(gs.ones(2), -1), "n to be at least 0"),
        (lambda: gs.kthvalue(gs.ones(2), 3), "k from 1 to 2"),
        (lambda: gs.bucketize(gs.ones(2), gs.ones(2, 2)), "a vector of boundaries"),
        (lambda: gs.histc(gs.tensor([math.nan])), "a finite range"),
        (lambda: gs.cdist(gs.ones(1, 2), gs.ones(1, 2), -1), "p of 0 or more"),
        (lambda: gs.block_diag(gs.ones(1, 1, 1)), "expected matrices"),
        (lambda: gs.cartesian_prod(gs.ones(1), gs.ones(1, 1)), "expected vectors"),
        (lambda: gs.fliplr(gs.ones(3)), r"\[fliplr\] expected two dimensions"),
        (lambda: gs.rot90(gs.ones(2, 2), 1, (0, 0)), "two different dimensions"),
        (lambda: gs.trace(gs.ones(3)), r"a matrix, got shape \(3,\)"),
        (lambda: gs.tensordot(gs.ones(2, 3), gs.ones(4, 5), 1), r"over \[1\] and \(4, 5\)"),
        (lambda: gs.cdist(gs.ones(3, 4), gs.ones(5, 3)), r"got \(3, 4\) and \(5, 3\)"),
        (lambda: gs.quantile(gs.ones(3), 2.0), "q from 0 to 1"),
        (lambda: gs.quantile(gs.ones(3), 0.5, interpolation="mid"), "got 'mid'"),
        (lambda: gs.quantile(gs.ones(0), 0.5), "something to take"),
        (
            lambda: gs.searchsorted(gs.ones(2, 5), gs.ones(3, 3)),
            r"of shape \(\.\.\., m\), got \(2, 5\)",
        ),
        (lambda: gs.searchsorted(gs.ones(2), gs.ones(3), side="up"), "got 'up'"),
        (lambda: gs.histc(gs.ones(2), 0), "bins > 0"),
        (lambda: gs.cov(gs.ones(2, 2, 2)), "two dimensions at most"),
    ],
)
def test_what_cannot_be_is_refused(wrong, text):
    with pytest.raises((ValueError, TypeError, IndexError), match=text):
        wrong()
