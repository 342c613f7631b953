"""Distributions: probabilities by their formulas, drawn values by their moments, divergences by
summing."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    Normal,
    Uniform,
    kl_divergence,
)

CLASSES = [[0.2, 0.3, 0.5], [0.25, 0.0, 0.75]]


def wide(values, **options):
    return gs.tensor(values, dtype=gs.float64, **options)


CASES = {
    "normal": lambda: Normal(wide([0.3, -1.0]), wide([0.5, 2.0])),
    "uniform": lambda: Uniform(wide([0.0, 1.0]), wide([1.0, 3.0])),
    "bernoulli": lambda: Bernoulli(wide([0.2, 0.9])),
    "bernoulli, logits": lambda: Bernoulli(logits=wide([0.2, -1.5])),
    "independent": lambda: Independent(Normal(wide([0.3, -1.0]), 0.5), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_moments_of_drawn_values(name):
    gs.manual_seed(0)
    law = CASES[name]()
    drawn = law.sample((200, 200)).numpy()
    assert drawn.shape == (200, 200, 2)
    error = 5 * np.sqrt(law.variance.numpy() / 40_000)
    assert (np.abs(drawn.mean((0, 1)) - law.mean.numpy()) < error).all()
    np.testing.assert_allclose(drawn.std((0, 1)), law.stddev.numpy(), rtol=0.05)


@pytest.mark.parametrize("name", [*CASES, "categorical"])
def test_entropy_is_the_mean_of_minus_log_prob(name):
    gs.manual_seed(0)
    law = Categorical(wide(CLASSES)) if name == "categorical" else CASES[name]()
    values = law.log_prob(law.sample((40_000,)))
    assert values.shape == (40_000, *law.batch_shape)
    np.testing.assert_allclose(-values.mean(0).numpy(), law.entropy().numpy(), atol=0.03)


def test_densities():
    law, at = CASES["normal"](), wide([0.1, 2.0])
    z = (at.numpy() - [0.3, -1.0]) / [0.5, 2.0]
    wanted = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / [0.5, 2.0]
    np.testing.assert_allclose(law.log_prob(at).exp().numpy(), wanted, rtol=1e-12)
    together = Independent(law, 1)
    assert (together.batch_shape, together.event_shape) == ((), (2,))
    np.testing.assert_allclose(together.log_prob(at).exp().item(), wanted.prod(), rtol=1e-12)
    assert law.cdf(law.mean).tolist() == [0.5, 0.5]
    flat = CASES["uniform"]()
    assert flat.log_prob(wide([0.5, 0.5])).tolist() == [0.0, -math.inf]
    assert Normal(0.0, 1.0).sample((3,)).shape == (3,)
    assert repr(law) == "Normal(batch_shape=(2,), event_shape=())"


def test_classes():
    gs.manual_seed(0)
    law = Categorical(wide(CLASSES) * 7)
    np.testing.assert_allclose(law.probs.numpy(), CLASSES)
    assert law.log_prob(gs.tensor([1, 2])).exp().tolist() == pytest.approx([0.3, 0.75])
    assert law.log_prob(gs.tensor([[0], [2]])).exp().numpy() == pytest.approx(
        np.array([[0.2, 0.25], [0.5, 0.75]])
    )
    drawn = law.sample((30_000,))
    assert (drawn.shape, drawn.dtype) == ((30_000, 2), gs.int64)
    shares = np.stack([(drawn.numpy() == k).mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(shares, CLASSES, atol=0.015)
    assert law.sample().shape == (2,)
    assert law.sample((0, 4)).shape == (0, 4, 2)
    same = Categorical(logits=wide(CLASSES).log() + 3)
    np.testing.assert_allclose(same.probs.numpy(), CLASSES, atol=1e-15)
    np.testing.assert_allclose(same.entropy().numpy(), law.entropy().numpy(), atol=1e-12)


def test_ones_and_zeros():
    law = Bernoulli(logits=wide([0.0, -2.0]))
    p = law.probs.numpy()
    np.testing.assert_allclose(law.log_prob(gs.tensor([1, 0])).exp().numpy(), [p[0], 1 - p[1]])
    np.testing.assert_allclose(Bernoulli(law.probs).logits.numpy(), [0.0, -2.0], atol=1e-12)


def test_gradients_go_where_they_should():
    mean = wide([0.5], requires_grad=True)
    law = Normal(mean, mean.exp())
    assert not law.sample().requires_grad
    gs.manual_seed(1)
    value = law.rsample()
    noise = (value - mean).item() / math.exp(0.5)
    value.sum().backward()
    assert mean.grad.item() == pytest.approx(1 + math.exp(0.5) * noise)
    scores = wide([0.1, 0.5, 2.0], requires_grad=True)
    Categorical(logits=scores).log_prob(gs.tensor(1)).backward()
    p = np.exp([0.1, 0.5, 2.0]) / np.exp([0.1, 0.5, 2.0]).sum()
    np.testing.assert_allclose(scores.grad.numpy(), np.array([0, 1, 0]) - p)
    with pytest.raises(NotImplementedError, match=r"\[Categorical\] rsample"):
        Categorical(gs.ones(2)).rsample()


def test_divergences_are_sums_of_p_log_p_over_q():
    a, b = Categorical(wide(CLASSES)), Categorical(logits=wide([[0.1, 0.2, 0.3], [1.0, 0.0, 0.5]]))
    p, q = a.probs.numpy(), b.probs.numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(p > 0, p * np.log(p / q), 0).sum(-1)
    np.testing.assert_allclose(kl_divergence(a, b).numpy(), wanted, atol=1e-12)
    one, other = Bernoulli(wide([0.2, 0.9])), Bernoulli(logits=wide([0.5, -1.0]))
    p, q = one.probs.numpy(), other.probs.numpy()
    wanted = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    np.testing.assert_allclose(kl_divergence(one, other).numpy(), wanted, atol=1e-12)
    x = wide(np.linspace(-30, 30, 600_001)).unsqueeze(1)
    one, other = CASES["normal"](), Normal(wide([1.0, 1.0]), 0.7)
    near, far = one.log_prob(x).numpy(), other.log_prob(x).numpy()
    wanted = (np.exp(near) * (near - far)).sum(0) * 1e-4
    np.testing.assert_allclose(kl_divergence(one, other).numpy(), wanted, rtol=1e-6)
    together = kl_divergence(Independent(one, 1), Independent(other, 1))
    assert together.item() == pytest.approx(wanted.sum(), rel=1e-6)
    inside, outside = Uniform(0.0, 1.0), Uniform(0.0, 4.0)
    assert kl_divergence(inside, outside).item() == pytest.approx(math.log(4))
    assert kl_divergence(outside, inside).item() == math.inf


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (lambda: Normal(0.0, -1.0), ValueError, r"\[Normal\] expected scale > 0"),
        (lambda: Uniform(1.0, 0.0), ValueError, "low < high"),
        (lambda: Bernoulli(gs.tensor([2.0])), ValueError, "probs from 0 to 1"),
        (lambda: Bernoulli(), ValueError, "either probs or logits"),
        (lambda: Categorical(gs.tensor([-1.0, 2.0])), ValueError, "probs >= 0"),
        (lambda: Categorical(gs.tensor([0.0, 0.0])), ValueError, "not all 0"),
        (lambda: Categorical(logits=gs.tensor([math.nan, 0.0])), ValueError, "no NaN"),
        (lambda: Categorical(gs.tensor(1.0)), ValueError, r"\(..., classes\), got \(\)"),
        (lambda: Independent(Normal(0.0, 1.0), 1), ValueError, "has 0 batch dimensions, not 1"),
        (lambda: kl_divergence(Normal(0.0, 1.0), Uniform(0.0, 1.0)), NotImplementedError,
         "Normal and Uniform"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong, error, text):
    with pytest.raises(error, match=text):
        wrong()


@pytest.mark.parametrize("what", ["mean", "variance", "stddev"])
def test_categories_have_no_moments(what):
    with pytest.raises(NotImplementedError, match=r"\[Categorical\] this distribution has no"):
        getattr(Categorical(gs.ones(2)), what)


@pytest.mark.parametrize("what", ["log_prob", "entropy"])
def test_what_a_class_of_ones_own_lacks_is_named(what):
    class Mine(gs.distributions.Distribution):
        pass

    arguments = [gs.ones(2)] if what == "log_prob" else []
    with pytest.raises(NotImplementedError, match=rf"\[Mine\] this distribution has no {what}"):
        getattr(Mine(), what)(*arguments)
