"""Writing in place: saved tensors, leaves, views, item assignment, version counters."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from autograd_cases import leaf

NEEDS_INPUT = {
    "mul": lambda y: y * y,
    "matmul": lambda y: y @ y,
    "sin": lambda y: y.sin(),
    "log": lambda y: y.log(),
    "pow": lambda y: y**3,
}
NEEDS_OUTPUT = {
    "exp": lambda y: y.exp(),
    "sigmoid": lambda y: y.sigmoid(),
    "tanh": lambda y: y.tanh(),
    "sqrt": lambda y: y.sqrt(),
    "softmax": lambda y: y.softmax(0),
}


@pytest.mark.parametrize("name", NEEDS_INPUT)
def test_a_saved_input_changed_in_place_is_noticed(name):
    x = leaf(1.0, 2.0)
    y = x * 1
    z = NEEDS_INPUT[name](y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        z.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("name", NEEDS_OUTPUT)
def test_a_saved_output_changed_in_place_is_noticed(name):
    x = leaf(1.0, 2.0)
    y = x * 1
    z = NEEDS_OUTPUT[name](y)
    z.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        z.sum().backward()
    y = x * 1
    z = NEEDS_OUTPUT[name](y)
    y.add_(1)  # the output is all that the gradient needs
    z.sum().backward()


def test_a_saved_tensor_changed_through_a_view_is_noticed():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y[0] = 5.0
    with pytest.raises(RuntimeError, match="in-place"):
        z.sum().backward()


def test_changes_that_matter_to_nobody_are_fine():
    x = leaf(1.0, 2.0)
    y = x + 1  # addition saves nothing
    z = y * 2
    y.mul_(5)
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_leaves_cannot_be_changed_in_place():
    x = leaf(1.0, 2.0)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x[0].mul_(2),
        lambda: x.copy_(gs.ones(2)),
        lambda: x.view(2).fill_(3),
    ):
        with pytest.raises(RuntimeError, match="leaf"):
            change()
    assert x.tolist() == [1.0, 2.0]
    with gs.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 3.0] and x.requires_grad and x.is_leaf


def test_in_place_operations_are_differentiated():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y.add_(1)
    y.mul_(x.detach())
    y.relu_()
    y.exp_()
    y.sum().backward()
    v = x.detach().numpy()
    assert np.allclose(x.grad.numpy(), np.exp((2 * v + 1) * v) * 2 * v)


def test_writing_through_a_view_reaches_the_base():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    base = x * 1
    view = base[1:3]
    view.mul_(10)
    assert base.tolist() == [1.0, 20.0, 30.0, 4.0]
    (base * gs.tensor([1.0, 2.0, 3.0, 4.0], dtype=gs.float64)).sum().backward()
    assert x.grad.tolist() == [1.0, 20.0, 30.0, 4.0]


def test_writing_to_the_base_reaches_its_views():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    base = x * 1
    view, other = base.view(2, 2)[1], base[::2]
    base.mul_(3)
    assert view.tolist() == [9.0, 12.0] and other.tolist() == [3.0, 9.0]
    (view.sum() + 10 * other.sum()).backward()
    assert x.grad.tolist() == [30.0, 0.0, 33.0, 3.0]


def test_writing_to_one_view_reaches_another():
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1
    a, b = base[:2], base[1:]
    a.mul_(5)
    assert b.tolist() == [10.0, 3.0]
    b.sum().backward()
    assert x.grad.tolist() == [0.0, 5.0, 1.0]


def test_item_assignment_carries_gradients():
    x, v = leaf(1.0, 2.0, 3.0), leaf(7.0)
    y = x * 2
    y[1] = v[0] * 3
    y[gs.tensor([0])] = 0.5
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 2.0] and v.grad.tolist() == [3.0]


def test_item_assignment_makes_a_plain_tensor_part_of_the_graph():
    v = leaf(2.0)
    y = gs.zeros(3, dtype=gs.float64)
    y[1] = v[0] * 4
    assert y.requires_grad
    y.sum().backward()
    assert v.grad.tolist() == [4.0]


def test_masked_and_indexed_assignment_with_gradients():
    x, v = leaf(1.0, 2.0, 3.0, 4.0), leaf(10.0, 20.0)
    y = x * 1
    y[gs.tensor([True, False, True, False])] = v
    (y * gs.tensor([1.0, 2.0, 3.0, 4.0], dtype=gs.float64)).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0, 4.0] and v.grad.tolist() == [1.0, 3.0]


def test_views_under_no_grad():
    x = leaf(1.0, 2.0)
    with gs.no_grad():
        view = x[:1]
        assert not view.requires_grad
        view.mul_(5)
    assert x.tolist() == [5.0, 2.0] and x.requires_grad


def test_expanded_tensors_cannot_be_written():
    x = gs.zeros(1, 3).expand(4, 3)
    with pytest.raises(RuntimeError, match="expanded"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="expanded"):
        x[1:] = 1
    x[0, 0] = 1  # one element, as in PyTorch
    assert x[:, 0].tolist() == [1.0] * 4


def test_version_counters():
    x = gs.zeros(4)
    assert x._version == 0
    x.add_(1)
    x[1:].mul_(2)
    x[0] = 3
    assert x._version == 3
    assert x.detach()._version == 3
    x.data.add_(1)  # .data is the way round the counter
    assert x._version == 3


def test_broadcast_gradients_are_summed():
    a = gs.ones(3, 1, dtype=gs.float64, requires_grad=True)
    b = gs.ones(4, dtype=gs.float64, requires_grad=True)
    c = gs.ones((), dtype=gs.float64, requires_grad=True)
    (a * b * c).sum().backward()
    assert a.grad.tolist() == [[4.0]] * 3 and b.grad.tolist() == [3.0] * 4 and c.grad.item() == 12.0


def test_gradients_keep_the_dtype_of_their_tensor():
    x = gs.ones(3, requires_grad=True)
    h = gs.ones(3, dtype=gs.float16, requires_grad=True)
    (x.double() * 2 + h).sum().backward()
    assert x.grad.dtype is gs.float32 and h.grad.dtype is gs.float16
