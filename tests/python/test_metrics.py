"""Metrics of classes against formulas written anew in NumPy, and against values found by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradstone as gs
from gradstone.training.metrics import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Perplexity,
    Precision,
    Recall,
    TopKAccuracy,
)
from op_specs import run
from training.feeding import feed, t


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.normal(size=(101, 5)).astype(np.float32), rng.integers(0, 5, 101)


# ----------------------------------------------------------------------------------------- accuracy


def test_accuracy_by_hand():
    metric = Accuracy()
    metric.update(t([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), t([0, 1, 1]))
    assert metric.compute() == 2 / 3
    metric.update(t([[2.0, 1.0]]), t([0]))
    assert metric.compute() == 3 / 4
    assert isinstance(metric.compute(), float)
    metric.reset()
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("dtype", [gs.float16, gs.bfloat16, gs.float32, gs.float64])
def test_accuracy_of_logits_and_probabilities(scores, dtype):
    logits, classes = scores
    if dtype == gs.bfloat16 or dtype == gs.float16:
        logits = np.round(logits * 4) / 4 + np.arange(5, dtype=np.float32) / 32  # exact, no ties
    expected = (logits.argmax(1) == classes).mean()
    for output in (t(logits, dtype), t(logits).softmax(1)):
        metric = Accuracy()
        metric.update(output, t(classes))
        assert metric.compute() == expected


def test_accuracy_of_pixels_soft_targets_and_classes():
    rng = np.random.default_rng(1)
    logits, classes = rng.normal(size=(4, 3, 6, 5)), rng.integers(0, 3, (4, 6, 5))
    expected = (logits.argmax(1) == classes).mean()
    soft = 0.9 * np.moveaxis(np.eye(3)[classes], -1, 1) + 0.1 / 3
    given = [
        (Accuracy(), t(logits), t(classes)),
        (Accuracy(), t(logits), t(soft)),
        (Accuracy(dim=-1), t(np.moveaxis(logits, 1, -1)), t(classes)),
        (Accuracy(), t(logits.argmax(1)), t(classes)),
        (Accuracy(), t(logits), (t(classes), t(np.ones(4)))),
    ]
    for metric, output, target in given:
        metric.update(output, target)
        assert metric.compute() == expected


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_accuracy_of_two_classes_from_one_score(threshold):
    rng = np.random.default_rng(2)
    outputs, targets = rng.normal(size=(33, 1)), rng.integers(0, 2, (33, 1))
    expected = ((outputs > threshold) == targets).mean()
    assert feed(Accuracy(threshold=threshold), outputs, targets) == expected
    assert feed(Accuracy(threshold=threshold), outputs, targets.astype(np.float32)) == expected
    assert feed(Accuracy(threshold=threshold), outputs, targets.astype(bool)) == expected


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k(scores, k):
    logits, classes = scores
    order = np.argsort(-logits, axis=1)[:, :k]
    expected = (order == classes[:, None]).any(1).mean()
    assert feed(TopKAccuracy(k), logits, classes) == expected
    if k == 5:
        assert expected == 1.0


def test_top_k_wants_enough_classes():
    with pytest.raises(ValueError, match=r"at least k = 5 classes, got 3"):
        TopKAccuracy(5).update(t(np.zeros((2, 3))), t([0, 1]))
    with pytest.raises(ValueError, match="k to be at least 1"):
        TopKAccuracy(0)


# -------------------------------------------------------------------------------- of each class


def reference(kind, predicted, actual, classes, average, zero=0.0):
    """Loops and fractions: nothing in common with the counts on the device."""
    figures, support = [], []
    right_all = wrong_all = 0
    for c in range(classes):
        tp = sum(1 for p, a in zip(predicted, actual) if p == c and a == c)
        fp = sum(1 for p, a in zip(predicted, actual) if p == c and a != c)
        fn = sum(1 for p, a in zip(predicted, actual) if p != c and a == c)
        below = {"precision": tp + fp, "recall": tp + fn, "f1": 2 * tp + fp + fn}[kind]
        figures.append((2 * tp if kind == "f1" else tp) / below if below else zero)
        support.append(tp + fn)
        right_all, wrong_all = right_all + tp, wrong_all + fp
    if average == "micro":
        return right_all / (right_all + wrong_all)
    if average == "macro":
        return sum(figures) / classes
    if average == "weighted":
        return sum(f * s for f, s in zip(figures, support)) / sum(support)
    return figures


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_of_each_class_and_averaged(scores, kind, average):
    logits, classes = scores
    expected = reference(kind.__name__.lower(), logits.argmax(1), classes, 5, average)
    found = feed(kind(5, average=average), logits, classes)
    assert isinstance(found, gs.Tensor if average is None else float)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-14)


@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_two_classes_from_one_score(kind):
    rng = np.random.default_rng(3)
    outputs, targets = rng.normal(size=60), rng.integers(0, 2, 60)
    for threshold in (0.0, 0.5):
        expected = reference(kind.__name__.lower(), outputs > threshold, targets, 2, None)[1]
        found = feed(kind(threshold=threshold), outputs, targets.astype(np.float32))
        assert found == pytest.approx(expected, rel=1e-14)


def test_precision_recall_f1_by_hand():
    # class 1: predicted 3 times, 2 of them right; there are 4 of it.
    predicted, actual = t([1, 1, 1, 0, 0, 0]), t([1, 1, 0, 1, 1, 0])
    for kind, value in ((Precision, 2 / 3), (Recall, 2 / 4), (F1, 4 / 7)):
        metric = kind(2, average=None)
        metric.update(predicted, actual)
        assert metric.compute()[1].item() == value


def test_a_class_that_never_occurs():
    # Class 2 is neither predicted nor there; class 1 is there and never predicted.
    predicted, actual = t([0, 0, 0]), t([0, 0, 1])

    def figure(kind, **options):
        metric = kind(3, **options)
        metric.update(predicted, actual)
        return metric.compute()

    assert figure(Precision, average=None).tolist() == [2 / 3, 0.0, 0.0]
    assert figure(Recall, average=None).tolist() == [1.0, 0.0, 0.0]
    assert figure(Recall, average=None, zero_division=1.0).tolist() == [1.0, 0.0, 1.0]
    assert figure(Recall) == 1 / 3
    assert figure(Recall, zero_division=math.nan) == 1 / 2  # of the two that occur
    assert figure(Precision, zero_division=math.nan) == 2 / 3  # of the one that is predicted
    assert figure(F1, average=None).tolist() == [4 / 5, 0.0, 0.0]
    assert figure(Recall, average="weighted") == pytest.approx(2 / 3)


def test_classes_of_another_number():
    with pytest.raises(ValueError, match="expected scores for 4 classes, got 3"):
        F1(4).update(t(np.zeros((2, 3))), t([0, 1]))
    with pytest.raises(ValueError, match="average to be 'macro', 'micro', 'weighted' or None"):
        F1(4, average="mean")
    with pytest.raises(TypeError, match="num_classes to be an int"):
        F1(4.5)


# ------------------------------------------------------------------------------------- confusion


def test_confusion_matrix(scores):
    logits, classes = scores
    expected = np.zeros((5, 5), np.int64)
    for p, a in zip(logits.argmax(1), classes):
        expected[a, p] += 1
    metric = ConfusionMatrix(5)
    found = feed(metric, logits, classes)
    assert found.dtype == gs.int64
    np.testing.assert_array_equal(found.numpy(), expected)
    for normalize, whole in (
        ("true", expected.sum(1, keepdims=True)),
        ("predicted", expected.sum(0, keepdims=True)),
        ("all", expected.sum()),
    ):
        shares = feed(ConfusionMatrix(5, normalize=normalize), logits, classes)
        np.testing.assert_allclose(shares.numpy(), expected / whole, rtol=1e-15)


def test_confusion_matrix_of_nothing_and_of_absent_classes():
    assert ConfusionMatrix(3).compute().tolist() == [[0] * 3] * 3
    metric = ConfusionMatrix(3, normalize="true")
    metric.update(t([0, 2]), t([0, 0]))
    assert metric.compute().tolist() == [[0.5, 0.0, 0.5], [0.0] * 3, [0.0] * 3]
    with pytest.raises(ValueError, match="normalize to be None, 'true'"):
        ConfusionMatrix(3, normalize="rows")


def test_confusion_matrix_as_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    metric = ConfusionMatrix(3)
    metric.update(t([0, 2, 1]), t([0, 0, 1]))
    figure = metric.plot(tmp_path / "confusion.png", labels=["cat", "dog", "frog"], title="pets")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1", "0", "1", "0", "1", "0", "0", "0", "0"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["cat", "dog", "frog"]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="expected 3 labels, got 2"):
        metric.plot(labels=["cat", "dog"])


def test_the_picture_names_the_package_it_needs(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"gradstone\[plot\]"):
        ConfusionMatrix(3).plot()


# ------------------------------------------------------------------------------------- perplexity


def nll(logits, tokens):
    x = logits.astype(np.float64)
    x = x - x.max(1, keepdims=True)
    return (np.log(np.exp(x).sum(1)) - np.take_along_axis(x, tokens[:, None], 1)[:, 0]).astype(
        float
    )


def test_perplexity(scores):
    logits, tokens = scores
    expected = math.exp(nll(logits, tokens).mean())
    assert feed(Perplexity(), logits, tokens) == pytest.approx(expected, rel=1e-6)
    padded = tokens.copy()
    padded[::3] = -100
    kept = padded != -100
    expected = math.exp(nll(logits[kept], tokens[kept]).mean())
    assert feed(Perplexity(), logits, padded) == pytest.approx(expected, rel=1e-6)
    padded[::3] = 0
    kept = padded != 0
    expected = math.exp(nll(logits[kept], padded[kept]).mean())
    assert feed(Perplexity(ignore_index=0), logits, padded) == pytest.approx(expected, rel=1e-6)


def test_perplexity_by_hand_and_in_float16():
    for dtype in (gs.float16, gs.float32):
        metric = Perplexity(dim=-1)
        metric.update(gs.zeros(2, 3, 7, dtype=dtype, device=run.DEVICE), t([[0, 1, 2], [3, 4, 5]]))
        assert metric.compute() == pytest.approx(7.0, rel=1e-6)
    metric = Perplexity()
    metric.update(t([[0.0, 4000.0]]), t([0]))
    assert metric.compute() == math.inf
    metric.reset()
    metric.update(t([[0.0, 1.0]]), t([-100]))
    assert math.isnan(metric.compute())
