"""Starting values: bounds, variances and special matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone.nn import init


@pytest.fixture(autouse=True)
def seed():
    gs.manual_seed(0)


def test_gains():
    assert init.calculate_gain("linear") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError):
        init.calculate_gain("cosine")


def test_xavier_and_kaiming_bounds():
    w = gs.empty(64, 32, 3, 3)
    fan_in, fan_out = 32 * 9, 64 * 9
    for fill, bound in [
        (init.xavier_uniform_, math.sqrt(6 / (fan_in + fan_out))),
        (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(6 / fan_in)),
        (lambda t: init.kaiming_uniform_(t, mode="fan_out", a=1), math.sqrt(3 / fan_out)),
    ]:
        assert fill(w) is w
        top = w.abs().max().item()
        assert 0.99 * bound < top <= bound
        assert abs(w.std().item() - bound / math.sqrt(3)) < 0.02 * bound
    for fill, std in [
        (init.xavier_normal_, math.sqrt(2 / (fan_in + fan_out))),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / fan_in)),
        (lambda t: init.normal_(t, 0, 0.3), 0.3),
    ]:
        fill(w)
        assert abs(w.std().item() - std) < 0.03 * std


def test_constants():
    w = gs.empty(3, 2, requires_grad=True)
    assert init.ones_(w).tolist() == [[1, 1]] * 3
    assert init.zeros_(w).tolist() == [[0, 0]] * 3
    assert init.constant_(w, 2.5).tolist() == [[2.5, 2.5]] * 3
    assert init.eye_(w).tolist() == [[1, 0], [0, 1], [0, 0]]
    assert w.grad_fn is None


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (4, 2, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(gs.empty(*shape, dtype=gs.float64), gain=2.0).numpy()
    w = w.reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_truncated_normal():
    w = init.trunc_normal_(gs.empty(20_000), std=1.0, a=-1.0, b=2.0).numpy()
    assert w.min() >= -1
    assert w.max() <= 2
    # Mean of a standard normal within [-1, 2]: (phi(-1) - phi(2)) / (Phi(2) - Phi(-1)).
    assert abs(w.mean() - 0.2297) < 0.02


def test_dirac_passes_channels_through():
    w = init.dirac_(gs.empty(3, 2, 3, 3))
    x = gs.randn(1, 2, 5, 5)
    out = gs.nn.functional.conv2d(x, w, padding=1)
    assert gs.equal(out[:, :2], x)
    assert out[:, 2].abs().max().item() == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="fewer than 2"):
        init.xavier_uniform_(gs.empty(3))
    with pytest.raises(ValueError, match="Mode"):
        init.kaiming_uniform_(gs.empty(3, 3), mode="fan")
    with pytest.raises(ValueError):
        init.eye_(gs.empty(3))
    with pytest.raises(ValueError):
        init.orthogonal_(gs.empty(3))


def test_default_values_of_layers():
    linear = gs.nn.Linear(100, 50)
    bound = 1 / math.sqrt(100)
    for p in linear.parameters():
        assert p.abs().max().item() <= bound
    assert abs(linear.weight.std().item() - bound / math.sqrt(3)) < 0.05 * bound
    conv = gs.nn.Conv2d(16, 32, 3)
    assert conv.weight.abs().max().item() <= 1 / math.sqrt(144)
    lstm = gs.nn.LSTM(4, 25)
    assert all(p.abs().max().item() <= 0.2 for p in lstm.parameters())
    table = gs.nn.Embedding(200, 50, padding_idx=3)
    assert abs(table.weight.std().item() - 1) < 0.05
    assert table.weight[3].abs().sum().item() == 0
