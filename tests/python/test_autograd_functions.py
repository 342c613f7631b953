"""autograd.Function: operations written in Python."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import gradstone as gs
from autograd_cases import Cube, leaf
from gradstone import _C
from gradstone.autograd.function import Function, once_differentiable
from native import same, tensor


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
    class Mix(Function):
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
        class Wrong(Function):
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

    class Watched(Function):
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


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * y


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, note=None):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, dy):
        assert ctx.needs_input_grad == (True, False, False)
        return dy * ctx.factor, None, None


def test_function_first_and_second_derivative():
    x = tensor([0.5, 1.0], _C.float64, requires_grad=True)
    y = Exp.apply(x)
    assert y.grad_fn.name() == "ExpBackward"
    (g,) = _C.grad([y.sum()], [x], create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), np.exp([0.5, 1.0]))
    (h,) = _C.grad([g.sum()], [x])
    np.testing.assert_allclose(h.numpy(), np.exp([0.5, 1.0]))
    Scale.apply(x, 3.0, "note").sum().backward()
    same(x.grad, [3.0, 3.0])
    assert not Scale.apply(x.detach(), 2.0).requires_grad


def test_function_notices_changes_in_place():
    x = tensor([0.5], requires_grad=True)
    y = Exp.apply(x)
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        y.backward()


def test_function_backward_twice():
    x = tensor([0.5], requires_grad=True)
    y = Exp.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_function_with_several_outputs():
    grads = []

    class Split(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            largest = x.argmax()
            plain = x * 0
            ctx.mark_non_differentiable(plain)
            return x[:1].clone(), x[1:].clone(), largest, plain, "text"

        @staticmethod
        def backward(ctx, a, b, largest, plain, text):
            grads.append([g if g is None else g.tolist() for g in (a, b, largest, plain, text)])
            return tensor([1.0, 2.0, 3.0]), None

    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    for materialize, second in [(True, [0, 0]), (False, None)]:
        a, b, largest, plain, text = Split.apply(x, materialize)
        assert (
            a.requires_grad
            and b.requires_grad
            and not largest.requires_grad
            and not plain.requires_grad
        )
        assert text == "text" and largest.item() == 2
        a.sum().backward()
        assert grads.pop() == [[1], second, None, None, None]
    same(x.grad, np.float32([2, 4, 6]))


def test_function_returning_its_argument_or_a_view():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 5

    class View(Same):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, dy):
            return dy.view(2, 1) * 7

    x = tensor([[1.0], [2.0]], requires_grad=True)
    y = Same.apply(x)
    assert y is not x and y.grad_fn is not None and x.is_leaf
    y.sum().backward()
    View.apply(x).sum().backward()
    same(x.grad, np.float32([[12], [12]]))


def test_function_mark_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = tensor([1.0], requires_grad=True)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    z.backward()
    same(x.grad, np.float32([6]))
    with pytest.raises(RuntimeError):
        Double.apply(tensor([1.0], requires_grad=True))


def returning(value):
    class Returning(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return value

    return Returning


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (tensor([1.0]), RuntimeError, "returned 1 gradients, expected 2"),
        ((tensor([1.0]), None, tensor([1.0])), RuntimeError, "3 gradients for 2 arguments"),
        ((tensor([1.0]), tensor([1.0])), RuntimeError, None),
        ((tensor([1.0, 2.0]), None), RuntimeError, r"shape \(2,\) for argument 0 of shape \(1,\)"),
        ((3, None), TypeError, "int"),
        ("ab", RuntimeError, "1 gradients"),
    ],
)
def test_function_with_a_wrong_backward(value, error, text):
    x = tensor([1.0], requires_grad=True)
    y = returning(value).apply(x, 3)
    if text is None:  # a gradient nobody asked for is ignored
        y.backward()
        return
    with pytest.raises(error, match=text):
        y.backward()


def test_function_errors_pass_through():
    class Broken(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            raise KeyError("mine")

    x = tensor([1.0], requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        Broken.apply(x).backward()
    with pytest.raises(NotImplementedError):
        Function.apply(x)
    with pytest.raises(TypeError):
        _C._apply_function(3, None, (), print)

    class SavesNonsense(Broken):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward("text")
            return x * 1

    with pytest.raises(TypeError, match="str"):
        SavesNonsense.apply(x)


def test_function_with_setup_context():
    class Cube(Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x**2

    x = tensor([2.0], requires_grad=True)
    Cube.apply(x).backward()
    same(x.grad, np.float32([12]))


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, dy):
            assert not _C.is_grad_enabled()
            return dy * 2 * ctx.saved_tensors[0]

    x = tensor([3.0], requires_grad=True)
    Square.apply(x).backward()
    same(x.grad, np.float32([6]))
    (g,) = _C.grad([Square.apply(x)], [x], create_graph=True)
    same(g, np.float32([6]))
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


def test_function_graphs_are_freed():
    class Marker:
        pass

    class Keeps(Function):
        @staticmethod
        def forward(ctx, x, marker):
            y = x * 2
            ctx.marker = marker
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy * 2, None

    gc.disable()
    try:
        marker = Marker()
        reference = weakref.ref(marker)
        x = tensor([1.0], requires_grad=True)
        y = Keeps.apply(x, marker)
        y.backward()
        del marker
        assert reference() is not None
        del y
        assert reference() is None
    finally:
        gc.enable()


def test_saved_tensors_outlive_nothing():
    contexts = []

    class Leaks(Exp):
        @staticmethod
        def forward(ctx, x):
            contexts.append(ctx)
            return Exp.forward(ctx, x)

    x = tensor([1.0], requires_grad=True)
    y = Leaks.apply(x)
    same(contexts[0].saved_tensors[0], y.detach().numpy())
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        _ = contexts[0].saved_tensors
    del y
    with pytest.raises(RuntimeError, match="gone"):
        _ = contexts[0].saved_tensors
