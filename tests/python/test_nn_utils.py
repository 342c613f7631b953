"""Clipping gradients, parameters as one vector, weights in normalised form."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn


def test_clipping_and_vectors():
    a, b = nn.Parameter(gs.zeros(2)), nn.Parameter(gs.zeros(2))
    a.grad, b.grad = gs.tensor([3.0, 0.0]), gs.tensor([0.0, 4.0])
    norm = nn.utils.clip_grad_norm_([a, b], 1.0)
    assert norm.item() == 5
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), [0, 0.8], rtol=1e-5)
    assert nn.utils.clip_grad_norm_([a, b], 10.0, norm_type=float("inf")).item() == pytest.approx(
        0.8
    )
    nn.utils.clip_grad_value_([a, b], 0.5)
    assert a.grad.tolist() == [0.5, 0]
    a.grad = gs.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
    vector = nn.utils.parameters_to_vector([a, b])
    nn.utils.vector_to_parameters(gs.arange(4.0), [a, b])
    assert vector.shape == (4,)
    assert b.tolist() == [2, 3]
    with pytest.raises(ValueError, match="4 elements"):
        nn.utils.vector_to_parameters(gs.zeros(3), [a, b])


@pytest.mark.parametrize(("dim", "shape"), [(0, (4, 1)), (1, (1, 3)), (None, ())])
def test_weight_norm(dim, shape):
    layer, x = nn.Linear(3, 4).double(), gs.randn(5, 3, dtype=gs.float64)
    want = layer(x)
    assert nn.utils.weight_norm(layer, dim=dim) is layer
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert tuple(layer.weight_g.shape) == shape
    assert gs.allclose(layer(x), want)
    with gs.no_grad():
        layer.weight_v.mul_(3)  # the direction alone counts
        layer.weight_g.mul_(2)
    assert gs.allclose(layer(x) - layer.bias, 2 * (want - layer.bias))
    layer(x).sum().backward()
    assert layer.weight_g.grad is not None and layer.weight_v.grad is not None
    other = nn.utils.weight_norm(nn.Linear(3, 4).double(), dim=dim)
    other.load_state_dict(layer.state_dict())
    assert gs.equal(other(x), layer(x))
    want = layer(x)
    nn.utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and gs.allclose(layer(x), want)


def largest_singular_value(weight):
    return np.linalg.svd(weight.detach().numpy().reshape(weight.shape[0], -1))[1][0]


def test_spectral_norm():
    gs.manual_seed(0)
    layer, x = nn.Conv2d(2, 3, 3).double(), gs.randn(1, 2, 5, 5, dtype=gs.float64)
    weight = layer.weight.detach().clone()
    nn.utils.spectral_norm(layer, n_power_iterations=3)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert [n for n, _ in layer.named_parameters()] == ["bias", "weight_orig"]
    for _ in range(30):
        y = layer(x)
    assert largest_singular_value(layer.weight) == pytest.approx(1.0, abs=1e-6)
    assert gs.allclose(layer.weight, weight / largest_singular_value(weight))
    before = layer.weight_u.clone()
    y.sum().backward()  # the forwards behind it have not written over what it needs
    layer.eval()(x)
    assert gs.equal(layer.weight_u, before)
    copied = copy.deepcopy(nn.utils.spectral_norm(nn.Linear(3, 2)).eval())
    assert copied.weight_orig.requires_grad
    nn.utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert largest_singular_value(layer.weight) == pytest.approx(1.0, abs=1e-6)
    across = nn.utils.spectral_norm(nn.ConvTranspose2d(2, 3, 3))
    assert across.weight_u.shape == (3,) and across.weight_v.shape == (18,)


def test_two_graphs_of_one_spectral_norm():
    """A discriminator sees real and made images before one backward."""
    layer = nn.utils.spectral_norm(nn.Linear(3, 2).double())
    x = gs.randn(4, 3, dtype=gs.float64)
    layer.eval()
    both = layer(x).sum() + layer(2 * x).sum()
    layer.train()
    (layer(x).sum() + layer(2 * x).sum()).backward()
    both.backward()
    assert layer.weight_orig.grad is not None


def test_normalised_weights_of_recurrent_layers():
    layer, x = nn.LSTM(3, 2), gs.randn(4, 1, 3)
    want = layer(x)[0]
    nn.utils.weight_norm(layer, "weight_hh_l0")
    assert gs.allclose(layer(x)[0], want)
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0_g.grad is not None


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_normalised_weights_that_are_refused(norm):
    layer = norm(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="weight of Linear has it already"):
        norm(layer)
    with pytest.raises(ValueError, match=r"which has \['weight', 'bias'\], got 'w'"):
        norm(nn.Linear(3, 2), "w")
    with pytest.raises(ValueError, match=r"dim to be one of weight of shape \(2, 3\), got 2"):
        norm(nn.Linear(3, 2), dim=2)
    remove = getattr(nn.utils, f"remove_{norm.__name__}")
    with pytest.raises(ValueError, match="none to remove"):
        remove(nn.Linear(3, 2))
