"""Nothing that a Python caller passes may crash the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import _C

TESTS = Path(__file__).resolve().parents[1]


def run_program(path: Path, *args: str, timeout: float = 300) -> subprocess.CompletedProcess:
    where = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {**os.environ, "PYTHONPATH": where, "PYTHONFAULTHANDLER": "1"}
    return subprocess.run(
        [sys.executable, str(path), *args], capture_output=True, text=True, timeout=timeout, env=env
    )


@pytest.mark.parametrize("seed", range(4))
def test_wild_arguments_never_crash(seed):
    """Every exported operation with arguments nobody would pass, in a process of its own."""
    result = run_program(TESTS / "fuzz_operations.py", str(seed), "200")
    last = [line for line in result.stdout.splitlines() if line.startswith("call ")][-1:]
    assert result.returncode == 0, (
        f"the process ended with {result.returncode}; last call: {last}\n{result.stderr[-1500:]}"
    )
    assert "operations tried" in result.stdout


HUGE = (2**31, 2**40, 2**62, 2**63 - 1, -(2**63), 2**63, 2**100)


@pytest.mark.parametrize("size", HUGE)
def test_sizes_that_no_memory_holds(size):
    kinds = (ValueError, MemoryError, OverflowError, RuntimeError)
    for make in (
        lambda: gs.zeros(size, size),
        lambda: gs.empty(3, size, size),
        lambda: (
            gs.ones(1, 2).expand(size, 2).clone() if abs(size) > 2**35 else gs.zeros(size, size)
        ),
        lambda: gs.arange(size, 2 * size) if abs(size) > 2**35 else gs.zeros(size, size),
        lambda: gs.zeros(2).repeat(size, size),
    ):
        with pytest.raises(kinds):
            make()


@pytest.mark.parametrize("size", [-1, -(2**31), -(2**62)])
def test_negative_sizes(size):
    for make in (
        lambda: gs.zeros(size),
        lambda: gs.empty(2, size),
        lambda: gs.zeros(4).expand(2, size - 1),
        lambda: gs.rand(size),
        lambda: gs.eye(size),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            make()


@pytest.mark.parametrize("index", [5, -6, 2**40, 2**63 - 1, -(2**63)])
def test_indices_out_of_range(index):
    x = gs.arange(5).float()
    before = x.tolist()
    with pytest.raises(IndexError):
        x[index]
    with pytest.raises(IndexError):
        x[index] = 1.0
    with pytest.raises(IndexError):
        x[gs.tensor([0, index])]
    with pytest.raises(IndexError):
        x[gs.tensor([0, index])] = 1.0
    with pytest.raises(IndexError):
        x.index_select(0, gs.tensor([index]))
    with pytest.raises(IndexError):
        x.gather(0, gs.tensor([index]))
    with pytest.raises(IndexError):
        x.scatter_(0, gs.tensor([0, index]), gs.ones(2))
    with pytest.raises(IndexError):
        x.scatter_add_(0, gs.tensor([0, index]), gs.ones(2))
    with pytest.raises(IndexError):
        x.index_add_(0, gs.tensor([0, index]), gs.ones(2))
    assert x.tolist() == before, (
        "an index out of range was noticed after something had been written"
    )


@pytest.mark.parametrize("label", [3, -1, -101, 2**40, -(2**63)])
def test_labels_out_of_range(label):
    logits = gs.randn(2, 3, requires_grad=True)
    target = gs.tensor([0, label])
    for loss in (F.cross_entropy, lambda x, t: F.nll_loss(F.log_softmax(x, 1), t)):
        with pytest.raises(IndexError):
            loss(logits, target)
    with pytest.raises(IndexError):
        F.embedding(target, gs.randn(3, 4))
    assert logits.grad is None


def test_all_labels_ignored():
    loss = F.cross_entropy(gs.randn(2, 3), gs.tensor([-100, -100]))
    assert np.isnan(loss.item())  # 0 / 0, as PyTorch has it
    assert F.cross_entropy(gs.randn(2, 3), gs.tensor([-100, -100]), reduction="sum").item() == 0


EMPTY = {
    "sum": lambda: gs.zeros(0).sum().item() == 0,
    "prod": lambda: gs.zeros(0).prod().item() == 1,
    "mean": lambda: np.isnan(gs.zeros(0).mean().item()),
    "matmul": lambda: (gs.zeros(2, 0) @ gs.zeros(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]],
    "linear": lambda: F.linear(gs.zeros(0, 3), gs.zeros(2, 3), gs.zeros(2)).shape == (0, 2),
    "conv2d": lambda: F.conv2d(gs.zeros(0, 2, 4, 4), gs.zeros(3, 2, 3, 3)).shape == (0, 3, 2, 2),
    "cat": lambda: gs.cat([gs.zeros(0, 3), gs.ones(1, 3)]).tolist() == [[1, 1, 1]],
    "sort": lambda: gs.zeros(0).sort()[0].shape == (0,),
    "softmax": lambda: F.softmax(gs.zeros(0, 3), 1).shape == (0, 3),
    "softmax of nothing": lambda: F.softmax(gs.zeros(3, 0), 1).shape == (3, 0),
    "nonzero": lambda: gs.zeros(0, 2).nonzero().shape == (0, 2),
    "embedding": lambda: F.embedding(gs.zeros(0, dtype=gs.int64), gs.zeros(3, 4)).shape == (0, 4),
    "layer_norm": lambda: F.layer_norm(gs.zeros(0, 3), (3,)).shape == (0, 3),
    "dropout": lambda: F.dropout(gs.zeros(0)).shape == (0,),
    "index": lambda: gs.zeros(3)[gs.zeros(0, dtype=gs.int64)].shape == (0,),
    "mask": lambda: gs.zeros(3)[gs.zeros(3, dtype=gs.bool)].shape == (0,),
    "cumsum": lambda: gs.zeros(0).cumsum(0).shape == (0,),
    "attention": lambda: (
        F.scaled_dot_product_attention(
            gs.zeros(1, 0, 4), gs.zeros(1, 3, 4), gs.zeros(1, 3, 4)
        ).shape
        == (1, 0, 4)
    ),
    "randperm": lambda: gs.randperm(0).shape == (0,),
    "all and any": lambda: bool(gs.zeros(0).all()) and not bool(gs.zeros(0).any()),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_tensors(name):
    assert EMPTY[name]()


def test_backward_through_empty_tensors():
    x = gs.zeros(0, 3, requires_grad=True)
    F.linear(x, gs.ones(2, 3)).relu().sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("value", [None, "1", b"1", [], {}, object(), 1j, float, np.zeros(2)])
def test_things_that_are_no_tensors(value):
    x = gs.ones(3)
    for call in (
        lambda: gs.relu(value),
        lambda: gs.matmul(x, value),
        lambda: F.conv2d(value, x),
        lambda: gs.cat([x, value]),
        lambda: _C._index(x, value),
        lambda: x.copy_(value) if not isinstance(value, np.ndarray) else gs.exp(value),
    ):
        with pytest.raises((TypeError, ValueError, IndexError, RuntimeError)):
            call()


@pytest.mark.parametrize("value", [None, "1", [1, "a"], {}, object(), 1.5, 1j, [[1]], float("nan")])
def test_things_that_are_no_sizes(value):
    x = gs.ones(3)
    for call in (
        lambda: gs.zeros(value),
        lambda: x.reshape(value),
        lambda: x.sum(value, True) if value is not None else x.reshape(None),
        lambda: x.expand(value),
        lambda: gs.unsqueeze(x, value),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def test_nan_and_infinity_as_arguments():
    x = gs.randn(3)
    nan, inf = float("nan"), float("inf")
    for call in (
        lambda: F.dropout(x, nan),
        lambda: _C._linspace(nan, 1.0, 3),
        lambda: gs.arange(0, nan),
        lambda: gs.arange(0, inf),
        lambda: _C._bernoulli_(x, nan),
        lambda: gs.arange(0, 1, nan),
        lambda: gs.full((2,), nan, dtype=gs.int32),
    ):
        try:
            call()
        except (ValueError, RuntimeError, OverflowError):
            pass
    assert gs.tensor([nan, inf, -inf, 1e300]).to(gs.int8).shape == (4,)


def test_wrong_dtypes_say_so():
    f32, f64, i64 = gs.ones(2, 2), gs.ones(2, 2, dtype=gs.float64), gs.ones(2, 2, dtype=gs.int64)
    for call in (
        lambda: f32 @ f64,
        lambda: F.linear(f32, f64),
        lambda: F.softmax(i64, 0),
        lambda: F.cross_entropy(f32, gs.ones(2)),
        lambda: F.layer_norm(i64, (2,)),
        lambda: gs.ones(3)[gs.ones(2)],
        lambda: gs.where(f32, f32, f32),
        lambda: F.embedding(f32, f32),
        lambda: f32 & f32,
        lambda: gs.ones(2, dtype=gs.bool) - gs.ones(2, dtype=gs.bool),
        lambda: i64.mean(),
        lambda: i64.requires_grad_(True),
    ):
        with pytest.raises((TypeError, RuntimeError, IndexError, ValueError)) as caught:
            call()
        assert str(caught.value)
    with pytest.raises((TypeError, RuntimeError)):
        i64.add_(0.5)
    assert i64.tolist() == [[1, 1], [1, 1]]


def test_strides_outside_the_storage():
    x = gs.arange(6).float()
    for size, stride, offset in (
        ((7,), (1,), 0),
        ((2,), (6,), 0),
        ((2,), (-1,), 1),
        ((1,), (1,), 6),
        ((1,), (1,), -1),
        ((2**40,), (2**40,), 0),
        ((2, 2), (2**62, 2**62), 0),
        ((2,), (1, 1), 0),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            x.as_strided(size, stride, offset)
    assert x.as_strided((0,), (2**40,), 0).shape == (0,)


def test_numpy_arrays_of_odd_kinds():
    for array in (
        np.array(["a"]),
        np.array([object()]),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, np.complex64),
        np.zeros(2, [("a", "i4")]),
    ):
        with pytest.raises(TypeError):
            gs.tensor(array)
        with pytest.raises(TypeError):
            gs.from_numpy(array)
    swapped = np.arange(3, dtype=">f4")
    try:
        assert gs.tensor(swapped).tolist() == [0, 1, 2]
    except (TypeError, ValueError):
        pass
    assert gs.tensor(np.arange(6)[::-1]).tolist() == [5, 4, 3, 2, 1, 0]
    frozen = np.ones(3, np.float32)
    frozen.flags.writeable = False
    for make in (gs.tensor, gs.as_tensor, gs.from_numpy):
        try:
            make(frozen).add_(1)
        except (TypeError, ValueError, RuntimeError):
            pass  # a copy, or a refusal: either will do
    assert frozen.tolist() == [1, 1, 1]


def test_ragged_and_deep_lists():
    with pytest.raises((ValueError, TypeError)):
        gs.tensor([[1, 2], [3]])
    deep = 1.0
    for _ in range(50):
        deep = [deep]
    with pytest.raises((ValueError, RecursionError, TypeError)):
        gs.tensor(deep)
    looped: list = []
    looped.append(looped)
    with pytest.raises((ValueError, RecursionError, TypeError)):
        gs.tensor(looped)
    with pytest.raises((ValueError, OverflowError, RuntimeError, TypeError)):
        gs.tensor([2**70])


def test_too_many_dimensions():
    with pytest.raises((ValueError, RuntimeError)):
        gs.zeros(*[1] * 100)
    x = gs.zeros(*[1] * 8)
    with pytest.raises((ValueError, RuntimeError)):
        for _ in range(20):
            x = x.unsqueeze(0)


def test_memory_limit_is_a_memory_error():
    before = _C.memory_stats()["in_use"]
    with pytest.raises(MemoryError) as caught:
        gs.zeros(2**44, dtype=gs.float64)
    assert (
        "bytes" in str(caught.value).lower()
        or "GiB" in str(caught.value)
        or "iB" in str(caught.value)
    )
    assert _C.memory_stats()["in_use"] <= before + 4096
    _C.set_memory_limit(_C.memory_stats()["in_use"] + (1 << 20))
    try:
        with pytest.raises(MemoryError):
            gs.ones(1 << 22)
        assert gs.ones(10).sum().item() == 10
    finally:
        _C.set_memory_limit(0)
    assert gs.ones(1 << 22).numel() == 1 << 22


def test_python_containers_are_let_go():
    """A refused call keeps no reference to its arguments."""
    value = object()
    x, before = gs.ones(3), sys.getrefcount(value)
    for _ in range(50):
        for call in (
            lambda: gs.add(x, value),
            lambda: gs.cat([x, value]),
            lambda: x.sum(value),
            lambda: F.softmax(x, dim=value),
        ):
            with pytest.raises(TypeError):
                call()
    assert sys.getrefcount(value) <= before + 1
