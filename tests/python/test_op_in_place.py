"""Methods that write into the tensor, and functions that write by index."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone.autograd import gradcheck

RNG = np.random.default_rng(0)
A = RNG.uniform(0.1, 0.9, (3, 4))


@pytest.mark.parametrize("name", ["cos_", "floor_", "reciprocal_", "square_", "log1p_", "tril_"])
def test_in_place_through_a_view(name):
    def f(x):
        y = x * 1
        getattr(y[1:], name)()
        return y * y

    assert gradcheck(f, (gs.tensor(A, requires_grad=True),))


def test_in_place_refuses_what_it_cannot_hold():
    x = gs.tensor([1, 2])
    with pytest.raises(TypeError, match=r"\[cos_\] a result of dtype float32"):
        x.cos_()
    with pytest.raises(ValueError, match=r"\[fmod_\] expected a result of shape \(2,\)"):
        x.fmod_(gs.tensor([[2], [3]]))
    with pytest.raises(RuntimeError, match="leaf"):
        gs.ones(2, requires_grad=True).cos_()
    assert x.tolist() == [1, 2]


def test_shapes_in_place():
    x = gs.arange(6).reshape(2, 3).clone()
    assert x.unsqueeze_(0).shape == (1, 2, 3) and x.squeeze_().t_().tolist()[0] == [0, 3]
    with pytest.raises(RuntimeError, match=r"use x = x.unsqueeze"):
        x[:1].unsqueeze_(0)


def test_written_by_index():
    x = gs.zeros(4)
    at = gs.tensor([1, 1, 3])
    assert x.index_put((at,), gs.ones(3), accumulate=True).tolist() == [0, 2, 0, 1]
    assert x.index_fill(0, at, 5.0).tolist() == [0, 5, 0, 5] and not x.any()
    assert gs.zeros(2, 3).fill_diagonal_(1.0).tolist() == [[1, 0, 0], [0, 1, 0]]
    mask = gs.tensor([True, False, True, False])
    assert x.masked_scatter_(mask, gs.arange(1.0, 5)).tolist() == [1, 0, 2, 0]
