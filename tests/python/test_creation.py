"""New tensors, their dtypes, and the sizes that are refused."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs


def test_tensor_takes_what_python_has():
    assert gs.tensor([1, 2]).dtype == gs.int64
    assert gs.tensor([1.0, 2]).dtype == gs.float32
    assert gs.tensor([True]).dtype == gs.bool
    assert gs.tensor(np.zeros(2)).dtype == gs.float64
    assert gs.tensor([1, 2], dtype=gs.float16).dtype == gs.float16
    assert gs.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


def test_tensor_copies_and_as_tensor_does_not():
    a = np.arange(3.0)
    copy, shared = gs.tensor(a), gs.as_tensor(a)
    a[0] = 7
    assert copy[0].item() == 0
    assert shared[0].item() == 7
    t = gs.ones(2)
    assert gs.as_tensor(t) is t
    assert gs.from_numpy(a).data_ptr() == a.ctypes.data


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError):
        gs.tensor([[1, 2], [3]])
    with pytest.raises(TypeError):
        gs.tensor(["a"])
    with pytest.raises(TypeError):
        gs.from_numpy([1, 2])


@pytest.mark.parametrize("make", [gs.zeros, gs.ones, gs.empty, gs.rand, gs.randn])
def test_sizes(make):
    assert make(2, 3).shape == (2, 3)
    assert make((2, 3)).shape == (2, 3)
    assert make([2, 0]).numel() == 0
    assert make().shape == () if make is not gs.empty else True
    with pytest.raises(ValueError, match="negative"):
        make(2, -1)
    with pytest.raises(TypeError):
        make(2.5)
    with pytest.raises((MemoryError, RuntimeError, ValueError)):
        make(2**40, 2**40)


def test_full_infers_its_dtype():
    assert gs.full((2,), 1).dtype == gs.int64
    assert gs.full((2,), 1.0).dtype == gs.float32
    assert gs.full((2,), True).dtype == gs.bool
    assert gs.full((), 2.5).item() == 2.5


def test_arange_forms():
    assert gs.arange(3).tolist() == [0, 1, 2]
    assert gs.arange(1, 4).tolist() == [1, 2, 3]
    assert gs.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert gs.arange(start=1, end=3).tolist() == [1, 2]
    assert gs.arange(end=2).tolist() == [0, 1]
    assert gs.arange(0, 1, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert gs.arange(3.0).dtype == gs.float32
    assert gs.arange(0, 3, dtype=gs.int8).dtype == gs.int8
    with pytest.raises(ValueError, match="nonzero"):
        gs.arange(0, 3, 0)
    with pytest.raises(ValueError, match="away"):
        gs.arange(0, 3, -1)
    with pytest.raises(TypeError):
        gs.arange()


def test_linspace_and_eye():
    np.testing.assert_allclose(gs.linspace(0, 1, 5).numpy(), np.linspace(0, 1, 5))
    assert gs.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError):
        gs.eye(-1)


def test_likes_and_news():
    x = gs.ones(2, 3, dtype=gs.float64)
    for make in (gs.zeros_like, gs.ones_like, gs.empty_like, gs.rand_like, gs.randn_like):
        y = make(x)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
    assert gs.zeros_like(x, dtype=gs.int32).dtype == gs.int32
    assert gs.full_like(x, 3)[0, 0].item() == 3
    assert x.new_zeros(4).dtype == gs.float64
    assert x.new_tensor([1]).dtype == gs.float64
    assert x.new_full((2,), 5).tolist() == [5, 5]
    assert x.new_ones((1, 2)).shape == (1, 2)


def test_random_numbers_follow_the_seed():
    gs.manual_seed(3)
    a, b = gs.rand(5), gs.rand(5)
    gs.manual_seed(3)
    assert gs.equal(a, gs.rand(5))
    assert not gs.equal(a, b)
    g = gs.Generator().manual_seed(9)
    first = gs.randn(4, generator=g)
    second = gs.randn(4, generator=g)
    g.manual_seed(9)
    assert gs.equal(first, gs.randn(4, generator=g))
    assert not gs.equal(first, second)


def test_rng_state_and_fork():
    gs.manual_seed(1)
    assert gs.initial_seed() == 1
    gs.rand(3)
    state = gs.get_rng_state()
    a = gs.rand(3)
    gs.set_rng_state(state)
    assert gs.equal(a, gs.rand(3))
    gs.set_rng_state(state)
    with gs.random.fork_rng():
        gs.rand(100)
    assert gs.equal(a, gs.rand(3))


def test_distributions():
    gs.manual_seed(0)
    n = 20_000
    assert abs(gs.rand(n).mean().item() - 0.5) < 0.01
    x = gs.normal(2.0, 3.0, (n,))
    assert abs(x.mean().item() - 2) < 0.1
    assert abs(x.std().item() - 3) < 0.1
    i = gs.randint(-2, 3, (n,))
    assert i.dtype == gs.int64
    assert set(i.tolist()) == {-2, -1, 0, 1, 2}
    assert sorted(gs.randperm(50).tolist()) == list(range(50))
    assert abs(gs.bernoulli(gs.full((n,), 0.3)).mean().item() - 0.3) < 0.02
    assert gs.empty(n).uniform_(2, 3).min().item() >= 2
    assert set(gs.empty(n).bernoulli_(0.5).tolist()) == {0.0, 1.0}
    drawn = gs.multinomial(gs.tensor([0.0, 1.0, 0.0, 3.0]), 2)
    assert sorted(drawn.tolist()) == [1, 3]
    assert gs.normal(gs.zeros(3), gs.ones(3)).shape == (3,)


def test_random_arguments_are_checked():
    with pytest.raises(ValueError, match="low < high"):
        gs.randint(3, 3, (2,))
    with pytest.raises(TypeError):
        gs.randint(3)
    with pytest.raises(ValueError, match="std"):
        gs.normal(0.0, -1.0, (2,))
    with pytest.raises(ValueError):
        gs.bernoulli(gs.tensor([2.0]))
    with pytest.raises(ValueError):
        gs.empty(2).bernoulli_(1.5)
    with pytest.raises(ValueError):
        gs.empty(2).uniform_(1, 0)
    with pytest.raises(TypeError):
        gs.rand(2, generator=3)


def test_to_has_all_forms():
    x = gs.ones(2)
    assert x.to(gs.float32) is x
    assert x.to("cpu") is x
    assert x.to(gs.float32, copy=True) is not x
    assert x.to(gs.float64).dtype == gs.float64
    assert x.to("cpu", gs.int32).dtype == gs.int32
    assert x.to(device="cpu", dtype=gs.int8).dtype == gs.int8
    assert x.to(gs.zeros(1, dtype=gs.float16)).dtype == gs.float16
    assert x.to(gs.device("cpu"), non_blocking=True) is x
    with pytest.raises(TypeError):
        x.to(3.5)
    for name, dtype in [
        ("float", gs.float32),
        ("double", gs.float64),
        ("half", gs.float16),
        ("bfloat16", gs.bfloat16),
        ("long", gs.int64),
        ("int", gs.int32),
        ("short", gs.int16),
        ("char", gs.int8),
        ("byte", gs.uint8),
        ("bool", gs.bool),
    ]:
        assert getattr(x, name)().dtype == dtype
    assert x.type_as(gs.zeros(1, dtype=gs.int64)).dtype == gs.int64
    assert not gs.cuda.is_available()


def test_max_and_min_have_three_forms():
    x = gs.tensor([[1.0, 5.0], [4.0, 3.0]])
    assert gs.max(x).item() == 5
    values, indices = gs.max(x, 1)
    assert values.tolist() == [5, 4]
    assert indices.tolist() == [1, 0]
    assert x.min(dim=0).values.tolist() == [1, 3]
    assert x.max(1, keepdim=True).values.shape == (2, 1)
    assert gs.max(x, gs.full((2, 2), 3.5)).tolist() == [[3.5, 5], [4, 3.5]]
    with pytest.raises(ValueError):
        gs.max(gs.zeros(0))


def test_var_and_std_have_pytorchs_forms():
    a = np.random.default_rng(0).standard_normal((4, 5))
    x = gs.tensor(a)
    np.testing.assert_allclose(x.var().item(), a.var(ddof=1))
    np.testing.assert_allclose(x.var(unbiased=False).item(), a.var())
    np.testing.assert_allclose(x.std(1).numpy(), a.std(1, ddof=1))
    np.testing.assert_allclose(x.std(0, False).numpy(), a.std(0))
    np.testing.assert_allclose(x.var(dim=1, correction=2).numpy(), a.var(1, ddof=2))
    with pytest.raises(TypeError):
        x.var(0, True, correction=1)


def test_where_split_and_others():
    x = gs.tensor([3.0, -1.0, 2.0])
    assert gs.where(x > 0, x, 0.0).tolist() == [3, 0, 2]
    assert gs.where(x > 0)[0].tolist() == [0, 2]
    assert gs.nonzero(x > 0).tolist() == [[0], [2]]
    assert [t.tolist() for t in gs.arange(5).split(2)] == [[0, 1], [2, 3], [4]]
    assert [t.tolist() for t in gs.split(gs.arange(5), [1, 4])] == [[0], [1, 2, 3, 4]]
    with pytest.raises(ValueError):
        gs.arange(5).split(0)
    assert gs.median(gs.tensor([3, 1, 2, 4])).item() == 2
    assert gs.median(gs.tensor([[3, 1, 2], [6, 5, 4]]), 1).values.tolist() == [2, 5]
    assert gs.allclose(gs.tensor([1.0]), gs.tensor([1.0 + 1e-9]))
    assert not gs.allclose(gs.tensor([1.0]), gs.tensor([1.1]))
    assert gs.equal(gs.ones(2), gs.ones(2))
    assert not gs.equal(gs.ones(2), gs.ones(3))
    inf, nan = float("inf"), float("nan")
    assert gs.nan_to_num(gs.tensor([nan, inf]), nan=1.0, posinf=2.0).tolist() == [1, 2]
    assert gs.isclose(gs.tensor([inf, nan]), gs.tensor([inf, nan])).tolist() == [True, False]
    assert gs.diag(gs.tensor([1, 2])).tolist() == [[1, 0], [0, 2]]
    assert gs.bincount(gs.tensor([0, 2, 2])).tolist() == [1, 0, 2]
    assert [t.tolist() for t in gs.meshgrid(gs.arange(2), gs.arange(2))] == [
        [[0, 0], [1, 1]],
        [[0, 1], [0, 1]],
    ]
    assert gs.vstack([gs.arange(2), gs.arange(2)]).shape == (2, 2)
    assert gs.hstack([gs.arange(2), gs.arange(3)]).shape == (5,)
    mask = gs.tensor([True, False, True])
    assert x.masked_scatter(mask, gs.tensor([8.0, 9.0])).tolist() == [8, -1, 9]
    assert gs.einsum("ij,jk->ik", gs.ones(2, 3), gs.ones(3, 2)).tolist() == [[3, 3], [3, 3]]
    values, counts = gs.unique(gs.tensor([3, 1, 3]), return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 3], [1, 2])


def test_config():
    before = gs.get_num_threads()
    gs.set_num_threads(1)
    assert gs.get_num_threads() == 1
    gs.set_num_threads(before)
    for bad in (0, -1):
        with pytest.raises(ValueError):
            gs.set_num_threads(bad)
    with pytest.raises(TypeError):
        gs.set_num_threads(1.5)
    assert f"gradstone {gs.__version__}" in gs.show_config()
