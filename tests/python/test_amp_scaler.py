"""GradScaler: unscaling, skipped steps, the scale and its state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gradstone as gs
from gradstone import amp, nn, optim

DEVICES = ["cpu"] + (["cuda"] if gs.cuda.is_available() else [])
BOTH = pytest.mark.parametrize("device", DEVICES)


def weight(device="cpu"):
    w = gs.ones(4, device=device).requires_grad_()
    return w, optim.SGD([w], 1.0)


@BOTH
def test_gradients_are_unscaled_once(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale((w * 3).sum()).backward()
    assert w.grad.tolist() == [24.0] * 4
    scaler.unscale_(opt)
    assert w.grad.tolist() == [3.0] * 4
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(opt)
    scaler.step(opt)
    assert w.tolist() == [-2.0] * 4
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(opt)
    scaler.update()
    assert scaler.get_scale() == 8


@BOTH
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_is_skipped_and_the_scale_falls(device, bad):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0, growth_interval=2)
    for step in range(6):
        opt.zero_grad()
        scaler.scale(w.sum()).backward()
        if step == 2:
            w.grad[3] = bad
        scaler.step(opt)
        scaler.update()
    # Two good steps, one bad, three good ones.
    assert w.tolist() == [-4.0] * 4
    assert scaler.get_scale() == 16
    assert scaler.state_dict()["_growth_tracker"] == 1


@BOTH
def test_all_optimizers_have_a_say_in_the_scale(device):
    (a, first), (b, second) = weight(device), weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale(a.sum() + b.sum()).backward()
    a.grad[0] = np.inf
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert a.tolist() == [1.0] * 4
    assert b.tolist() == [0.0] * 4
    assert scaler.get_scale() == 4


def test_an_optimizer_of_ones_own_is_stepped_or_not():
    class Mine(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})
            self.steps = 0

        def _step_group(self, group):
            self.steps += 1

    for device in DEVICES:
        w, _ = weight(device)
        opt, scaler = Mine([w]), amp.GradScaler(device, 8.0)
        for value in (1.0, np.inf, 2.0):
            w.grad = gs.full((4,), value, device=device)
            scaler.scale(w.sum())
            scaler.step(opt)
            scaler.update()
        assert opt.steps == 2


def test_what_a_scaler_refuses():
    w, opt = weight()
    scaler = amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="scale"):
        scaler.step(opt)
    scaler.scale([w.sum(), (w.sum(),)])
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="[Cc]losure"):
        scaler.step(opt, closure=lambda: None)
    with pytest.raises(TypeError, match="Tensor"):
        scaler.scale(3)
    half = gs.ones(2, dtype=gs.float16).requires_grad_()
    half.grad = gs.ones(2, dtype=gs.float16)
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(optim.SGD([half], 1.0))
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
        with pytest.raises(ValueError, match="factor"):
            amp.GradScaler("cpu", **wrong)


def test_a_scaler_that_is_off_does_nothing():
    w, opt = weight()
    scaler = amp.GradScaler("cpu", enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert w.tolist() == [0.0] * 4
    assert scaler.get_scale() == 1 and scaler.state_dict() == {} and not scaler.is_enabled()


@BOTH
def test_the_state_of_a_scaler_goes_round(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0, growth_interval=5)
    for _ in range(3):
        opt.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(opt)
        scaler.update()
    state = scaler.state_dict()
    assert state == {
        "scale": 8.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 5,
        "_growth_tracker": 3,
    }
    other = amp.GradScaler(device)
    other.load_state_dict(state)
    for twin in (other, pickle.loads(pickle.dumps(scaler)), copy.deepcopy(scaler)):
        assert twin.state_dict() == state
        for _ in range(2):
            opt.zero_grad()
            twin.scale(w.sum()).backward()
            twin.step(opt)
            twin.update()
        assert twin.get_scale() == 16
    scaler.load_state_dict({**state, "scale": 3.0})
    assert scaler.get_scale() == 3
    scaler.update(32.0)
    assert scaler.get_scale() == 32
    with pytest.raises(RuntimeError, match="empty"):
        scaler.load_state_dict({})


@BOTH
def test_unscaling_and_clipping_go_together(device):
    w, opt = weight(device)
    scaler = amp.GradScaler(device, init_scale=8.0)
    scaler.scale((w * 3).sum()).backward()
    scaler.unscale_(opt)
    norm = nn.utils.clip_grad_norm_([w], 1.0)
    assert norm.device == w.device and norm.item() == 6
    scaler.step(opt)
    assert np.allclose(w.tolist(), 0.5)
