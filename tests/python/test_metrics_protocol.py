"""What all metrics have: ignored targets, empty batches, refusals, state."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone.training.metrics import (
    F1,
    Accuracy,
    ConfusionMatrix,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Perplexity,
    Precision,
    R2Score,
    Recall,
    RootMeanSquaredError,
    TopKAccuracy,
)
from op_specs import run
from training.feeding import feed, t

EVERY = [
    Accuracy,
    lambda **k: TopKAccuracy(2, **k),
    lambda **k: Precision(3, **k),
    lambda **k: Recall(3, **k),
    lambda **k: F1(3, **k),
    lambda **k: ConfusionMatrix(3, **k),
    Perplexity,
]
NUMBERS = [MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError, R2Score]


def plain(value):
    return value.tolist() if isinstance(value, gs.Tensor) else value


@pytest.mark.parametrize("ignored", [-1, 0])  # no class, or the class of the padding
@pytest.mark.parametrize("make", EVERY)
def test_ignored_targets_are_as_if_absent(make, ignored):
    rng = np.random.default_rng(6)
    logits, classes = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    classes[::4] = ignored
    kept = classes != ignored
    ignoring = feed(make(ignore_index=ignored), logits, classes)
    np.testing.assert_allclose(ignoring, feed(make(), logits[kept], classes[kept]), rtol=1e-12)
    nothing = make(ignore_index=ignored)
    nothing.update(t(logits[:2]), t([ignored, ignored]))
    empty = nothing.compute()
    if isinstance(empty, gs.Tensor):
        assert empty.tolist() == [[0] * 3] * 3
    else:
        assert math.isnan(empty)


@pytest.mark.parametrize("make", EVERY)
def test_empty_batches_change_nothing(make):
    logits, classes = t(np.eye(3)), t([0, 1, 1])
    plainly, with_empty = make(), make()
    plainly.update(logits, classes)
    with_empty.update(t(np.zeros((0, 3))), t(np.zeros(0, np.int64)))
    with_empty.update(logits, classes)
    with_empty.update(t(np.zeros((0, 3))), t(np.zeros(0, np.int64)))
    assert plain(with_empty.compute()) == plain(plainly.compute())


@pytest.mark.parametrize("make", NUMBERS)
def test_empty_batches_of_numbers(make):
    a, b = t([1.0, 2.0, 4.0]), t([1.5, 2.0, 3.0])
    plainly, with_empty = make(), make()
    assert math.isnan(plainly.compute())
    plainly.update(a, b)
    with_empty.update(t(np.zeros(0)), t(np.zeros(0)))
    assert math.isnan(with_empty.compute())
    with_empty.update(a, b)
    with_empty.update(t(np.zeros(0)), t(np.zeros(0)))
    assert with_empty.compute() == pytest.approx(plainly.compute(), rel=1e-15)


@pytest.mark.parametrize("make", EVERY)
def test_labels_that_are_no_class_are_refused_and_leave_no_trace(make):
    if run.DEVICE != "cpu":
        pytest.skip("on a GPU compute refuses them")
    metric = make()
    metric.update(t(np.eye(3)), t([0, 1, 1]))
    before = plain(metric.compute())
    for bad in (3, 7, -1):
        with pytest.raises((ValueError, IndexError), match="outside 0 to 2|out of range"):
            metric.update(t(np.eye(3)), t([0, 1, bad]))
    assert plain(metric.compute()) == before


@pytest.mark.parametrize("make", EVERY[:-1])
def test_on_a_gpu_compute_refuses_them(make, monkeypatch):
    metric = make()
    monkeypatch.setattr("gradstone.training.metrics.labels.refuse_outside", lambda *a: None)
    metric.update(t(np.eye(3)), t([0, 1, 7]))
    metric.update(t(np.eye(3)), t([0, 1, -1]))
    with pytest.raises(ValueError, match="2 targets lie outside 0 to 2"):
        metric.compute()


def test_how_many_labels_are_wrong():
    metric = Accuracy()
    with pytest.raises(ValueError, match=r"\[Accuracy\] 2 targets lie outside 0 to 2"):
        metric.update(t(np.eye(3)), t([0, 3, -100]))
        metric.compute()


@pytest.mark.parametrize("make", EVERY)
def test_shapes_that_do_not_fit(make):
    metric = make()
    with pytest.raises(ValueError, match=r"expected classes of shape \(4,\) .* got \(4, 1\)"):
        metric.update(t(np.zeros((4, 3))), t(np.zeros((4, 1), np.int64)))
    with pytest.raises(ValueError, match=r"expected classes of shape \(4,\) .* got \(5,\)"):
        metric.update(t(np.zeros((4, 3))), t(np.zeros(5, np.int64)))
    with pytest.raises(ValueError, match=r"got shape \(4,\)"):
        metric.update(t(np.zeros(4)), t(np.zeros(4, np.int64)))
    if make is not Perplexity:
        with pytest.raises(ValueError, match=r"probabilities of the scores' shape \(4, 3\)"):
            metric.update(t(np.zeros((4, 3))), t(np.zeros(4)))
    with pytest.raises(TypeError, match="expected output to be a tensor, got list"):
        metric.update([1.0], t([0]))
    with pytest.raises(TypeError, match="expected target to be a tensor, got int"):
        metric.update(t(np.zeros((4, 3))), 0)


@pytest.mark.parametrize("make", [*NUMBERS, lambda: Accuracy(threshold=0.0), F1])
def test_a_column_against_a_row_is_refused(make):
    with pytest.raises(ValueError, match=r"of one shape, got \(4, 1\) and \(4,\)"):
        make().update(t(np.zeros((4, 1))), t(np.zeros(4)))


def test_perplexity_wants_integer_tokens():
    with pytest.raises(TypeError, match="integer tokens, got gradstone.float32"):
        Perplexity().update(t(np.zeros((2, 3))), t(np.zeros((2, 3), np.float32)))
    with pytest.raises(TypeError, match="floating-point scores, got gradstone.int64"):
        Perplexity().update(t([[1, 2]]), t([0]))


@pytest.mark.parametrize("make", [*EVERY, *NUMBERS])
def test_state_goes_on_where_it_was(make):
    rng = np.random.default_rng(7)
    if make in NUMBERS:
        outputs, targets = rng.normal(size=20), rng.normal(size=20)
    else:
        outputs, targets = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    through, first, second = make(), make(), make()
    assert first.state_dict() == {}
    for metric, rows in ((through, slice(0, 9)), (first, slice(0, 9))):
        metric.update(t(outputs[rows]), t(targets[rows]))
    second.load_state_dict(first.state_dict())
    first.reset()
    for metric in (through, second):
        metric.update(t(outputs[9:]), t(targets[9:]))
    assert plain(second.compute()) == plain(through.compute())
    with pytest.raises(ValueError, match="expected a state with"):
        second.load_state_dict({"nonsense": t([1])})


def test_state_of_another_number_of_classes():
    metric = F1(3)
    metric.update(t(np.eye(3)), t([0, 1, 2]))
    with pytest.raises(ValueError, match=r"counts of shape \(3, 6\), got \(3, 5\)"):
        F1(4).load_state_dict(metric.state_dict())


def test_update_records_nothing_and_reads_nothing_of_gradients():
    x = t(np.eye(3)).requires_grad_(True)
    for make in EVERY:
        metric = make()
        metric.update(x * 2, t([0, 1, 2]))
        assert not any(s.requires_grad for s in metric.state_dict().values())
    assert gs.is_grad_enabled()


@pytest.mark.parametrize("make", [*EVERY, *NUMBERS, lambda: Accuracy(threshold=0.0), F1])
def test_update_reads_nothing_back(make, monkeypatch):
    """On a GPU every such read would wait for the device. (On the CPU the labels are looked at;
    that is told to be off here.)"""
    two = make in NUMBERS or make is F1 or make not in EVERY
    output = t(np.linspace(-1, 1, 3)) if two else t(np.eye(3))
    target = t([0.0, 1.0, 1.0]) if two else t([0, 1, 2])
    metric = make()
    with monkeypatch.context() as patched:
        patched.setattr("gradstone.training.metrics.labels.refuse_outside", lambda *a: None)
        for name in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__array__"):

            def read(self, *args, name=name):
                raise AssertionError(f"read back by {name}")

            patched.setattr(gs.Tensor, name, read)
        with pytest.raises(AssertionError, match="read back by __bool__"):
            bool(output.sum() > 0)  # the trap works
        metric.update(output, target)
        metric.update(output, target)
    assert metric.compute() is not None


def test_counts_are_wide():
    for make in EVERY:
        metric = make()
        metric.update(t(np.eye(3, dtype=np.float16)), t([0, 1, 2]))
        assert {s.dtype for s in metric.state_dict().values()} <= {gs.int64, gs.float64}


def test_a_metric_of_ones_own():
    class Positive(Metric):
        _layout = {"n": ()}

        def _count(self, output, target):
            return {"n": (output > 0).sum()}

        def _result(self, sums):
            return sums["n"].item()

    metric = Positive()
    metric.update(t([1.0, -1.0]), t([0, 0]))
    metric.update(t([1.0, 1.0]), t([0, 0]))
    assert metric.compute() == 3
    with pytest.raises(NotImplementedError, match="what a batch adds"):
        Metric().update(t([1.0]), t([1.0]))
