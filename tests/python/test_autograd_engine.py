"""The engine: what is recorded, how gradients flow, modes, hooks, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from autograd_cases import leaf
from gradstone import nn

# ------------------------------------------------------------------------------ the graph and .grad


def test_gradients_accumulate_until_they_are_cleared():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_grad_is_accumulated_into_the_same_tensor():
    x = leaf(1.0)
    (x * 2).backward(gs.ones(1, dtype=gs.float64))
    kept = x.grad
    (x * 5).backward(gs.ones(1, dtype=gs.float64))
    assert x.grad.tolist() == [7.0]
    assert kept.tolist() in ([2.0], [7.0])


def test_a_tensor_used_twice_gets_the_sum():
    x = leaf(3.0)
    y = x * x + x * 2 + x
    y.sum().backward()
    assert x.grad.tolist() == [9.0]


def test_diamonds_are_walked_once_per_edge():
    x = leaf(1.1)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y * 0.5 + y * 0.5
    y.sum().backward()
    assert x.grad.item() == pytest.approx(1.0)


def test_backward_twice_is_refused_unless_the_graph_is_kept():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    assert x.grad.tolist() == [4.0, 8.0]


def test_backward_from_a_vector_needs_a_gradient():
    x = leaf(1.0, 2.0)
    y = x * 2
    with pytest.raises(RuntimeError, match="one element"):
        y.backward()
    with pytest.raises(RuntimeError, match="shape"):
        y.backward(gs.ones(3, dtype=gs.float64))
    with pytest.raises((TypeError, RuntimeError), match="dtype"):
        y.backward(gs.ones(2))
    with pytest.raises(TypeError):
        y.backward("text")
    assert x.grad is None
    y.backward(gs.tensor([1.0, 10.0], dtype=gs.float64))
    assert x.grad.tolist() == [2.0, 20.0]


def test_backward_without_a_graph_is_refused():
    with pytest.raises(RuntimeError, match="does not require"):
        gs.ones(1).sum().backward()


def test_detach_and_requires_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert y.requires_grad and not y.is_leaf and y.grad_fn is not None
    z = y.detach()
    assert not z.requires_grad and z.is_leaf and z.grad_fn is None
    (z * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match="floating"):
        gs.ones(2, dtype=gs.int64).requires_grad_(True)


def test_integer_results_carry_no_history():
    x = leaf(3.0, 1.0, 2.0)
    assert not x.argmax().requires_grad
    values, order = x.sort()
    assert values.requires_grad and not order.requires_grad
    assert not (x > 1).requires_grad
    assert not x.long().requires_grad
    (values * gs.tensor([1.0, 2.0, 3.0], dtype=gs.float64)).sum().backward()
    assert x.grad.tolist() == [3.0, 1.0, 2.0]


def test_retain_grad_keeps_what_passes_through():
    x = leaf(1.0, 2.0)
    y = x * 3
    assert y.grad is None
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    assert x.grad.tolist() == [18.0, 36.0]
    with pytest.raises(RuntimeError):
        gs.ones(2).retain_grad()


def test_backward_restricted_to_some_leaves():
    x, y = leaf(2.0), leaf(3.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0] and y.grad is None


def test_grad_returns_and_accumulates_nothing():
    x, y, z = leaf(2.0), leaf(3.0), leaf(4.0)
    w = x * y
    gx, gw = gs.autograd.grad((w * w).sum(), [x, w], retain_graph=True)
    assert gx.tolist() == [36.0] and gw.tolist() == [12.0]
    assert x.grad is None and y.grad is None
    with pytest.raises(RuntimeError, match="allow_unused"):
        gs.autograd.grad(w.sum(), [x, z], retain_graph=True)
    found = gs.autograd.grad(w.sum(), [x, z], allow_unused=True)
    assert found[0].tolist() == [3.0] and found[1] is None


def test_grad_of_several_outputs():
    x = leaf(2.0, 3.0)
    found = gs.autograd.grad(
        [x * 2, (x * x).sum()], [x], [gs.tensor([1.0, 2.0], dtype=gs.float64), None]
    )
    assert found[0].tolist() == [6.0, 10.0]


def test_create_graph_gives_higher_derivatives():
    x = leaf(0.7)
    y, want = x.sin().sum(), [np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)]
    for w in want:
        (g,) = gs.autograd.grad(y, x, create_graph=True)
        assert g.item() == pytest.approx(w)
        y = g.sum()


def test_create_graph_in_backward():
    x = leaf(3.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (h,) = gs.autograd.grad(x.grad.sum(), x)
    assert h.item() == pytest.approx(18.0)
    x.grad = None  # a gradient with history refers to its leaf


def test_gradient_penalty():
    """The gradient of a gradient's norm, through a network."""
    gs.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = gs.randn(5, 4, dtype=gs.float64, requires_grad=True)

    def penalty(scale=0.0, at=None):
        if at is not None:
            with gs.no_grad():
                model[0].weight[at] += scale
        (g,) = gs.autograd.grad(model(x).sum(), x, create_graph=True)
        if at is not None:
            with gs.no_grad():
                model[0].weight[at] -= scale
        return g.square().sum()

    penalty().backward()
    for at in ((0, 0), (3, 2), (7, 3)):
        numeric = (penalty(1e-6, at).item() - penalty(-1e-6, at).item()) / 2e-6
        assert model[0].weight.grad[at].item() == pytest.approx(numeric, rel=1e-5, abs=1e-8)


