"""autograd.Function, gradcheck and gradgradcheck."""

from __future__ import annotations

import gc
import weakref

import pytest

import gradstone as gs


def leaf(*values: float) -> gs.Tensor:
    return gs.tensor(values, dtype=gs.float64, requires_grad=True)


class Cube(gs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * 3 * x * x


def test_function():
    x = leaf(2.0, 3.0)
    y = Cube.apply(x)
    assert y.tolist() == [8.0, 27.0] and y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [12.0, 27.0]


def test_function_is_differentiable_twice():
    x = leaf(2.0)
    (g,) = gs.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    (h,) = gs.autograd.grad(g.sum(), x)
    assert h.item() == pytest.approx(12.0)
    assert gs.autograd.gradcheck(Cube.apply, (x,))
    assert gs.autograd.gradgradcheck(Cube.apply, (x,))


def test_function_notices_saved_tensors_changed_in_place():
    x = leaf(2.0)
    z = x * 1
    y = Cube.apply(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        y.sum().backward()


def test_function_with_several_inputs_and_outputs():
    class Mix(gs.autograd.Function):
        @staticmethod
        def forward(ctx, a, k, b):
            ctx.k = k
            ctx.needs = ctx.needs_input_grad
            return a * k, b + a, a.long()

        @staticmethod
        def backward(ctx, d1, d2, d3):
            assert ctx.needs_input_grad == (True, False, True)
            return d1 * ctx.k + d2, None, d2

    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    p, q, n = Mix.apply(a, 5.0, b)
    assert not n.requires_grad
    (p.sum() + 2 * q.sum()).backward()
    assert a.grad.tolist() == [7.0, 7.0] and b.grad.tolist() == [2.0, 2.0]
    a.grad = b.grad = None
    Mix.apply(a, 5.0, b)[0].sum().backward()  # the second output's gradient is zeros
    assert a.grad.tolist() == [5.0, 5.0]


def test_function_errors():
    def make(result):
        class Wrong(gs.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, dy):
                if isinstance(result, Exception):
                    raise result
                return result

        return Wrong

    for result in (
        gs.ones(3, dtype=gs.float64),
        "text",
        (None, gs.ones(1)),
        ZeroDivisionError("mine"),
    ):
        x = leaf(1.0)
        kind = ZeroDivisionError if isinstance(result, Exception) else (RuntimeError, TypeError)
        with pytest.raises(kind):
            make(result).apply(x).sum().backward()
        assert x.grad is None


def test_function_contexts_are_freed():
    x = leaf(1.0)
    watch = []

    class Watched(gs.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            watch.append(weakref.ref(ctx))
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    Watched.apply(x).sum().backward()
    gc.collect()
    assert watch[0]() is None


# ------------------------------------------------------------------------------ gradcheck


class WrongGradient(gs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * x * 2.01


class WrongSecond(gs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * x.detach() * 2


def test_gradcheck_accepts_right_gradients():
    x, y = leaf(0.3, -1.2, 2.0), leaf(1.0, 0.5, -0.7)
    for f, inputs in (
        (lambda a, b: (a * b).tanh(), (x, y)),
        (lambda a: a.softmax(0), (x,)),
        (lambda a, b: (a @ b, a.exp()), (x, y)),
    ):
        assert gs.autograd.gradcheck(f, inputs)
        assert gs.autograd.gradgradcheck(f, inputs)


def test_gradcheck_refuses_wrong_gradients():
    x = leaf(0.3, -1.2, 2.0)
    with pytest.raises(RuntimeError):
        gs.autograd.gradcheck(WrongGradient.apply, (x,))
    assert gs.autograd.gradcheck(WrongGradient.apply, (x,), raise_exception=False) is False
    assert gs.autograd.gradcheck(WrongSecond.apply, (x,))
    with pytest.raises(RuntimeError):
        gs.autograd.gradgradcheck(WrongSecond.apply, (x,))
