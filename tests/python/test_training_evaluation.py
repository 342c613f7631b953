"""Batches of every form, and evaluate and predict."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import gradstone as gs
import gradstone.nn.functional as F
from gradstone import nn, optim
from gradstone.training import Callback, Trainer
from gradstone.utils.data import DataLoader, TensorDataset
from training.fits import Right, data, fit, network


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(gs.ones(()))

    def forward(self, a, b):
        return self.scale * (a + 2 * b)


@pytest.mark.parametrize("kind", ["tuple", "list", "dict"])
def test_several_inputs(kind):
    a, b = gs.arange(4.0), gs.ones(4)
    inputs = {"tuple": (a, b), "list": [a, b], "dict": {"b": b, "a": a}}[kind]
    model = Sum()
    trainer = fit(model, 1, 0.1, nn.MSELoss(), [(inputs, a + 2 * b + 1)])
    # d/ds mean (s v - v - 1)^2 at s = 1 is -2 mean v, with v = 2, 3, 4, 5
    assert model.scale.item() == pytest.approx(1 + 0.1 * 2 * 3.5)
    assert trainer.evaluate([(inputs, (a + 2 * b) * model.scale.item())])["loss"] < 1e-9
    np.testing.assert_allclose(
        trainer.predict([(inputs, a), (inputs, a)]).numpy(),
        model.scale.item() * np.array([2, 3, 4, 5] * 2),
        rtol=1e-6,
    )


def test_sample_weights_reach_the_loss():
    seen = []

    def loss(output, target, weights):
        seen.append(weights.tolist())
        return (F.mse_loss(output, target, reduction="none").mean(1) * weights).mean()

    fit(nn.Linear(2, 2), 1, loss=loss, batches=[(gs.ones(3, 2), gs.ones(3, 2), gs.arange(3.0))])
    assert seen == [[0, 1, 2]]


def test_batches_of_other_forms_are_refused():
    with pytest.raises(TypeError, match=r"\(inputs, targets\).*got a Tensor"):
        fit(nn.Linear(2, 2), batches=[gs.ones(3, 2)])
    with pytest.raises(TypeError, match="got a list of 4"):
        fit(nn.Linear(2, 2), batches=[[gs.ones(3, 2)] * 4])
    with pytest.raises(ValueError, match="gave no batches"):
        fit(nn.Linear(2, 2), batches=DataLoader(TensorDataset(gs.ones(0, 2), gs.ones(0)), 2))
    with pytest.raises(TypeError, match="once for each epoch"):
        fit(nn.Linear(2, 2), batches=iter([]))
    with pytest.raises(ValueError, match=r"scalar, got shape \(8, 2\)"):
        fit(nn.Linear(6, 2), loss=lambda output, target: output)
    with pytest.raises(TypeError, match="loss to be a Tensor, got float"):
        fit(nn.Linear(6, 2), loss=lambda output, target: 1.0)


def test_predict_takes_inputs_alone_and_gives_several_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 2)

        def forward(self, x):
            return x * 2, self.a(x)

    trainer = Trainer(model := Two(), optim.SGD(model.parameters(), 0.1), nn.MSELoss())
    x = data().tensors[0]
    double, _ = trainer.predict([x[:30], x[30:]])
    assert gs.equal(double, x * 2)
    double, other = trainer.predict(DataLoader(data(), 7))
    assert gs.equal(double, x * 2)
    assert other.shape == (50, 2)
    assert not other.requires_grad
    with pytest.raises(ValueError, match="no batches"):
        trainer.predict([])


def test_evaluate_means_over_samples_and_changes_nothing():
    model = network()
    trainer = fit(model, 1, metrics={"accuracy": Right()}, validation=DataLoader(data(), 50))
    model[2].eval()
    found = trainer.evaluate(DataLoader(data(), 7))  # the last batch holds one sample
    model.eval()
    x, y = data().tensors
    output = model(x)
    assert found["loss"] == pytest.approx(F.cross_entropy(output, y).item(), rel=1e-6)
    assert found["accuracy"] == pytest.approx((output.argmax(1) == y).float().mean().item())
    assert found["accuracy"] == pytest.approx(trainer.history["val_accuracy"][0])
    model.train()
    model[2].eval()
    trainer.evaluate(DataLoader(data(), 7))
    assert [m.training for m in model.modules()] == [True, True, True, False, True]


def test_evaluate_inside_an_epoch_leaves_its_sums_alone():
    class Evaluates(Callback):
        def batch_end(self, trainer):
            trainer.evaluate(DataLoader(data(), 7))

    plain = fit(network(), 1, metrics={"accuracy": Right()}, batches=DataLoader(data(), 8))
    other = fit(
        network(), 1, metrics={"accuracy": Right()}, batches=DataLoader(data(), 8),
        callbacks=[Evaluates()],
    )  # fmt: skip
    # Each evaluation draws a seed, so the dropout differs; the count must not.
    assert other.averages.samples == plain.averages.samples == 50
    assert other.metrics["accuracy"].count == 50


def test_metrics_are_read_at_the_end_of_the_epoch_alone():
    reads = []

    class Counts(Right):
        def compute(self):
            reads.append(self.count)
            return super().compute()

    fit(network(), 2, metrics={"accuracy": Counts()}, validation=DataLoader(data(20), 8))
    assert reads == [50, 20, 50, 20]


def test_a_metric_of_many_elements_is_kept_as_lists():
    class Matrix(Right):
        def compute(self):
            return gs.eye(2)

    trainer = fit(network(), 1, metrics={"matrix": Matrix()})
    assert trainer.history["matrix"] == [[[1.0, 0.0], [0.0, 1.0]]]


def test_averaged_weights_are_what_is_evaluated():
    model = network()
    trainer = fit(model, 2, lr=0.5, ema=0.99, validation=DataLoader(data(), 50))
    own = copy.deepcopy(model.state_dict())
    found = trainer.evaluate(DataLoader(data(), 50))["loss"]
    assert found == pytest.approx(trainer.history["val_loss"][-1], rel=1e-6)
    averaged = network()
    averaged.load_state_dict(trainer.ema.averaged_state_dict())
    averaged.eval()
    x, y = data().tensors
    assert found == pytest.approx(F.cross_entropy(averaged(x), y).item(), rel=1e-6)
    for name, value in model.state_dict().items():
        assert gs.equal(value, own[name])
    with gs.no_grad():
        model.eval()
        assert abs(F.cross_entropy(model(x), y).item() - found) > 1e-4
