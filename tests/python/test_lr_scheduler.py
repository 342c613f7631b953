"""Schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.optim import lr_scheduler as S


def optimizer(lr=0.1, kind="SGD", **options):
    return getattr(optim, kind)([nn.Parameter(gs.zeros(1))], lr=lr, **options)


def rates(make, steps, kind="SGD", **options):
    o = optimizer(kind=kind, **options)
    schedule = make(o)
    out = []
    for _ in range(steps):
        out.append(o.param_groups[0]["lr"])
        assert schedule.get_last_lr() == [out[-1]]
        o.step()
        schedule.step()
    return out


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (lambda o: S.StepLR(o, 3, 0.5), lambda t: 0.1 * 0.5 ** (t // 3)),
        (
            lambda o: S.MultiStepLR(o, [2, 5, 5], 0.1),
            lambda t: 0.1 * 0.1 ** ((t >= 2) + 2 * (t >= 5)),
        ),
        (lambda o: S.PolynomialLR(o, 4, 2.0), lambda t: 0.1 * (1 - min(t, 4) / 4) ** 2),
        (lambda o: S.MultiplicativeLR(o, lambda t: 1 / t), lambda t: 0.1 / math.factorial(t)),
        (
            lambda o: S.ChainedScheduler([S.StepLR(o, 3, 0.5), S.ExponentialLR(o, 0.9)]),
            lambda t: 0.1 * 0.5 ** (t // 3) * 0.9**t,
        ),
        (lambda o: S.ExponentialLR(o, 0.9), lambda t: 0.1 * 0.9**t),
        (
            lambda o: S.CosineAnnealingLR(o, 7, 0.01),
            lambda t: 0.01 + 0.09 * (1 + math.cos(math.pi * t / 7)) / 2,
        ),
        (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.1 / (1 + t)),
        (lambda o: S.LinearLR(o, 0.5, 1.0, 4), lambda t: 0.1 * (0.5 + 0.5 * min(t, 4) / 4)),
        (lambda o: S.ConstantLR(o, 0.5, 4), lambda t: 0.1 * (0.5 if t < 4 else 1)),
        (
            lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 9), S.ExponentialLR(o, 0.9)], [3]),
            lambda t: 0.01 if t < 3 else 0.1 * 0.9 ** (t - 3),
        ),
    ],
)
def test_closed_forms(make, form):
    assert rates(make, 16) == pytest.approx([form(t) for t in range(16)], rel=1e-12)


def one_cycle(t, total, start=0.3, high=0.5):
    low, least = high / 25, high / 25 / 1e4
    rise = start * total - 1
    if t <= rise:
        a, b, part = low, high, t / rise
    else:
        a, b, part = high, least, (t - rise) / (total - 1 - rise)
    return b + (a - b) / 2 * (math.cos(math.pi * part) + 1)


def test_one_cycle():
    got = rates(lambda o: S.OneCycleLR(o, 0.5, total_steps=20), 20, momentum=0.9)
    assert got == pytest.approx([one_cycle(t, 20) for t in range(20)], rel=1e-10)
    o = optimizer(kind="Adam")
    schedule = S.OneCycleLR(o, 0.5, epochs=2, steps_per_epoch=5)
    assert o.param_groups[0]["betas"][0] == 0.95
    for _ in range(2):
        o.step()
        schedule.step()
    assert o.param_groups[0]["betas"][0] == pytest.approx(0.85)
    for _ in range(8):
        schedule.step()
    with pytest.raises(ValueError, match="total steps"):
        schedule.step()


def test_one_cycle_arguments():
    with pytest.raises(ValueError, match="total_steps OR"):
        S.OneCycleLR(optimizer(), 0.1)
    with pytest.raises(ValueError, match="pct_start"):
        S.OneCycleLR(optimizer(), 0.1, total_steps=5, pct_start=2.0)
    with pytest.raises(ValueError, match="anneal_strategy"):
        S.OneCycleLR(optimizer(), 0.1, total_steps=5, anneal_strategy="step")


def test_plateau():
    o = optimizer(lr=1.0)
    schedule = S.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for metric in [1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]:
        schedule.step(metric)
        seen.append(o.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]
    up = S.ReduceLROnPlateau(optimizer(), "max", patience=0, threshold=0.1, threshold_mode="abs")
    assert up.is_better(1.2, 1.0)
    assert not up.is_better(1.05, 1.0)
    with pytest.raises(ValueError, match="Factor"):
        S.ReduceLROnPlateau(optimizer(), factor=1.0)
    with pytest.raises(ValueError, match="mode"):
        S.ReduceLROnPlateau(optimizer(), "least")


@pytest.mark.parametrize(
    "make",
    [
        lambda o: S.StepLR(o, 3),
        lambda o: S.CosineAnnealingLR(o, 9),
        lambda o: S.MultiStepLR(o, [4, 6]),
        lambda o: S.OneCycleLR(o, 0.5, total_steps=20, cycle_momentum=False),
        lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2),
        lambda o: S.CyclicLR(o, 0.1, 0.5, 2, 3, "exp_range", 0.9, cycle_momentum=False),
        lambda o: S.PolynomialLR(o, 9, 2.0),
        lambda o: S.MultiplicativeLR(o, lambda t: 1 / t),
        lambda o: S.ChainedScheduler([S.StepLR(o, 3), S.ExponentialLR(o, 0.9)]),
    ],
)
def test_state_goes_on(make):
    want = rates(make, 12)
    o = optimizer()
    first = make(o)
    for _ in range(5):
        o.step()
        first.step()
    other = optimizer()
    second = make(other)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(o.state_dict())
    got = []
    for _ in range(7):
        got.append(other.param_groups[0]["lr"])
        other.step()
        second.step()
    assert got == pytest.approx(want[5:], rel=1e-12)


def test_misuse():
    with pytest.raises(TypeError, match="not an Optimizer"):
        S.StepLR(3, 1)
    with pytest.raises(KeyError, match="initial_lr"):
        S.StepLR(optimizer(), 3, last_epoch=4)
    with pytest.raises(ValueError, match="Expected 1 lr_lambdas"):
        S.LambdaLR(optimizer(), [abs, abs])
    schedule = S.StepLR(optimizer(), 3)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        schedule.step()


def test_constant_factor_after_another_schedule():
    """SequentialLR begins a schedule from the initial rate, whatever the rate is then."""
    o = optimizer(0.1)
    schedule = S.SequentialLR(o, [S.ExponentialLR(o, 0.5), S.ConstantLR(o, 0.2, 2)], [3])
    got = []
    for _ in range(7):
        got.append(o.param_groups[0]["lr"])
        o.step()
        schedule.step()
    assert got == pytest.approx([0.1, 0.05, 0.025, 0.02, 0.02, 0.1, 0.1])


def test_warm_restarts():
    def want(t):
        start, length = (0, 2) if t < 2 else (2, 6) if t < 8 else (8, 18)
        return 0.01 + 0.09 * (1 + math.cos(math.pi * (t - start) / length)) / 2

    assert rates(lambda o: S.CosineAnnealingWarmRestarts(o, 2, 3, 0.01), 26) == pytest.approx(
        [want(t) for t in range(26)]
    )
    o = optimizer()
    schedule = S.CosineAnnealingWarmRestarts(o, 2, 3, 0.01)
    o.step()
    for epoch in (0.5, 7.5, 8.25, 1.0):
        schedule.step(epoch)
        assert schedule.get_last_lr() == pytest.approx([want(epoch)])
        assert schedule.last_epoch == int(epoch)
    for epoch in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="expected epoch >= 0"):
            schedule.step(epoch)
    with pytest.raises(ValueError, match="T_0"):
        S.CosineAnnealingWarmRestarts(optimizer(), 0)


@pytest.mark.parametrize(
    ("mode", "factor"),
    [
        ("triangular", lambda t: 1),
        ("triangular2", lambda t: 0.5 ** (t // 5)),
        ("exp_range", lambda t: 0.9**t),
    ],
)
def test_cycles(mode, factor):
    def height(t):
        t %= 5
        return t / 2 if t <= 2 else (5 - t) / 3

    got = rates(
        lambda o: S.CyclicLR(o, 0.2, 0.5, 2, 3, mode, 0.9, cycle_momentum=False), 17, kind="Adam"
    )
    assert got == pytest.approx([0.2 + 0.3 * height(t) * factor(t) for t in range(17)])


def test_cycles_move_the_momentum_and_check_their_arguments():
    o = optimizer(momentum=0.5)
    schedule = S.CyclicLR(o, 0.1, 0.5, 2, base_momentum=0.6, max_momentum=0.8)
    seen = []
    for _ in range(5):
        seen.append(o.param_groups[0]["momentum"])
        o.step()
        schedule.step()
    assert seen == pytest.approx([0.8, 0.7, 0.6, 0.7, 0.8])
    o = optimizer(kind="Adam")
    own = S.CyclicLR(o, 0.1, 0.5, 1, scale_fn=lambda cycle: cycle)
    o.step()
    own.step(3)
    assert own.get_last_lr() == pytest.approx([0.1 + 0.4 * 2])
    for bad in ({"mode": "square"}, {"step_size_up": 0}, {"scale_mode": "steps"}):
        o = optimizer(momentum=0.5)
        with pytest.raises(ValueError, match=next(iter(bad))):
            S.CyclicLR(o, 0.2, 0.5, **bad)
        assert o.param_groups[0]["lr"] == 0.1
    with pytest.raises(ValueError, match="max_lr must have 1 values"):
        S.CyclicLR(optimizer(), 0.1, [0.1, 0.2])


def test_several_schedules_belong_to_one_optimizer():
    with pytest.raises(ValueError, match="one optimizer"):
        S.ChainedScheduler([S.StepLR(optimizer(), 1), S.StepLR(optimizer(), 1)])
    with pytest.raises(ValueError, match="at least one"):
        S.ChainedScheduler([])