# ------------------------------------------------------------------------------------------- modes


def test_no_grad_and_enable_grad():
    x = leaf(1.0)
    with gs.no_grad():
        assert not gs.is_grad_enabled()
        y = x * 2
        assert not y.requires_grad
        with gs.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), gs.no_grad():
        raise ZeroDivisionError
    assert gs.is_grad_enabled()


def test_modes_as_decorators():
    x = leaf(1.0)

    @gs.no_grad()
    def plain():
        return x * 2

    @gs.enable_grad()
    def recorded():
        return x * 2

    @gs.inference_mode()
    def inferred():
        return x * 2

    @gs.no_grad()
    def generator():
        yield (x * 2).requires_grad
        yield gs.is_grad_enabled()

    assert not plain().requires_grad and gs.is_grad_enabled()
    with gs.no_grad():
        assert recorded().requires_grad
    assert inferred().is_inference()
    assert list(generator()) == [False, False]
    assert gs.is_grad_enabled()


def test_set_grad_enabled():
    x = leaf(1.0)
    for on in (False, True):
        with gs.set_grad_enabled(on):
            assert (x * 2).requires_grad is on
    assert gs.is_grad_enabled()


def test_inference_tensors_stay_out_of_graphs():
    x = leaf(1.0)
    with gs.inference_mode():
        y = x * 2
        assert y.is_inference() and not y.requires_grad
        y += 1
    with pytest.raises(RuntimeError, match="inference"):
        x * y
    with pytest.raises(RuntimeError, match="inference"):
        y.requires_grad_(True)
    assert (x * y.clone()).requires_grad


def test_modes_belong_to_their_thread():
    import threading

    seen = []
    with gs.no_grad():
        thread = threading.Thread(target=lambda: seen.append(gs.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


# ------------------------------------------------------------------------------------------- hooks


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    second = y.register_hook(lambda g: g * 10)
    (y * 2).sum().backward(retain_graph=True)
    assert seen == [[2.0, 2.0]] and x.grad.tolist() == [60.0, 60.0]
    second.remove()
    first.remove()
    x.grad = None
    (y * 2).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [6.0, 6.0]


def test_hooks_on_leaves():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g + 1)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0]
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [5.0]


def test_a_hook_gets_the_whole_gradient_once():
    x = leaf(1.0)
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3).sum().backward()
    assert seen == [5.0]


def test_exceptions_in_hooks_come_out_as_they_are():
    class Odd(Exception):
        pass

    def refuse(g):
        raise Odd("here")

    x = leaf(1.0)
    y = x * 2
    y.register_hook(refuse)
    with pytest.raises(Odd, match="here"):
        y.sum().backward()
    assert x.grad is None


def test_hooks_with_wrong_results_are_refused():
    for result in (gs.ones(3, dtype=gs.float64), "text"):
        x = leaf(1.0)
        y = x * 2
        y.register_hook(lambda g, result=result: result)
        with pytest.raises((RuntimeError, TypeError)):
            y.sum().backward()
    with pytest.raises(RuntimeError):
        gs.ones(1).register_hook(lambda g: g)


def test_backward_inside_a_hook():
    x, other = leaf(2.0), leaf(5.0)
    y = x * 3

    def inner(g):
        assert not gs.is_grad_enabled()  # as in PyTorch
        with gs.enable_grad():
            (other * other).sum().backward()

    y.register_hook(inner)
    y.sum().backward()
    assert x.grad.tolist() == [3.0] and other.grad.tolist() == [10.0]


# An elementwise rule writes its gradient over the incoming one when nobody else holds that.


def test_elementwise_gradients_leave_what_others_hold():
    ours = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    x = gs.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    gs.relu(x).backward(gs.from_numpy(ours))
    assert ours.tolist() == [1, 2, 3]
    given = gs.tensor([4.0, 5.0, 6.0])
    x.grad = None
    gs.relu(x).backward(given)
    assert given.tolist() == [4, 5, 6]
    assert x.grad.tolist() == [0, 5, 6]


def test_elementwise_gradients_keep_retained_hooked_and_shared_gradients():
    x = gs.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    z = x * 0.25
    y = gs.relu(z)
    y.retain_grad()
    seen = []
    y.register_hook(seen.append)
    (gs.tanh(y) + gs.tanh(y)).sum().backward()
    slope = 2 * (1 - np.tanh([0.0, 0.5, 0.75]) ** 2)
    np.testing.assert_allclose(y.grad.numpy(), slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(seen[0].numpy(), slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(x.grad.numpy(), 0.25 * slope * [0, 1, 1], rtol=1e-5, atol=1e-7)


def test_elementwise_gradient_of_a_sum_of_two_branches():
    x = gs.tensor([0.5, -0.5], requires_grad=True)
    a, b = gs.exp(x), gs.sigmoid(x)
    (a + b).sum().backward()  # both branches are handed the same gradient
    s = 1 / (1 + np.exp([-0.5, 0.5]))
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.5, -0.5]) + s * (1 - s), rtol=1e-6)
