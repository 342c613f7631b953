"""MixUp and CutMix, and weights of classes and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone import nn
from gradstone.nn import functional as F
from gradstone.training import Accuracy, Trainer
from gradstone.training.mixing import CutMix, MixUp
from gradstone.training.weighting import WeightedLoss, class_weights


def batch(n=8, size=(3, 10, 12), classes=5):
    """Images that say who they are: every pixel of image i is i, of class i % classes."""
    inputs = gs.arange(n).float().reshape(n, 1, 1, 1) * gs.ones(n, *size)
    return inputs, gs.arange(n) % classes


def one_hot(values, classes=5):
    return np.eye(classes)[np.asarray(values)]


# ------------------------------------------------------------------------------------------ mixing


def test_mixup_by_its_formula():
    inputs, targets = batch()
    given = inputs.numpy().copy()
    mix = MixUp(5, alpha=1.0, seed=4)
    shares = []
    for _ in range(20):
        x, y = mix(inputs, targets)
        assert (x.shape, x.dtype, tuple(y.shape), y.dtype) == (
            inputs.shape,
            gs.float32,
            (8, 5),
            gs.float32,
        )
        # The same share and partners for the whole batch, found again from the pixels.
        values = x[:, 0, 0, 0].numpy().astype(np.float64)
        np.testing.assert_array_equal(x.numpy(), x[:, :1, :1, :1].numpy() * np.ones((1, 3, 10, 12)))
        np.testing.assert_allclose(y.numpy().sum(1), 1.0, rtol=1e-6)
        share, order = solve(values, y.numpy())
        shares.append(share)
        assert sorted(order) == list(range(8))
    assert len(set(shares)) == 20
    np.testing.assert_array_equal(inputs.numpy(), given)
    assert targets.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def solve(values, soft):
    """(share, partners): for every i, values[i] = s i + (1 - s) j and the targets to match."""
    rows = np.arange(8)
    for i in rows:  # a row whose target is mixed of two classes shows the share
        if soft[i].max() < 0.999:
            share = float(soft[i, i % 5])
            break
    else:
        raise AssertionError("nothing was mixed")
    order = [round((v - share * i) / (1 - share)) for i, v in enumerate(values)]
    np.testing.assert_allclose(values, share * rows + (1 - share) * np.array(order), atol=1e-4)
    expected = share * one_hot(rows % 5) + (1 - share) * one_hot(np.array(order) % 5)
    np.testing.assert_allclose(soft, expected, atol=1e-5)
    return share, order


def test_shares_are_beta_distributed():
    inputs, targets = gs.zeros(2, 1), gs.tensor([0, 1])
    for alpha in (0.2, 1.0):
        mix = MixUp(2, alpha, seed=0)
        shares = []
        for _ in range(4000):
            # Swapped or not, the first row's share of class 0 is s or 1.
            y = mix(inputs, targets)[1].numpy()
            if y[0, 1] > 0:
                shares.append(y[0, 0])
        shares = np.array(shares, np.float64)
        assert abs(len(shares) / 4000 - 0.5) < 0.05
        # Mean 1/2, variance 1 / (4 (2 alpha + 1)) of Beta(alpha, alpha).
        assert abs(shares.mean() - 0.5) < 0.03
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.07)


def test_cutmix_by_its_formula():
    inputs, targets = batch()
    given = inputs.numpy().copy()
    mix = CutMix(5, seed=2)
    areas = []
    for _ in range(30):
        x, y = mix(inputs, targets)
        pixels = x.numpy()
        order = np.arange(8)
        # The box is one rectangle, at the same place in all images and channels.
        other = (pixels != np.arange(8).reshape(8, 1, 1, 1)).any((0, 1))
        area = 0
        if other.any():
            rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
            assert other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert other.sum() == len(rows) * len(columns)
            area = int(other.sum())
            order = pixels[:, 0, rows[0], columns[0]].round().astype(int)
            assert sorted(order) == list(range(8))
            for i in range(8):
                assert (pixels[i][:, other] == order[i]).all()
                assert (pixels[i][:, ~other] == i).all()
        areas.append(area / 120)
        expected = (1 - area / 120) * one_hot(np.arange(8) % 5) + area / 120 * one_hot(order % 5)
        np.testing.assert_allclose(y.numpy(), expected, atol=1e-6)
    assert min(areas) < 0.2 < 0.5 < max(areas)
    np.testing.assert_array_equal(inputs.numpy(), given)


def test_areas_of_cutmix():
    """The mean area of boxes of sides sqrt(1 - s), cut off at the border, drawn anew here."""
    rng = np.random.default_rng(9)
    side = np.sqrt(1 - rng.beta(1.0, 1.0, 200_000))
    height = np.minimum(1, (c := rng.random(200_000)) + side / 2) - np.maximum(0, c - side / 2)
    width = np.minimum(1, (c := rng.random(200_000)) + side / 2) - np.maximum(0, c - side / 2)
    expected = (height * width).mean()
    mix, images, targets = CutMix(2, seed=0), gs.zeros(2, 1, 64, 64), gs.tensor([0, 1])
    images[1] = 1.0
    found = []
    for _ in range(2000):
        x, y = mix(images, targets)
        if y[0, 1].item() > 0:  # the partner is the other one, in every second batch
            found.append(x[0].mean().item())
            assert found[-1] == pytest.approx(y[0, 1].item(), abs=1e-6)
    assert np.mean(found) == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_the_same_seed_gives_the_same_batches(kind):
    inputs, targets = gs.rand(6, 3, 8, 8), gs.arange(6) % 5

    def three(mix, disturbed=False):
        found = []
        for _ in range(3):
            if disturbed:
                gs.rand(5)
            x, y = mix(inputs, targets)
            found.append(x.numpy().tobytes() + y.numpy().tobytes())
        return found

    first = three(kind(5, seed=11))
    assert three(kind(5, seed=11), disturbed=True) == first
    assert three(kind(5, seed=12)) != first
    gs.manual_seed(7)
    drawn = three(kind(5))
    gs.manual_seed(7)
    assert three(kind(5)) == drawn
    state = gs.get_rng_state().tolist()
    mix = kind(5, seed=11)
    three(mix)
    assert gs.get_rng_state().tolist() == state


@pytest.mark.parametrize("size", [6, 7])  # an odd batch leaves half a random number over
@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_state_goes_on_where_it_was(kind, size, tmp_path):
    inputs, targets = gs.rand(size, 3, 8, 8), gs.arange(size) % 5
    mix, other = kind(5, seed=1), kind(5, seed=2)
    mix(inputs, targets)
    gs.save(mix.state_dict(), tmp_path / "mix.gs")
    other.load_state_dict(gs.load(tmp_path / "mix.gs"))
    for _ in range(3):
        for a, b in zip(mix(inputs, targets), other(inputs, targets)):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(ValueError, match="a state with 'state', 'increment' and 'kept'"):
        other.load_state_dict({})


def test_probability():
    inputs, targets = batch()
    x, y = MixUp(5, probability=0.0, seed=0)(inputs, targets)
    assert x is inputs
    np.testing.assert_array_equal(y.numpy(), one_hot(targets.numpy()))
    mix = MixUp(5, alpha=1.0, probability=0.25, seed=0)
    mixed = sum(mix(inputs, targets)[0] is not inputs for _ in range(400))
    assert 70 < mixed < 130


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_soft_targets_one_image_and_none(kind):
    inputs, targets = batch()
    soft = gs.nn.functional.one_hot(targets, 5).float() * 0.9 + 0.02
    for given, wanted in ((targets, gs.float32), (soft, gs.float32), (soft.double(), gs.float64)):
        x, y = kind(5, seed=3)(inputs, given)
        assert y.dtype == wanted
        np.testing.assert_allclose(y.numpy().sum(1), 1.0, rtol=1e-6)
    x, y = kind(5, seed=3)(inputs[2:3], targets[2:3])
    np.testing.assert_allclose(x.numpy(), inputs[2:3].numpy(), rtol=1e-6)
    np.testing.assert_allclose(y.numpy(), one_hot([2]), atol=1e-6)
    x, y = kind(5, seed=3)(inputs[:0], targets[:0])
    assert (x.size(0), tuple(y.shape)) == (0, (0, 5))
    half = kind(5, seed=3)(inputs.half(), targets)
    assert (half[0].dtype, half[1].dtype) == (gs.float16, gs.float32)


def test_mixed_batches_train():
    inputs, targets = kind_of_task()
    model = nn.Linear(2, 2)
    mix, loss = MixUp(2, 0.4, seed=0), nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = gs.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(60):
        x, y = mix(inputs, targets)
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    assert (model(inputs).argmax(1) == targets).float().mean().item() > 0.95


def kind_of_task():
    targets = gs.arange(64) % 2
    return gs.randn(64, 2) * 0.3 + (targets * 2.0 - 1.0).unsqueeze(1), targets


class Seen:
    """A metric that keeps what it is shown."""

    def reset(self):
        self.outputs, self.targets = [], []

    def update(self, output, target):
        self.outputs.append(output)
        self.targets.append(target)

    def compute(self):
        return len(self.targets)


def trained_for_one_epoch(mix, batches, validation=None, loss=None, metrics=None):
    """With a model that gives its inputs back."""
    model = nn.Linear(4, 4)
    with gs.no_grad():
        model.weight.copy_(gs.eye(4))
        model.bias.zero_()
    trainer = Trainer(
        model, gs.optim.SGD(model.parameters(), lr=0.0), loss or nn.CrossEntropyLoss(),
        metrics or {"accuracy": Accuracy()}, mix=mix, progress=False,
    )  # fmt: skip
    return trainer, trainer.fit(batches, 1, validation)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_metrics_compare_with_the_class_that_has_the_largest_share(kind):
    # Inputs that say what each image consists of: who reads the larger part is always right.
    targets = gs.from_numpy(np.random.default_rng(0).integers(0, 4, (40, 32)))
    batches = [(F.one_hot(y, 4).float(), y) for y in targets]
    images = kind(4, alpha=1.0, seed=0)

    def mix(x, y):
        x, y = images(x[:, :, None, None] * gs.ones(8, 8), y)
        return x.mean((2, 3)), y

    seen = Seen()
    _, history = trained_for_one_epoch(
        mix, batches, batches, metrics={"accuracy": Accuracy(), "seen": seen}
    )
    assert history["accuracy"] == [1.0]
    assert history["val_accuracy"] == [1.0]
    shown = gs.stack(seen.targets)
    assert shown.dtype == gs.int64
    # Half of MixUp's shares are below 1/2; CutMix's boxes are cut off at the borders.
    least = 0.2 if kind is MixUp else 0.02
    assert least < (shown != targets).float().mean().item() < 0.6


def test_metrics_see_mixed_numbers_and_what_is_not_mixed_as_it_is():
    x, numbers = gs.randn(6, 4), gs.randn(6, 4)
    soft = F.softmax(gs.randn(6, 4), 1)
    classes = gs.tensor([0, 1, 2, 3, 0, 1])
    pairs = lambda x, y: (x, (y, y.flip(0), 0.3))
    two = lambda output, target: F.cross_entropy(output, target[0])
    for given, mix, loss, shown in (
        (numbers, lambda x, y: (x, y * 2), nn.MSELoss(), numbers * 2),
        (soft, lambda x, y: (x, y.flip(0)), None, soft.flip(0)),
        (classes, lambda x, y: (x, y.flip(0)), None, classes.flip(0)),
        (classes, pairs, two, classes),
    ):
        seen = Seen()
        trained_for_one_epoch(mix, [(x, given)], None, loss, {"seen": seen})
        assert gs.equal(seen.targets[0], shown)


def test_mixes_that_make_no_sense():
    inputs, targets = batch()
    with pytest.raises(ValueError, match="alpha > 0, got 0"):
        MixUp(5, 0)
    with pytest.raises(ValueError, match="0 <= probability <= 1, got 2"):
        CutMix(5, probability=2)
    with pytest.raises(ValueError, match="num_classes to be at least 2, got 1"):
        MixUp(1)
    with pytest.raises(TypeError, match="inputs in floating point, got gradstone.uint8"):
        MixUp(5)(inputs.to(gs.uint8), targets)
    with pytest.raises(ValueError, match=r"inputs \(8, 3, 10, 12\) and int64 targets \(7,\)"):
        MixUp(5)(inputs, targets[:7])
    with pytest.raises(ValueError, match=r"float32 targets \(8, 4\)"):
        MixUp(5)(inputs, gs.zeros(8, 4))
    with pytest.raises(ValueError, match=r"images \(N, C, H, W\), got shape \(8, 30\)"):
        CutMix(5)(gs.zeros(8, 30), targets)
    with pytest.raises(TypeError, match="inputs to be a tensor, got list"):
        MixUp(5)([], targets)
    with pytest.raises(IndexError, match="class 4 is out of range for size 3"):
        MixUp(3)(inputs, targets)  # class 4 of 3


# --------------------------------------------------------------------------------------- weighting


def test_class_weights_by_hand():
    # 6 labels of 3 classes: 6 / (3 * 3), 6 / (3 * 2), 6 / (3 * 1).
    weights = class_weights([0, 0, 0, 1, 1, 2])
    assert weights.dtype == gs.float32
    np.testing.assert_allclose(weights.numpy(), [2 / 3, 1.0, 2.0], rtol=1e-7)
    for labels in (gs.tensor([[0, 0], [0, 1]]), np.array([0, 0, 0, 1], np.uint8)):
        np.testing.assert_allclose(class_weights(labels).numpy(), [2 / 3, 2.0], rtol=1e-7)


def test_class_weights_balance():
    labels = np.random.default_rng(0).choice(4, 500, p=[0.7, 0.2, 0.07, 0.03])
    weights = class_weights(labels, 6).numpy().astype(np.float64)
    each = [weights[labels][labels == c].sum() for c in range(4)]
    np.testing.assert_allclose(each, 500 / 4, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1.0, rel=1e-6)
    assert weights[4:].tolist() == [1.0, 1.0]  # classes that never occur


def test_class_weights_refuse():
    with pytest.raises(ValueError, match="at least one label"):
        class_weights(np.zeros(0, np.int64))
    with pytest.raises(TypeError, match="integer labels, got float64"):
        class_weights([0.5, 1.0])
    with pytest.raises(ValueError, match="labels from 0 to 1, got 0 to 2"):
        class_weights([0, 1, 2], 2)
    with pytest.raises(ValueError, match="got -1 to 1"):
        class_weights([-1, 1])


def test_weighted_loss_by_its_formula():
    rng = np.random.default_rng(1)
    output, target, weights = rng.normal(size=(7, 3)), rng.integers(0, 3, 7), rng.random(7)
    x = gs.tensor(output, requires_grad=True)
    loss = WeightedLoss(nn.CrossEntropyLoss(reduction="none"))
    y, w = gs.tensor(target), gs.tensor(weights)
    each = np.log(np.exp(output).sum(1)) - output[np.arange(7), target]
    expected = (each * weights).sum() / weights.sum()
    assert loss(x, y, w).item() == pytest.approx(expected, rel=1e-12)
    assert loss(x, (y, w)).item() == pytest.approx(expected, rel=1e-12)
    assert loss(x, y).item() == pytest.approx(each.mean(), rel=1e-12)
    by_samples = WeightedLoss(nn.CrossEntropyLoss(reduction="none"), divide_by="samples")
    assert by_samples(x, y, w).item() == pytest.approx((each * weights).mean(), rel=1e-12)
    loss(x, y, w).backward()
    probability = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    expected = (probability - np.eye(3)[target]) * (weights / weights.sum())[:, None]
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_weight_0_is_as_if_absent_and_all_0_is_0():
    x, y = gs.randn(5, 4, 2), gs.randn(5, 4, 2)
    loss = WeightedLoss(nn.MSELoss(reduction="none"))
    kept = nn.MSELoss()(x[:3], y[:3]).item()
    assert loss(x, y, gs.tensor([1, 1, 1, 0, 0])).item() == pytest.approx(kept, rel=1e-6)
    nothing = loss(x.requires_grad_(True), y, gs.zeros(5))
    nothing.backward()
    assert nothing.item() == 0.0
    assert not math.isnan(x.grad.sum().item())


def test_weighted_losses_that_make_no_sense():
    with pytest.raises(ValueError, match="reduction='none'.*got reduction='mean'"):
        WeightedLoss(nn.MSELoss())
    with pytest.raises(ValueError, match="divide_by 'weights' or 'samples', got 'n'"):
        WeightedLoss(nn.MSELoss(reduction="none"), divide_by="n")
    loss = WeightedLoss(nn.MSELoss(reduction="none"))
    with pytest.raises(ValueError, match=r"one weight for each of 4 samples, got shape \(4, 1\)"):
        loss(gs.zeros(4, 2), gs.zeros(4, 2), gs.ones(4, 1))
    with pytest.raises(ValueError, match="the pair"):
        loss(gs.zeros(4, 2), (gs.zeros(4, 2), gs.ones(4), gs.ones(4)))
    with pytest.raises(ValueError, match="got a scalar"):
        WeightedLoss(lambda o, t: (o - t).mean())(gs.zeros(4), gs.zeros(4))
