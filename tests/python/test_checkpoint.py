"""Parts of a network that compute again in backward."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

import gradstone as gs
from gradstone import nn
from gradstone.utils.checkpoint import checkpoint, checkpoint_sequential


def network():
    gs.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
    ).double()


def gradients(net, run, x):
    net.zero_grad()
    x.grad = None
    gs.manual_seed(1)
    y = run(x)
    (y**2).sum().backward()
    return [y.detach(), *(p.grad for p in net.parameters()), *([] if x.grad is None else [x.grad])]


@pytest.mark.parametrize("inputs", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        lambda net: lambda x: checkpoint(net, x, use_reentrant=False),
        lambda net: lambda x: checkpoint(lambda scale, x: net(scale * x), 1.0, x=x),
        lambda net: lambda x: checkpoint(net[3:], checkpoint(net[:3], x)),
        lambda net: lambda x: checkpoint_sequential(net, 3, x),
    ],
)
def test_the_same_gradients_and_random_numbers(how, inputs):
    net = network()
    x = gs.randn(4, 3, dtype=gs.float64).requires_grad_(inputs)
    want = gradients(net, net, x)
    after = gs.random.get_rng_state()
    got = gradients(net, how(net), x)
    assert len(got) == len(want) == 7 + inputs
    for a, b in zip(got, want):
        assert gs.equal(a, b)
    assert gs.equal(gs.random.get_rng_state(), after)


def test_it_is_called_twice_and_keeps_nothing():
    calls = []

    def double(x, y):
        calls.append(gs.is_grad_enabled())
        return x * 2, y, x.detach()

    x = gs.ones(2, requires_grad=True)
    a, b, c = checkpoint(double, x, 3)
    assert calls == [False] and b == 3 and a.requires_grad
    a.sum().backward()
    assert calls == [False, True] and x.grad.tolist() == [2, 2]
    with gs.no_grad():
        assert not checkpoint(double, x, 3)[0].requires_grad
    assert len(calls) == 3


def test_inside_autocast():
    layer = nn.Linear(2, 2)
    twin = copy.deepcopy(layer)
    x = gs.randn(3, 2)
    with gs.autocast("cpu", gs.bfloat16):
        checkpoint(layer, x).float().sum().backward()
        twin(x).float().sum().backward()
    assert gs.equal(layer.weight.grad, twin.weight.grad)


def test_what_is_refused():
    with pytest.raises(TypeError, match="expected a function or module, got int"):
        checkpoint(3)
    with pytest.raises(ValueError, match="1 to 6 segments, got 7"):
        checkpoint_sequential(network(), 7, gs.ones(1, 3))
    x = gs.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        gs.autograd.grad(checkpoint(gs.exp, x).sum(), x, create_graph=True)


def test_it_is_there_without_an_import_of_its_own():
    code = "import gradstone as gs; print(gs.utils.checkpoint.checkpoint.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "checkpoint\n", done.stderr
