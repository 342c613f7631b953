"""The exponential moving average of weights."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training.ema import EMA


def network():
    gs.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def steps(model, count=3):
    """Some steps of training; what the weights were after each."""
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    seen = []
    for _ in range(count):
        optimizer.zero_grad()
        model(gs.randn(8, 3)).square().sum().backward()
        optimizer.step()
        seen.append({k: p.detach().numpy().copy() for k, p in model.named_parameters()})
        yield seen[-1]


def bits(model):
    return {k: v.numpy().tobytes() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("warmup", [True, False])
def test_the_formula(warmup):
    model = network()
    ema = EMA(model, 0.9, warmup=warmup)
    expected = {k: p.detach().numpy().astype(np.float64) for k, p in model.named_parameters()}
    for t, weights in enumerate(steps(model, 12), 1):
        ema.update()
        decay = min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        assert ema.decay_now() == decay
        for name, weight in weights.items():
            expected[name] = decay * expected[name] + (1 - decay) * weight
    assert ema.updates == 12
    for name, average in ema.averaged_state_dict().items():
        if name in expected:
            np.testing.assert_allclose(average.numpy(), expected[name], rtol=1e-5, atol=1e-6)


def test_by_hand():
    model = nn.Linear(1, 1, bias=False)
    with gs.no_grad():
        model.weight.fill_(0.0)
    ema = EMA(model, 0.5, warmup=False)
    for value, average in ((8.0, 4.0), (8.0, 6.0), (2.0, 4.0)):
        with gs.no_grad():
            model.weight.fill_(value)
        ema.update()
        assert ema.averaged_state_dict()["weight"].item() == average


def test_swapped_and_back_to_the_bit():
    model = network()
    ema = EMA(model, 0.5)
    for _ in steps(model):
        ema.update()
    before, objects = bits(model), [id(p) for p in model.parameters()]
    averaged = {k: v.numpy().tobytes() for k, v in ema.averaged_state_dict().items()}
    assert averaged != before
    with ema.swapped() as inside:
        assert inside is model
        assert bits(model) == averaged
        model.train()
        model(gs.randn(8, 3))  # moves the running statistics
        assert bits(model) != averaged
    assert bits(model) == before
    assert [id(p) for p in model.parameters()] == objects
    with pytest.raises(ZeroDivisionError), ema.swapped():
        raise ZeroDivisionError
    assert bits(model) == before


def test_buffers_are_the_models():
    model = network()
    ema = EMA(model)
    for _ in steps(model):
        ema.update()
    state = ema.averaged_state_dict()
    assert list(state) == list(model.state_dict())
    np.testing.assert_array_equal(state["1.running_mean"].numpy(), model[1].running_mean.numpy())
    assert model[1].running_mean.abs().sum().item() > 0


def test_neither_twice_nor_trained_inside():
    ema = EMA(network())
    with ema.swapped():
        with pytest.raises(RuntimeError, match="leave swapped"):
            ema.update()
        with pytest.raises(RuntimeError, match="has the averaged weights already"), ema.swapped():
            pass
    ema.update()


def test_constant_weights_stay_to_the_bit():
    model = network()
    ema = EMA(model, 0.999, warmup=False)
    for _ in range(50):
        ema.update()
    assert {k: v.numpy().tobytes() for k, v in ema.averaged_state_dict().items()} == bits(model)


@pytest.mark.parametrize("dtype", [gs.float16, gs.bfloat16])
def test_narrow_weights_have_wide_averages(dtype):
    model = nn.Linear(1, 1, bias=False).to(dtype)
    with gs.no_grad():
        model.weight.fill_(1.0)
    ema = EMA(model, 0.999, warmup=False)
    with gs.no_grad():
        model.weight.fill_(2.0)
    for _ in range(1000):  # one step of 0.001 is less than bfloat16 can tell from 1
        ema.update()
    assert ema.state_dict()["averages"]["weight"].dtype == gs.float32
    average = ema.averaged_state_dict()["weight"]
    assert average.dtype == dtype
    assert average.item() == pytest.approx(2 - 0.999**1000, rel=1e-2)


def test_tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight

    model = Tied()
    ema = EMA(model, 0.5, warmup=False)
    with gs.no_grad():
        model.a.weight.add_(2.0)
    ema.update()
    state = ema.averaged_state_dict()
    np.testing.assert_allclose(state["a.weight"].numpy(), model.a.weight.detach().numpy() - 1, 1e-5)
    np.testing.assert_array_equal(state["a.weight"].numpy(), state["b.weight"].numpy())


def test_state_goes_on_where_it_was(tmp_path):
    first, second = network(), network()
    ema = EMA(first, 0.7)
    other = EMA(second, 0.99, warmup=False)
    trained = steps(first, 5)
    for _ in range(2):
        next(trained)
        ema.update()
    gs.save(ema.state_dict(), tmp_path / "ema.gs")
    other.load_state_dict(gs.load(tmp_path / "ema.gs"))
    for _ in range(2):
        next(trained)
        second.load_state_dict(first.state_dict())
        ema.update()
        other.update()
    assert (other.decay, other.warmup, other.updates) == (0.7, True, 4)
    for name, value in ema.averaged_state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.averaged_state_dict()[name].numpy())


def test_states_and_models_that_do_not_fit():
    ema = EMA(network())
    state = ema.state_dict()
    with pytest.raises(ValueError, match="expected a state with the keys"):
        ema.load_state_dict({"averages": {}})
    with pytest.raises(ValueError, match=r"another model: missing \['0.bias'"):
        ema.load_state_dict({**state, "averages": {}})
    wrong = {**state["averages"], "0.bias": gs.zeros(9)}
    with pytest.raises(ValueError, match=r"expected 0.bias of shape \(4,\), got \(9,\)"):
        ema.load_state_dict({**state, "averages": wrong})
    ema.model.add_module("more", nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match=r"EMA.update.* new \['more.bias', 'more.weight'\]"):
        ema.update()
    with pytest.raises(ValueError, match="expected 0 <= decay < 1, got 1"):
        EMA(network(), 1)
    with pytest.raises(TypeError, match="model to be a Module, got list"):
        EMA([])
    with pytest.raises(ValueError, match="a model with parameters"):
        EMA(nn.ReLU())
