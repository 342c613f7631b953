"""Trainer.fit does what the loop written by hand does, option by option."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import nn, optim
from gradstone.training import Callback, Trainer, seed_everything
from gradstone.utils.data import DataLoader
from training.fits import Right, data, fit, loader, network


def by_hand(model, epochs=2, lr=0.05, change=None, schedule=None, by_batch=False):
    """The loop, with `change(model)` between backward and step."""
    optimizer = optim.SGD(model.parameters(), lr, momentum=0.9)
    scheduler = schedule and schedule(optimizer)
    gs.manual_seed(2)
    batches = loader()
    losses = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            if change is not None:
                change(model)
            optimizer.step()
            if by_batch:
                scheduler.step()
            total += loss.item() * len(y)
        if scheduler and not by_batch:
            scheduler.step()
        losses.append(total / 50)
    return losses


def assert_same_bits(one, other):
    for name, value in one.state_dict().items():
        assert value.numpy().tobytes() == other.state_dict()[name].numpy().tobytes(), name


def assert_close(one, other, rtol=1e-5, atol=1e-6):
    for name, value in one.state_dict().items():
        np.testing.assert_allclose(
            value.numpy(), other.state_dict()[name].numpy(), rtol, atol, err_msg=name
        )


CHANGES = {
    "nothing": ({}, None),
    "clip_norm": (
        {"clip_norm": 0.1}, lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.1)
    ),
    "clip_value": (
        {"clip_value": 0.01}, lambda m: nn.utils.clip_grad_value_(m.parameters(), 0.01)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_bits_of_the_loop_by_hand(name):
    options, change = CHANGES[name]
    hand, model = network(), network()
    losses = by_hand(hand, change=change)
    trainer = fit(model, **options)
    assert_same_bits(model, hand)
    np.testing.assert_allclose(trainer.history["loss"], losses, rtol=1e-12)


@pytest.mark.parametrize("by_batch", [False, True])
def test_schedules_by_epoch_and_by_batch(by_batch):
    hand, model = network(), network()
    schedule = lambda o: optim.lr_scheduler.StepLR(o, 3, gamma=0.5)
    by_hand(hand, 4, schedule=schedule, by_batch=by_batch)
    trainer = fit(model, 4, schedule=schedule, scheduler_step="batch" if by_batch else "epoch")
    assert_same_bits(model, hand)
    if not by_batch:
        assert trainer.history["lr"] == [0.05, 0.05, 0.05, 0.025]


def test_a_plateau_gets_the_monitored_value():
    seen = []

    class Plateau(optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(metrics)
            super().step(metrics, epoch)

    trainer = fit(network(), 3, validation=loader(), schedule=lambda o: Plateau(o, patience=0))
    assert seen == trainer.history["val_loss"]
    seen.clear()
    trainer = fit(network(), 3, schedule=lambda o: Plateau(o, patience=0))
    assert seen == trainer.history["loss"]


@pytest.mark.parametrize("count", [48, 50, 60])
def test_accumulation_is_one_large_batch(count):
    """Also where the last group, or its last batch, is short."""
    whole = nn.Linear(6, 2)
    parts = copy.deepcopy(whole)
    fit(whole, 3, batches=DataLoader(data(count), 24))
    trainer = fit(parts, 3, batches=DataLoader(data(count), 8), accumulate=3)
    assert_close(parts, whole)
    assert trainer.step == 3 * -(-count // 24)
    assert trainer.batch == -(-count // 8)
    batch = (gs.ones(4, 6), gs.ones(4).long())
    assert fit(network(), 1, batches=[batch] * 6, accumulate=3).step == 2  # one object, six times


def test_penalties_are_of_weights_alone_and_not_in_the_loss():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)

        def forward(self, x):
            return self.last(self.norm(self.first(x)))

    gs.manual_seed(1)
    model = Net()
    before = copy.deepcopy(model.state_dict())
    trainer = fit(
        model, 1, 0.1, batches=DataLoader(data(), 50), l1=0.01, l2=0.1,
        optimizer=optim.SGD(model.parameters(), 0.1),
    )  # fmt: skip
    other = Net()
    other.load_state_dict(before)
    loss = F.cross_entropy(other(data().tensors[0]), data().tensors[1])
    loss.backward()
    penalty = 0.0
    for name, param in other.named_parameters():
        weight, grad = param.detach().numpy(), param.grad.numpy()
        if name in ("first.weight", "last.weight"):
            grad = grad + 0.01 * np.sign(weight) + 0.2 * weight
            penalty += 0.01 * np.abs(weight).sum() + 0.1 * np.square(weight).sum()
        got = model.state_dict()[name].numpy()
        np.testing.assert_allclose(got, weight - 0.1 * grad, rtol=1e-5, atol=1e-6, err_msg=name)
    assert trainer.history["loss"] == [pytest.approx(loss.item(), rel=1e-6)]
    assert trainer.history["penalty"] == [pytest.approx(penalty, rel=1e-6)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_follow_float32(precision):
    full, low = network(), network()
    kinds = []

    class Looks(Callback):
        def before_backward(self, trainer):
            kinds.append(trainer.output.dtype)

    wanted = fit(full, 3).history["loss"]
    trainer = fit(low, 3, precision=precision, callbacks=[Looks()])
    assert set(kinds) == {gs.bfloat16 if precision == "bf16" else gs.float16}
    assert (trainer.compute.scaler is not None) == (precision == "fp16")
    # Not more: the scaler skips steps until its scale fits.
    np.testing.assert_allclose(trainer.history["loss"], wanted, rtol=0.1)
    assert {p.dtype for p in low.parameters()} == {gs.float32}
    assert trainer.predict(loader()).dtype in kinds


def test_sixteen_bits_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="'bf16', 'fp16' or None.*'float16'"):
        fit(network(), precision="float16")
    with pytest.raises(ValueError, match=r"'0.weight' is .*float64: call model.float"):
        fit(network().double(), precision="bf16")


def test_mixing_keeps_the_form_of_what_is_measured():
    targets = []

    class Looks(Right):
        def update(self, output, target):
            targets.append(target.dtype)
            super().update(output, target)

    def mix(x, y):
        return x * 0, F.one_hot(y, 2).float()

    trainer = fit(network(), 1, metrics={"right": Looks()}, mix=mix)
    assert set(targets) == {gs.int64}
    assert float(trainer.inputs.abs().sum()) == 0
    assert trainer.targets.dtype == gs.float32


def test_a_seed_decides_everything():
    def run(seed):
        model = network()
        trainer = Trainer(
            model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), seed=seed,
            progress=False,
        )  # fmt: skip
        gs.rand(random.randrange(1, 5))
        trainer.fit(loader(), 1)
        return model, (random.random(), np.random.rand())

    (one, drawn), (two, again), (other, _) = run(5), run(5), run(6)
    assert_same_bits(one, two)
    assert drawn == again
    assert not gs.equal(one[0].weight, other[0].weight)
    seed_everything(9)
    first = gs.rand(2).tolist(), random.random(), np.random.rand()
    seed_everything(9)
    assert (gs.rand(2).tolist(), random.random(), np.random.rand()) == first
    with pytest.raises(ValueError, match="whole number"):
        seed_everything(-1)


def test_fast_dev_run_does_one_batch_of_everything_and_writes_nothing(tmp_path):
    seen = []

    class Writes(Callback):
        writes_files = True

        def fit_start(self, trainer):
            raise AssertionError("called")

    class Looks(Callback):
        def batch_end(self, trainer):
            seen.append("train")

        def epoch_end(self, trainer):
            seen.append(sorted(trainer.logs))

    trainer = fit(
        network(), 5, validation=loader(), fast_dev_run=True, checkpoint_dir=tmp_path / "new",
        callbacks=[Writes(), Looks()],
    )  # fmt: skip
    assert seen == [
        "train", ["epoch", "loss", "lr", "samples_per_second", "seconds", "val_loss"]
    ]  # fmt: skip
    assert trainer.step == 1
    assert not (tmp_path / "new").exists()


def test_the_program_that_measures_what_fit_costs():
    """Its timing is for a quiet machine; that both loops end with the same bits is for any."""
    program = Path(__file__).resolve().parents[2] / "bench" / "trainer_overhead.py"
    options = ["--steps", "5", "--limit", "1000"]
    done = subprocess.run(
        [sys.executable, str(program), *options], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bits" in done.stdout


def test_wrong_arguments_are_refused():
    model = network()
    optimizer, loss = optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()

    def make(*args, **options):
        return Trainer(model, *(args or (optimizer, loss)), **options)

    with pytest.raises(TypeError, match="expected an Optimizer, got type"):
        make(optim.SGD, loss)
    with pytest.raises(TypeError, match="loss to be a function"):
        make(optimizer, "mse")
    with pytest.raises(TypeError, match="metrics to be a dict"):
        make(metrics=[Right()])
    with pytest.raises(TypeError, match="'accuracy' is <class"):
        make(metrics={"accuracy": Right})
    with pytest.raises(ValueError, match="'loss' is taken"):
        make(metrics={"loss": Right()})
    with pytest.raises(TypeError, match="the class Callback: make one"):
        make(callbacks=[Callback])
    with pytest.raises(TypeError, match="got int"):
        make(callbacks=[3])
    with pytest.raises(ValueError, match="accumulate"):
        make(accumulate=0)
    with pytest.raises(ValueError, match="'epoch' or 'batch'"):
        make(scheduler_step="step")
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        make(
            scheduler=optim.lr_scheduler.ReduceLROnPlateau(optimizer), scheduler_step="batch"
        )  # fmt: skip
    with pytest.raises(ValueError, match="clip_norm to be above 0"):
        make(clip_norm=0.0)
    with pytest.raises(ValueError, match="l1 >= 0"):
        make(l1=-1.0)
    with pytest.raises(ValueError, match="max_time"):
        make(max_time=0)
    with pytest.raises(ValueError, match="needs checkpoint_dir"):
        make(checkpoint_every=5)
    with pytest.raises(ValueError, match="epochs"):
        make().fit(loader(), 0)
