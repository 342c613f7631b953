"""Errors of numbers and R2 against NumPy, and against values found by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradstone.training.metrics import (
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)
from training.feeding import feed, t


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
