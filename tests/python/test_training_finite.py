"""A number that is not finite stops the fit, and the layer that made it is named."""

from __future__ import annotations

import copy

import pytest

import gradstone as gs
from gradstone import nn, optim
from gradstone.training import Trainer


class Root(nn.Module):
    """Its derivative at 0 is infinite."""

    def forward(self, x):
        return (x * 0).sqrt() + x


class Quotient(nn.Module):
    def forward(self, x):
        return x / (x.relu() * 0)


def fit(model, loss=None, x=None, lr=0.1, **options):
    gs.manual_seed(0)
    x = gs.rand(4, 3) + 0.1 if x is None else x
    trainer = Trainer(
        model, optim.SGD(model.parameters(), lr), loss or nn.MSELoss(), progress=False, **options
    )
    return trainer.fit([(x, gs.zeros(4, 2))], 3)


def network(middle):
    gs.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), middle, nn.ReLU(), nn.Linear(5, 2))


def test_the_layer_with_the_first_output_that_is_not_finite():
    model = network(nn.Sequential(nn.Tanh(), Quotient()))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        FloatingPointError, match=r"loss is .*layer '1.1' \(Quotient\) is the first"
    ):
        fit(model)
    for name, value in model.state_dict().items():
        assert gs.equal(value, before[name])


def test_the_layer_with_the_first_gradient_that_is_not_finite():
    model = network(Root())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        FloatingPointError, match=r"gradients are not finite.*layer '1' \(Root\) is the first"
    ):
        fit(model)
    for name, value in model.state_dict().items():
        assert gs.equal(value, before[name])


def test_gradients_are_looked_at_when_they_are_clipped():
    with pytest.raises(FloatingPointError, match="Root"):
        fit(network(Root()), clip_norm=1.0)
    with pytest.raises(FloatingPointError, match="Root"):
        fit(network(Root()), clip_value=1.0)


def test_dropout_is_the_same_when_the_batch_is_computed_again():
    """Whether a number overflows depends on which are dropped."""

    class Overflows(nn.Module):
        def forward(self, x):
            return x + (x == 0).float() * 1e38 * 100

    for seed in range(8):
        gs.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.1), Overflows(), nn.Linear(1, 2))
        try:
            fit(model)
        except FloatingPointError as error:
            assert "layer '2' (Overflows)" in str(error)
            break
    else:
        raise AssertionError("no seed dropped anything")


def test_what_is_no_layer_is_named_too():
    with pytest.raises(FloatingPointError, match="inputs already hold"):
        fit(network(nn.Tanh()), x=gs.full((4, 3), float("nan")))
    with pytest.raises(FloatingPointError, match="the loss function"):
        fit(network(nn.Tanh()), loss=lambda output, target: (output.relu() * 0).log().mean())
    model = network(nn.Tanh())
    with gs.no_grad():
        model[3].bias.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match="parameter '3.bias' is not finite"):
        fit(model)


def test_layers_that_write_in_place_are_no_hindrance():
    gs.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True), Root(), nn.Linear(5, 2))
    with pytest.raises(FloatingPointError, match=r"Root|parameter '0\.") as caught:
        fit(model)
    assert "gradient" in str(caught.value)


def test_a_rate_that_is_too_large_is_found():
    with pytest.raises(FloatingPointError, match="not finite|loss is"):
        gs.manual_seed(0)
        model = network(nn.Tanh())
        Trainer(
            model, optim.SGD(model.parameters(), 1e30), nn.MSELoss(), progress=False
        ).fit([(gs.rand(4, 3), gs.zeros(4, 2))] * 20, 3)  # fmt: skip


def test_where_looking_waits_the_loss_is_looked_at_now_and_then():
    """As on a GPU: 50 batches later, or at the end of the epoch, the layer is still named."""
    for count, seen in ((60, 50), (20, 20)):
        model = network(Quotient())
        trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.MSELoss(), progress=False)
        trainer.compute._always, trainer.compute._sometimes = False, True
        with pytest.raises(FloatingPointError, match="parameter '.*' is not finite|Quotient"):
            trainer.fit([(gs.rand(4, 3), gs.zeros(4, 2))] * count, 1)
        assert trainer.batch in (seen - 1, seen)


def test_it_may_be_left_out():
    history = fit(network(Quotient()), check_finite=False)
    assert len(history) == 3


def test_float16_leaves_infinite_gradients_to_the_scaler():
    model = network(nn.Tanh())
    trainer = Trainer(
        model, optim.SGD(model.parameters(), 0.1), nn.MSELoss(), progress=False, precision="fp16"
    )
    trainer.fit([(gs.rand(4, 3) * 100, gs.full((4, 2), 500.0))] * 6, 1)
    assert trainer.compute.scaler.get_scale() < 65536
