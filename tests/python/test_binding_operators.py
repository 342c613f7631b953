"""Python's operators, conversions to numbers, and the sequence protocol."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import _C
from native import arange, same, tensor


def test_operators_with_numbers_arrays_and_tensors():
    x, a = arange(3), np.arange(3, dtype=np.float32)
    two = tensor(2.0)
    for other, value in [
        (2, 2),
        (2.0, 2.0),
        (True, True),
        (np.float32(2), 2),
        (np.int64(2), 2),
        (two, 2),
    ]:
        same(x + other, a + value)
        same(other + x, value + a)
        same(x - other, a - value)
        same(other - x, value - a)
        same(x * other, a * value)
        same(other * x, value * a)
        same(x / other, a / value)
        same(x**other, a**value)
        same(x == other, a == value)
        same(other > x, value > a)
    same(x // 2, a // 2)
    same(x % 2, a % 2)
    same(-x, -a)
    same(abs(-x), a)
    assert +x is x
    i, n = tensor([1, 2, 3]), np.array([1, 2, 3])
    same(i & 1, n & 1)
    same(i | 4, n | 4)
    same(i ^ 1, n ^ 1)
    same(i << 1, n << 1)
    same(i >> 1, n >> 1)
    same(~i, ~n)
    same(x @ x, a @ a)


def test_numpy_on_either_side_gives_tensors():
    x, a = arange(3), np.arange(3, dtype=np.float32) + 1
    for result in [
        x + a,
        a + x,
        a * x,
        a - x,
        x - a,
        a / (x + 1),
        a @ x,
        x @ a,
        a > x,
        a == x,
        np.float64(2) * x,
    ]:
        assert isinstance(result, _C.Tensor)
    same(a - x, np.float32([1, 1, 1]))
    same(np.float32(3) - x, np.float32([3, 2, 1]))
    assert isinstance(np.exp(x), np.ndarray)


def test_in_place_operators():
    x = arange(3)
    y = x
    y += 1
    y *= 2
    y -= 1
    y /= 2
    y **= 2
    assert y is x
    same(x, (((np.arange(3, dtype=np.float32) + 1) * 2 - 1) / 2) ** 2)
    m = tensor([True, False])
    m &= tensor([True, True])
    m |= tensor([False, True])
    same(m, [True, True])


def test_foreign_operands_are_refused():
    x = arange(3)
    for other in ["a", None, [1, 2, 3], object(), 1j, {}]:
        with pytest.raises(TypeError):
            x + other
        with pytest.raises(TypeError):
            other * x
        with pytest.raises(TypeError):
            _ = x < other
        assert (x == other) is False and (x != other) is True
    with pytest.raises(ValueError):
        x + 2**70
    with pytest.raises(TypeError):
        pow(x, 2, 3)
    with pytest.raises(TypeError):
        x @ 3


def test_conversions_to_python_numbers():
    assert int(tensor(3.7)) == 3 and float(tensor(3)) == 3.0 and bool(tensor([[0.5]]))
    assert [10, 20][tensor(1)] == 20 and not tensor(0)
    assert (
        tensor(True).item() is True
        and type(tensor(1).item()) is int
        and type(tensor(1.0).item()) is float
    )
    assert f"{tensor(3.14159):.2f}" == "3.14" and f"{tensor(7):03d}" == "007"
    with pytest.raises(TypeError):
        f"{arange(2):.2f}"
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(arange(2))
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(tensor([]))
    for convert in (int, float):
        with pytest.raises(ValueError):
            convert(arange(2))
    with pytest.raises(ValueError):
        int(tensor(float("nan")))
    with pytest.raises(OverflowError):
        int(tensor(float("inf")))
    with pytest.raises(TypeError):
        [1][tensor(0.0)]
    with pytest.raises(RuntimeError, match="shape"):
        arange(2).item()


def test_sequence_protocol():
    x = arange(2, 3)
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    a, b = x
    same(b, np.float32([3, 4, 5]))
    assert 4 in x and 9 not in x and tensor(2.0) in x
    with pytest.raises(TypeError):
        len(tensor(1))
    with pytest.raises(TypeError):
        iter(tensor(1))
    with pytest.raises(TypeError):
        _ = "a" in x
    assert hash(x) == hash(x) and x in {x: 1} and len({x, a, b}) == 3


def test_alpha_is_multiplied_in_the_dtype_of_the_sum():
    third = gs.tensor([0.1])
    exact = 3 * np.float64(np.float32(0.1))
    for y in (
        gs.zeros(1, dtype=gs.float64).add_(third, alpha=3),
        gs.zeros(1, dtype=gs.float64).add(third, alpha=3),
        gs.zeros(1, dtype=gs.float64).sub(third, alpha=-3),
        gs.zeros(1, dtype=gs.float64).sub_(third, alpha=-3),
    ):
        assert y.dtype == gs.float64 and y.item() == exact
    assert gs.tensor([1, 2]).add(gs.tensor([3, 4]), alpha=2).tolist() == [7, 10]
    x = gs.zeros(1, dtype=gs.float64, requires_grad=True)
    third.requires_grad_()
    x.add(third, alpha=3).sum().backward()
    assert third.grad.dtype == gs.float32 and third.grad.item() == 3
