"""Modes, `autograd.grad` and `autograd.backward`."""

from __future__ import annotations

import pytest

import gradstone as gs
from autograd_cases import leaf


def test_grad_and_second_derivative():
    x = leaf(2.0, 3.0)
    (first,) = gs.autograd.grad((x**3).sum(), x, create_graph=True)
    assert first.tolist() == [12, 27]
    (second,) = gs.autograd.grad(first.sum(), x)
    assert second.tolist() == [12, 18]
    assert x.grad is None


def test_grad_outputs_and_unused():
    x, y = leaf(1.0, 2.0), leaf(5.0)
    out = x * 3
    (g,) = gs.autograd.grad(out, x, gs.tensor([1.0, 10.0], dtype=gs.float64), retain_graph=True)
    assert g.tolist() == [3, 30]
    with pytest.raises(RuntimeError):
        gs.autograd.grad(out.sum(), y, retain_graph=True)
    assert gs.autograd.grad(out.sum(), y, allow_unused=True, retain_graph=True) == (None,)
    (zero,) = gs.autograd.grad(out.sum(), y, materialize_grads=True)
    assert zero.tolist() == [0]


def test_backward_function():
    x = leaf(1.0, 2.0)
    gs.autograd.backward([(x * x).sum(), (2 * x).sum()])
    assert x.grad.tolist() == [4, 6]
    with pytest.raises(RuntimeError, match="one gradient for each"):
        gs.autograd.backward([x.sum()], [None, None])


def test_modes_nest_and_come_back():
    x = leaf(1.0)
    with gs.no_grad():
        assert not gs.is_grad_enabled()
        with gs.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert gs.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), gs.no_grad():
        raise ZeroDivisionError
    assert gs.is_grad_enabled()


def test_modes_decorate():
    x = leaf(1.0)

    @gs.no_grad()
    def silent():
        return x * 2

    @gs.no_grad
    def bare():
        return x * 2

    @gs.no_grad()
    def generate():
        for _ in range(2):
            yield gs.is_grad_enabled()

    assert not silent().requires_grad
    assert not bare().requires_grad
    for inside in generate():
        assert not inside
        assert gs.is_grad_enabled()
    assert silent.__name__ == "silent"


def test_set_grad_enabled_acts_at_once_and_as_context():
    gs.set_grad_enabled(False)
    assert not gs.is_grad_enabled()
    gs.set_grad_enabled(True)
    with gs.set_grad_enabled(False):
        assert not gs.is_grad_enabled()
    assert gs.is_grad_enabled()


def test_inference_mode():
    x = leaf(1.0)
    with gs.inference_mode():
        y = x * 2
        assert not y.requires_grad
    assert gs.is_grad_enabled()
    with gs.inference_mode(False):
        assert (x * 2).requires_grad

    @gs.inference_mode()
    def run():
        return x * 2

    assert not run().requires_grad


def test_grad_takes_pytorchs_arguments():
    x = gs.ones(2, requires_grad=True)
    got = gs.autograd.grad((x * x).sum(), x, None, None, False, True, True)
    assert got[0].tolist() == [2.0, 2.0]
    with pytest.warns(FutureWarning, match="changes nothing"):
        gs.autograd.grad((x * x).sum(), x, only_inputs=False)
