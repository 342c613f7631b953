"""Functions of nn.functional that are written in Python, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.nn import functional as F


def randn(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def test_prelu_has_the_negative_slope_at_zero():
    x = gs.tensor([[-2.0, 0.0, 3.0]], requires_grad=True)
    weight = gs.tensor([0.5, 0.25, 0.125], requires_grad=True)
    y = F.prelu(x, weight)
    y.sum().backward()
    assert y.tolist() == [[-1.0, 0.0, 3.0]]
    assert x.grad.tolist() == [[0.5, 0.25, 1.0]]
    assert weight.grad.tolist() == [-2.0, 0.0, 0.0]
    weight.grad = None
    F.prelu(gs.tensor([[float("inf"), -1.0, 1.0]]), weight).sum().backward()
    assert weight.grad.tolist() == [0.0, -1.0, 0.0]
    assert nn.PReLU()(gs.tensor(-4.0)).shape == ()
    for shape in ((2,), (1, 1)):
        with pytest.raises(ValueError, match=r"expected weight of shape \(1,\) or \(3,\)"):
            F.prelu(x, gs.ones(shape))


def test_glu_halves_an_empty_dimension():
    assert F.glu(gs.ones(0, 4), 0).shape == (0, 4)
    assert F.glu(gs.ones(0, 4)).shape == (0, 2)


def test_cosine_similarity_broadcasts_before_it_sums():
    a, b = randn(1, 4), randn(3, 4)
    want = (a * b).sum(0) / (np.sqrt(3) * np.abs(a[0]) * np.linalg.norm(b, axis=0))
    got = F.cosine_similarity(gs.tensor(a), gs.tensor(b), dim=0)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    pairs = F.cosine_similarity(gs.tensor(a[:, None]), gs.tensor(b[None]), dim=-1)
    assert pairs.shape == (1, 3)


@pytest.mark.parametrize("shapes", [((2, 3), (4,)), ((2, 3), (1, 4)), ((2, 4), (2, 4))])
def test_bilinear_refuses_shapes_that_do_not_match(shapes):
    with pytest.raises(ValueError, match=r"shapes \(\.\.\., 3\) and \(\.\.\., 4\)"):
        F.bilinear(gs.ones(shapes[0]), gs.ones(shapes[1]), gs.ones(5, 3, 4))


def test_unfold_without_a_batch():
    x = gs.tensor(randn(3, 5, 6))
    assert gs.equal(F.unfold(x, (2, 3)), F.unfold(x[None], (2, 3))[0])
    with pytest.raises(ValueError, match=r"\[unfold\] expected input of shape \(N, C, H, W\)"):
        F.unfold(x[0], 2)


def test_max_pool1d_with_positions():
    x = gs.tensor([[1.0, 5.0, 2.0, 4.0, 3.0]], requires_grad=True)
    y, where = F.max_pool1d(x, 2, padding=1, return_indices=True)
    assert y.tolist() == [[1.0, 5.0, 4.0]]
    assert where.tolist() == [[0, 1, 3]]
    y.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, 0.0, 1.0, 0.0]]
    layer = nn.MaxPool1d(3, 1, dilation=2, return_indices=True)
    assert layer(x)[1].tolist() == [[4]]


def test_instance_norm_takes_pytorchs_arguments():
    x, weight, bias = gs.tensor(randn(2, 3, 4)), gs.tensor(randn(3)), gs.tensor(randn(3))
    mean, var = gs.zeros(3, dtype=gs.float64), gs.ones(3, dtype=gs.float64)
    centre, spread = x.mean(2, keepdim=True), x.var(2, keepdim=True)
    want = (x - centre) / (spread * 3 / 4 + 1e-5).sqrt() * weight[:, None] + bias[:, None]
    assert gs.allclose(F.instance_norm(x, None, None, weight, bias), want)
    assert gs.allclose(F.instance_norm(x, mean, var, weight, bias, momentum=0.25), want)
    assert gs.allclose(mean, 0.25 * centre.mean(0)[:, 0])
    assert gs.allclose(var, 0.75 + 0.25 * spread.mean(0)[:, 0])
    by_running = F.instance_norm(x, mean, var, use_input_stats=False)
    assert gs.allclose(by_running, (x - mean[:, None]) / (var[:, None] + 1e-5).sqrt())
    with pytest.raises(ValueError, match="more than 1 value in each channel"):
        F.instance_norm(gs.ones(2, 3, 1))


def test_losses_take_pytorchs_positions():
    x, target = gs.tensor([0.5, -1.0]), gs.tensor([1.0, -1.0])
    assert F.hinge_embedding_loss(x, target, 1.0, None, None, "sum").item() == 2.5
    assert nn.HingeEmbeddingLoss(1.0, None, False)(x, target).tolist() == [0.5, 2.0]
    assert F.margin_ranking_loss(x, x, target, 0.5, None, None, "sum").item() == 1.0
    assert nn.MarginRankingLoss(0.5, False)(x, x, target).item() == 1.0
    a, p, n = gs.tensor([[0.0]]), gs.tensor([[2.0]]), gs.tensor([[3.0]])
    assert nn.TripletMarginLoss(2.0)(a, p, n).item() == pytest.approx(1.0, abs=1e-5)
    assert nn.TripletMarginLoss(2.0, swap=True)(a, p, n).item() == pytest.approx(3.0, abs=1e-5)
    weight = gs.tensor([1.0, 3.0])
    assert F.huber_loss(x, target, delta=10.0, weight=weight).item() == 0.25 / 8


def test_softmax_over_channels():
    x = gs.tensor(randn(2, 3, 4, 5))
    assert gs.allclose(nn.Softmax2d()(x).sum(1), gs.ones(2, 4, 5, dtype=gs.float64))
    with pytest.raises(ValueError, match=r"\[Softmax2d\] expected input of shape"):
        nn.Softmax2d()(x[0, 0])


def test_margins():
    a, b = randn(4, 3), randn(4, 3) + 1
    x = gs.tensor(a)
    sign = gs.tensor([1, -1, 1, -1])
    loss = nn.SoftMarginLoss()(x, sign[:, None])
    assert loss.item() == pytest.approx(np.log1p(np.exp(-np.array(sign)[:, None] * a)).mean())
    labels = gs.tensor((b > 1).astype(float))
    loss = nn.MultiLabelSoftMarginLoss()(x, labels)
    assert loss.item() == pytest.approx(F.binary_cross_entropy_with_logits(x, labels).item())
    target = gs.tensor([0, 2, 1, 1])
    rows = [
        sum(max(0.0, 0.5 - row[t] + v) ** 2 for j, v in enumerate(row) if j != t) / 3
        for row, t in zip(a, target.tolist())
    ]
    got = nn.MultiMarginLoss(2, 0.5, reduction="none")(x, target)
    np.testing.assert_allclose(got.numpy(), rows, rtol=1e-12)
    for wrong in (
        lambda: F.multi_margin_loss(x, gs.ones(3).long()),
        lambda: F.multi_margin_loss(x, target, 3),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()
    with pytest.raises(IndexError):
        F.multi_margin_loss(x, target + 7)
