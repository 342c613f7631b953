"""gradcheck and gradgradcheck: they pass what is right and find what is wrong."""

from __future__ import annotations

import pytest

import gradstone as gs
from autograd_cases import leaf
from gradstone.autograd import Function, gradcheck, gradgradcheck


def test_gradcheck_passes_what_is_right():
    x = gs.randn(2, 3, dtype=gs.float64, requires_grad=True)
    y = gs.randn(3, dtype=gs.float64, requires_grad=True)
    assert gradcheck(lambda a, b: (a * b).exp().sum(1), (x, y))
    assert gradgradcheck(lambda a, b: (a * b).exp().sum(1), (x, y))
    assert gradcheck(lambda a: (a.T.sin(), a.sum()), x)
    assert gradgradcheck(lambda a: a * 2, x)


class WrongSquare(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * x  # the 2 is missing


class WrongSecond(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * 2 * x.detach()  # right, but constant for the second derivative


def test_gradcheck_finds_what_is_wrong():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"
    ):
        gradcheck(WrongSquare.apply, x)
    assert not gradcheck(WrongSquare.apply, x, raise_exception=False)
    assert gradcheck(WrongSecond.apply, x)
    assert not gradgradcheck(WrongSecond.apply, x, raise_exception=False)


def test_gradcheck_passes_more_than_one_output():
    x, y = leaf(0.3, -1.2, 2.0), leaf(1.0, 0.5, -0.7)
    for f, inputs in (
        (lambda a, b: (a * b).tanh(), (x, y)),
        (lambda a: a.softmax(0), (x,)),
        (lambda a, b: (a @ b, a.exp()), (x, y)),
    ):
        assert gradcheck(f, inputs)
        assert gradgradcheck(f, inputs)


def test_gradcheck_refuses_what_it_cannot_check():
    with pytest.raises(ValueError, match="requires a gradient"):
        gradcheck(lambda a: a, gs.ones(2, dtype=gs.float64))
    x = leaf(1.0)
    with pytest.raises(ValueError, match="share memory"):
        gradcheck(lambda a: a * 2, x.expand(3))


def test_gradcheck_leaves_its_input_as_it_was():
    x = leaf(0.1, 0.2, 0.3)
    before = x.tolist()
    gradcheck(lambda a: a.sin(), x)
    assert x.tolist() == before
    assert x.grad is None


def test_gradcheck_finds_small_errors():
    class NearlySquare(WrongSquare):
        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * x * 2.01

    x = leaf(0.3, -1.2, 2.0)
    with pytest.raises(RuntimeError):
        gradcheck(NearlySquare.apply, (x,))
    with pytest.raises(RuntimeError):
        gradgradcheck(WrongSecond.apply, (x,))
