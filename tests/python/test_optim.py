"""Optimizers against their formulas in NumPy, and their state."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim

STEPS = 6


def problem():
    rng = np.random.default_rng(0)
    return [nn.Parameter(gs.tensor(rng.standard_normal(s))) for s in ((3, 2), (5,))]


def run(make, steps=STEPS):
    """Final values of a few steps on sum (p - 1)^4 / 4, whose gradient is (p - 1)^3."""
    params = problem()
    optimizer = make(params)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((p - 1) ** 4).sum() / 4 for p in params).backward()
        optimizer.step()
    return np.concatenate([p.detach().numpy().ravel() for p in params]), optimizer


def start():
    return np.concatenate([p.detach().numpy().ravel() for p in problem()])


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(momentum, nesterov):
    if nesterov and not momentum:
        with pytest.raises(ValueError, match="Nesterov"):
            optim.SGD(problem(), nesterov=True)
        return
    got, _ = run(lambda p: optim.SGD(p, 0.05, momentum, weight_decay=0.1, nesterov=nesterov))
    p, v = start(), None
    for _ in range(STEPS):
        g = (p - 1) ** 3 + 0.1 * p
        if momentum:
            v = g if v is None else momentum * v + g
            g = g + momentum * v if nesterov else v
        p = p - 0.05 * g
    close(got, p)


def adam(decoupled, amsgrad, decay, maximize=False):
    p = start()
    m, v, top = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for t in range(1, STEPS + 1):
        g = (p - 1) ** 3 * (-1 if maximize else 1)
        if decoupled:
            p = p * (1 - 0.05 * decay)
        else:
            g = g + decay * p
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * g * g
        top = np.maximum(top, v)
        denominator = np.sqrt((top if amsgrad else v) / (1 - 0.99**t)) + 1e-8
        p = p - 0.05 * m / (1 - 0.9**t) / denominator
    return p


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_and_adamw(amsgrad):
    options = {"lr": 0.05, "betas": (0.9, 0.99), "amsgrad": amsgrad}
    got, optimizer = run(lambda p: optim.Adam(p, weight_decay=0.1, **options))
    close(got, adam(False, amsgrad, 0.1))
    state = next(iter(optimizer.state.values()))
    names = {"step", "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if amsgrad else set())
    assert set(state) == names
    assert state["step"].item() == STEPS
    got, _ = run(lambda p: optim.AdamW(p, weight_decay=0.2, **options))
    close(got, adam(True, amsgrad, 0.2))
    got, _ = run(lambda p: optim.Adam(p, maximize=True, **options))
    close(got, adam(False, amsgrad, 0.0, maximize=True))


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(centered):
    got, _ = run(
        lambda p: optim.RMSprop(p, 0.01, 0.9, momentum=0.5, centered=centered, weight_decay=0.1)
    )
    p = start()
    v, mean, buffer = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for _ in range(STEPS):
        g = (p - 1) ** 3 + 0.1 * p
        v = 0.9 * v + 0.1 * g * g
        mean = 0.9 * mean + 0.1 * g
        spread = np.sqrt(v - mean * mean) if centered else np.sqrt(v)
        buffer = 0.5 * buffer + g / (spread + 1e-8)
        p = p - 0.01 * buffer
    close(got, p)


MAKERS = [
    lambda p: optim.SGD(p, 0.05, momentum=0.9),
    lambda p: optim.Adam(p, 0.05, amsgrad=True),
    lambda p: optim.AdamW(p, 0.05),
    lambda p: optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
]


@pytest.mark.parametrize("make", MAKERS)
def test_training_goes_on_from_a_saved_state(make):
    want, _ = run(make, 8)
    params = problem()
    first = make(params)
    train(params, first, 5)
    state = copy.deepcopy(first.state_dict())
    values = [p.detach().clone() for p in params]
    assert set(state) == {"state", "param_groups"}
    assert set(state["state"]) == {0, 1}
    assert state["param_groups"][0]["params"] == [0, 1]
    again = [nn.Parameter(v) for v in values]
    second = make(again)
    second.load_state_dict(state)
    train(again, second, 3)
    close(np.concatenate([p.detach().numpy().ravel() for p in again]), want)


def train(params, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((p - 1) ** 4).sum() / 4 for p in params).backward()
        optimizer.step()


def test_groups_have_their_own_options():
    a, b = nn.Parameter(gs.ones(1)), nn.Parameter(gs.ones(1))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    (a + b).sum().backward()
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == pytest.approx(0.5)
    c = nn.Parameter(gs.ones(1))
    optimizer.add_param_group({"params": [c], "lr": 1.0})
    c.sum().backward()
    optimizer.step()
    assert c.item() == 0
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [a]})


def test_parameters_without_gradient_stay():
    a, b = nn.Parameter(gs.ones(1)), nn.Parameter(gs.ones(1))
    optimizer = optim.Adam([a, b])
    a.sum().backward()
    optimizer.step()
    assert b.item() == 1
    assert b not in optimizer.state
    optim.Adam([b]).step()


def test_closure_and_zero_grad():
    p = nn.Parameter(gs.ones(2))
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with gs.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.tolist() == [0, 0]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_hooks():
    p, log = nn.Parameter(gs.ones(1)), []
    optimizer = optim.SGD([p], lr=0.1)
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert log == ["before", "after", "after"]


def test_bad_arguments():
    p = [nn.Parameter(gs.ones(1))]
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.SGD(p, lr=-1)
    with pytest.raises(ValueError, match="Invalid beta parameter at index 1"):
        optim.Adam(p, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="Invalid epsilon"):
        optim.AdamW(p, eps=-1)
    with pytest.raises(ValueError, match="Invalid alpha"):
        optim.RMSprop(p, alpha=-1)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([], lr=0.1)
    with pytest.raises(TypeError, match="iterable of tensors"):
        optim.SGD(p[0], lr=0.1)
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        optim.SGD([3], lr=0.1)
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p[0] * 2], lr=0.1)
    with pytest.raises(ValueError, match="more than once"):
        optim.SGD([p[0], p[0]], lr=0.1)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.SGD(p).load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match="doesn't match the size"):
        optim.SGD(p).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})


def test_text():
    text = repr(optim.SGD([gs.zeros(1)], lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert text.endswith("    weight_decay: 0\n)")
    assert math.isclose(optim.Adam([gs.zeros(1)]).param_groups[0]["lr"], 1e-3)


def test_hooks_see_and_change_the_arguments_of_a_step():
    param = nn.Parameter(gs.ones(1))
    optimizer = optim.SGD([param], lr=0.5)
    log = []

    def loss():
        log.append("closure")
        optimizer.zero_grad()
        value = (param * 2).sum()
        value.backward()
        return value

    def before(o, args, kwargs):
        log.append((len(args), args[0] is o, kwargs))

    first = optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append(args[1:]))
    assert optimizer.step(loss).item() == 2
    assert log == [(2, True, {}), "closure", (loss,)]
    first.remove()
    drop = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o,), {}))
    log.clear()
    assert optimizer.step(loss) is None and log == [()]
    drop.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"pair \(args, kwargs\), got 3"):
        optimizer.step()
