"""Metrics against formulas written anew in NumPy, and against values found by hand."""

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


def t(values, dtype=None):
    return gs.tensor(values, dtype=dtype, device=run.DEVICE)


def feed(metric, outputs, targets, parts=3):
    """In several batches, the last shorter."""
    for chunk in np.array_split(np.arange(len(targets)), parts):
        metric.update(t(outputs[chunk]), t(targets[chunk]))
    return metric.compute()


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


# ------------------------------------------------------------------------------------- regression


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_errors_of_numbers(dtype):
    rng = np.random.default_rng(4)
    outputs, targets = rng.normal(size=(50, 3)).astype(dtype), rng.normal(size=(50, 3))
    targets = targets.astype(dtype)
    gap = outputs.astype(np.float64) - targets.astype(np.float64)
    assert feed(MeanAbsoluteError(), outputs, targets) == pytest.approx(np.abs(gap).mean(), 1e-14)
    assert feed(MeanSquaredError(), outputs, targets) == pytest.approx((gap**2).mean(), 1e-14)
    rmse = feed(RootMeanSquaredError(), outputs, targets)
    assert rmse == pytest.approx(math.sqrt((gap**2).mean()), 1e-14)


def test_float16_sums_do_not_overflow():
    metric = MeanSquaredError()
    for _ in range(3):
        metric.update(t(np.full(100_000, 300.0, np.float16)), t(np.zeros(100_000, np.float16)))
    assert metric.compute() == 90_000.0


def test_r2_of_columns_and_of_batches():
    rng = np.random.default_rng(5)
    targets = rng.normal(size=(47, 3)) + [0.0, 1e6, -1e8]  # naive sums of squares lose all digits
    outputs = targets + 0.3 * rng.normal(size=(47, 3))
    each = 1 - ((targets - outputs) ** 2).sum(0) / ((targets - targets.mean(0)) ** 2).sum(0)
    found = feed(R2Score(average=None), outputs, targets, parts=5)
    np.testing.assert_allclose(found.numpy(), each, rtol=1e-6)
    assert feed(R2Score(), outputs, targets) == pytest.approx(each.mean(), rel=1e-6)
    one = feed(R2Score(), outputs[:, 0], targets[:, 0])
    assert one == pytest.approx(each[0], rel=1e-12)


def test_r2_where_it_is_not_defined():
    def figure(outputs, targets):
        metric = R2Score()
        metric.update(t(outputs), t(targets))
        return metric.compute()

    assert math.isnan(figure([1.0], [1.0]))
    assert figure([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert figure([2.0, 1.0], [2.0, 2.0]) == 0.0
    assert figure([2.0, 2.0], [1.0, 3.0]) == 0.0
    assert figure([3.0, 1.0], [1.0, 3.0]) == -3.0
    metric = R2Score()
    metric.update(t(np.zeros(3)), t(np.arange(3.0)))
    with pytest.raises(ValueError, match="expected 1 columns as before, got 2"):
        metric.update(t(np.zeros((3, 2))), t(np.zeros((3, 2))))


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


# ------------------------------------------------------------------------------ what all have


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
