"""The range test for learning rates: what it finds, and that it leaves everything as it was."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training.lr_finder import LearningRateFinder, find_lr
from gradstone.utils.data import DataLoader, TensorDataset


def task(optimizer=optim.SGD, generator=None, **options):
    """A small network with running statistics and random numbers of its own."""
    gs.manual_seed(3)
    x = gs.randn(96, 6)
    data = TensorDataset(x, (x.sum(1, keepdim=True) * 0.7).tanh())
    model = nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Dropout(0.1), nn.Tanh(), nn.Linear(12, 1)
    )
    loader = DataLoader(data, batch_size=16, shuffle=True, generator=generator)
    return model, optimizer(model.parameters(), lr=0.01, **options), nn.MSELoss(), loader


def train(model, optimizer, loss, loader, epochs=2):
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()


@pytest.mark.parametrize(
    ("optimizer", "options"), [(optim.SGD, {"momentum": 0.9}), (optim.Adam, {}), (optim.AdamW, {})]
)
@pytest.mark.parametrize("before", [0, 1])
def test_training_goes_on_as_if_nothing_had_been(optimizer, options, before):
    """The same bits at the end, with and without a test in between."""
    ends = []
    for tested in (False, True):
        generator = gs.Generator().manual_seed(5)
        parts = task(optimizer, generator, **options)
        random.seed(1)
        np.random.seed(1)
        train(*parts, epochs=before)
        parts[0].eval()
        if tested:
            found = find_lr(*parts, end=10.0, steps=40)
            assert len(found.rates) > 10
        assert not parts[0].training
        parts[0].train()
        train(*parts)
        ends.append(
            [v.numpy().tobytes() for v in parts[0].state_dict().values()]
            + [gs.get_rng_state().tolist(), generator.get_state().tolist()]
            + [random.random(), np.random.rand(), parts[1].param_groups[0]["lr"]]
        )
    assert ends[0] == ends[1]


def test_gradients_and_the_state_objects_are_the_same_ones():
    parts = task(optim.Adam)
    model, optimizer, loss, loader = parts
    train(*parts, epochs=1)
    state, grads = optimizer.state, [p.grad for p in model.parameters()]
    values = [g.numpy().copy() for g in grads]
    inner = {id(v) for s in state.values() for v in s.values() if isinstance(v, gs.Tensor)}
    find_lr(*parts, steps=5)
    assert optimizer.state is state
    now = {id(v) for s in state.values() for v in s.values() if isinstance(v, gs.Tensor)}
    assert now == inner
    for p, grad, value in zip(model.parameters(), grads, values):
        assert p.grad is grad
        np.testing.assert_array_equal(grad.numpy(), value)


def test_everything_is_put_back_after_an_error_too():
    model, optimizer, loss, loader = task()
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state = gs.get_rng_state().tolist()
    calls = 0

    def failing(output, target):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return loss(output, target)

    with pytest.raises(KeyboardInterrupt):
        find_lr(model, optimizer, failing, loader, start=0.1, steps=9)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert gs.get_rng_state().tolist() == state
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert not optimizer.state


def test_the_suggestion_trains():
    found = find_lr(*task(), start=1e-5, end=100.0, steps=80)
    for how in ("steepest", "minimum"):
        rate = found.suggestion(how)
        assert 1e-4 < rate < 5.0
        model, optimizer, loss, loader = task()
        optimizer.param_groups[0]["lr"] = rate
        x, y = loader.dataset.tensors
        model.eval()
        first = loss(model(x), y).item()
        model.train()
        train(model, optimizer, loss, loader, epochs=10)
        model.eval()
        assert loss(model(x), y).item() < 0.5 * first


def test_the_steepest_place_by_hand():
    rates = [10.0**i for i in range(-5, 1)]
    found = LearningRateFinder(rates, [], [5.0, 5.0, 4.8, 3.0, 2.0, 9.0])
    # Differences to both sides: -0.1, -1.0, -1.4, and -1.0 one-sided at the minimum.
    assert found.suggestion(skip=0) == rates[3]
    assert found.suggestion(skip=4) == rates[3]  # at least two places are looked at
    assert found.suggestion() == rates[3]
    assert found.suggestion("minimum") == pytest.approx(rates[4] / 10)
    with pytest.raises(ValueError, match="the loss never fell"):
        LearningRateFinder(rates, [], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).suggestion()
    with pytest.raises(ValueError, match="'steepest' or 'minimum', got 'best'"):
        found.suggestion("best")


def test_rates_rise_geometrically_and_losses_are_smoothed():
    found = find_lr(*task(), start=1e-4, end=1e-2, steps=5, smoothing=0.5)
    np.testing.assert_allclose(found.rates, [1e-4 * 10 ** (i / 2) for i in range(5)], rtol=1e-12)
    average, expected = 0.0, []
    for i, value in enumerate(found.losses):
        average = 0.5 * average + 0.5 * value
        expected.append(average / (1 - 0.5 ** (i + 1)))
    np.testing.assert_allclose(found.smoothed, expected, rtol=1e-12)
    unsmoothed = find_lr(*task(), steps=5, smoothing=0.0)
    assert unsmoothed.smoothed == unsmoothed.losses


def test_groups_keep_their_proportion():
    model, _, loss, loader = task()
    seen = []

    class Watched(optim.SGD):
        def step(self, closure=None):
            seen.append([g["lr"] for g in self.param_groups])
            return super().step(closure)

    body, head = list(model[0].parameters()), list(model[4].parameters())
    groups = [{"params": body, "lr": 0.1}, {"params": head, "lr": 0.02}]
    optimizer = Watched(groups, lr=0.1)
    found = find_lr(model, optimizer, loss, loader, start=1e-3, steps=4)
    assert [pair[0] for pair in seen] == found.rates
    np.testing.assert_allclose([b / a for a, b in seen], 0.2)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.02]


def test_it_stops_when_the_loss_runs_away():
    model, optimizer, loss, loader = task()
    found = find_lr(model, optimizer, loss, loader, start=1e-3, end=1e6, steps=100)
    assert len(found.rates) < 100
    assert all(math.isfinite(v) for v in found.losses)

    def infinite(output, target):
        return loss(output, target) * math.inf

    with pytest.raises(ValueError, match="the first loss, before any step, is not finite"):
        find_lr(model, optimizer, infinite, loader)


def test_sample_weights_and_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(2, 1)

        def forward(self, a, b):
            return self.line(a + b)

    model = Two()
    loader = [((gs.ones(4, 2), gs.ones(4, 2)), gs.zeros(4, 1), gs.ones(4))]
    weighted = lambda output, target, weights: (
        ((output - target).square().mean(1) * weights).sum() / weights.sum()
    )
    found = find_lr(model, optim.SGD(model.parameters(), lr=0.1), weighted, loader, steps=6)
    assert len(found.rates) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0.0}, "expected 0 < start < end, got 0.0 and 1.0"),
        ({"start": 2.0}, "expected 0 < start < end"),
        ({"steps": 2}, "steps to be at least 3, got 2"),
        ({"smoothing": 1.0}, "expected 0 <= smoothing < 1, got 1.0"),
        ({"stop_factor": 1.0}, "expected stop_factor > 1"),
    ],
)
def test_arguments_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        find_lr(*task(), **options)


def test_an_empty_loader():
    model, optimizer, loss, _ = task()
    with pytest.raises(ValueError, match="the loader gave no batch"):
        find_lr(model, optimizer, loss, [])


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    found = find_lr(*task(), start=1e-5, end=10.0, steps=40)
    figure = found.plot(tmp_path / "rates.png")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[2].get_xdata()[0] == found.suggestion()
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
